"""Is it still the same? Replies against replies, as tables."""

import difflib
import itertools
import json
import random
from dataclasses import replace

import pytest

from amber_nb.testing.drift import (
    Comparator,
    ReplySummary,
    compare,
    default_comparator,
    diff_json,
    judge,
    parse_comparator,
    parse_json,
    parse_tags,
    similarity,
)
from amber_nb.testing.report import common_pairs, diff_texts

# --- which comparison


@pytest.mark.parametrize("text", ["exact", "json", "tools", "ignore", "similar:0.8", "similar:1", "similar:0.25"])
def test_a_comparator_reads_and_writes_itself(text):
    assert str(parse_comparator(text)) == text


def test_similar_alone_has_a_threshold():
    assert parse_comparator(" similar ") == Comparator("similar", 0.8)


@pytest.mark.parametrize(
    "text",
    [
        *["", "same", "Exact", "json:0.8", "exact:", "similar:", "similar:0", "similar:1.1", "similar:-1"],
        *["similar:nan", "similar:inf", "similar:high", "similar=0.8"],
    ],
)
def test_no_comparator(text):
    with pytest.raises(ValueError, match=r"similar:0\.8"):
        parse_comparator(text)


@pytest.mark.parametrize(
    ("tags", "found"),
    [
        ([], None),
        (["raises-exception", "ambergris", "exact"], None),
        (["amber-exact"], "exact"),
        (["hide", "amber:json"], "json"),
        (["amber-similar:0.90"], "similar:0.9"),
        (["amber-similar"], "similar:0.8"),
        (["amber:ignore"], "ignore"),
        (["amber-tools"], "tools"),
    ],
)
def test_tags(tags, found):
    assert parse_tags(tags) == found


@pytest.mark.parametrize(
    ("tags", "message"),
    [
        (["amber-exact", "amber-json"], "amber-exact, amber-json"),
        (["amber-exact", "amber:exact"], "one comparison"),
        (["amber-exakt"], "amber-exakt"),
        (["amber-similar:2"], "at most 1"),
    ],
)
def test_wrong_tags(tags, message):
    with pytest.raises(ValueError, match=message):
        parse_tags(tags)


CALL = ("weather", '{"city": "Aachen", "days": 3}')


@pytest.mark.parametrize(
    ("recorded", "how"),
    [
        (None, "similar:0.8"),
        (ReplySummary(text="Hello"), "similar:0.8"),
        (ReplySummary(text="42"), "similar:0.8"),
        (ReplySummary(text='"a string"'), "similar:0.8"),
        (ReplySummary(text='{"a": 1}'), "json"),
        (ReplySummary(text='```json\n["a"]\n```'), "json"),
        (ReplySummary(text='{"a": 1'), "similar:0.8"),
        (ReplySummary(text='{"a": 1}', tool_calls=(CALL,)), "tools+similar:0.8"),
    ],
)
def test_the_default_is_chosen_by_what_was_recorded(recorded, how):
    assert str(default_comparator(recorded)) == how


# --- comparing

SAYS = ReplySummary(text="The answer is 42 and nothing else.", finish_reason="stop")
CALLS = ReplySummary(text="", tool_calls=(CALL, ("now", "")), finish_reason="tool_calls")
JSON = ReplySummary(text='{"a": 1, "b": [true, null, "x"]}', finish_reason="stop")
TEXT_AND_CALL = ReplySummary(text="Let me look up the weather.", tool_calls=(CALL,))


def reply(text="", *calls, **others):
    return ReplySummary(text=text, tool_calls=calls, **others)


SAME = [
    ("exact", SAYS, SAYS),
    ("exact", CALLS, replace(CALLS, tool_calls=(("now", "{}"), ("weather", '{"days":3.0,"city":"Aachen"}')))),
    ("json", JSON, replace(JSON, text='```JSON\n{"b": [true, null, "x"], "a": 1.0}\n```')),
    ("json", reply("[1e2]"), reply(" [100]\n")),
    ("json", JSON, replace(JSON, text="Sure! " + JSON.text)),
    ("exact", SAYS, replace(SAYS, finish_reason="end_turn")),
    ("similar", replace(SAYS, finish_reason="length"), replace(SAYS, finish_reason="MAX_TOKENS")),
    ("json", CALLS, replace(CALLS, text=" ")),
    ("json", reply("not JSON"), reply("not JSON")),
    ("tools", CALLS, replace(CALLS, text="I shall look.", tool_calls=CALLS.tool_calls[::-1])),
    ("tools", SAYS, reply("Something else altogether.")),
    ("tools", reply("", ("f", "{broken")), reply("", ("f", "{broken"))),
    ("similar", SAYS, replace(SAYS, text="the answer is **42**, and nothing else")),
    ("similar:0.7", SAYS, replace(SAYS, text="The answer is 43 and nothing else.")),
    ("similar", reply(""), reply("")),
    ("ignore", SAYS, reply("", CALL, refusal="No.", finish_reason="length")),
    ("exact", replace(SAYS, error="RateLimitError: Error code: 429 - a"), reply(error="RateLimitError: status 429, b")),
    ("similar", replace(SAYS, finish_reason="length"), replace(SAYS, finish_reason="length")),
    ("similar", replace(SAYS, finish_reason="end_turn"), SAYS),
    ("similar", reply(refusal="I cannot help with that."), reply(refusal="I cannot help with that!")),
]


@pytest.mark.parametrize(("how", "recorded", "now"), SAME)
def test_same(how, recorded, now):
    comparison = compare(recorded, now, parse_comparator(how))
    assert (comparison.status, bool(comparison.why)) == ("same", True), comparison


DRIFTED = [
    ("exact", SAYS, replace(SAYS, text=SAYS.text + " "), "The text differs (similarity 1.00)"),
    ("exact", SAYS, replace(SAYS, finish_reason=None), "finish_reason is None, recorded stop"),
    ("exact", reply(refusal="No"), reply(refusal="No."), "The refusal is worded differently"),
    ("exact", reply("a", CALL), reply("a"), "weather is not called any more"),
    ("json", JSON, replace(JSON, text='{"a": 2, "b": [true, null, "x"]}'), "$.a: 1 → 2"),
    ("json", reply("[1]"), reply("[true]"), "$[0]: 1 → true"),
    ("json", reply("[0]"), reply("[false]"), "$[0]: 0 → false"),
    ("json", reply("[1]"), reply('["1"]'), '$[0]: 1 → "1"'),
    ("json", reply('{"a b": {}}'), reply('{"a b": []}'), '$["a b"]: an object of 0 → a list of 0'),
    ("json", reply("[1, 2]"), reply("[1]"), "$[1]: 2 → nothing"),
    ("json", reply("[null]"), reply("[]"), "$[0]: null → nothing"),
    ("json", reply("[1, 2, 3]"), reply("[4, 5, 6]"), "$[0]: 1 → 4; $[1]: 2 → 5 …"),
    ("json", JSON, replace(JSON, text=JSON.text + " " + JSON.text), "The text is not JSON"),
    ("json", reply("Sure!"), JSON, "The recorded text is not JSON"),
    ("json", reply("{}"), reply("{}", CALL), "weather is called, too"),
    ("json", reply("[1]"), reply("[NaN]"), "The text is not JSON"),
    ("json", reply('{"a": 1}'), reply('{"a": 2, "a": 1}'), "The text is not JSON"),
    ("tools", CALLS, replace(CALLS, tool_calls=(CALL,)), "now is not called any more"),
    ("tools", reply("", CALL), reply("", CALL, CALL), "weather is called, too"),
    ("tools", reply("", CALL, CALL), reply("", CALL), "weather is not called any more"),
    ("tools", reply("", CALL), reply("", ("weather", "{oops")), "weather is called with arguments that are not JSON"),
    (
        "tools",
        reply("", CALL),
        reply("", ("weather", '{"city": "Cologne", "days": 3}')),
        'weather is called with $.city: "Aachen" → "Cologne"',
    ),
    ("similar", SAYS, replace(SAYS, text="No idea."), "Similarity 0.00, wanted 0.8"),
    ("similar:0.9", SAYS, replace(SAYS, text="The answer is 43 and nothing else."), "Similarity 0.85, wanted 0.9"),
    ("similar", SAYS, replace(SAYS, tool_calls=(CALL,)), "weather is called, too"),
    ("similar", reply("", CALL), reply(""), "weather is not called any more"),
    *(
        (how, SAYS, replace(SAYS, finish_reason=reason), f"Cut off now: finish_reason {reason}, recorded stop")
        for how in ("exact", "json", "tools", "similar")
        for reason in ("length", "content_filter", "MAX_TOKENS", "SAFETY", "abort", "malformed_function_call")
    ),
    *((how, SAYS, reply(refusal="No."), "Refuses now: No.") for how in ("exact", "json", "tools", "similar")),
    ("tools", reply(refusal="No."), SAYS, "Refused when recorded, answers now"),
    ("exact", reply(error="StreamCut: gone"), SAYS, "Answers now; recorded was StreamCut: gone"),
]


@pytest.mark.parametrize(("how", "recorded", "now", "why"), DRIFTED)
def test_drifted(how, recorded, now, why):
    comparison = compare(recorded, now, parse_comparator(how))
    assert (comparison.status, comparison.why) == ("drifted", why)


@pytest.mark.parametrize("how", ["exact", "json", "tools", "similar", "ignore"])
@pytest.mark.parametrize(
    "recorded",
    [SAYS, reply(error="StreamCut: the reply ended early"), reply(error="RateLimitError: Error code: 500 - x")],
)
def test_failed(how, recorded):
    comparison = compare(
        recorded, replace(SAYS, error="RateLimitError: Error code: 429 - slow down"), parse_comparator(how)
    )
    assert (comparison.status, comparison.why) == ("failed", "RateLimitError: Error code: 429 - slow down")


@pytest.mark.parametrize(
    ("now", "status"),
    [
        (TEXT_AND_CALL, "same"),
        (replace(TEXT_AND_CALL, text="Let me look up the weather!"), "same"),
        (replace(TEXT_AND_CALL, text="Certainly, one moment"), "drifted"),
        (replace(TEXT_AND_CALL, tool_calls=()), "drifted"),
    ],
)
def test_beside_calls_the_recorded_text_is_expected_again(now, status):
    assert compare(TEXT_AND_CALL, now, default_comparator(TEXT_AND_CALL)).status == status
    # Nothing was said when it was recorded: a model that says something now has not drifted.
    silent = replace(TEXT_AND_CALL, text="")
    assert compare(silent, replace(now, tool_calls=(CALL,)), default_comparator(silent)).status == "same"


VALUE = '{"label": "spam", "score": 0.5}'
FENCED = f"```json\n{VALUE}\n```"


@pytest.mark.parametrize(
    "text",
    [
        VALUE,
        FENCED,
        f"Here is the JSON:\n\n{FENCED}",
        f"Here is the JSON:\n{FENCED}\nLet me know if you need anything else!",
        f"Here is the JSON: {VALUE}",
        f"Sure! {VALUE}",
        f"Sure!\n\n{VALUE}\n\nHope this helps.",
        f"{VALUE}\nThe text was classified [1].",
        f"{VALUE} Anything else?",
        f"Hier ist das Ergebnis：{VALUE}",
        f"Result:\n```\n{VALUE}\n```",
        f"Result:\n~~~json\n{VALUE}\n~~~",
        f"As in [1], the answer.\n{VALUE}",
        'Here:\n\n{\n  "score": 5e-1,\n  "label": "spam"\n}\n',
        f"Here it is:\r\n\r\n```JSON\r\n{VALUE}\r\n```\r\n",
    ],
)
def test_json_with_a_sentence_around_it_is_json(text):
    recorded = reply(text)
    assert str(default_comparator(recorded)) == "json"
    assert compare(recorded, reply(VALUE), default_comparator(recorded)).status == "same"
    assert compare(reply(VALUE), recorded, parse_comparator("json")).status == "same"
    other = compare(recorded, reply(text.replace("spam", "ham")), parse_comparator("json"))
    assert (other.status, other.why) == ("drifted", '$.label: "spam" → "ham"')


@pytest.mark.parametrize(
    "text",
    [
        f"{VALUE}\n{VALUE}",
        f"{FENCED}\nor\n{FENCED}",
        f"Run this:\n```python\nprint(1)\n```\nto get\n{FENCED}",
        "As shown in [1] and [2], it is.",
        "[1] Smith 2020",
        "See:\n[1] Smith 2020\n[2] Jones 2021",
        "Use {braces} or {} in Python: {x: 1}",
        f"{'A long explanation. ' * 40}\n{FENCED}",
        f"{FENCED}\n{'A long explanation. ' * 40}",
        "The dict {'a': 1} is Python.",
        '{"a": 1',
        "# Title\n\n- [ ] open\n- [x] done",
    ],
)
def test_a_text_that_says_more_is_compared_as_a_text(text):
    assert str(default_comparator(reply(text))) == "similar:0.8"


# --- several runs

OTHER = replace(SAYS, text="No idea.")
CLOSER = replace(SAYS, text="The answer is 42.")
BROKEN = reply("The", error="StreamCut: gone")


@pytest.mark.parametrize(
    ("runs", "status", "label", "why", "worst"),
    [
        ([SAYS], "same", "same", "Similarity 1.00", 0),
        ([SAYS, SAYS], "same", "same", "Similarity 1.00", 0),
        ([OTHER], "drifted", "drifted", "Similarity 0.00, wanted 0.8", 0),
        ([CLOSER, OTHER], "drifted", "drifted", "Similarity 0.00, wanted 0.8", 1),
        ([SAYS, CLOSER, SAYS], "flaky", "flaky 2/3", "Similarity 0.72, wanted 0.8", 1),
        ([OTHER, CLOSER, SAYS], "flaky", "flaky 1/3", "Similarity 0.00, wanted 0.8", 0),
        ([BROKEN], "failed", "failed", "StreamCut: gone", 0),
        ([SAYS, OTHER, BROKEN], "failed", "failed", "StreamCut: gone (1 of 3 runs failed, 1 the same)", 2),
    ],
)
def test_runs(runs, status, label, why, worst):
    verdict = judge(SAYS, runs, parse_comparator("similar"))
    assert (verdict.status, verdict.label, verdict.why, verdict.worst) == (status, label, why, worst)
    assert len(verdict.similarity) == len(verdict.comparisons) == len(runs)


@pytest.mark.parametrize(
    ("recorded", "runs", "how", "status", "why"),
    [
        (SAYS, [], "similar", "drifted", "Recorded, but not asked this time"),
        (None, [SAYS], "similar", "drifted", "Asked now, but never recorded"),
        (None, [SAYS, SAYS], "json", "drifted", "Asked now, but never recorded"),
        (None, [SAYS, BROKEN], "ignore", "failed", "StreamCut: gone"),
        (SAYS, [], "ignore", "same", "Recorded, but not asked this time"),
        (None, [SAYS], "ignore", "same", "Asked now, but never recorded"),
    ],
)
def test_only_one_side(recorded, runs, how, status, why):
    verdict = judge(recorded, runs, parse_comparator(how))
    assert (verdict.status, verdict.label, verdict.why) == (status, status, why)
    assert len(verdict.comparisons) == len(verdict.similarity) == len(runs)


# --- similarity

ALIKE = [
    ("", "", 1.0),
    ("a", "", 0.0),
    ("yes", "no", 0.0),
    ("Positive", "positive.", 1.0),
    ("**Bold** and `code`", "bold and code", 1.0),
    ("a b c d e f g h i j", "a b c d X f g h i j", 0.9),
    ("a b c d", "c d a b", 0.5),  # order counts
    ("It costs 4.2 euros", "It costs 4.3 euros", 0.75),
    ("don’t", "don't", 1.0),
    ("今日は良い天気", "今日は悪い天気", 6 / 7),  # sign by sign where no spaces stand
    ("a b", "a b a b", 2 * 2 / 6),
    ("+", "-", 0.0),
    ("+ 🙂", "+  🙂", 1.0),
]


@pytest.mark.parametrize(("old", "new", "wanted"), ALIKE)
def test_similarity(old, new, wanted):
    assert similarity(old, new) == pytest.approx(wanted)
    assert similarity(new, old) == pytest.approx(wanted)


def longest(a, b):
    """By the book: quadratic, and plainly right."""
    table = [[0] * (len(b) + 1) for _ in range(len(a) + 1)]
    for i, x in enumerate(a):
        for j, y in enumerate(b):
            table[i + 1][j + 1] = table[i][j] + 1 if x == y else max(table[i][j + 1], table[i + 1][j])
    return table[-1][-1]


def test_the_common_subsequence_is_a_longest_one():
    dice = random.Random(7)
    for _ in range(600):
        a, b = (dice.choices("abcd", k=dice.randint(0, 14)) for _ in "ab")
        pairs = common_pairs(a, b)
        assert len(pairs) == longest(a, b), (a, b)
        assert all(a[i] == b[j] for i, j in pairs)
        assert all(i < k and j < m for (i, j), (k, m) in itertools.pairwise(pairs))
        text = similarity(" ".join(a), " ".join(b))
        assert text == pytest.approx(2 * longest(a, b) / (len(a) + len(b)) if a or b else 1)
        assert text >= difflib.SequenceMatcher(None, a, b, autojunk=False).ratio() - 1e-9


def test_a_similarity_just_below_the_threshold_does_not_look_like_it():
    old = " ".join(f"w{n}" for n in range(1000))
    new = " ".join(f"w{n}" if n < 799 else "x" for n in range(1000))
    assert (
        judge(ReplySummary(text=old), [ReplySummary(text=new)], parse_comparator("similar")).why
        == "Similarity 0.79, wanted 0.8"
    )


# --- size and depth


def some_words(number, seed):
    return " ".join(random.Random(seed).choices([f"word{n}" for n in range(3_000)], k=number))


@pytest.mark.parametrize("number", [600, pytest.param(12_500, marks=pytest.mark.slow)])
def test_long_texts_have_a_similarity_too(number):
    old, new = some_words(number, 1), some_words(number, 2)
    assert judge(ReplySummary(text=old), [ReplySummary(text=new)], parse_comparator("similar")).status == "drifted"
    assert (
        judge(ReplySummary(text=old), [ReplySummary(text=old + " word1")], parse_comparator("similar")).status == "same"
    )


@pytest.mark.parametrize(
    ("old", "new"),
    [
        pytest.param(some_words(12_500, 1), some_words(12_500, 2), id="words"),
        pytest.param(
            some_words(12_500, 1).replace(" word1", "\nword1"),
            some_words(12_500, 2).replace(" word1", "\nword1"),
            id="lines",
            marks=pytest.mark.slow,
        ),
        pytest.param("a" * 100_000, "b" * 100_000, id="one word"),
        pytest.param("\n" * 100_000, "x\n" * 50_000, id="empty lines"),
    ],
)
def test_of_long_texts_little_is_shown(old, new):
    lines = diff_texts(old, new)
    assert sum(len(text) for line in lines for _, text in line.old + line.new) < 40_000


@pytest.mark.parametrize(
    "text", ["[" * 100_000, "[" * 900 + "]" * 900, '{"a":' * 5_000 + "1" + "}" * 5_000, "9" * 10_000]
)
@pytest.mark.parametrize("how", ["json", "tools", "exact"])
def test_deep_and_large_json_is_an_answer_like_any_other(text, how):
    one, other = reply(text, ("f", text)), reply(text + " ", ("f", text + " "))
    assert compare(one, one, parse_comparator(how)).status == "same"
    compare(one, other, parse_comparator(how))
    compare(one, reply(text.replace("1", "2") or "x", ("f", "{}")), parse_comparator(how))


@pytest.mark.parametrize("number", [250, pytest.param(5_000, marks=pytest.mark.slow)])
def test_many_calls(number):
    calls = tuple(("f", json.dumps({"n": n})) for n in range(number))
    assert compare(reply("", *calls), reply("", *calls[::-1]), parse_comparator("tools")).status == "same"
    assert compare(reply("", *calls), reply("", *calls[1:], CALL), parse_comparator("tools")).status == "drifted"


def test_differences_in_order():
    old, new = parse_json('{"b": {"c": 1}, "a": [1, {"z": 2}]}'), parse_json('{"b": {"c": 2}, "a": [0, {"z": 3}]}')
    assert list(diff_json(old, new)) == ["$.a[0]: 1 → 0", "$.a[1].z: 2 → 3", "$.b.c: 1 → 2"]


# --- side by side


def format_lines(old, new):
    """Each row with its changed words in brackets."""

    def text(pieces):
        return "".join(f"[{text}]" if changed else text for changed, text in pieces)

    return [(line.sign, text(line.old), text(line.new)) for line in diff_texts(old, new)]


@pytest.mark.parametrize(
    ("old", "new", "rows"),
    [
        ("a\nb", "a\nb", [(" ", "a", "a"), (" ", "b", "b")]),
        ("a\nx y z\nc", "a\nx q z\nc", [(" ", "a", "a"), ("~", "x [y] z", "x [q] z"), (" ", "c", "c")]),
        ("a\nb", "b", [("-", "[a]", ""), (" ", "b", "b")]),
        ("", "a", [("+", "", "[a]")]),
        ("red green blue", "one two three", [("-", "[red green blue]", ""), ("+", "", "[one two three]")]),
        ("a", "", [("-", "[a]", "")]),
        ("a\r\nb", "a\nc d", [(" ", "a", "a"), ("-", "[b]", ""), ("+", "", "[c d]")]),
        # the second line is the one that changed, the first was put in
        (
            "the cat sat",
            "entirely new\nthe cat sits",
            [("+", "", "[entirely new]"), ("~", "the cat [sat]", "the cat [sits]")],
        ),
        # the space between two changed words is part of the change
        ("one two three four", "one 2 3 four", [("~", "one [two three] four", "one [2 3] four")]),
    ],
)
def test_side_by_side(old, new, rows):
    assert format_lines(old, new) == rows


def test_long_agreement_is_left_out():
    lines = [f"line {n}" for n in range(50)]
    rows = format_lines("\n".join(lines), "\n".join([*lines[:25], "line XXV", *lines[26:]]))
    assert [sign for sign, _, _ in rows] == ["…", *"   ~   ", "…"]
    assert rows[0][1] == "22 equal lines"
    middle = format_lines("start " + "word " * 400 + "end", "begin " + "word " * 400 + "end")
    assert "equal characters" in middle[0][1]
    assert len(middle[0][1]) < 500


def test_what_is_left_out_is_said():
    rows = format_lines("\n".join(f"old {n}" * 20 for n in range(900)), "\n".join(f"new {n}" * 20 for n in range(900)))
    assert rows[-1] == ("…", "the rest is not shown here", "")
    assert "more characters" in format_lines("a" * 100_000, "b" * 100_000)[0][1]
