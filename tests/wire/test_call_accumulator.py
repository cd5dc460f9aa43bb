"""Calls in the forms in which gateways send them: each runs once, with its own arguments."""

from __future__ import annotations

from typing import Any

import pytest

from amber_nb.wire.call_accumulator import CallAccumulator, split_objects

TOOLS = ("weather", "get_time", "look")


def added(*pieces: dict[str, Any]) -> list[tuple[str, str]]:
    calls = CallAccumulator(TOOLS)
    for piece in pieces:
        calls.add(piece)
    return [(call["function"]["name"], call["function"]["arguments"]) for call in calls.build()]


def piece(name: str | None = None, arguments: Any = "", id: str | None = "a", index: int | None = 0) -> dict[str, Any]:
    function = {"arguments": arguments} if name is None else {"name": name, "arguments": arguments}
    return {"index": index, "function": function, **({} if id is None else {"id": id})}


@pytest.mark.parametrize(
    "pieces",
    [
        [piece("weather", '{"x":1}'), piece("weather", '{"x":1}')],
        [piece("weather", '{"x"'), piece(None, ":1}", None), piece("weather", '{"x":1}')],
        [piece("weather", '{"x":1}', ""), piece("weather", '{"x":1}', "")],
        [piece("weather", "{}"), piece("weather", '{"x":1}')],
        [piece("weather", "{}"), piece("weather", '{"x"'), piece("weather", ":1}")],
        [piece("weather", "null"), piece("weather", '{"x":1}')],
        [piece("weather", "{}"), piece(None, '{"x":1}', None)],
        [piece("wea", "", None), piece("ther", "", None), piece(None, '{"x":1}', None)],
        [piece("wea", "", None), piece("weather", '{"x":1}', None)],
        [piece("weather", {"x": 1})],
        [piece("weather", '{"x"', "1"), piece("weather", ":1}", "2")],
        [piece("weather", '{"x":1}', 7), piece(None, "", 7)],  # type: ignore[arg-type]
    ],
)
def test_it_is_one_call(pieces: list[dict[str, Any]]) -> None:
    ((name, arguments),) = added(*pieces)
    assert (name, arguments.replace(" ", "")) == ("weather", '{"x":1}')


@pytest.mark.parametrize(
    "pieces",
    [
        [piece("look", '{"x":1}', ""), piece("look", '{"x":2}', "")],
        [piece("look", '{"x":1}'), piece("look", '{"x":2}')],
        [piece("look", '{"x":1}'), piece("look", '{"x":2}', "b")],
        [piece("look"), piece(None, '{"x":1}', None), piece(None, '{"x":2}', None)],
        [piece("look", '{"x":1}', "a", None), piece("look", '{"x":2}', "b", None)],
        [
            piece("look", '{"x"', "a"),
            piece("look", '{"x"', "b", 1),
            piece(None, ":1}", None),
            piece(None, ":2}", None, 1),
        ],
    ],
)
def test_they_are_two_calls(pieces: list[dict[str, Any]]) -> None:
    assert added(*pieces) == [("look", '{"x":1}'), ("look", '{"x":2}')]


def test_nothing_is_no_call() -> None:
    assert added({"index": 0, "function": {"name": None, "arguments": None}}, {"index": 0}) == []


def test_the_older_form_beside_the_new_one_is_the_same_call() -> None:
    calls = CallAccumulator(TOOLS)
    for text in ('{"x"', ":1}"):
        calls.add(piece("look", text))
        assert calls.add_function_call({"name": "look", "arguments": text}) == []
    assert [call["function"]["arguments"] for call in calls.build()] == ['{"x":1}']
    assert calls.function_call() == {"name": "look", "arguments": '{"x":1}'}


@pytest.mark.parametrize(
    ("text", "objects"),
    [
        ('{"x":1} {"x":2}', ['{"x":1}', '{"x":2}']),
        ('{}{"x":1}', ['{"x":1}']),
        ("{}{}", ["{}"]),
        ('{"x":1}[]', ['{"x":1}[]']),
        ('{"x":"}{"}', ['{"x":"}{"}']),
        ('{"x":1}' * 60, ['{"x":1}' * 60]),
        ("", [""]),
    ],
)
def test_objects_side_by_side(text: str, objects: list[str]) -> None:
    assert split_objects(text) == objects
