"""Whatever a server lists or returns, the HTML of it consists of what allowed.py lists."""

import json
from pathlib import Path

import pytest
from allowed import BIDI, read

from amber_nb.mcp_servers.listing import listing_html, listing_text, read_tools

CORPUS = {item["name"]: item["text"] for item in json.loads((Path(__file__).parent / "hostile.json").read_text())}


@pytest.mark.parametrize("name", CORPUS)
def test_a_listing_is_text(name):
    text = CORPUS[name]
    tools = read_tools({"tools": [{"name": text[:128], "description": text, "annotations": {"readOnlyHint": text}}]})
    shown = read(listing_html(text, tools, trusted=False))
    assert not shown.typeset
    assert not BIDI.search(listing_text("x", tools, trusted=False).replace("\n", ""))
