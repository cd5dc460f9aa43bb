"""The pytest plugin, tried on notebooks of its own."""

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_notebook, new_output

ENVIRONMENT = "import os, amber_nb; print({n: os.environ.get(n) for n in ('AMBER_MODE', 'AMBER_DISPLAY')})"
SIMULATE = "{'AMBER_MODE': 'simulate', 'AMBER_DISPLAY': 'static'}\n"
NOTHING = "{'AMBER_MODE': None, 'AMBER_DISPLAY': None}\n"


def notebook(pytester, name, *cells):
    """Cells are pairs of (source, outputs)."""
    book = new_notebook(cells=[new_code_cell(source, outputs=outputs, execution_count=1) for source, outputs in cells])
    nbformat.write(book, pytester.path / name)


def printed(text):
    return [new_output("stream", name="stdout", text=text)]


def shown(text, html='<div class="amber-answer">of another Pygments</div>'):
    return [new_output("display_data", data={"text/plain": text, "text/html": html})]


def run(pytester, mode=None, *arguments):
    pytester.makeini(f"[pytest]\n{f'amber_mode = {mode}' if mode else ''}\n")
    return pytester.runpytest_subprocess("--nbval", "--nbval-current-env", *arguments)


def test_every_notebook_gets_its_mode_and_is_compared_by_its_text(pytester):
    ask = "from amber_nb import Amber\nanswer = Amber().ask('Hello!')"
    notebook(pytester, "mode.ipynb", (ENVIRONMENT, printed(SIMULATE)), (ENVIRONMENT, printed(SIMULATE)))
    notebook(pytester, "same.ipynb", (ENVIRONMENT, printed(SIMULATE)), (ask, shown("Hello! How can I help you today?")))
    notebook(pytester, "other.ipynb", (ask, shown("Good evening! How can I help you today?")))
    pytester.makepyfile(test_after="import os\ndef test_it():\n    assert 'AMBER_MODE' not in os.environ")
    result = run(pytester, "simulate")
    result.assert_outcomes(passed=5, failed=1)
    result.stdout.fnmatch_lines(["FAILED other.ipynb*"])


def test_what_does_not_use_amber_is_left_alone(pytester):
    other = ENVIRONMENT.replace(", amber_nb", "")
    notebook(
        pytester,
        "one.ipynb",
        (other, printed(NOTHING)),
        ("1 + 1", [new_output("execute_result", {"text/plain": "2"}, execution_count=1)]),
    )
    run(pytester).assert_outcomes(passed=2)
    run(pytester, "simulate").assert_outcomes(passed=2)


def test_html_of_others_is_compared(pytester):
    table = "from IPython.display import HTML\nimport amber_nb\nHTML('<table>2</table>')"
    out = {"text/plain": "<IPython.core.display.HTML object>", "text/html": "<table>1</table>"}
    notebook(pytester, "table.ipynb", (table, [new_output("execute_result", out, execution_count=1)]))
    run(pytester, "simulate").assert_outcomes(failed=1)


def test_html_of_answers_is_compared_if_wanted(pytester):
    ask = "from amber_nb import Amber\nanswer = Amber().ask('Hello!')"
    notebook(pytester, "one.ipynb", (ask, shown("Hello! How can I help you today?")))
    run(pytester, "simulate").assert_outcomes(passed=1)
    run(pytester, "simulate", "--amber-html=compare").assert_outcomes(failed=1)


def test_without_a_cassette_a_notebook_fails_with_the_command_that_records(pytester):
    notebook(pytester, "one.ipynb", ("from amber_nb import Amber\namber = Amber()", []))
    result = run(pytester)
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["*CassetteMiss*no cassette cassettes/one.jsonl*amber-nb record one.ipynb*"])


def test_a_mode_that_does_not_exist_is_refused(pytester):
    result = run(pytester, "simulated")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["*amber_mode must be one of replay*simulate*'simulated'*"])


def test_without_nbval_it_keeps_out_of_the_way(pytester):
    pytester.makepyfile("def test_it():\n    pass")
    pytester.makeini("[pytest]\namber_mode = simulate\n")
    pytester.runpytest_subprocess("-p", "no:nbval").assert_outcomes(passed=1)
