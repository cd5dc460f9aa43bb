from .codec import pixel_digest
from .figures import find_pictures
from .input import ImageInput
from .part import ImagePart, collect_images, find_image_parts, image_part

__all__ = [
    "ImageInput",
    "ImagePart",
    "collect_images",
    "find_image_parts",
    "find_pictures",
    "image_part",
    "pixel_digest",
]
