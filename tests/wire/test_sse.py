"""Bytes → events, whatever the pieces they come in."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from amber_nb.wire.sse import Decoder, Event

CASES = {
    "one": (b"data: 1\n\n", [b"1"]),
    "no space": (b"data:1\n\n", [b"1"]),
    "two spaces": (b"data:  1\n\n", [b" 1"]),
    "crlf": (b"data: 1\r\n\r\ndata: 2\r\n\r\n", [b"1", b"2"]),
    "cr": (b"data: 1\r\rdata: 2\r\r", [b"1", b"2"]),
    "several data lines": (b"data: 1\ndata: 2\n\n", [b"1\n2"]),
    "comments": (b": ping\n\n: ping\ndata: 1\n\n", [b"1"]),
    "id and retry": (b"id: 7\nretry: 10\ndata: 1\n\n", [b"1"]),
    "byte-order mark": (b"\xef\xbb\xbfdata: 1\n\n", [b"1"]),
    "empty data": (b"data:\n\ndata: 1\n\n", [b"", b"1"]),
    "split utf-8": ("data: Grüße 🌍\n\n".encode(), ["Grüße 🌍".encode()]),
    "colon in data": (b"data: a: b\n\n", [b"a: b"]),
}


@pytest.mark.parametrize("name", CASES)
def test_the_same_events_at_every_cut(name):
    body, expected = CASES[name]
    for cut in range(len(body) + 1):
        decoder = Decoder()
        events = decoder.feed(body[:cut]) + decoder.feed(body[cut:])
        assert [event.data for event in events] == expected, cut
        assert decoder.close() is None
    decoder = Decoder()
    assert [event.data for byte in body for event in decoder.feed(bytes([byte]))] == expected


def test_the_event_field():
    assert Decoder().feed(b"event: error\ndata: {}\n\n") == [Event(b"{}", b"error")]


@pytest.mark.parametrize(
    ("body", "last"),
    [
        (b"data: 1", b"1"),
        (b"data: 1\n", b"1"),
        (b"<html>\n<p>no</p>", b"<html>\n<p>no</p>"),
        (b'{"error": 1}', b'{"error": 1}'),
    ],
)
def test_what_has_no_blank_line_after_it_is_not_lost(body, last):
    decoder = Decoder()
    assert decoder.feed(body) == []
    event = decoder.close()
    assert event is not None
    assert event.data == last


@given(st.lists(st.binary(max_size=40), max_size=20))
def test_cutting_never_changes_what_is_read(pieces):
    whole, parts = Decoder(), Decoder()
    read = whole.feed(b"".join(pieces))
    assert [event for piece in pieces for event in parts.feed(piece)] == read
    assert parts.close() == whole.close()


def test_many_small_pieces_of_one_long_line_stay_linear():
    decoder = Decoder()
    for _ in range(200_000):
        decoder.feed(b"x" * 50)
    assert decoder.feed(b"\n\n")[0].data == b"x" * 10_000_000
