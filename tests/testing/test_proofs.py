"""What `amber-nb record` and `pytest --amber=record` write passes its own replay, which asks no gateway."""

import json
import shutil

import nbformat
import pytest
from children import code, gateway, run_amber_nb, run_pytest, write

from amber_nb.simulator import Server

pytestmark = pytest.mark.timeout(400)

CLIENT = "from amber_nb import Amber\namber = Amber()"
ASK = "answer = amber.ask('Hello!', show=False)"
# name → the cells after the client's
PASSES = {
    "reprs": [
        ASK,
        "[answer, amber.ask('Bye!', show=False)]",
        "{'k': answer}",
        "(answer, answer.usage.total_tokens)",
        "{answer}",
        "f'{answer!r}'",
        "print(repr(answer), [answer])",
        "print(f'{answer=}')",
        "from dataclasses import dataclass\n@dataclass\nclass Pair:\n    a: object\n    b: object\nPair(answer, amber)",
        "amber",
        "[amber]",
        "{'client': amber}",
        "print(amber)",
        "f'{amber}'",
        "import pandas as pd\npd.DataFrame({'answer': [answer], 'client': [amber]})",
        "pd.Series([answer, amber])",
    ],
    "logs": [
        ASK,
        "amber.usage_log",
        "amber.usage_log[['mode', 'model', 'latency_s']]",
        "print(amber.usage_log)",
        "amber.usage_log.T",
        "amber.usage_log[['model', 'tokens', 'status']]",
        "def add(a: int, b: int) -> int:\n    'Add.'\n    return a + b",
        "answer = amber.ask('What is 2 + 3? Use add.', tools=add)",
        "answer.tool_runs",
        "answer.tools_frame",
    ],
    "clear_output": [
        "from IPython.display import clear_output, display",
        "for n in range(3):\n    clear_output(wait=True)\n    amber.ask(f'It {n}')",
        "amber.ask('gone')\nclear_output()\nprint('stays')",
        "for n in range(2):\n    clear_output(wait=True)\n    print(n)",
    ],
    "widgets": [
        "import ipywidgets as w\nfrom IPython.display import display, clear_output",
        "out = w.Output()\nwith out:\n    amber.ask('in an Output')\nout",
        "late = w.Output()\ndisplay(late)",
        "with late:\n    clear_output()\n    amber.ask('later')",
        "late.append_stdout('more')",
        "tabs = w.Tab([w.Output(), w.Output()])\ndisplay(tabs)",
        "for each in tabs.children:\n    with each:\n        amber.ask('in a tab')",
        "w.interact(lambda n: amber.ask(f'interact {n}'), n=['p', 'q']);",
        "o = w.Output()\n@o.capture()\ndef go():\n    amber.ask('captured')\ngo()\no",
        "o = w.Output()\ndisplay(o)\nwith o:\n    await amber.ask_async('awaited')",
        "len(out.outputs)",
        "w.IntSlider(3)",
    ],
    "handles": [
        "from IPython.display import display, update_display, ProgressBar",
        "handle = display('wait', display_id=True)\nhandle.update(amber.ask('Hello!', show=False).text)",
        "display('first', display_id='x')",
        "update_display('second', display_id='x')",
        "for _ in ProgressBar(3):\n    pass",
        ASK,
    ],
    "progress": [
        "import sys\nfrom tqdm import tqdm, trange\nfrom tqdm.auto import tqdm as auto",
        "for n in tqdm(range(3)):\n    amber.ask(f'{n}', show=False)",
        "for n in tqdm((x for x in range(2)), desc='rows', file=sys.stdout):\n    pass",
        "with trange(2, leave=True) as bar:\n    for n in bar:\n        bar.set_postfix(loss=n)",
        "for n in auto(range(2)):\n    pass",
    ],
    "marks": [
        "# NBVAL_SKIP\namber.ask('Not in the test.')",
        code("amber.ask('Not in the test either.')", tags=("nbval-skip",)),
        code("1 / 0", tags=("raises-exception",)),
        "# NBVAL_RAISES_EXCEPTION\n1 / 0",
        code("amber.ask('Run, whatever papermill does.')", tags=("skip-execution",)),
        "",
        "amber.ask('Hello!')",
    ],
    "objects": [
        "import warnings\nwarnings.warn('This is old.')",
        "import numpy as np\nnp.log(np.array([0.0, 1.0]))",
        "import pandas as pd\nframe = pd.DataFrame({'n': [1, 2]})\nframe[frame.n > 1]['n'] = 3",
        "import traceback\ntry:\n    1 / 0\nexcept ZeroDivisionError:\n    traceback.print_exc()",
        "frame.style.highlight_max()",
        "frame.style.format('{:.1f}').set_caption('T_1 stays')",
        "object(), lambda: 0, (n for n in [])",
        "print(object, [object()], len)",
        "import threading\nthreading.current_thread()",
        "import logging\nlogging.basicConfig(format='%(asctime)s %(message)s')\nlogging.warning('once')",
        code("raise ValueError(object())", tags=("raises-exception",)),
    ],
    "durations": [
        "%%time\nsum(range(1000))",
        "%time print('x')",
        "%timeit -n 10 -r 3 sum(range(10))",
        "%timeit -n 1 -r 1 -o pass",
        f"%%time\n{ASK}",
        "answer.mode",
        "amber.mode",
        "print(amber.mode, answer.mode)",
        "{'mode': amber.mode, 'seconds': {'total_s': answer.total_s, 'first_token_s': answer.first_token_s}}",
        "f'mode: {answer.mode}, tokens: {answer.usage.total_tokens}'",
        code("answer.total_s", tags=("nbval-ignore-output",)),
        "# NBVAL_IGNORE_OUTPUT\nprint(answer.first_token_s)",
    ],
    "modes": [
        "import os\nos.environ['AMBER_MODE'] = 'live'",
        "%env AMBER_MODE=cache\nAmber().ask('Magic.')",
        "Amber(mode='live').ask('Live, it says.')",
        "del os.environ['AMBER_MODE']\nAmber().ask('None.')",
        "Amber(mode='simulate').ask('Simulated.')",
    ],
}


def make(folder, names=PASSES):
    for name in names:
        write(folder / f"{name}.ipynb", CLIENT, *PASSES[name])


WAYS = ("command", "plugin")
QUICK = {
    "command": ("reprs", "logs", "clear_output", "widgets", "handles", "durations"),
    "plugin": ("clear_output",),
}
MAY_COUNT = {"command": [None, 5], "plugin": [5, 6]}  # nbval runs an empty cell, too


def each(names=PASSES, ways=WAYS):
    """The pairs of way and name, those that are not quick marked as slow."""
    pairs = [(way, name) for way in ways for name in names]
    return [pair if pair[1] in QUICK[pair[0]] else pytest.param(*pair, marks=pytest.mark.slow) for pair in pairs]


@pytest.fixture(scope="module")
def recorded(request, tmp_path_factory):
    """The folder of the notebooks, which were recorded in both ways; without `--slow` the quick ones."""
    folder = tmp_path_factory.mktemp("recorded")
    chosen = dict.fromkeys(WAYS, tuple(PASSES)) if request.config.getoption("--slow") else QUICK
    for way in WAYS:
        make(folder / way, chosen[way])
    with Server() as server:
        names = (f"command/{name}.ipynb" for name in chosen["command"])
        done = run_amber_nb(folder, "record", *names, **gateway(server))
        assert done.returncode == 0, done.stdout + done.stderr
        done = run_pytest(folder, "--amber=record", "-n", "2", "plugin", **gateway(server))
        assert done.ret == pytest.ExitCode.OK, done.out
    (folder / "junit.xml").unlink()
    return folder


@pytest.fixture(scope="module")
def replayed(recorded):
    """The replay of the recorded notebooks, with a gateway that nobody may ask and a key for it."""
    seen = []
    with Server(log=seen.append) as server:
        done = run_pytest(recorded, "-n", "2", **gateway(server))
    return done, seen


@pytest.mark.parametrize(("way", "name"), each())
def test_what_was_recorded_passes_its_own_replay(replayed, way, name):
    done, seen = replayed
    name = f"{way}/{name}.ipynb"
    failed = [done.why[name][cell] for cell, how in done.outcomes[name].items() if how not in ("passed", "skipped")]
    assert failed == []
    assert done.messages(name) == []
    assert seen == []


def outputs_of(book):
    shown = []
    for cell in book.cells:
        for output in cell.get("outputs", ()):
            shown.append((output.output_type, output.get("text"), output.get("data", {}).get("text/plain")))
    return shown


def notebook_of(folder, way, name):
    return nbformat.read(folder / way / f"{name}.ipynb", 4)


@pytest.mark.parametrize(("way", "name"), each(["clear_output"]))
def test_what_is_written_is_what_a_front_end_shows(recorded, way, name):
    shown = outputs_of(notebook_of(recorded, way, name))
    assert [kind for kind, *_ in shown] == ["display_data", "stream", "stream"]
    assert [text for _, text, _ in shown[1:]] == ["stays\n", "1\n"]


@pytest.mark.parametrize(("way", "name"), each(["handles"]))
def test_what_is_updated_is_written_where_it_stands(recorded, way, name):
    assert outputs_of(notebook_of(recorded, way, name))[1][2] == "'second'"


@pytest.mark.parametrize(("way", "name"), each(["reprs"]))
def test_what_is_written_of_an_answer_names_no_mode(recorded, way, name):
    assert "mode=" not in outputs_of(notebook_of(recorded, way, name))[0][2]


@pytest.mark.parametrize(("way", "name"), each(["marks"]))
def test_what_is_left_out_is_not_recorded(recorded, way, name):
    book = notebook_of(recorded, way, name)
    assert [cell.execution_count for cell in book.cells] == [1, None, None, 2, 3, 4, *MAY_COUNT[way]]
    cassette = (recorded / way / "cassettes" / "marks.jsonl").read_text()
    assert "Not in the test" not in cassette
    assert "whatever papermill does" in cassette


@pytest.mark.parametrize(("way", "name"), each(["clear_output", "marks", "handles", "progress"], ["plugin"]))
def test_both_ways_of_recording_agree(recorded, way, name):
    one, other = (outputs_of(notebook_of(recorded, each_way, name)) for each_way in ("command", way))
    assert [(kind, plain) for kind, _, plain in one] == [(kind, plain) for kind, _, plain in other]
    if name != "progress":  # which has seconds
        assert one == other


def spoil(folder, name, old, new):
    path = folder / f"{name}.ipynb"
    text = path.read_text()
    assert old in text, (old, text)
    path.write_text(text.replace(old, new))


def test_what_is_compared_is_still_compared(recorded, tmp_path):
    folder = shutil.copytree(recorded / "command", tmp_path / "spoilt")
    for path in folder.glob("*.ipynb"):
        if path.stem not in ("reprs", "clear_output", "handles", "logs", "widgets"):
            path.unlink()
    spoil(folder, "reprs", "finish_reason='stop'),\\n", "finish_reason='length'),\\n")
    spoil(folder, "clear_output", "stays\\n", "stayed\\n")
    spoil(folder, "handles", "\"'second'\"", "\"'third'\"")
    book = nbformat.read(folder / "logs.ipynb", 4)
    [tokens] = [cell.outputs[0].data for cell in book.cells if "status']]" in cell.source]
    tokens["text/html"] = tokens["text/html"].replace("<td>200</td>", "<td>500</td>")
    nbformat.write(book, folder / "logs.ipynb")
    states = nbformat.read(folder / "widgets.ipynb", 4)
    kept = states.metadata.widgets["application/vnd.jupyter.widget-state+json"]["state"]
    [caught] = [each for each in kept.values() if "awaited" in json.dumps(each)]
    caught["state"]["outputs"][0]["data"]["text/plain"] = "something else"
    nbformat.write(states, folder / "widgets.ipynb")
    done = run_pytest(folder, "-n", "2")
    failed = {
        (name, cell)
        for name, cells in done.outcomes.items()
        for cell, how in cells.items()
        if how not in ("passed", "skipped")
    }
    assert failed == {("reprs.ipynb", "Cell 2"), ("clear_output.ipynb", "Cell 3"), ("logs.ipynb", "Cell 6")}
    assert done.messages("handles.ipynb") == ["Cell 3: what it shows in the end is not what the notebook holds"]
    assert done.messages("widgets.ipynb") == ["Cell 10: what it shows in the end is not what the notebook holds"]
    assert done.ret == pytest.ExitCode.TESTS_FAILED
