import assert from "node:assert/strict";
import { test } from "node:test";
import { Speech, facts, stall } from "../src/status_and_speech.js";

test("the facts say no more than is known", () => {
  assert.equal(facts("azure/gpt-5.4", 0.9, 0, 0), "azure/gpt-5.4 · 0 s");
  assert.equal(facts("", 3.2, 0, 0), "3 s");
  assert.equal(facts("m", 3, 3, 0.5), "m · 3 s · ~1 token");
  assert.equal(facts("m", 12.99, 40_001, 10), "m · 12 s · ~10,001 tokens · 1000 tokens/s");
});

test("a stall is said when it is one", () => {
  assert.equal(stall(4.9), "");
  assert.equal(stall(6.7), "nothing for 6 s");
});

function said(...texts) {
  const speech = new Speech();
  return texts.map((text) => (speech.add(text), speech.next()));
}

test("sentences are said whole, and once", () => {
  assert.deepEqual(said("The sky is bl", "ue. But", " why? ", "", "No end"), ["", "The sky is blue.", "But why?", "", ""]);
});

test("a line's end ends a sentence as a space does", () => {
  assert.deepEqual(said("One.\nTwo", ".\n"), ["One.", "Two."]);
});

test("abbreviated numbers do not end a sentence", () => {
  assert.deepEqual(said("It is 5.5 times", " as much. "), ["", "It is 5.5 times as much."]);
});

test("marks are not read out", () => {
  assert.deepEqual(
    said("## Title\n\n- [x] **bold** and `code`\n- a [link](https://x.y/z)\n> quote. \n---\n![alt](https://p.q). "),
    ["Title bold and code a link quote. alt."],
  );
});

test("of much text the last sentences are said", () => {
  const sentences = Array.from({ length: 100 }, (_, i) => `This is sentence ${i} of many.`);
  const [words] = said(sentences.join(" ") + " ");
  assert.ok(words.length <= 500, String(words.length));
  assert.match(words, /^This is sentence 8\d of many\. /);
  assert.match(words, /This is sentence 99 of many\.$/);
});

test("a text without sentences is cut, and what nobody could listen to is forgotten", () => {
  const speech = new Speech();
  for (let i = 0; i < 100; i++) speech.add("word ".repeat(1000));
  assert.equal(speech.next(), "");
  assert.ok(speech.unsaid.length <= 4000);
  speech.add("end.\n");
  assert.ok(speech.next().length <= 450);
  assert.equal(speech.next(), "");
});
