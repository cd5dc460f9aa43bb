"""Images chosen, pasted and dropped in a real JupyterLab, and how they arrive in the kernel."""

from __future__ import annotations

import hashlib
import json
import pathlib
import re
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from accessibility import judge
from PIL import Image
from playwright.sync_api import expect

pytestmark = pytest.mark.browser

# Whoever makes an ImageView keeps the images and says what is in it.
OWNER = """
import hashlib, io, json, pathlib, time
from IPython.display import display
from PIL import Image
from amber_nb.errors import AmberError
from amber_nb.images.view import ImageEntry, ImageView

class Spy(ImageView):
    sizes = []
    def receive(self, content, buffers):
        self.sizes.extend(len(buffer) for buffer in buffers)
        super().receive(content, buffers)

class Owner:
    def __init__(self, **settings):
        self.got, self.entries, self.dones, self.handles = [], [], 0, []
        calls = {name: getattr(self, name) for name in ("take", "link", "arrange", "done", "strip", "update")}
        self.view = Spy(**calls, **(dict(max_side_px=2048, most=20) | settings))

    def show(self):
        self.handles.append(display(self.view.snapshot(), raw=True, display_id=True))

    def strip(self):
        text = f"{len(self.entries)} images: {[entry.name for entry in self.entries]}"
        return {"text/html": f"<div>{text}</div>", "text/plain": text}

    def update(self, _view, bundle):
        for handle in self.handles:
            handle.update(bundle, raw=True)

    def take(self, name, data, before):
        if name.endswith(".tiff"):
            while not pathlib.Path(GATE).exists():  # Pillow, at work
                time.sleep(0.05)
            facts, thumbnail, pixels = ("as it came",), b"", []
        else:
            try:
                image = Image.open(io.BytesIO(data)).convert("RGB")
            except OSError:
                raise AmberError("this is no image that can be read: is it a text file?") from None
            pixels = [image.size, image.getpixel((5, 5)), image.getpixel((image.width - 5, 5))]
            facts = (f"{before[0]:,} × {before[1]:,} → " if before else "") + f"{image.width:,} × {image.height:,}"
            facts = (facts, f"{len(data) / 1000:,.0f} kB")
            image.thumbnail((160, 160))
            out = io.BytesIO()
            image.save(out, "WEBP")
            thumbnail = out.getvalue()
        self.got.append([name, len(data), before, hashlib.sha256(data).hexdigest(), pixels])
        self.add(name, facts, thumbnail)

    def link(self, address):
        self.add(address, ("a link: the gateway fetches it",), b"")

    def add(self, name, facts, thumbnail):
        self.entries.append(ImageEntry(len(self.got) + 100 * len(self.entries), name, facts, thumbnail))
        self.view.show(self.entries)

    def arrange(self, ids):
        self.entries = [next(entry for entry in self.entries if entry.id == id) for id in ids]
        self.view.show(self.entries)

    def done(self):
        self.dones += 1
        self.update(None, self.strip())
        self.view.finish(self.strip())
"""
SHOWN = OWNER + "\nowner = Owner()\nowner.show()"
TELL = "print(json.dumps([owner.got, [entry.name for entry in owner.entries], owner.dones, Spy.sizes]))"


def told(book: Any, index: int = 1) -> Any:
    """What the kernel has."""
    book.run(index, wait=True)
    return json.loads(book.output(index).inner_text())


def names(out: Any) -> Any:
    return out.locator(".amber-list .amber-name")


def picture(path: pathlib.Path, size: tuple[int, int], colour: str, **how: Any) -> pathlib.Path:
    image = Image.new("RGB", size, colour)
    image.paste("white", (size[0] // 2, size[1] // 4, size[0] // 2 + size[0] // 4, size[1] // 2))
    image.save(path, **how)
    return path


def drop(book: Any, at: Any, *, files: list[str] | None = None, items: list[dict[str, str]] | None = None) -> None:
    """What the browser does when something is let go over the page."""
    box = at.bounding_box()
    data = {"items": items or [], "files": files or [], "dragOperationsMask": 1}
    session = book.page.context.new_cdp_session(book.page)
    for kind in ("dragEnter", "dragOver", "drop"):
        if kind == "drop" and files:
            expect(at).to_have_class(re.compile("amber-dropping"))
        place = {"x": box["x"] + box["width"] / 2, "y": box["y"] + box["height"] / 2}
        session.send("Input.dispatchDragEvent", {"type": kind, "data": data, **place})


COPY = """async () => {
  const canvas = Object.assign(document.createElement('canvas'), { width: 300, height: 200 });
  const pen = canvas.getContext('2d');
  pen.fillStyle = 'purple';
  pen.fillRect(0, 0, 300, 200);
  const blob = await new Promise(resolve => canvas.toBlob(resolve, 'image/png'));
  await navigator.clipboard.write([new ClipboardItem({ 'image/png': blob })]);
}"""


def test_chosen_pasted_dropped_and_arranged(
    notebook: Callable[..., Any],
    artefacts: pathlib.Path,
    tmp_path: pathlib.Path,
    axe: str,
) -> None:
    red = picture(tmp_path / "red.png", (640, 480), "firebrick")
    green = picture(tmp_path / "green leaf.jpg", (900, 300), "seagreen", quality=80)
    dropped = picture(tmp_path / "dropped.webp", (100, 400), "orange")
    wrong = tmp_path / "wrong.png"
    wrong.write_text("no image at all")
    book = notebook([SHOWN, TELL])
    book.page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    book.run(0, wait=True)
    out, press = book.output(0), book.page.keyboard.press
    expect(out.get_by_role("button", name="Choose images…")).to_be_visible()
    out.screenshot(path=artefacts / "images-empty.png")

    out.locator("input[type=file]").set_input_files([str(red), str(wrong), str(green)])
    expect(names(out)).to_have_text(["red.png", "green leaf.jpg"])
    status = out.get_by_role("status")
    expect(status).to_have_text("wrong.png: this is no image that can be read: is it a text file?")
    out.screenshot(path=artefacts / "images-wrong.png")

    zone = out.locator(".amber-zone")
    zone.click(position={"x": 5, "y": 5})
    expect(zone).to_be_focused()
    book.page.evaluate(COPY)
    press("Control+v")
    expect(names(out)).to_have_text(["red.png", "green leaf.jpg", "pasted image.png"])
    expect(status).to_be_empty()
    book.page.evaluate("navigator.clipboard.writeText('https://example.org/cat.jpg')")
    press("Control+v")
    expect(names(out)).to_have_count(4)
    drop(book, zone, files=[str(dropped), str(wrong)])
    drop(book, zone, items=[{"mimeType": "text/uri-list", "data": "https://example.org/dog.jpg"}])
    expect(names(out)).to_have_count(6)
    drop(book, zone, items=[{"mimeType": "text/plain", "data": "some words"}])
    expect(status).to_have_text("There is no image in what was dropped, and no link to one.")
    out.screenshot(path=artefacts / "images.png")

    # By keyboard: the last one two up, the first one away; the focus goes with them.
    out.get_by_role("button", name="Move https://example.org/dog.jpg earlier").focus()
    press("Enter")
    press("Space")
    expect(names(out).nth(3)).to_have_text("https://example.org/dog.jpg")
    expect(out.get_by_role("button", name="Move https://example.org/dog.jpg earlier")).to_be_focused()
    out.get_by_role("button", name="Remove red.png").focus()
    press("Enter")
    expect(out.get_by_role("button", name="Remove green leaf.jpg")).to_be_focused()
    for key in ("ArrowDown", "d", "d", "Delete", "b", "x"):  # of Lab's: none moves or adds or removes a cell
        press(key)
    expect(out.get_by_role("button", name="Remove green leaf.jpg")).to_be_focused()
    order = ["green leaf.jpg", "pasted image.png", "https://example.org/dog.jpg", "https://example.org/cat.jpg"]
    expect(names(out)).to_have_text([*order, "dropped.webp"])
    expect(book.page.locator(".jp-Notebook .jp-CodeCell")).to_have_count(2)

    got, kept, dones, _ = told(book)
    assert kept == [*order, "dropped.webp"]
    assert dones == 0
    sent = {name: (size, before, digest) for name, size, before, digest, _ in got}
    for path in (red, green, dropped):
        data = path.read_bytes()
        assert sent[path.name] == (len(data), None, hashlib.sha256(data).hexdigest())
    assert got[2][4][:2] == [[300, 200], [128, 0, 128]]

    book.saved()
    book.page.reload()  # the kernel lives on, and so do the images
    expect(names(out)).to_have_text([*order, "dropped.webp"], timeout=60_000)
    expect(out.locator("img")).to_have_count(3)
    decoded = "() => [...document.querySelectorAll('.amber-input img')].every(one => one.complete && one.naturalWidth)"
    book.page.wait_for_function(decoded)
    out.get_by_role("button", name="Done").click()
    expect(out.get_by_role("button")).to_have_count(0)
    expect(out).to_contain_text("5 images: ['green leaf.jpg', 'pasted image.png'")
    expect(book.cell(0)).to_be_focused()
    out.screenshot(path=artefacts / "images-done.png")
    assert told(book)[2] == 1
    strangers = [address for address in book.requests if not re.match(r"(https?://127\.0\.0\.1:|blob:|data:)", address)]
    assert not strangers


AGAIN = "import pathlib\nowner.show()\nwhile not pathlib.Path({gate!r}).exists():\n    time.sleep(0.05)"


@pytest.mark.parametrize("part", [pytest.param(2, id="6 MB"), pytest.param(1, id="20 MB", marks=pytest.mark.slow)])
def test_large_files_travel_small_or_in_pieces_while_a_cell_runs(
    notebook: Callable[..., Any], artefacts: pathlib.Path, tmp_path: pathlib.Path, part: int
) -> None:
    noise = np.random.default_rng(1).integers(0, 256, (4000 // part, 6000 // part, 3), dtype=np.uint8)
    noise[:200, :200], noise[:200, -200:] = (255, 0, 0), (0, 0, 255)
    photo, turned, scan = tmp_path / "photo.jpg", tmp_path / "turned.jpg", tmp_path / "scan.tiff"
    Image.fromarray(noise).save(photo, quality=92)
    assert photo.stat().st_size >= 20_000_000 / part**2
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned right: what is its left side stands at the top, the red corner at the right
    Image.fromarray(noise[:1500, :3000]).save(turned, quality=95, exif=exif)
    scan.write_bytes(b"II*\x00" + noise.tobytes()[: 9_000_000 - 4])
    gate = tmp_path / "go on"
    taken = tmp_path / "taken"
    book = notebook([SHOWN + f"\nGATE = {str(taken)!r}", TELL, AGAIN.format(gate=str(gate))])
    book.run(0, wait=True)
    out = book.output(0)
    expect(out.get_by_role("button", name="Choose images…")).to_be_visible()
    book.run(2)
    again = book.output(2)
    expect(again.get_by_role("button", name="Choose images…")).to_be_visible()
    out.locator("input[type=file]").set_input_files(str(picture(tmp_path / "small.png", (30, 20), "navy")))
    expect(names(again)).to_have_text(["small.png"])
    expect(book.cell(2).locator(".jp-InputPrompt")).to_have_text("[*]:")
    out.get_by_role("button", name="Remove small.png").click()
    expect(names(again)).to_have_count(0)
    gate.touch()
    book.finished(2)

    out.locator("input[type=file]").set_input_files([str(photo), str(turned), str(scan)])
    expect(out.get_by_role("progressbar").first).to_be_visible()
    expect(out.get_by_role("button", name="Done")).to_have_attribute("aria-disabled", "true")
    out.screenshot(path=artefacts / "images-sending.png")
    expect(out.get_by_text("waiting for the kernel: it is busy")).to_be_visible(timeout=60_000)
    taken.touch()
    for one in (out, again):
        expect(names(one)).to_have_text(["photo.jpg", "turned.jpg", "scan.tiff"], timeout=60_000)
    expect(out.locator(".amber-job")).to_have_count(0)
    got, *_, sizes = told(book)
    (_, size, before, _, pixels), (_, _, turned_before, _, turned_pixels), (_, scanned, no, digest, _) = got[1:]
    assert size < 4_000_000
    assert (before, pixels[0]) == ([6000 // part, 4000 // part], [2048, 1365])
    assert [round(value / 85) for value in (*pixels[1], *pixels[2])] == [3, 0, 0, 0, 0, 3]
    assert (turned_before, turned_pixels[0]) == ([1500, 3000], [1024, 2048])
    assert [round(value / 85) for value in turned_pixels[2]] == [3, 0, 0]
    assert (scanned, no, digest) == (9_000_000, None, hashlib.sha256(scan.read_bytes()).hexdigest())
    assert max(sizes) == 4_000_000
    assert sum(sizes) == sum(one[1] for one in got)  # nothing was sent twice


def test_too_many_a_narrow_page_and_axe(
    notebook: Callable[..., Any],
    artefacts: pathlib.Path,
    tmp_path: pathlib.Path,
    axe: str,
) -> None:
    paths = [picture(tmp_path / f"a rather long name of a picture {i}.png", (320, 200), "teal") for i in range(5)]
    notes = tmp_path / "notes.txt"
    notes.write_text("words")
    cell = SHOWN.replace("Owner()", "Owner(most=3)")
    book = notebook([cell], theme="JupyterLab Dark")
    book.run(0, wait=True)
    out = book.output(0)
    out.locator("input[type=file]").set_input_files([str(notes), *map(str, paths)])
    expect(names(out)).to_have_count(3)
    expect(out.get_by_role("status")).to_contain_text("notes.txt: not an image")
    expect(out.get_by_role("status")).to_contain_text("and 1 more were left out: at most 3 images are taken")
    out.screenshot(path=artefacts / "images-dark.png")
    judge(book.page, axe, ".amber-input", artefacts / "axe-images.json")
    book.style(".jp-Cell-outputArea { max-width: 424px; }")  # 64 of them are the prompt's
    needed, there = out.locator(".amber-input").evaluate("el => [el.scrollWidth, el.clientWidth]")
    assert needed <= there <= 360
    out.screenshot(path=artefacts / "images-narrow.png")
    book.page.emulate_media(forced_colors="active")
    out.locator(".amber-zone").focus()
    out.screenshot(path=artefacts / "images-forced.png")
    out.get_by_role("button", name="Dismiss messages").click()
    expect(out.get_by_role("status")).to_be_empty()
    expect(out.get_by_role("button", name="Choose images…")).to_be_focused()
