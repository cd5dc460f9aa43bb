// Markdown, and the nodes that stand for it.
export const CASES = {
  "a paragraph\nover two lines": "<p>a paragraph<br>over two lines</p>",
  "# One\n## Two ##\ntext": '<h3 class="tocSkip">One</h3><h4 class="tocSkip">Two</h4><p>text</p>',
  "Title\n=====\nSub\n---\nx": '<h3 class="tocSkip">Title</h3><h4 class="tocSkip">Sub</h4><p>x</p>',
  "#hashtag is no heading": "<p>#hashtag is no heading</p>",
  "a\n\n---\n\nb\n***": "<p>a</p><hr><p>b</p><hr>",
  "- a\n- b": '<ul class="amber-tight"><li><p>a</p></li><li><p>b</p></li></ul>',
  "- a\n\n- b": "<ul><li><p>a</p></li><li><p>b</p></li></ul>",
  "- a\n  - b\n    - c\n- d":
    '<ul class="amber-tight"><li><p>a</p><ul class="amber-tight"><li><p>b</p><ul class="amber-tight"><li><p>c</p></li></ul></li></ul></li><li><p>d</p></li></ul>',
  "- a\n    - b\n      text\n- c":
    '<ul class="amber-tight"><li><p>a</p><ul class="amber-tight"><li><p>b<br>text</p></li></ul></li><li><p>c</p></li></ul>',
  "3. a\n4. b": '<ol start="3" class="amber-tight"><li><p>a</p></li><li><p>b</p></li></ol>',
  "In\n2024. We": "<p>In<br>2024. We</p>",
  "1. x\n\n   ```py\n   code\n     more\n   ```\n2. y":
    "<ol><li><p>x</p><pre><code>code\n  more</code></pre></li><li><p>y</p></li></ol>",
  "- [ ] todo\n- [x] **done**":
    '<ul class="amber-tight"><li><p>☐ todo</p></li><li><p>☑ <strong>done</strong></p></li></ul>',
  "text\n- a\n\nafter": '<p>text</p><ul class="amber-tight"><li><p>a</p></li></ul><p>after</p>',
  "- a\nlazy": '<ul class="amber-tight"><li><p>a<br>lazy</p></li></ul>',
  "> q\n> - a\n>   b\n\nx": '<blockquote><p>q</p><ul class="amber-tight"><li><p>a<br>b</p></li></ul></blockquote><p>x</p>',
  "> q\nlazy": "<blockquote><p>q<br>lazy</p></blockquote>",
  "```py\nx = 1\n\n\ty\n```\nz": "<pre><code>x = 1\n\n\ty</code></pre><p>z</p>",
  "~~~\n```\n~~~": "<pre><code>```</code></pre>",
  "```\nnever closed": "<pre><code>never closed</code></pre>",
  "    indented\n\n      code\n\ntext": "<pre><code>indented\n\n  code</code></pre><p>text</p>",
  "  \tcode\n\t\tmore": "<pre><code>code\n\tmore</code></pre>",
  "a | b\n--|:-:\n1 | 2\n3\n\nx":
    '<table><thead><tr><th>a</th><th style="text-align:center">b</th></tr></thead><tbody><tr><td>1</td><td style="text-align:center">2</td></tr><tr><td>3</td><td style="text-align:center"></td></tr></tbody></table><p>x</p>',
  "intro\n| a | b |\n| --- | --- |\n| `x` | **1\\|2** |":
    "<p>intro</p><table><thead><tr><th>a</th><th>b</th></tr></thead><tbody><tr><td><code>x</code></td><td><strong>1|2</strong></td></tr></tbody></table>",
  "**a *b* c** d, *e*, __f__, ***g***, ~~h~~":
    "<p><strong>a <em>b</em> c</strong> d, <em>e</em>, <strong>f</strong>, <em><strong>g</strong></em>, <s>h</s></p>",
  "snake_case_name and 2 * 3 * 4": "<p>snake_case_name and 2 * 3 * 4</p>",
  "**never closed": "<p>**never closed</p>",
  "`` a`b `` and `c": "<p><code>a`b</code> and `c</p>",
  "[t](https://a.b/c_d_e \"x\") [u](<https://a.b/c d>) <https://x.y> <me@x.y>":
    '<p><a href="https://a.b/c_d_e">t</a> <a href="https://a.b/c%20d">u</a> <a href="https://x.y/">https://x.y</a> <a href="mailto:me@x.y">me@x.y</a></p>',
  "[t](javascript:alert(1)) [t](JaVa&#115;cript&colon;x) [r](/relative)": "<p>t (javascript:alert(1)) t (JaVascript&amp;colon;x) r (/relative)</p>",
  "![alt *x*](https://evil.example/p.png)":
    '<p><a href="https://evil.example/p.png">Image: alt *x* (evil.example)</a></p>',
  "[bank.example](https://evil.example/) [www.x.org](https://x.org/a) [docs.x.org](https://x.org)":
    '<p><a href="https://evil.example/">bank.example</a> (evil.example) <a href="https://x.org/a">www.x.org</a> <a href="https://x.org/">docs.x.org</a> (x.org)</p>',
  "a\u202eb\0c\u001bd": "<p>a[U+202E]b\ufffdc\u241bd</p>",
  "<script>alert(1)</script> <img src=x onerror=y>":
    "<p>&lt;script&gt;alert(1)&lt;/script&gt; &lt;img src=x onerror=y&gt;</p>",
  "&lt;b&gt; &#x41; &nope; \\*a\\*": "<p>&lt;b&gt; A &amp;nope; *a*</p>",
  "$a_1 * b_2$ costs $5 and $$\\sum_{i}^*$$ \\(x_1*y*\\)": 
    '<p><span class="amber-math">$a_1 * b_2$</span> costs $5 and <span class="amber-math">$$\\sum_{i}^*$$</span> <span class="amber-math">\\(x_1*y*\\)</span></p>',
  "$$\na\n- b\n= c\n$$\n- d": '<p><span class="amber-math">$$\na\n- b\n= c\n$$</span></p><ul class="amber-tight"><li><p>d</p></li></ul>',
  "\\[\n1. a\n\\]\n\n$$\n\n- b": '<p><span class="amber-math">\\[\n1. a\n\\]</span></p><p>$$</p><ul class="amber-tight"><li><p>b</p></li></ul>',
  "one  \ntwo\\\nthree": "<p>one<br>two<br>three</p>",
  "42": "<p>42</p>",
  "one\r\ntwo": "<p>one<br>two</p>",
  "````\n```\n````\nx": "<pre><code>```</code></pre><p>x</p>",
  "-      x": '<ul class="amber-tight"><li><pre><code> x</code></pre></li></ul>',
  "a $1 *b*$2": "<p>a $1 <em>b</em>$2</p>",
  "&#x110000; &#xd800;": "<p>\ufffd \ufffd</p>",
  "1.5 apples\n-5 degrees": "<p>1.5 apples<br>-5 degrees</p>",
};
