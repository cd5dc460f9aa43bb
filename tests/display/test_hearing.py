"""Hearing the browser while a cell runs, on kernels that read one message after another; real ones: .ci/run --slow."""

import json
import threading
from types import SimpleNamespace

import pytest

from amber_nb.display.hearing import Ear, let_through


class Kernel:
    """As ipykernel 6: a socket that is read only when somebody flushes it, and a queue that waits for the cell."""

    def __init__(self):
        self.socket = []
        self.msg_queue = SimpleNamespace(_queue=[])
        self.shell_stream = SimpleNamespace(flush=self._flush)

    def _flush(self, flag):
        assert flag == 1
        while self.socket:
            queue = self.msg_queue._queue
            queue.append((len(queue), None, (self.socket.pop(0),)))

    def comes(self, content, kind="comm_msg"):
        parts = [{"msg_type": kind}, {}, {}, content]
        self.socket.append([memoryview(b"id"), b"<IDS|MSG>", b"signature", *(json.dumps(p).encode() for p in parts)])


def custom(said, comm_id="mine"):
    return {"comm_id": comm_id, "data": {"method": "custom", "content": said}}


@pytest.fixture
def kernel():
    return Kernel()


@pytest.fixture
def ear(kernel):
    return Ear(SimpleNamespace(comm_id="mine", kernel=kernel))


def test_it_hears_its_own_comm_and_each_word_once(kernel, ear):
    kernel.comes(custom({"hello": 0}))
    kernel.comes({"code": "1"}, kind="execute_request")
    kernel.comes(custom({"stop": True}, comm_id="another's"))
    kernel.comes({"comm_id": "mine", "data": {"method": "update", "state": {}}})
    assert ear.listen() == [{"hello": 0}]
    kernel.comes(custom({"stop": True}))
    assert ear.listen() == [{"stop": True}]
    assert ear.listen() == []
    assert len(kernel.msg_queue._queue) == 5  # nothing was taken away from the kernel


def test_what_is_no_message_is_passed_over(kernel, ear):
    kernel.socket += [[], [b"<IDS|MSG>"], [b"x"], [b"<IDS|MSG>", b"", b"no JSON", b"", b"", b"{}"]]
    kernel.comes([])
    kernel.comes({"comm_id": "mine"})
    kernel.comes(custom({"hello": 3}))
    assert ear.listen() == [{"hello": 3}]


def test_another_thread_cannot_hear(ear):
    found = []
    thread = threading.Thread(target=lambda: found.append(ear.listen()))
    thread.start()
    thread.join()
    assert found == [None]


def test_a_kernel_of_another_build_is_left_alone():
    assert Ear(SimpleNamespace(comm_id="mine", kernel=object())).listen() is None
    assert not let_through(SimpleNamespace(kernel=object()))
    assert let_through(SimpleNamespace(kernel=SimpleNamespace(_supports_kernel_subshells=True)))
