import assert from "node:assert/strict";
import { test } from "node:test";
import { strip } from "../src/strip.js";
import { doc } from "./dom.js";

const DATA = "data:image/webp;base64,UklGRg==";

/** Tags and texts of what was built. */
function seen(el) {
  const inside = el.children.length ? el.children.map(seen) : [el.textContent];
  return [el.tag, ...(el.src ? [el.src] : []), ...inside];
}

function shown(images) {
  const view = doc.createElement("div");
  strip(view, images);
  return view.childNodes.map(seen);
}

test("without images there is no strip", () => {
  assert.deepEqual(shown([]), []);
  assert.deepEqual(shown(undefined), []);
});

test("a tile has a picture, a name and the lines below it", () => {
  const more = ["and 5 more", [], ""];
  assert.deepEqual(shown([["<b>.png", ["2 × 3", "PNG · 1 kB"], DATA], ["a link", ["a link: …"], ""], more]), [
    [
      "div",
      ["div", ["div", ["img", DATA, ""]], ["div", "<b>.png"], ["div", "2 × 3"], ["div", "PNG · 1 kB"]],
      ["div", ["div", "a link"], ["div", "a link: …"]],
      ["div", ["div", "and 5 more"]],
    ],
  ]);
});

test("no picture comes from elsewhere", () => {
  for (const address of ["https://example.org/x.webp", "data:image/svg+xml;base64,AA", " data:image/webp;base64,AA"]) {
    assert.deepEqual(shown([["n", ["l"], address]]), [["div", ["div", ["div", "n"], ["div", "l"]]]]);
  }
});
