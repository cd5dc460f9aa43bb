import assert from "node:assert/strict";
import { test } from "node:test";
import { Looks, RichText } from "../src/rich_text.js";

/** Until everything that can happen has. */
const settled = async () => {
  for (let i = 0; i < 20; i++) await new Promise((resolve) => setImmediate(resolve));
};

const math = (text) => ({ textContent: text, isConnected: true });
const block = (...formulas) => ({ el: { getElementsByClassName: () => formulas } });

/** The blocks of a view, and what it asked and had typeset. */
function opened(typeset = () => {}) {
  const asked = [];
  const set = [];
  const looks = new Looks((blocks) => asked.push(...blocks));
  const view = new RichText(looks, (el) => (set.push(el.textContent), typeset(el)), () => {}, new AbortController().signal);
  return { looks, view, asked, set };
}

test("a formula is typeset only if it was itself asked about: two texts share no key", async () => {
  const { looks, view, asked, set } = opened();
  const good = String.raw`$x_{xdteaa}+y+y+y+y+y+y+y+y+y+y+y+y$`;
  const hostile = String.raw`$\href{javascript:alert(1)}{6kdaaa}$`; // of the same 32-bit hash and length
  view.add(block(math(good)));
  view.ask();
  looks.take({ [asked[0][0]]: 1 });
  view.add(block(math(hostile)));
  view.ask();
  await settled();
  assert.deepEqual(asked.map(([, text]) => text), [good, hostile]);
  assert.notEqual(asked[0][0], asked[1][0]);
  assert.deepEqual(set, [good]);
});

test("what is known is not asked again, and what another page is told says nothing here", async () => {
  const { looks, view, asked, set } = opened();
  const other = opened();
  for (const each of [view, other.view]) each.add(block(math("$x$")));
  for (const each of [view, other.view]) each.ask();
  looks.take({ [other.asked[0][0]]: 1 });
  await settled();
  assert.deepEqual(set, []);
  looks.take({ [asked[0][0]]: 1 });
  view.add(block(math("$x$")));
  view.ask();
  await settled();
  assert.equal(asked.length, 1);
  assert.deepEqual(set, ["$x$", "$x$"]);
});

test("code is no formula, and its language counts", () => {
  const { looks } = opened();
  const keys = [["$x$"], ["", "$x$"], ["python", "x\ny"], ["python\nx", "y"]].map((each) => looks.key(each));
  assert.equal(new Set(keys).size, 4);
  assert.ok(keys.every((key) => key.length <= 64)); // as the kernel takes them
});

test("a formula that cannot be typeset stops no other", async () => {
  const bad = { $a$: () => Promise.reject(new Error("no")), $b$: () => { throw new Error("no"); } };
  const { looks, view, asked, set } = opened((el) => bad[el.textContent]?.());
  view.add(block(math("$a$"), math("$b$"), math("$c$")));
  view.ask();
  looks.take(Object.fromEntries(asked.map(([key]) => [key, 1])));
  await settled();
  assert.deepEqual(set, ["$a$", "$b$", "$c$"]);
  view.add(block(math("$d$")));
  view.ask();
  looks.take({ [asked.at(-1)[0]]: 1 });
  await settled();
  assert.equal(set.at(-1), "$d$");
});
