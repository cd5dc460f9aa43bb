"""As much of a comm as ipywidgets uses, for widgets without a kernel."""

from __future__ import annotations

from typing import Any

__all__ = ["Comm"]


class Comm:
    """Keeps what is sent, and hands on what the page says."""

    class Kernel:
        _supports_kernel_subshells = True

    comm_id = "c0ffee"
    kernel = Kernel()

    def __init__(self) -> None:
        self.sent: list[tuple[dict[str, Any], list[bytes]]] = []
        self.closed = 0
        self._msg_callback: Any = None

    def on_msg(self, callback: Any) -> None:
        self._msg_callback = callback

    def handle_msg(self, msg: dict[str, Any]) -> None:
        self._msg_callback(msg)

    def send(self, data: dict[str, Any], buffers: list[bytes] | None = None) -> None:
        assert not self.closed
        self.sent.append((data["content"], buffers or []))

    def close(self) -> None:
        self.closed += 1

    def hear(self, content: object, *buffers: bytes) -> None:
        """What the page says."""
        views = [memoryview(buffer) for buffer in buffers]
        self.handle_msg({"content": {"data": {"method": "custom", "content": content}}, "buffers": views})

    def contents(self) -> list[dict[str, Any]]:
        """What was said to the page, without the buffers."""
        return [content for content, _ in self.sent]
