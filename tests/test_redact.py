"""Secrets by their name: hidden however a text writes them, and however many they are."""

import csv
import io
import json

import pytest

from amber_nb.redact import HIDDEN, collect_secrets, redact, restore, scrub
from amber_nb.types import ToolContent, ToolRun


def as_csv(text):
    out = io.StringIO()
    csv.writer(out).writerow([text, "x"])
    return out.getvalue()


@pytest.mark.parametrize("secret", ['pä"x9', "pä\\x9", 'ab"cd', "zeile\nzwei", "schlüssel", "o'neil\"s"])
@pytest.mark.parametrize(
    "written",
    [str, json.dumps, lambda text: json.dumps(text, ensure_ascii=False), as_csv, repr],
    ids=["as it is", "JSON", "JSON, not ASCII", "CSV", "Python"],
)
def test_a_secret_is_found_however_it_is_written(secret, written):
    hidden = scrub(f"before {written(secret)} behind", collect_secrets({"password": secret}))
    assert HIDDEN in hidden
    assert written(secret).strip("\"' \r\n").removesuffix(",x") not in hidden


def test_more_secrets_than_can_be_looked_for_hide_everything():
    arguments = {"options": {"token": [f"secret{n}" for n in range(101)]}, "text": "some words"}
    secrets = collect_secrets(arguments)
    assert scrub(["some text", "abc", 5, {"name": "another"}], secrets) == [HIDDEN, "abc", 5, {"name": HIDDEN}]


@pytest.mark.parametrize("number", [2_000, pytest.param(45_000, marks=pytest.mark.slow)])  # a megabyte of arguments
def test_any_number_of_secrets_is_hidden(number):
    arguments = {"token": [f"aaaa{n}" for n in range(number)], "x": [f"b{n}" for n in range(number)]}
    run = ToolRun(name="f", arguments=arguments, status="ran", sent="done", content=ToolContent(text="done aaaa7"))
    assert "aaaa" not in repr(run.redacted())


SECRETS = collect_secrets(
    {"password": "hunter2secret", "private_key": "-----BEGIN KEY-----\nabcdefg\n-----END KEY-----"}
)


@pytest.mark.parametrize(
    "text",
    [
        "cannot log in with hunter2secr…",
        'it said {"echo":"hunter2…"}',
        "hunt…",
        "a long text hunter2s\n(the first 19,600 of 40,000 characters)",
        "cannot load -----BEGIN KEY----- abcdefg -----END KEY-----",
        "cannot load -----BEGIN KEY----- abc…",
    ],
)
def test_a_secret_that_was_cut_or_wrapped_is_one(text):
    hidden = scrub(text, SECRETS)
    assert HIDDEN in hidden
    assert not any(part in hidden for part in ("hunt", "BEGIN"))


@pytest.mark.parametrize("text", ["the hunter…", "…", "hun…", "a list (of\n(some)"])
def test_what_is_no_secret_stays(text):
    assert scrub(text, SECRETS - {"hunter2secret"} if "hunter" in text else SECRETS) == text


def test_arguments_that_are_no_json_hide_what_they_repeat():
    text = '{"password": "hunter2secret", "url": "http://x?p=hunter2secret", "n": "zz"}'
    run = ToolRun(name="login", arguments=text, status="invalid", sent="n: wrong", error="not http://x?p=hunter2secret")
    assert "hunter2" not in repr(run.redacted())


@pytest.mark.parametrize("where", ["error", "reason", "traceback", "sent"])
def test_json_in_what_is_said_is_hidden(where):
    said = {"sent": "", where: 'HTTP 401 {"access_token": "another-secret-one"}'}
    run = ToolRun(name="f", arguments={}, status="failed", **said).redacted()
    assert getattr(run, where) == 'HTTP 401 {"access_token": "•••"}'


def test_what_was_hidden_within_a_text_comes_back():
    deep = original = {"url": "a", "body": '{"user": "u", "password": "hunter2secret"}', "x": []}
    for _ in range(40):
        deep = {"x": deep}
    original = {**original, "x": deep}
    shown = json.loads(json.dumps(redact(original), ensure_ascii=False))
    assert "hunter2" not in json.dumps(shown)
    assert restore({**shown, "url": "b"}, original) == {**original, "url": "b"}
