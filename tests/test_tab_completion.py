"""Completion in IPython: the endpoint's parameters, names of models, the public names alone."""

from __future__ import annotations

import sys
from types import SimpleNamespace

import pytest
from IPython.core.completer import provisionalcompleter
from IPython.core.interactiveshell import InteractiveShell

import amber_nb
from amber_nb import completion

jedi_and_ours = pytest.mark.parametrize("use_jedi", [True, False])


@pytest.fixture
def find(simulated):
    answer = simulated.ask("hello")
    simulated.models()

    class Team:
        amber = simulated

        @property
        def risky(self):
            raise AssertionError("a property was asked")

    names = {"amber": simulated, "answer": answer, "np": sys, "amber_nb": amber_nb, "team": Team()}
    return {**names, "clients": [simulated], "by_name": {"a": simulated}}.get


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("amber.ask('x', temp", ["temperature="]),
        ("amber.ask(temp", ["temperature="]),
        ("amber.ask('a (b', temp", ["temperature="]),
        ("amber.ask('''a\n(b''', temp", ["temperature="]),
        ("amber.ask(f('x'), [1, 2], temp", ["temperature="]),
        ("x = await amber.ask_async(\n    'x',\n    temp", ["temperature="]),
        ("answer.ask('x', top_p=1, temp", ["temperature="]),
        ("print(amber.ask('x', temp", ["temperature="]),
        ("amber.ask(\n    'x',  # the question, so to say (once)\n    temp", ["temperature="]),
        ("amber.ask('x').ask('y', temp", ["temperature="]),
        ("amber.ask('x (').ask('y', temp", ["temperature="]),
        ("team.amber.ask('y', temp", ["temperature="]),
        ("clients[0].ask('y', temp", ["temperature="]),
        ("by_name['a'].ask('y', temp", ["temperature="]),
        ("df.q.map(lambda q: amber.ask(q, temp", ["temperature="]),
        ("team.risky.ask('y', temp", []),
        ("amber.ask('x', temperature=0, temp", []),
        ("amber.ask('x', 'temp", []),
        ("amber.ask('x', stop=temp", []),
        ("amber.ask('x'); print(temp", []),
        ("amber.models(temp", []),
        ("np.ask('x', temp", []),
        ("nothing.ask('x', temp", []),
        ("f(x)(temp", []),
        ("(temp", []),
        ("temp", []),
        ("", []),
    ],
)
def test_parameters(find, text, expected):
    assert completion.complete(text, find)[0] == expected


@pytest.mark.parametrize(
    ("text", "start"),
    [
        ("amber.ask('x', model='", ""),
        ('amber.ask("x", model = "azure/gpt-5.4-', "azure/gpt-5.4-"),
        ("answer.ask('x', model='az", "az"),
    ],
)
def test_models_are_those_that_were_seen(find, text, start):
    names, fragment, alone = completion.complete(text, find)
    assert fragment == start
    assert alone
    assert names == [name for name in find("amber")._model_names() if name.startswith(start)]
    assert names


def test_modes(find):
    assert completion.complete("Amber(domain='a', mode='re", find) == (["record", "replay"], "re", True)


def test_no_request_is_sent_for_a_model(simulated):
    before = len(simulated.usage_log)
    assert completion.complete("amber.ask('x', model='", {"amber": simulated}.get)[0] == [simulated.model]
    assert len(simulated.usage_log) == before


@pytest.mark.parametrize(
    ("text", "start"),
    [
        ("from amber_nb import ", ""),
        ("from amber_nb import A", "A"),
        ("from amber_nb import Amber, i", "i"),
        ("from amber_nb import (\n    Amber,\n    i", "i"),
        ("x = 1\nfrom amber_nb import i", "i"),
        ("amber_nb.i", "i"),
    ],
)
def test_public_names_alone(find, text, start):
    names, fragment, alone = completion.complete(text, find)
    assert names == [name for name in amber_nb.__all__ if name.startswith(start)]
    assert (fragment, alone) == (start, True)


@pytest.mark.parametrize(
    "text",
    [
        "from amber_nb.tools import ",
        "from amber_nbx import ",
        "other.amber_nb.i",
        "import amber_nb.im",
        "from amber_nb.im",
        "from amber_nb import Amber as A",
        "from amber_nb import Amber\nA",
        "from amber_nb import Amber\namber = Amber(mod",
        "from amber_nb import Amber\nx = 1\nos.getc",
        "from amber_nb import (Amber)\nA",
        "from amber_nb import Amber; A",
    ],
)
def test_other_code_is_left_alone(find, text):
    assert completion.complete(text, find) == ([], text[len(text) - len(completion.complete(text, find)[1]) :], False)


@jedi_and_ours
def test_ipython_asks_the_matcher(find, monkeypatch, use_jedi):
    shell = InteractiveShell()
    try:
        shell.user_ns.update(amber=find("amber"))
        shell.Completer.use_jedi = use_jedi
        monkeypatch.setitem(sys.modules, "IPython", SimpleNamespace(get_ipython=lambda: shell))
        completion.register()
        completion.register()  # as after a reload: still once
        for text, expected in [
            ("amber.ask('x', temp", ["temperature="]),
            ("amber.ask('x', model='azure/gpt-5.4-", None),
            ("from amber_nb import To", ["ToolCall", "ToolError", "ToolRun"]),
            ("from amber_nb import Amber\namber.usage_l", ["usage_log"]),
            ("from amber_nb import Amber\nx = 1\namber.usage_l", ["usage_log"]),
        ]:
            with provisionalcompleter():
                found = [each.text.removeprefix("amber.") for each in shell.Completer.completions(text, len(text))]
            assert [name.lstrip(".") for name in found] == (
                expected or [name for name in find("amber")._model_names() if "5.4-" in name]
            )
    finally:
        shell.restore_sys_module_state()


def test_without_ipython_nothing_happens(monkeypatch):
    for missing in (None, SimpleNamespace(), SimpleNamespace(get_ipython=lambda: None)):
        monkeypatch.setitem(sys.modules, "IPython", missing)
        completion.register()
