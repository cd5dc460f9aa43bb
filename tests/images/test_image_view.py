"""The kernel side of the images' view: files put together from pieces, each taken once, and what is told of them."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from typing import Any

import pytest
from patience import until

from amber_nb.display.layer import LiveLayer
from amber_nb.errors import AmberError
from amber_nb.images.view import MAX_FILE_BYTES, MAX_PIECE_BYTES, ImageEntry, ImageView


class Owner:
    """Whoever made the view, and the page on the other side of it."""

    def __init__(self, page: type[Any], most: int = 5) -> None:
        self.calls: list[tuple[object, ...]] = []
        self.updates: list[Mapping[str, str]] = []
        self.error: Exception | None = None
        settings: dict[str, Any] = {name: self.callback(name) for name in ("take", "link", "arrange", "done")}
        settings |= {"strip": lambda: BUNDLE, "update": lambda _, bundle: self.updates.append(bundle)}
        self.view = ImageView(**settings, max_side_px=2048, most=most)
        self.page = page(self.view)

    def callback(self, name: str) -> Any:
        def call(*arguments: object) -> None:
            self.calls.append((name, *arguments))
            if self.error:
                raise self.error

        return call

    def say(self, content: object, *buffers: bytes) -> list[Any]:
        """Say something as the page does; what is answered."""
        before = len(self.page.sent)
        self.page.hear(content, *buffers)
        return self.page.contents()[before:]

    def put_late(self) -> None:
        """Send a file after the end."""
        self.page.hear(piece_of(1, 0, 1), b"x")

    def put(self, put: int, at: int, piece: bytes, size: int, **more: Any) -> Any:
        [answer] = self.say(piece_of(put, at, size, **more), piece)
        assert (answer.pop("line"), answer.pop("put"), answer.pop("turn")) == ("v-files", put, 7)
        return answer


def piece_of(put: int, at: int, size: int, name: str = "a.png", before: object = None) -> dict[str, Any]:
    return {"line": "v-files", "put": put, "turn": 7, "name": name, "size": size, "at": at, "before": before}


@pytest.fixture
def owner(layer: LiveLayer, input_page: type[Any]) -> Owner:
    owner = Owner(input_page)
    owner.say({"hello": "v"})
    owner.page.comm.sent.clear()
    return owner


BUNDLE = {"text/html": "<p>strip</p>", "text/plain": "ImageInput()"}
ENTRIES = [ImageEntry(3, "a.png", ("2 × 3", "PNG · 1 kB"), b"webp"), ImageEntry(4, "https://example.org")]


def test_a_file_is_put_together_and_taken_once(owner: Owner) -> None:
    assert owner.put(1, 0, b"abc", 7) == {"have": 3}
    assert owner.put(1, 0, b"abc", 7) == {"have": 3}  # it comes again
    assert owner.put(1, 5, b"fg", 7) == {"have": 3}  # the one before it is lost
    assert owner.put(1, 3, b"de", 7, before=[9, 8]) == {"have": 5}
    assert owner.calls == []
    assert owner.put(1, 5, b"fg", 7, before=[9, 8]) == {"end": 1, "said": ""}
    assert owner.put(1, 5, b"fg", 7) == {"end": 1, "said": ""}
    assert owner.put(1, 0, b"abc", 7) == {"end": 1, "said": ""}
    assert owner.calls == [("take", "a.png", b"abcdefg", (9, 8))]


def test_asking_how_far_it_is_changes_nothing(owner: Owner) -> None:
    ask = {"line": "v-files", "put": 1, "turn": 7, "ask": 1}
    assert owner.say(ask) == [{"line": "v-files", "put": 1, "turn": 7, "have": 0}]
    owner.put(1, 0, b"abc", 4)
    assert owner.say(ask)[0]["have"] == 3
    owner.put(1, 3, b"d", 4)
    assert owner.say(ask)[0] == {"line": "v-files", "put": 1, "turn": 7, "end": 1, "said": ""}


def test_a_new_greeting_drops_half_a_file_and_no_answer(owner: Owner) -> None:
    owner.put(1, 0, b"whole", 5)
    owner.put(2, 0, b"ha", 4)
    owner.say({"hello": "w"})
    assert owner.put(1, 0, b"whole", 5) == {"end": 1, "said": ""}
    assert owner.put(2, 2, b"lf", 4) == {"have": 0}
    assert owner.put(2, 0, b"half", 4) == {"end": 1, "said": ""}
    assert [call[2] for call in owner.calls] == [b"whole", b"half"]


def test_the_next_file_ends_half_a_file(owner: Owner) -> None:
    owner.put(1, 0, b"ha", 4)
    owner.put(2, 0, b"next", 4)
    assert owner.put(1, 2, b"lf", 4) == {"end": 1, "said": ""}
    assert [call[2] for call in owner.calls] == [b"next"]


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (AmberError("this is no image"), "a.png: this is no image"),
        (AmberError("a.png is no image"), "a.png is no image"),
        (AmberError("it \x1b[2J\u202e" + "x" * 1000), "a.png: it ␛[2J[U+202E]x"),
        (ZeroDivisionError("secret"), "a.png: ZeroDivisionError"),
    ],
)
def test_what_goes_wrong_is_told(
    owner: Owner, error: Exception, message: str, caplog: pytest.LogCaptureFixture
) -> None:
    owner.error = error
    answer = owner.put(1, 0, b"x", 1)
    assert answer["said"].startswith(message)
    assert len(answer["said"]) < 650
    assert ("ZeroDivisionError" in caplog.text) == isinstance(error, ZeroDivisionError)
    owner.error = None
    assert owner.put(2, 0, b"x", 1) == {"end": 1, "said": ""}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"size": MAX_FILE_BYTES + 1}, "a.png: more than 64 MB"),
        ({"size": "1"}, "a.png: the browser sent something else"),
        ({"at": None}, "a.png: the browser sent something else"),
        ({"name": "../../etc/p\x1b.png", "size": "1"}, "p␛.png: the browser sent something else"),
        ({"name": None, "size": "1"}, "image: the browser sent something else"),
    ],
)
def test_odd_pieces_are_refused(owner: Owner, content: dict[str, Any], message: str) -> None:
    [answer] = owner.say(piece_of(1, 0, 1) | content, b"x")
    assert answer["said"] == message
    assert owner.calls == []


def test_pieces_have_a_size_too(owner: Owner) -> None:
    assert owner.put(1, 0, bytes(MAX_PIECE_BYTES), MAX_PIECE_BYTES + 1) == {"have": MAX_PIECE_BYTES}
    assert owner.put(1, MAX_PIECE_BYTES, b"xx", MAX_PIECE_BYTES + 1) == {
        "have": MAX_PIECE_BYTES
    }  # more than there is to come
    assert owner.put(2, 0, bytes(MAX_PIECE_BYTES + 1), MAX_PIECE_BYTES + 1)["said"]
    assert owner.say(piece_of(3, 0, 1))[0]["said"]  # no bytes at all
    assert owner.calls == []


@pytest.mark.parametrize("before", [None, [], [0, 3], [1, 2, 3], ["1", "2"], "12", {"a": 1}])
def test_odd_pixels_are_none(owner: Owner, before: object) -> None:
    owner.put(1, 0, b"x", 1, name="C:\\photos\\b.jpg", before=before)
    assert owner.calls == [("take", "b.jpg", b"x", None)]


@pytest.mark.parametrize("content", [None, [], "x", {}, {"hello": 1}, {"line": 1, "put": 2}, {"line": "x", "put": "1"}])
def test_odd_messages_do_no_harm(owner: Owner, content: object) -> None:
    assert owner.say(content) == []


def test_the_list_is_told_with_each_thumbnail_once_a_greeting(owner: Owner) -> None:
    owner.view.show(ENTRIES[:1])
    owner.view.show(ENTRIES)
    rows = [[3, "a.png", ["2 × 3", "PNG · 1 kB"], 0], [4, "https://example.org", [], None]]
    sent = [([list(row) for row in content["entries"]], buffers) for content, buffers in owner.page.sent]
    assert sent == [([rows[0]], [b"webp"]), ([[*rows[0][:3], None], rows[1]], [])]
    [listing] = owner.say({"hello": "w"})
    assert [list(row) for row in listing["entries"]] == rows
    assert owner.page.sent[-1][1] == [b"webp"]
    assert listing["finished"] is False


def test_nothing_is_told_before_somebody_listens(layer: LiveLayer, input_page: type[Any]) -> None:
    owner = Owner(input_page)
    owner.view.show(ENTRIES)
    assert owner.page.sent == []
    assert not owner.view.hello.is_set()
    assert len(owner.say({"hello": "v"})[0]["entries"]) == 2
    assert owner.view.hello.is_set()


def test_what_the_reader_arranged_keeps_what_has_just_come(owner: Owner) -> None:
    owner.view.show([ImageEntry(id, f"{id}.png") for id in (1, 2, 3, 4)])
    owner.page.comm.sent.clear()
    order = {"line": "v-words", "put": 1, "turn": 1, "order": [3, 1, 9, 3], "removed": [2]}
    assert owner.say(order)[0]["said"] == ""
    assert owner.calls == [("arrange", [3, 1, 4])]  # 4 is not on that page yet
    owner.error = AmberError("not now")
    assert owner.say(order | {"put": 2})[0]["said"] == "not now"


def test_links_and_done(owner: Owner) -> None:
    link = {"line": "v-files", "put": 1, "turn": 1, "link": "https://example.org/a.png"}
    done = {"line": "v-words", "put": 1, "turn": 1, "done": 1}
    for message in (link, link, done, done):
        assert owner.say(message)[0]["said"] == ""
    assert owner.calls == [("link", "https://example.org/a.png"), ("done",)]
    owner.error = AmberError("no such host")
    assert owner.say(link | {"put": 2})[0]["said"] == "this link: no such host"


def test_it_takes_no_more_than_it_may(owner: Owner) -> None:
    owner.view.show([ImageEntry(id, "x") for id in range(5)])
    owner.page.comm.sent.clear()
    assert owner.put(1, 0, b"x", 1)["said"] == "a.png: at most 5 images are taken"
    link = {"line": "v-files", "put": 2, "turn": 1, "link": "https://example.org"}
    assert "at most 5" in owner.say(link)[0]["said"]
    assert owner.calls == []


def test_finished_it_takes_nothing_and_is_taken_off_the_pages(owner: Owner) -> None:
    owner.say({"hello": "w"})
    owner.view.finish(BUNDLE)
    assert owner.page.sent[-1][0]["finished"] is True
    assert owner.page.comm.contents()[-1] == {"a": owner.view.number, "end": 1}
    owner.put_late()
    assert owner.page.comm.contents()[-1] == {"a": owner.view.number, "end": 1}
    assert owner.calls == []
    owner.view.finish(BUNDLE)
    owner.view.show(ENTRIES)
    assert owner.view.layer.items == {}


def test_the_outputs_follow_the_list(owner: Owner) -> None:
    owner.view.show(ENTRIES[:1])
    until(lambda: len(owner.updates) == 1)
    html = owner.updates[0]["text/html"]
    assert html.startswith(f'<div class="amber-images"><div class="{owner.view.hook} amber-revision-1"><p>strip</p>')
    assert "open for more images when this was saved" in html
    owner.view.show(ENTRIES[:1])  # the same
    owner.view.show(ENTRIES)
    until(lambda: len(owner.updates) == 2)
    assert "amber-revision-2" in owner.updates[1]["text/html"]
    assert owner.page.sent[-1][0]["revision"] == 2


def test_a_page_asks_for_a_form_that_has_not_arrived(owner: Owner) -> None:
    owner.view.show(ENTRIES)
    owner.page.comm.hear({"a": owner.view.number, "heal": owner.view.id})
    answer = owner.page.comm.contents()[-1]
    assert answer["heal"] == owner.view.id
    assert "amber-revision-1" in answer["data"]["text/html"]
    owner.view.finish(BUNDLE)
    owner.page.comm.hear({"stale": [owner.view.id]})
    assert owner.page.comm.contents()[-1] == {"heal": owner.view.id, "data": BUNDLE}


def test_where_no_page_has_the_layer_it_is_said(
    layer: LiveLayer, input_page: type[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    layer.hello.clear()
    owner = Owner(input_page)
    until(lambda: len(owner.updates) == 1)
    assert "Images cannot be chosen here: install amber_nb" in owner.updates[0]["text/html"]
    layer.comm.hear({"hello": 1})
    assert "cannot be chosen" not in owner.view.snapshot()["text/html"]


def test_a_deleted_cell_ends_it(owner: Owner) -> None:
    owner.view.leave()
    assert owner.calls == [("done",)]


def test_it_may_be_shown_from_any_thread_while_a_file_is_taken(owner: Owner) -> None:
    def take(*_: object) -> None:
        thread = threading.Thread(target=owner.view.show, args=(ENTRIES,))
        thread.start()
        thread.join(5)
        assert not thread.is_alive()
        owner.view.show(ENTRIES)

    owner.view._take = take
    messages = owner.say(piece_of(1, 0, 1), b"x")
    assert ["entries" in content for content in messages] == [True, True, False]  # the list comes before the end


def test_repr_and_announcement(owner: Owner) -> None:
    owner.view.show(ENTRIES)
    assert repr(owner.view) == "ImageView(images=2)"
    owner.page.comm.hear({"hello": 1})
    announced = owner.page.comm.contents()[-1]
    assert announced == {"a": owner.view.number, "open": {"id": owner.view.id, "max_side_px": 2048, "most": 5}}
    script = owner.view.layer.get_state()["_esm"]
    assert f"{MAX_PIECE_BYTES // 1_000_000}e6" in script  # the page's pieces are as large


def test_it_is_busy_until_a_file_is_taken_in(layer: LiveLayer, input_page: type[Any]) -> None:
    seen: list[bool] = []
    rest: dict[str, Any] = dict.fromkeys(("link", "arrange", "done", "update"), print)
    view = ImageView(take=lambda *_: seen.append(view.busy), strip=lambda: BUNDLE, **rest, max_side_px=9, most=9)
    page = input_page(view)
    assert view.busy is False
    page.hear(piece_of(1, 0, 4), b"ab")
    assert view.busy is True
    page.hear(piece_of(1, 2, 4), b"cd")
    assert (seen, view.busy) == ([True], False)


def test_an_image_that_comes_while_the_static_form_is_made_is_not_said_to_be_in_it(owner: Owner) -> None:
    def strip() -> Mapping[str, str]:
        owner.view.show([ImageEntry(1, "a.png")])
        return BUNDLE

    owner.view._strip = strip
    assert 'amber-revision-0"' in owner.view.snapshot()["text/html"]
    assert owner.view._revision == 1
