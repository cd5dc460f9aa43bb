"""MCP servers as tools: where they are, the connection to them, what they list, and what their tools return.

The names load on first use: a question without servers imports nothing of this, and nothing of the SDK.
"""

from __future__ import annotations

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
