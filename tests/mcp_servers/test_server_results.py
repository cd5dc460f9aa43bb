"""What a server's tool returned: for the model, for the reader and as a value, whatever the server sent."""

import base64
import io
import json
import warnings

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from amber_nb.mcp_servers.prompts import read_contents, read_messages
from amber_nb.mcp_servers.results import read_blocks, read_result
from amber_nb.types import Source

HITS = [
    {"title": "Offer to ACME", "url": "https://docs.example/1", "snippet": "We agreed …"},
    {"title": "Minutes", "url": "https://docs.example/2", "snippet": "ACME asked …"},
]
TEXT = st.text(st.characters(codec=None), max_size=20)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | TEXT,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXT, inner, max_size=4),
    max_leaves=15,
)
KINDS = st.sampled_from(["text", "image", "audio", "resource", "resource_link", "video", "", None, 1])
BLOCKS = JSON | st.fixed_dictionaries(
    {"type": KINDS},
    optional=dict.fromkeys(("text", "data", "mimeType", "uri", "name", "title", "resource", "annotations"), JSON)
    | {"resource": st.dictionaries(st.sampled_from(["uri", "text", "blob", "mimeType"]), JSON)},
)


def png(width=20, height=10):
    file = io.BytesIO()
    Image.new("RGB", (width, height), "red").save(file, "PNG")
    return file.getvalue()


def encoded(data):
    return base64.b64encode(data).decode()


def text(value):
    return {"type": "text", "text": value}


def picture(data=None, kind="image/png"):
    return {"type": "image", "data": encoded(png() if data is None else data), "mimeType": kind}


def read(*content, **fields):
    return read_result({"content": list(content), **fields}, server="documents", tool="search")


# --- texts and structured content


def test_a_text():
    result = read(text("Nothing was found."))
    assert (result.text, result.value, str(result)) == ("Nothing was found.",) * 3
    assert (result.sources, result.images, result.content.table, result.is_error) == ((), (), None, False)


def test_several_texts_are_lines():
    assert read(text("a"), text("b")).text == "a\nb"


def test_structured_content_with_the_same_as_text():
    result = read(text(json.dumps({"hits": HITS})), structuredContent={"hits": HITS})
    assert result.value == {"hits": HITS}
    assert result.text == json.dumps({"hits": HITS})
    assert [source.url for source in result.sources] == ["https://docs.example/1", "https://docs.example/2"]
    assert result.content.table[0] == ("title", "url", "snippet")
    assert result.frame()["title"].tolist() == ["Offer to ACME", "Minutes"]


def test_structured_content_alone_goes_to_the_model():
    result = read(structuredContent={"hits": HITS})
    assert json.loads(result.text) == {"hits": HITS}
    assert result.content.table is not None


@pytest.mark.parametrize(
    ("texts", "structured", "told"),
    [
        (["2 hits"], {"hits": HITS}, False),
        (["Done."], {"hits": HITS}, False),
        ([json.dumps(HITS)], {"result": HITS}, True),
        ([json.dumps(HITS, indent=2)], {"result": HITS}, True),
        ([json.dumps(hit) for hit in HITS], {"result": HITS}, True),
        (["hello"], {"result": "hello"}, True),
        (["a", "b"], {"result": ["a", "b"]}, True),
        (["3"], {"result": 3}, True),
        (["It is 3 degrees in Berlin."], {"degrees": 3, "place": "Berlin"}, True),
        (["It is 3 degrees."], {"degrees": 3, "place": "Berlin"}, False),
    ],
)
def test_structured_content_is_told_once(texts, structured, told):
    result = read(*map(text, texts), structuredContent=structured)
    assert result.value == structured.get("result", structured)
    added = result.text.removeprefix("\n".join(texts)).strip()
    assert bool(added) != told
    if added:
        assert json.loads(added) == structured


@pytest.mark.parametrize(
    ("structured", "value"),
    [
        ({"result": [1]}, [1]),
        ({"result": 0}, 0),
        ({"result": [1], "n": 1}, {"result": [1], "n": 1}),
        ([1], [1]),
        ("x", "x"),
    ],
)
def test_what_the_sdks_wrap_is_unwrapped(structured, value):
    assert read(structuredContent=structured).value == value


def test_json_in_a_text_is_read():
    result = read(text(f"\n{json.dumps(HITS)}"))
    assert result.value == HITS
    assert len(result.sources) == 2
    assert result.text == f"\n{json.dumps(HITS)}"


def test_records_in_texts_of_their_own_are_a_list():
    result = read(*(text(json.dumps(hit)) for hit in HITS))
    assert result.value == HITS
    assert result.frame().shape == (2, 3)


def test_json_beside_a_link_is_read():
    result = read(text(json.dumps({"n": 1})), {"type": "resource_link", "uri": "https://docs.example/3", "name": "c"})
    assert result.value == {"n": 1}
    assert result.text == '{"n": 1}\nc: https://docs.example/3'


@pytest.mark.parametrize("broken", ["{", "[1,", "[" * 200_000, "[" + "1" * 10_000 + "]", '{"a": NaN', "{'a': 1}"])
def test_what_only_looks_like_json_is_text(broken):
    assert read(text(broken)).value == broken


def test_an_empty_result():
    assert read().text == "Done. The tool returned no result."
    assert read_result({}, server="x", tool="y").value == ""


def test_an_error_keeps_its_text():
    result = read(text("No such file."), isError=True)
    assert (result.is_error, result.text) == (True, "No such file.")
    assert read(isError="yes").is_error is False


# --- pictures


def test_pictures_stand_in_their_place():
    result = read(text("before"), picture(), text("after"))
    assert result.text == "before\nimage 1 (20 × 10 pixels)\nafter"
    (sent,) = result.images
    assert (sent.size, sent.format) == ((20, 10), "PNG")
    assert result.content.images[0][0]["image_url"]["url"].startswith("data:image/png;base64,")


def test_the_kind_that_a_server_tells_is_not_believed():
    assert read(picture(kind="image/svg+xml")).images[0].format == "PNG"
    assert read(picture(b"<html>", kind="image/png")).images == ()


@pytest.mark.parametrize(
    ("block", "says"),
    [
        ({"type": "image"}, "without data"),
        ({"type": "image", "data": 1}, "without data"),
        ({"type": "image", "data": ""}, "cannot be read"),
        ({"type": "image", "data": "ü"}, "no base64"),
        ({"type": "image", "data": "abcde"}, "no base64"),
        (picture(b"<svg xmlns='http://www.w3.org/2000/svg'><script/></svg>", "image/svg+xml"), "SVG"),
        (picture(b"<?xml version='1.0'?>\n<svg width='9'></svg>", "image/svg+xml"), "SVG"),
        (picture(b"no picture"), "text"),
        (picture(png()[:40]), "cannot be read"),
        (picture(png()[:-20] + b"\0" * 5), ""),
        (picture(bytes(range(256))), "no image"),
        ({"type": "image", "data": "A" * 30_000_004, "mimeType": "image/png"}, "too large: 22,500,003 bytes"),
        (picture(b"x", "image/" + "x" * 10_000), "text"),
    ],
)
def test_a_broken_picture_is_a_sentence(block, says):
    result = read(block, text("and more"))
    assert says in result.text
    assert "and more" in result.text
    assert len(result.text) < 1_500


def test_a_picture_that_would_fill_the_memory_is_not_decoded():
    file = io.BytesIO()
    Image.new("1", (20_000, 20_000)).save(file, "PNG")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert read(picture(file.getvalue())).images == ()


def test_of_very_many_pictures_some_are_sent(monkeypatch):
    result = read(*[picture()] * 150)
    assert len(result.images) == 20
    assert "at most" in result.text


def test_of_very_many_blocks_some_are_read():
    result = read(*(text(f"line {n}") for n in range(5_000)))
    assert "line 199\n" in result.text
    assert "line 200\n" not in result.text
    assert "(4,800 more blocks of content are left out)" in result.text


# --- other content


@pytest.mark.parametrize(
    ("block", "told"),
    [
        ({"type": "audio", "data": "AAAA", "mimeType": "audio/wav"}, "(audio, audio/wav, which a model is not sent)"),
        ({"type": "audio"}, "(audio, unknown, which a model is not sent)"),
        ({"type": "resource_link", "uri": "file:///a", "name": "a", "title": "A"}, "A: file:///a"),
        ({"type": "resource_link", "uri": 1, "name": []}, "link: unknown"),
        ({"type": "resource", "resource": {"uri": "file:///a", "text": "content"}}, "file:///a:\ncontent"),
        (
            {"type": "resource", "resource": {"uri": "file:///a", "blob": "AAAAAAAA", "mimeType": "application/pdf"}},
            "(file:///a: a file of 6 bytes, application/pdf)",
        ),
        ({"type": "resource", "resource": {"uri": "file:///a"}}, "(file:///a: a file of 0 bytes, unknown)"),
        ({"type": "resource", "resource": 1}, "(content of the kind resource, which cannot be shown)"),
        ({"type": "video"}, "(content of the kind video, which cannot be shown)"),
        ({"type": 1}, "(content of the kind unknown, which cannot be shown)"),
        ({}, "(content of the kind unknown, which cannot be shown)"),
    ],
)
def test_content_that_is_neither_text_nor_picture(block, told):
    assert read(block).text == told


def test_an_embedded_picture():
    block = {"type": "resource", "resource": {"uri": "file:///a", "blob": encoded(png()), "mimeType": "image/png"}}
    assert read(block).images[0].size == (20, 10)


@pytest.mark.parametrize(
    "content", [None, 1, "text", {"type": "text"}, [None, 1, "text", []], [{"type": "text", "text": 1}]]
)
def test_content_of_another_form_is_none(content):
    assert read_result({"content": content}, server="x", tool="y").value == ""


# --- sources


def test_links_and_embedded_resources_are_sources():
    result = read(
        {"type": "resource_link", "uri": "https://docs.example/1", "name": "a", "title": "A"},
        {"type": "resource_link", "uri": "https://docs.example/1", "name": "again"},
        {"type": "resource", "resource": {"uri": "https://docs.example/2", "text": "content"}},
        {"type": "resource_link", "uri": "https://docs.example/" + "x" * 3_000, "name": "long"},
        {"type": "resource_link", "uri": None},
    )
    assert result.sources == (
        Source(title="A", url="https://docs.example/1"),
        Source(title="https://docs.example/2", url="https://docs.example/2"),
    )


def test_a_link_to_a_hit_is_the_same_source():
    link = {"type": "resource_link", "uri": HITS[0]["url"], "name": "again"}
    assert [source.title for source in read(link, structuredContent={"hits": HITS}).sources] == [
        "Offer to ACME",
        "Minutes",
    ]


@pytest.mark.parametrize(
    "uri", ["javascript:alert(1)", "data:text/html,<script>alert(1)</script>", "file:///etc/passwd"]
)
def test_no_source_is_a_link_that_does_something(uri):
    html = read({"type": "resource_link", "uri": uri, "name": "<img src=x>"})._repr_mimebundle_()["text/html"]
    assert "href" not in html
    assert "<img" not in html


# --- limits


def test_long_texts_are_cut_for_the_model_and_kept_for_the_user():
    result = read(text("x" * 1_000_000))
    assert len(result.text) <= 20_000
    assert len(result.value) == 1_000_000
    assert "the first" in result.content.notes[0]


def test_wide_tables_stay_small():
    """Records without a name in common would make a cell for each pair of record and name."""
    records = [{f"c{n}_{k}": 1 for k in range(100)} for n in range(3_000)]
    columns, rows = read(structuredContent={"rows": records}).content.table
    assert (len(columns), len(rows)) == (12, 20)


def test_what_the_table_leaves_out_is_said():
    records = [{f"c{k}": k for k in range(15)} for _ in range(30)]
    assert read(structuredContent=records).content.notes == (
        "the table shows the first 20 of 30 rows and the first 12 columns",
    )
    assert read(structuredContent=HITS).content.notes == ()


def test_half_a_character_in_json_is_replaced():
    result = read(text('[{"a\\ud800": "\\udfff"}]'))
    assert result.value == [{"a\ufffd": "\ufffd"}]
    assert result.frame().columns.tolist() == ["a\ufffd"]
    assert read(structuredContent={"a": "\ud800"}).value == {"a": "\ufffd"}


def test_a_table_of_very_different_values():
    records = [{"a": 10**400}, {"a": {"b": [1]}}, {"a": None, "": float("nan")}, {"\ud800": "\ud800"}, {}]
    content = read(structuredContent=records).content
    assert len(content.table[1]) == 5
    json.dumps(content.table, ensure_ascii=False).encode()


@pytest.mark.parametrize("value", [{"a": HITS, "b": HITS}, [1], {"a": [], "b": 1}, [HITS], [{"a": 1}, 2], "x", 0])
def test_what_is_no_table(value):
    result = read(structuredContent=value)
    assert result.content.table is None
    assert result.frame().columns.tolist() == ["value"]
    assert result.frame()["value"][0] == value


@pytest.mark.parametrize("value", [[], {"hits": []}])
def test_a_search_without_hits_is_an_empty_frame(value):
    assert read(structuredContent=value).frame().empty


def test_deep_values_cost_nothing():
    deep = {}
    for _ in range(5_000):
        deep = {"a": [deep]}
    result = read(text("x"), structuredContent=deep)
    assert len(result.text) <= 20_000


@given(st.lists(BLOCKS, max_size=4) | JSON, JSON, JSON)
def test_any_json_is_a_result(content, structured, is_error):
    result = read_result(
        {"content": content, "structuredContent": structured, "isError": is_error}, server="x", tool="y"
    )
    assert len(result.text) <= 20_000
    assert len(repr(result)) < 400
    bundle = result._repr_mimebundle_()
    for shown in (result.text, repr(result), bundle["text/html"], bundle["text/plain"]):
        shown.encode()
    for source in result.sources:
        f"{source.title}{source.url}".encode()
    if result.content.table:
        json.dumps(result.content.table, ensure_ascii=False).encode()
    assert result.text


@given(st.binary(max_size=200))
def test_any_bytes_after_the_beginning_of_a_picture(data):
    assert read({"type": "image", "data": encoded(png()[:30] + data)}).text


@given(JSON | st.lists(BLOCKS, max_size=4))
def test_any_json_is_content(content):
    for item in read_blocks(content):
        assert isinstance(item, (str, dict))


# --- shown


HOSTILE = "<script>alert(1)</script>\x1b[31m\u202e$x$"


@pytest.mark.parametrize("is_error", [False, True])
def test_no_result_is_markup_or_acts_on_a_terminal(is_error):
    result = read_result(
        {"content": [text(HOSTILE)], "structuredContent": [{HOSTILE: HOSTILE}], "isError": is_error},
        server=HOSTILE,
        tool=HOSTILE,
        arguments={HOSTILE: HOSTILE},
    )
    bundle = result._repr_mimebundle_()
    assert "<script" not in bundle["text/html"]
    for shown in (*bundle.values(), repr(result)):
        assert "\x1b" not in shown
        assert "\u202e" not in shown


# --- resources


@pytest.mark.parametrize(
    ("contents", "value"),
    [
        ([{"uri": "x", "text": "content"}], "content"),
        ([{"uri": "x", "blob": encoded(b"\x00\x01")}], b"\x00\x01"),
        ([{"text": "a"}, {"blob": encoded(b"b")}], ["a", b"b"]),
        ([{"text": "\ud800"}], "\ufffd"),
        ([{"blob": "ü"}], b""),
        ([{"blob": "abcde"}], b""),
        ([{"blob": 5}], b""),
        ([{}], b""),
        ([], []),
        (None, []),
        (5, []),
        ("text", []),
        ({"text": "a"}, []),
        ([1, None, "a"], []),
    ],
)
def test_contents_of_a_resource(contents, value):
    assert read_contents({"contents": contents}) == value


# --- prompts


def test_messages_of_a_prompt():
    messages = read_messages(
        {
            "messages": [
                {"role": "user", "content": text("Summarize this.")},
                {"role": "assistant", "content": [text("Gladly."), text("What?")]},
                {"role": "user", "content": picture()},
                {"role": "user", "content": {"type": "resource", "resource": {"uri": "file:///a", "text": "content"}}},
            ]
        }
    )
    assert messages[:2] == [
        {"role": "user", "content": "Summarize this."},
        {"role": "assistant", "content": "Gladly.\nWhat?"},
    ]
    assert messages[2]["content"][0]["type"] == "image_url"
    assert messages[3] == {"role": "user", "content": "file:///a:\ncontent"}


@pytest.mark.parametrize("role", ["system", "developer", "tool", None, 1, ["assistant"]])
def test_a_server_speaks_for_nobody_but_user_and_model(role):
    assert read_messages({"messages": [{"role": role, "content": text("x")}]})[0]["role"] == "user"


@pytest.mark.parametrize(
    "messages", [None, 1, "text", {"role": "user"}, [1, "x", None], [{}], [{"content": 1}], [{"content": []}]]
)
def test_messages_of_another_form_are_none(messages):
    assert read_messages({"messages": messages}) == []


def test_a_bare_text_is_a_message():
    assert read_messages({"messages": [{"role": "user", "content": "hello"}]}) == [{"role": "user", "content": "hello"}]


@given(JSON | st.lists(st.fixed_dictionaries({"role": JSON, "content": st.lists(BLOCKS, max_size=3) | BLOCKS})))
def test_any_json_is_a_prompt_or_a_resource(value):
    for message in read_messages({"messages": value}):
        assert message["role"] in ("user", "assistant")
        assert message["content"]
        json.dumps(message, ensure_ascii=False).encode()
    read_contents({"contents": value})
