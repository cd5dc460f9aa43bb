"""The list of sources under an answer: quiet, and safe whatever a web page calls itself."""

from __future__ import annotations

import pytest

from amber_nb.display import sources_html, sources_text
from amber_nb.types import Source
from amber_nb.wire.sources import read_sources

A, B = "https://a.example", "https://b.example"


def reply(**fields):
    message = {"role": "assistant", "content": "x", **fields.pop("message", {})}
    return {"choices": [{"index": 0, "message": message, **fields.pop("choice", {})}], **fields}


def url_citation(**fields):
    return {"type": "url_citation", "url_citation": fields}


@pytest.mark.parametrize(
    ("completion", "sources"),
    [
        (reply(), []),
        (reply(citations=["https://a.example", "Handbook"]), [(None, "https://a.example"), ("Handbook", None)]),
        (reply(search_results=[{"title": "T", "url": "https://a.example"}]), [("T", "https://a.example")]),
        (reply(message={"annotations": [url_citation(url="https://a.example")]}), [(None, "https://a.example")]),
        (reply(message={"context": {"citations": [{"filepath": "a.pdf", "url": None}]}}), [("a.pdf", None)]),
        (reply(sources=[{"source": {"name": "a.pdf"}, "document": ["…"]}]), [("a.pdf", None)]),
        (
            reply(choice={"grounding_metadata": {"grounding_chunks": [{"web": {"uri": "https://a.example"}}]}}),
            [(None, "https://a.example")],
        ),
        (reply(message={"content": [{"sources": ["no source"]}]}), []),
        (reply(citations=[None, 5, {}, {"url": 5}, ""]), []),
        (reply(citations="https://a.example"), []),
        (
            reply(
                message={"content": [{"type": "text", "text": "x", "annotations": [url_citation(url=A, title="T")]}]}
            ),
            [("T", A)],
        ),
        (
            reply(message={"content": [{"type": "tool_reference", "tool": "web_search", "title": "T", "url": A}]}),
            [("T", A)],
        ),
        (reply(message={"content": [{"type": "tool_reference", "source": "a search"}, "x", None]}), []),
        (reply(message={"content": [{"type": "text", "text": "x", "title": "no source", "url": A}]}), []),
        (
            reply(message={"provider_specific_fields": {"citations": [[{"document_title": "D"}], [{"url": A}], None]}}),
            [("D", None), (None, A)],
        ),
        (reply(message={"provider_specific_fields": {"citation": {"title": "T", "url": A}}}), [("T", A)]),
        (reply(citations={"1": {"title": "T", "url": A}, "[2]": A}), [("T", A), (None, A)]),
        (reply(citations={"title": "T", "url": A}), [("T", A)]),
        (reply(references={"found": {"citations": [A]}}), [(None, A)]),
        (
            reply(sources=[{"source": {"name": "a search"}, "metadata": [{"source": A, "title": "T"}, {"source": B}]}]),
            [("T", A), (None, B)],
        ),
        (reply(sources=[{"source": {"name": "Page"}, "metadata": [{"source": A}, {"source": A}]}]), [("Page", A)]),
        (reply(sources=[{"source": {"name": "a.pdf"}, "metadata": [{"source": "a.pdf"}, 5]}]), [("a.pdf", None)]),
        (reply(citations=[[[[[[[A]]]]]]]), []),
    ],
)
def test_sources_are_read_in_the_forms_of_gateways(completion, sources):
    assert [(source.title, source.url) for source in read_sources(completion)] == sources


def test_a_span_is_kept_where_it_is_one():
    def span(**fields):
        (source,) = read_sources(reply(message={"annotations": [url_citation(url="https://a.example", **fields)]}))
        return source.start, source.end

    assert span(start_index=3, end_index=9) == (3, 9)
    assert span(start_index=9, end_index=3) == span(start_index="3", end_index=9) == span() == (None, None)


def test_hostile_sources_run_nothing_and_hide_nothing():
    html = sources_html(
        [
            Source("<script>alert(1)</script>$x$", "https://a.example/<b>"),
            Source("bank.example", "https://evil.example"),
            Source("x", "javascript:alert(1)"),
            Source("\x1b[2J\u202e", None),
        ]
    )
    assert "<script" not in html
    assert "javascript:alert(1)" in html  # as text
    assert 'href="javascript' not in html
    assert html.count("<a ") == 2
    assert "(evil.example)" in html
    assert "\x1b" not in html
    assert "\u202e" not in sources_text([Source("\u202e", None)])


def test_each_is_listed_once_and_many_are_counted():
    twice = [Source("T", "https://a.example", start, start + 1) for start in (0, 5)]
    assert sources_html(twice).count("<li>") == 1
    many = [Source(f"T{number}") for number in range(25)]
    assert sources_html(many).count("<li>") == 20
    assert sources_text(many).endswith("and 5 more")
    assert (sources_html([]), sources_text([])) == ("", "")
