import assert from "node:assert/strict";
import { test } from "node:test";
import { Documents } from "../src/documents.js";

/** A signal as Lumino's. */
function signal() {
  const slots = new Set();
  return {
    connect: (slot) => slots.add(slot),
    disconnect: (slot) => slots.delete(slot),
    emit: (value) => [...slots].forEach((slot) => slot(null, value)),
    slots,
  };
}

function opened() {
  const context = { saveState: signal(), disposed: signal(), sessionContext: { statusChanged: signal() } };
  const calls = [];
  const note = (name) => () => calls.push(name);
  const documents = new Documents({ context }, note("write"), note("end"), note("close"));
  return { context, calls, documents };
}

test("a document that is saved is written before, a kernel that goes and a document that is closed are told", () => {
  const { context, calls } = opened();
  context.saveState.emit("started");
  context.saveState.emit("completed");
  context.sessionContext.statusChanged.emit("busy");
  assert.deepEqual(calls, ["write"]);
  context.sessionContext.statusChanged.emit("autorestarting");
  context.disposed.emit();
  assert.deepEqual(calls, ["write", "end", "close"]);
});

test("a layer that was disposed is told nothing", () => {
  const { context, documents } = opened();
  documents.dispose();
  assert.equal(context.saveState.slots.size + context.disposed.slots.size, 0);
  assert.equal(context.sessionContext.statusChanged.slots.size, 0);
});

test("without a manager there is no document", () => {
  const documents = new Documents(undefined, () => {}, () => {}, () => {});
  assert.equal(documents.known, false);
  assert.deepEqual(documents.hooks(), []);
  documents.dispose();
});
