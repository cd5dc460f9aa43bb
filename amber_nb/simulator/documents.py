"""The simulator's corpus, documents of an invented company and invented web pages, and the search in it."""

from __future__ import annotations

import functools
import math
import re
import unicodedata
from collections import Counter
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Literal

__all__ = ["Document", "Hit", "Place", "find_document", "read_corpus", "search_corpus"]

Place = Literal["company", "web"]
_FOLDER = Path(__file__).parent / "corpus"
_MAX_WORDS = 50  # of a query that are looked for
_SNIPPET_CHARS = 320
_TITLE_WEIGHT = 2.0
_START_WEIGHT = 0.6  # of a word that only begins as the query's does: "agree" in "agreement"
_MIN_START = 4  # letters of a word that may be such a beginning
_MIN_SHARE = 0.35  # of the best document's score that a hit must have
_STOP_WORDS = """
    a about after all also an and any are as at be been by can could did do does down find for from get give had has
    have he her his how i if in into is it its know let like look many me more most much my no not now of off on or our
    out over please say search show so some tell than that the their them then there these they this those to too up us
    was we were what when where which while who why will with would you your
    aber als am an auf aus bei bin bis bitte da das dass dem den der des die dies diese du ein eine einem einen einer er
    es für gibt haben hat ich ihr im in ist ja kann man mein mich mir mit nach nicht noch oder sagt sich sie sind suche
    über um und uns unser unsere unter vom von vor war was wenn wer werden wie wir wird wo wozu zu zum zur
"""
_PLACE_WORDS = {"company": frozenset({"company"}), "web": frozenset({"web", "internet", "online", "news"})}


@dataclass(frozen=True)
class Document:
    """A document of the corpus.

    Attributes:
        name: short name, as in its file.
        source: where it is kept: "Contracts", "Example News".
        date: of the document, as ISO 8601 writes it.
        text: the body, Markdown.
    """

    place: Place
    name: str
    title: str
    url: str
    source: str
    date: str
    text: str

    @property
    def uri(self) -> str:
        """The URI of a resource of the MCP server."""
        return f"amber://{'documents' if self.place == 'company' else 'web'}/{self.name}"

    @property
    def markdown(self) -> str:
        """The whole document as Markdown."""
        return f"# {self.title}\n\n{self.source}, {self.date} · <{self.url}>\n\n{self.text}\n"

    @cached_property
    def passages(self) -> list[str]:
        """The paragraphs."""
        return [passage.strip() for passage in self.text.split("\n\n") if passage.strip()]

    @cached_property
    def title_words(self) -> Counter[str]:
        """The words of the title, of its source and of its name."""
        return Counter(_words(f"{self.title} {self.source} {self.name}"))

    @cached_property
    def text_words(self) -> Counter[str]:
        """The words of the body, and how often each occurs."""
        return Counter(_words(self.text))

    @cached_property
    def all_words(self) -> Counter[str]:
        """The words of title and body."""
        return self.title_words + self.text_words


@dataclass(frozen=True, slots=True)
class Hit:
    """A document that a query has found, and what of it fits the query best."""

    document: Document
    snippet: str


@functools.cache
def read_corpus(place: Place) -> tuple[Document, ...]:
    """Return the documents of a place in the order of their names."""
    return tuple(_read(place, path) for path in sorted((_FOLDER / place).glob("*.md"), key=lambda path: path.name))


def _read(place: Place, path: Path) -> Document:
    head, _, text = path.read_text(encoding="utf-8").partition("\n\n")
    fields = dict(line.split(": ", 1) for line in head.splitlines())
    return Document(place, path.stem, fields["title"], fields["url"], fields["source"], fields["date"], text.strip())


def find_document(address: str) -> Document | None:
    """Return the document with a URI or a URL."""
    documents = (*read_corpus("company"), *read_corpus("web"))
    return next((document for document in documents if address in (document.uri, document.url)), None)


def search_corpus(place: Place, query: str, limit: int) -> list[Hit]:
    """Return the documents that fit a query, the best one first; the same for the same query.

    Args:
        place: where to search.
        query: words or a question, in English or German; case and umlauts do not count.
        limit: how many hits at most.
    """
    wanted = _query_words(query, place)
    documents = read_corpus(place)
    weights = {word: _rarity(word, documents) for word in wanted}
    scored = [(_score(document, weights), document) for document in documents]
    best = max((score for score, _ in scored), default=0.0)
    found = [(score, document) for score, document in scored if score > 0 and score >= _MIN_SHARE * best]
    found.sort(key=lambda item: (-round(item[0], 6), item[1].name))
    return [Hit(document, _snippet(document, weights)) for _, document in found[:limit]]


def _fold(text: str) -> str:
    """Return a text in lower case and without accents; "ü" and "ue" are the same."""
    plain = unicodedata.normalize("NFKD", text.lower().replace("ß", "ss"))
    plain = "".join(letter for letter in plain if not unicodedata.combining(letter))
    return re.sub(r"(?<=[aou])e", "", plain)


def _words(text: str) -> list[str]:
    return re.findall(r"[^\W_]+", _fold(text))


def _query_words(query: str, place: Place) -> list[str]:
    """Return the words to look for, each once; what is in every question counts only where there is nothing else."""
    words = list(dict.fromkeys(_words(query)))
    content = [word for word in words if word not in _STOP and word not in _PLACE_WORDS[place] and len(word) > 1]
    return (content or words)[:_MAX_WORDS]


def _rarity(word: str, documents: tuple[Document, ...]) -> float:
    count = sum(bool(_occurrences(word, document.all_words)) for document in documents)
    return math.log(1 + len(documents) / count) if count else 0.0


def _occurrences(word: str, words: Counter[str]) -> float:
    """Return how often a word occurs; one that only begins as it does counts less."""
    if word in words:
        return float(words[word])
    is_long = len(word) >= _MIN_START
    return _START_WEIGHT if is_long and any(_starts_alike(word, other) for other in words) else 0.0


def _starts_alike(word: str, other: str) -> bool:
    """Return whether one of two words begins with the other: "Reise", "Reisekosten"; "prices", "price"."""
    is_short_form = len(other) >= _MIN_START and len(word) - len(other) <= 2
    return other.startswith(word) or (is_short_form and word.startswith(other))


def _score(document: Document, weights: dict[str, float]) -> float:
    score = 0.0
    for word, weight in weights.items():
        often = _occurrences(word, document.text_words)
        in_title = min(1.0, _occurrences(word, document.title_words))
        score += weight * (_TITLE_WEIGHT * in_title + often / (often + 1))
    return score


def _snippet(document: Document, weights: dict[str, float]) -> str:
    """Return the passage that fits best, and the ones behind it for which there is room."""
    passages = document.passages
    bags = [Counter(_words(passage)) for passage in passages]
    scores = [sum(weight * bool(_occurrences(word, bag)) for word, weight in weights.items()) for bag in bags]
    start = scores.index(max(scores))
    snippet = passages[start]
    for passage in passages[start + 1 :]:
        if len(snippet) + len(passage) >= _SNIPPET_CHARS:
            break
        snippet += " " + passage
    return snippet


_STOP = frozenset(_words(_STOP_WORDS))
