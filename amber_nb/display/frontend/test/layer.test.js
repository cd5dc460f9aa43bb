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
function layerOn(doc, documents = {}) {
  const sent = [];
  let hear;
  const model = { get: () => null, send: (message) => sent.push(message), on: (_, callback) => (hear = callback), off() {} };
  const layer = new Layer(model, doc);
  Object.assign(layer.documents, { find: () => [], hooks: () => [], ...documents });
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
