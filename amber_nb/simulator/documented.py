"""The four replies that the vendor's page documents, to the letter."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["FUNCTIONS", "IMAGE_URL", "Documented", "find_documented"]

HELLO_PROMPT = "Hello!"
HELLO_REPLY = "Hello! How can I help you today?"

IMAGE_PROMPT = "What's in this image?"
IMAGE_URL = "https://ambersearch.de/uploads/amber_Team_73637a5596.jpg"
IMAGE_REPLY = (
    "This image shows a large group of people posing outdoors on a sloped stone walkway or steps, surrounded by trees. "
    "Most of them are wearing matching blue sweatshirts, suggesting they may be part of a team, company, or group "
    "event. Many are raising their hands or making cheerful poses, so it looks like a casual group photo.\n\n"
    "On the left side, there’s part of a building and a sign that appears to say “SUMIANI HOTEL & BEACH.” "
    "The setting looks sunny and wooded, possibly at a hotel or retreat location."
)

FUNCTION_PROMPT = "What's the weather like in Aachen today?"
FUNCTION_NAME = "get_current_weather"
FUNCTION_ARGUMENTS = '{"location":"Aachen, North Rhine-Westphalia","unit":"celsius"}'


@dataclass(frozen=True, slots=True)
class Documented:
    """A documented reply; a field that the page does not print is None and is computed as for any reply."""

    content: str | None = None
    tool_name: str | None = None
    tool_arguments: str | None = None
    tool_call_id: str | None = None
    completion_id: str | None = None
    created: int | None = None
    prompt_tokens: int | None = None
    completion_tokens: int | None = None


FUNCTIONS = Documented(
    tool_name=FUNCTION_NAME,
    tool_arguments=FUNCTION_ARGUMENTS,
    tool_call_id="call_Tug3jwD1JpmzTapCFFWmYw7i",
    completion_id="chatcmpl-DufEoQk1y55a5G8XzKBnAe63ceFdA",
    created=1782397258,
    prompt_tokens=164,
    completion_tokens=31,
)


def find_documented(prompt: str, image_urls: list[str], tool_names: list[str]) -> Documented | None:
    """Give the documented reply to the last user message, if the page has one.

    Args:
        prompt: the text of the last user message.
        image_urls: the URLs of its images.
        tool_names: the names of the tools that may be called.
    """
    if image_urls:
        return Documented(content=IMAGE_REPLY) if (prompt, image_urls) == (IMAGE_PROMPT, [IMAGE_URL]) else None
    if prompt == HELLO_PROMPT:
        return Documented(content=HELLO_REPLY)
    if prompt == FUNCTION_PROMPT and FUNCTION_NAME in tool_names:
        return FUNCTIONS
    return None
