"""Execute a notebook's cells as nbval does, and follow their outputs as a front end does.

nbval leaves out cells that say so, and lets others fail that say so. A front end clears outputs, updates displays, and
puts what a widget `Output` catches into that widget; nbclient does as a front end, and nbval does not.
"""

from __future__ import annotations

import contextlib
from typing import Any

import zmq
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionComplete

from .cells import FAILS_TAG, is_left_out, may_fail, read_tags

__all__ = ["NotebookExecution"]


class NotebookExecution(NotebookClient):
    """Execute a notebook against a kernel of its own, or follow what another program executes.

    Attributes:
        hidden_errors: index of the cell, name and message of each error that an `Output` caught: the cell itself goes
            on, and still nbval lets it fail.
        late_cells: indices of the cells whose outputs a later cell may change.
    """

    def __init__(self, book: Any, **options: Any) -> None:
        # A tag that nbval does not know: the test runs these cells, and so must what records them.
        super().__init__(book, skip_cells_with_tag="", coalesce_streams=True, record_timing=False, **options)
        self.hidden_errors: list[tuple[int, str, str]] = []
        self.late_cells: set[int] = set()
        self.clear_before_next_output = False

    async def async_execute_cell(
        self, cell: Any, cell_index: int, execution_count: int | None = None, store_history: bool = False
    ) -> Any:
        """Execute a cell as nbval does: not at all where it is left out, and without a history."""
        if cell.cell_type != "code" or is_left_out(cell):
            return cell
        tags = cell.metadata.get("tags")
        if may_fail(cell) and FAILS_TAG not in read_tags(cell):
            cell.metadata["tags"] = [*read_tags(cell), FAILS_TAG]  # as nbclient reads it
        try:
            done = await super().async_execute_cell(cell, cell_index, execution_count, store_history=False)
        finally:
            if tags is None:
                cell.metadata.pop("tags", None)
            else:
                cell.metadata["tags"] = tags
        for output in cell.outputs:
            if output.output_type == "execute_result":
                output.execution_count = cell.execution_count
        return done

    def process_message(self, msg: dict[str, Any], cell: Any, cell_index: int) -> Any:
        """Process a message, and look at the socket after it.

        What an `Output` catches is sent back to the kernel, past the socket that waits for the kernel's reply: the
        socket would miss that the reply is there, and wait for ever.
        """
        try:
            return super().process_message(msg, cell, cell_index)
        finally:
            if self.comm_objects and self.kc is not None:
                self.kc.shell_channel.socket.get(zmq.EVENTS)

    def output(self, outs: list[Any], msg: dict[str, Any], display_id: str | None, cell_index: int) -> Any:
        """Put an output where a front end has it."""
        is_caught = bool(self.output_hook_stack[msg["parent_header"].get("msg_id")])
        if is_caught and msg["msg_type"] == "error" and not may_fail(self.nb.cells[cell_index]):
            self.hidden_errors.append((cell_index, msg["content"]["ename"], msg["content"]["evalue"]))
        if display_id or "application/vnd.jupyter.widget-view+json" in msg["content"].get("data", {}):
            self.late_cells.add(cell_index)
        return super().output(outs, msg, display_id, cell_index)

    def begin_cell(self, cell_index: int) -> None:
        """Forget the outputs of a cell that another program begins to execute."""
        self.nb.cells[cell_index].outputs = []
        self.clear_before_next_output = False

    def follow(self, message: dict[str, Any], cell_index: int) -> None:
        """Take a message of the kernel on a cell that another program executes."""
        with contextlib.suppress(CellExecutionComplete):
            self.process_message(message, self.nb.cells[cell_index], cell_index)
