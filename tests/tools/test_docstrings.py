"""Docstrings: what is no field of theirs stays with the description, and nothing that is said gets lost."""

import pytest

from amber_nb.tools.signature import parse_docstring


@pytest.mark.parametrize(
    ("docstring", "summary", "parameters"),
    [
        (
            "Error.\n\n:math:`\\sqrt{x}` of the residuals. Never pass text.\n\nArgs:\n    y: the values",
            "Error.\n\n:math:`\\sqrt{x}` of the residuals. Never pass text.",
            {"y": "the values"},
        ),
        (
            "Send it.\n\n:func:`draft` comes first. Ask before.",
            "Send it.\n\n:func:`draft` comes first. Ask before.",
            {},
        ),
        ("Book.\n\n:param n: how many,\n    see\n    :class:`Guest`", "Book.", {"n": "how many, see :class:`Guest`"}),
        (
            "Send.\n\nArgs:\n    to: who\n\nKeyword Args:\n    cc: a copy\n\nReturns:\n    nothing",
            "Send.",
            {"to": "who", "cc": "a copy"},
        ),
        ("Send.\n\nKeyword Args:\n    cc: a copy", "Send.", {"cc": "a copy"}),
        (
            "Send.\n\nArgs:\n    to: who\n\nNote:\n    It costs money.\n\nRaises:\n    IOError: no\n\nTodo:\n    more",
            "Send.\n\nNote:\n    It costs money.\n\nTodo:\n    more",
            {"to": "who"},
        ),
        (
            "Send.\n\nWarning:\n    No way back.\n\nArgs:\n    to: who",
            "Send.\n\nWarning:\n    No way back.",
            {"to": "who"},
        ),
        ("Send.\n\nArgs:\n    to: who\n\nNever twice.", "Send.\n\nNever twice.", {"to": "who"}),
        ("Send.\n\nArgs:\nto: who\ncc: a copy", "Send.\n\nArgs:\nto: who\ncc: a copy", {}),
        ("Send.\n\nWarnings:\n    No way back.", "Send.\n\nWarning:\n    No way back.", {}),
        ("Send.\nArgs:\n    to: who\nReturns:\n    nothing", "Send.", {"to": "who"}),
        (
            "Send.\n\nBeware: this\n    costs.\n\nArgs:\n\n    *to: who",
            "Send.\n\nBeware: this\n    costs.",
            {"to": "who"},
        ),
        ("Send.\n\nExample:\n    >>> f()\n\nAttributes:\n    to: who", "Send.", {"to": "who"}),
        (
            "Fit.\n\nParameters\n----------\nx : int\n    data\n\nNotes\n-----\nSlow.",
            "Fit.\n\nNotes\n-----\nSlow.",
            {"x": "data"},
        ),
        (
            "Fit.\n\nParameters\n----------\nx : int\n    data\n\nWarnings\n--------\nSlow.\n\n"
            "Other Parameters\n----------------\ny : int\n    more\n\nReferences\n----------\nA book.",
            "Fit.\n\nWarnings\n--------\nSlow.",
            {"x": "data", "y": "more"},
        ),
        (
            "Send.\n\nArgs:\n    to: who\n\nReturns:\n    nothing\n\nKeyword Args:\n    cc: a copy",
            "Send.",
            {"to": "who", "cc": "a copy"},
        ),
        (
            "Send.\n\nKeyword Arguments:\n    cc: a copy\n\nArgs:\n    to: who",
            "Send.",
            {"to": "who", "cc": "a copy"},
        ),
    ],
)
def test_what_is_said(docstring, summary, parameters):
    assert parse_docstring(docstring) == (summary, parameters)
