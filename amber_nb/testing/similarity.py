"""How alike two texts are: the share of words and signs that they have in the same order.

What only looks different does not count: curly quotes, the kind of a dash or a space, bullets, headings and bold marks,
the case of letters, full stops and commas. What turns a meaning is a word of its own: a number with its sign and
exponent, an operator, a currency, a percent sign, a question mark, a tick or any other symbol, a table's empty cell.
In code every sign counts, and case does. In prose the case of abbreviations does: US is not us.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator
from functools import lru_cache

from rapidfuzz.distance import LCSseq

__all__ = ["similarity", "split_words"]

_MAX_WORDS = 100_000  # a side; beyond it a text is compared by its beginning
_MAX_CHARS = 2_000_000
_CJK = "\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uac00-\ud7af"  # scripts that are written without spaces

# --- how a text is written, before it is cut into words

_INVISIBLE = re.compile(
    "[\u00ad\u061c\u180e\u200b-\u200f\u202a-\u202e\u2060-\u2064\u2066-\u2069\u20e3\ufe00-\ufe0f\ufeff]"
)
_SUPERSCRIPTS = re.compile("[⁺⁻]?[⁰¹²³⁴-⁹]+|[ⁿⁱ]")
_FRACTIONS = re.compile("(?<=\\d)(?=[¼-¾⅐-⅞])")
_GLYPHS = {
    **dict.fromkeys("‐‑‒–—―−⸺⸻﹣〜", "-"),
    **dict.fromkeys("‘’‚‛ʼ′ˈ＇´", "'"),
    **dict.fromkeys("“”„‟«»″＂", '"'),
    **dict.fromkeys("✔✅☑🗸", "✓"),
    **dict.fromkeys("✘❌", "✗"),
    **dict.fromkeys("⭐🌟", "★"),
    **dict.fromkeys("×⋅∙✕", "*"),
    **{"÷": "/", "⁄": "/", "∕": "/", "≤": "<=", "≥": ">=", "≠": "!=", "…": " ", "⟶": "→", "➜": "→", "➡": "→"},
}
_GLYPH = str.maketrans(_GLYPHS)
_DOUBLE_STRUCK = re.compile("([ℂℍℕℙℚℝℤ𝔸-𝕫]+)")  # other things than the letters that they become otherwise
_ASCII = re.compile(r"--?>|\+/-")
_LATEX = re.compile(r"\\(?:(?:leq?|geq?|neq?|times|cdot|pm|div|to|rightarrow)(?![A-Za-z])|[%$#&_*{}()\[\]~])")
_MATHBB = re.compile(r"\\mathbb\s*\{?([CHNPQRZ])\b\}?")
_STRUCK = dict(zip("CHNPQRZ", "ℂℍℕℙℚℝℤ", strict=True))
_SCRIPT = re.compile(r"(?<=[\w)\]}])([_^])\{([^{}\s]*)\}")  # x_{1} and x_1
_SPELT = {"le": "<=", "leq": "<=", "ge": ">=", "geq": ">=", "ne": "!=", "neq": "!=", "times": "*", "cdot": "*"}
_SPELT |= {"pm": "±", "div": "/", "to": "→", "rightarrow": "→", "(": " ", ")": " ", "[": " ", "]": " "}

_FENCE = re.compile(r"^[ \t]*(```+|~~~+)[^\S\n]*([^\n`]*)\n(.*?)(?:^[ \t]*\1[`~]*[ \t]*$|\Z)", re.DOTALL | re.MULTILINE)
_INLINE = re.compile(r"(?<![`\\])(`+)(?!`)((?:[^\n]|\n(?![ \t]*\n)){1,2000}?)(?<!`)\1(?!`)")
_EITHER_QUOTE = re.compile(
    r"\{?\.?(?:i?python[\d.]*|py|pycon|ya?ml|toml|r|js|jsx|tsx?|javascript|typescript)?", re.IGNORECASE
)
_PLAIN_STRING = re.compile(r"'([^'\"\\$`\n]*)'")
_INDENTED = re.compile(r"\{?\.?(?:i?python[\d.]*|py|pycon|ya?ml)\b", re.IGNORECASE)
_BREAK = re.compile(r"<br\s*/?>", re.IGNORECASE)
_RAISED = re.compile(r"<sup>([^<\n]*)</sup>", re.IGNORECASE)
_LOWERED = re.compile(r"<sub>([^<\n]*)</sub>", re.IGNORECASE)
_RULE = re.compile(r"^[ \t]*([-*_=])(?:[ \t]*\1){2,}[ \t]*$", re.MULTILINE)
_QUOTE = re.compile(r"^[ \t]*(?:>[ \t]*)+(?![ \t\d.>=-])", re.MULTILINE)
_LIST = re.compile(r"^[ \t]*(?:[-*•‣◦▪·●](?=[ \t])[ \t]*|#{1,6}[ \t]+|(\d{1,4}[.)])(?=[ \t]))", re.MULTILINE)
_CHECK = re.compile(r"\[([ xX])\](?!\()")
_DELIMITERS = re.compile(r"^[ \t]*\|?[ \t]*:?-+:?[ \t]*(?:\|[ \t]*:?-+:?[ \t]*)*\|?[ \t]*$", re.MULTILINE)
_ROW = re.compile(r"^[ \t]*\|.*\|[ \t]*$", re.MULTILINE)
_EMPTY_CELL = re.compile(r"\|[ \t]*(?=\|)")
_STARS = re.compile(r"(?<![0-9A-Za-z)*])(\*{1,3})(?=[^\s*])((?:[^*\n]|\n(?!\n))+)(?<=\S)\1(?![0-9A-Za-z(*])")
_UNDERSCORES = re.compile(r"(?<!\w)(_{1,3})(?=[^\s_])((?:[^_\n]|(?<=\w)_(?=\w))+)(?<=\S)\1(?!\w)")
_QUOTED = (
    re.compile(r'(?<!\w)"(?=\S)([^"\n]*)"(?!\w)'),
    re.compile(r"(?<!\w)'(?=\S)((?:[^'\n]|(?<=\w)'(?=\w))*)'(?!\w)"),
)
_ARGUMENT = re.compile(r"(?:\w[(\[]|=[ \t]?|\w[(\[][^()\[\]\n]*,[ \t]?)\Z")  # what stands before a string of code
_THOUSANDS = re.compile(r"(?<![\w.,])(?<!\d )\d{1,3}(?: \d{3})+(?!\w|[ ,]\d)")
_E_WORD = re.compile(r"(?<!\w)([eE])-(?=[A-Za-z]{3})")  # e-mail and email
_WITHOUT_LOWER = re.compile(r"^[^\na-z]+$", re.MULTILINE)
_SHOUTED = 3  # words in capitals that make a line without others no line of abbreviations
_MATHS = re.compile(r"\$\$|(?<![\w$])\$(?=[^\s\d$])([^$\n]*[^\s$])\$(?!\w)")
_CURRENCY = re.compile(r"([-+]?)([$€£¥₹₽₩₿¢])[^\S\n]?([-+]?)(\d[\d.,]*\d|\d)(?!\w)")

# --- words

_PATTERN = rf"""
    (?P<number> (?:(?<![\w)\]}}%°.'"-])[-+])? (?:\d+(?:[.,_]\d+)*|(?<![\w.])\.\d+) (?:[eE][-+]?\d+(?!\w))? )
    | (?P<sign> [{_CJK}] )
    | (?P<word> [^\W\d_{_CJK}](?:[^\W{_CJK}]|APOSTROPHE)* | _[^\W{_CJK}]* )
    | (?P<smile> (?<!\S)[:;=]-?[()](?!\S) )
    | (?P<command> \\[A-Za-z]+ )
    | (?P<operator> !==?|<=>|[=<>]=?=?|[-+*/%&|^]=|:=|\*\*+|//+|&&|\|\||\+\+|::|~~ )
    | (?P<other> [^\w\s] )
    """
_WORD = re.compile(_PATTERN.replace("APOSTROPHE", r"'(?=\w)"), re.VERBOSE)
_CODE_WORD = re.compile(_PATTERN.replace("|APOSTROPHE", ""), re.VERBOSE)
# Words that are written in capitals for their weight, and such that mean something else with a capital.
_EMPHASISED = re.compile(
    "all|also|always|am|and|any|but|do|don't|false|from|id|if|important|is|must|never|not?|note|off|ok|on|only|or"
    "|please|pm|the|then|tip|true|very|warning|when|with|yes"
)
_CAPITONYM = re.compile("august|catholic|china|job|march|may|mobile|nice|polish|reading|turkey")
_COUNTED = frozenset("%‰‱&/\\*#@§¶†‡?")
_UNCOUNTED = frozenset("`´¨¯¸˝˘˙˛ˇ|─│┌┐└┘├┤┬┴┼═║╔╗╚╝╠╣╦╩╬■▪▫◦●")
_CASED = re.compile(r"[mMpPgGtTkK]?(?:Wh?|Hz|V|J|Pa|N|eV|B|b|bits?|bps|g|m|s|l|L)?")  # mW and MW, Mb and MB
_BINARY = re.compile(r"(?:(?<=[\d)\]])|(?<=\b[A-Za-z]))[ \t]*-[ \t]*(?=[\d(.]|[A-Za-z]\b)")
_UNARY = re.compile(r"(?:^|(?<=[\s(\[{=<>*/+,:|&^]))--?(?=[^\W\d]|[(∞√\\])", re.MULTILINE)
_BRACKETS = re.compile(
    r"(?<=[\w\])*/+^=<>-])[(\[{]|(?<=[*/+^=<>-] )\(|(?<![\w.])[\[(\]](?=[ \t]*[-+]?[\d.∞]+[ \t]*[,;])"
)
_AMOUNT = r"(?=[^\S\n]*(?!(?:1[89]|20)\d\d\))\d[\d.,]*[^\S\n]*[$€£¥%]?\)"
_NEGATED = re.compile(rf"(?<=[^\S\n]|\|)\({_AMOUNT})|^\({_AMOUNT}[^\S\n]*$)", re.MULTILINE)
_FACTORIAL = re.compile(r"(?<=[\w)])![ \t]*[=*/+^<>]|(?<=\d)![ \t]+[a-z]|(?:(?<=^[b-z])|(?<=[^\w'][b-z]))!")
_PATH_DOT = re.compile(r"\.{1,2}[\w/\\]")
_CLOSERS = {"(": ")]", "[": "])", "{": "}", "]": "[])"}
_MINUS = "\ue000"  # stands for a minus between its operands
_CELL = "\ue001"  # stands for an empty cell of a table
_QUOTE_MARK = "\ue004"  # stands for a quote around a string that is code in prose
_SPAN = "\ue005"  # stands for inline code
_OPEN, _CLOSE = "\ue002", "\ue003"  # stand for a line of code that is indented more, or less, than the one before


def similarity(old: str, new: str) -> float:
    """Return the share of words that two texts have in the same order, from 0 to 1.

    This is the F-measure of ROUGE-L with equal weights, `2 · L / (m + n)`: `m` and `n` are the numbers of words, and
    `L` is the length of their longest common subsequence (Chin-Yew Lin, "ROUGE: A Package for Automatic Evaluation of
    Summaries", 2004). Case, punctuation and Markdown's marks do not count; signs that turn the meaning are words. One
    word of ten replaced gives 0.9; the halves of a text swapped 0.5; a paraphrase mostly 0.3 to 0.6.

    Example:
        >>> similarity("The answer is **42**.", "the answer is -42")
        0.75
    """
    # Where only one of them marks its code, what is marked is no difference.
    spans = bool(_INLINE.search(old) and _INLINE.search(new))
    a, b = (split_words(text, spans=spans)[:_MAX_WORDS] for text in (old, new))
    if not a or not b:
        return float(a == b)
    return 2 * LCSseq.similarity(a, b) / (len(a) + len(b))


def split_words(text: str, *, spans: bool = True) -> list[str]:
    """Split a text into its words and the signs that turn a meaning, each in one spelling.

    Args:
        text: in Markdown.
        spans: read what stands between backticks as code.

    Example:
        >>> split_words("It’s **−5 %** – or ≥ 3?")
        ["it's", '-5', '%', 'or', '>=', '3', '?']
    """
    plain = _unify(text[:_MAX_CHARS])
    words: list[str] = []
    start = 0
    for fence in _FENCE.finditer(plain):
        words += _words_of_prose(plain[start : fence.start()], spans=spans)
        language, _, more = fence[2].strip().partition(" ")
        words += _words(more, is_code=True) if more.startswith(("{", "[", '"')) else ()  # code that stands there
        keep_indent = not language or bool(_INDENTED.match(language))
        either_quote = bool(_EITHER_QUOTE.fullmatch(language))
        words += _words_of_code(fence[3], keep_indent=keep_indent, either_quote=either_quote)
        start = fence.end()
    words += _words_of_prose(plain[start:], spans=spans)
    return words or plain.casefold().split()


def _unify(text: str) -> str:
    """Return a text with one spelling of what looks or means the same."""
    plain = text.replace("\r\n", "\n")
    if not plain.isascii():
        plain = _INVISIBLE.sub("", unicodedata.normalize("NFC", plain)).translate(_GLYPH)
        plain = _SUPERSCRIPTS.sub(lambda found: f"^{unicodedata.normalize('NFKC', found[0])}", plain)
        pieces = _DOUBLE_STRUCK.split(_FRACTIONS.sub(" ", plain))
        pieces[::2] = (unicodedata.normalize("NFKC", piece) for piece in pieces[::2])
        plain = "".join(pieces).translate(_GLYPH)
    return _ASCII.sub(lambda found: "±" if found[0] == "+/-" else "→", plain)


def _words_of_prose(text: str, *, spans: bool) -> Iterator[str]:
    code: list[str] = []
    if spans:
        text = text.replace(_SPAN, "")
        code = [span for _, span in _INLINE.findall(text)]
        text = _INLINE.sub(_SPAN, text)
    plain = _RULE.sub("", _BREAK.sub("\n", text))
    plain = _LOWERED.sub(r"\1", _RAISED.sub(r"^\1", plain))
    plain = _SCRIPT.sub(r"\1\2", _MATHBB.sub(lambda found: _STRUCK[found[1]], plain))
    plain = _LATEX.sub(lambda found: _SPELT.get(found[0][1:], found[0][1:]), plain)
    plain = _THOUSANDS.sub(lambda found: found[0].replace(" ", ","), _E_WORD.sub(r"\1", plain))
    plain = _WITHOUT_LOWER.sub(_fold_shouted, plain)
    if "|" in plain and any("|" in found[0] for found in _DELIMITERS.finditer(plain)):
        plain = _ROW.sub(
            lambda row: _EMPTY_CELL.sub(f" {_CELL} ", row[0]).replace("|", " "), _DELIMITERS.sub("", plain)
        )
    plain = _LIST.sub(lambda found: f"{found[1][:-1]} " if found[1] else "", _QUOTE.sub("", plain))
    plain = _CHECK.sub(lambda found: " ☐ " if found[1] == " " else " ✓ ", plain)
    plain = _MATHS.sub(lambda found: f" {found[1] or ''} ", plain)
    for pattern in (_STARS, _STARS, _UNDERSCORES, _UNDERSCORES):  # bold may hold italics
        plain = pattern.sub(r"\2", plain)
    for pattern in _QUOTED:
        plain = pattern.sub(_unquote, plain)
    at = iter(code)
    for word in _words(plain):
        if word == _SPAN and (span := next(at, None)) is not None:
            yield from _words(_PLAIN_STRING.sub(r'"\1"', span), is_code=True)
        else:
            yield word


def _fold_shouted(found: re.Match[str]) -> str:
    words = re.findall("[A-Z]{2,}", found[0])
    return found[0].lower() if len(words) >= _SHOUTED else found[0]


def _unquote(found: re.Match[str]) -> str:
    """Return a quoted text without its quotes, unless these make it a string of code."""
    before = found.string[max(found.start() - 80, 0) : found.start()]
    return f"{_QUOTE_MARK}{found[1]}{_QUOTE_MARK}" if _ARGUMENT.search(before) else found[1]


def _words_of_code(code: str, *, keep_indent: bool, either_quote: bool) -> Iterator[str]:
    """Yield the words of a block of code: what opens and closes a block of Python is a word, too.

    `either_quote`: of a language in which both kinds of quotes mean the same, but for what they hold.
    """
    if either_quote:
        code = _PLAIN_STRING.sub(r'"\1"', code)
    depths = [0]
    for line in code.splitlines():
        depth = len(line) - len(line.lstrip())
        if keep_indent and line.strip():
            if depth > depths[-1]:
                depths.append(depth)
                yield _OPEN
            while depth < depths[-1]:
                depths.pop()
                yield _CLOSE
        yield from _words(line, is_code=True)


def _words(text: str, *, is_code: bool = False) -> Iterator[str]:
    plain = _CURRENCY.sub(r"\1\3\4 \2", text)
    plain = _BINARY.sub(f" {_MINUS} ", plain)
    counted = _find_brackets(plain)
    unit_at = -1  # where the unit of a number would stand
    word, end = "", -1
    for found in (_CODE_WORD if is_code else _WORD).finditer(plain):
        kind, piece, start = found.lastgroup, found[0], found.start()
        if kind == "other":
            if unicodedata.category(piece)[0] == "M" and start == end:  # a vowel sign belongs to its letter
                word, end = word + piece, found.end()
                continue
            if not _counts(piece, plain, start, counted, is_code=is_code):
                continue
        if word:
            yield word
        word, end = piece, found.end()
        if kind == "number":
            word = piece if piece[0] != "." else f"0{piece}"
            unit_at = end + (plain[end : end + 1] in (" ", "\u00a0"))
            word = word.casefold()
        elif not is_code and not (kind == "word" and start == unit_at and _CASED.fullmatch(piece)):
            word = piece if kind == "word" and _keeps_case(piece, plain, start) else piece.casefold()
    if word:
        yield word


def _keeps_case(word: str, text: str, at: int) -> bool:
    """Return whether the case of a word of prose turns its meaning: of an abbreviation, an option, a few names."""
    if len(word) == 1:
        return text[at - 1 : at] == "-" and text[max(at - 2, 0) : at - 1] in ("", " ", "(", "\n")  # grep -v
    folded = word.casefold()
    return bool(_CAPITONYM.fullmatch(folded)) or (word.isupper() and not _EMPHASISED.fullmatch(folded))


def _find_brackets(text: str) -> set[int]:
    """Return where brackets stand that are more than punctuation: calls, terms, intervals, negative amounts."""
    found = {match.start() for pattern in (_BRACKETS, _NEGATED) for match in pattern.finditer(text)}
    found |= {at for match in _UNARY.finditer(text) for at in range(*match.span())}
    closers: list[str] = []
    counted = set(found)
    for at, sign in enumerate(text) if found else ():
        if at in found and sign in _CLOSERS:
            closers.append(_CLOSERS[sign])
        elif sign in "([{":
            closers.append("")  # of prose
        elif sign in ")]}[" and closers and (not closers[-1] or sign in closers[-1]) and closers.pop():
            counted.add(at)
    return counted


@lru_cache(maxsize=4096)
def _is_symbol(sign: str) -> bool:
    """Return whether a sign counts wherever it stands: of mathematics, a currency, a picture, and some of prose."""
    if sign in _COUNTED or sign in (_MINUS, _CELL):
        return True
    if sign in _UNCOUNTED or "\u2500" <= sign <= "\u257f":
        return False
    return unicodedata.category(sign) in ("Sm", "Sc", "So", "Co", "Cn") or sign == "^" or "🏻" <= sign <= "🏿"


def _counts(sign: str, text: str, at: int, counted: set[int], *, is_code: bool) -> bool:
    before, after = text[at - 1 : at], text[at + 1 : at + 2]
    if at in counted or _is_symbol(sign):
        return True
    if is_code:
        return True
    if sign == ":":
        return (before.isdigit() or before == "[") and (after.isdigit() or after in "-]") and bool(after)
    if sign == ".":
        if before.isalnum() or before in ("_", ")", "]"):
            return after.islower() or after == "_"
        return bool(_PATH_DOT.match(text, at)) and not after.isdigit()
    if sign == "|":
        return bool(before + after) and not (before + after).isspace() and before.isalnum() and after.isalnum()
    if sign == "!":
        return (after.isalnum() and not before.isalnum()) or bool(_FACTORIAL.match(text, at))
    return sign in "'\"" and before.isdigit()  # feet and inches: quotes were taken off
