"""What is said of a tool holds wherever the function goes: an approval that was asked for is never lost."""

import dataclasses
import datetime
import enum
import functools
import unittest.mock
import xmlrpc.client
from typing import Annotated

import pytest
from pydantic import BaseModel, Field

from amber_nb.tools import tool, tools_from
from amber_nb.tools.options import ToolOptions, options_of


class Delete(BaseModel):
    path: str


@tool(require_approval=True, serial=True, timeout_s=5)
def carefully(args: Delete) -> str:
    return args.path


def make_tool(*sources, **options):
    (subject,) = tools_from(*sources, **options).values()
    return subject


def options_tuple(subject):
    return subject.require_approval, subject.serial, subject.timeout_s


def test_of_the_handler_of_a_model():
    assert options_tuple(make_tool(Delete, handlers={"Delete": carefully})) == (True, True, 5)
    later = make_tool(make_tool(Delete), handlers={"Delete": carefully})
    assert options_tuple(later) == (True, True, 5)
    assert later.prepare({"path": "a"})[1]() == "a"


@pytest.mark.parametrize(("model", "handler", "wanted"), [
    (None, None, None), (None, True, True), (True, None, True), (True, False, True), (False, True, True),
    (False, None, False), (None, False, False), (False, False, False),
])  # fmt: skip
def test_either_may_ask_for_approval(model, handler, wanted):
    @tool(require_approval=model)
    class Wipe(BaseModel):
        path: str

    @tool(require_approval=handler)
    def wipe(args):
        return args

    assert make_tool(Wipe, handlers={"Wipe": wipe}).require_approval is wanted


def test_a_second_mark_adds_to_the_first():
    @tool(require_approval=True, timeout_s=3)
    def wipe(path: str): ...

    subject = make_tool(tool(wipe, name="wipe_disk", serial=True))
    assert (subject.name, *options_tuple(subject)) == ("wipe_disk", True, True, 3)
    assert options_tuple(make_tool(tool(wipe, require_approval=False))) == (False, True, 3)  # the newest word counts


def test_a_partial_keeps_what_is_said_of_its_function():
    @tool(require_approval=True)
    def wipe(path: str, disk: str): ...

    subject = make_tool(tool(functools.partial(wipe, disk="a"), name="wipe_a"))
    assert (subject.name, subject.require_approval) == ("wipe_a", True)


def test_a_subclass_keeps_all_but_the_name():
    @tool(name="remove", require_approval=True)
    class Base(BaseModel):
        path: str

    class Sub(Base):
        pass

    subject = make_tool(Sub)
    assert (subject.name, subject.require_approval) == ("Sub", True)


def test_an_object_keeps_what_is_said_of_its_call():
    class Wiper:
        @tool(name="wipe", require_approval=True)
        def __call__(self, path: str): ...

    class Quiet(Wiper):
        pass

    for wiper in (Wiper(), Quiet()):
        subject = make_tool(wiper)
        assert (subject.name, subject.require_approval) == ("wipe", True)


def test_nothing_is_said_of_what_is_not_marked():
    for thing in (print, len, Delete, Delete.model_dump, functools.partial(print), object(), lambda: None):
        assert options_of(thing) == ToolOptions()


def test_what_answers_every_name_is_looked_at_once():
    for thing in (
        unittest.mock.call.send,
        unittest.mock.MagicMock(),
        xmlrpc.client.ServerProxy("http://127.0.0.1:1/").add,
    ):
        assert options_of(thing) == ToolOptions()


@pytest.mark.parametrize(("model", "handler", "wanted"), [
    (None, None, None), (None, True, True), (True, None, True), (True, False, False), (False, True, False),
    (False, None, False), (None, False, False), (True, True, True),
])  # fmt: skip
def test_what_either_says_to_change_is_warned_of(model, handler, wanted):
    @tool(read_only=model)
    class Wipe(BaseModel):
        path: str

    @tool(read_only=handler)
    def wipe(args):
        return args

    subject = make_tool(Wipe, handlers={"Wipe": wipe})
    assert subject.read_only is wanted
    assert subject.spec == make_tool(Wipe).spec  # the model is told nothing
    assert "read" not in str(subject.spec)
    assert make_tool(make_tool(Wipe), handlers={"Wipe": wipe}).read_only is wanted


class Colour(enum.Enum):
    RED = "red"


@dataclasses.dataclass
class Broken:
    a: object = dataclasses.field(default_factory=object)


BROKEN = Broken()


def test_defaults_are_told_as_far_as_json_can():
    def paint(
        wall: str,
        colour: Colour = Colour.RED,
        coats: int = 2,
        when: datetime.date = datetime.date(2026, 12, 1),
        width: Annotated[float, Field(gt=0)] = 1.5,
        height: float = Field(default=3.0),
        tags: list[str] = Field(default_factory=list),  # noqa: B008 – as users write it
        limit: float = float("inf"),
        broken: Broken = BROKEN,
        note: str | None = None,
        *rest: int,
    ): ...

    told = {"colour": "red", "coats": 2, "when": "2026-12-01", "width": 1.5, "height": 3.0, "note": None}
    assert make_tool(paint).defaults() == told


def test_defaults_of_a_model_and_of_a_handler():
    class Wipe(BaseModel):
        path: str
        disk: int = Field(default=1, alias="d")

    def handler(path: str, disk: int = 7): ...

    assert make_tool(Wipe).defaults() == {"d": 1}
    spec = {"type": "function", "function": {"name": "wipe", "parameters": {"properties": {"path": {}, "disk": {}}}}}
    assert make_tool(spec).defaults() == {}
    assert make_tool(spec, handlers={"wipe": handler}).defaults() == {"disk": 7}
