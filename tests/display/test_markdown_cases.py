"""What a model writes, and what a reader sees: one table; frontend/test/table.test.js reads it for the live answer."""

import json
import re
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from allowed import read
from canonical import canonical

from amber_nb.display.answer_html import markdown_html
from amber_nb.display.markdown_blocks import language_of
from amber_nb.display.markdown_lines import columns_of

HERE = Path(__file__).parent
CASES = json.loads((HERE / "markdown_cases.json").read_text(encoding="utf-8"))
LINKS = json.loads((HERE / "link_cases.json").read_text(encoding="utf-8"))
SHOWN = json.loads((HERE / "spec" / "shown.json").read_text(encoding="utf-8"))
EXAMPLES = {
    f"{suite} {number}": (markdown, html)
    for suite, number, _, markdown, html in json.loads((HERE / "spec" / "examples.json").read_text(encoding="utf-8"))
}


def shown(markdown):
    html = markdown_html(markdown)
    read(html)
    return canonical(re.sub(r'^<div class="amber-md" dir="auto"[^>]*>|</div>$', "", html))


@pytest.mark.parametrize("kind", CASES)
def test_a_kind(kind):
    assert len(CASES[kind]) >= 5
    assert {markdown: shown(markdown) for markdown, _ in CASES[kind]} == dict(CASES[kind])


@pytest.mark.parametrize("kind", CASES)
def test_no_letter_is_lost(kind):
    """Of what a model wrote all words are there; marks may go, and addresses that hide behind their labels."""
    for markdown, _ in CASES[kind]:
        text = "".join(read(markdown_html(markdown)).text)
        hidden = (
            r"\]\([^)]*\)|(?m:^ {0,3}\[[^\]^]+\]:.*(?:\n\S+)?$)|^[ >-]*(?:`{3,}|~{3,}).*$|&#?\w+;|</?\w+ ?/?>|^\d+[.)] "
        )
        wanted = re.findall(r"\w+", re.sub(hidden, " ", markdown, flags=re.MULTILINE))
        missing = [word for word in wanted if word not in text and word.strip("_") not in text]
        assert not missing, (markdown, missing)


def test_each_link_leads_where_both_views_say():
    """The table of cases leaves addresses out; here are the hosts of all links of a text."""
    addresses = {text: re.findall('href="([^"]*)"', markdown_html(text)) for text, _ in LINKS}
    assert {text: [urlsplit(url).netloc or url for url in urls] for text, urls in addresses.items()} == dict(LINKS)


# --- CommonMark's and GFM's own examples


def differences():
    """Return the groups that each example stands in."""
    groups = {}
    for part in (HERE / "spec" / "differences.md").read_text(encoding="utf-8").split("\n## ")[1:]:
        title, _, body = part.partition("\n")
        for suite, numbers in re.findall(r"^(commonmark|gfm): ([\d,\s]+)", body, re.MULTILINE):
            for number in re.findall(r"\d+", numbers):
                groups.setdefault(f"{suite} {number}", []).append(title)
    return groups


def test_each_example_is_shown_as_the_specification_has_it_or_as_is_explained():
    found = {key: shown(markdown) for key, (markdown, _) in EXAMPLES.items()}
    wanted = {key: SHOWN.get(key, canonical(html)) for key, (_, html) in EXAMPLES.items()}
    assert {key: text for key, text in found.items() if text != wanted[key]} == {}


def test_each_difference_is_explained_and_is_one():
    assert len(EXAMPLES) > 690
    assert differences().keys() == SHOWN.keys()
    assert [key for key in SHOWN if SHOWN[key] == canonical(EXAMPLES[key][1])] == []


# --- what stands beside the text


@pytest.mark.parametrize(
    ("info", "language", "file"),
    [
        ("python", "python", ""),
        (" python ", "python", ""),
        ("{python}", "python", ""),
        ("{python, echo=FALSE}", "python", ""),
        ("{.python .numberLines}", "python", ""),
        ("{code-cell} ipython3", "python", ""),
        ("{r}", "r", ""),
        ("python:src/app.py", "python", "src/app.py"),
        ("ts:a/b.ts", "ts", "a/b.ts"),
        ("src/app.py", "py", "src/app.py"),
        ("app.py", "py", "app.py"),
        ('python title="src/app.py"', "python", "src/app.py"),
        ("sh filename=run.sh", "sh", "run.sh"),
        ("js{1,3}", "js", ""),
        ("c++", "c++", ""),
        ("12:15:src/app.py", "py", "src/app.py"),
        ("1:2:Makefile", "", "Makefile"),
        (r"C:\x\y.py", "py", r"C:\x\y.py"),
        ("C:/x/Dockerfile", "", "C:/x/Dockerfile"),
        (r"python:C:\x\y.py", "python", r"C:\x\y.py"),
        ("lang:", "lang", ""),
        ("", "", ""),
    ],
)
def test_the_language_of_a_fence(info, language, file):
    assert language_of(info) == (language, file)


def test_code_with_a_name_in_braces_has_its_colours():
    for info in ("{python}", "python:a.py", "a.py", "{.python}"):
        assert ">return</b>" in markdown_html(f"```{info}\nreturn 1\n```"), info


@pytest.mark.parametrize(
    ("line", "columns"), [("abc", 3), ("中文", 4), ("é", 1), ("🙂", 2), ("", 0), ("ｶ", 1), ("Ａ", 2)]
)
def test_columns(line, columns):
    assert columns_of(line) == columns


@pytest.mark.parametrize("line", ["x" * 60, "中" * 30, "ab " * 20])
def test_a_full_line_flows(line):
    assert "<br>" not in markdown_html(f"{line.strip().ljust(60, 'x')}\nnext")
    assert "<br>" in markdown_html(f"{line[:-2].strip()[:57]}\nnext") if line[0] != "中" else True
    for sign in ("• a", "- a", "1. a", "b) a", "├── a", "✅ a", "→ a", "* a"):
        assert not re.search(r"[x中b]\n[^<]*a</p>", markdown_html(f"{line}\n{sign}")), sign


# --- from right to left


def test_each_block_is_written_from_its_own_side():
    html = markdown_html("שלום `f()` $x$\n\nhello\n\n- פריט\n\n| א | b |\n|---|--:|\n| ג | d |\n\n> ה\n\n# ו")
    read(html)
    for tag in ("p", "ul", "table", "h3"):
        assert f'<{tag} dir="auto"' in html, tag
    assert '<code dir="ltr">f()</code>' in html
    assert '<span dir="ltr">$x$</span>' in html
    assert 'text-align:start">ג' in html
    assert 'text-align:right">d' in html
    # A browser looks for letters where no `dir` stands: an item with one of its own would leave the list to the left.
    assert '<ul dir="auto"><li>פריט' in html.replace("\n", "")
    assert markdown_html("- א\n\n  ב\n  - ג").count("dir=") == 2


def test_a_text_from_left_to_right_is_as_it_was():
    assert markdown_html("hello\n\n- a").count("dir=") == 1
