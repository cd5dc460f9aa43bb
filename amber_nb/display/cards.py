"""Render what stands beside an answer's text, live and in the file: tool calls, images and typed values.

All of it is escaped: no value, name or error becomes markup.
"""

from __future__ import annotations

import base64
import contextlib
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from ..redact import collect_secrets, redact, redact_embedded, redact_json_text, redact_table, scrub
from ..types import SentImage, ToolProgress, ToolRun, replace_surrogates
from .escape import escape_code, escape_text, shorten, show_controls
from .highlight import code_block

__all__ = [
    "MAX_THUMBNAILS",
    "QUIET_STYLE",
    "SMALL_STYLE",
    "STATUS_WORDS",
    "StripItem",
    "format_arguments",
    "image_facts",
    "preview",
    "progress_note",
    "run_facts",
    "server_label",
    "strip_html",
    "strip_items",
    "strip_text",
    "summarize_arguments",
    "tools_html",
    "tools_text",
    "value_html",
]

SMALL_STYLE = "margin:0 0 .5em;font-size:85%;opacity:.75"
STATUS_WORDS = {
    "ran": ("✓", "ran"),
    "denied": ("⊘", "denied"),
    "invalid": ("✗", "wrong arguments"),
    "failed": ("✗", "failed"),
    "timeout": ("✗", "timed out"),
    "not_run": ("○", "not run"),
}
_CARD_STYLE = "margin:0 0 .6em;padding:0 0 0 12px;border-left:3px solid rgba(128,128,128,.3)"
QUIET_STYLE = "opacity:.75"
_LABEL_STYLE = "margin:.6em 0 .2em;font-size:85%;opacity:.75"
_MAX_VALUE_CHARS = 2_000  # of a value that is shown
_MAX_LINE_CHARS = 200
_MAX_JSON_CHARS = 50_000
_ANSI = re.compile(r"\x1b\[[0-9;?]*[ -/]*[@-~]|\x1b[@-_]")
_MAX_ROWS = 50
_MAX_COLUMNS = 12
_MAX_CELL_CHARS = 300
_TABLE_STYLE = "border-collapse:collapse;margin:0 0 1em"
_CELL_STYLE = "padding:.3em .8em;border:1px solid rgba(128,128,128,.3);text-align:left;vertical-align:top"
MAX_THUMBNAILS = 12  # 0.3 to 9 kB each in the notebook's file
_MAX_NAME_CHARS = 60
_MAX_SERVER_CHARS = 40
_MAX_NOTE_CHARS = 200
_TILE_STYLE = (
    "display:inline-block;vertical-align:top;margin:0 16px 8px 0;max-width:240px;font-size:85%;line-height:1.4"
)
_PICTURE_STYLE = (
    "height:72px;width:auto;max-width:240px;margin:0;border:1px solid rgba(128,128,128,.5);border-radius:4px"
)

StripItem = tuple[str, tuple[str, ...], str]  # name, lines below it, thumbnail as a data: address or ""


def tools_html(runs: Sequence[ToolRun], *, max_bytes: int = 200_000) -> str:
    """Render tool calls as folded cards, safe whatever a model or a tool writes; "" without calls.

    Args:
        runs: in their order.
        max_bytes: the most the HTML may take; calls that do not fit are counted.
    """
    rounds = len({run.round for run in runs}) > 1
    pieces: list[str] = []
    left = max_bytes
    for number, run in enumerate(runs):
        piece = _card(run.redacted(), rounds)
        left -= len(piece.encode())
        if left < 0:
            pieces.append(f'<div style="{_LABEL_STYLE}">and {len(runs) - number:,} more calls</div>')
            break
        pieces.append(piece)
    return "".join(pieces)


def tools_text(runs: Sequence[ToolRun]) -> str:
    """Return a line for each call, without times, so that the same run gives the same text."""
    return "\n".join(_line(run.redacted()) for run in runs)


def summarize_arguments(arguments: Mapping[str, Any] | str, limit: int) -> str:
    """Return arguments as they are written in a call, at most `limit` characters."""
    if isinstance(arguments, str):
        return shorten(" ".join(redact_json_text(arguments[: 4 * limit]).split()), limit)
    items = (
        f"{name}={repr(shorten(value, 80)) if isinstance(value, str) else shorten(_json(value), 80)}"
        for name, value in redact(arguments).items()
    )
    return shorten(", ".join(items), limit)


def server_label(server: str | None) -> str:
    """Return the name of an MCP server in a line, of which every character is seen; "" without a server."""
    name = " ".join(replace_surrogates(server or "").split())
    return show_controls(shorten(name, _MAX_SERVER_CHARS))


def progress_note(progress: ToolProgress) -> str:
    """Return what a server tells of its progress in a line, without the secrets of the call; "" where it says nothing.

    Example:
        >>> progress_note(progress)
        '3 of 10: reading the index'
    """
    note = " ".join(progress.note[: 4 * _MAX_NOTE_CHARS].split())
    if not note or progress.state != "running":
        return ""
    with contextlib.suppress(ValueError, RecursionError):
        note = scrub(note, collect_secrets(json.loads(progress.arguments)))
    return show_controls(shorten(replace_surrogates(redact_embedded(note)), _MAX_NOTE_CHARS))


def _line(run: ToolRun) -> str:
    server = server_label(run.server)
    call = f"{run.name}{f' · {server} ' if server else ''}({summarize_arguments(run.arguments, 120)})"
    edited = f" ({_edited(run)})" if run.edited else ""
    if run.status == "ran":
        end = f"→ {_result(run)}"
    elif run.status == "denied":
        end = f"{STATUS_WORDS['denied'][0]} denied" + (f": {run.reason}" if run.reason else "")
    else:
        end = " ".join(STATUS_WORDS[run.status]) + (f": {run.error}" if run.error else "")
    return replace_surrogates(show_controls(shorten(" ".join(f"{call}{edited} {end}".split()), _MAX_LINE_CHARS)))


def _result(run: ToolRun) -> str:
    """Return what the model was told; JSON without its secrets."""
    text = _sent_text(run)
    value = _parse_container(text)
    return text if value is None else _json(redact(value))


def _edited(run: ToolRun) -> str:
    return "edited by you" if run.decided_by == "reader" else f"edited by the {run.decided_by}"


def run_facts(run: ToolRun) -> str:
    """Return the outcome in a few words: the status, who edited the call, how long it took."""
    edited = [_edited(run)] if run.edited else []
    took = [f"{run.duration_s:.2f} s"] if run.duration_s >= 0.005 else []
    return " · ".join((STATUS_WORDS[run.status][1], *edited, *took))


def preview(run: ToolRun, limit: int) -> str:
    """Return the result, the reason or the error in at most `limit` characters."""
    text = _result(run) if run.status == "ran" else run.reason or run.error or ""
    return shorten(" ".join(text.split()), limit)


def format_arguments(arguments: Mapping[str, Any] | Sequence[Any] | str) -> str:
    """Return arguments as indented JSON without secrets; as they came where they are no JSON, or very long."""
    if isinstance(arguments, str) and len(arguments) > _MAX_JSON_CHARS:
        return redact_json_text(arguments)
    try:
        value = json.loads(arguments, object_pairs_hook=_no_duplicates) if isinstance(arguments, str) else arguments
        return json.dumps(redact(value), indent=2, ensure_ascii=False)
    except (TypeError, ValueError, RecursionError):
        return redact_json_text(arguments if isinstance(arguments, str) else str(arguments))


def _no_duplicates(pairs: list[tuple[str, object]]) -> dict[str, object]:
    if len(value := dict(pairs)) < len(pairs):
        raise ValueError("a key comes twice: hiding one of its values would mislead")
    return value


def _card(run: ToolRun, rounds: bool) -> str:
    name = escape_code(shorten(run.name, 100)) or "?"
    server = server_label(run.server)
    call = escape_text((f" · {server} " if server else "") + f"({summarize_arguments(run.arguments, 100)})")
    facts = escape_text(run_facts(run) + (f" · round {run.round}" if rounds else ""))
    head = f'{STATUS_WORDS[run.status][0]} <code>{name}</code><span style="{QUIET_STYLE}">{call} · {facts}</span>'
    parts = "".join(f'<div style="{_LABEL_STYLE}">{label}</div>{html}' for label, html in _parts(run))
    if run.content is not None and run.content.notes:
        notes = escape_text(shorten("; ".join(run.content.notes), 300))
        parts += f'<div style="{_LABEL_STYLE}">{notes}</div>'
    if run.traceback:
        text = _ANSI.sub("", run.traceback)
        block = _block_html(text[-4 * _MAX_VALUE_CHARS :], limit=4 * _MAX_VALUE_CHARS)
        parts += f'<details><summary style="{QUIET_STYLE}">Traceback</summary>{block}</details>'
    return f'<details style="{_CARD_STYLE}"><summary>{head}</summary>{parts}</details>'


def _parts(run: ToolRun) -> Iterator[tuple[str, str]]:
    """Yield a label and HTML for each part of a call."""
    yield "Arguments", _arguments_html(run.arguments)
    if run.proposed is not None:
        yield "What the model wanted", _arguments_html(run.proposed)
    if run.status == "denied" and run.reason:
        yield "Reason", _block_html(run.reason)
    if run.error:
        yield "Error", _block_html(run.error)
    content = run.content
    if content is not None and content.table is not None:
        yield "Result", _table_html(content.table[0], redact_table(*content.table))
    elif content is not None and content.images:
        yield "Result", strip_html([sent for _, sent in content.images])
    elif run.status == "ran":
        text = _sent_text(run)
        value = _parse_container(text)
        yield "Result", _block_html(text) if value is None else _arguments_html(value)
    elif run.sent and run.sent != run.error:
        # An edited call is in this text, as JSON.
        yield "The model was told", _block_html(redact_json_text(run.sent) if run.edited else run.sent)


def _sent_text(run: ToolRun) -> str:
    return redact_embedded(run.content.text if run.content is not None else run.sent)


def _arguments_html(value: Mapping[str, Any] | Sequence[Any] | str) -> str:
    if isinstance(value, str):
        return _block_html(redact_json_text(value))
    return _block_html(format_arguments(value), "json")


def _block_html(text: str, language: str = "", limit: int = _MAX_VALUE_CHARS) -> str:
    text = replace_surrogates(text)
    cut = shorten(text, limit)
    html = code_block(cut, language if cut is text else "")
    if cut is text:
        return html
    note = f"{len(text):,} characters in all; <code>.tool_runs</code> has them"
    return f'{html}<div style="{_LABEL_STYLE}">{note}</div>'


def _parse_container(text: str) -> Any:
    """Return the JSON object or list in a text; None where it holds something else, or an empty one."""
    if text.lstrip()[:1] not in ("{", "[") or len(text) > _MAX_JSON_CHARS:
        return None
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, (dict, list)) and value else None


def _json(value: Any) -> str:
    try:
        return json.dumps(value, ensure_ascii=False)
    except (TypeError, ValueError, RecursionError):
        return str(value)


def value_html(value: Any) -> str:
    """Render a JSON value: an object as names and values, a list of objects as rows, anything else as text."""
    if isinstance(value, Mapping):
        return _table_html((), [(str(name), _cell_text(item)) for name, item in value.items()])
    if isinstance(value, list) and value and all(isinstance(item, Mapping) for item in value):
        columns = list(dict.fromkeys(str(name) for item in value for name in item))
        return _table_html(columns, [[_cell_text(item.get(name, "")) for name in columns] for item in value])
    if isinstance(value, list):
        return _table_html((), [(_cell_text(item),) for item in value])
    return f"<div>{escape_text(shorten(_cell_text(value), 20_000))}</div>"


def _table_html(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Render cells as a table, at most 50 × 12 of them; without columns, the first cell of a row is its name."""
    width = max((len(row) for row in rows), default=len(columns))
    head = _cells_html("th", columns[:_MAX_COLUMNS])
    body = []
    for row in rows[:_MAX_ROWS]:
        names = 1 if not columns and len(row) > 1 else 0
        body.append(f"<tr>{_cells_html('th', row[:names])}{_cells_html('td', row[names:_MAX_COLUMNS])}</tr>")
    left_out = []
    if len(rows) > _MAX_ROWS:
        left_out.append(f"{len(rows) - _MAX_ROWS:,} rows")
    if width > _MAX_COLUMNS:
        left_out.append(f"{width - _MAX_COLUMNS:,} columns")
    note = f'<div style="{SMALL_STYLE}">and {" and ".join(left_out)} more</div>' if left_out else ""
    first = f"<thead><tr>{head}</tr></thead>" if head else ""
    table = f'<table style="{_TABLE_STYLE}">{first}<tbody>{"".join(body)}</tbody></table>'
    return f'<div style="overflow-x:auto">{table}</div>{note}'


def _cells_html(tag: str, texts: Sequence[str]) -> str:
    return "".join(
        f'<{tag} style="{_CELL_STYLE}">{escape_text(shorten(text, _MAX_CELL_CHARS))}</{tag}>' for text in texts
    )


def _cell_text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def image_facts(image: SentImage) -> tuple[str, ...]:
    """Return the lines below an image's name: pixels before and after, format, size, tokens, notes."""
    if image.size is None:
        return ("a link: the gateway fetches it",)
    sizes = [image.size] if image.original_size in (None, image.size) else [image.original_size, image.size]
    pixels = " → ".join("{} × {}".format(*size) for size in sizes)
    n_bytes = image.n_bytes
    weight = [image.format, f"{n_bytes / 1e6:.1f} MB" if n_bytes >= 1e6 else f"{max(1, round(n_bytes / 1000)):,} kB"]
    if image.tokens is not None:
        weight.append(f"≈ {image.tokens:,} tokens")
    return (pixels, " · ".join(weight), *image.notes)


def strip_html(images: Sequence[SentImage]) -> str:
    """Render images as a strip of thumbnails, safe whatever a file is called; "" without images.

    Args:
        images: in the order in which they are sent; the first 12 are shown, the others counted.
    """
    if not images:
        return ""
    tiles = "".join(_tile(*item) for item in strip_items(images))
    return f'<div class="amber-images" style="margin:0 0 .5em">{tiles}</div>'


def strip_items(images: Sequence[SentImage]) -> list[StripItem]:
    """Return name, facts and thumbnail of each image, for the live view; the last item may be "and 5 more".

    Where there are several, a name says which of them it is, in the order in which the model has them.
    """
    count = len(images)
    items = [
        (
            (f"{number} of {count} · " if count > 1 else "") + show_controls(shorten(image.name, _MAX_NAME_CHARS)),
            tuple(show_controls(shorten(line, 120)) for line in image_facts(image)),
            f"data:image/webp;base64,{base64.b64encode(image.thumbnail).decode('ascii')}" if image.thumbnail else "",
        )
        for number, image in enumerate(images[:MAX_THUMBNAILS], 1)
    ]
    if len(images) > MAX_THUMBNAILS:
        items.append((f"and {len(images) - MAX_THUMBNAILS:,} more", (), ""))
    return items


def strip_text(images: Sequence[SentImage]) -> str:
    """Return a line of text for each image, for a terminal."""
    lines = [
        " · ".join((shorten(image.name, _MAX_NAME_CHARS), *image_facts(image))) for image in images[:MAX_THUMBNAILS]
    ]
    if len(images) > MAX_THUMBNAILS:
        lines.append(f"and {len(images) - MAX_THUMBNAILS:,} more")
    return "\n".join(show_controls(line.replace("\n", " ")) for line in lines)


def _tile(name: str, lines: Sequence[str], thumbnail: str) -> str:
    # The name stands below the picture: an alternative text would say it twice.
    picture = f'<div><img alt="" src="{thumbnail}" style="{_PICTURE_STYLE}"></div>' if thumbnail else ""
    facts = "".join(f'<div style="{QUIET_STYLE}">{escape_text(line)}</div>' for line in lines)
    label = f'<div style="overflow-wrap:anywhere">{escape_text(name)}</div>'
    return f'<div style="{_TILE_STYLE}">{picture}{label}{facts}</div>'
