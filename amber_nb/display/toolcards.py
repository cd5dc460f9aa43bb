"""The calls of tools as they stay in the file: one folded line each, opened for arguments, result and time."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

from ..redact import masked, masked_table, masked_text, masked_within
from ..types import ToolRun, encodable
from .escape import code_text, prose, shorten, visible
from .highlight import code_html, theme_colours
from .markdown import STYLES
from .strip import strip_html
from .values import table_html

__all__ = ["WORDS", "facts", "gist", "pretty", "preview", "tools_html", "tools_text"]

WORDS = {
    "ran": ("✓", "ran"),
    "denied": ("⊘", "denied"),
    "invalid": ("✗", "wrong arguments"),
    "failed": ("✗", "failed"),
    "timeout": ("✗", "timed out"),
    "not_run": ("○", "not run"),
}
_CARD = "margin:0 0 .6em;padding:0 0 0 12px;border-left:3px solid rgba(128,128,128,.3)"
_QUIET = "opacity:.75"
_LABEL = "margin:.6em 0 .2em;font-size:85%;opacity:.75"
_LONGEST = 2_000  # characters of a value that is shown
_LONGEST_LINE = 200
_LONGEST_JSON = 50_000
_ANSI = re.compile(r"\x1b\[[0-9;?]*[ -/]*[@-~]|\x1b[@-_]")


def tools_html(runs: Sequence[ToolRun], *, max_bytes: int = 200_000) -> str:
    """The calls, safe whatever a model or a tool has said; "" without any.

    Args:
        runs: in their order.
        max_bytes: the most the HTML may take; calls that do not fit are counted.
    """
    rounds = len({run.round for run in runs}) > 1
    pieces: list[str] = []
    left = max_bytes
    for number, run in enumerate(runs):
        piece = _card(run.discreet(), rounds)
        left -= len(piece.encode())
        if left < 0:
            pieces.append(f'<div style="{_LABEL}">and {len(runs) - number:,} more calls</div>')
            break
        pieces.append(piece)
    return "".join(pieces)


def tools_text(runs: Sequence[ToolRun]) -> str:
    """A line for each call, the same whenever the same happens: no times."""
    return "\n".join(_line(run.discreet()) for run in runs)


def gist(arguments: Mapping[str, Any] | str, most: int) -> str:
    """Arguments as one would write the call."""
    if isinstance(arguments, str):
        return shorten(" ".join(masked_text(arguments[: 4 * most]).split()), most)
    listed = (f"{name}={_short(value)}" for name, value in masked(arguments).items())
    return shorten(", ".join(listed), most)


def _short(value: Any) -> str:
    return repr(shorten(value, 80)) if isinstance(value, str) else shorten(_json(value), 80)


def _line(run: ToolRun) -> str:
    call = f"{run.name}({gist(run.arguments, 120)})"
    edited = f" (edited by the {run.decided_by})" if run.edited else ""
    if run.status == "ran":
        end = f"→ {_result(run)}"
    elif run.status == "denied":
        end = f"{WORDS['denied'][0]} denied" + (f": {run.reason}" if run.reason else "")
    else:
        end = " ".join(WORDS[run.status]) + (f": {run.error}" if run.error else "")
    return encodable(visible(shorten(" ".join(f"{call}{edited} {end}".split()), _LONGEST_LINE)))


def _result(run: ToolRun) -> str:
    """What the model was told, as JSON without its secrets where it is that."""
    text = _told(run)
    value = _parsed(text)
    return text if value is None else _json(masked(value))


def facts(run: ToolRun) -> str:
    """What became of it, in a few words: whether it ran, who has changed it, how long it took."""
    edited = [f"edited by the {run.decided_by}"] if run.edited else []
    took = [f"{run.duration_s:.2f} s"] if run.duration_s >= 0.005 else []
    return " · ".join((WORDS[run.status][1], *edited, *took))


def preview(run: ToolRun, most: int) -> str:
    """What came of it, in a line or two: the result, or the reason or error."""
    said = _result(run) if run.status == "ran" else run.reason or run.error or ""
    return shorten(" ".join(said.split()), most)


def pretty(arguments: Mapping[str, Any] | Sequence[Any] | str) -> str:
    """Arguments as JSON in lines, without their secrets; as they came where they are no JSON, or very long."""
    if isinstance(arguments, str) and len(arguments) > _LONGEST_JSON:
        return masked_text(arguments)
    try:
        value = json.loads(arguments, object_pairs_hook=_no_duplicates) if isinstance(arguments, str) else arguments
        return json.dumps(masked(value), indent=2, ensure_ascii=False)
    except (TypeError, ValueError, RecursionError):
        return masked_text(arguments if isinstance(arguments, str) else str(arguments))


def _no_duplicates(pairs: list[tuple[str, object]]) -> dict[str, object]:
    if len(found := dict(pairs)) < len(pairs):
        raise ValueError("a key comes twice: hiding one of its values would mislead")
    return found


def _card(run: ToolRun, rounds: bool) -> str:
    sign, _ = WORDS[run.status]
    name = code_text(shorten(run.name, 100)) or "?"
    call = prose(f"({gist(run.arguments, 100)})")
    told = facts(run) + (f" · round {run.round}" if rounds else "")
    head = f'{sign} <code>{name}</code><span style="{_QUIET}">{call} · {prose(told)}</span>'
    return f'<details style="{_CARD}"><summary>{head}</summary>{"".join(_parts(run))}</details>'


def _parts(run: ToolRun) -> list[str]:
    parts = [_labelled("Arguments", _arguments(run.arguments))]
    if run.proposed is not None:
        parts.append(_labelled("What the model wanted", _arguments(run.proposed)))
    if run.status == "denied" and run.reason:
        parts.append(_labelled("Reason", _block(run.reason)))
    if run.error:
        parts.append(_labelled("Error", _block(run.error)))
    told = run.told
    if told is not None and told.table is not None:
        parts.append(_labelled("Result", table_html(told.table[0], masked_table(*told.table))))
    elif told is not None and told.images:
        parts.append(_labelled("Result", strip_html([sent for _, sent in told.images])))
    elif run.status == "ran":
        parts.append(_labelled("Result", _arguments(value) if (value := _parsed(_told(run))) else _block(_told(run))))
    elif run.sent and run.sent != run.error:
        # What was edited stands in there, as JSON.
        parts.append(_labelled("The model was told", _block(masked_text(run.sent) if run.edited else run.sent)))
    if told is not None and told.notes:
        parts.append(f'<div style="{_LABEL}">{prose(shorten("; ".join(told.notes), 300))}</div>')
    if run.traceback:
        text = _ANSI.sub("", run.traceback)
        block = _block(text[-4 * _LONGEST :], most=4 * _LONGEST)
        parts.append(f'<details><summary style="{_QUIET}">Traceback</summary>{block}</details>')
    return parts


def _told(run: ToolRun) -> str:
    return masked_within(run.told.text if run.told is not None else run.sent)


def _labelled(label: str, html: str) -> str:
    return f'<div style="{_LABEL}">{label}</div>{html}'


def _arguments(value: Mapping[str, Any] | Sequence[Any] | str) -> str:
    if isinstance(value, str):
        return _block(masked_text(value))
    return _block(pretty(value), "json")


def _block(text: str, language: str = "", most: int = _LONGEST) -> str:
    text = encodable(text)
    cut = shorten(text, most)
    html, used = code_html(cut, language if cut is text else "")
    colours = f' style="{theme_colours(used)}"' if used else ""
    note = (
        f'<div style="{_LABEL}">{len(text):,} characters in all; <code>.tool_runs</code> has them</div>'
        if cut != text
        else ""
    )
    return f'<pre dir="ltr" style="{STYLES["code"]}"><code{colours}>{html}</code></pre>{note}'


def _parsed(text: str) -> Any:
    """The JSON object or list in a text; None where it is something else."""
    if text.lstrip()[:1] not in ("{", "[") or len(text) > _LONGEST_JSON:
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
