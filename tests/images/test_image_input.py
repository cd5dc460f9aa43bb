"""ImageInput with a page before it: what it takes in, and when it becomes a strip."""

import base64
import io
import threading
from types import SimpleNamespace

import IPython.display
import pytest
from PIL import Image

from amber_nb import ImageError, ImageInput
from amber_nb.display import comm as comms
from amber_nb.display import kernel as cell
from amber_nb.display.layer import SEARCH_S, LiveLayer


@pytest.fixture
def page(monkeypatch, layer, input_page):
    """A notebook's page: what is shown on it, and what it says."""
    displays = Displays(input_page)

    def display(bundle, raw, display_id):
        place = len(displays)
        displays.append([bundle])
        return SimpleNamespace(update=lambda bundle, raw: displays[place].append(bundle))

    monkeypatch.setattr(cell, "in_kernel", lambda: True)
    monkeypatch.setattr(cell, "has_front_end", lambda: True)
    monkeypatch.setattr(IPython.display, "display", display)
    return displays


class Displays(list):
    """The forms of each output, in their order."""

    def __init__(self, input_page):
        self.input_page = input_page


def png(size=(60, 40), colour="blue"):
    out = io.BytesIO()
    Image.new("RGB", size, colour).save(out, "PNG")
    return out.getvalue()


def send_file(view, number, data, name="sky.png", upto=None, before=None):
    """A file, or its beginning, as the page sends it."""
    head = {"line": "v-files", "put": number, "turn": 1, "name": name, "size": len(data), "at": 0, "before": before}
    view.hear(head, data[:upto])
    # By its number: another thread may have had the view send something since. None where the input has ended.
    return next((answer for answer in reversed(view.contents()) if answer.get("put") == number), {})


def open_view(page, photos):
    photos._ipython_display_()
    view = page.input_page(photos._view)
    view.hear({"hello": "v"})
    return view


def test_a_file_is_taken_in_and_listed(page):
    photos = ImageInput()
    view = open_view(page, photos)
    send_file(view, 1, png(), before=[6_000, 4_000])
    (part,) = photos.images
    assert (part.sent.name, part.sent.original_size, part.sent.size) == ("sky.png", (6_000, 4_000), (60, 40))
    entries = next(message["entries"] for message in reversed(view.contents()) if "entries" in message)
    assert [entry[1:3] for entry in entries] == [("sky.png", ["6000 × 4000 → 60 × 40", "PNG · 1 kB · ≈ 5 tokens"])]
    assert repr(photos) == "ImageInput('sky.png')"


def test_a_wrong_file_is_told_by_its_name_once(page):
    photos = ImageInput()
    view = open_view(page, photos)
    message = send_file(view, 1, b"Dear diary", name="notes.png")
    assert message["said"] == "notes.png holds text, not an image (10 bytes)."
    assert photos.images == []


def test_a_link_is_kept_as_one(page):
    photos = ImageInput()
    view = open_view(page, photos)
    view.hear({"line": "v-files", "put": 1, "turn": 1, "link": "https://a.example/b.png?sig=1"})
    (part,) = photos.images
    assert part["image_url"]["url"] == "https://a.example/b.png?sig=1"
    assert part.sent.name == "b.png (a.example)"


def test_they_are_moved_and_removed(page):
    photos = ImageInput([Image.new("RGB", (n, 9)) for n in (1, 2, 3)])
    view = open_view(page, photos)
    view.hear({"line": "v-words", "put": 1, "turn": 1, "order": [2, 0], "removed": [1]})
    assert [part.sent.size for part in photos.images] == [(3, 9), (1, 9)]


def test_what_the_page_does_not_know_yet_is_not_removed_by_it(page, monkeypatch):
    photos = ImageInput(Image.new("RGB", (1, 9)))
    open_view(page, photos)
    monkeypatch.setattr(photos, "_refresh", lambda: None)  # the page is told later
    photos._link("https://a.example/b.png")
    photos._arrange([])
    assert [part.sent.name for part in photos.images] == ["b.png (a.example)"]


def test_no_more_are_taken_than_were_wished(page):
    photos = ImageInput(most=1)
    view = open_view(page, photos)
    send_file(view, 1, png())
    assert "at most 1 images are taken" in send_file(view, 2, png())["said"]
    assert len(photos) == 1


def test_done_and_the_first_use_make_it_a_strip(page, simulated):
    for end in (lambda photos: photos.done(), lambda photos: simulated.ask("What?", images=photos, show=False)):
        page.clear()
        photos = ImageInput()
        view = open_view(page, photos)
        send_file(view, 1, png())
        end(photos)
        bundle = page[0][-1]
        assert "<img" in bundle["text/html"]
        assert bundle["text/plain"] == "ImageInput('sky.png')"
        assert view.contents()[-1]["finished"] is True
        assert "amber-hook" not in bundle["text/html"]
        assert view.comm.contents()[-1] == {"a": view.view.number, "end": 1}
        forms = len(page[0])
        send_file(view, 2, png())  # too late
        photos.done()  # again, and nothing happens
        assert len(page[0]) == forms
        assert len(photos) == 1


def test_what_is_on_its_way_is_waited_for(page, simulated):
    photos = ImageInput(Image.new("RGB", (9, 9)))
    view = open_view(page, photos)
    send_file(view, 1, png(), upto=20)
    with pytest.raises(ImageError, match="still on its way"):
        simulated.ask("What?", images=photos, show=False)
    assert len(page[0]) == 1  # it is still there, and takes the rest
    rest = {"line": "v-files", "put": 1, "turn": 2, "name": "sky.png", "size": len(png()), "at": 20, "before": None}
    view.hear(rest, png()[20:])
    assert len(photos.images) == 2


def test_it_is_edited_again(page):
    photos = ImageInput()
    first = open_view(page, photos)
    send_file(first, 1, png())
    photos.done()
    photos.edit()
    second = page.input_page(photos._view)
    second.hear({"hello": "w"})
    assert second.view is not first.view
    assert len(page) == 2
    assert [entry[1] for entry in second.contents()[-1]["entries"]] == ["sky.png"]
    photos.clear()
    assert photos.images == []
    assert second.contents()[-1]["entries"] == []


def test_it_is_shown_anew_after_all_widgets_were_closed(page):
    photos = ImageInput(Image.new("RGB", (9, 9)))
    first = open_view(page, photos).view
    first.layer.close()
    photos._ipython_display_()
    view = photos._view
    assert view is not first
    assert view.layer is LiveLayer.current
    assert view.hook in page[1][0]["text/html"]
    photos.done()


def test_it_ends_when_no_page_holds_it(page, clock):
    comms.snapshots._thread = threading.current_thread()  # none is started: the test sends what is due
    photos = ImageInput(Image.new("RGB", (9, 9)))
    view = open_view(page, photos).view
    view.layer.comm.hear({"a": view.number, "left": 1})
    assert photos._view is view
    clock.advance(SEARCH_S)
    while comms.snapshots.send_due() is not None:
        clock.advance(SEARCH_S)
    assert photos._view is None
    assert "amber-hook" not in page[0][-1]["text/html"]


def test_what_a_view_that_has_ended_makes_of_it_is_not_shown(page):
    photos = ImageInput()
    first = open_view(page, photos).view
    photos.edit()
    photos._update(first, {"text/html": "late", "text/plain": "late"})
    assert "late" not in repr(page)
    photos._update(photos._view, {"text/html": "now", "text/plain": "now"})
    assert page[1][-1]["text/plain"] == "now"


@pytest.mark.parametrize(
    ("steps", "forms"),
    [
        ("c1 show, c2 show", "open, open"),  # the first output is gone, and not written to
        ("c1 show, c1 show", "nothing, open"),
        ("c1 show, d1 show", "strip, open"),
        ("c1 edit", "open"),
        ("c1 edit, c1 edit", "nothing, open"),
        ("c1 edit, c1 edit, c1 edit", "nothing, nothing, open"),
        ("c1 edit, c1 show", "nothing, open"),
        ("c1 show, c1 edit", "nothing, open"),
        ("c1 show, d1 edit, d1 edit", "strip, nothing, open"),
        ("c1 show, d1 edit, e1 edit", "strip, strip, open"),
        ("c1 show, d1 edit, d2 edit", "strip, open, open"),
        ("c1 show, d1 edit, c2 edit", "strip, strip, open"),
        ("c1 edit, done, c1 edit", "strip, open"),
        ("c1 edit, d1 edit, done", "strip, strip"),
        ("-1 edit, -1 edit", "strip, open"),  # a front end that names no cells
    ],
)
def test_it_is_open_where_it_was_shown_last(page, monkeypatch, steps, forms):
    where = {}
    monkeypatch.setattr(cell, "cell_id", lambda: where["cell"])
    monkeypatch.setattr(cell, "execution_id", lambda: where["run"])
    photos = ImageInput()
    for step in steps.split(", "):
        place, _, action = step.rpartition(" ")
        if place:
            where = {"cell": place[0].strip("-") or None, "run": place}
        {"show": photos._ipython_display_, "edit": photos.edit, "done": photos.done}[action]()
    kinds = {"<div>No image yet.</div>": "strip", "": "nothing"}
    assert ", ".join(kinds.get(each[-1]["text/html"], "open") for each in page) == forms
    last = page[-1][-1]["text/html"]
    photos.done()
    assert (last == page[-1][-1]["text/html"]) == forms.endswith("strip")


@pytest.mark.parametrize(
    ("variable", "front_end", "live"),
    [("static", True, False), ("none", True, False), ("live", False, True), ("auto", False, False)],
)
def test_where_nobody_looks_there_is_no_widget(page, monkeypatch, variable, front_end, live):
    monkeypatch.setenv("AMBER_DISPLAY", variable)
    monkeypatch.setattr(cell, "has_front_end", lambda: front_end)
    bundles = []
    monkeypatch.setattr(cell, "show_bundle", bundles.append)
    ImageInput(Image.new("RGB", (9, 9)))._ipython_display_()
    assert (len(page), len(bundles)) == ((1, 0) if live else (0, 1))


def test_a_file_that_comes_while_ask_uses_it_locks_nothing(page):
    photos = ImageInput(Image.new("RGB", (9, 9)), most=100_000)
    views = [open_view(page, photos)]
    over = threading.Event()
    results = []

    def keep_sending():
        while not over.is_set():
            results.append(send_file(views[-1], len(results) + 1, png(size=(4, 4))).get("said", "ended"))

    thread = threading.Thread(target=keep_sending, daemon=True)
    thread.start()
    for _ in range(40):
        before = len(photos)
        while len(photos) < before + 3:  # each view takes some, and is ended while more come
            pass
        photos.mark_used()
        views.append(open_view(page, photos))
    over.set()
    thread.join(10)
    assert not thread.is_alive()
    assert set(results) <= {"", "ended", "no more images are taken here"}
    assert len(photos) == 1 + results.count("")


def test_what_is_saved_is_small(page):
    noise = Image.effect_noise((900, 700), 90).convert("RGB")
    photos = ImageInput([noise] * 15)
    html = photos._repr_mimebundle_()["text/html"]
    assert html.count("<img") == 12
    assert "and 3 more" in html
    assert len(html) < 12 * 10_000
    assert base64.b64encode(photos.images[0].sent.thumbnail).decode() in html
    assert repr(photos).count("image") == 15
