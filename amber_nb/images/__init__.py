"""Images for a model: made from anything that can be seen, chosen by the reader, sent as content parts.

The names load on first use, so that a client that sends no image does not import Pillow.
"""

from __future__ import annotations

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
