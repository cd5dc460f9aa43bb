import assert from "node:assert/strict";
import { test } from "node:test";
import { isOurs } from "../src/keys.js";
import { shrink } from "../src/shrink.js";
import { pastedName, refusal, surplus, taken } from "../src/data_transfer.js";
import { ASK, BUSY, Line, PIECE } from "../src/upload.js";

/** A kernel that answers when it is told to; what it was sent, and what the reader was told. */
function line() {
  const sent = [];
  const waits = [];
  const send = (content, buffers) => sent.push({ ...content, bytes: buffers?.[0]?.byteLength });
  const one = new Line("v-files", send, (on) => waits.push(on));
  const answer = (what, { put, turn } = sent.at(-1)) => one.heard({ line: "v-files", put, turn, ...what });
  return { one, sent, waits, answer };
}

/** Until everything that can happen has. */
const settled = async () => {
  for (let i = 0; i < 100; i++) await new Promise((resolve) => setImmediate(resolve));
};

const blob = (size) => new Blob([new Uint8Array(size)]);

test("a file travels in pieces, each sent when the one before it was heard", async () => {
  const { one, sent, answer } = line();
  const shares = [];
  const over = one.file("a.png", blob(2.5 * PIECE), [9, 8], (share) => shares.push(share));
  await settled();
  assert.equal(sent.length, 1);
  const file = { name: "a.png", size: 2.5 * PIECE, at: 0, before: [9, 8], bytes: PIECE };
  assert.deepEqual(sent[0], { line: "v-files", put: 1, turn: 1, ...file });
  answer({ have: PIECE });
  await settled();
  answer({ have: 2 * PIECE });
  await settled();
  assert.deepEqual(sent.map(({ at, bytes }) => [at, bytes]), [[0, PIECE], [PIECE, PIECE], [2 * PIECE, PIECE / 2]]);
  answer({ end: 1, said: "a.png: no image" });
  assert.equal(await over, "a.png: no image");
  assert.deepEqual(shares, [0.4, 0.8]);
});

test("one thing at a time, and each has its number", async () => {
  const { one, sent, answer } = line();
  const overs = [one.file("a", blob(1), null, () => {}), one.ask({ link: "https://example.org" })];
  await settled();
  assert.deepEqual(sent.map(({ put }) => put), [1]);
  answer({ end: 1, said: "" });
  await settled();
  assert.deepEqual(sent.map(({ put, link }) => [put, link]), [[1, undefined], [2, "https://example.org"]]);
  answer({ end: 1, said: "" });
  assert.deepEqual(await Promise.all(overs), ["", ""]);
});

test("a busy kernel is asked how far it is; nothing is sent twice", async (t) => {
  t.mock.timers.enable({ apis: ["setTimeout"] });
  const { one, sent, waits, answer } = line();
  const over = one.file("a", blob(1.5 * PIECE), null, () => {});
  await settled();
  t.mock.timers.tick(BUSY - 1);
  assert.deepEqual(waits, []);
  t.mock.timers.tick(1);
  assert.deepEqual(waits, [true]);
  t.mock.timers.tick(ASK - BUSY);
  t.mock.timers.tick(2 * ASK);
  const seen = sent.map(({ turn, ask, bytes }) => [turn, ask, bytes]);
  assert.deepEqual(seen, [[1, undefined, PIECE], [2, 1, undefined], [3, 1, undefined]]);
  // It hears everything at once: the piece, and both questions.
  for (const message of sent.slice()) answer({ have: PIECE }, message);
  assert.deepEqual(waits, [true, false]);
  await settled();
  for (const message of sent.slice(0, 3)) answer({ have: PIECE }, message); // late: they are about the piece before
  await settled();
  assert.deepEqual(sent.slice(3).map(({ turn, at }) => [turn, at]), [[4, PIECE]]);
  answer({ end: 1, said: "" });
  assert.equal(await over, "");
});

test("a piece that was lost is sent again, from where the kernel is", async (t) => {
  t.mock.timers.enable({ apis: ["setTimeout"] });
  const { one, sent, answer } = line();
  void one.file("a", blob(PIECE), null, () => {});
  await settled();
  t.mock.timers.tick(ASK);
  answer({ have: 0 }); // to the question: the piece has not come
  await settled();
  assert.deepEqual(sent.map(({ at, ask }) => [at, ask]), [[0, undefined], [undefined, 1], [0, undefined]]);
});

test("what never arrives is given up", async () => {
  const { one, sent, answer } = line();
  const over = one.file("a", blob(1), null, () => {});
  const failed = assert.rejects(over, /does not arrive/);
  for (let i = 0; i < 5; i++) {
    await settled();
    answer({ have: 0 });
  }
  await failed;
  assert.equal(sent.length, 5);
  const next = one.ask({ done: 1 }); // and holds up nothing
  await settled();
  answer({ end: 1, said: "" });
  assert.equal(await next, "");
});

test("a view that is gone sends nothing", async (t) => {
  t.mock.timers.enable({ apis: ["setTimeout"] });
  const { one, sent, answer } = line();
  void one.file("a", blob(2 * PIECE), null, () => {});
  await settled();
  one.close();
  answer({ have: PIECE });
  await settled();
  t.mock.timers.tick(10 * ASK);
  assert.equal(sent.length, 1);
});

test("answers to others are let be", async () => {
  const { one, sent } = line();
  let ended = false;
  void one.ask({ done: 1 }).then(() => (ended = true));
  await settled();
  one.heard({ line: "other-files", put: 1, turn: 1, end: 1 });
  one.heard({ entries: [] });
  await settled();
  assert.equal(ended, false);
  assert.equal(sent.length, 1);
  one.close();
});

const transfer = (texts, files = []) => ({ files, getData: (type) => texts[type] ?? "" });

test("what was dropped or pasted", () => {
  const file = new File(["x"], "a.png", { type: "image/png" });
  const link = (name) => [{ name, file: null }];
  for (const [data, things] of [
    [null, []],
    [transfer({}), []],
    [transfer({ "text/plain": "some words" }), []],
    [transfer({ "text/plain": "ftp://example.org/a.png" }), []],
    [transfer({ "text/plain": "javascript:alert(1)" }), []],
    [transfer({ "text/plain": " https://example.org/a.png\n" }), link("https://example.org/a.png")],
    [transfer({ "text/uri-list": "# from\r\nhttp://a.example/b\r\n", "text/plain": "x" }), link("http://a.example/b")],
    [transfer({ "text/plain": "https://example.org/a.png" }, [file]), [{ name: "a.png", file }]],
  ]) {
    assert.deepEqual(taken(data), things);
  }
});

test("pictures from the clipboard get a name", () => {
  assert.equal(pastedName("image.png", 0), "pasted image.png");
  assert.equal(pastedName("image.png", 1), "pasted image 2.png");
  assert.equal(pastedName("image one.png", 1), "image one.png");
  assert.equal(pastedName("holiday.jpg", 1), "holiday.jpg");
});

test("what is no image is said at once, and what may be one is left to the kernel", () => {
  const thing = (type, words = "x") => ({ name: "n", file: new File([words], "n", { type }) });
  assert.equal(refusal(thing("text/plain")), "not an image");
  assert.equal(refusal(thing("image/png", "")), "the file is empty");
  assert.equal(refusal(thing("image/tiff")), "");
  assert.equal(refusal(thing("")), "");
  assert.equal(refusal({ name: "https://example.org", file: null }), "");
  assert.equal(surplus(["a.png"], 1), "a.png was left out: at most 1 image is taken");
  assert.equal(surplus(["a.png", "b.png", "c.png"], 20), "a.png and 2 more were left out: at most 20 images are taken");
});

test("only what this browser cannot read is sent large", async (t) => {
  const closed = [];
  const bitmap = (width, height) => ({ width, height, close: () => closed.push(width) });
  const file = (size) => ({ size, type: "image/jpeg" });
  globalThis.createImageBitmap = async () => bitmap(2048, 100);
  t.after(() => delete globalThis.createImageBitmap);
  const small = file(4_000_000);
  assert.deepEqual(await shrink(null, small, 2048), { blob: small, before: null });
  assert.deepEqual(closed, [2048]);
  globalThis.createImageBitmap = async () => Promise.reject(new Error("no image"));
  assert.deepEqual(await shrink(null, file(40_000_000), 2048), { blob: file(40_000_000), before: null });
  await assert.rejects(shrink(null, file(40_000_001), 2048), /too large to be sent/);
});

test("keys that Lab would act on are kept, others are not", () => {
  const key = (key, ctrlKey = false) => isOurs({ key, ctrlKey, metaKey: false });
  for (const one of ["Enter", " ", "ArrowUp", "Delete", "Backspace", "d", "B", "Escape"]) assert.ok(key(one), one);
  for (const one of ["Enter", "v", "V", "ArrowDown", "Backspace"]) assert.ok(key(one, true), one);
  for (const one of ["Tab", "Shift", "F5", "Control"]) assert.ok(!key(one), one);
  for (const one of ["s", "z", "c"]) assert.ok(!key(one, true), one);
});
