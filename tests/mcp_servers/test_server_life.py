"""What becomes of connections, processes, threads and files of MCP servers, however they behave and however we end."""

import asyncio
import contextlib
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import psutil
import pytest
from patience import until
from scripted import calling

from amber_nb import ConfigError, ToolError, mcp
from amber_nb.chat.tool_calls import ToolRunner
from amber_nb.types import ToolProgress

PROGRAMS = Path(__file__).parent / "programs"
PROCESS_ID = ("process_id", {})


@pytest.fixture
def unruly():
    """Makes a server of the program unruly.py; all are closed at the end."""
    servers = []

    def make(how="", **options):
        server = mcp(sys.executable, str(PROGRAMS / "unruly.py"), how, require_approval=False, **options)
        servers.append(server)
        return server

    yield make
    for server in servers:
        server.close()


@pytest.fixture
def ask_for(script):
    """Has a model call tools of a server, one a round, and returns the runs."""

    def ask(server, *names):
        amber = script(*[calling((name, {})) for name in names], "Done.")
        return amber.ask("?", tools=server.select(only=sorted(set(names)))).tool_runs

    return ask


def exists(pid):
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


_before: set[object] = set()  # what tests of other files may have left to the collector


@pytest.fixture(autouse=True)
def _note_what_is_there():
    _before.clear()
    _before.update(children(), threading.enumerate())


def children():
    here = {process.pid for process in psutil.Process().children(recursive=True) if exists(process.pid)}
    return here - _before


def server_threads():
    here = [thread for thread in threading.enumerate() if thread.name.startswith("amber-mcp")]
    return sum(thread not in _before for thread in here)


class TestManyAsks:
    def test_asks_of_many_cells_share_one_connection_and_leave_nothing(self, simulated, start):
        server = start(require_approval=False)
        amber = simulated  # in this process: no gateway has sockets here
        asyncio.run(ask_at_once(amber, server, 2))  # what is loaded and opened once
        server.close()
        until(lambda: not children() and server_threads() == 0)
        files = psutil.Process().num_fds()

        pids = []
        for cell in range(4):
            if cell % 2:
                pids += [ask(amber, server) for _ in range(2)]
            else:
                pids += asyncio.run(ask_at_once(amber, server, 2))  # an event loop of its own
        assert len(pids) == 8
        assert len(set(pids)) == 1
        assert server._requests.opened[0].opened == 2  # the first was before
        assert children() == {pids[0]}
        assert server_threads() == 1
        server.close()
        until(lambda: not children() and server_threads() == 0)
        until(lambda: psutil.Process().num_fds() <= files)

    def test_two_clients_share_it_and_two_servers_do_not(self, script, start):
        one, two = start(require_approval=False), start(require_approval=False)
        clients = [script(calling(PROCESS_ID), "Done.") for _ in range(2)]
        pids = [client.ask("?", tools=one).tool_runs[0].result for client in clients]
        assert len(set(pids)) == 1
        assert two.call("process_id").value not in pids
        assert one._requests.opened[0].opened == two._requests.opened[0].opened == 1

    def test_it_is_used_again_after_it_was_closed(self, start):
        server = start()
        first = server.call("process_id").value
        for _ in range(3):
            server.close()
            server.close()
        second = server.call("process_id").value
        assert first != second
        until(lambda: not exists(first))
        assert exists(second)
        assert server._requests.opened[0].opened == 2


OPTIONS = {"tool_choice": "required", "max_rounds": 2, "show": False}


def ask(amber, server):
    """Return what the one call of an ask returned: the number of the server's process."""
    return amber.ask("?", tools=server.select(only="process_id"), **OPTIONS).tool_runs[0].result


async def ask_at_once(amber, server, number):
    """Return the same of several asks at once."""
    tools = server.select(only="process_id")
    answers = await asyncio.gather(*[amber.ask_async("?", tools=tools, **OPTIONS) for _ in range(number)])
    return [answer.tool_runs[0].result for answer in answers]


class TestKills:
    def test_between_calls(self, ask_for, start):
        server = start(require_approval=False)
        pids = []
        for _ in range(4):
            pids += [run.result for run in ask_for(server, "process_id")]
            os.kill(pids[-1], signal.SIGKILL)
        assert len(set(pids)) == 4
        assert server._requests.opened[0].opened == 4
        until(lambda: not children() and server_threads() == 0)

    def test_within_calls(self, script, start):
        server = start(require_approval=False)
        for _ in range(3):
            pid = server.call("process_id").value

            def kill(pid=pid, server=server):
                until(lambda: "hangs" in server.stderr)
                os.kill(pid, signal.SIGKILL)

            killer = threading.Thread(target=kill)
            killer.start()
            answer = script(calling(("hang", {})), calling(PROCESS_ID), "Done.").ask("?", tools=server)
            killer.join()
            hang, after = answer.tool_runs
            assert (hang.status, after.status) == ("failed", "ran")
            assert "The MCP server 'toolbox' ended." in hang.error
            assert after.result != pid
        server.close()
        until(lambda: not children() and server_threads() == 0)


class TestEndOfTheProcess:
    """However a script ends, the process of its server ends, too."""

    @pytest.mark.parametrize(
        ("how", "sent", "code"),
        [
            ("end", None, 0),
            ("exit", None, 3),
            ("raise", None, 1),
            ("wait", signal.SIGINT, -signal.SIGINT),
            ("wait", signal.SIGTERM, -signal.SIGTERM),
            ("wait", signal.SIGKILL, -signal.SIGKILL),
        ],
    )
    def test_no_server_is_left(self, how, sent, code):
        process = use_server(how)
        with process:
            pid, again, opened = map(int, process.stdout.readline().split())
            assert (pid == again, opened) == (True, 1)
            if sent is not None:
                assert exists(pid)
                process.send_signal(sent)
            assert process.wait(60) == code
        until(lambda: not exists(pid))

    @pytest.mark.parametrize(("how", "code"), [("end", 0), ("exit", 3), ("raise", 1)])
    def test_a_server_that_will_not_end_is_killed(self, how, code):
        with use_server(how, "stays") as process:
            pid = int(process.stdout.readline().split()[0])
            assert process.wait(60) == code
        try:
            until(lambda: not exists(pid))
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)

    @pytest.mark.parametrize("how", ["fork", "fork_and_exit", "multiprocessing"])
    def test_a_forked_child_has_a_connection_of_its_own(self, how):
        process = use_server(how)
        with process:
            said = process.stdout.readline().split()
            assert process.wait(60) == 0
        first, child, child_again, child_opened, last, opened = map(int, said)
        assert child == child_again
        assert child != first
        assert last == first  # the parent's connection has not suffered
        assert opened == 1
        assert child_opened == 2  # counted on from the parent's
        until(lambda: not exists(first) and not exists(child))


def use_server(*arguments):
    command = [sys.executable, "-W", "ignore::DeprecationWarning", str(PROGRAMS / "use_server.py"), *arguments]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)


class TestUnrulyServers:
    """Such a server costs its call, and neither the conversation nor what comes after."""

    def test_one_that_will_not_end_is_killed(self, unruly, monkeypatch):
        monkeypatch.setattr("mcp.client.stdio.PROCESS_TERMINATION_TIMEOUT", 0.05)
        monkeypatch.setattr("mcp.client.stdio.FORCE_KILL_TIMEOUT", 0.05)
        server = unruly("stays")
        pid = int(server.call("process_id").text)
        server.close()
        until(lambda: not exists(pid) and server_threads() == 0)

    def test_a_few_lines_of_rubbish_are_passed_over(self, unruly, ask_for):
        first, second = ask_for(unruly(), "write_rubbish", "process_id")
        assert (first.status, second.status) == ("ran", "ran")
        assert first.result == second.result

    @pytest.mark.parametrize(
        ("name", "words"),
        [
            ("write_rubbish_without_end", "The MCP server 'unruly' sends what is no message of the protocol."),
            ("write_half_a_message_and_die", "The MCP server 'unruly' ended."),
            ("die_with_child_on_stderr", "The MCP server 'unruly' ended. Its standard error ends in:\nchild "),
        ],
    )
    def test_a_broken_stream_costs_its_call(self, unruly, ask_for, monkeypatch, name, words):
        monkeypatch.setattr("mcp.client.stdio.PROCESS_TERMINATION_TIMEOUT", 0.05)
        server = unruly()
        before = int(server.call("process_id").text)
        broken, after = ask_for(server, name, "process_id")
        assert (broken.status, after.status) == ("failed", "ran")
        assert broken.error.startswith(words)
        assert int(after.result) != before
        until(lambda: not exists(before))
        end_child(broken.error)
        until(lambda: server_threads() == 1)

    def test_one_that_dies_unnoticed_costs_its_call(self, unruly, ask_for):
        """A child of it holds its output open, so that nothing tells of its end."""
        server = unruly(timeout_s=0.5)
        (broken,) = ask_for(server, "die_with_child_on_stdout")
        assert broken.status == "timeout"
        words = server.stderr
        (after,) = ask_for(server, "process_id")
        assert after.status == "ran"
        end_child(words)
        until(lambda: server_threads() == 1)

    def test_a_list_without_end_is_left(self, unruly):
        names = unruly("endless").tools()["name"]
        assert len(names) == 1_000

    def test_thousands_of_tools(self, unruly, ask_for, script):
        server = unruly("many")
        with pytest.raises(ConfigError, match=r"5,009 tools are offered, and a request takes 128\. Choose with only="):
            script("Never.").ask("?", tools=server)
        (run,) = ask_for(server, "more_4999")
        assert run.status == "ran"

    def test_a_flood_of_progress(self, unruly, ask_for, monkeypatch):
        told = []

        class Recorder(ToolRunner):
            def __init__(self, *arguments):
                super().__init__(*arguments[:-1], told.append)

        monkeypatch.setattr("amber_nb.chat.ask.ToolRunner", Recorder)
        first, second = ask_for(unruly(), "tell_progress", "process_id")
        assert (first.status, second.status) == ("ran", "ran")
        notes = [event.note for event in told if isinstance(event, ToolProgress) and event.note]
        assert 0 < len(notes) <= 10_000
        assert all("of 10000: mmm" in note for note in notes)

    def test_a_flood_on_standard_error(self, unruly, ask_for):
        server = unruly()
        (run,) = ask_for(server, "write_stderr")
        assert run.status == "ran"
        until(lambda: server.stderr.endswith("the last line\n"))
        assert len(server.stderr) <= 4_000

    def test_a_result_of_20_mb(self, unruly, ask_for):
        much, after = ask_for(unruly(), "return_much", "process_id")
        assert (much.status, after.status) == ("ran", "ran")
        assert len(much.result) == 20_000_000
        assert len(much.sent) < 1_000_000  # what the model gets is limited

    def test_it_holds_up_no_other_server(self, unruly, start):
        """While one floods us, another answers."""
        bad, good = unruly(), start()
        good.call("process_id")
        failed = []

        def call():
            try:
                bad.call("write_rubbish_without_end")
            except ToolError as error:
                failed.append(error)

        thread = threading.Thread(target=call)
        thread.start()
        assert good.call("echo", text="still here").text == "still here"
        thread.join(30)
        assert len(failed) == 1


def end_child(stderr):
    """End the process whose number a server has told, where it has."""
    rest = stderr.partition("child ")[2]
    if rest:
        os.kill(int(rest.split()[0]), signal.SIGKILL)
