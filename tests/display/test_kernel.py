"""The running cell: who sees it, and the order in which things are shown in it."""

import json
import subprocess
import sys
import threading
from types import SimpleNamespace

import nbformat
import pytest
from jupyter_client.manager import start_new_kernel
from nbclient import NotebookClient
from nbformat.v4 import new_code_cell, new_notebook

from amber_nb.display import kernel as cell


def test_a_script_is_neither_kernel_nor_front_end():
    code = (
        "from amber_nb.display import kernel as cell\n"
        "print(cell.has_front_end(), cell.in_kernel(), cell.in_terminal(), cell.execution_id())"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False", "False", "False", "None"]


@pytest.mark.parametrize("person", [True, False])
@pytest.mark.parametrize("shell", ["kernel", "terminal", None])
def test_a_keyboard_is_a_terminals_or_a_front_ends(monkeypatch, shell, person):
    stdin = SimpleNamespace(isatty=lambda: person)  # a kernel's own terminal is nobody's keyboard
    monkeypatch.setattr(cell.sys, "stdin", stdin if shell != "kernel" else SimpleNamespace(isatty=lambda: True))
    monkeypatch.setattr(cell, "in_kernel", lambda: shell == "kernel")
    monkeypatch.setattr(cell, "in_terminal", lambda: shell == "terminal")
    monkeypatch.setattr(cell, "_allows_input", lambda: shell == "kernel" and person)
    assert cell.can_prompt() is (person or shell == "terminal")


@pytest.fixture(scope="module")
def kernel():
    """A real kernel, spoken to as a front end would."""
    manager, client = start_new_kernel(kernel_name="python3")
    yield client
    client.stop_channels()
    manager.shutdown_kernel(now=True)


def execute(client, code, *, allow_stdin=False, **metadata):
    """The displays and the result of one cell, as mime bundles in their order, as the file keeps them."""
    message = client.session.msg(
        "execute_request",
        {
            "code": code,
            "silent": False,
            "store_history": True,
            "user_expressions": {},
            "allow_stdin": allow_stdin,
            "stop_on_error": False,
        },
        metadata=metadata,
    )
    client.shell_channel.send(message)
    outputs, places = [], {}
    while True:
        reply = client.get_iopub_msg(timeout=30)
        if reply["parent_header"].get("msg_id") != message["header"]["msg_id"]:
            continue
        if reply["msg_type"] == "status" and reply["content"]["execution_state"] == "idle":
            return outputs
        if reply["msg_type"] == "error":
            raise AssertionError("\n".join(reply["content"]["traceback"]))
        content = reply["content"]
        if reply["msg_type"] in ("display_data", "execute_result"):
            places[content.get("transient", {}).get("display_id")] = len(outputs)
            outputs.append(content["data"])
        elif reply["msg_type"] == "update_display_data":
            outputs[places[content["transient"]["display_id"]]] = content["data"]
            UPDATES.append(content["data"])


LAB = {"allow_stdin": True, "cellId": "abc"}  # what JupyterLab says of a cell
CONSOLE = {"allow_stdin": True}  # and what `jupyter console` says
UPDATES = []  # every update of a display, also those that a later one replaced


START = "import os; os.environ['AMBER_SIM_CHUNKS_PER_S'] = '0'\nfrom amber_nb import Amber\namber = Amber()\n"


def test_a_person_gets_the_simulator_and_the_badge(kernel):
    (shown,) = execute(kernel, START + "amber.ask('Hello!')", **LAB)
    assert shown["text/plain"] == "Hello! How can I help you today?"
    assert "simulated" in shown["text/html"]
    assert set(shown) == {"text/plain", "text/html"}


def test_nobody_gets_a_config_error(kernel):
    with pytest.raises(AssertionError, match="ConfigError"):
        execute(kernel, "from amber_nb import Amber\nAmber()")


@pytest.mark.parametrize(
    ("code", "count"),
    [
        ("answer = amber.ask('Hello!')", 1),
        ("amber.ask('Hello!')", 1),
        ("answer = amber.ask('Hello!')\nanswer", 1),
        ("amber.ask('Hello!'); amber.ask('Hello!')", 2),
        ("amber.ask('Hello!', show=False)", 1),
        ("answer = amber.ask('Hello!', show=False)", 0),
        ("await amber.ask_async('Hello!')", 1),
        ("import asyncio\nawait asyncio.gather(amber.ask_async('a'), amber.ask_async('b'))\nNone", 2),
    ],
)
def test_shown_once(kernel, code, count):
    assert len(execute(kernel, START + code, **LAB)) == count


def test_an_earlier_answer_is_shown_again_in_another_cell(kernel):
    execute(kernel, START + "answer = amber.ask('Hello!')", **LAB)
    assert execute(kernel, "answer", **LAB)[0]["text/plain"] == "Hello! How can I help you today?"


def test_display_none_shows_nothing(kernel):
    code = (
        "os.environ['AMBER_DISPLAY'] = 'none'\nquiet = Amber(mode='simulate')\nanswer = quiet.ask('Hello!')\n"
        "del os.environ['AMBER_DISPLAY']"
    )
    assert execute(kernel, START + code, **LAB) == []


def test_answers_appear_in_the_order_in_which_they_were_asked(kernel):
    # The first answer is the longest, so that at a real pace it ends last.
    code = (
        "os.environ['AMBER_SIM_CHUNKS_PER_S'] = '2000'\npaced = Amber()\nimport asyncio\n"
        "asked = [f'Write {n} words about order.' for n in (200, 100, 20)]\n"
        "answers = await asyncio.gather(*(paced.ask_async(one) for one in asked))\n"
        "from IPython.display import display\ndisplay({'text/plain': '|'.join(map(str, answers))}, raw=True)"
    )
    *shown, texts = execute(kernel, START + code, **LAB)
    assert [one["text/plain"] for one in shown] == texts["text/plain"].split("|")
    assert len(shown) == 3


def test_an_interrupt_leaves_the_text_in_the_cell(kernel):
    code = START + (
        "os.environ['AMBER_SIM_CHUNKS_PER_S'] = '200'\npaced = Amber()\nimport threading, signal\n"
        "from amber_nb.display.live_answer import LiveAnswer\nfeed, fed = LiveAnswer.feed, ''\n"
        "main = threading.main_thread().ident\n"
        "def fed_and_interrupted(self, text):\n    global fed\n    feed(self, text)\n"
        "    if not fed:\n        fed = text\n        signal.pthread_kill(main, signal.SIGINT)\n"
        "LiveAnswer.feed = fed_and_interrupted\n"
        "try:\n    paced.ask('Write 500 words about rivers.')\nexcept KeyboardInterrupt:\n    print('interrupted')\n"
        "LiveAnswer.feed = feed\nfrom IPython.display import display\ndisplay({'text/plain': fed}, raw=True)"
    )
    shown, fed = (bundle["text/plain"] for bundle in execute(kernel, code, **LAB))
    assert shown.endswith("\n[stopped by you]")
    assert fed
    assert shown.startswith(fed)


def test_without_a_view_on_the_page_safe_html_stands_in(kernel):
    UPDATES.clear()
    code = (
        "os.environ['AMBER_SIM_CHUNKS_PER_S'] = '120'\npaced = Amber()\n"
        "from amber_nb.display import cell_output as output\n"
        "hello_s, output.HELLO_S, output.FIRST_S = output.HELLO_S, 0, 0\n"
        "answer = paced.ask('Write 100 words about tea.')\noutput.HELLO_S = hello_s"
    )
    (shown,) = execute(kernel, START + code, **LAB)
    *between, settled = UPDATES
    assert between
    assert all("The live view is not available here" in update["text/html"] for update in between)
    unfinished = "\n[still being written when this was saved]"
    assert all(shown["text/plain"].startswith(update["text/plain"].removesuffix(unfinished)) for update in between)
    assert settled == shown
    assert "not available" not in shown["text/html"]


def test_ten_runs_of_one_notebook_are_the_same(kernel):
    source = (
        "import os; os.environ['AMBER_SIM_CHUNKS_PER_S'] = '0'\n"
        "from amber_nb import Amber\nimport asyncio\namber = Amber(mode='simulate')\n"
        "await asyncio.gather(*(amber.ask_async(f'Write {9 - n}0 words') for n in range(5)))\namber.ask('Hi')"
    )
    seen = set()
    book = new_notebook(cells=[new_code_cell(source) for _ in range(10)])
    runner = NotebookClient(book, km=kernel.parent)
    runner.execute()
    runner.kc.stop_channels()
    for one in book.cells:
        seen.add(json.dumps([dict(output.data) for output in one.outputs], sort_keys=True))
    assert len(seen) == 1
    assert [len(one.outputs) for one in book.cells] == [6] * 10
    nbformat.validate(book)


@pytest.fixture
def one_cell(monkeypatch):
    monkeypatch.setattr(cell, "execution_id", lambda: "a cell")


def test_turns_keep_the_order_of_their_begin(one_cell):
    turns, order = cell.DisplayQueue(), []
    first, second, third = turns.begin(), turns.begin(), turns.begin()
    turns.end(third, lambda: order.append(3))
    turns.end(first, lambda: order.append(1))
    assert order == [1]
    turns.end(second, None)
    assert order == [1, 3]
    fourth = turns.begin()
    turns.end(fourth, lambda: order.append(4))
    assert order == [1, 3, 4]


def test_turns_go_on_after_a_display_that_fails(one_cell):
    turns, order = cell.DisplayQueue(), []
    first, second = turns.begin(), turns.begin()
    turns.end(second, lambda: order.append(2))
    with pytest.raises(ZeroDivisionError):
        turns.end(first, lambda: 1 / 0)
    assert order == [2]


def test_turns_from_many_threads(one_cell):
    turns, order = cell.DisplayQueue(), []
    begun = [turns.begin() for _ in range(200)]
    threads = [
        threading.Thread(target=turns.end, args=(turn, lambda n=n: order.append(n))) for n, turn in enumerate(begun)
    ]
    for thread in reversed(threads):
        thread.start()
    for thread in threads:
        thread.join()
    assert order == list(range(200))


def test_what_is_registered_for_the_end_of_cells_lives_as_long_as_its_object(monkeypatch):
    registered = []
    events = SimpleNamespace(
        register=lambda name, callback: registered.append((name, callback)),
        unregister=lambda name, callback: registered.remove((name, callback)),
    )
    monkeypatch.setattr(cell, "_shell", lambda: SimpleNamespace(kernel=object(), events=events))

    class Recorder:
        kept = 0

        def checkpoint(self):
            Recorder.kept += 1

    recorder = Recorder()
    cell.after_each_cell(recorder.checkpoint)
    ((name, ended),) = registered
    ended(None)
    ended(None)
    assert (name, Recorder.kept) == ("post_run_cell", 2)
    del recorder
    ended(None)
    assert (registered, Recorder.kept) == ([], 2)


def test_without_a_kernel_nothing_is_registered(monkeypatch):
    monkeypatch.setattr(cell, "_shell", lambda: None)
    cell.after_each_cell([].copy)
    cell.before_each_cell([].copy)
