"""What models write beside CommonMark, in a real JupyterLab: live as settled, from any side, without a network."""

from __future__ import annotations

import json
import pathlib
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import pytest
from nbformat import from_dict
from nbformat.v4 import new_code_cell, new_notebook, new_output
from playwright.sync_api import expect
from test_comfort_in_lab import LIVE, PARTS
from test_view_in_lab import setup

from amber_nb.display.answer_html import answer_html

pytestmark = pytest.mark.browser

TEXT = r"""## Forms

| what | written | shown |
|---|---|---|
| type | `int | None` | a bar within code |
| Bayes | $P(A|B)$ | and within a formula |
| too much | a | b | c |
| two lines | one<br>two | H<sub>2</sub>O, x<sup>2</sup>, <kbd>Ctrl</kbd>+<kbd>C</kbd> |

Revenue ($M) and Cost ($M); $AAPL/$MSFT; PATH=$HOME/bin:$PATH; but $n$th and $[0, 1)$.

**注意：**正文，これは**「重要」**です。

Roses are red,
Violets are blue.

project/
├── src/
│   └── app.py
└── README.md

settings:
  a: 1
  b:
    c: 2

```markdown
# Title
```python
x = 1
```
The end.
```

```python:src/app.py
return {"x": 1}
```

\begin{align}
a &= b + c \\
  &= d
\end{align}

$$
x = 1

+ 2
$$

שלום, זוהי פסקה מימין לשמאל עם `code()` ועם $x$.

- פריט ראשון
- second item

A claim[^1], and www.example.org.

[^1]: Its *source*.

The very end.
"""
FORMULAS = 6
SIDES = """root => [...root.querySelectorAll('p, li, ul, th, td, code, h4')]
  .filter(el => !el.matches('li > p')).map(el =>
  [el.tagName, el.innerText.replace(/\\s+/g, ' ').trim(), getComputedStyle(el).direction])"""
STARTS = """root => {
  const range = document.createRange();
  return [...root.querySelectorAll('p, li')].filter(el => !el.querySelector('p, li')).map(el => {
    range.selectNodeContents(el);
    const { left, right } = range.getBoundingClientRect();
    return [left, right].map(Math.round);
  });
}"""
WORDS = "root => root.innerText.replace(/\\s+/g, ' ').trim()"


@pytest.mark.parametrize("theme", ["Light", "Dark"])
def test_live_and_settled_show_the_same(notebook: Callable[..., Any], artefacts: pathlib.Path, theme: str) -> None:
    book = notebook([setup(TEXT), LIVE], theme=f"JupyterLab {theme}", viewport={"width": 1000, "height": 1900})
    book.run(0, wait=True)
    book.run(1)
    out = book.output(1)
    live = out.locator(".amber-text")
    expect(live).to_contain_text("The very end.")
    expect(live.locator("mjx-container")).to_have_count(FORMULAS)
    expect(live.locator("pre b")).to_have_count(1)  # return: the name of a file beside the language hides no colours
    parts, sides, words = out.locator(".amber-view").evaluate(PARTS), live.evaluate(SIDES), live.evaluate(WORDS)
    starts = live.evaluate(STARTS)
    out.screenshot(path=artefacts / f"forms-live-{theme.lower()}.png")
    out.locator(".amber-stop").click()
    book.finished(1)
    settled = out.locator(".amber-md")
    expect(settled.locator("mjx-container")).to_have_count(FORMULAS)
    out.screenshot(path=artefacts / f"forms-settled-{theme.lower()}.png")
    assert settled.evaluate(WORDS) == words
    assert settled.evaluate(SIDES) == sides
    assert settled.evaluate(STARTS) == starts
    assert {side for *_, side in sides} == {"ltr", "rtl"}
    now = out.locator(".amber-answer").evaluate(PARTS)
    assert [part[0] for part in now] == [part[0] for part in parts]
    moved = [
        (was, is_) for was, is_ in zip(parts, now, strict=True) if abs(was[1] - is_[1]) > 1 or abs(was[2] - is_[2]) > 1
    ]
    assert not moved
    assert "Math input error" not in words


def test_formulas_can_be_read_in_a_page_without_a_network(browser: Any, tmp_path: pathlib.Path) -> None:
    """MathJax comes from elsewhere there: each formula is its source, whole, with its delimiters and its lines."""
    text = TEXT + "\n\nRefused: $\\href{https://x.y}{x}$, priced $5.\n"
    output = new_output("display_data", {"text/html": answer_html(text), "text/plain": text})
    cell = new_code_cell("amber.ask('?')", outputs=[output], execution_count=1)
    path = tmp_path / "formulas.ipynb"
    path.write_text(json.dumps(from_dict(new_notebook(cells=[cell]))), encoding="utf-8")
    command = [sys.executable, "-m", "nbconvert", "--to", "html", path.name]
    subprocess.run(command, cwd=tmp_path, check=True, capture_output=True)
    page = browser.new_context().new_page()
    page.goto(path.with_suffix(".html").as_uri())
    answer = page.locator(".amber-md")
    seen = answer.inner_text()
    lines = "\\begin{align}\na &= b + c \\\\\n  &= d\n\\end{align}"
    for formula in ("$P(A|B)$", "$n$th", "$[0, 1)$", lines, "$$\nx = 1\n\n+ 2\n$$", "$x$", "$\\href{https://x.y}{x}$"):
        assert formula in seen, formula
    assert "priced $5." in seen
    assert page.locator("mjx-container, .MathJax").count() == 0
