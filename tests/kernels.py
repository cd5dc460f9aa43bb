"""Kernels that a person's front end talks to, of which the test is the front end; no view ever comes to its page."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from typing import Any

from jupyter_client.manager import start_new_kernel

__all__ = ["execute", "kernel_with"]


@contextlib.contextmanager
def kernel_with(base_url: str) -> Iterator[Any]:
    """A kernel in which `amber` is a client of that gateway; gives the client of the kernel."""
    manager, client = start_new_kernel(kernel_name="python3")
    try:
        code = f"amber = Amber(base_url={base_url!r}, api_key='ambrs-x', max_retries=0)"
        execute(client, f"from amber_nb import Amber\n{code}")
        yield client
    finally:
        client.stop_channels()
        manager.shutdown_kernel(now=True)


def execute(client: Any, code: str, seen: Callable[[Any], object] = len) -> tuple[list[Any], str]:
    """What the cell shows: each state of its displays, for which `seen` is called as well; and the text it printed."""
    content = {"code": code, "silent": False, "store_history": True, "user_expressions": {}, "allow_stdin": True}
    message = client.session.msg("execute_request", content | {"stop_on_error": False}, metadata={"cellId": "a"})
    client.shell_channel.send(message)
    shown, printed = [], ""
    while True:
        reply = client.get_iopub_msg(timeout=60)
        kind, content = reply["msg_type"], reply["content"]
        if reply["parent_header"].get("msg_id") != message["header"]["msg_id"]:
            continue
        if kind == "status" and content["execution_state"] == "idle":
            return shown, printed
        if kind == "error":
            raise AssertionError("\n".join(content["traceback"]))
        if kind in ("display_data", "update_display_data"):
            shown.append(content["data"])
            seen(content["data"])
        elif kind == "stream" and content["name"] == "stdout":
            printed += content["text"]
