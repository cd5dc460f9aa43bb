"""What is said of a tool holds wherever the function goes: an approval that was asked for is never lost."""

import functools
import unittest.mock
import xmlrpc.client

import pytest
from pydantic import BaseModel

from amber_nb.tools import tool, tools_from
from amber_nb.tools.tool import ToolOptions, options_of


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
