"""chatlas: a stream, a tool, and structured data."""

import sys

from chatlas import ChatOpenAICompletions
from pydantic import BaseModel

CHAT = {"base_url": sys.argv[1], "api_key": "ambrs-test", "model": "azure/gpt-5.4"}


class Person(BaseModel):
    name: str
    age: int


def get_weather(city: str) -> str:
    """Get the weather in a city."""
    return f"sunny in {city}"


assert "".join(ChatOpenAICompletions(**CHAT).stream("Hello!")) == "Hello! How can I help you today?"

chat = ChatOpenAICompletions(**CHAT)
chat.register_tool(get_weather)
assert "sunny in Rome" in "".join(chat.stream("What is the weather in Rome?"))
assert "sunny in Paris" in str(chat.chat("And what is the weather in Paris?", echo="none"))

person = ChatOpenAICompletions(**CHAT).chat_structured("Ada is 36 years old", data_model=Person)
assert person == Person(name="Ada", age=36), person
