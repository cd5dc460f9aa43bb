"""Colours of code: readable on light and dark, small, for a closed list of languages."""

import re

import pytest
from allowed import read
from pygments.lexers import find_lexer_class_by_name

from amber_nb.display import highlight
from amber_nb.display.answer_html import markdown_html
from amber_nb.display.escape import escape_code
from amber_nb.display.highlight import COLOURS, LANGUAGES, code_html

CODE = {
    "python": (
        "import os\n\n@cache\ndef load(path: str, n: int = 3) -> list[str]:\n"
        '    """Read the lines of a file."""\n    with open(path) as file:  # closed at the end\n'
        "        lines = [line.strip() for line in file if line and not line.startswith('#')]\n"
        "    return lines[:n] or None\n"
    ),
    "sql": (
        "SELECT city, COUNT(*) AS orders\nFROM sales\nWHERE total > 10.5 AND city <> 'Aachen'\n"
        "GROUP BY city -- all\nORDER BY 2;\n"
    ),
    "json": '{\n  "city": "Aachen",\n  "days": 3,\n  "ok": true,\n  "items": [\n    1,\n    2.5,\n    null\n  ]\n}\n',
    "bash": "set -e\nfor file in *.csv; do\n  echo \"$file\" | sort > out.txt  # keep\ndone\npip install 'x>=3'\n",
    "javascript": "const f = async (x) => {\n  // wait\n  return await fetch(`/a/${x}`).then(r => r.json());\n};\n",
    "html": '<div class="a" id="b">\n  <!-- x -->\n  <p>Text &amp; more</p>\n</div>\n',
    "yaml": "name: test\non: [push]\njobs:\n  a:\n    steps:\n      - run: echo 1  # x\n",
    "diff": "--- a\n+++ b\n@@ -1 +1 @@\n-old line of text\n+new line of text\n",
    "r": "fit <- lm(y ~ x, data = d)  # linear\nsummary(fit)\nif (TRUE) print('x')\n",
}


def luminance(colour: str) -> float:
    digits = colour[1:] if len(colour) == 7 else "".join(2 * digit for digit in colour[1:])
    parts = (int(digits[i : i + 2], 16) / 255 for i in (0, 2, 4))
    red, green, blue = (part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def contrast(one: str, other: str) -> float:
    low, high = sorted((luminance(one), luminance(other)))
    return (high + 0.05) / (low + 0.05)


@pytest.mark.parametrize("kind", COLOURS)
def test_colours_read_on_light_and_dark(kind: str) -> None:
    # 4.5 on both is impossible: white against #111 is 18.9, and the square root of that is 4.35.
    assert contrast(COLOURS[kind][0], "#fff") >= 4.5
    assert contrast(COLOURS[kind][0], "#111") >= 4.0


@pytest.mark.parametrize("language", CODE)
def test_code_is_coloured_and_small(language: str) -> None:
    code = CODE[language]
    html, used = code_html(code, language)
    assert used
    assert "".join(read(f"<pre><code>{html}</code></pre>").text) == code
    for text in (f"```{language}\n{code}```\n", f"```{language}\n{code * 20}```\n"):
        assert len(markdown_html(text).encode()) <= 8 * len(text.encode()) + 2_000


def test_minified_code_does_not_swell() -> None:
    code = '{"a":1,"b":2,"c":[1,2,3,4]},' * 50
    html, _ = code_html(f"[{code}0]", "json")
    assert len(html) <= 6 * len(code) + 500


@pytest.mark.parametrize("language", ["", "mermaid", "ruBBish", "text", "output", "../../x", "python3.11", "<b>"])
def test_an_unknown_language_is_plain(language: str) -> None:
    assert code_html("def f(): <x>", language) == ("def f(): &lt;x&gt;", "")


def test_neighbours_of_one_colour_are_one_piece() -> None:
    assert code_html("x is not None", "python")[0].count("<b") == 1


def test_long_code_is_plain() -> None:
    assert code_html("x = 1\n" * 4_000, "python")[1] == ""


def test_every_language_has_a_lexer() -> None:
    for name in LANGUAGES:
        find_lexer_class_by_name(highlight._ALIASES.get(name, name))  # to make one takes long


LONG_MADE = {"scala", "julia", "jl", "matlab"}


@pytest.mark.parametrize(
    "language", [pytest.param(name, marks=[pytest.mark.slow] * (name in LONG_MADE)) for name in sorted(LANGUAGES)]
)
def test_a_lexer_changes_nothing(language: str) -> None:
    code = "\n\n  a <b> \"c' \\ \t $d {e} # f\n\n\n"
    html, _ = code_html(code, language)
    assert "".join(read(f"<pre><code>{html}</code></pre>").text) == code


@pytest.mark.parametrize("unit", ["\n", " ", '\\"', "(", "<", "/*", '"""', "# "])
@pytest.mark.parametrize("language", ["python", "c", "java", "sql", "bash", "html"])
def test_code_that_a_lexer_may_take_long_over_is_not_given_to_it(
    unit: str, language: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(highlight, "_runs", lambda code, name: pytest.fail(f"{name} is read"))
    code = unit * (3_500 // len(unit))
    assert code_html(code, language) == (escape_code(code), "")


def test_bidi_controls_show_in_code() -> None:
    html, _ = code_html("x = '\u202e'  # \u2066a\u2069", "python")
    assert not re.search("[\u202a-\u202e\u2066-\u2069]", html)
    assert "[U+202E]" in html


def test_the_colouring_of_one_answer_is_bounded() -> None:
    block = "```python\n" + "x = load(a, b)  # the number\n" * 600 + "```\n\n"
    html = markdown_html(block * 5, max_bytes=5_000_000)
    assert html.count("<pre") == 5
    assert [("var(--c)" in part) for part in html.split("<pre")[1:]] == [True, True, False, False, False]
