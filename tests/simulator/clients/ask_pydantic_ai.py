"""pydantic-ai: a stream, tools, and typed output by a tool, by response_format and by a schema in the prompt."""

import asyncio
import sys

from pydantic import BaseModel
from pydantic_ai import Agent, NativeOutput, PromptedOutput, ToolOutput
from pydantic_ai.models.openai import OpenAIChatModel
from pydantic_ai.providers.openai import OpenAIProvider

model = OpenAIChatModel("azure/gpt-5.4", provider=OpenAIProvider(base_url=sys.argv[1], api_key="ambrs-test"))


class Person(BaseModel):
    name: str
    age: int


async def read(agent: Agent, question: str) -> str:
    async with agent.run_stream(question) as run:
        return "".join([piece async for piece in run.stream_text(delta=True)])


agent = Agent(model)


@agent.tool_plain
def get_weather(city: str) -> str:
    """Get the weather in a city."""
    return f"sunny in {city}"


assert asyncio.run(read(Agent(model), "Hello!")) == "Hello! How can I help you today?"
assert "sunny in Rome" in agent.run_sync("What is the weather in Rome?").output
assert "sunny in Paris" in asyncio.run(read(agent, "What is the weather in Paris?"))
for output in (ToolOutput(Person), NativeOutput(Person), PromptedOutput(Person)):
    typed = Agent(model, output_type=output)
    assert typed.run_sync("Ada is 36 years old").output == Person(name="Ada", age=36), output
