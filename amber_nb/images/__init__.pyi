from .codec import pixel_digest
from .input import ImageInput
from .part import CollectedImages, ImagePart, ImageSource, collect_images, find_image_parts, image_part

__all__ = [
    "CollectedImages",
    "ImageInput",
    "ImagePart",
    "ImageSource",
    "collect_images",
    "find_image_parts",
    "image_part",
    "pixel_digest",
]
