"""Escape the text of a model, so that none of it is markup, is typeset by accident or reverses the line."""

import re
from html import escape
from ipaddress import IPv4Address, IPv6Address
from unicodedata import category, normalize
from urllib.parse import quote

__all__ = ["escape_code", "escape_text", "host_hint", "link_target", "shorten", "show_controls"]

# Controls, lone surrogates, non-characters, and the bidi embeddings, overrides and isolates (U+202A–202E, U+2066–2069).
_UNSAFE = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ud800-\udfff\ufffe\uffff]")
# Lab, nbconvert and KaTeX look for maths within one text node: a delimiter alone in its <span> can open nothing.
_DELIMITER = re.compile(r"[$\\]")
# What a browser drops from an address before it reads the scheme, and what no reader can see in it.
_DROPPED = re.compile("[\x00-\x1f\x7f-\x9f\u00ad\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\ud800-\udfff]")
_HOST = r"[\w-]{1,63}(?:\.[\w-]{1,63}){0,20}\.?"
_WEB = re.compile(rf"(https?)://({_HOST}|\[[0-9a-f:.]{{2,45}}\])(:\d{{1,5}})?([/?#].*)?", re.IGNORECASE | re.DOTALL)
_MAIL = re.compile(rf"mailto:([\w.+-]{{1,64}})@({_HOST})(\?.*)?", re.IGNORECASE | re.DOTALL)
_URL_CHARACTERS = "-._~:/?#[]@!()*+,;=%&"
# What no reader sees in a label.
_UNSEEN = re.compile(
    "[\x00-\x1f\x7f-\x9f\u00ad\u034f\u115f\u1160\u180b-\u180e\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufe00-\ufe0f\ufeff"
    "\U000e0000-\U000e0fff]"
)
_FULL_STOP = re.compile("(?<=[a-z0-9])\u3002(?=[a-z0-9])")  # of Chinese: browsers read it as a dot
_NAMES_A_HOST = re.compile(r"[\w-]{1,63}(?:\.[\w-]{1,63}){0,20}\.[^\W\d_]{2,24}")
_LONGEST_URL = 8_000
_PORTS = {"http": 80, "https": 443}
_LABELS = re.compile(r"[\w.-]+")  # without combining marks, which parsers judge differently
_NUMBER = re.compile(r"(?:\d+|0x[0-9a-f]*)\.?")  # the end of what browsers take for the number of a machine
_RIGHT_TO_LEFT = re.compile("[\u0590-\u08ff\ufb1d-\ufdff\ufe70-\ufefc\U00010800-\U00010fff\U0001e800-\U0001efff]+")


def _sign_of(match: re.Match[str]) -> str:
    character = match[0]
    if character in "\x00\ufffe\uffff" or "\ud800" <= character <= "\udfff":
        return "\ufffd"
    if character < " ":
        return chr(0x2400 + ord(character))  # the pictures of the controls: ␛, ␈ …
    return f"[U+{ord(character):04X}]"


def show_controls(text: str) -> str:
    """Replace each control character, which would act on a terminal or on its line, with a sign for it."""
    return _UNSAFE.sub(_sign_of, text)


def escape_code(text: str) -> str:
    """Escape text for `<code>` and `<pre>`, where nothing is typeset."""
    return show_controls(escape(text, quote=False))


def escape_text(text: str) -> str:
    """Escape text for outside of code: each dollar and backslash gets an element, so that Lab typesets none of it."""
    return _DELIMITER.sub(r"<span>\g<0></span>", escape_code(text))


def shorten(text: str, limit: int) -> str:
    """Return the text, or its start and an ellipsis: at most `limit` characters."""
    return text if len(text) <= limit else text[: limit - 1] + "…"


def link_target(raw: str) -> tuple[str, str] | None:
    """Return a URL as a browser reads it, if it is plainly http, https or mailto.

    Relative and protocol-relative addresses, user names before the host, odd hosts and every other scheme are no links.

    Args:
        raw: The address, its Markdown escapes and entities already decoded.

    Returns:
        The attribute's value (percent-encoded, not yet HTML-escaped) and the host a reader should see; or None.
    """
    url = _DROPPED.sub("", raw).strip()
    if len(url) > _LONGEST_URL:
        return None
    if web := _WEB.fullmatch(url):
        scheme, host, rest = web[1].lower(), _ascii_host(web[2]), web[4] or ""
        number = int(web[3][1:]) if web[3] else _PORTS[scheme]
        port = "" if number == _PORTS[scheme] else f":{number}"
        if not host or number > 65_535:
            return None
        return f"{scheme}://{host}{port}{quote(rest, safe=_URL_CHARACTERS)}", host + port
    if mail := _MAIL.fullmatch(url):
        host = _ascii_host(mail[2])
        name, rest = quote(mail[1], safe="+"), quote(mail[3] or "", safe=_URL_CHARACTERS)
        return (f"mailto:{name}@{host}{rest}", host) if host else None
    return None


def _ascii_host(host: str) -> str:
    """Return a host as the network has it; "" where browsers would read another one, or could read two."""
    host = host.lower()
    if host.isascii():
        return host if _is_plain(host) else ""
    labels = host.removesuffix(".").split(".")
    if normalize("NFKC", host) != host or not _LABELS.fullmatch(host) or _NUMBER.fullmatch(labels[-1]):
        return ""
    if any(label.startswith("xn--") for label in labels):
        return ""
    if _RIGHT_TO_LEFT.search(host) and not all(
        (label.isascii() and label.isalpha()) or (label.isalpha() and _RIGHT_TO_LEFT.fullmatch(label))
        for label in labels
    ):
        return ""
    name = ".".join(label if label.isascii() else f"xn--{label.encode('punycode').decode()}" for label in labels)
    try:
        known = host.removesuffix(".").encode("idna").decode("ascii").lower()
    except UnicodeError:
        return ""
    # Where they differ the older rule has replaced a letter: \u00df by ss.
    return name + host[len(host.removesuffix(".")) :] if name == known else ""  # xn--…: a look-alike letter shows


def _is_plain(host: str) -> bool:
    """Return whether browsers read an ASCII host as it is written: no number in an odd form, no broken xn-- label."""
    try:
        if host.startswith("["):
            return str(IPv6Address(host[1:-1])) == host[1:-1]
        if _NUMBER.fullmatch(host.removesuffix(".").rpartition(".")[2]):
            return str(IPv4Address(host)) == host
        foreign = [label[4:] for label in host.split(".") if label.startswith("xn--")]
        letters = "".join(label.encode().decode("punycode") for label in foreign)
        if any(label.encode().decode("punycode").isascii() for label in foreign):
            return False
        return normalize("NFKC", letters) == letters.lower() and all(
            c == "-" or category(c)[0] in "LNM" for c in letters
        )
    except ValueError:
        return False


def host_hint(label: str, host: str) -> str:
    """Return the real host where a link's label names another host, or it has foreign letters; else ""."""
    if "xn--" in host:
        return host
    seen = _FULL_STOP.sub(".", normalize("NFKC", _UNSEEN.sub("", label[:2_000])).lower())
    named = (match[0].removeprefix("www.") for match in _NAMES_A_HOST.finditer(seen))
    return "" if all(f".{host}".endswith(f".{name}") for name in named) else host
