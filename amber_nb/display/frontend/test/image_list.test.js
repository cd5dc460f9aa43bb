import assert from "node:assert/strict";
import { test } from "node:test";

import { ImageList } from "../src/image_list.js";

/** A list of rows, which notes what is moved; the keyboard is in one of them. */
function rows(names, focused) {
  const moved = [];
  const list = {
    order: names.map((_, i) => i),
    rows: new Map(),
    el: { children: [], hidden: false, insertBefore },
    focused: () => null,
    lay: ImageList.prototype.lay,
  };
  function insertBefore(el, before) {
    moved.push(el.name);
    const left = list.el.children.filter((one) => one !== el);
    left.splice(before ? left.indexOf(before) : left.length, 0, el);
    list.el.children = left;
  }
  names.forEach((name, i) => {
    const button = () => ({ setAttribute() {} });
    const el = { name, contains: (inner) => inner === name };
    list.rows.set(i, { el, buttons: [button(), button(), button()] });
  });
  list.lay();
  moved.length = 0;
  if (focused !== undefined) list.focused = () => names[focused];
  return { list, moved, shown: () => list.el.children.map(({ name }) => name).join("") };
}

for (const [order, focused] of [
  [[0, 1, 3, 2], 3],
  [[3, 0, 1, 2], 3],
  [[1, 2, 3, 0], 0],
  [[2, 3, 0, 1], 1],
  [[3, 2, 1, 0], undefined],
]) {
  test(`the row with the keyboard is not moved: ${order} from ${focused}`, () => {
    const { list, moved, shown } = rows(["a", "b", "c", "d"], focused);
    list.order = order;
    list.lay();
    assert.equal(shown(), order.map((i) => "abcd"[i]).join(""));
    assert.ok(!moved.includes("abcd"[focused]));
  });
}

test("a list in its order is left alone", () => {
  const { list, moved } = rows(["a", "b"], 1);
  list.lay();
  assert.deepEqual(moved, []);
});
