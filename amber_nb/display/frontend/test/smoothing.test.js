import assert from "node:assert/strict";
import { test } from "node:test";
import { Flow } from "../src/smoothing.js";

/** Steps of [ms, characters] → characters shown at each frame. */
function shown(steps, until) {
  const flow = new Flow();
  const frames = [];
  let waiting = 0;
  for (let now = 0; now <= until; now += 16) {
    while (steps.length && steps[0][0] <= now) {
      const [, length] = steps.shift();
      waiting += length;
      flow.came(length, now);
    }
    const count = flow.due(waiting, now);
    frames.push(count);
    waiting -= count;
  }
  assert.equal(waiting, 0);
  return frames;
}

test("a first step is shown at once", () => {
  assert.equal(shown([[0, 40]], 160)[0], 40);
});

test("small steps flow: each frame shows a little, and a step is through before the next", () => {
  const frames = shown([[0, 40], [144, 40], [288, 40], [432, 40]], 640).slice(9);
  assert.equal(frames.reduce((sum, count) => sum + count), 120);
  assert.ok(Math.max(...frames) <= 12, String(frames));
  assert.ok(frames.slice(0, 27).filter((count) => count === 0).length <= 3, String(frames));
});

test("large steps are shown as they come", () => {
  assert.deepEqual(shown([[0, 2000], [48, 2000], [96, 100]], 200).filter(Boolean), [2000, 2000, 100]);
});

test("what has piled up is not spread", () => {
  const flow = new Flow();
  flow.came(10, 0);
  flow.came(10, 0);
  assert.equal(flow.due(5000, 1), 5000);
  assert.equal(flow.due(1, 1), 1);
  assert.equal(flow.due(0, 1), 0);
});
