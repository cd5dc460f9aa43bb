import assert from "node:assert/strict";
import { test } from "node:test";
import { Painter } from "../src/markdown/painter.js";
import { safeHref } from "../src/markdown/targets.js";
import { CASES } from "./cases.js";
import { doc, html } from "./dom.js";

/** @param {Iterable<string>} chunks */
function paint(chunks, { each = false, end = true, ...options } = {}) {
  const root = doc.createElement("root");
  const painter = new Painter(root, options);
  for (const chunk of chunks) {
    painter.write(chunk);
    if (each) painter.paint();
  }
  if (end) painter.end();
  else painter.paint();
  return { root, painter, html: html(root) };
}

for (const [source, expected] of Object.entries(CASES)) {
  test(`paints ${JSON.stringify(source).slice(0, 60)}`, () => {
    assert.equal(paint([source]).html, expected);
    assert.equal(paint(source, { each: true }).html, expected, "character by character");
  });
}

test("any cut gives the same page", () => {
  const pieces = Object.keys(CASES).concat(["\n", "\n\n", " ", "    ", "> ", "- ", "1. ", "```", "|", "**", "`", "[a](", "\t", "\u{1f600}", "#", "---\n", "~~~", "x"]);
  let seed = 7;
  const random = (n) => (seed = (seed * 48271) % 2147483647) % n;
  for (let round = 0; round < 3000; round++) {
    const source = Array.from({ length: 1 + random(8) }, () => pieces[random(pieces.length)]).join(["", "\n", "\n\n"][random(3)]);
    const whole = paint([source]).html;
    const chunks = [];
    for (let i = 0; i < source.length; ) {
      const n = 1 + random(7);
      chunks.push(source.slice(i, i + n));
      i += n;
    }
    assert.equal(paint(chunks, { each: true }).html, whole, JSON.stringify(source));
  }
});

test("what is not closed yet reads well while it grows", () => {
  assert.equal(paint(["**bo"], { end: false }).html, '<p class="amber-caret"><strong>bo</strong></p>');
  assert.equal(paint(["**bold*"], { end: false }).html, '<p class="amber-caret"><strong>bold</strong></p>');
  assert.equal(paint(["see `co"], { end: false }).html, '<p class="amber-caret">see <code>co</code></p>');
  assert.equal(paint(["a [label](https://exam"], { end: false }).html, '<p class="amber-caret">a label</p>');
});

test("the caret stands where the text goes on", () => {
  const caretIn = (text) => /<(\w+)[^>]* class="[^"]*amber-caret"[^>]*>([^<]*)/.exec(paint([text], { end: false }).html)?.slice(1);
  const table = "|one|two|\n|:--|--:|\n";
  assert.deepEqual(caretIn("# title"), ["h3", "title"]);
  assert.deepEqual(caretIn("- a\n- b"), ["p", "b"]);
  assert.deepEqual(caretIn("```\ncode"), ["code", "code"]);
  assert.deepEqual(caretIn(table), ["th", "two"]);
  assert.deepEqual(caretIn(table + "|a"), ["td", "a"]);
  assert.deepEqual(caretIn(table + "|a|b|c|d"), ["td", "b|c|d"]);
  assert.equal(paint([table + "|a|b"]).html.includes("amber-caret"), false);
});

test("a held line shows when nothing follows, and is not doubled", () => {
  const { root, painter } = paint(["4", "2"], { end: false });
  assert.equal(root.textContent.trim(), "");
  painter.idle();
  assert.equal(root.textContent.trim(), "42");
  painter.write(" is it");
  painter.paint();
  assert.equal(root.textContent, "42 is it");
});

test("addresses", () => {
  for (const bad of ["javascript:x", "data:text/html,x", "vbscript:x", "java\tscript:x", "&#106;avascript:x", "//x.y", "file:///etc", "http:x", "blob:https://x", "https://bank.example@evil.example/"]) {
    assert.equal(safeHref(bad), undefined, bad);
  }
  assert.equal(safeHref('https://x.y/"onclick=1'), "https://x.y/%22onclick=1");
});

test("a long answer keeps its last part only, and says so", () => {
  let hidden = 0;
  const options = { limit: 20_000, leafLimit: 5_000, onHidden: () => hidden++ };
  for (const unit of ["word ", "word.\n\n", "- item\n", "1. item\n", "x", "> q\n"]) {
    hidden = 0;
    const { root, painter } = paint(Array(40).fill(unit.repeat(1000)), { ...options, end: false });
    assert.ok(hidden > 0, unit);
    assert.ok(root.textContent.length <= 22_600, `${unit}: ${root.textContent.length}`);
    assert.ok(Math.abs(painter.outline.root.size - root.textContent.length) < 20_000);
  }
  const code = paint(["```\n", ...Array(40).fill("line of code\n".repeat(500))], { ...options, end: false });
  assert.ok(code.root.textContent.length < 8_000 && hidden);
  const table = paint(["|a|b|\n|-|-|\n", ...Array(40).fill("|1|2|\n".repeat(500))], { ...options, end: false });
  assert.match(table.html, /^<table><thead><tr><th>a/);
  assert.ok(table.root.textContent.length < 20_000);
});

test("what is hidden is the oldest, and never what is still being written", () => {
  const lines = (n) => Array.from({ length: n }, (_, i) => `${i + 1}. item\n`);
  const list = paint(lines(500), { limit: 10_000 }).root.childNodes[0];
  assert.equal(Number(list.getAttribute("start")), 500 - list.childNodes.length + 1);
  const open = paint(["```\n", "x".repeat(3000)], { limit: 1000, leafLimit: 5000, end: false });
  assert.equal(open.root.textContent.length, 3000);
  const words = paint(Array(40).fill("word ".repeat(200)), { limit: 100_000, leafLimit: 5000, end: false });
  assert.ok(words.root.textContent.length <= 7600, String(words.root.textContent.length));
  const table = paint(["|a|b|\n|-|-|\n", ..."|1|2|\n".repeat(50), "\n", ..."text\n\n".repeat(500)], { limit: 5000 });
  assert.equal(table.html.includes("<table"), false);
});

test("a long text is cut between characters, and a table has no more columns than anybody can see", () => {
  const { root } = paint(["x" + "\u{1f600}".repeat(4000)]);
  assert.ok(root.childNodes[0].childNodes.length > 1);
  for (const piece of root.childNodes[0].childNodes) assert.ok(piece.textContent.isWellFormed());
  const columns = (n) => `${"|a".repeat(n)}|\n${"|-".repeat(n)}|\n`;
  assert.equal(paint([columns(200)]).html.includes("<table"), true);
  assert.equal(paint([columns(201)]).html.includes("<table"), false);
});

test("the work grows with the text", () => {
  const time = (n) => {
    const hostile = ["[".repeat(n), "*a ".repeat(n / 3), "`".repeat(n), "> ".repeat(n / 2), "$a ".repeat(n / 3), "x".repeat(n), "|".repeat(n), "&".repeat(n), "-".repeat(n), " ".repeat(n), "*a_ ".repeat(n / 4), "<sub>".repeat(n / 5), "[^1]: a[^1]\n".repeat(n / 12), "\\begin{align}\n".repeat(n / 14), "$$\nx\n\n".repeat(n / 6), "```markdown\n```python\n".repeat(n / 22), "[a]: /x\n\n[a]\n\n".repeat(n / 14), "|a|b|\n|-|-|\n" + "|`|a``".repeat(n / 6)];
    const start = performance.now();
    for (const text of hostile) {
      const chunks = [];
      for (let i = 0; i < text.length; i += 4096) chunks.push(text.slice(i, i + 4096));
      paint(chunks, { each: true });
    }
    return performance.now() - start;
  };
  time(30_000);
  const small = time(100_000);
  const large = time(400_000);
  assert.ok(large < small * 8, `${small} → ${large} ms`);
});
