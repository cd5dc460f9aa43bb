"""A page that shows an input for images, without a kernel."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from fakecomm import Comm

from amber_nb.display import comm as comms
from amber_nb.display.layer import LiveLayer
from amber_nb.images.view import ImageView


class InputPage:
    """What is said between a page and one input, without the envelope of the layer."""

    def __init__(self, view: ImageView) -> None:
        self.view = view
        self.comm: Comm = view.layer.comm

    @property
    def sent(self) -> list[tuple[dict[str, Any], list[bytes]]]:
        number = self.view.number
        return [(said["i"], buffers) for said, buffers in self.comm.sent if said.get("a") == number and "i" in said]

    def hear(self, content: object, *buffers: bytes) -> None:
        self.comm.hear({"a": self.view.number, "i": content}, *buffers)

    def contents(self) -> list[dict[str, Any]]:
        return [content for content, _ in self.sent]


@pytest.fixture
def layer(monkeypatch: pytest.MonkeyPatch) -> Iterator[LiveLayer]:
    """The layer of a kernel whose page has said hello."""
    monkeypatch.setattr(LiveLayer, "open", lambda self: setattr(self, "comm", Comm()))
    monkeypatch.setattr(LiveLayer, "was_greeted", False)
    monkeypatch.setattr(comms, "snapshots", comms.SendScheduler())
    layer = LiveLayer()
    monkeypatch.setattr(LiveLayer, "current", layer)
    layer.comm.hear({"hello": 1})
    yield layer
    layer.close()


@pytest.fixture
def input_page() -> type[InputPage]:
    return InputPage
