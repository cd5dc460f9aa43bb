"""DataFrames and Stylers as pictures, by dataframe_image with matplotlib: without a browser, without a network."""

from __future__ import annotations

import io
from typing import Any

import dataframe_image

from ..errors import ImageError

__all__ = ["table_png"]

MOST_ROWS = 100
MOST_COLUMNS = 30


def table_png(table: Any) -> bytes:
    """A DataFrame or a Styler as a PNG.

    Raises:
        ImageError: it has more than 100 rows or 30 columns, which nobody could read in a picture.
    """
    frame = table.data if type(table).__name__ == "Styler" else table
    rows, columns = frame.shape
    if rows > MOST_ROWS or columns > MOST_COLUMNS:
        raise ImageError(
            f"This table has {rows:,} rows and {columns:,} columns; a picture of more than {MOST_ROWS} × "
            f"{MOST_COLUMNS} cannot be read. Give a part of it, such as frame.head(50), or put it into the prompt as "
            "text (frame.to_csv())."
        )
    out = io.BytesIO()
    dataframe_image.export(table, out, table_conversion="matplotlib")
    return out.getvalue()
