"""Answers that tests of the live view show."""

import pathlib

__all__ = ["ANSWER", "CODE", "HOSTILE", "HUGE", "LONG", "WIDE"]

ANSWER = (pathlib.Path(__file__).parent / "answer.md").read_text(encoding="utf-8")
LONG = "\n\n".join(f"Paragraph {i} of a long answer." for i in range(600))
WIDE = f"|{' a column |' * 30}\n|{' --- |' * 30}\n" + f"|{' a cell |' * 30}\n" * 3 + "\n|a|b|\n|-|-|\n|1|2|\n\n"
CODE = f"```python\nprint({'x + ' * 80}x)\n```\n\n"
# What a huge answer repeats.
HUGE = {
    "prose": "A sentence of the longest answer. " * 6 + "\n\n",
    "line": "word " * 20,
    "unbroken": "x" * 100,
    "list": "- an item with `code` and **bold**\n",
    "code": "```\n" + "x = 1  # a line of code\n" * 50_000 + "```\n",
    "table": "|a|b|\n|-|-|\n" + "| cell one | cell two |\n" * 500_000,
}
HOSTILE = """
<script>window.hit = 1</script> <img src=x onerror="window.hit = 2"> <svg onload="window.hit = 3">
![pixel](https://evil.example/1.png) ![ref][r] <img src="https://evil.example/2.png">
[a](javascript:window.hit=4) [b](JAVASCRIPT&colon;window.hit=5) [c](data:text/html,<script>hit=6</script>)
[d](&#106;avascript:window.hit=7) [e](java&#x09;script:window.hit=8) <javascript:window.hit=9> [f](vbscript:x)
<style>@import url(https://evil.example/3.css)</style> <base href="https://evil.example/">
<iframe srcdoc="<script>parent.hit=10</script>">
[g](https://x.y/" onmouseover="window.hit=11) <a href="https://evil.example" data-commandlinker-command="x">h</a>
<https://x.y/"onclick="window.hit=12">

| <img src=x onerror=window.hit=13> | `<script>window.hit=14</script>` |
| --- | --- |
| ![t](https://evil.example/4.png) | $\\href{javascript:window.hit=15}{x}$ |

```html
<script>window.hit = 16</script>
```

[r]: https://evil.example/5.png "<img src=x onerror=window.hit=17>"
"""
