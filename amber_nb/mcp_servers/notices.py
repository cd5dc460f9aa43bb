"""Tell the reader what concerns a server, wherever it is noticed."""

from __future__ import annotations

import warnings

from ..cassettes.session import CassetteSession

__all__ = ["tell"]


def tell(session: CassetteSession | None, text: str) -> None:
    """Warn the reader, each time; in a test run, where it would be a difference in an output, in its journal.

    With a fresh registry, since Python shows an equal warning of an equal line once; and without a file, since the
    private loop has no frame of the user's, and a line of ours would tell nothing.
    """
    if session is not None and session.is_in_run:
        session.warn(text)
    else:
        warnings.warn_explicit(f"amber: {text}", RuntimeWarning, "<amber>", 1, module="amber_nb", registry={})
