"""What a reader sees: answers, tool calls and images, live and settled.

The names load on first use, so that a script that shows nothing imports no Markdown parser and no widget.
"""

from __future__ import annotations

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
