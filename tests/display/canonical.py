"""What a reader sees of HTML, whoever wrote it; frontend/test/canonical.js does the same, so that both compare."""

import re

__all__ = ["canonical"]

_LINES = re.compile(
    r"[ \t\n]*<(/?)(p|div|h\d|ul|li|blockquote|pre|hr|br|table|tr|th|td|ol(?: start=\"\d+\")?)>[ \t\n]*"
)


def canonical(html: str) -> str:
    """Return the tags without their attributes, and the text without the white space that nobody sees.

    Paragraphs and boxes are line ends, colours of code are left out, formulas stand in `<math>`.
    """
    blocks: list[str] = []

    def keep(match: re.Match[str]) -> str:
        code = re.sub("<[^>]*>", "", match[1]).rstrip("\n")
        blocks.append(f"<pre>{code}</pre>")
        return f"<pre>{len(blocks) - 1}</pre>"

    text = re.sub(r"<pre[^>]*>(.*?)</pre>", keep, html, flags=re.DOTALL)
    text = re.sub(r'<span style="white-space:pre">(.*?)</span>', lambda match: match[1].replace(" ", "⇥"), text)
    text = re.sub(r'<span(?: dir="ltr")?(?: style="white-space:pre-wrap")?>([^<]{2,})</span>', r"<math>\1</math>", text)
    text = re.sub(r"</?(?:span|thead|tbody)[^>]*>", "", text)
    text = re.sub(r"<(\w+)(?=[^>]*?( start=\"\d+\")|)[^>]*>", r"<\1\2>", text)
    text = re.sub(r"<(/?)p>", r"<\1div>", text)
    text = _LINES.sub(r"<\1\2>", text)
    text = re.sub(r"[ \t\n]+", " ", text)
    text = re.sub(r"(?:</?div>)+", "\n", text)
    text = re.sub(r"\n*(</?(?:ul|ol|li|blockquote|table|tr|th|td|h\d|hr|pre)\b[^>]*>)\n*", r"\1", text)
    text = re.sub(r"<pre>(\d+)</pre>", lambda match: blocks[int(match[1])], text)
    return text.replace("&quot;", '"').strip(" \t\n")
