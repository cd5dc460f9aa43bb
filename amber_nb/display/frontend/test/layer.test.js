import assert from "node:assert/strict";
import { afterEach, test } from "node:test";
import { Layer } from "../src/layer.js";
import { LiveItem } from "../src/live_item.js";

const ID = "0".repeat(32);
const opened = [];

globalThis.MutationObserver = class {
  observe() {}
  disconnect() {}
};
globalThis.cancelAnimationFrame = () => {};

afterEach(() => opened.splice(0).forEach((layer) => layer.dispose()));

/** An element of an output, with this much of the DOM. */
function element(doc, ...classes) {
  const kids = [];
  const names = new Set(classes);
  const el = {
    ownerDocument: doc,
    isConnected: true,
    kids,
    classList: { contains: (name) => names.has(name), add: (name) => names.add(name), remove: (name) => names.delete(name) },
    querySelectorAll: () => [],
    closest: () => el,
    contains: (other) => kids.includes(other),
    append: (kid) => kids.includes(kid) || kids.push(kid),
    remove() {},
    listeners: {},
    addEventListener: (type, listener) => (el.listeners[type] = listener),
  };
  return el;
}

function page(...hosts) {
  const doc = { hidden: false, createElement: () => element(doc) };
  doc.body = element(doc);
  doc.activeElement = doc.body;
  hosts = hosts.map((id) => element(doc, "amber-hook", `amber-live-${id}`));
  doc.body.querySelectorAll = () => hosts;
  return { doc, hosts };
}

/** A layer, what it has sent, and what its model hears. */
function layerOn(doc, documents = {}, manager = undefined) {
  const sent = [];
  let hear;
  const model = { widget_manager: manager, get: () => null, send: (message) => sent.push(message), on: (_, callback) => (hear = callback), off() {} };
  const layer = new Layer(model, doc);
  Object.assign(layer.documents, documents);
  opened.push(layer);
  return { layer, sent, hear: (message) => hear(message) };
}

/** @param {Layer} layer */
function add(layer, number = 1) {
  const item = new LiveItem(ID, (message) => layer.send({ a: number, ...message }));
  layer.items.set(number, item);
  return item;
}

test("a layer draws what another one on the page has left", () => {
  const { doc, hosts } = page(ID);
  const [first, second] = [layerOn(doc).layer, layerOn(doc).layer];
  const [one, other] = [add(first), add(second)];
  first.draw(doc.body);
  second.draw(doc.body);
  assert.deepEqual([one.views.length, other.views.length], [1, 0]);
  second.look();
  assert.equal(other.views.length, 0);
  first.dispose();
  second.look();
  assert.equal(other.views.length, 1);
  assert.ok(hosts[0].classList.contains("amber-drawn"));
});

test("a page answers a ping with the items that it holds, drawn or in a document", () => {
  const { doc } = page(ID);
  const [other, away] = ["1".repeat(32), "2".repeat(32)];
  const { layer, sent, hear } = layerOn(doc, { hooks: () => [other] });
  [ID, other, away].forEach((id, i) => layer.items.set(i, new LiveItem(id, () => {})));
  layer.draw(doc.body);
  hear({ ping: 1 });
  assert.deepEqual(sent.at(-1), { here: [ID, other] });
  doc.hidden = true; // a reader who looks at another tab comes back
  hear({ ping: 1 });
  assert.deepEqual(sent.at(-1), { here: [ID, other] });
});

/** A notebook with one cell, as a widget's manager leads to it. */
function notebook(...htmls) {
  const outputs = htmls.map((html) => ({ data: { "text/html": html } }));
  const list = {
    get length() {
      return outputs.length;
    },
    get: (i) => ({ ...outputs[i], toJSON: () => outputs[i] }),
    set: (i, output) => (outputs[i] = output),
    add: (output) => outputs.push(output),
    toJSON: () => [...outputs],
    fromJSON: (values) => outputs.splice(0, outputs.length, ...values),
  };
  const cells = { length: 1, get: () => ({ id: "cell", outputs: list }) };
  const manager = { context: { model: { cells } } };
  return { manager, outputs, texts: () => outputs.map(({ data }) => data["text/html"]) };
}

const HOOKED = `<div class="amber-answer"><div class="amber-hook amber-live-${ID}">so far</div></div>`;
const WHOLE = '<div class="amber-answer">whole</div>';

/** An answer in the one cell of a notebook. */
function answerIn({ manager }, settings = { title: "m" }) {
  const { layer, sent, hear } = layerOn(page().doc, {}, manager);
  hear({ a: 1, open: { id: ID, ...settings } });
  const item = layer.items.get(1);
  item.update = () => ({ "text/html": HOOKED });
  item.isMissing(layer.documents);
  return { layer, item, sent, hear, heals: () => sent.filter(({ heal }) => heal).length };
}

test("an answer whose output is cleared just before it ends is put back, settled", (t) => {
  t.mock.timers.enable({ apis: ["setTimeout"] });
  const book = notebook(HOOKED);
  const { hear, heals } = answerIn(book);
  book.outputs.length = 0;
  hear({ a: 1, end: 1 });
  t.mock.timers.tick(1500);
  assert.equal(heals(), 1);
  hear({ heal: ID, data: { "text/html": WHOLE } });
  assert.deepEqual(book.texts(), [WHOLE]);
  hear({ heal: ID, data: { "text/html": WHOLE } });
  assert.deepEqual(book.texts(), [WHOLE]);
});

test("an answer that is shown settled is not put back: not beside itself, nor after the cell has cleared it", (t) => {
  t.mock.timers.enable({ apis: ["setTimeout"] });
  for (const missing of [0, 1]) {
    const book = notebook(HOOKED);
    const { item, hear, heals } = answerIn(book);
    item.missing = missing; // looked at between the settled form and the word of it
    book.outputs[0] = { data: { "text/html": WHOLE } };
    hear({ a: 1, end: 1 });
    t.mock.timers.tick(1500);
    assert.equal(heals(), missing);
    hear({ heal: ID, data: { "text/html": WHOLE } });
    assert.deepEqual(book.texts(), [WHOLE]);
  }
  const book = notebook(HOOKED);
  const { hear, heals } = answerIn(book);
  book.outputs[0] = { data: { "text/html": WHOLE } };
  hear({ a: 1, end: 1 });
  book.outputs.length = 0;
  t.mock.timers.tick(1500);
  assert.equal(heals(), 0);
});

test("the answer of an earlier run is not put back into the cell that runs again", (t) => {
  t.mock.timers.enable({ apis: ["setTimeout"] });
  const book = notebook(HOOKED);
  const { layer, sent, hear, heals } = answerIn(book);
  book.outputs.length = 0;
  hear({ a: 1, open: { id: ID, title: "m", outdated: 1 } });
  for (let i = 0; i < 5; i++) layer.look();
  assert.deepEqual(sent.at(-1), { a: 1, left: 1 });
  hear({ a: 1, end: 1 });
  t.mock.timers.tick(1500);
  assert.equal(heals(), 0);
  assert.deepEqual(book.texts(), []);
});

test("a page says once that it has lost an item, and answers who holds one", () => {
  const empty = { get: () => ({ id: "other" }), length: 1 };
  for (const [name, settings] of [["answer", { title: "m" }], ["images", { most: 3 }], ["map", { title: "m", rows: 9 }]]) {
    const book = notebook(HOOKED.replace("amber-answer", `amber-${name}`));
    const { layer, item, sent, hear } = answerIn(book, settings);
    const said = () => sent.filter(({ left, here }) => left || here);
    hear({ who: ID });
    hear({ who: "1".repeat(32) });
    assert.deepEqual(said(), [{ here: [ID] }]);
    book.manager.context.model.cells = empty; // cut
    for (let i = 0; i < 20; i++) layer.look();
    hear({ who: ID });
    assert.deepEqual(said().slice(1), [{ a: 1, left: 1 }]);
    assert.equal(item.ended, false); // the kernel decides
  }
});

/** An element in a view that has been given the focus, and whose host has gone; what gets the focus then. */
function focusedView(doc, decides) {
  const item = new LiveItem(ID, () => {});
  const host = element(doc);
  item.drawOver(host);
  const focused = [];
  const inner = (name, card) => ({
    ownerDocument: doc,
    isConnected: true,
    matches: (selector) => selector === ".amber-decision" && decides,
    closest: () => card,
    focus: () => focused.push(name),
  });
  const target = inner("button", inner("card"));
  const { listeners } = item.views[0].over;
  doc.activeElement = target;
  listeners.focusin({ target });
  return { item, host, target, focused, leave: (relatedTarget = null) => listeners.focusout({ target, relatedTarget }) };
}

test("the focus that went with its element comes back, though never onto a button that decides", async () => {
  for (const decides of [false, true]) {
    const { doc } = page();
    const { item, host, target, focused, leave } = focusedView(doc, decides);
    leave();
    host.isConnected = target.isConnected = false;
    doc.activeElement = doc.body;
    await Promise.resolve();
    item.drawOver(element(doc));
    assert.deepEqual(focused, [decides ? "card" : "button"]);
  }
});

test("the focus that the reader has taken away by a click does not jump back; a window that is left keeps it", async () => {
  for (const [active, expected] of [["body", []], ["window", ["button"]]]) {
    const { doc } = page();
    const { item, host, focused, leave } = focusedView(doc, false);
    if (active === "body") doc.activeElement = doc.body;
    leave();
    await Promise.resolve();
    host.isConnected = false;
    doc.activeElement = doc.body;
    item.drawOver(element(doc));
    assert.deepEqual(focused, expected);
  }
});

test("what was put back into a cell makes room for the answer of its next run", (t) => {
  t.mock.timers.enable({ apis: ["setTimeout"] });
  const book = notebook(HOOKED);
  const { layer } = answerIn(book);
  book.outputs.length = 0;
  for (let i = 0; i < 5; i++) layer.look(); // which puts it back
  assert.equal(book.outputs.length, 1);
  layer.documents.replace(ID, { "text/html": WHOLE });
  const other = "f".repeat(32);
  const next = HOOKED.replace(ID, other);
  book.outputs.push({ data: { "text/html": next } });
  layer.documents.dropReturned("cell", ID); // its own
  assert.deepEqual(book.texts(), [WHOLE, next]);
  layer.documents.dropReturned("cell", other);
  assert.equal(book.outputs.length, 2); // the places stay until nothing is updated any more
  layer.documents.removeEmptied("cell");
  assert.deepEqual(book.texts(), [next]);
});
