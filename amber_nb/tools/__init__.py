"""Functions as tools, and typed answers: their schemas, arguments and results.

The names load on first use, so that a question without tools does not import what reads schemas.
"""

from __future__ import annotations

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
