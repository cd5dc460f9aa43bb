"""instructor: a typed answer in its modes, whole and in parts, and one by a schema in the prompt."""

import sys

import instructor
from openai import OpenAI
from pydantic import BaseModel

QUESTION = [{"role": "user", "content": "Ada is 36 years old"}]


class Person(BaseModel):
    name: str
    age: int


class Note(BaseModel):
    """All of it may be left out."""

    title: str | None = None
    pages: int | None = None


for mode in (instructor.Mode.TOOLS, instructor.Mode.JSON, instructor.Mode.JSON_SCHEMA, instructor.Mode.MD_JSON):
    client = instructor.from_openai(OpenAI(base_url=sys.argv[1], api_key="ambrs-test"), mode=mode)
    ask = {"model": "azure/gpt-5.4", "messages": QUESTION}
    person = client.create(response_model=Person, max_retries=0, **ask)
    assert isinstance(person, Person), mode
    assert person.model_dump() == {"name": "Ada", "age": 36}, mode
    *_, last = client.create_partial(response_model=Person, **ask)
    assert (last.name, last.age) == ("Ada", 36), mode
    assert client.create(response_model=Note, max_retries=0, **ask).model_fields_set, mode
