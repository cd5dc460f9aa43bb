from .charts import plotly_png
from .dataframes import table_png
from .download import download
from .image_view import Entry, ImageView
from .input import ImageInput
from .part import HoldsImages, ImagePart, gather, image_part, image_parts
from .pixels import pixel_digest
from .prepare import check_options, prepare
from .source import several
from .vega import altair_png

__all__ = [
    "Entry",
    "HoldsImages",
    "ImageInput",
    "ImagePart",
    "ImageView",
    "altair_png",
    "check_options",
    "download",
    "gather",
    "image_part",
    "image_parts",
    "pixel_digest",
    "plotly_png",
    "prepare",
    "several",
    "table_png",
]
