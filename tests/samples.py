"""Images that the tests make, and what the HTTP simulator tells of those that reached it."""

from __future__ import annotations

import base64
import io
import re
from dataclasses import dataclass
from typing import Any

import numpy as np
from PIL import Image

RED, BLUE, WHITE = (225, 30, 35), (35, 85, 215), (255, 255, 255)


@dataclass(frozen=True)
class Report:
    """One image as the simulator reports it."""

    format: str
    size: tuple[int, int]
    colour: tuple[int, int, int]


_LINE = re.compile(r"\*\*Image(?: \d+)?:\*\* (\w+), ([\d,]+) × ([\d,]+) pixels, .*mostly [\w ]+ \(`#(\w{6})`\)")


def image_reports(text: str) -> list[Report]:
    """The images that a reply of the simulator tells of."""
    return [
        Report(kind, (int(w.replace(",", "")), int(h.replace(",", ""))), tuple(bytes.fromhex(colour)))  # type: ignore[arg-type]
        for kind, w, h, colour in _LINE.findall(text)
    ]


def quarters(size: tuple[int, int] = (96, 64), colour: Any = BLUE, mode: str = "RGB") -> Image.Image:
    """Mostly one colour, with a red, a green and a yellow corner: no turn or flip of it is like another."""
    image = Image.new("RGB", size, colour)
    w, h = size
    image.paste((220, 30, 30), (0, 0, w // 3, h // 3))
    image.paste((30, 160, 60), (2 * w // 3, 0, w, h // 4))
    image.paste((240, 220, 40), (0, 2 * h // 3, w // 4, h))
    return image.convert(mode)


def photo(size: tuple[int, int], seed: int = 0) -> Image.Image:
    """Something with the statistics of a photo: soft shapes and a little noise."""
    random = np.random.default_rng(seed)
    small = Image.fromarray((random.random((12, 16, 3)) * 255).astype("uint8"))
    smooth = np.asarray(small.resize(size, Image.Resampling.BICUBIC)).astype("int16")
    noisy = smooth + random.integers(-6, 7, smooth.shape, dtype="int16")
    return Image.fromarray(noisy.clip(0, 255).astype("uint8"))


def file(image: Image.Image, kind: str, **options: Any) -> bytes:
    out = io.BytesIO()
    image.save(out, kind, **options)
    return out.getvalue()


def decode_part(part: dict[str, Any]) -> Image.Image:
    """The image that a part carries, decoded."""
    return Image.open(io.BytesIO(base64.b64decode(part["image_url"]["url"].partition(",")[2])))


def near(first: tuple[int, ...], second: tuple[int, ...], most: int = 8) -> bool:
    return all(abs(a - b) <= most for a, b in zip(first, second, strict=True))
