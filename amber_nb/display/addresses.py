"""Addresses that stand bare in a text: where they begin, and where the text goes on behind them.

frontend/src/markdown/addresses.js reads them alike.
"""

import re
from collections.abc import Iterator

from .escape import link_target

__all__ = ["find_addresses"]

# What ends an address: quotes, dashes, bullets, arrows and other signs, and the punctuation of Chinese and Japanese.
_ENDS = (
    "\u00ab\u00bb\u200b\u200e\u200f\u2014-\u206f\u2190-\u2bff\u3000-\u3004\u3008-\u3020\u3030\u303d-\u303f"
    "\ufe10-\ufe1f\ufe30-\ufe6f\uff01-\uff0f\uff1a-\uff20\uff3b-\uff40\uff5b-\uff65\uffe0-\uffee\U0001f000-\U0001faff"
)
# Letters that are written without spaces between the words, or that stand directly behind a foreign word.
_UNSPACED = (
    "\u0e00-\u0eff\u1000-\u109f\u1100-\u11ff\u1780-\u17ff\u2e80-\ud7ff\uf900-\ufaff\uff01-\uffdc\U00020000-\U0003fffd"
)
_ADDRESS = re.compile(
    rf"(?:https?://(?:\[[0-9a-f:.]{{2,45}}\])?|(?<![^\s*_~(\[{_ENDS}{_UNSPACED}])www\.(?=[\w-]{{1,63}}\.[a-z]))"
    rf"[^\s\x00-,/:-@\[-^`{{-\xa0{_ENDS}]{{0,255}}(?::\d{{1,5}}(?!\d))?(?:[/?#][^\s<>\"'`{_ENDS}]{{0,2000}})?",
    re.IGNORECASE,
)
_ASCII_HOST = re.compile(
    rf"(?:https?://)?[a-z0-9_-]+(?:\.[a-z0-9_-]+)*\.([a-z0-9-]{{2,63}})(?=[{_UNSPACED}])", re.IGNORECASE
)
# What stands before is no host, or not all of it: an escape, a user name, or a letter behind what nobody sees.
_USER = re.compile("%|[^\\s/?#<>\"'`]{0,255}@|[\u200b\u200e\u200f\u202a-\u202e\u2060-\u206f]{1,255}[\\w.-]")
_DOMAIN = re.compile(
    "ai|app|biz|br|ca|cc|cloud|cn|co|com|de|dev|edu|eu|fr|gov|hk|in|info|io|jp|kr|me|net|org|ru|th|tv|tw|uk|us|xyz",
    re.IGNORECASE,
)


def find_addresses(text: str) -> Iterator[tuple[int, int, tuple[str, str]]]:
    """Yield where each address begins and ends, and its target as `link_target` returns it."""
    position = 0
    while found := _ADDRESS.search(text, position):
        start, position = found.start(), found.end()
        address = "" if _USER.match(text, position) else _without_punctuation(_without_words(found[0]))
        target = link_target(address if address[:4].lower() == "http" else f"http://{address}") if address else None
        if target:
            position = start + len(address)
            yield start, position, target


def _without_words(address: str) -> str:
    """Return an address without the words that stand directly behind its host; "" where nobody can tell them apart."""
    host = _ASCII_HOST.match(address)
    if not host:
        return address
    if _DOMAIN.fullmatch(host[1]) or not re.search(r"[./?#:]", address[host.end() :]):
        return host[0]
    return ""


def _without_punctuation(address: str) -> str:
    """Return an address as it stands in a sentence without what ends that, or a bracket around it."""
    end, surplus = len(address), address.count(")") - address.count("(")
    while end and (address[end - 1] in ".,;:!?*_]}\u00b7" or (address[end - 1] == ")" and surplus > 0)):
        end -= 1
        surplus -= address[end] == ")"
    return address[:end]
