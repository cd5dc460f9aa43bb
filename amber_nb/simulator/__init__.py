"""A stand-in for the gateway: pure responses (`respond`) and an HTTP server (`Server`).

The names load on first use: the modules import Pillow, which a client of the real gateway does not need.
"""

from __future__ import annotations

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
