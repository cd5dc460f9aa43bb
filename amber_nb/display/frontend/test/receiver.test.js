import assert from "node:assert/strict";
import { test } from "node:test";
import { PATIENCE, Receiver } from "../src/receiver.js";

function receiver() {
  const asked = [];
  const clock = { ms: 5000 };
  return { asked, clock, receiver: new Receiver((have) => asked.push(have), () => clock.ms) };
}
const piece = (o, t) => ({ o, e: o + [...t].length, t });

test("pieces in order are all the text", () => {
  const { receiver: r, asked } = receiver();
  assert.equal(r.take(piece(0, "Hello ")) + r.take(piece(6, "world")), "Hello world");
  assert.deepEqual(asked, []);
});

test("what comes twice is taken once, also when it overlaps", () => {
  const { receiver: r } = receiver();
  r.take(piece(0, "Hello "));
  assert.equal(r.take(piece(0, "Hello ")), "");
  assert.equal(r.take(piece(3, "lo wor")), "wor");
  assert.equal(r.take(piece(9, "ld")), "ld");
});

test("offsets count characters, not UTF-16 units", () => {
  const { receiver: r } = receiver();
  assert.equal(r.take(piece(0, "a\u{1f600}b")), "a\u{1f600}b");
  assert.equal(r.have, 3);
  assert.equal(r.take(piece(1, "\u{1f600}b\u{1f680}c")), "\u{1f680}c");
});

test("a gap is asked for once a second, and the answer heals it", () => {
  const { receiver: r, asked, clock } = receiver();
  r.take(piece(0, "one "));
  assert.equal(r.take(piece(8, "three")), "");
  assert.deepEqual(asked, [4]);
  clock.ms += PATIENCE - 1;
  r.take(piece(13, "four"));
  assert.deepEqual(asked, [4]);
  clock.ms += 1;
  r.take(piece(17, "five"));
  assert.deepEqual(asked, [4, 4]);
  assert.equal(r.take(piece(4, "two three")), "two three");
});

test("an end that is further on than the text is a gap", () => {
  const { receiver: r, asked } = receiver();
  r.take(piece(0, "Hello"));
  assert.equal(r.take({ e: 5 }), "");
  assert.deepEqual(asked, []);
  assert.equal(r.take({ e: 9 }), "");
  assert.deepEqual(asked, [5]);
});

test("the greeting is a question, too: nothing is asked in its first second", () => {
  const { receiver: r, asked, clock } = receiver();
  r.take(piece(8, "late"));
  assert.deepEqual(asked, []);
  clock.ms += PATIENCE;
  r.take(piece(12, "later"));
  assert.deepEqual(asked, [0]);
});

test("a gap that nobody fills becomes a hole that shows", () => {
  const { receiver: r, clock } = receiver();
  r.take(piece(0, "begin"));
  r.take(piece(9, "x"));
  clock.ms += 3 * PATIENCE;
  assert.equal(r.take(piece(10, "y")), "");
  clock.ms += 1;
  assert.equal(r.take(piece(11, "end")), "\n\n[…]\n\nend");
  assert.equal(r.take(piece(14, ".")), ".");
  // A later gap gets the same patience.
  assert.equal(r.take(piece(20, "z")), "");
});

test("times are the kernel's, whenever the view comes", () => {
  const { receiver: r, clock } = receiver();
  r.take({ e: 0, age: [12, null] });
  assert.equal(r.started, -7000);
  assert.equal(r.firstText, null);
  clock.ms += 500;
  r.take(piece(0, "x"));
  assert.equal(r.firstText, 5500);
  clock.ms += 10;
  r.take(piece(1, "y"));
  assert.equal(r.firstText, 5500);
  clock.ms -= 10;
  r.take({ e: 2, age: [13, 0.5] });
  assert.equal(r.firstText, 5000);
});

test("messages that make no sense change nothing", () => {
  const { receiver: r, asked } = receiver();
  for (const message of [{}, { e: "9" }, { e: -1 }, { t: "x" }, { o: 0, t: "x" }, { n: "note" }, { stopping: 1 }]) {
    assert.equal(r.take(message), "");
  }
  assert.equal(r.have, 0);
  assert.deepEqual(asked, []);
});
