"""Put the pictures that the notebooks show into them: `python tests/browser/attach_pictures.py`.

A notebook names a picture as `attachment:NAME.png`, and holds it: those of the demo are copied without their folder.
The light ones of `.pictures` are taken, in half the size.
"""

from __future__ import annotations

import base64
import io
import re
from pathlib import Path

import nbformat
from PIL import Image

ROOT = Path(__file__).parents[2]


def attach(notebook: Path, pictures: Path) -> list[str]:
    """Attach to each cell what it names; return the names of the pictures, without their ending."""
    book = nbformat.read(notebook, as_version=4)
    found = []
    for cell in book.cells:
        names = re.findall(r"\(attachment:(\w+)\.png\)", cell.source) if cell.cell_type == "markdown" else []
        if names:
            cell.attachments = {f"{name}.png": {"image/png": encode(pictures / f"{name}-light.png")} for name in names}
            found += names
    nbformat.write(book, notebook)
    return found


def encode(path: Path) -> str:
    """Return a picture for a notebook, in base64."""
    with Image.open(path) as image:
        image = image.convert("RGB").resize((image.width * 2 // 3, image.height * 2 // 3), Image.Resampling.LANCZOS)
    data = io.BytesIO()
    image.quantize(48, dither=Image.Dither.NONE).save(data, "PNG", optimize=True)
    return base64.b64encode(data.getvalue()).decode("ascii")


if __name__ == "__main__":
    for path in sorted((ROOT / "notebooks").glob("*.ipynb")):
        for name in attach(path, ROOT / ".pictures"):
            print(f"{path.name}: {name}")
