"""What counts in a text and what does not: signs that turn its meaning, and spellings that look different only."""

import pytest

from amber_nb.testing.drift import ReplySummary, compare, default_comparator, parse_comparator
from amber_nb.testing.similarity import similarity, split_words

# Pairs that say something else, though they hold the same letters.
OTHER = [
    ("The correlation is -0.82.", "The correlation is 0.82."),
    ("The correlation is −0.82.", "The correlation is +0.82."),
    ("| Schema | ✅ |\n| Nulls | ✅ |", "| Schema | ❌ |\n| Nulls | ❌ |"),
    ("Use `a == b` and `x < 0`.", "Use `a != b` and `x > 0`."),
    ("It costs 500 $, margin 50%.", "It costs 500 €, margin 50."),
    ("Between ≤ 5 and ≥ 3", "Between ≥ 5 and ≤ 3"),
    ("Growth: +5%", "Growth: -5%"),
    ("5%", "5"),
    ("50 ‰", "50 %"),
    ("5 °C", "5 C"),
    ("$5", "€5"),
    ("($500)", "$500"),
    ("a loss of (500)", "a loss of 500"),
    # numbers and units
    ("x²", "x2"),
    ("x^2", "x2"),
    ("10⁻³", "10³"),
    ("1e-5", "1e5"),
    ("1.5", "15"),
    ("1,234", "1.234"),
    (".5", "5"),
    ("½", "12"),
    ("10:30", "1030"),
    ("1:0", "0:1"),
    ("3/4", "3:4"),
    ("v1.2", "v12"),
    ("5 mW", "5 MW"),
    ("10 Mb", "10 MB"),
    ("2024-01-02", "2024-02-01"),
    ("01/02/2024", "01.02.2024"),
    ("5′", "5″"),
    ("6'", '6"'),
    ('5" by 7"', "5' by 7'"),
    # operators
    ("p < 0.05", "p > 0.05"),
    ("p<0.05", "p=0.05"),
    ("> 5", "< 5"),
    ("> 5", "5"),
    ("5 - 3", "5 + 3"),
    ("5-3", "5+3"),
    ("5 × 3", "5 ÷ 3"),
    ("±5", "5"),
    ("~5", "5"),
    ("≈ 5", "= 5"),
    ("a && b", "a || b"),
    ("A & B", "A | B"),
    ("!done", "done"),
    ("¬A", "A"),
    ("5! = 120", "5 = 120"),
    ("-x", "x"),
    ("a = -b", "a = b"),
    ("-∞", "∞"),
    ("∈ A", "∉ A"),
    ("A ∪ B", "A ∩ B"),
    ("∀x", "∃x"),
    ("A ∧ B", "A ∨ B"),
    ("A → B", "A ← B"),
    ("a -> b", "a <- b"),
    ("x ≡ y", "x ≢ y"),
    ("2*(3+4)", "2*3+4"),
    ("f(x)", "f x"),
    ("[0, 1)", "[0, 1]"),
    ("(0, 1)", "[0, 1]"),
    ("P(A|B)", "P(A,B)"),
    ("x[1:]", "x[:1]"),
    ("**kwargs", "*kwargs"),
    ("--v", "-v"),
    # words
    ("It is safe.", "It is not safe."),
    ("It is safe.", "It isn't safe."),
    ("True", "False"),
    ("a and b", "a or b"),
    ("Really?", "Really."),
    ("C++", "C"),
    ("C#", "C"),
    ("की", "का"),
    ("ä", "a"),
    # pictures and marks
    ("👍", "👎"),
    ("🙂", "🙁"),
    (":-)", ":-("),
    ("★★★☆☆", "★☆☆☆☆"),
    ("▲ 5%", "▼ 5%"),
    ("🔴 down", "🟢 down"),
    ("🇩🇪", "🇫🇷"),
    ("⚠️ ok", "ok"),
    ("- [x] done", "- [ ] done"),
    ("~~old~~ new", "old new"),
    ("+ cheap", "- cheap"),
    # layout
    ("| a | | b |\n|-|-|-|\n| ✅ | | x |", "| a | | b |\n|-|-|-|\n| ✅ | x | |"),
    ("```python\nif x:\n    a\nb\n```", "```python\nif x:\n    a\n    b\n```"),
    ("```\na.b\n```", "```\na,b\n```"),
    ("```python\nprint(X)\n```", "```python\nprint(x)\n```"),
]


@pytest.mark.parametrize(("old", "new"), OTHER)
def test_a_sign_that_turns_the_meaning_is_a_word(old, new):
    assert similarity(old, new) < 1
    assert similarity(new, old) < 1
    recorded, fresh = ReplySummary(text=old), ReplySummary(text=new)
    assert compare(recorded, fresh, parse_comparator("similar:1")).status == "drifted"
    by_default = compare(recorded, fresh, default_comparator(recorded))
    assert "1.00" not in by_default.why


# Pairs that say the same, in other letters.
ALIKE = [
    ("“Yes,” he said – it’s fine…", '"Yes," he said - it\'s fine...'),
    ("he said 'it is 5'", "he said ‘it is 5’"),
    ('"50" items', "“50” items"),
    ("«a»", '"a"'),
    ("Tom's", "Tom’s"),
    ("−5", "-5"),
    ("-$5", "−$ 5"),
    ("(-5)", "-5"),
    ("“-5”", "-5"),
    ("**-5**", "-5"),
    ("5 %", "5%"),
    ("5 km", "5\u00a0km"),
    ("100％", "100%"),
    ("**5%**", "5%"),
    ("5 €", "€5"),
    ("€ 5", "5 €"),
    ("10\u202f000", "10 000"),
    ("x²", "x^2"),
    ("x⁻¹", "x^-1"),
    ("3 × 4", "3 * 4"),
    ("≤ 5", "<= 5"),
    ("\\le 5", "≤ 5"),
    ("\\(x^2\\)", "$x^2$"),
    ("a → b", "a -> b"),
    ("✔️ ok", "✅ ok"),
    ("10 AM", "10 am"),
    ("**Bold** and `code`", "bold and code"),
    ("***both***", "both"),
    ("**bold with *it* in**", "bold with it in"),
    ("中文**粗体**中文", "中文粗体中文"),
    ("__b__ _i_ *x*", "b i x"),
    ("**Note:** text", "Note: text"),
    ("* a\n* b", "- a\n- b"),
    ("• a\n• b", "- a\n- b"),
    ("1. a\n2. b", "1) a\n2) b"),
    ("1️⃣ First", "1. First"),
    ("## The Heading", "the heading"),
    ("Title\n=====\ntext", "# Title\ntext"),
    ("Step 1: The end", "Step 1: the end"),
    ("---\na", "a"),
    ("> quoted text", "quoted text"),
    ("Yes.", "Yes"),
    ("Yes!", "yes"),
    ("A; B", "A, B"),
    ("a, b, and c", "a, b and c"),
    ("e.g. this", "e.g., this"),
    ("(see below)", "see below"),
    ("（a）", "(a)"),
    ("a b", "a\u00a0b"),
    ("a\u200bb", "ab"),
    ("well-known", "well‑known"),
    ("a—b", "a — b"),
    ("ﬁne", "fine"),
    ("café", "cafe\u0301"),
    ("Line one\n\nLine two", "Line one\r\nLine two"),
    ("|a|b|\n|---|---|\n|1|2|", "| a   | b |\n|:-:|---|\n| 1 | 2  |"),
    ("```python\nx = 1\n```", "~~~python\nx = 1\n~~~"),
    ("a<br>b", "a\nb"),
    ("m<sup>2</sup>", "m²"),
]


@pytest.mark.parametrize(("old", "new"), ALIKE)
def test_a_spelling_that_only_looks_different_does_not_count(old, new):
    assert similarity(old, new) == 1, (split_words(old), split_words(new))


@pytest.mark.parametrize("text", ["...", "—", "-", "`", "**", "'", "|", "\u0301", "\ue000", "[", "\\"])
def test_a_text_of_punctuation_alone_is_itself(text):
    assert similarity(text, text) == 1
    assert similarity(text, "word") == 0
