"""Words that messages on images share."""

from __future__ import annotations

import re

__all__ = ["describe_error", "with_article"]

_MAX_CHARS = 200  # of what somebody else's error says
# As they are said: "an SVG", "a uint8".
_VOWEL = re.compile(r"[aeiou]|[AEIOU](?![A-Z])|[AEFHILMNORSX](?=[A-Z])|(?:ndarray|s3|ftp|sftp|svg|html|xml)\b")
_NO_VOWEL = re.compile(r"u(?:ni|se|ui|int|ri|rl|til)|eu|one\b", re.I)


def with_article(noun: str) -> str:
    """Return a noun with its article, as a sentence begins: "An int", "A Figure"."""
    return f"{'An' if _VOWEL.match(noun) and not _NO_VOWEL.match(noun) else 'A'} {noun}"


def describe_error(error: BaseException) -> str:
    """Return the kind of an error and what it says, in one line of at most about 200 characters."""
    lines = [line.strip() for line in str(error).splitlines()]
    text = " ".join(line for line in lines if line.strip("^~ "))  # without the marks below a place
    text = "".join(each if each.isprintable() else " " for each in text)
    text = text if len(text) <= _MAX_CHARS else text[: _MAX_CHARS - 1] + "…"
    return f"{type(error).__name__}: {text}" if text else type(error).__name__
