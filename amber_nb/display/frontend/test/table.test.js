import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { languageOf } from "../src/markdown/fences.js";
import { Painter } from "../src/markdown/painter.js";
import { canonical } from "./canonical.js";
import { doc, html } from "./dom.js";

// The tables that the tests of the settled answer read, too: what is right for one is right for both.
const tests = new URL("../../../../tests/display/", import.meta.url);
const read = (name) => JSON.parse(readFileSync(new URL(name, tests), "utf8"));
const shown = read("spec/shown.json");

const paint = (chunks) => canonical(painted(chunks));

function painted(chunks) {
  const root = doc.createElement("root");
  const painter = new Painter(root, {});
  for (const chunk of chunks) {
    painter.write(chunk);
    painter.paint();
  }
  painter.end();
  return html(root);
}

for (const [kind, rows] of Object.entries(read("markdown_cases.json"))) {
  test(`live as settled: ${kind}`, () => {
    for (const [source, wanted] of rows) {
      assert.equal(paint([source]), wanted, JSON.stringify(source));
      assert.equal(paint(source), wanted, `letter by letter: ${JSON.stringify(source)}`);
    }
  });
}

test("live as settled: the hosts of links", () => {
  const hosts = (page) =>
    [...page.matchAll(/href="([^"]*)"/g)].map(([, url]) => new URL(url.replaceAll("&amp;", "&")).host || url);
  for (const [source, wanted] of read("link_cases.json")) {
    for (const live of [painted([source]), painted(source)]) assert.deepEqual(hosts(live), wanted, JSON.stringify(source));
  }
});

/** What a reader reads, whatever it stands in. */
const words = (text) => text.replace(/<\/?(?:a|code|del|em|kbd|s|strong|sub|sup|math)>/g, "").replace(/<[^>]*>|\s+/g, " ").replace(/ +/g, " ").trim();

// A heading that is found to be a definition has been painted as one; what it says is right.
const PAINTED = new Set(["commonmark 218"]);

test("live as settled: CommonMark's and GFM's own examples", () => {
  const examples = read("spec/examples.json");
  assert.ok(examples.length > 690);
  for (const [suite, number, , source, wanted] of examples) {
    const name = `${suite} ${number}`;
    const settled = shown[name] ?? canonical(wanted);
    for (const live of [paint([source]), paint(source)]) {
      assert.equal(words(live), words(settled), `${name}: ${JSON.stringify(source)}`);
      if (!PAINTED.has(name)) assert.equal(live, settled, `${name}: ${JSON.stringify(source)}`);
    }
  }
});

test("the language of a fence, and its file", () => {
  const cases = { "{python}": ["python", ""], "python:src/app.py": ["python", "src/app.py"], "{code-cell} ipython3": ["python", ""], "src/app.py": ["py", "src/app.py"], "12:15:src/app.py": ["py", "src/app.py"], "1:2:Makefile": ["", "Makefile"], "C:\\x\\y.py": ["py", "C:\\x\\y.py"], 'js title="a.js"': ["js", "a.js"], "": ["", ""] };
  for (const [info, [language, file]] of Object.entries(cases)) assert.deepEqual(languageOf(info), { language, file });
});
