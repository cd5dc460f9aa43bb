"""Bytes → events, whatever the pieces they come in."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from amber_nb.wire.stream import Event, SSEDecoder

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
        decoder = SSEDecoder()
        events = decoder.feed(body[:cut]) + decoder.feed(body[cut:])
        assert [event.data for event in events] == expected, cut
        assert decoder.close() is None
    decoder = SSEDecoder()
    assert [event.data for byte in body for event in decoder.feed(bytes([byte]))] == expected


def test_the_event_field():
    assert SSEDecoder().feed(b"event: error\ndata: {}\n\n") == [Event(b"{}", b"error")]


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
    decoder = SSEDecoder()
    assert decoder.feed(body) == []
    event = decoder.close()
    assert event is not None
    assert event.data == last


@given(st.lists(st.binary(max_size=40), max_size=20))
def test_cutting_never_changes_what_is_read(pieces):
    whole, parts = SSEDecoder(), SSEDecoder()
    read = whole.feed(b"".join(pieces))
    assert [event for piece in pieces for event in parts.feed(piece)] == read
    assert parts.close() == whole.close()


def test_many_small_pieces_of_one_long_line_stay_linear():
    decoder = SSEDecoder()
    for _ in range(200_000):
        decoder.feed(b"x" * 50)
    assert decoder.feed(b"\n\n")[0].data == b"x" * 10_000_000


HEARD = {
    "comments": (b": ping\n\n: another, longer ping\n", 0),
    "empty data": (b"data:\n\ndata: \n\n", 0),
    "pings": (b'event: ping\ndata: {"type": "ping"}\n\n', 0),
    "ids": (b"id: 1234567\nretry: 1000\n\n", 0),
    "short data": (b"data:1\n\n", 0),  # what it says is for the reader of its event
    "no event at all": (b"<html>\n", 1),
}


@pytest.mark.parametrize("name", HEARD)
def test_what_counts_as_a_sign_of_life(name):
    body, expected = HEARD[name]
    whole, bytewise = SSEDecoder(), SSEDecoder()
    whole.feed(body)
    for byte in body:
        bytewise.feed(bytes([byte]))
    assert whole.activity == expected
    assert bool(bytewise.activity) is bool(expected)


def test_a_comment_after_a_crlf_in_two_pieces_is_no_sign_of_life():
    decoder = SSEDecoder()
    decoder.feed(b"data: 1\r\n\r")
    heard = decoder.activity
    for piece in (b"\n", b": keep-al", b"ive, and more", b"\r", b"\n"):
        decoder.feed(piece)
    assert decoder.activity == heard


def test_a_piece_of_a_line_of_data_is_a_sign_of_life():
    decoder, heard = SSEDecoder(), []
    for piece in (b"da", b"ta: {", b'"a": ', b": no comment", b"\n", b": pi", b"ng\n\n", b"event: pi", b"ng\n"):
        decoder.feed(piece)
        heard.append(decoder.activity)
    assert heard == [0, 1, 2, 3, 3, 3, 3, 3, 3]


def test_an_event_that_begins_as_none_is_known_as_such():
    for body, alien in (
        (b"data: 1\n\nid: 1\n: x\nevent: y\ndata: 2\n\n", [False, False]),
        (b'{"a": 1}\n\n', [True]),
        (b'event: error\n{"a": 1}\n\n', [True]),
        (b"<p>\ndata: 1\n\n", [True]),
        (b"data: 1\n<p>\n\n", [False]),
        (b"data: 1\n\n<p>\n\ndata: 2\n\n", [False, True, False]),
    ):
        whole, bytewise = SSEDecoder(), SSEDecoder()
        assert [event.foreign for event in whole.feed(body)] == alien
        assert [event.foreign for byte in body for event in bytewise.feed(bytes([byte]))] == alien
