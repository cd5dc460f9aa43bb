"""Maths: what is a formula, what is money, what is code, and what is too dangerous to typeset."""

import pytest
from allowed import read

from amber_nb.display.answer_html import markdown_html
from amber_nb.display.markdown_math import is_safe_math


@pytest.mark.parametrize(
    ("text", "formulas"),
    [
        ("$x$", ["$x$"]),
        ("a $x_1 * y_2$ and $*z*$.", ["$x_1 * y_2$", "$*z*$"]),
        (r"\(a_1 * b\) and \[ c \]", [r"\(a_1 * b\)", r"\[ c \]"]),
        ("$$x$$", ["$$x$$"]),
        ("in $$x$$ line", ["$$x$$"]),
        ("$$\na\n= b\n- c\n$$", ["$$\na\n= b\n- c\n$$"]),
        ("Text\n$$\nx\n$$\nmore", ["$$\nx\n$$"]),
        ("\\[\nx\n\n> y\n\\]", ["\\[\nx\n\n> y\n\\]"]),
        ("- a\n  $$\n  x\n  $$", ["$$\nx\n$$"]),
        ("> $$\n> x\n> $$", ["$$\nx\n$$"]),
        (r"$$x$$.", ["$$x$$"]),
        (r"$\text{if $x$ then}$", [r"$\text{if $x$ then}$"]),
        (r"$\$5$", [r"$\$5$"]),
        ("[$x$](https://x.org)", ["$x$"]),
        ("| $x$ |\n|-|\n| $|y|$ |", ["$x$", "$|y|$"]),
        ("# $x$", ["$x$"]),
        (r"$a < b & c$", ["$a < b & c$"]),
        (r"$\begin{pmatrix} a & b \\ c & d \end{pmatrix}$", [r"$\begin{pmatrix} a & b \\ c & d \end{pmatrix}$"]),
        # money and code
        ("$5 and then $10", []),
        ("costs $5 or 5 $ or $ 5 $ or $5 or US$6", []),
        ("$20,000 and $30", []),
        ("`$x$` and ``\\(y\\)``", []),
        ("```\n$x$\n```", []),
        ("    $x$", []),
        ("\\$x\\$", []),
        ("$x `y$`", []),
        ("$a{b$ and }$", ["$a{b$ and }$"]),
        ("$a{b$", []),
        ("$$", []),
        ("$$ $$", []),
        ("$x", []),
        (r"\(x", []),
        (r"\\(x\\)", []),
        (r"a \begin{equation}x\end{equation}", [r"\begin{equation}x\end{equation}"]),
        (r"a \begin{itemize}x\end{itemize}", []),
        (r"&#36;x&#36;", []),
        ("$x\n\ny$", []),
    ],
)
def test_what_is_typeset(text: str, formulas: list[str]) -> None:
    assert read(markdown_html(text)).typeset == formulas


@pytest.mark.parametrize("text", ["$5 and then $10", "C:\\Users and \\alpha", "a $$ b $ c", "\\\\ \\begin{x}"])
def test_every_other_dollar_and_backslash_stands_alone(text: str) -> None:
    html = markdown_html(text)
    assert not read(html).typeset
    assert html.count("$") == html.count("<span>$</span>")
    assert html.count("\\") == html.count("<span>\\</span>")


@pytest.mark.parametrize(
    "formula",
    [
        r"\href{javascript:1}{x}",
        r"\text{\href{x}{y}}",
        r"\style{color:red}{x}",
        r"\class{a}{x}",
        r"\cssId{a}{x}",
        r"\require{html}",
        r"\unicode{65}",
        r"\url{x}",
        r"\includegraphics{x}",
        r"\htmlId{a}{x}",
        r"\def\x{y}",
        r"\gdef\x{y}",
        r"\let\x\y",
        r"\newcommand{\x}{y}",
        r"\DeclareMathOperator{\x}{y}",
        r"\csname href\endcsname",
        r"\bbox[background:url(x)]{y}",
        r"\mmlToken{mi}[href=x]{y}",
        r"\enclose{circle}[x=y]{z}",
        r"\verb|x|",
        r"\rule{9em}{9em}",
        r"\kern-9em",
        r"\raise9em x",
        r"\rlap{x}",
        r"\hspace{-9em}",
        r"\hspace{999em}",
        r"a\\[-9em]b",
        r"\color{red;x:y}{z}",
        r"\begin{alignat}{99999}x\end{alignat}",
        r"\begin{foo}x\end{foo}",
        r"\begin {foo}",
        r"x^^5chref",
        r"\unknowncommand",
        r"50% of x",
        r"x#1",
        r"\@x",
        "x\\",
        "{" * 100 + "}" * 100,
        "x" * 6_000,
    ],
)
def test_a_formula_that_may_not_be_typeset_is_shown_as_source(formula: str) -> None:
    assert not is_safe_math(formula)
    html = markdown_html(f"a ${formula}$ b")
    assert not read(html).typeset


@pytest.mark.parametrize(
    "formula",
    [
        r"\frac{1}{2}\sqrt[3]{x}",
        r"\left\{ x \middle| y \right\}",
        r"\operatorname*{arg\,max}_\theta \mathbb{E}_{x \sim p}[\log q(x)]",
        r"\begin{aligned} a &= b \\[2pt] &= c \end{aligned}",
        r"\begin{cases} 1 & x > 0 \\ 0 & \text{otherwise} \end{cases}",
        r"\color{red}{x} \textcolor{#00f}{y}",
        r"\hspace{1cm} \quad \, \; \! \tag{1}",
        r"\begin{alignat}{2} a &= b \end{alignat}",
        r"\underbrace{x}_{\text{a}} \xrightarrow{f} \overset{a}{b}",
        r"\ce{H2O}",
        r"\\",
    ],
)
def test_common_mathematics_is_typeset(formula: str) -> None:
    assert is_safe_math(formula)
