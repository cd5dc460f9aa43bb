"""One exchange in the report: its line in the table, and what unfolds below it."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from math import isfinite

from ..display.escape import code_text, shorten
from ..display.html import answer_html
from .drift import Said, Verdict
from .jsonvalues import Call, canonical, pretty
from .sidebyside import Line, Piece, side_by_side

__all__ = ["SIGNS", "Row", "change", "mean", "pill", "row_html", "seconds"]

SIGNS = {"same": "✓", "drifted": "≠", "flaky": "≈", "failed": "✕"}  # a status is never told by colour alone
_MOST_RUNS = 12  # columns of facts
_RENDERED = 60_000  # bytes of HTML for one rendered answer


@dataclass(slots=True, kw_only=True)
class Row:
    """One exchange: what was recorded, what came now, and the verdict."""

    notebook: str  # path as a reader would write it, relative
    cell: int | None  # code cell, counted from 1
    call: int  # within the cell, counted from 1
    prompt: str  # the last user message's start
    how: str  # the comparison, such as "similar:0.8"
    verdict: Verdict
    recorded: Said | None
    runs: tuple[Said, ...]


def pill(status: str, label: str) -> str:
    """A status as a coloured word with its sign."""
    known = status if status in SIGNS else "failed"
    return f'<span class="pill {known}"><span aria-hidden="true">{SIGNS[known]}</span> {code_text(label)}</span>'


def row_html(row: Row, number: int, *, detail: bool = True) -> str:
    """The row's `<tbody>`; without `detail` only its line and the verdict's reason."""
    verdict = row.verdict
    alike = [score for score in verdict.similarity if score is not None]
    prompt = code_text(shorten(" ".join(row.prompt.split()), 240)) or '<span class="empty">no text</span>'
    cell = "–" if row.cell is None else f"{row.cell:,}"
    cells = (
        f'<th role="rowheader" scope="row" class="c-cell">{cell}<span class="q"> · {row.call:,}</span></th>'
        f'<td role="cell" class="c-status">{pill(verdict.status, verdict.label)}</td>'
        f'<td role="cell" class="c-ask">{prompt}</td>'
        f'<td role="cell" class="c-how"><code class="how">{code_text(shorten(row.how, 60))}</code></td>'
        f'<td role="cell" class="c-like">{_score(min(alike)) if alike else _DASH}</td>'
        f'<td role="cell" class="c-tokens">{_from_to(row, lambda said: said.completion_tokens, _count)}</td>'
        f'<td role="cell" class="c-time">{_from_to(row, lambda said: said.total_s, seconds)}</td>'
    )
    status = verdict.status if verdict.status in SIGNS else "failed"
    why = code_text(shorten(verdict.why, 400)) or "Compared"
    below = f'<p class="q">{why}</p>'
    if detail:
        opened = "" if status == "same" else " open"
        below = f'<details{opened}><summary>{why}</summary><div class="body">{_body(row)}</div></details>'
    return (
        f'<tbody role="rowgroup" class="row {status}" id="row-{number}"><tr role="row">{cells}</tr>'
        f'<tr role="row" class="more"><td role="cell" aria-colspan="7" colspan="7">{below}</td></tr></tbody>\n'
    )


_DASH = '<span class="q">–</span>'


def _body(row: Row) -> str:
    now = row.runs[row.verdict.worst or 0] if row.runs else None
    name = "Now" if len(row.runs) < 2 else f"Now, run {(row.verdict.worst or 0) + 1} of {len(row.runs)}"
    return f"{_diffs(row, now, name)}{_rendered(row.recorded, now, name)}{_facts(row)}"


# --- what was said, line by line


def _diffs(row: Row, now: Said | None, name: str) -> str:
    old, new = row.recorded, now
    as_json = row.how == "json"
    sides: list[tuple[str, str | None, str | None]] = [
        ("Text as JSON, keys sorted" if as_json else "Text", *_pair(old, new, lambda said: _text(said, as_json))),
        ("Tool calls", *_pair(old, new, lambda said: _calls(said.tool_calls))),
        ("Refusal", *_pair(old, new, lambda said: said.refusal or "")),
        ("Error", *_pair(old, new, lambda said: said.error or "")),
    ]
    shown = [_diff(what, was, is_, name) for what, was, is_ in sides if was or is_]
    return "".join(shown) or '<p class="empty">Neither says anything.</p>'


def _pair(old: Said | None, new: Said | None, take: Callable[[Said], str]) -> tuple[str | None, str | None]:
    return (None if old is None else take(old)), (None if new is None else take(new))


def _text(said: Said, as_json: bool) -> str:
    return pretty(said.text) if as_json and len(said.text) < 500_000 else said.text


def _calls(calls: Sequence[Call]) -> str:
    """As a program would write them, in an order that does not depend on theirs."""
    return "\n".join(f"{name}({pretty(arguments)})" for name, arguments in sorted(calls, key=canonical))


def _diff(what: str, old: str | None, new: str | None, name: str) -> str:
    if old == new and old is not None:
        size = f"{len(old):,} characters"
        return f'<h3>{what}</h3><p class="q">Equal, {size}.</p>' if old else ""
    if old is None or new is None:  # one side only: nothing to mark
        only = [Line(" ", ((False, line),), ((False, line),)) for line in (old or new or "")[:12_000].splitlines()]
        lines = [Line(" ", line.old if new is None else (), line.new if old is None else ()) for line in only]
        if len(old or new or "") > 12_000:
            lines.append(Line("…", ((False, "the rest is not shown here"),)))
    else:
        lines = side_by_side(old, new)
    rows = "".join(_line(line) for line in lines)
    return (
        f'<h3>{what}</h3><table role="table" class="diff"><thead role="rowgroup"><tr role="row">'
        f'<th role="columnheader" scope="col">Recorded</th><th role="columnheader" scope="col">{name}</th></tr></thead>'
        f'<tbody role="rowgroup">{rows}</tbody></table>'
    )


def _line(line: Line) -> str:
    if line.sign == "…":
        return f'<tr role="row"><td role="cell" class="skip" colspan="2">{_marked(line.old, "span")}</td></tr>'
    equal = line.sign == " " and line.old and line.new
    left = _side(line.old, "del", "−" if line.sign in "~-" else "", "gone")
    right = _side(line.new, "ins", "+" if line.sign in "~+" else "", "come")
    return f'<tr role="row"{_EQUAL if equal else ""}>{left}{right}</tr>'


_EQUAL = ' class="equal"'


def _side(pieces: tuple[Piece, ...], element: str, sign: str, kind: str) -> str:
    if not pieces:
        return '<td role="cell" class="none"></td>' if not sign else f'<td role="cell" class="{kind}"></td>'
    if not sign:
        return f'<td role="cell">{_marked(pieces, element)}</td>'
    whole = len(pieces) == 1 and pieces[0][0]  # a whole line needs no marks within
    text = _marked(((False, pieces[0][1]),) if whole else pieces, element)
    return f'<td role="cell" class="{kind}"><span class="sign">{sign}</span>{text}</td>'


def _marked(pieces: Iterable[Piece], element: str) -> str:
    return "".join(
        f"<{element}>{code_text(text)}</{element}>" if changed else code_text(text) for changed, text in pieces
    )


# --- as the notebook shows it


@lru_cache(maxsize=64)
def _answer(text: str, refusal: str | None, calls: tuple[Call, ...], error: str | None) -> str:
    return answer_html(text, refusal=refusal, tool_calls=calls, notice=error, max_bytes=_RENDERED)


def _rendered(old: Said | None, new: Said | None, name: str) -> str:
    found = [(title, said) for title, said in (("Recorded", old), (name, new)) if said is not None]
    shown = [(title, _answer(said.text, said.refusal, said.tool_calls, said.error)) for title, said in found]
    if len(shown) == 2 and shown[0][1] == shown[1][1]:
        shown = [(f"Recorded and {name[0].lower()}{name[1:]}", shown[0][1])]
    sections = "".join(f"<section><h4>{title}</h4>{html}</section>" for title, html in shown)
    return (
        '<details class="inner"><summary>Rendered as in the notebook</summary>'
        f'<div class="two">{sections}</div></details>'
    )


# --- model, tokens, time


def _facts(row: Row) -> str:
    """A line for what was recorded, one for each run."""
    many = len(row.runs) > 1
    names = ["Model", "Finish reason", "Prompt tokens", "Completion tokens", "First token", "Whole reply"]
    names += ["Verdict", "Why"] if many else []
    old = row.recorded
    lines = [_fact_line("Recorded", _said_facts(old, None))] if old else []
    for index, run in enumerate(row.runs[:_MOST_RUNS]):
        facts = _said_facts(run, old)
        if many and index < len(row.verdict.outcomes):
            outcome = row.verdict.outcomes[index]
            why = f'<div class="why">{code_text(shorten(outcome.why, 240))}</div>'
            facts += [pill(outcome.status, outcome.status), why]
        lines.append(_fact_line(f"Run {index + 1}" if many else "Now", facts))
    more = len(row.runs) - _MOST_RUNS
    note = f'<p class="q">and {more:,} more runs</p>' if more > 0 else ""
    head = "".join(f'<th scope="col">{name}</th>' for name in names)
    return (
        '<h3>Tokens and time</h3><div class="scroll" tabindex="0" role="group" aria-label="Tokens and time">'
        f'<table class="facts"><thead><tr><td></td>{head}</tr></thead><tbody>{"".join(lines)}</tbody></table></div>'
        f"{note}"
    )


def _said_facts(said: Said, before: Said | None) -> list[str]:
    def changed(take: Callable[[Said], float | None], write: Callable[[float], str]) -> str:
        was, now = _finite(take(before)) if before else None, _finite(take(said))
        return "" if now is None else f"{write(now)} {change(was, now)}".rstrip()

    return [
        f'<div class="model">{code_text(shorten(said.model, 80))}</div>' if said.model else "",
        code_text(shorten(said.finish_reason or "", 40)),
        changed(lambda one: one.prompt_tokens, _count),
        changed(lambda one: one.completion_tokens, _count),
        changed(lambda one: one.first_token_s, seconds),
        changed(lambda one: one.total_s, seconds),
    ]


def _fact_line(name: str, facts: Sequence[str]) -> str:
    return f'<tr><th scope="row">{name}</th>{"".join(f"<td>{fact or _DASH}</td>" for fact in facts)}</tr>'


def _from_to(row: Row, take: Callable[[Said], float | None], write: Callable[[float], str]) -> str:
    was = _finite(take(row.recorded)) if row.recorded else None
    now = mean(take(run) for run in row.runs)
    if was is None and now is None:
        return _DASH
    ends = [_DASH if end is None else write(end) for end in (was, now)]
    return f"{ends[0]} → {ends[1]} {change(was, now)}".rstrip()


def mean(values: Iterable[float | None]) -> float | None:
    """The mean of those that are known."""
    known = [value for value in map(_finite, values) if value is not None]
    return sum(known) / len(known) if known else None


def change(was: float | None, now: float | None) -> str:
    """The change in per cent, quiet; nothing where there is none to speak of."""
    if not was or now is None:
        return ""
    percent = round(100 * (now - was) / was)
    if not percent:
        return '<span class="q">±0\u00a0%</span>'
    return f'<span class="q">{"+" if percent > 0 else "−"}{abs(percent):,}\u00a0%</span>'


def seconds(value: float) -> str:
    """A time a reader can compare: 340 ms, 1.2 s, 140 s."""
    if value < 0.9995:
        return f"{value * 1000:.0f}\u00a0ms"
    return f"{value:.1f}\u00a0s" if value < 99.95 else f"{value:,.0f}\u00a0s"


def _count(value: float) -> str:
    return f"{value:,.0f}"


def _score(value: float) -> str:
    return f"{int(value * 100) / 100:.2f}"


def _finite(value: float | None) -> float | None:
    return value if value is not None and isfinite(value) else None
