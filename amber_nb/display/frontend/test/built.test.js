import assert from "node:assert/strict";
import { test } from "node:test";
import { build } from "esbuild";
import { settings } from "../build.js";
import { Painter } from "../src/markdown/painter.js";
import { CASES } from "./cases.js";
import { doc, html } from "./dom.js";

// What is built paints what the sources paint, letter by letter.
const contents = `
import { Painter } from "./markdown/painter.js";
export function paint(root, chunks) {
  const painter = new Painter(root, {});
  for (const chunk of chunks) { painter.write(chunk); painter.prune(); painter.paint(); }
  painter.idle();
  painter.end();
}`;
const built = await build({ ...settings, write: false, stdin: { contents, resolveDir: "src", loader: "js" } });
const module = await import(`data:text/javascript,${encodeURIComponent(built.outputFiles[0].text)}`);

/** @param {(root: object, chunks: Iterable<string>) => void} paint */
function painted(paint, text) {
  const root = doc.createElement("root");
  paint(root, text);
  return html(root);
}

function fromSources(root, chunks) {
  const painter = new Painter(root, {});
  for (const chunk of chunks) {
    painter.write(chunk);
    painter.prune();
    painter.paint();
  }
  painter.idle();
  painter.end();
}

for (const text of [...Object.keys(CASES), Object.keys(CASES).join("\n\n")]) {
  test(`built: ${JSON.stringify(text.slice(0, 60))}`, () => {
    assert.equal(painted(module.paint, text), painted(fromSources, text));
  });
}
