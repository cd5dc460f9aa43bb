import assert from "node:assert/strict";
import { mock, test } from "node:test";
import { StopButton } from "../src/stop.js";
import { doc } from "./dom.js";

function button() {
  const did = [];
  const over = new AbortController();
  const ways = { ask: () => did.push("ask"), interrupt: () => did.push("interrupt") };
  const stop = new StopButton(doc, ways, over.signal);
  return { stop, did, over, name: () => [stop.el.textContent, stop.el.getAttribute("aria-label")] };
}

test("its name says what it does, at any time", (t) => {
  t.mock.timers.enable({ apis: ["setTimeout"] });
  const { stop, name } = button();
  assert.deepEqual(name(), ["Stop", "Stop this answer"]);
  stop.press();
  assert.deepEqual(name(), ["Stopping…", null]);
  stop.heard();
  t.mock.timers.tick(5000);
  assert.deepEqual(name(), ["Interrupt kernel", null]);
});

test("a kernel that hears is never interrupted unasked", (t) => {
  t.mock.timers.enable({ apis: ["setTimeout"] });
  const { stop, did } = button();
  stop.press();
  stop.press();
  t.mock.timers.tick(999);
  stop.heard();
  t.mock.timers.tick(4999);
  stop.press();
  assert.deepEqual(did, ["ask"]);
  assert.equal(stop.el.getAttribute("aria-disabled"), "true");
  t.mock.timers.tick(1);
  assert.equal(stop.el.getAttribute("aria-disabled"), null);
  assert.deepEqual(did, ["ask"]);
  stop.press();
  assert.deepEqual(did, ["ask", "interrupt"]);
});

test("a kernel that does not hear is interrupted after a second", (t) => {
  t.mock.timers.enable({ apis: ["setTimeout"] });
  const { stop, did } = button();
  stop.press();
  t.mock.timers.tick(999);
  assert.deepEqual(did, ["ask"]);
  t.mock.timers.tick(1);
  assert.deepEqual(did, ["ask", "interrupt"]);
});

test("it does nothing more once the view is gone", (t) => {
  t.mock.timers.enable({ apis: ["setTimeout"] });
  const { stop, did, over } = button();
  stop.press();
  over.abort();
  t.mock.timers.tick(60_000);
  assert.deepEqual(did, ["ask"]);
});

test("Enter and Space stay with the button, other keys are Lab's", () => {
  const { stop } = button();
  for (const type of ["keydown", "keyup", "keypress"]) {
    for (const [key, kept] of [["Enter", true], [" ", true], ["Tab", false], ["Escape", false]]) {
      const stopPropagation = mock.fn();
      stop.el.fire(type, { key, stopPropagation });
      assert.equal(stopPropagation.mock.callCount() > 0, kept, `${type} ${key}`);
    }
  }
});

test("it is pressed when a mouse goes down, as it may have moved away when that comes up", (t) => {
  t.mock.timers.enable({ apis: ["setTimeout"] });
  const { stop, did } = button();
  const send = (type, more) => stop.el.fire(type, { type, ...more });
  send("mousedown", { button: 2 });
  assert.deepEqual(did, []);
  send("mousedown", { button: 0 });
  assert.deepEqual(did, ["ask"]);
  stop.heard();
  t.mock.timers.tick(5000);
  send("mousedown", { button: 0 });
  send("click", { button: 0, detail: 1 });
  assert.deepEqual(did, ["ask", "interrupt"]); // once
});

test("the keyboard clicks it", () => {
  const { stop, did } = button();
  stop.el.fire("click", { type: "click", button: 0, detail: 0 });
  assert.deepEqual(did, ["ask"]);
});
