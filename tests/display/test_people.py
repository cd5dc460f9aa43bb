"""Who is there: a page, a terminal with a kernel, or nobody; each gets an answer once, in the form that it can show."""

import re

import ipykernel
import pytest
from jupyter_client.manager import start_new_kernel
from nbclient import NotebookClient
from nbformat.v4 import new_code_cell, new_notebook

ON_IPYKERNEL_7 = pytest.mark.skipif(ipykernel.version_info[0] < 7, reason="about subshells, and queues beside them")
HEADLESS = {"allow_stdin": False}  # nbclient, and with it nbconvert, papermill, `jupyter execute`, Voilà's cells; nbval
CONSOLE = {"allow_stdin": True}  # jupyter console, qtconsole, nbclassic, server-side execution
LAB = {"allow_stdin": True, "cell": "abc"}  # JupyterLab, Notebook 7, VS Code

START = """
import os
os.environ["AMBER_SIM_CHUNKS_PER_S"] = "0"
from amber_nb import Amber
amber = Amber(mode="simulate")
"""
TOOL = """
from amber_nb import tool
@tool(read_only=False)
def get_current_weather(location: str, unit: str = "celsius"):
    "Tell the weather."
    return 14
"""
ASK = "amber.ask('What is the weather like in Aachen today?', tools=get_current_weather, require_approval=True)"


class FrontEnd:
    """A front end of a real kernel.

    Attributes:
        printed: what `jupyter console` would print: each display once, and no update of one.
        kinds: of the messages that came.
        updates: the texts of all forms of all displays.
    """

    def __init__(self, client):
        self.client = client
        self.typed, self.questions = [], []
        self.greets = False  # as a page does that has the layer
        self.subshell = None  # where its messages go, so that they are heard while a cell runs

    def run(self, code, *, allow_stdin, cell=None):
        self.printed, self.kinds, self.updates = "", [], []
        content = {"code": code, "silent": False, "store_history": True, "user_expressions": {}, "stop_on_error": False}
        message = self.client.session.msg("execute_request", content | {"allow_stdin": allow_stdin})
        message["metadata"] = {"cellId": cell} if cell else {}
        return self.follow(message)

    def follow(self, message):
        """Send a message, and handle what comes until the kernel is done with it."""
        self.client.shell_channel.send(message)
        while True:
            if self.client.stdin_channel.msg_ready():
                self.questions.append(self.client.get_stdin_msg(timeout=1)["content"]["prompt"])
                self.client.input(self.typed.pop(0))
            if not self.client.iopub_channel.msg_ready():
                self.client.iopub_channel.socket.poll(10)
                continue
            reply = self.client.get_iopub_msg(timeout=1)
            if reply["parent_header"].get("msg_id") != message["header"]["msg_id"]:
                continue
            kind, content = reply["msg_type"], reply["content"]
            self.kinds.append(kind)
            if kind == "status" and content["execution_state"] == "idle":
                return self.printed
            if kind == "error":
                raise AssertionError("\n".join(content["traceback"]))
            if kind == "comm_open" and self.greets:
                self.say(content["comm_id"], {"method": "custom", "content": {"hello": 1}})
            if kind in ("display_data", "update_display_data"):
                self.updates.append(content["data"]["text/plain"])
            if kind in ("display_data", "execute_result"):
                self.printed += content["data"]["text/plain"] + "\n"
            elif kind == "stream":
                self.printed += content["text"]

    def open_subshell(self):
        self.client.control_channel.send(self.client.session.msg("create_subshell_request"))
        self.subshell = self.client.get_control_msg(timeout=20)["content"]["subshell_id"]

    def say(self, comm_id, data):
        self.client.shell_channel.send(self.message(comm_id, data))

    def message(self, comm_id, data):
        message = self.client.session.msg("comm_msg", {"comm_id": comm_id, "data": data})
        if self.subshell:
            message["header"]["subshell_id"] = self.subshell
        return message


@pytest.fixture(scope="module")
def kernel():
    manager, client = start_new_kernel(kernel_name="python3")
    yield client
    client.stop_channels()
    manager.shutdown_kernel(now=True)


@pytest.fixture
def fresh_kernel():
    manager, client = start_new_kernel(kernel_name="python3")
    yield client
    client.stop_channels()
    manager.shutdown_kernel(now=True)


@pytest.fixture
def front_end(kernel):
    return FrontEnd(kernel)


SEEN = "from amber_nb.display import kernel as k; print(k.has_front_end(), k.can_prompt(), k.may_only_print())"


@pytest.mark.parametrize(
    ("who", "seen"), [(HEADLESS, "False False False"), (CONSOLE, "True True True"), (LAB, "True True False")]
)
def test_somebody_is_there_where_a_cell_may_ask_for_input(front_end, who, seen):
    assert front_end.run(SEEN, **who).strip() == seen


def test_a_name_of_the_cell_is_nobody(front_end):
    assert front_end.run(SEEN, allow_stdin=False, cell="abc").strip() == "False False False"


CALLBACK = f"""
import comm
from IPython import get_ipython
def target(opened, _):
    @opened.on_msg
    def clicked(message):
        {SEEN}
        if message["content"]["data"] == "ask":
            shown = amber.ask("Hello!")
manager = comm.get_comm_manager()
manager.register_target("button", target)
"""


@pytest.mark.parametrize("who", [HEADLESS, LAB])
def test_a_button_is_pressed_by_somebody_who_has_no_keyboard(front_end, who):
    """In Voilà the cells are run by nobody, and what the page's buttons do is live."""
    front_end.run(START + CALLBACK, **who)
    session = front_end.client.session
    opened = session.msg("comm_open", {"comm_id": "b", "target_name": "button", "data": {}})
    front_end.client.shell_channel.send(opened)
    front_end.printed, front_end.kinds, front_end.updates = "", [], []
    assert front_end.follow(front_end.message("b", "look")).strip() == "True False False"
    front_end.follow(front_end.message("b", "ask"))
    assert "update_display_data" in front_end.kinds
    assert front_end.updates[-1] == "Hello! How can I help you today?"


def test_where_nobody_is_no_widget_is_opened(front_end):
    assert front_end.run(START + TOOL + "amber.ask('Hello!')", **HEADLESS) == "Hello! How can I help you today?\n"
    assert {"comm_open", "update_display_data"}.isdisjoint(front_end.kinds)
    assert front_end.kinds.count("display_data") == 1


def test_a_notebook_that_nobody_watches_keeps_no_widget():
    ask = START + TOOL + "amber.ask('Hello!')\nfrom amber_nb import ToolError\n"
    denied = f"try:\n    {ASK}\nexcept ToolError as error:\n    print(error)"
    book = new_notebook(cells=[new_code_cell(ask + denied)])
    NotebookClient(book).execute()
    assert "widgets" not in book.metadata
    assert "nobody is here to give it" in str(book.cells[0].outputs)


def test_a_console_prints_an_answer_once(front_end):
    answer = "[simulated]\nHello! How can I help you today?\n"
    assert front_end.run(START + "amber.ask('Hello!')", **CONSOLE) == answer
    assert front_end.kinds.count("display_data") == 1
    assert "update_display_data" not in front_end.kinds
    assert front_end.run("answer = amber.ask('Hello!')\nanswer", **CONSOLE) == answer
    assert front_end.run("answer", **CONSOLE) == "Hello! How can I help you today?\n"


def test_a_console_beside_a_page_prints_an_answer_once(fresh_kernel):
    page, console = FrontEnd(fresh_kernel), FrontEnd(fresh_kernel)
    page.greets = True
    page.run(START + "amber.ask('Hello!')", **LAB)
    fresh_kernel.session.session = "another"
    printed = console.run(START + "amber.ask('Hello!')", **CONSOLE)
    assert printed == "[simulated]\nHello! How can I help you today?\n"


UNFINISHED = "[still being written when this was saved]"


@ON_IPYKERNEL_7
def test_a_page_that_names_no_cell_is_live_once_it_is_heard(fresh_kernel):
    page = FrontEnd(fresh_kernel)
    page.greets = True
    page.open_subshell()
    held = (
        "from amber_nb.display import NotebookDisplay\nimport threading\n"
        "shown, begin = threading.Event(), NotebookDisplay._begin_output\n"
        "NotebookDisplay._begin_output = lambda self: (begin(self), shown.set())\n"
        "def wait():\n    'Wait.'\n    return shown.wait(20)\n"
        "answer = amber.ask('Wait', tools=wait)\n"
    )
    page.run(START + held, **CONSOLE)
    assert page.updates[0] == UNFINISHED
    assert page.updates[-1].startswith("wait() → true")
    assert page.kinds.count("display_data") == 1


@ON_IPYKERNEL_7
def test_a_page_that_cannot_be_heard_is_asked_at_its_keyboard(fresh_kernel):
    """Nbclassic, and JupyterLab before 4.4, on ipykernel 7: their messages wait until the cell has ended."""
    page = FrontEnd(fresh_kernel)
    page.greets = True
    page.run(START + TOOL + "answer = amber.ask('Hello!')", **CONSOLE)
    assert page.updates == ["[simulated]\nHello! How can I help you today?"]
    page.run("from amber_nb.display.layer import LiveLayer\nLiveLayer.has_drawn = True", **CONSOLE)
    page.typed = ["n", "no"]
    page.run(f"from amber_nb.display import live\nlive.CARD_S = 0.01\nanswer = {ASK}", **CONSOLE)
    assert page.updates[0] == UNFINISHED
    assert "denied: no" in page.updates[-1]


def test_a_console_is_asked_at_its_keyboard(front_end):
    front_end.typed = ["y"]
    printed = front_end.run(START + TOOL + ASK, **CONSOLE)
    (question,) = front_end.questions
    assert question.startswith("Allow? [y]es, [n]o")
    told, _, answer = printed.partition("[simulated]\n")
    call, *notes = told.splitlines()
    assert re.fullmatch(r"amber: the model wants to call get_current_weather\(.*\)", call)
    assert notes == ["  Tell the weather.", '  Not given: unit = "celsius"', "  This tool says that it changes things."]
    assert answer.count("get_current_weather(") == 1


def test_a_console_waits_for_a_page_only_once(fresh_kernel):
    """The clock stands still: whoever waited for a page would wait for ever."""
    front_end = FrontEnd(fresh_kernel)
    still = (
        "from amber_nb import clock\nfrom amber_nb.display.layer import live_layer\n"
        "live_layer()._opened_at -= 60\nwhen = clock.monotonic()\nclock.monotonic = lambda: when\n"
    )
    front_end.run(START + TOOL + "answer = amber.ask('Hello!')", **CONSOLE)
    front_end.typed = ["n", "no"]
    front_end.run(still + f"answer = {ASK}", **CONSOLE)
    assert "denied: no" in front_end.printed
