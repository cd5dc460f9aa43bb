"""Whatever a gateway sends, nothing of it runs and nothing is fetched: live, settled, reopened, untrusted, exported.

That the witnesses see what they are there for is a test of its own: Lab's own display of such texts sets them all off.
"""

import json
import pathlib
import re
import subprocess
import sys
import threading
import time

import pytest
from gateway import DONE, Said, chunk, serve
from playwright.sync_api import TimeoutError, expect
from witness import Watch

SHOW = pathlib.Path(__file__).parents[1] / "show"
pytestmark = pytest.mark.browser

_ITEMS = json.loads((SHOW / "hostile.json").read_text(encoding="utf-8"))
NAMES, CORPUS = [item["name"] for item in _ITEMS], [item["text"] for item in _ITEMS]
SIZE = 45  # outputs of one cell: of more than 50 Lab hides some
GROUPS = [range(at, min(at + SIZE, len(CORPUS))) for at in range(0, len(CORPUS), SIZE)]


@pytest.fixture
def browser(browser):
    """conftest's browser, watched."""
    return Watch(browser)


# --- what the gateway sends


def said(prompt, go_on):
    """By the prompt's first word a way to be hostile, by its second the payload."""
    way, number = prompt.split()
    text = CORPUS[int(number)]
    if way == "refused":
        everything = json.dumps({"error": {"message": "\n".join(CORPUS), "code": text, "type": text}})
        return Said([everything.encode()], 400, "application/json")
    if way == "garbage":
        return Said([b"<html>" + text.encode("utf-8", "replace")], kind="text/html")
    if way == "fault":
        return Said([chunk({"content": text}), b"data: " + json.dumps({"error": {"message": text}}).encode() + b"\n\n"])
    return Said(content(text, go_on) if way == "content" else around(text, go_on))


def content(text, go_on):
    for at in range(0, len(text), 7):
        yield chunk({"content": text[at : at + 7]})
        time.sleep(0.02)
    go_on.wait(60)  # until the page has painted it
    yield chunk(finish="stop") + DONE


def around(text, go_on):
    """A harmless answer; hostile is all that stands around it."""
    functions = [{"name": text, "arguments": text}, {"name": text, "arguments": json.dumps({text: text})}]
    calls = [{"index": n, "id": text, "type": "function", "function": one} for n, one in enumerate(functions)]
    yield chunk({"reasoning_content": text}, model=text)
    yield chunk({"tool_calls": calls, "content": "Good day."})
    yield chunk({"refusal": text})
    go_on.wait(60)
    yield chunk(finish=text) + DONE


START = """
import asyncio, json
from amber_nb import Amber
from amber_nb.types import encodable
corpus = [encodable(item["text"]) for item in json.load(open({corpus!r}))]
amber = Amber(base_url={url!r}, api_key="ambrs-exampletoken", max_retries=0)
# So many views at once take a busy machine its time; the static HTML that stands in for late ones is not meant here.
import amber_nb.show.stage
amber_nb.show.stage.HELLO_S = amber_nb.show.stage.BUSY_S = 60
"""
ASK = """
way, numbers = {way!r}, range({start}, {stop})
_ = await asyncio.gather(*(amber.ask_async(f"{{way}} {{n}}", model=f"{{way}}-{{n}} {{corpus[n]}}") for n in numbers))
"""
FAIL = """
for prompt in {prompts}:
    try:
        amber.ask(prompt)
    except Exception:
        get_ipython().showtraceback()
print("all refused")
"""
PAINTED = "sizes => Object.entries(sizes).every(([name, size]) => window.views[name]?.[0] >= size)"
CACHE = {}


@pytest.fixture
def answered(notebook, browser):
    """All of the corpus asked for in Lab, once; what was seen meanwhile, and the saved file."""
    if CACHE:
        return CACHE
    released = {}
    problems = {"live": [], "settled": []}
    with serve(lambda prompt: said(prompt, released[prompt.split()[0], int(prompt.split()[1]) // SIZE])) as url:
        asks = [(way, group) for way in ("content", "around") for group in GROUPS]
        cells = [ASK.format(way=way, start=group.start, stop=group.stop) for way, group in asks]
        prompts = ["refused 0", *(f"garbage {n}" for n in range(5)), *(f"fault {n}" for n in range(0, 223, 15))]
        released |= {(prompt.split()[0], int(prompt.split()[1]) // SIZE): None for prompt in prompts}
        book = notebook(
            [START.format(url=url, corpus=str(SHOW / "hostile.json")), *cells, FAIL.format(prompts=prompts)]
        )
        book.run(wait=True)
        for index, (way, group) in enumerate(asks, 1):
            go_on = released[way, group.start // SIZE] = threading.Event()
            book.run(index)
            sizes = {f"{way}-{n}": -(-_utf16(CORPUS[n] if way == "content" else "Good day.") // 4) for n in group}
            try:
                book.page.wait_for_function(PAINTED, arg=sizes)
            except TimeoutError:
                views = book.page.evaluate("window.views")
                late = {name: views.get(name) for name, size in sizes.items() if views.get(name, [0])[0] < size}
                pytest.fail(f"these views do not show their text: {late}")
            problems["live"] += browser.problems(book.page, least=2 * len(group))
            go_on.set()
            book.finished(index)
            expect(book.output(index).locator(".amber-answer")).to_have_count(len(group))
            problems["settled"] += browser.problems(book.page, least=2 * len(group))
        shown = book.page.evaluate("window.views")
        book.run(len(asks) + 1, wait=True)
        expect(book.output(len(asks) + 1)).to_contain_text("all refused")
        problems["settled"] += browser.problems(book.page)
        errors = book.output(len(asks) + 1).inner_text()
    CACHE.update(problems=problems, shown=shown, errors=errors, saved=book.saved(), path=book.path)
    return CACHE


def _utf16(text):
    return len(text.encode("utf-16-le", "surrogatepass")) // 2


def test_live_and_settled(answered):
    assert answered["problems"] == {"live": [], "settled": []}
    texts = {name: text for name, (_, text) in answered["shown"].items()}
    assert all(texts[f"content-{n}"].strip() for n in range(len(CORPUS)))
    # What would be run is there to be read.
    tags = [n for n, name in enumerate(NAMES) if re.match(r"script|event handler|frame|svg|image tag", name)]
    assert len(tags) >= 30
    assert [n for n in tags if texts[f"content-{n}"] != CORPUS[n]] == []
    cells = answered["saved"]["cells"]
    kept = ["".join(output["data"]["text/plain"]) for cell in cells[1 : len(GROUPS) + 1] for output in cell["outputs"]]
    assert kept == [text.encode("utf-16", "surrogatepass").decode("utf-16", "replace") for text in CORPUS]
    for error in ("BadRequestError", "BadReply", "StreamCut"):
        assert error in answered["errors"]


def again(notebook, saved, path):
    """Reopened from another file, or the same one; every answer must be on the page."""
    book = notebook.saved(path)
    expect(book.page.locator(".jp-Notebook .amber-answer")).to_have_count(saved)
    book.page.wait_for_timeout(1000)  # MathJax comes a moment later
    trusted = book.page.evaluate("jupyterapp.shell.currentWidget.content.widgets.map(cell => cell.model.trusted)")
    marked = book.page.locator(".jp-OutputArea-output.jp-mod-trusted .amber-answer").count()
    return book, set(trusted), marked


def count(answered):
    outputs = [output for cell in answered["saved"]["cells"] for output in cell["outputs"]]
    shown = [output for output in outputs if "".join(output.get("data", {}).get("text/html", ""))]
    assert len(shown) >= 2 * len(CORPUS)
    return len(shown)


def test_reopened_trusted(answered, notebook, browser, lab):
    book, trusted, marked = again(notebook, count(answered), answered["path"])
    assert (trusted, marked) == ({True}, count(answered))
    assert browser.problems(book.page, least=2 * count(answered)) == []
    # What a reader wants may happen: a link opens, in a page that cannot reach this one and is not told which it is.
    link = book.page.locator('.amber-answer a[href="https://evil.example/"]').first
    with book.page.context.expect_page() as opened:
        link.click()
    opened.value.wait_for_load_state()
    assert opened.value.evaluate("window.opener") is None
    assert "request: https://evil.example/" in browser.alarms
    assert kinds(browser.alarms) == {"popup", "request"}
    assert browser.referrers == [f"{lab.url}/"]


def test_reopened_untrusted(answered, notebook, browser):
    """Changed by other hands, the file has lost its signature."""
    saved = answered["saved"]
    saved["cells"][0]["source"] = ["# changed\n"]
    path = answered["path"].with_name("untrusted.ipynb")
    path.write_text(json.dumps(saved), encoding="utf-8")
    book, trusted, marked = again(notebook, count(answered), path)
    assert (trusted, marked) == ({False}, 0)
    assert browser.problems(book.page, least=2 * count(answered)) == []


def display_data(data):
    return {"output_type": "display_data", "metadata": {}, "data": {**data, "text/plain": "x"}}


def exported(browser, path):
    command = [sys.executable, "-m", "nbconvert", "--to", "html", path.name]
    subprocess.run(command, cwd=path.parent, check=True, capture_output=True)
    page = browser.new_context().new_page()
    page.goto(path.with_suffix(".html").as_uri())
    return page


def test_exported(answered, browser, tmp_path):
    """What nbconvert's own page asks of the network is what it asks with harmless outputs."""
    saved = json.dumps(answered["saved"])
    harmless = json.loads(saved)
    for cell in harmless["cells"]:
        cell["outputs"] = [display_data({"text/html": '<div class="amber-answer">x</div>'}) for _ in cell["outputs"]]
    (tmp_path / "hostile.ipynb").write_text(saved, encoding="utf-8")
    (tmp_path / "harmless.ipynb").write_text(json.dumps(harmless), encoding="utf-8")
    found = {}
    for name in ("harmless", "hostile"):
        page = exported(browser, tmp_path / f"{name}.ipynb")
        found[name] = browser.problems(page)
    assert page.locator(".jp-OutputArea-output .amber-answer").count() == count(answered)
    assert found["hostile"] == found["harmless"]
    assert kinds(found["harmless"]) <= {"request"}


SHOWN = """
import json
from IPython.display import HTML, Markdown, display
for text in json.load(open("texts.json")):
    display({kind}(text))
"""


def kinds(problems):
    return {problem.partition(":")[0] for problem in problems}


def test_the_detectors_see_it(notebook, browser, lab):
    """Lab's own display of such texts, and nbconvert's, sets all of them off."""
    # Not those that take Lab itself apart: no cell would end.
    some = re.compile("script|event handler 1|frame 2|style 1|svg|image tag 1|image 1|javascript link 1|command linker")
    texts = [text for name, text in zip(NAMES, CORPUS, strict=True) if some.match(name)]
    (lab.work / "texts.json").write_text(json.dumps(texts))
    mimes = {"Markdown": "text/markdown", "HTML": "text/html"}
    book = notebook([SHOWN.format(kind=kind) for kind in mimes])
    for index in range(len(mimes)):
        book.run(index, wait=True)
        expect(book.output(index).locator(".jp-OutputArea-output")).to_have_count(len(texts))
        expect(book.output(index).locator("[data-jupyter-id]")).to_have_count(1)  # the last one
        seen = kinds(browser.problems(book.page))
        assert seen >= {"script", "request", "element", "command", "popup", "navigation"}
    saved = json.loads(book.path.read_text())
    for cell, mime in zip(saved["cells"], mimes.values(), strict=True):
        cell["outputs"] = [display_data({mime: text}) for text in texts]
    path = book.path.with_name("untrusted-too.ipynb")
    path.write_text(json.dumps(saved))
    book = notebook.saved(path)
    expect(book.page.locator(".jp-OutputArea-output")).to_have_count(len(mimes) * len(texts))
    # Of what is not trusted Lab takes the scripts, and leaves the pictures.
    assert kinds(browser.problems(book.page)) >= {"request", "element"}
    book.page.locator(".jp-OutputArea-output").first.evaluate("el => { el.innerHTML = '<a href=vbscript:x>x</a>' }")
    assert "link: vbscript:x" in browser.problems(book.page)
    assert kinds(browser.problems(exported(browser, path))) >= {"script", "request", "element"}
