"""Secrets by their name: hidden however a text writes them, and in little time whatever a model sends."""

import csv
import io
import json
import time

import pytest

from amber_nb.masks import HIDDEN, secrets_in, without
from amber_nb.types import Told, ToolRun


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
    hidden = without(f"before {written(secret)} behind", secrets_in({"password": secret}))
    assert HIDDEN in hidden
    assert written(secret).strip("\"' \r\n").removesuffix(",x") not in hidden


def test_more_secrets_than_can_be_looked_for_hide_everything():
    arguments = {"options": {"token": [f"secret{n}" for n in range(101)]}, "text": "some words"}
    secrets = secrets_in(arguments)
    assert without(["some text", "abc", 5, {"name": "another"}], secrets) == [HIDDEN, "abc", 5, {"name": HIDDEN}]


def test_a_model_cannot_make_a_display_slow():
    arguments = {"token": [f"aaaa{n}" for n in range(45_000)], "x": [f"b{n}" for n in range(45_000)]}
    assert len(json.dumps(arguments)) > 900_000
    run = ToolRun(name="f", arguments=arguments, status="ran", sent="done", told=Told(text="done"))
    began = time.process_time()
    shown = run.discreet()
    assert time.process_time() - began < 5  # measured: 0.9 s
    assert "aaaa" not in repr(shown)
