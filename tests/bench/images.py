"""What a photo costs on its way into a request, against Pillow's own decoding, resizing and encoding of the same file.

    python tests/bench/images.py [--rounds 9]

Time: the least and the median of the rounds, taken in turns, as ratios. Memory: the peak of a process of its own, above
what it held before, as a multiple of the decoded pixels.
"""

from __future__ import annotations

import argparse
import io
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

from amber_nb import image_part

SIZE = (4_000, 3_000)
MAX_SIDE_PX = 2_048


def photo() -> Image.Image:
    """Twelve megapixels with the statistics of a photo."""
    random = np.random.default_rng(0)
    small = Image.fromarray((random.random((300, 400, 3)) * 255).astype("uint8"))
    smooth = np.asarray(small.resize(SIZE, Image.Resampling.BICUBIC)).astype("int16")
    return Image.fromarray((smooth + random.integers(-8, 9, smooth.shape, dtype="int16")).clip(0, 255).astype("uint8"))


def drawing() -> Image.Image:
    image = Image.new("RGB", SIZE, "white")
    draw = ImageDraw.Draw(image)
    for step in range(0, 4_000, 40):
        draw.line((step, 0, 4_000 - step, 3_000), fill=(step % 255, 80, 160), width=3)
        draw.text((step, step % 3_000), f"{step} units", fill="black", font_size=30)
    return image


def pillow(data: bytes, kind: str) -> bytes:
    """The same by hand."""
    image = Image.open(io.BytesIO(data)).resize((2_048, 1_536), Image.Resampling.LANCZOS)
    out = io.BytesIO()
    image.save(out, kind, **({"quality": 85} if kind == "JPEG" else {}))
    return out.getvalue()


def timed(rounds: int, data: bytes, kind: str) -> tuple[float, float, float]:
    """Least ratio of the least times, ratio of the medians, and Pillow's median (s)."""
    ours, theirs = [], []
    image_part(data), pillow(data, kind)
    for _ in range(rounds):
        for times, work in ((ours, lambda: image_part(data)), (theirs, lambda: pillow(data, kind))):
            start = time.perf_counter()
            work()
            times.append(time.perf_counter() - start)
    return min(ours) / min(theirs), statistics.median(ours) / statistics.median(theirs), statistics.median(theirs)


PEAK = """
import sys
from pathlib import Path
from PIL import Image
from amber_nb import image_part

def mark(name):
    return next(int(line.split()[1]) for line in open("/proc/self/status") if line.startswith(name))

image_part(Image.new("RGB", (3_000, 400)))  # what is loaded once
path = Path(sys.argv[1])
Path("/proc/self/clear_refs").write_text("5")  # the peak begins anew
before = mark("VmRSS")
image_part(path)
print((mark("VmHWM") - before) * 1024)
"""


def peak(path: Path) -> int:
    """Bytes above what the process held before."""
    done = subprocess.run([sys.executable, "-c", PEAK, str(path)], capture_output=True, text=True, check=True)
    return int(done.stdout)


def main() -> None:
    """Print the table."""
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--rounds", type=int, default=9)
    rounds = arguments.parse_args().rounds
    rows = [("JPEG", "JPEG, 12 megapixels", photo()), ("PNG", "PNG of a drawing, 12 megapixels", drawing())]
    print(f"{'':34} {'time, Pillow = 1':>20} {'(Pillow, s)':>12} {'peak, decoded = 1':>18}")
    for kind, name, image in rows:
        out = io.BytesIO()
        image.save(out, kind, **({"quality": 92} if kind == "JPEG" else {}))
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / f"image.{kind.lower()}"
            path.write_bytes(out.getvalue())
            memory = peak(path) / (SIZE[0] * SIZE[1] * 3)
        least, median, theirs = timed(rounds, out.getvalue(), kind)
        print(f"{name:34} {least:9.2f} – {median:6.2f}   {theirs:12.3f} {memory:18.2f}")


if __name__ == "__main__":
    main()
