"""The pytest plugin, tried on notebooks of its own."""

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_notebook, new_output

ENVIRONMENT = "import os; print({n: os.environ.get(n) for n in ('AMBER_MODE', 'AMBER_DISPLAY')})"
SIMULATE = "{'AMBER_MODE': 'simulate', 'AMBER_DISPLAY': 'static'}\n"
NOTHING = "{'AMBER_MODE': None, 'AMBER_DISPLAY': None}\n"


def notebook(pytester, name, *cells):
    """Cells are pairs of (source, outputs)."""
    book = new_notebook(cells=[new_code_cell(source, outputs=outputs, execution_count=1) for source, outputs in cells])
    nbformat.write(book, pytester.path / name)


def printed(text):
    return [new_output("stream", name="stdout", text=text)]


def shown(text, html="<p>of another Pygments</p>"):
    return [new_output("display_data", data={"text/plain": text, "text/html": html})]


def run(pytester, mode=None, *arguments):
    pytester.makeini(f"[pytest]\n{f'amber_mode = {mode}' if mode else ''}\n")
    return pytester.runpytest_subprocess("--nbval", "--nbval-current-env", *arguments)


def test_a_notebook_gets_its_mode_before_its_kernel_starts(pytester):
    notebook(pytester, "one.ipynb", (ENVIRONMENT, printed(SIMULATE)), (ENVIRONMENT, printed(SIMULATE)))
    notebook(pytester, "two.ipynb", (ENVIRONMENT, printed(SIMULATE)))
    run(pytester, "simulate").assert_outcomes(passed=3)


def test_the_environment_is_taken_back(pytester):
    notebook(pytester, "one.ipynb", (ENVIRONMENT, printed(SIMULATE)))
    pytester.makepyfile(test_two="import os\ndef test_it():\n    assert 'AMBER_MODE' not in os.environ")
    run(pytester, "simulate").assert_outcomes(passed=2)


def test_without_the_setting_notebooks_are_left_alone(pytester):
    notebook(pytester, "one.ipynb", (ENVIRONMENT, printed(NOTHING)), ("1 + 1", []))
    run(pytester).assert_outcomes(passed=1, failed=1)


def test_text_is_compared_and_html_is_not(pytester):
    source = "from amber_nb import Amber\nanswer = Amber().ask('Hello!')"
    notebook(pytester, "one.ipynb", (source, shown("Hello! How can I help you today?")))
    notebook(pytester, "two.ipynb", (source, shown("Good evening! How can I help you today?")))
    result = run(pytester, "simulate")
    result.assert_outcomes(passed=1, failed=1)


def test_a_mode_that_does_not_exist_is_refused(pytester):
    result = run(pytester, "simulated")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["*amber_mode must be one of simulate*'simulated'*"])


def test_without_nbval_it_keeps_out_of_the_way(pytester):
    pytester.makepyfile("def test_it():\n    pass")
    pytester.makeini("[pytest]\namber_mode = simulate\n")
    pytester.runpytest_subprocess("-p", "no:nbval").assert_outcomes(passed=1)
