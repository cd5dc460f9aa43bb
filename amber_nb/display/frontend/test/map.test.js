import assert from "node:assert/strict";
import { test } from "node:test";
import { LiveMap } from "../src/map/live_map.js";
import { Announcements, duration } from "../src/map/words.js";

test("durations", () => {
  const words = [0, 59.9, 60, 192, 3600, 7500, 90_000].map(duration);
  assert.deepEqual(words, ["0 s", "59 s", "1 min 0 s", "3 min 12 s", "1 h 0 min", "2 h 5 min", "25 h 0 min"]);
});

test("a listener is told each tenth, and no more often than every twenty seconds", () => {
  const announcements = new Announcements();
  const said = [];
  for (let done = 0; done <= 100; done++) said.push(announcements.next(done, done > 50 ? 1200 : 0, 100, done * 1000));
  assert.deepEqual(said.filter(Boolean), [
    "10 per cent of the rows are done",
    "30 per cent of the rows are done",
    "50 per cent of the rows are done",
    "70 per cent of the rows are done, 1,200 failed",
    "90 per cent of the rows are done, 1,200 failed",
  ]);
  assert.equal(new Announcements().next(0, 0, 0, 0), "");
});

const PICTURE = { of: [1, 0, 0, 9], elapsed: 3, figures: [], note: "", failures: [], more: "", remarks: [] };

function run() {
  const sent = [];
  const map = new LiveMap({ id: "0".repeat(32), title: "m", rows: 9 }, (message) => sent.push(message), () => {});
  return { map, sent };
}

test("a picture without the newest rows keeps those before it", () => {
  const { map } = run();
  map.receive({ m: { ...PICTURE, newest: [["1", "a", false]] } });
  map.receive({ m: { ...PICTURE, of: [2, 0, 0, 9] } });
  assert.deepEqual([map.picture.of[0], map.picture.newest], [2, [["1", "a", false]]]);
});

test("that Stop has arrived is no picture, and is not forgotten", () => {
  const { map, sent } = run();
  let heard = 0;
  map.listeners.add(() => heard++);
  map.receive({ m: PICTURE });
  map.stop();
  map.receive({ m: { stopping: 1 } });
  map.receive({ m: PICTURE });
  assert.deepEqual([map.stopping, map.picture.of, heard], [true, PICTURE.of, 3]);
  map.ask();
  map.announceDrawn();
  assert.deepEqual(sent, [{ m: { stop: true } }, { m: { ask: 1 } }, { m: { drawn: 1 } }]);
});

test("a run whose cell runs again is not put back", () => {
  const { map } = run();
  const documents = { lacks: () => true };
  assert.equal(map.isCleared(documents), true);
  map.receive({ open: { outdated: 1 } });
  assert.equal(map.isCleared(documents), false);
});
