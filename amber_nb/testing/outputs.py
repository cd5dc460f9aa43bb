"""Make outputs of a recording and of its replay comparable: without what differs though nothing has changed.

A client says in which mode it is and where it asks; a usage log has times; a progress bar has seconds; what a widget
`Output` shows stands in the widget's state; an object tells its address, a warning the process. Everything else is
compared as it is: what can be any figure, such as a bare number of seconds, is for the author to leave out.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import nbformat

from ..display.kernel import is_answer
from .cells import is_compared

__all__ = ["describe_times", "mask_output", "show_widgets", "widget_states"]

VIEW = "application/vnd.jupyter.widget-view+json"
STATE = "application/vnd.jupyter.widget-state+json"
_MODEL = "IPY_MODEL_"

# A client, an answer of older releases, and a tool run, wherever their text stands: in a list, a dict, a printed line.
# Of a client, pandas may show the beginning only.
_CLIENT = re.compile(r"\bAmber\(mode='\w+'(?:, base_url='[^']*'|[^'<\n]*(?:'[^'<\n]{0,40})?\.\.\.)?")
_ANSWER = re.compile(r"(\bfinish_reason=(?:'[^'\n]*'|None)), mode='\w+'\)")
_DURATION = re.compile(r"\b(duration_s|total_s|first_token_s|latency_s)(=|': |\": )(?:\d[\d.e+-]*|None)")
# Of a tool run; a replay runs no tool, and knows only what the model was told (`sent`).
_RESULT = re.compile(r"(\bToolRun\(name=.*?, result=).*?(, sent=')", re.DOTALL)
# As tqdm writes it: [00:03<00:12, 1.20it/s] and 3it [00:00, 8.1it/s]
_PROGRESS = re.compile(r"\[(?:\d+:)+\d\d(?:<(?:(?:\d+:)+\d\d|\?))?, +(?:[\d.]+[kMG]?|\?) ?[^\s\],]*/[^\s\],]+")
# As `%time` and `%timeit` write it. A line that says how the runs differed comes or not.
_TOOK = r"(?:\d[\d.]*(?:e[-+]?\d+)? ?(?:ns|[µμu]s|ms|s|min|h|d)\b ?)+"
_CPU = re.compile(rf"^(CPU times: )(?:(?:user|sys:|total:) {_TOOK}(?:, )?)+$|^(Wall time: ){_TOOK}$", re.MULTILINE)
_LOOPS = re.compile(rf"{_TOOK}± {_TOOK}per loop (\(mean ± std\. dev\. of \d+ runs?), [\d,]+ loops? each\)")
_SLOWEST = re.compile(
    r"^(?:The slowest run took [\d.]+ times longer than the fastest\..*|(?:Compiler|Parser) +: .*)\n(?:This could mean "
    r"that an intermediate result is being cached\.?\n)?",
    re.MULTILINE,
)
# Where an object lies, which process and thread it is, where packages are, when it was logged.
_NATURE = (
    (re.compile(r"\bat 0x[0-9a-fA-F]+(?:\.\.\.)?"), "at 0x…"),
    (re.compile(r"(Thread\([^()\n]*(?:\([^()\n]*\))?[^()\n]*, started(?: daemon)?) \d+\)"), r"\1 …)"),
    (re.compile(r"[^\s\"'<>(]*[/\\]ipykernel_\d+[/\\]"), "ipykernel/"),
    (re.compile(r"[^\s\"'<>(]*[/\\](?=(?:site|dist)-packages[/\\])"), ""),
    (re.compile(r"\b\d{4}-\d\d-\d\d \d\d:\d\d:\d\d,\d{3}\b"), "…"),
)
# Ids that pandas' styles and plotting libraries draw for an element of a page.
_ELEMENT = re.compile(
    r"(?<=[\"'#])T_[0-9a-f]{5}(?![0-9a-z])|\b[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}\b"
)
_MODE = re.compile(r"\b(?:record|replay|cache)\b")
_NAMES_MODE = re.compile(r"(?<!\w)mode(?!\w)")  # in a cell's source
_NAMES_TIME = re.compile(
    r"\.(?:first_token_s|total_s|latency_s|duration_s)\b|\b(?:perf_counter(?:_ns)?|process_time|monotonic|time\.time"
    r"|asctime|strftime|(?:\w+\.)?(?:now|utcnow|today)|uuid[14])(?=\()"
)
_TIME = re.compile(
    r"\b(?:first_token_s|total_s|latency_s|duration_s|perf_counter(?:_ns)?|process_time|monotonic|time\.time|asctime"
    r"|strftime|datetime\.now|utcnow|today|Timestamp\.now|uuid[14])\b"
)
_TIME = re.compile(r"\d\.\d|\de[-+]\d|\d:\d\d|\d{4}-\d\d|[0-9a-f]{8}-?[0-9a-f]{4}|\d{6}")
_CAUGHT = re.compile(r"\boutputs=\(.*", re.DOTALL)  # of the text of a widget, which may have caught them by now or not
# Columns of the usage log and of the tool runs that tell times, and such that tell them only in company.
_TIMES = ("latency_s", "first_token_s", "duration_s")
_COMPANY = ("mode", "time", "result")
_LOG = frozenset(("model", "tokens", "prompt_tokens", "completion_tokens", "cached_tokens", "sent", *_TIMES))
_ROW = re.compile(r"<tr\b.*?</tr>", re.DOTALL)
_CELL = re.compile(r"(<t[hd]\b[^>]*>)(.*?)(</t[hd]>)", re.DOTALL)
_HEADER = re.compile(rf"^.*\b(?:time +mode|{'|'.join(_TIMES)})\b.*$", re.MULTILINE)
_FIGURE = re.compile(
    r"\d{4}-\d\d-\d\d(?: \d\d:\d\d:\d\d[\d.+:]*)?|\b\d+\.\d+(?:e-?\d+)?\b|<NA>|\b(?:record|replay|live|cache)\b"
)


def mask_output(output: Mapping[str, Any], *, html: bool, source: str = "") -> Any:
    """Return an output without what differs between equal runs.

    Args:
        output: of a cell.
        html: the HTML of answers is compared, too.
        source: of the cell; where it asks for the mode, the mode's name is none of the output.
    """
    names_mode = bool(_NAMES_MODE.search(source))
    for name in ("text", "evalue"):
        if name in output:
            return nbformat.from_dict({**output, name: _mask_text(_join(output[name]), names_mode=names_mode)})
    data = output.get("data")
    if not data:
        return output
    data = dict(data)
    if is_answer(data) and not html:
        del data["text/html"]
    elif "text/html" in data:
        html_text = _mask_nature(_CLIENT.sub("Amber(", _ANSWER.sub(r"\1)", _join(data["text/html"]))))
        html_text = _ELEMENT.sub("…", html_text)
        masked = _mask_table(html_text)
        data["text/html"] = masked or html_text
        if masked:
            del data["text/plain"]  # the same in columns whose width follows from the figures
    if "text/plain" in data:
        text = _mask_text(_join(data["text/plain"]), names_mode=names_mode)
        data["text/plain"] = _CAUGHT.sub("outputs=…", text) if VIEW in data else text
    return nbformat.from_dict({**output, "data": data})


def _join(text: Any) -> str:
    return "".join(text) if isinstance(text, list) else str(text)


def describe_times(cells: Iterable[tuple[int, Any]]) -> Iterator[str]:
    """Yield a line for each cell that shows a time which nothing tells from the figures that count.

    `cells` are pairs of (number as nbval counts, cell).
    """
    for number, cell in cells:
        named = _NAMES_TIME.search(cell.source)
        if named and is_compared(cell) and any(map(_shows_figure, cell.outputs)):
            name = named[0].lstrip(".")
            yield (
                f"Cell {number} shows {name}, which is another each time: its replay will not compare. Tag it "
                "nbval-ignore-output, or leave the figure out"
            )


def _shows_figure(output: Mapping[str, Any]) -> bool:
    masked = mask_output(output, html=False)
    data = masked.get("data", {})
    text = _join(masked.get("text") or data.get("text/plain") or "")
    return bool(_TIME.search(text))


def _mask_nature(text: str) -> str:
    for pattern, instead in _NATURE:
        text = pattern.sub(instead, text)
    return text


def _mask_text(text: str, *, names_mode: bool = False) -> str:
    text = _mask_nature(_SLOWEST.sub("", text))
    text = _LOOPS.sub(r"… per loop \1)", _CPU.sub(r"\1\2…", text))
    text = _CLIENT.sub("Amber(", _ANSWER.sub(r"\1)", text))
    text = _PROGRESS.sub("[…", _DURATION.sub(r"\1\2…", _RESULT.sub(r"\1…\2", text)))
    if names_mode:
        text = _MODE.sub("…", text)
    if header := _HEADER.search(text):  # a table of pandas: what stands before it is something else
        table = _FIGURE.sub("…", text[header.start() :])
        text = text[: header.start()] + re.sub(r"[ \t]+", " ", table)
    return text


def _mask_table(html: str) -> str:
    """Return a table of pandas without its times; nothing where it has none."""
    rows = [list(_CELL.finditer(row[0])) for row in _ROW.finditer(html)] if "<table" in html else []
    across = [cell[2].strip() for cell in rows[0]] if rows else []
    down = [row[0][2].strip() if row else "" for row in rows]
    columns, lines = ({at for at, name in enumerate(names) if _tells_time(name, names)} for names in (across, down))
    if not columns | lines:
        return ""
    return "\n".join(
        "".join(
            f"{cell[1]}{'…' if (at in columns and number) or (at and number in lines) else cell[2]}{cell[3]}"
            for at, cell in enumerate(row)
        )
        for number, row in enumerate(rows)
    )


def _tells_time(name: str, names: list[str]) -> bool:
    return name in _TIMES or (name in _COMPANY and not _LOG.isdisjoint(names))


def show_widgets(outputs: Iterable[Mapping[str, Any]], states: Mapping[str, Any]) -> list[Any] | None:
    """Return outputs with what the widgets among them show behind each; None where the state of one is not known.

    Args:
        outputs: of a cell.
        states: of the widgets, by their models' ids.
    """
    shown: list[Any] = []
    for output in outputs:
        shown.append(output)
        view = output.get("data", {}).get(VIEW)
        if isinstance(view, Mapping):
            model = str(view.get("model_id"))
            if model not in states:
                return None
            shown += map(nbformat.from_dict, _caught(model, states, set()))
    return shown


def _caught(model: str, states: Mapping[str, Any], seen: set[str]) -> Iterator[Any]:
    """Yield what the `Output`s in a widget have caught, in the order in which they stand in it."""
    if model in seen or model not in states:
        return
    seen.add(model)
    state = states[model]
    if state.get("_model_name") == "OutputModel":
        yield from state.get("outputs") or ()
    for child in state.get("children") or ():
        if isinstance(child, str) and child.startswith(_MODEL):
            yield from _caught(child.removeprefix(_MODEL), states, seen)


def widget_states(metadata: Mapping[str, Any]) -> dict[str, Any]:
    """Return the states of the widgets that a notebook's file holds, by their models' ids."""
    kept = metadata.get("widgets", {}).get(STATE, {}).get("state", {})
    return {model: entry.get("state", {}) for model, entry in kept.items()}
