r"""Parse Markdown: CommonMark with GFM tables, strikethrough, task lists, footnotes and maths.

Where a model's text is not what CommonMark has in mind, nothing of it is lost: a line end is a line end, what is too
much for a table's row stays in it, and a definition that no link uses is text.
"""

import re
from collections.abc import Iterator

from markdown_it import MarkdownIt
from markdown_it.token import Token
from markdown_it.utils import EnvType

from .markdown_blocks import use_block_rules, used_labels
from .markdown_inline import InlineParser, use_inline_rules

__all__ = ["parse_blocks"]

_TASK = re.compile(r"\[([ xX])\](?:[ \t\n]|$)")
_DEEPEST = 40  # levels; markdown_blocks.py keeps what is deeper than 32 as text


def _parser() -> tuple[MarkdownIt, InlineParser]:
    md = MarkdownIt("commonmark", {"html": False, "maxNesting": _DEEPEST})
    md.enable(["table", "strikethrough"])
    md.disable(["html_block", "html_inline"])
    inline = use_inline_rules(md)
    use_block_rules(md)
    # An address is judged where the tag is built (link_target); the parser only finds it.
    md.validateLink = lambda url: True  # type: ignore[method-assign]
    md.normalizeLink = lambda url: url  # type: ignore[method-assign]
    md.normalizeLinkText = lambda link: link  # type: ignore[method-assign]
    return md, inline


_MD, _INLINE = _parser()  # read-only from here on: what a text needs is in its own env


def parse_blocks(text: str) -> Iterator[list[Token]]:
    """Yield the tokens of each top-level block.

    Args:
        text: with line feeds as line ends, and without NUL.
    """
    budget = 4 * len(text) + 20_000
    env: EnvType = {"maths": budget, "brackets": 0, "footnotes": set(), "references": {}, "used": used_labels(text)}
    env["bare"] = True  # bare fences within a block of Markdown may be pairs
    tokens: list[Token] = []
    _MD.block.parse(text, _MD, env, tokens)
    block: list[Token] = []
    for index, token in enumerate(tokens):
        if token.type == "inline":
            content, task = token.content, _TASK.match(token.content)
            if task and index >= 2 and tokens[index - 2].type == "list_item_open":
                content = ("☐ " if task[1] == " " else "☑ ") + content[task.end() :]
            token.children = _INLINE.parse_inline(content, _MD, env)
        block.append(token)
        if token.level == 0 and token.nesting <= 0 and token.type != "inline":
            yield block
            block = []
