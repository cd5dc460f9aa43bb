"""What the model is told of a decision is read back from a recording as it was."""

import pytest

from amber_nb.content.verdicts import denied_text, edited_text, recorded

ARGUMENTS = [{}, {"a": 1}, {"text": "x]\n[The reader changed"}, {"q": "]\n"}, {"s": "ü \u2028", "n": None}]
RESULTS = [
    "",
    "5",
    "Error: no",
    "[The reader said so]\n",
    "Denied",
    "[1, 2]\n[3]",
    "[The policy changed the arguments to x]\n",
]


@pytest.mark.parametrize("arguments", ARGUMENTS)
@pytest.mark.parametrize("by", ["reader", "policy"])
@pytest.mark.parametrize("result", RESULTS)
def test_an_edit(arguments, by, result):
    then = recorded(edited_text(arguments, by) + result)
    assert (then.by, then.arguments) == (by, arguments)
    assert then.text == result
    assert then.status == ("failed" if result.startswith("Error") else "ran")


@pytest.mark.parametrize("reason", ["", "too dear", " Reason: twice", "a\nb"])
def test_a_denial(reason):
    then = recorded(denied_text(reason))
    assert (then.status, then.reason) == ("denied", reason)


def test_what_failed_and_what_was_late():
    assert recorded("Error: KeyError: 'a'").error == "KeyError: 'a'"
    assert recorded("Error: no result within 0.05 s.").status == "timeout"
    assert recorded("Error: no result within 0.05 s.").error == "no result within 0.05 s"


@pytest.mark.parametrize("result", RESULTS)
def test_a_result_that_looks_like_one_is_a_result(result):
    then = recorded(result)
    assert (then.by, then.arguments, then.text if then.status == "ran" else result) == (None, None, result)
