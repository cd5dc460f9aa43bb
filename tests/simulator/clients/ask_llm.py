"""simonw's llm: a stream, a chain of tools, and a schema, with the simulator as a model of its own."""

import os
import sys
import tempfile
from pathlib import Path

folder = Path(tempfile.mkdtemp())
os.environ["LLM_USER_PATH"] = str(folder)
(folder / "keys.json").write_text('{"amber": "ambrs-test"}')
(folder / "extra-openai-models.yaml").write_text(
    "- model_id: amber\n  model_name: azure/gpt-5.4\n  supports_tools: true\n  supports_schema: true\n"
    f"  api_key_name: amber\n  api_base: {sys.argv[1]}\n"
)

import llm  # noqa: E402 - reads the variable
from pydantic import BaseModel  # noqa: E402


class Person(BaseModel):
    name: str
    age: int


def get_weather(city: str) -> str:
    """Get the weather in a city."""
    return f"sunny in {city}"


model = llm.get_model("amber")
pieces = list(model.prompt("Hello!"))
assert len(pieces) > 5, pieces
assert "".join(pieces) == "Hello! How can I help you today?"
assert model.prompt("Hello!", stream=False).text() == "Hello! How can I help you today?"
for stream in (True, False):
    told = model.chain("What is the weather in Rome?", tools=[get_weather], stream=stream).text()
    assert "sunny in Rome" in told, told
    person = Person.model_validate_json(model.prompt("Ada is 36 years old", schema=Person, stream=stream).text())
    assert person == Person(name="Ada", age=36), person
conversation = model.conversation()
conversation.prompt("Hi").text()
assert "turn 2" in conversation.prompt("And then?").text()
