"""What a server's tool returned: for the model, for the reader and as a value, whatever the server sent."""

import base64
import contextlib
import copy
import io
import json
import pickle
import re
import warnings

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from amber_nb import ToolError
from amber_nb.mcp_servers.prompts import PromptMessage, PromptMessages, read_contents, read_messages
from amber_nb.mcp_servers.results import ServerFile, read_blocks, read_result
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


def resource(data, kind):
    return {"type": "resource", "resource": {"uri": "file:///out/a.csv", "blob": encoded(data), "mimeType": kind}}


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
        ([json.dumps({"result": 3})], {"result": 3}, True),
        (["true"], {"result": 1}, False),
        (["It is 3 degrees in Berlin."], {"degrees": 3, "place": "Berlin"}, True),
        (["It is 3.5 degrees in Berlin."], {"degrees": 3, "place": "Berlin"}, False),
        (["It is 3 degrees in Berlin."], {"degrees": 3, "place": "Berlin", "wind": 3}, False),
        (["It is 3 degrees in Berlin, no rain"], {"degrees": 3, "rain": False}, False),
        (["Found 12 rows in 0.35 s"], {"open": 1, "closed": 2, "stale": 35}, False),
        ([json.dumps({"status": "ok"})], {"revenue": 4711, "customer": "ACME"}, False),
        ([json.dumps(HITS[0])], {"result": HITS}, False),
        ([json.dumps(HITS)], {"hits": HITS, "total": 99}, False),
        (["1", "2"], {"result": [1, 2, 3]}, False),
    ],
)
def test_structured_content_is_told_once(texts, structured, told):
    result = read(*map(text, texts), structuredContent=structured)
    assert result.value == structured.get("result", structured)
    added = result.text.removeprefix("\n".join(texts)).strip()
    assert bool(added) != told
    if added:
        assert json.loads(added) == structured.get("result", structured)


def test_structured_content_that_a_preview_does_not_tell_goes_to_the_model():
    rows = [{"id": n, "v": n * n} for n in range(300)]
    preview = "rows: " + ", ".join(f"{row['id']}={row['v']}" for row in rows[:250])
    assert '{"id":299,"v":89401}' in read(text(preview), structuredContent={"rows": rows}).text


def test_blocks_as_structured_content_are_told_once():
    """The SDK has it so for a function whose hint is a list of blocks."""
    blocks = [picture(), text("a chart")]
    result = read(*blocks, structuredContent={"result": [{**block, "annotations": None} for block in blocks]})
    assert result.text == "image 1 (20 × 10 pixels)\na chart"
    other = read(text("a"), structuredContent=[text("b")])
    assert json.loads(other.text.removeprefix("a\n")) == [text("b")]


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


def test_a_long_error_keeps_its_beginning_and_its_cause():
    lines = "\n".join(f"  frame {n} of the stack" for n in range(20_000))
    result = read(text(f"Traceback\n{lines}\nValueError: column 'x' is missing"), isError=True)
    assert len(result.text) <= 2_000
    assert result.text.startswith("Traceback\n  frame 0 of the stack")
    assert result.text.endswith("stack\nValueError: column 'x' is missing")
    left = re.search(r"\n… ([\d,]+) characters left out …\n", result.text)
    kept = len(result.text) - len(left[0])
    assert int(left[1].replace(",", "")) == len(result.value) - kept
    assert "is missing" in result._repr_mimebundle_()["text/html"]


def test_a_long_error_cuts_no_word_in_two():
    key = "ambrs-exampletoken"
    for at in range(0, 2_000, 7):
        told = read(text("x " * (at // 2) + key + " y" * 2_000), isError=True).text
        assert key in told or not any(key[start : start + 8] in told for start in range(len(key) - 8))


@pytest.mark.parametrize("content", [[], [text("")], [text("  ")], [{"type": "text"}]])
def test_a_failure_without_words_says_so(content):
    assert read(*content, isError=True).text == "the tool failed without saying why"


def test_an_error_tells_its_structured_content():
    result = read(isError=True, structuredContent={"code": 7, "why": "no such table"})
    assert json.loads(result.text) == {"code": 7, "why": "no such table"}
    assert read(picture(), isError=True).text == "(a picture)"


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
        (resource(b"12345678", "application/pdf"), "(file:///out/a.csv: a file of 8 bytes, application/pdf)"),
        (
            {"type": "resource", "resource": {"uri": "file:///a", "blob": "%%%%", "mimeType": "application/pdf"}},
            "(file:///a: a file, application/pdf, that cannot be read: its data is no base64)",
        ),
        (resource(b"a,b\n1,2\n", "text/csv"), "file:///out/a.csv:\na,b\n1,2\n"),
        (resource(b'{"a": 1}', "application/json; charset=utf-8"), 'file:///out/a.csv:\n{"a": 1}'),
        (resource(b"\xef\xbb\xbf\xc3\xbc", "application/vnd.acme+json"), "file:///out/a.csv:\nü"),
        (resource(b"f\xfcr", "text/plain; charset=ISO-8859-1"), "file:///out/a.csv:\nfür"),
        (
            resource(b"f\xfcr", "text/plain; charset=idna"),
            "(file:///out/a.csv: a file of 3 bytes, text/plain; charset=idna)",
        ),
        (resource(b"", "text/plain"), "(file:///out/a.csv: a file of 0 bytes, text/plain)"),
        (
            {
                "type": "resource_link",
                "uri": "file:///x.csv",
                "name": "x",
                "description": "the data\nyou want",
                "mimeType": "text/csv",
                "size": 1200,
            },
            "x: file:///x.csv (the data you want; text/csv; 1,200 bytes)",
        ),
        (
            {"type": "resource_link", "uri": "x:y", "name": "x", "description": "", "mimeType": 1, "size": True},
            "x: x:y",
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


def test_files_and_audio_can_be_had():
    audio = {"type": "audio", "data": encoded(b"RIFF"), "mimeType": "audio/wav"}
    broken = {"type": "audio", "data": "%%%%", "mimeType": "audio/wav"}
    result = read(text("see"), resource(b"%PDF-1", "application/pdf"), audio, broken, {"type": "audio"}, picture())
    assert result.files == (
        ServerFile("file:///out/a.csv", "application/pdf", b"%PDF-1"),
        ServerFile("", "audio/wav", b"RIFF"),
    )
    assert repr(result.files[0]) == "ServerFile('a.csv', 'application/pdf', 6 bytes)"
    assert pickle.loads(pickle.dumps(result)).files == result.files


def test_a_long_file_is_told_in_part_and_kept_whole():
    result = read(resource(b"x" * 100_000, "text/plain"))
    assert len(result.text) <= 20_000
    assert len(result.files[0].data) == 100_000


def test_base64_of_urls_is_read():
    data = base64.urlsafe_b64encode(png() + b"\xff\xfe\xfb\xff").decode()
    assert set(data) & set("-_")
    assert read({"type": "image", "data": data.rstrip("="), "mimeType": "image/png"}).images[0].format == "PNG"


# --- whom content is for


def alone(block, *audience):
    return {**block, "annotations": {"audience": list(audience)}}


def test_content_for_one_alone():
    result = read(
        alone(text("for you"), "user"), alone(text("for it"), "assistant"), alone(text("a"), "user", "assistant")
    )
    assert result.text == "for it\na"
    assert result.content.text == "for you\n(a text of 6 characters, for the model alone)\na"
    html, plain = (result._repr_mimebundle_()[kind] for kind in ("text/html", "text/plain"))
    for shown in (html, plain):
        assert "for you" in shown
        assert "for it" not in shown
    assert result.value == "for you\nfor it\na"


def test_a_picture_for_the_reader_alone_is_a_file():
    result = read(alone(picture(), "user"), text("drawn"))
    assert (result.text, result.images) == ("drawn", ())
    assert result.files[0].data == png()
    assert "a picture, for the reader alone" in result.content.text


def test_where_all_is_for_the_reader_the_model_is_told_that():
    result = read(alone(text("for you"), "user"))
    assert result.text == "Done. The result is for the reader alone, who sees it."
    assert result.content.text == "for you"
    assert json.loads(read(alone(text("3"), "user"), structuredContent={"n": 3}).text) == {"n": 3}


@pytest.mark.parametrize("audience", ["user", [], ["reader"], [1], None, {"user": 1}, ["user", "user"]])
def test_any_other_audience_is_everybody(audience):
    result = read({**text("x"), "annotations": {"audience": audience}})
    assert result.text == result.content.text == "x"


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


@pytest.mark.parametrize("value", [{"a": HITS, "b": HITS}, {"a": [], "b": 1}, [HITS], [{"a": 1}, 2], "x", 0, {}])
def test_what_is_no_table(value):
    result = read(structuredContent=value)
    assert result.content.table is None
    assert result.frame().columns.tolist() == ["value"]
    assert result.frame()["value"][0] == value


def test_plain_values_are_rows():
    row = read(structuredContent={"degrees": 3, "place": "Berlin", "note": None}).frame()
    assert row.to_dict("records") == [{"degrees": 3, "place": "Berlin", "note": None}]
    assert read(structuredContent=["a", "b", 3]).frame()["value"].tolist() == ["a", "b", 3]


@pytest.mark.parametrize("value", [[], {"hits": []}])
def test_a_search_without_hits_is_an_empty_frame(value):
    frame = read(structuredContent=value).frame()
    assert frame.empty
    assert frame.reindex(columns=["title", "url"])["title"].tolist() == []


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
        ([{"blob": base64.urlsafe_b64encode(b"\xff\xfe\xfb").decode()}], b"\xff\xfe\xfb"),
        ([{"blob": "AAE"}], b"\x00\x01"),
        ([{"blob": "AA\nE=\n"}], b"\x00\x01"),
        ([{"blob": ""}], b""),
        ([{"blob": None}], b""),
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


@pytest.mark.parametrize("blob", ["ü", "abcde", "%%%%", "AAA*", "AA=E", 5, [], {}])
def test_data_of_a_resource_that_is_no_base64_is_an_error(blob):
    with pytest.raises(ToolError, match=r"resource 'out\.bin' cannot be read: .* no base64") as caught:
        read_contents({"contents": [{"uri": "file:///home/me/out.bin", "blob": blob}]})
    assert "home" not in str(caught.value)


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


def test_each_message_of_a_prompt_keeps_its_mark():
    messages = PromptMessages([{"role": "user", "content": "x"}], server="helper", group="h")
    one, plain = messages[0], {"role": "user", "content": "x"}
    assert (one, repr(one), json.dumps(one)) == (plain, repr(plain), json.dumps(plain))
    changed = one | {"name": "x"}, {"name": "x"} | one
    copies = one.copy(), copy.copy(one), copy.deepcopy(one), pickle.loads(pickle.dumps(one))
    for each in (*changed, *copies, *messages.copy(), *copy.deepcopy(messages), *pickle.loads(pickle.dumps(messages))):
        assert isinstance(each, PromptMessage)
        assert (each["content"], each.server, each.group) == ("x", "helper", "h")
    assert [each["name"] for each in changed] == ["x", "x"]
    before, other = [plain], PromptMessages([{"role": "user", "content": "y"}], server="other", group="o")
    assert [getattr(each, "group", None) for each in before + messages + other] == [None, "h", "o"]


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
    with contextlib.suppress(ToolError):
        read_contents({"contents": value})
