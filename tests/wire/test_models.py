"""A gateway's list of models, in the forms in which gateways send it."""

import json

import pytest

from amber_nb.errors import BadReply
from amber_nb.wire.models import read_models

A, B = {"owned_by": "x"}, {"created": 5}


@pytest.mark.parametrize(
    "reply",
    [
        {"object": "list", "data": [{"id": "a", **A}, {"id": "b", **B}]},
        {"models": [{"name": "a", **A}, {"model": "b", **B}]},
        [{"model": "a", **A}, {"model_name": "b", "id": None, **B}],
        {"data": {"a": A, "b": B}},
        {"data": {"a": {"id": "a", **A}, "b": {"id": "", "name": "b", **B}}},
        {"data": {"models": [{"id": "a", **A}, {"id": "b", **B}]}},
        {"data": None, "models": {"a": A, "b": B}},
        [{"id": "a", **A}, None, {"object": "model"}, {"id": "b", **B}, "", {"id": True}],
    ],
)
def test_models_are_read_in_the_forms_of_gateways(reply):
    first, second = read_models(json.dumps(reply).encode())
    assert (first["id"], first["owned_by"]) == ("a", "x")
    assert (second["id"], second["created"]) == ("b", 5)


def test_names_alone_and_numbers_are_models():
    assert read_models(b'["a", {"id": 5}, 7]') == [{"id": "a"}, {"id": "5"}, {"id": "7"}]


@pytest.mark.parametrize("reply", [{"data": []}, {"models": {}}, []])
def test_a_key_may_have_no_models(reply):
    assert read_models(json.dumps(reply).encode()) == []


@pytest.mark.parametrize(
    ("reply", "says"),
    [
        ({"data": [None, {}, {"id": True}]}, "data"),
        ([[1]], "1"),
        ({"error": {"message": "No such path"}}, "No such path"),
        ({"data": {"error": {"message": "No such path"}}}, "No such path"),
        ({"data": {"a": 5}}, "a"),
        ({}, "{}"),
        (None, "null"),
        (5, "5"),
    ],
)
def test_what_is_no_list_of_models_is_told(reply, says):
    with pytest.raises(BadReply, match="not a list of models") as error:
        read_models(json.dumps(reply).encode())
    assert says in str(error.value).partition("It says: ")[2]


def test_nothing_and_a_page_are_no_list_of_models():
    for body, says in ((b" ", "nothing"), (b"<html><title>Sign in</title>", "a web page")):
        with pytest.raises(BadReply, match=says):
            read_models(body)
