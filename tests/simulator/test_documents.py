"""The corpus of invented documents, and the search in it."""

import re
import urllib.parse

import pytest

from amber_nb.simulator import documents
from amber_nb.simulator.documents import find_document, read_corpus, search_corpus

ALL = [*read_corpus("company"), *read_corpus("web")]


def titles(query, place="company", limit=5):
    return [hit.document.title for hit in search_corpus(place, query, limit)]


def test_the_corpus():
    assert (len(read_corpus("company")), len(read_corpus("web"))) == (14, 8)
    assert len({document.url for document in ALL}) == len({document.uri for document in ALL}) == len(ALL)


@pytest.mark.parametrize("document", ALL, ids=lambda document: document.name)
def test_a_document(document):
    """Its fields are filled, its address is one that nobody can own, and it is found by its URI and URL."""
    host = urllib.parse.urlsplit(document.url).hostname
    assert host.endswith((".example.com", ".example.org"))
    assert re.fullmatch(r"202\d-\d\d-\d\d", document.date)
    assert document.title
    assert document.source
    assert len(document.passages) >= 3
    assert document.markdown.startswith(f"# {document.title}\n")
    assert find_document(document.uri) is find_document(document.url) is document


@pytest.mark.parametrize(
    ("query", "title"),
    [
        ("What did we agree with ACME?", "Framework agreement with ACME"),
        ("Was haben wir mit ACME vereinbart?", "Protokoll: Pilotprojekt Kühlhalle bei ACME"),
        ("How many days of vacation do I have?", "Onboarding guide for new colleagues"),
        ("password", "Information security policy"),
        ("MÜNCHEN", "Reisekostenrichtlinie"),
        ("Muenchen", "Reisekostenrichtlinie"),
        ("munchen", "Reisekostenrichtlinie"),
        ("reise", "Reisekostenrichtlinie"),
        ("What does the TH-300 cost?", "Price list 2026"),
        ("churn", "Data glossary of the warehouse"),
        ("Why was there an outage in June?", "Report on the outage of 3 June 2026"),
        ("Angebot Blauwal", "Angebot an Blauwal Logistik"),
        ("Homeoffice Ausland", "Betriebsvereinbarung: mobiles Arbeiten"),
    ],
)
def test_the_best_document(query, title):
    assert titles(query)[0] == title


def test_the_web_is_another_corpus():
    assert titles("ACME", "web") == ["ACME opens cold store in Oldenhude"]
    assert titles("What do the news on the web say about LoRa?", "web") == titles("lora", "web")


def test_what_fits_far_less_is_no_hit():
    assert titles("churn of active customers") == ["Data glossary of the warehouse"]
    assert len(titles("customers")) == 5


def test_the_snippet_is_the_passage_that_fits():
    (hit,) = search_corpus("company", "How late may a delivery to ACME be?", 1)
    assert hit.snippet.startswith("Delivery takes at most 10 working days.")
    assert hit.snippet in " ".join(hit.document.passages)


def test_the_limit():
    assert len(titles("sensor", limit=3)) == 3
    assert titles("sensor", limit=3) == titles("sensor", limit=20)[:3]


@pytest.mark.parametrize("query", ["", "?", "quantum chromodynamics", "\x00", "🙂"])
def test_nothing_is_found(query):
    assert titles(query) == []


def test_the_same_query_has_the_same_hits():
    queries = ["ACME price", "sensor", "2026", "der", "a" * 1_000, " ".join(map(str, range(500)))]
    first = [search_corpus("company", query, 20) for query in queries]
    documents.read_corpus.cache_clear()
    assert [search_corpus("company", query, 20) for query in queries] == first
