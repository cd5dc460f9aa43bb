"""amber_nb: the amber gateway in Jupyter.

The names resolve on first use (PEP 562), so that importing the package loads neither openai nor pandas.
"""

from __future__ import annotations

import lazy_loader

from . import completion as _completion

__version__ = "0.1.0"

__getattr__, _, _names = lazy_loader.attach_stub(__name__, __file__)
__all__ = sorted([*_names, "__version__"])
_completion.register()


def __dir__() -> list[str]:
    return list(__all__)
