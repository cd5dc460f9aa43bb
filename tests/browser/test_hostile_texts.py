"""Whatever a gateway sends, nothing of it runs and nothing is fetched: live, settled, reopened, untrusted, exported.

Live views and tool cards are on a page without a kernel, the settled answers in a notebook that JupyterLab opens; a
sample goes the whole way through a kernel. That the witnesses see what they are there for is a test of its own.
"""

import json
import pathlib
import re
import subprocess
import sys
from types import SimpleNamespace

import pytest
from gateway import DONE, Said, chunk, serve
from nbformat import from_dict
from nbformat.sign import NotebookNotary
from playwright.sync_api import expect
from witness import Watch

from amber_nb import Amber
from amber_nb.display import ToolInspector, answer_html, tools_html, tools_text
from amber_nb.mcp_servers.listing import listing_html, read_tools
from amber_nb.mcp_servers.results import read_result
from amber_nb.types import (
    InputRequest,
    ToolCall,
    ToolCallDelta,
    ToolContent,
    ToolProgress,
    ToolRun,
    replace_surrogates,
)

SHOW = pathlib.Path(__file__).parents[1] / "display"
pytestmark = pytest.mark.browser

_ITEMS = json.loads((SHOW / "hostile.json").read_text(encoding="utf-8"))
NAMES, CORPUS = [item["name"] for item in _ITEMS], [item["text"] for item in _ITEMS]
SOME = range(0, len(CORPUS), 17)  # for what goes through a kernel


@pytest.fixture
def browser(browser):
    """conftest's browser, watched."""
    return Watch(browser)


# --- live, without a kernel


def test_live_views_run_nothing(static_page, browser):
    view = static_page(clock=True)
    texts = [replace_surrogates(text) for text in CORPUS]
    views = [[f"view-{n} {text}", text] for n, text in enumerate(texts)]
    view.page.evaluate(
        """views => {
            for (const [title, text] of views) {
                const number = show({ title, badge: text });
                stream(text, 7, 0, number);
                models[number].receive({ n: text });
            }
        }""",
        views,
    )
    view.page.clock.run_for(5_000)  # a line that is held is shown when no text comes
    view.page.clock.resume()
    assert browser.problems(view.page, least=2 * len(CORPUS)) == []
    assert view.requests == []
    # What would be run is there to be read.
    tags = [n for n, name in enumerate(NAMES) if re.match(r"script|event handler|frame|svg|image tag", name)]
    assert len(tags) >= 30
    shown = view.page.locator(".amber-text").evaluate_all("logs => logs.slice(1).map(log => log.textContent)")
    assert all(text.strip() for text in shown)
    assert [n for n in tags if shown[n] != texts[n]] == []
    notes = view.page.locator(".amber-note").evaluate_all("notes => notes.slice(1).map(note => note.textContent)")
    assert notes == texts


def events_and_runs(texts):
    """Every text as a tool's name, arguments, result and error: calls that wait, that have failed, that are written."""
    for number, text in enumerate(texts):
        event = ToolCallDelta(number, text, text)
        run = ToolRun(
            name=text, arguments={text: text}, status="denied", reason=text, sent=text,
            content=ToolContent(text=text, table=((text,), ((text,),)), notes=(text,)),
        )  # fmt: skip
        if number % 3 == 1:
            run = ToolRun(
                name=text, arguments={text: text}, status="failed", error=text, sent=text, traceback=text
            )  # fmt: skip
            event = ToolProgress(index=number, round=1, name=text, arguments=text, state="over", run=run)
        yield event, run


def test_tool_cards_run_nothing(static_page, browser, monkeypatch):
    sent = []
    inspector = ToolInspector(sent.append, SimpleNamespace(can_send=True))
    for event, _ in events_and_runs(CORPUS):
        inspector.handle(event)
    for number in range(0, len(CORPUS), 3):
        text = CORPUS[number]
        inspector.handle(ToolProgress(index=number, round=1, name=text, arguments=text, state="waiting"))
        parts = {name: {"type": "string", "description": text, "enum": [text]} for name in (text, "b")}
        parts["c"] = {"type": "string"}
        call = ToolCall(id="x", name=text, arguments={text: text, "b": [text], "password": text})
        spec = {"function": {"description": text, "parameters": {"properties": parts}}}
        inspector.ask(call, number, spec=spec, check=lambda _: "", defaults={"c": text}, warning=text, scope=text)
    for number in range(2, len(CORPUS), 3):
        text = CORPUS[number]
        inspector.handle(ToolProgress(index=number, round=1, name=text, arguments=text, state="running", note=text))
        one = {"type": "string", "title": text, "description": text, "default": text}
        options = [{"const": text, "title": text}]
        several = {"type": "array", "items": {"anyOf": options}}
        schema = {"properties": {text: one, "b": {"type": "string", "oneOf": options, "title": text}, "c": several}}
        asking = ToolCall(id="x", name=text, arguments={}, server=text)
        inspector.ask_input(InputRequest(text, text, schema), asking, number, check=lambda _: "")
    inspector.deliver(0.0)
    view = static_page(part="c")
    for message in sent:
        view.receive(**json.loads(json.dumps(message)))
    inspector.close()
    out = view.output()
    expect(out.locator(".amber-call")).to_have_count(216)
    expect(out.get_by_role("button", name="Deny…", exact=True)).to_have_count(75)
    expect(out.get_by_role("button", name="Decline", exact=True)).to_have_count(len(CORPUS[2::3]))
    for one in out.get_by_role("button", name="JSON", exact=True).all()[:5]:
        one.click()
    assert browser.problems(view.page, least=2_000) == []
    assert view.requests == []


def test_the_witnesses_of_a_page_see_it(static_page, browser):
    view = static_page()
    texts = [text for name, text in zip(NAMES, CORPUS, strict=True) if re.match("script|event handler 1|image", name)]
    view.page.evaluate(
        "texts => document.querySelector('.jp-OutputArea-output').append(...texts.map(text => "
        "document.createRange().createContextualFragment(text)))",
        texts,
    )
    view.page.wait_for_load_state("networkidle")
    assert {problem.partition(":")[0] for problem in browser.problems(view.page)} >= {"script", "element"}
    assert view.requests
    view.problems.clear()


# --- settled: all of it in a notebook


def said(prompt):
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
    return Said(content(text) if way == "content" else around(text))


def content(text):
    for at in range(0, len(text), 7):
        yield chunk({"content": text[at : at + 7]})
    yield chunk(finish="stop") + DONE


def around(text):
    """A harmless answer; hostile is all that stands around it."""
    functions = [{"name": text, "arguments": text}, {"name": text, "arguments": json.dumps({text: text})}]
    calls = [{"index": n, "id": text, "type": "function", "function": one} for n, one in enumerate(functions)]
    yield chunk({"reasoning_content": text}, model=text)
    yield chunk({"tool_calls": calls, "content": "Good day."})
    yield chunk({"refusal": text})
    yield chunk(finish=text) + DONE


def of_servers():
    """What MCP servers list and return, as they are shown."""
    tools = [{"name": text[:128], "description": text} for text in dict.fromkeys(CORPUS)]
    for start in range(0, len(tools), 100):  # a table shows a hundred
        listed = read_tools({"tools": tools[start : start + 100]})
        yield listing_html(CORPUS[start], listed, trusted=False)
    for text in CORPUS:
        text = replace_surrogates(text)
        block = {"type": "resource_link", "uri": text, "name": text}
        hits = {"hits": [{"title": text, "url": f"https://evil.example/{text}", text: text}]}
        result = {"content": [{"type": "text", "text": text}, block], "structuredContent": hits}
        for is_error in (False, True):
            found = read_result({**result, "isError": is_error}, server=text, tool=text, arguments={text: text})
            yield found._repr_mimebundle_()["text/html"]


def display_data(data):
    return {"output_type": "display_data", "metadata": {}, "data": {"text/plain": "x", **data}}


def notebook_of(*outputs_of_cells):
    """A notebook whose cells have these outputs."""
    cells = [
        {"cell_type": "code", "id": f"c{n}", "metadata": {}, "execution_count": 1, "outputs": outputs, "source": "1"}
        for n, outputs in enumerate(outputs_of_cells)
    ]
    return {"cells": cells, "metadata": {}, "nbformat": 4, "nbformat_minor": 5}


@pytest.fixture(scope="module")
def settled():
    """A notebook with an answer for every text, twice, and the calls of tools; 45 outputs a cell: Lab hides more."""
    with serve(said) as url:
        amber = Amber(base_url=url, api_key="ambrs-exampletoken", max_retries=0)
        bundles = [
            amber.ask(f"{way} {n}", model=f"{way}-{n} {replace_surrogates(text)}", show=False)._repr_mimebundle_()
            for way in ("content", "around")
            for n, text in enumerate(CORPUS)
        ]
        amber.close()
    kept = [bundle["text/plain"] for bundle in bundles[: len(CORPUS)]]
    assert kept == [text.encode("utf-16", "surrogatepass").decode("utf-16", "replace") for text in CORPUS]
    runs = [run for _, run in events_and_runs(CORPUS)]
    html = answer_html("", head=tools_html(runs))
    bundles.append({"text/html": html, "text/plain": tools_text(runs)})
    servers = list(of_servers())
    bundles.append({"text/html": "".join(servers), "text/plain": "x"})
    outputs = [display_data(bundle) for bundle in bundles]
    count = len(outputs) - 1 + len(servers)  # what servers list and return is in one output
    return notebook_of(*(outputs[at : at + 45] for at in range(0, len(outputs), 45))), count


def opened(notebook, lab, settled, name, *, sign):
    """The notebook in Lab, with or without a signature that makes it trusted."""
    book, count = json.loads(json.dumps(settled))
    book["cells"][0]["source"] = f"# {name}"  # what is signed is the content, whatever the file is called
    path = lab.work / f"{name}.ipynb"
    path.write_text(json.dumps(book), encoding="utf-8")
    if sign:
        notary = NotebookNotary(data_dir=str(lab.settings.parents[2] / "data"))
        notary.sign(from_dict(book))
        notary.store.close()
    page = notebook.saved(path)
    expect(page.page.locator(".jp-Notebook .amber-answer")).to_have_count(count)
    page.page.wait_for_function("document.querySelector('mjx-container')")  # MathJax comes a moment later
    trusted = page.page.evaluate("jupyterapp.shell.currentWidget.content.widgets.map(cell => cell.model.trusted)")
    marked = page.page.locator(".jp-OutputArea-output.jp-mod-trusted .amber-answer").count()
    return page, set(trusted), marked


def test_reopened(settled, notebook, browser, lab):
    """Untrusted, and then trusted: Lab leaves more of the HTML as it is."""
    count = settled[1]
    for sign in (False, True):
        book, trusted, marked = opened(notebook, lab, settled, "trusted" if sign else "untrusted", sign=sign)
        assert (trusted, marked) == ({sign}, count if sign else 0)
        assert browser.problems(book.page, least=2 * count) == []
    # What a reader wants may happen: a link opens, in a page that cannot reach this one and is not told which it is.
    link = book.page.locator('.amber-answer a[href="https://evil.example/"]').first
    with book.page.context.expect_page() as other:
        link.click()
    other.value.wait_for_load_state()
    assert other.value.evaluate("window.opener") is None
    assert "request: https://evil.example/" in browser.alarms
    assert kinds(browser.alarms) == {"popup", "request"}
    assert browser.referrers == [f"{lab.url}/"]


def exported(browser, path):
    command = [sys.executable, "-m", "nbconvert", "--to", "html", path.name]
    subprocess.run(command, cwd=path.parent, check=True, capture_output=True)
    page = browser.new_context().new_page()
    page.goto(path.with_suffix(".html").as_uri())
    return page


def test_exported(settled, browser, tmp_path):
    """What nbconvert's own page asks of the network is what it asks with a harmless output."""
    book, count = settled
    (tmp_path / "hostile.ipynb").write_text(json.dumps(book), encoding="utf-8")
    harmless = notebook_of([display_data({"text/html": '<div class="amber-answer">x</div>'})])
    (tmp_path / "harmless.ipynb").write_text(json.dumps(harmless), encoding="utf-8")
    found = {}
    for name in ("harmless", "hostile"):
        page = exported(browser, tmp_path / f"{name}.ipynb")
        found[name] = browser.problems(page)
    assert page.locator(".jp-OutputArea-output .amber-answer").count() == count
    assert found["hostile"] == found["harmless"]
    assert kinds(found["harmless"]) <= {"request"}


# --- the whole way, through a kernel


START = """
import asyncio, json
from amber_nb import Amber
from amber_nb.types import replace_surrogates
corpus = [replace_surrogates(item["text"]) for item in json.load(open({corpus!r}))]
amber = Amber(base_url={url!r}, api_key="ambrs-exampletoken", max_retries=0)
"""
ASK = """
_ = await asyncio.gather(*(amber.ask_async(f"{way} {{n}}", model=f"{way}-{{n}} {{corpus[n]}}") for n in {numbers}))
"""
FAIL = """
for prompt in {prompts}:
    try:
        amber.ask(prompt)
    except Exception:
        get_ipython().showtraceback()
print("all refused")
"""


def test_through_a_kernel(notebook, browser):
    """A sample of the answers, and errors that quote what came."""
    prompts = ["refused 0", *(f"garbage {n}" for n in range(5)), *(f"fault {n}" for n in range(0, 223, 25))]
    with serve(said) as url:
        cells = [ASK.format(way=way, numbers=list(SOME)) for way in ("content", "around")]
        start = START.format(url=url, corpus=str(SHOW / "hostile.json"))
        book = notebook([start, *cells, FAIL.format(prompts=prompts)])
        book.run(wait=True)
        for index in (1, 2):
            book.run(index, wait=True)
            expect(book.output(index).locator(".amber-answer")).to_have_count(len(SOME))
        book.run(3, wait=True)
        expect(book.output(3)).to_contain_text("all refused")
    assert browser.problems(book.page, least=4 * len(SOME)) == []
    errors = book.output(3).inner_text()
    for error in ("BadRequestError", "BadReply", "StreamCut"):
        assert error in errors
    kept = ["".join(output["data"]["text/plain"]) for output in book.saved()["cells"][1]["outputs"]]
    assert kept == [CORPUS[n].encode("utf-16", "surrogatepass").decode("utf-16", "replace") for n in SOME]


SERVER = """
import sys
from amber_nb import mcp
server = mcp(sys.executable, {program!r}, {corpus!r})
server
"""
CALLS = """
for number in {numbers}:
    for way in ("text", "structured", "link", "resource", "image", "error", "refusal"):
        try:
            display(server.call("say", number=number, way=way))
        except Exception:
            get_ipython().showtraceback()
"""
NAMED = """
from amber_nb import Deny
tools = server.select(only=[text.replace("[", "[[]")[:120] + "*" for text in corpus[:100]])
amber.ask("content 3", tools=tools, require_approval=lambda call: Deny(call.name))
"""


def test_servers_through_a_kernel(notebook, browser):
    """What a server lists, returns, refuses and tells of its progress, and its names as a request's tools."""
    program = SHOW.parent / "mcp_servers" / "programs" / "hostile.py"
    corpus = str(SHOW / "hostile.json")
    with serve(said) as url:
        start = START.format(url=url, corpus=corpus)
        cells = [SERVER.format(program=str(program), corpus=corpus), CALLS.format(numbers=list(SOME[:5])), NAMED]
        book = notebook([start, *cells])
        for index in range(4):
            book.run(index, wait=True)
    expect(book.output(1)).to_contain_text("MCP server hostile: ")
    expect(book.output(2)).to_contain_text("answered with an error")
    expect(book.output(3).locator(".amber-answer")).to_have_count(1)
    assert browser.problems(book.page, least=20) == []


# --- the witnesses


SHOWN = """
import json
from IPython.display import HTML, Markdown, display
for text in json.load(open("texts.json")):
    display({kind}(text))
"""


def kinds(problems):
    return {problem.partition(":")[0] for problem in problems}


@pytest.mark.slow
def test_the_witnesses_in_lab_see_it(notebook, browser, lab):
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
    outputs = [[display_data({mime: text}) for text in texts] for mime in mimes.values()]
    path = book.path.with_name("untrusted-too.ipynb")
    path.write_text(json.dumps(notebook_of(*outputs)))
    book = notebook.saved(path)
    expect(book.page.locator(".jp-OutputArea-output")).to_have_count(len(mimes) * len(texts))
    # Of what is not trusted Lab takes the scripts, and leaves the pictures.
    assert kinds(browser.problems(book.page)) >= {"request", "element"}
    book.page.locator(".jp-OutputArea-output").first.evaluate("el => { el.innerHTML = '<a href=vbscript:x>x</a>' }")
    assert "link: vbscript:x" in browser.problems(book.page)
    assert kinds(browser.problems(exported(browser, path))) >= {"script", "request", "element"}
