"""amber_nb: the amber gateway in Jupyter.

The names resolve on first use (PEP 562), so that importing the package loads neither openai nor pandas.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from . import client as client
    from . import credentials as credentials
    from ._version import __version__
    from .answer import Answer
    from .client import Amber
    from .content import tool
    from .errors import (
        AmberError,
        BadReply,
        CassetteMiss,
        ConfigError,
        ImageError,
        RefusalError,
        SchemaError,
        StreamCut,
        ToolError,
    )
    from .image_input import ImageInput
    from .parts import image_part
    from .types import Allow, Deny, ToolCall, ToolRun

# name → module it lives in; None: the module itself
_HOME: dict[str, str | None] = {
    "Allow": ".types",
    "Amber": ".client",
    "AmberError": ".errors",
    "Answer": ".answer",
    "BadReply": ".errors",
    "CassetteMiss": ".errors",
    "ConfigError": ".errors",
    "Deny": ".types",
    "ImageError": ".errors",
    "ImageInput": ".image_input",
    "RefusalError": ".errors",
    "SchemaError": ".errors",
    "StreamCut": ".errors",
    "ToolCall": ".types",
    "ToolError": ".errors",
    "ToolRun": ".types",
    "__version__": "._version",
    "client": None,
    "credentials": None,
    "image_part": ".parts",
    "tool": ".content",
}

__all__ = [
    "Allow",
    "Amber",
    "AmberError",
    "Answer",
    "BadReply",
    "CassetteMiss",
    "ConfigError",
    "Deny",
    "ImageError",
    "ImageInput",
    "RefusalError",
    "SchemaError",
    "StreamCut",
    "ToolCall",
    "ToolError",
    "ToolRun",
    "__version__",
    "image_part",
    "tool",
]


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    home = _HOME[name]
    value = import_module(f".{name}", __name__) if home is None else getattr(import_module(home, __name__), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
