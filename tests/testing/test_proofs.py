"""What `amber-nb record` and `pytest --amber=record` write passes its own replay, and nothing asks the gateway there."""

import json
import shutil
import subprocess
import sys

import nbformat
import pytest
from children import code, files, gateway, run_amber_nb, run_pytest, write

from amber_nb.simulator import Server

pytestmark = pytest.mark.timeout(400)

CLIENT = "from amber_nb import Amber\namber = Amber()"
ASK = "answer = amber.ask('Hello!', show=False)"
# name → the cells after the client's
PASSES = {
    "list": [ASK, "[answer, amber.ask('Bye!', show=False)]"],
    "dict": [ASK, "{'k': answer}"],
    "tuple": [ASK, "(answer, answer.usage.total_tokens)"],
    "set": [ASK, "{answer}"],
    "f_string": [ASK, "f'{answer!r}'", "print(repr(answer), [answer])", "print(f'{answer=}')"],
    "dataclass": [
        ASK,
        "from dataclasses import dataclass\n@dataclass\nclass Pair:\n    said: object\n    by: object\nPair(answer, amber)",
    ],
    "clients": ["amber", "[amber]", "{'client': amber}", "print(amber)", "f'{amber}'", ASK],
    "frame": [ASK, "import pandas as pd\npd.DataFrame({'answer': [answer], 'client': [amber]})"],
    "series": [ASK, "import pandas as pd\npd.Series([answer])"],
    "usage_log": [
        ASK,
        "amber.usage_log",
        "amber.usage_log[['mode', 'model', 'latency_s']]",
        "print(amber.usage_log)",
        "amber.usage_log.T",
        "amber.usage_log.to_dict('records')[0]['tokens']",
        "amber.usage_log[['model', 'tokens', 'status']]",
    ],
    "tool_runs": [
        "def add(a: int, b: int) -> int:\n    'Add.'\n    return a + b",
        "answer = amber.ask('What is 2 + 3? Use add.', tools=add)",
        "answer.tool_runs",
        "answer.tools_frame if hasattr(answer, 'tools_frame') else None",
    ],
    "clear_output": [
        "from IPython.display import clear_output, display",
        "for n in range(3):\n    clear_output(wait=True)\n    amber.ask(f'It {n}')",
        "amber.ask('gone')\nclear_output()\nprint('stays')",
        "for n in range(2):\n    print(n)\n    clear_output(wait=n == 0)",
    ],
    "widgets": [
        "import ipywidgets as w\nfrom IPython.display import display, clear_output",
        "out = w.Output()\nwith out:\n    amber.ask('in an Output')\nout",
        "late = w.Output()\ndisplay(late)",
        "with late:\n    clear_output()\n    amber.ask('later')",
        "late.append_stdout('more')",
        "tabs = w.Tab([w.Output(), w.Output()])\ndisplay(tabs)\nfor each in tabs.children:\n    with each:\n        amber.ask('in a tab')",
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


@pytest.fixture(scope="module", params=["command", "plugin"])
def recorded(request, tmp_path_factory):
    """The notebooks, recorded in one of both ways."""
    folder = tmp_path_factory.mktemp(request.param)
    make(folder)
    with Server() as server:
        if request.param == "command":
            done = run_amber_nb(folder, "record", *(f"{name}.ipynb" for name in PASSES), **gateway(server))
            assert done.returncode == 0, done.stdout + done.stderr
        else:
            done = run_pytest(folder, "--amber=record", **gateway(server))
            assert done.ret == pytest.ExitCode.OK, done.out
    (folder / "junit.xml").unlink(missing_ok=True)
    return folder


@pytest.fixture(scope="module")
def replayed(recorded):
    """The replay of the recorded notebooks, with a gateway that nobody may ask and a key for it."""
    seen = []
    with Server(log=seen.append) as server:
        done = run_pytest(recorded, **gateway(server))
    return done, seen


@pytest.mark.parametrize("name", PASSES)
def test_what_was_recorded_passes_its_own_replay(replayed, name):
    done, seen = replayed
    assert set(done.outcomes[f"{name}.ipynb"].values()) <= {"passed", "skipped"}, done.why[f"{name}.ipynb"]
    assert done.messages(f"{name}.ipynb") == []
    assert seen == []


def outputs_of(book):
    shown = []
    for cell in book.cells:
        for output in cell.get("outputs", ()):
            shown.append((output.output_type, output.get("text"), output.get("data", {}).get("text/plain")))
    return shown


@pytest.mark.parametrize("name", ["clear_output", "handles", "marks", "list"])
def test_what_is_written_is_what_a_front_end_shows(recorded, name):
    book = nbformat.read(recorded / f"{name}.ipynb", 4)
    shown = outputs_of(book)
    if name == "clear_output":
        assert [kind for kind, *_ in shown] == ["display_data", "stream"]
        assert shown[1][1] == "stays\n"
    if name == "handles":
        assert shown[1][2] == "'second'"
    if name == "marks":
        assert [cell.execution_count for cell in book.cells][:3] == [1, None, None]
        cassette = (recorded / "cassettes" / "marks.jsonl").read_text()
        assert "Not in the test" not in cassette
        assert "whatever papermill does" in cassette
    if name == "list":
        assert "mode=" not in shown[0][2]


def test_both_ways_of_recording_agree(tmp_path):
    names = ["clear_output", "marks", "handles", "list"]
    found = []
    for way in ("command", "plugin"):
        make(tmp_path / way, names)
        with Server() as server:
            if way == "command":
                run_amber_nb(tmp_path / way, "record", *(f"{name}.ipynb" for name in names), **gateway(server))
            else:
                run_pytest(tmp_path / way, "--amber=record", **gateway(server))
        found.append({name: outputs_of(nbformat.read(tmp_path / way / f"{name}.ipynb", 4)) for name in names})
    assert found[0] == found[1]


def spoil(folder, name, old, new):
    path = folder / f"{name}.ipynb"
    text = path.read_text()
    assert old in text, (old, text)
    path.write_text(text.replace(old, new))


def test_what_is_compared_is_still_compared(recorded, tmp_path):
    folder = shutil.copytree(recorded, tmp_path / "spoilt")
    for path in folder.glob("*.ipynb"):
        if path.stem not in ("list", "clear_output", "handles", "usage_log", "widgets"):
            path.unlink()
    spoil(folder, "list", "finish_reason='stop'", "finish_reason='length'")
    spoil(folder, "clear_output", "stays", "stayed")
    spoil(folder, "handles", "second", "third")
    book = nbformat.read(folder / "usage_log.ipynb", 4)
    tokens = [cell for cell in book.cells if "status']]" in cell.source][0].outputs[0].data
    tokens["text/html"] = tokens["text/html"].replace("<td>200</td>", "<td>500</td>")
    nbformat.write(book, folder / "usage_log.ipynb")
    states = nbformat.read(folder / "widgets.ipynb", 4)
    kept = states.metadata.widgets["application/vnd.jupyter.widget-state+json"]["state"]
    [caught] = [each for each in kept.values() if "awaited" in json.dumps(each)]
    caught["state"]["outputs"][0]["data"]["text/plain"] = "something else"
    nbformat.write(states, folder / "widgets.ipynb")
    done = run_pytest(folder)
    assert done.outcomes["list.ipynb"]["Cell 2"] == "failed"
    assert done.outcomes["clear_output.ipynb"]["Cell 3"] == "failed"
    assert done.messages("handles.ipynb") == ["Cell 3: what it shows in the end is not what the notebook holds"]
    assert done.outcomes["usage_log.ipynb"]["Cell 7"] == "failed"
    assert done.messages("widgets.ipynb") == ["Cell 9: what it shows in the end is not what the notebook holds"]
    assert done.ret == pytest.ExitCode.TESTS_FAILED
