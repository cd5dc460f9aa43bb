"""The API's types and formats: requests, responses, errors, keys, images, events, their pace, seeded choice."""

from __future__ import annotations

import base64
import binascii
import contextlib
import hashlib
import io
import json
import math
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import KW_ONLY, dataclass
from typing import Any, Literal, TypeVar
from urllib.parse import urlsplit

from PIL import Image

from .. import clock

__all__ = [
    "BASE_PATH",
    "DONE",
    "EXCESS_BYTES",
    "MAX_BODY_BYTES",
    "MCP_PATH",
    "ApiError",
    "Cut",
    "Dialect",
    "Request",
    "Response",
    "SeededChoice",
    "check_key",
    "completion_events",
    "delays",
    "encode_event",
    "image_urls",
    "parse_body",
    "parse_json",
    "random_id",
    "read_images",
    "relative_path",
    "split_tokens",
    "text_of",
    "too_large",
]

T = TypeVar("T")
BASE_PATH = "/api/beta/openai/v1"
MCP_PATH = "/mcp/"  # of the same host, and not below the base URL
DONE = b"data: [DONE]\n\n"
EXCESS_BYTES = 1_000  # a cut body announces this many bytes more than it has
FIRST_TOKEN_EVENTS = 15  # a model thinks before its first token about as long as it writes this many
Cut = Literal["", "fin", "reset"]
Dialect = Literal["openai", "litellm"]
# LiteLLM derives an error's type from the status; OpenAI says "invalid_request_error" for most of them.
_LITELLM_TYPES = {401: "auth_error", 404: None, 405: None, 413: None}
_KEY = re.compile(r"Bearer +ambrs-[\x21-\x7e]+", re.IGNORECASE)
_TOKEN = re.compile(r" ?\w{1,14}| ?[^\w\s]|\n+|\s")
_ID_ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"

MAX_BODY_BYTES = 50_000_000
MAX_DEPTH = 120  # levels of nested JSON
MAX_PIXELS = 50_000_000  # over all the images of a request: decoding costs about 10 ns a pixel
_FORMATS = ("PNG", "JPEG", "GIF", "WEBP")
_DATA_URL = re.compile(r"data:([\w.+/-]*)((?:;[\w.+=-]*)*),", re.ASCII)
_COLOURS = {  # the basic colour terms
    "black": (0, 0, 0), "grey": (128, 128, 128), "white": (255, 255, 255), "red": (225, 30, 35),
    "orange": (250, 140, 20), "yellow": (250, 235, 40), "green": (30, 150, 50), "blue": (35, 85, 215),
    "purple": (120, 40, 150), "pink": (255, 120, 180), "brown": (140, 70, 20),
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Request:
    """A request to the gateway.

    Attributes:
        path: what follows the base URL, such as `/chat/completions`; `/mcp/` is the MCP server; see `relative_path`.
        headers: header names in lower case, and their values.
    """

    method: str
    path: str
    headers: Mapping[str, str]
    body: bytes = b""


@dataclass(frozen=True, slots=True)
class Response:
    """A response of the gateway: a whole body, or the events of a stream.

    Attributes:
        events: pieces of a streamed body, each sent separately; a number is a pause in seconds. Server-sent events,
            except for a fault, which may hold anything and may never end.
        cut: how the connection breaks after the last piece: "fin" closes it within the body, "reset" resets it.
        wait_s: seconds of silence before the status line.
    """

    status: int
    headers: Mapping[str, str]
    body: bytes = b""
    events: Iterable[bytes | float] | None = None
    cut: Cut = ""
    wait_s: float = 0.0


@dataclass(eq=False)
class ApiError(Exception):
    """A refusal, with its HTTP status and the fields of OpenAI's error object.

    Attributes:
        param: path of the parameter at fault, such as `messages[0].role`.
        allow: value of the `Allow` header of a 405.
        authenticate: value of the `WWW-Authenticate` header of a 401.
    """

    status: int
    message: str
    _: KW_ONLY
    param: str | None = None
    code: str | None = None
    allow: str | None = None
    authenticate: str | None = None

    def response(self, dialect: Dialect = "openai") -> Response:
        """Return the refusal as a response; LiteLLM has the status in `code`, and may leave `type` null."""
        error: dict[str, str | None] = {"message": self.message, "type": "invalid_request_error", "param": self.param}
        error["code"] = self.code
        if dialect == "litellm":
            error |= {"type": _LITELLM_TYPES.get(self.status, error["type"]), "code": str(self.status)}
        headers = {"content-type": "application/json"}
        extra = {"allow": self.allow, "www-authenticate": self.authenticate}
        headers |= {name: value for name, value in extra.items() if value}
        return Response(self.status, headers, json.dumps({"error": error}, ensure_ascii=False).encode(errors="replace"))


def relative_path(path: str, prefixes: Sequence[str]) -> str:
    """Return the path of a `Request` for that of a URL; one below `/unknown` where no route is.

    Args:
        path: the path, without its query.
        prefixes: paths of the base URL.
    """
    if path in (MCP_PATH, MCP_PATH.rstrip("/")):
        return MCP_PATH
    prefix = next((prefix for prefix in prefixes if path.startswith(prefix + "/")), None)
    rest = "/unknown" + path if prefix is None else path.removeprefix(prefix)
    return "/unknown" + path if rest == MCP_PATH else rest


def too_large(max_body_bytes: int) -> ApiError:
    """Return the refusal of a body over the limit."""
    text = f"The request is too large: at most {max_body_bytes:,} bytes are read."
    return ApiError(413, text, code="request_too_large")


def check_key(authorization: str | None) -> None:
    """Refuse an `Authorization` header without a key of the right form; its text is never repeated."""
    if not authorization or not authorization.strip():
        raise ApiError(
            401,
            "You didn't provide an API key. You need to provide your API key in an Authorization header using Bearer "
            "auth (i.e. Authorization: Bearer YOUR_KEY).",
        )
    if _KEY.fullmatch(authorization.strip()) is None:
        text = "Incorrect API key provided. A key of the gateway starts with 'ambrs-'."
        raise ApiError(401, text, code="invalid_api_key")


def parse_body(data: bytes) -> dict[str, Any]:
    """Parse a JSON object; refuse anything else, and what `parse_json` refuses."""
    malformed = ApiError(
        400,
        "We could not parse the JSON body of your request. (HINT: This likely means you aren't using your HTTP library "
        "correctly. The API expects a JSON payload, but what was sent was not valid JSON.)",
    )
    try:
        body = parse_json(data)
    except (ValueError, RecursionError) as error:
        raise malformed from error
    if not isinstance(body, dict):
        raise malformed
    return body


def parse_json(data: bytes) -> Any:
    """Parse JSON.

    Raises:
        ValueError: for anything else, also NaN, huge numbers, lone surrogates and deep nesting.
        RecursionError: for very deep nesting.
    """
    value = json.loads(data.decode(), parse_int=_parse_int)
    # Raises a ValueError for NaN, for a number that is infinite, and (a UnicodeError) for a lone surrogate.
    json.dumps(value, ensure_ascii=False, allow_nan=False).encode()
    if _depth(value) > MAX_DEPTH:
        raise ValueError("the nesting is too deep")
    return value


def _parse_int(digits: str) -> int:
    if len(digits) > 30:
        raise ValueError("the number is too large")
    return int(digits)


def _depth(value: Any) -> int:
    children = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return 1 + max(map(_depth, children), default=0)


class SeededChoice:
    """Choices that look random and are the same for the same seed.

    `random.Random` is not used: its methods may draw differently in another version of Python, and notebooks keep
    the outputs.
    """

    def __init__(self, seed: str) -> None:
        self._seed = seed.encode(errors="replace")
        self._count = 0

    def below(self, limit: int) -> int:
        """Return a whole number from 0 to `limit` - 1."""
        self._count += 1
        digest = hashlib.sha256(self._seed + self._count.to_bytes(8, "big")).digest()
        return int.from_bytes(digest[:8], "big") % limit

    def choice(self, options: Sequence[T]) -> T:
        """Return one of the options."""
        return options[self.below(len(options))]


def random_id(seed: str, length: int) -> str:
    """Return letters and digits derived from a seed, for ids such as `chatcmpl-…`."""
    number = int.from_bytes(hashlib.sha512(seed.encode(errors="replace")).digest(), "big")
    return "".join(_ID_ALPHABET[number // 62**place % 62] for place in range(length))


def text_of(message: dict[str, Any]) -> str:
    """Return the text of a valid message, its text parts joined by line breaks."""
    content = message.get("content")
    if isinstance(content, list):
        return "\n".join(str(part["text"]) for part in content if part["type"] == "text")
    return content or ""


def image_urls(messages: list[dict[str, Any]]) -> list[tuple[str, str]]:
    """Return the images of valid messages as pairs of URL and parameter path."""
    return [
        (part["image_url"]["url"], f"messages.[{i}].content.[{j}].image_url")
        for i, message in enumerate(messages)
        if isinstance(message.get("content"), list)
        for j, part in enumerate(message["content"])
        if part["type"] == "image_url"
    ]


def read_images(urls: list[tuple[str, str]]) -> list[str]:
    """Return a description of each image: format, pixels and main colour, or the host of a link; nothing is fetched.

    Args:
        urls: pairs of URL and parameter path, such as `messages.[0].content.[1].image_url`.

    Raises:
        ApiError: 400, for what is no image, has too many pixels, or cannot be decoded.
    """
    descriptions = []
    budget = MAX_PIXELS
    for url, param in urls:
        if url[:5].lower() == "data:":
            description, pixel_count = _decode(url, param, budget)
            budget -= pixel_count
        else:
            description = f"a link to `{_host(url, param)}`; the simulator fetches nothing, so it has not seen it"
        descriptions.append(description)
    return descriptions


def _host(url: str, param: str) -> str:
    with contextlib.suppress(ValueError):
        parts = urlsplit(url)
        if parts.scheme.lower() in ("http", "https") and parts.hostname:
            return parts.hostname
    raise _bad_url(param)


def _bad_url(param: str) -> ApiError:
    text = f"Invalid '{param}'. Expected a valid http(s) or data URL, but got a value with an invalid format."
    return ApiError(400, text, param=param, code="invalid_value")


def _decode(url: str, param: str, budget: int) -> tuple[str, int]:
    """Return the description of an inline image and its number of pixels."""
    match = _DATA_URL.match(url)
    if match is None or "base64" not in match[2].split(";"):
        raise _bad_url(param)
    try:
        data = base64.b64decode(url[match.end() :], validate=True)
    except (binascii.Error, ValueError) as error:
        text = (
            "Invalid base64 image_url. Expected a base64-encoded data URL with an image MIME type "
            "(e.g. 'data:image/png;base64,aW1nIGJ5dGVzIGhlcmU='), but got an invalid base64-encoded value."
        )
        raise ApiError(400, text, param=param, code="invalid_base64") from error
    text = f"The images of this request have too many pixels: at most {MAX_PIXELS:,} are decoded."
    too_many = ApiError(400, text, param=param, code="image_too_large")
    try:
        with Image.open(io.BytesIO(data), formats=_FORMATS) as image:
            kind = "JPEG" if image.format == "MPO" else str(image.format)
            width, height = image.size
            if width * height > budget:
                raise too_many
            colour = _main_colour(image)
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise too_many from error
    except (OSError, SyntaxError, ValueError, EOFError, IndexError, KeyError, TypeError, OverflowError) as error:
        # Pillow's decoders raise all of these for broken files.
        text = (
            "You uploaded an unsupported image. Please make sure your image is valid and has one of the following "
            "formats: ['png', 'jpeg', 'gif', 'webp']."
        )
        raise ApiError(400, text, param=param, code="invalid_image_format") from error
    name = min(_COLOURS, key=lambda name: math.dist(_COLOURS[name], colour))
    description = f"{kind}, {width} × {height} pixels, mostly {name} (`#{bytes(colour).hex()}`)"
    return description, width * height


def _main_colour(image: Image.Image) -> tuple[int, ...]:
    """Return the mean of the fullest cell of a coarse colour cube; transparent pixels count as white."""
    image.draft("RGB", (64, 64))  # a JPEG is decoded at a fraction of its size; other formats ignore this
    # Sampled before the conversion: converting a large image would take four bytes a pixel.
    small = image.resize((64, 64), Image.Resampling.NEAREST).convert("RGBA")
    data = Image.alpha_composite(Image.new("RGBA", small.size, "white"), small).convert("RGB").tobytes()
    cells: dict[tuple[int, ...], list[tuple[int, ...]]] = {}
    for pixel in zip(data[0::3], data[1::3], data[2::3], strict=True):
        cells.setdefault(tuple(value >> 6 for value in pixel), []).append(pixel)
    members = max(cells.items(), key=lambda item: (len(item[1]), item[0]))[1]
    return tuple(round(sum(channel) / len(members)) for channel in zip(*members, strict=True))


def split_tokens(text: str) -> list[str]:
    """Split a text into pieces of about a token, as deltas carry them: "Hello", "!", " How" and so on."""
    return _TOKEN.findall(text)


def encode_event(data: Any, name: str = "") -> bytes:
    """Return a server-sent event; data other than bytes is encoded as JSON."""
    raw = data if isinstance(data, bytes) else json.dumps(data, ensure_ascii=False, separators=(",", ":")).encode()
    return (f"event: {name}\n".encode() if name else b"") + b"data: " + raw + b"\n\n"


def completion_events(
    completion: dict[str, Any], *, include_usage: bool = False, litellm: bool = False, role: bool = True
) -> tuple[bytes, ...]:
    """Return the server-sent events of a streamed completion, `[DONE]` last; its choices take turns.

    A choice's first delta has the role, as LiteLLM sends it, and its last one is empty.

    Args:
        completion: the completion as it would be sent unstreamed.
        include_usage: add a chunk with the usage; the others then carry `"usage": null`.
        litellm: leave out `finish_reason` and `logprobs` before the end; give the usage chunk a choice.
        role: False leaves out the role, as the stream on the vendor's page does.
    """
    head = {key: completion[key] for key in ("id", "created", "model", "service_tier", "system_fingerprint")}
    head["object"] = "chat.completion.chunk"

    def chunk(choices: list[dict[str, Any]], usage: dict[str, Any] | None = None) -> bytes:
        extra = {"usage": usage} if usage is not None or (include_usage and not litellm) else {}
        return encode_event({**head, "choices": choices, **extra})

    def choice(index: int, delta: dict[str, Any], finish_reason: str | None = None) -> dict[str, Any]:
        end = {} if finish_reason is None and litellm else {"logprobs": None, "finish_reason": finish_reason}
        return {"index": index, "delta": delta, **end}

    events = []
    queues = [(item["index"], item["finish_reason"], _deltas(item["message"], role)) for item in completion["choices"]]
    for turn in range(max(len(deltas) for _, _, deltas in queues) + 1):
        for index, finish_reason, deltas in queues:
            if turn < len(deltas):
                events.append(chunk([choice(index, deltas[turn])]))
            elif turn == len(deltas):
                events.append(chunk([choice(index, {}, finish_reason)]))
    if include_usage:
        events.append(chunk([choice(0, {})] if litellm else [], completion["usage"]))
    return (*events, DONE)


def _deltas(message: dict[str, Any], role: bool) -> list[dict[str, Any]]:
    deltas: list[dict[str, Any]] = [{"content": token} for token in split_tokens(message["content"] or "")]
    for call in message["tool_calls"] or []:
        index, name, arguments = call["index"], call["function"]["name"], call["function"]["arguments"]
        first = {"index": index, "id": call["id"], "type": "function", "function": {"name": name, "arguments": ""}}
        rest = [{"index": index, "function": {"arguments": token}} for token in split_tokens(arguments)]
        deltas += [{"tool_calls": [part]} for part in (first, *rest)]
    if role:  # clients that add up a stream by themselves need it, and one without content, too
        first = {"role": message["role"], "content": None if message["tool_calls"] else ""}
        deltas[:1] = [first | (deltas[0] if deltas else {})]
    return deltas


def delays(events: Iterable[bytes | float], chunks_per_s: float) -> Iterator[tuple[float, bytes]]:
    """Yield each event with the seconds to wait before it.

    Each event is due at a time of its own, so a reader who was away finds the events that have come meanwhile, as on
    a network. A number among the events is a pause, kept at any pace, and comes with an empty event.

    Args:
        events: events and pauses.
        chunks_per_s: events a second; at 0 only pauses are waited for.
    """
    step_s = 1 / chunks_per_s if chunks_per_s > 0 else 0.0
    start = clock.monotonic()
    number = FIRST_TOKEN_EVENTS
    for event in events:
        if isinstance(event, (int, float)):
            start += event
            yield event, b""
            continue
        yield max(0.0, start + number * step_s - clock.monotonic()) if step_s else 0.0, event
        number += 1
