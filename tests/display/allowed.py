"""What an answer's HTML may consist of. The security tests hold every output against these lists."""

import re
from html.parser import HTMLParser

_TAGS = """
    div p h3 h4 h5 h6 ul ol li blockquote pre code b i span em strong s a br hr sub sup kbd
    table thead tbody tr th td details summary
"""
TAGS = frozenset(_TAGS.split())
EMPTY = {"br", "hr", "img"}
ATTRIBUTES = {
    "class": re.compile(r"amber-(answer|md|reasoning|sources)|tocSkip"),
    "dir": re.compile(r"auto|ltr"),
    "tabindex": re.compile(r"0"),
    "scope": re.compile(r"col|row"),
    "start": re.compile(r"\d{1,9}"),
    "target": re.compile(r"_blank"),
    "rel": re.compile(r"noopener noreferrer"),
    "href": re.compile(
        r"(https?://[\w.-]+(:\d{1,5})?|https?://\[[\da-f:.]+\]|mailto:[\w.+%-]+@[\w.-]+)[^\s\"'<>\\^`{|}]*", re.ASCII
    ),
}
PROPERTIES = {
    "color": re.compile(r"#[\da-f]{3}|#[\da-f]{6}|var\(--[a-z]\)"),
    "--": re.compile(r"var\(--jp-[a-z0-9-]+,#[\da-f]{3,6}\)"),
    "margin": re.compile(r"[\d. em]+"),
    "padding": re.compile(r"[\d. empx]+"),
    "border": re.compile(r"1px solid rgba\(128,128,128,\.[36]\)"),
    "border-left": re.compile(r"3px solid rgba\(128,128,128,\.3\)"),
    "border-radius": re.compile(r"4px|1em"),
    "overflow-x": re.compile(r"auto"),
    "opacity": re.compile(r"\.75"),
    "font-size": re.compile(r"85%|1(\.\d{1,2})?em"),
    "font-weight": re.compile(r"600"),
    "white-space": re.compile(r"nowrap|normal|pre(-wrap)?"),
    "min-width": re.compile(r"12em"),
    "display": re.compile(r"inline-block"),
    "vertical-align": re.compile(r"top"),
    "text-align": re.compile(r"left|center|right|start"),
}
BIDI = re.compile("[\u202a-\u202e\u2066-\u2069\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff]")


class Reader(HTMLParser):
    """Fails on the first tag, attribute, address or style that is not on the lists; collects the text."""

    tags = TAGS
    attributes = ATTRIBUTES
    properties = PROPERTIES

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.open: list[str] = []
        self.text: list[str] = []
        self.links: list[str] = []
        self.typeset: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        assert tag in self.tags, tag
        assert len(dict(attrs)) == len(attrs), attrs
        for name, value in attrs:
            assert value is not None, name
            if name == "style":
                self.handle_style(value)
            else:
                assert name in self.attributes, (tag, name, value)
                assert self.attributes[name].fullmatch(value), (tag, name, value)
        assert tag == "img" or not {"src", "alt"} & dict(attrs).keys()
        assert tag == "a" or not {"href", "target", "rel"} & dict(attrs).keys()
        if tag == "a":
            assert "a" not in self.open, "a link within a link"
            assert dict(attrs).keys() == {"href", "target", "rel"}
            self.links.append(dict(attrs)["href"] or "")
        if tag not in EMPTY:
            self.open.append(tag)

    def handle_style(self, style: str) -> None:
        for declaration in style.split(";"):
            name, _, value = declaration.partition(":")
            rule = self.properties["--" if re.fullmatch("--[a-z]", name) else name]
            assert rule.fullmatch(value), declaration

    def handle_endtag(self, tag: str) -> None:
        assert self.open, f"</{tag}> closes nothing"
        assert self.open.pop() == tag, tag

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        raise AssertionError(tag)

    def handle_data(self, data: str) -> None:
        self.text.append(data)
        if not {"code", "pre"} & set(self.open) and re.search(r"\$.*\$|\\.", data, re.DOTALL):
            self.typeset.append(data)  # what MathJax will take: a formula has a text node to itself

    def handle_comment(self, data: str) -> None:
        raise AssertionError(data)

    def handle_decl(self, decl: str) -> None:
        raise AssertionError(decl)

    def unknown_decl(self, data: str) -> None:
        raise AssertionError(data)

    def handle_pi(self, data: str) -> None:
        raise AssertionError(data)


class StripReader(Reader):
    """The same, for what no model writes: the thumbnails of a question."""

    tags = TAGS | {"img"}
    attributes = ATTRIBUTES | {
        "class": re.compile(r"amber-(answer|images|md|reasoning)"),
        "alt": re.compile(""),
        "src": re.compile(r"data:image/webp;base64,[\w+/=]+", re.ASCII),
    }
    properties = PROPERTIES | {
        "border": re.compile(r"1px solid rgba\(128,128,128,\.[356]\)"),
        "border-collapse": re.compile(r"collapse"),
        "height": re.compile(r"72px"),
        "margin": re.compile(r"[\d. empx]+"),
        "line-height": re.compile(r"1\.4"),
        "max-width": re.compile(r"240px"),
        "overflow-wrap": re.compile(r"anywhere"),
        "vertical-align": re.compile(r"top"),
        "width": re.compile(r"auto"),
    }


def read(html: str, *, images: bool = False) -> Reader:
    """Check everything; the reader's text, links and formulas are for further tests."""
    reader = StripReader() if images else Reader()
    reader.feed(html)
    reader.close()
    assert not reader.open, reader.open
    assert not BIDI.search(html)
    html.encode()
    return reader
