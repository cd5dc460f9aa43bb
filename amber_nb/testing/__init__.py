"""Notebooks as tests: the pytest plugin and what it delegates to.

Names are imported on first use: pytest loads the plugin in every session, with notebooks or without.
"""

from __future__ import annotations

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
