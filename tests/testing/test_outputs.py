"""What differs by nature between a recording and its replay is not compared, and all else is."""

import pytest
from children import code
from nbformat.v4 import new_output

from amber_nb.testing.outputs import describe_times, mask_output

TOOK = "CPU times: user {0} ms, sys: {0} µs, total: {0} ms\nWall time: {0} ms\n"
LOOPS = "{} ns ± {} ns per loop (mean ± std. dev. of 7 runs, {} loops each)\n"
WARNING = "/tmp/ipykernel_{}/3077.py:{}: UserWarning: {}\n  warnings.warn('old')\n"
STYLE = '<style>#T_{0}_row0_col0 {{color: red}}</style><table id="T_{0}"><td id="T_{0}_row0_col0">{1}</td></table>'
VIEW = '<div id="{}-1111-4111-8111-111111111111">{}</div>'


def result(text, html=None):
    data = {"text/plain": text} | ({"text/html": html} if html else {})
    return new_output("execute_result", data, execution_count=1)


def shown(text):
    return new_output("stream", name="stderr", text=text)


def mask(output, source=""):
    return mask_output(output, html=False, source=source)


EQUAL = [
    (shown(WARNING.format(11, 1, "old")), shown(WARNING.format(4242, 1, "old"))),
    (shown("C:\\Temp\\ipykernel_1\\2.py:1: old"), shown("D:\\T\\ipykernel_9\\2.py:1: old")),
    (shown("/a/lib/python3.11/site-packages/x/y.py:3: old"), shown("/b/lib/python3.12/site-packages/x/y.py:3: old")),
    (
        shown('  File "/tmp/ipykernel_1/2.py", line 2, in <module>'),
        shown('  File "/tmp/ipykernel_77/2.py", line 2, in <module>'),
    ),
    (shown(TOOK.format("1.2")), shown(TOOK.format("310"))),
    (shown("CPU times: total: 0 ns\nWall time: 2.1 s"), shown("CPU times: total: 15.6 ms\nWall time: 1min 3s")),
    (shown("Compiler : 120 ms\nWall time: 2.1 s"), shown("Wall time: 2.2 s")),
    (shown(LOOPS.format("1.2", "0.3", "1,000")), shown(LOOPS.format("120", "3", "100"))),
    (
        result("<TimeitResult : " + LOOPS.format(1, 2, 3) + ">"),
        result("<TimeitResult : " + LOOPS.format(4, 5, 6) + ">"),
    ),
    (result("<object object at 0x7f1>"), result("<object object at 0x00007FAB>")),
    (result("[<function f at 0x7f1>]"), result("[<function f at 0x7f2>]")),
    (result("S", "&lt;f at 0x7f1&gt;"), result("S", "&lt;f at 0x7f2&gt;")),
    (result("<_MainThread(MainThread, started 14011)>"), result("<_MainThread(MainThread, started 19)>")),
    (shown("2026-01-01 10:00:00,123 INFO go"), shown("2026-02-01 11:00:07,003 INFO go")),
    (result("<Styler at 0x7f1>", STYLE.format("1fb4f", 5)), result("<Styler at 0x7f2>", STYLE.format("00aa1", 5))),
    (result("F", VIEW.format("01234567", 5)), result("F", VIEW.format("89abcdef", 5))),
    (new_output("error", ename="E", evalue="<f at 0x7f1>"), new_output("error", ename="E", evalue="<f at 0x7f2>")),
]


@pytest.mark.parametrize(("then", "now"), EQUAL)
def test_what_differs_by_nature_is_masked(then, now):
    assert mask(then) == mask(now)


DIFFERENT = [
    (shown(WARNING.format(11, 1, "old")), shown(WARNING.format(11, 1, "new"))),
    (shown(WARNING.format(11, 1, "old")), shown(WARNING.format(11, 2, "old"))),
    (shown("site-packages/x/y.py:3: old"), shown("site-packages/x/z.py:3: old")),
    (shown("Wall time: unknown"), shown("Wall time: 3 ms")),
    (shown("It took 3 ms."), shown("It took 4 ms.")),
    (shown("CPU times: 3 of 4"), shown("CPU times: 4 of 4")),
    (shown(TOOK.format(1) + "a"), shown(TOOK.format(1) + "b")),
    (shown(LOOPS.format(1, 2, 3)), shown(LOOPS.format(1, 2, 3).replace("7 runs", "8 runs"))),
    (result("0x7f1"), result("0x7f2")),
    (result("<object A at 0x7f1>"), result("<object B at 0x7f1>")),
    (result("'record'"), result("'replay'")),
    (result("2026-01-01 10:00:00"), result("2026-02-01 10:00:00")),
    (result("T_1fb4f"), result("T_00aa1")),
    (result("S", STYLE.format("1fb4f", 5)), result("S", STYLE.format("1fb4f", 6))),
    (result("01234567-1111-4111-8111-111111111111"), result("89abcdef-1111-4111-8111-111111111111")),
    (result("0.5"), result("0.6")),
    (new_output("error", ename="E", evalue="5"), new_output("error", ename="E", evalue="6")),
]


@pytest.mark.parametrize(("then", "now"), DIFFERENT)
def test_what_has_changed_is_still_seen(then, now):
    assert mask(then) != mask(now)


@pytest.mark.parametrize(
    ("source", "text", "is_masked"),
    [
        ("answer.mode", "'{}'", True),
        ("print(amber.mode)", "{}\n", True),
        ("dict(mode=amber.mode)", "{{'mode': '{}'}}", True),
        ("answer.model", "'{}'", False),
        ("'re' + 'cord'", "'{}'", False),
        ("answer.mode", "'{}ed'", False),
    ],
)
def test_the_mode_is_masked_where_a_cell_asks_for_it(source, text, is_masked):
    then, now = (mask(result(text.format(mode)), source) for mode in ("record", "replay"))
    assert (then == now) == is_masked
    assert mask(result(text.format("live")), source) != then


@pytest.mark.parametrize(
    ("cell", "named"),
    [
        (code("answer.total_s", result("1.25")), "total_s"),
        (code("answer.first_token_s", result("0.3")), "first_token_s"),
        (code("{'s': answer.total_s}", result("{'s': 1.25}")), "total_s"),
        (code("print(f'{answer.total_s:.1f} s')", shown("1.2 s\n")), "total_s"),
        (code("print(time.time() - started)", shown("0.01\n")), "time.time"),
        (code("datetime.now()", result("datetime.datetime(2026, 1, 1)\n2026-01-01")), "datetime.now"),
        (code("pd.DataFrame([answer.total_s])", result("     0\n0  1.2", "<table></table>")), "total_s"),
        (code("{'total_s': answer.total_s}", result("{'total_s': 1.25}")), None),
        (code("started = time.time()\nprint(42)", shown("42\n")), None),
        (code("answer.total_s > 1", result("True")), None),
        (code("amber.usage_log[['latency_s', 'tokens']]", result("latency_s tokens\n0  1.2  5")), None),
        (code("1 / 4", result("0.25")), None),
        (code("answer.total_s", result("1.25"), tags=("nbval-ignore-output",)), None),
        (code("# NBVAL_IGNORE_OUTPUT\nanswer.total_s", result("1.25")), None),
        (code("amber.ask('When is sunset today, and now?')", result("16:38")), None),
    ],
)
def test_a_recording_tells_which_cell_will_not_compare(cell, named):
    lines = list(describe_times([(3, cell)]))
    assert len(lines) == (named is not None)
    assert not lines or lines[0].startswith(f"Cell 3 shows {named}, ")
    assert not lines or "nbval-ignore-output" in lines[0]
