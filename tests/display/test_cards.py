"""The calls of tools as they stay in the file: readable, folded, and safe whatever anybody has said."""

import json
from pathlib import Path

import pytest
from allowed import StripReader, read

from amber_nb.display.cards import tools_html, tools_text
from amber_nb.redact import HIDDEN, is_secret, redact
from amber_nb.types import SentImage, ToolContent, ToolRun

HOSTILE = [one["text"] for one in json.loads((Path(__file__).parent / "hostile.json").read_text(encoding="utf-8"))]
SENT = '{"temperature":14,"sky":"rain"}'
RAN = ToolRun(
    name="get_weather",
    arguments={"location": "Aachen", "unit": "celsius"},
    status="ran",
    result={"temperature": 14, "sky": "rain"},
    sent=SENT,
    content=ToolContent(text=SENT),
    duration_s=0.124,
)


def run(**changes):
    fields = {name: getattr(RAN, name) for name in RAN.__dataclass_fields__}
    return ToolRun(**(fields | changes))


def page(*runs):
    """The HTML, held against what may be in it."""
    html = tools_html(runs)
    reader = read(html, images=True)
    return html, "".join(reader.text)


def test_a_call_is_one_line_and_more_when_opened():
    html, text = page(RAN)
    assert html.count("<details") == 1
    assert "<details open" not in html
    head, _, rest = html.partition("</summary>")
    assert "get_weather" in head
    assert "location='Aachen', unit='celsius'" in head
    assert "0.12 s" in head
    assert "temperature" in rest
    assert "round" not in text
    assert (
        tools_text([RAN]) == """get_weather(location='Aachen', unit='celsius') → {"temperature": 14, "sky": "rain"}"""
    )
    assert tools_html([]) == tools_text([]) == ""


@pytest.mark.parametrize(
    ("changes", "seen", "line"),
    [
        ({"status": "denied", "reason": "too dear", "sent": "Denied"}, "too dear", "⊘ denied: too dear"),
        ({"status": "invalid", "error": "a: no int", "sent": "a: no int"}, "a: no int", "✗ wrong arguments: a: no int"),
        ({"status": "failed", "error": "KeyError: 1", "traceback": "in f"}, "in f", "✗ failed: KeyError: 1"),
        ({"status": "timeout", "error": "no result"}, "no result", "✗ timed out: no result"),
        ({"status": "not_run", "content": None, "sent": ""}, "not run", "○ not run"),
    ],
)
def test_what_became_of_it(changes, seen, line):
    _, text = page(run(**changes))
    assert seen in text
    assert tools_text([run(**changes)]).endswith(line)


def test_what_was_changed_by_whom():
    one = run(edited=True, decided_by="reader", proposed={"location": "Bonn"})
    _, text = page(one)
    assert "edited by you" in text
    assert "What the model wanted" in text
    assert "Bonn" in text
    assert "(edited by you)" in tools_text([one])


def test_rounds_are_told_where_there_are_several():
    _, text = page(RAN, run(round=2))
    assert "round 1" in text
    assert "round 2" in text


def test_a_table_and_a_picture_are_seen():
    table = ToolContent(text="a,b\n1,2", table=(("a", "b"), (("1", "<b>2</b>"),)), notes=("the first 1 of 9 rows",))
    html, text = page(run(content=table))
    assert html.count("<td") == 2
    assert "<b>2</b>" in text
    assert "the first 1 of 9 rows" in text
    picture = SentImage(name="figure", original_size=(9, 9), size=(9, 9), format="PNG", n_bytes=99, thumbnail=b"RIFF")
    html, _ = page(run(content=ToolContent(text="An image follows.", images=(({}, picture),))))
    assert html.count("<img") == 1


def test_long_values_are_shortened_and_many_calls_counted():
    html, text = page(
        run(arguments={"text": "x" * 100_000}, content=ToolContent(text="y" * 100_000), sent="y" * 100_000)
    )
    assert len(html) < 12_000
    assert "100,000 characters in all" in text
    html = tools_html([run(content=ToolContent(text="z" * 3_000))] * 500, max_bytes=50_000)
    assert len(html) < 51_000
    assert "more calls" in html
    assert all(len(line) <= 200 for line in tools_text([run(arguments={"a" * 500: "b" * 500})] * 3).splitlines())


SECRETS = ["token", "access_token", "apiKey", "API_KEY", "password", "passwd", "client_secret", "Authorization", "key",
           "aws-key", "private_key", "pwd", "credentials"]  # fmt: skip


@pytest.mark.parametrize("name", SECRETS)
def test_secrets_are_hidden_by_their_name(name):
    deep = {"to": "ada", "auth": [{name: "s3cret", "n": 1}], name: "s3cret"}
    one = run(
        arguments=deep, proposed=deep, edited=True, sent=json.dumps(deep), content=ToolContent(text=json.dumps(deep))
    )
    html, text = page(one)
    assert "s3cret" not in html
    assert HIDDEN in text
    assert "ada" in text
    assert "s3cret" not in tools_text([one])


def test_secrets_are_hidden_where_the_text_is_no_json_either():
    text = "{'token': 's3cret', \"n\": 1"
    cut = '{"token": "s3cret", "rows": [1, 2…'
    table = ToolContent(text="token\ns3cret", table=(("token", "n"), (("s3cret", "1"),)))
    for one in (run(arguments=text, status="invalid"), run(content=ToolContent(text=cut)), run(content=table)):
        html, shown = page(one)
        assert "s3cret" not in html
        assert HIDDEN in shown
        assert "1" in shown
        assert "s3cret" not in tools_text([one])


@pytest.mark.parametrize("content", [None, ToolContent(text='n,token\n1,s3cret\n2,"s3cret, too"')])
def test_secrets_of_a_table_are_hidden_in_its_text_too(content):
    """Which is all that a replay has of it."""
    one = run(content=content, sent='n,token\n1,s3cret\n2,"s3cret, too"')
    for shown in (*page(one), tools_text([one])):
        assert "s3cret" not in shown
        assert HIDDEN in shown
    assert tools_text([one]).endswith("→ n,token 1,••• 2,•••")


@pytest.mark.parametrize("text", ["token", "the token is 5", "a,b\n1,2"])
def test_a_text_that_is_no_such_table_stays(text):
    line = tools_text([run(content=ToolContent(text=text))]).partition("→ ")[2]
    assert line.rstrip("…") == " ".join(text.split())[: len(line.rstrip("…"))]
    assert text[:1_000] in page(run(content=ToolContent(text=text)))[1]


def test_other_names_are_no_secrets():
    for name in ("monkey", "keyword", "keys", "author", "pinned", "passenger", "location"):
        assert not is_secret(name), name
    assert redact({"key": None, "token": ""}) == {"key": None, "token": ""}


@pytest.mark.parametrize(
    "place", ["name", "arguments", "text", "sent", "error", "reason", "traceback", "table", "note"]
)
def test_nothing_anybody_says_becomes_markup(place):
    assert len(HOSTILE) > 200
    for payload in HOSTILE:
        hold(payload, place)


def hold(payload, place):
    content = {
        "table": ToolContent(text="", table=((payload,), ((payload,),))),
        "note": ToolContent(text="x", notes=(payload,)),
        "sent": ToolContent(text=payload),
    }.get(place, ToolContent(text="x"))
    one = run(
        name=payload if place == "name" else "f",
        arguments={payload: payload} if place == "arguments" else payload if place == "text" else {"a": 1},
        sent=content.text,
        content=content,
        error=payload if place == "error" else None,
        reason=payload if place == "reason" else "",
        traceback=payload if place == "traceback" else None,
        status={"error": "failed", "traceback": "failed", "reason": "denied"}.get(place, "ran"),
    )
    html = tools_html([one])
    reader = read(html, images=True)
    assert reader.links == []
    assert reader.typeset == []
    tools_text([one]).encode()
    assert "\n" not in tools_text([one])


def test_the_reader_would_notice():
    with pytest.raises(AssertionError):
        StripReader().feed("<script>1</script>")
