import assert from "node:assert/strict";
import { test } from "node:test";
import { build } from "esbuild";
import { settings } from "../build.js";
import { Form, chosen, join, read, split, written } from "../src/argument_form.js";

const FIELD = { kind: "text", raw: null, start: null, needed: false, secret: false, about: "", options: [], odd: "" };
const form = (...fields) => new Form(fields.map((one) => ({ ...FIELD, ...one })));
const pieces = (text) => [...split(text)];

test("an object is taken apart, and every value stays as it was written", () => {
  const text = '{"a": 12345678901234567890, "b" : "x,}\\"y", "c": [1, {"d": 2}], "\\u0065": 1e400, "f": {}, "__proto__": null}';
  assert.deepEqual(pieces(text), [
    ["a", "12345678901234567890"],
    ["b", '"x,}\\"y"'],
    ["c", '[1, {"d": 2}]'],
    ["e", "1e400"],
    ["f", "{}"],
    ["__proto__", "null"],
  ]);
  assert.deepEqual(pieces(" { } "), []);
  assert.deepEqual(pieces(join(split(text))), pieces(text));
});

test("values in lines come back as they went", () => {
  const raw = JSON.stringify({ deep: [1, { x: "a\n  b" }] }, null, 2);
  assert.equal(split(join([["a", raw]])).get("a"), raw);
});

test("what is no object is told", () => {
  for (const [text, wrong] of [
    ["{", /no JSON/],
    ["[1]", /must be an object/],
    ["null", /must be an object/],
    ["7", /must be an object/],
    ['{"a": 1, "a": 2}', /a is there twice/],
    ["{a: 1}", /no JSON/],
  ]) {
    assert.throws(() => split(text), wrong, text);
  }
});

test("what a reader writes is read by its kind", () => {
  assert.equal(read("text", ' "x" '), '" \\"x\\" "');
  assert.equal(read("integer", " -12345678901234567890 "), "-12345678901234567890");
  assert.equal(read("number", "1.50"), "1.50");
  assert.equal(read("flag", "true"), "true");
  assert.equal(read("json", " [1] "), "[1]");
  for (const [kind, text] of [["integer", ""], ["integer", "1.0"], ["integer", "007"], ["number", "1,5"], ["number", ""],
    ["number", "NaN"], ["json", "{"], ["json", ""]]) {
    assert.throws(() => read(kind, text), undefined, `${kind} ${text}`);
  }
});

test("a control shows only what it could give back", () => {
  assert.equal(written("text", '"a\\nb"', []), "a\nb");
  assert.equal(written("text", "1", []), null);
  assert.equal(written("number", "1e400", []), null);
  assert.equal(written("integer", '"1"', []), null);
  assert.equal(written("flag", "true", []), "true");
  assert.equal(written("flag", '"true"', []), null);
  assert.equal(written("choice", '"a"', [["a", '"a"']]), '"a"');
  assert.equal(written("choice", '"b"', [["a", '"a"']]), null);
});

test("nothing changed is nothing changed, however often it was looked at", () => {
  const one = form({ name: "a", raw: '"x"' }, { name: "b", kind: "json", raw: '{\n  "c": [\n    1\n  ]\n}' }, { name: "d" });
  one.take(one.text());
  assert.equal(one.changed(), null);
  one.take('{"b": {"c": [1]}, "a": "y"}');
  assert.equal(one.changed(), '{\n  "a": "y",\n  "b": {"c": [1]}\n}');
});

test("what does not fit its control is edited as JSON, and comes back to it", () => {
  const one = form({ name: "n", kind: "integer", raw: "1", needed: true });
  one.take('{"n": "one", "other": [2]}');
  assert.deepEqual([...one.fields.values()].map(({ name, kind, raw }) => [name, kind, raw]), [
    ["n", "json", '"one"'],
    ["other", "json", "[2]"],
  ]);
  one.take('{"n": 2}');
  assert.deepEqual([one.fields.get("n").kind, one.fields.get("other").raw], ["integer", null]);
  assert.equal(one.changed(), '{\n  "n": 2\n}');
});

test("what is wrong is told, and nothing has changed", () => {
  const one = form({ name: "a", raw: '"x"' });
  assert.throws(() => one.take('{"a": "y", "b"}'), /no JSON/);
  assert.equal(one.changed(), null);
  one.fields.get("a").wrong = "a number is wanted";
  assert.equal(one.problem().name, "a");
});

test("a field that was not given is added with what the schema says", () => {
  const options = [["red", '"red"'], ["blue", '"blue"']];
  const one = form({ name: "days", kind: "integer", start: "3" }, { name: "unit", kind: "choice", options },
    { name: "on", kind: "flag" }, { name: "text" }, { name: "any", kind: "json" });
  for (const name of one.fields.keys()) one.add(name);
  assert.deepEqual(one.pieces(), [["days", "3"], ["unit", '"red"'], ["on", "false"], ["text", '""'], ["any", "null"]]);
});

test("secrets are not in the text, and stay what they were unless they are written anew", () => {
  const one = form({ name: "api_key", raw: '"s3cret"', secret: true }, { name: "token", raw: '""', secret: true });
  assert.equal(one.text(), '{\n  "api_key": "•••",\n  "token": ""\n}');
  one.take(one.text());
  assert.equal(one.changed(), null);
  one.take('{"api_key": "new"}');
  assert.equal(one.changed(), '{\n  "api_key": "new"\n}');
});

test("the built form does what its sources do", async () => {
  const contents = `
    import { Form } from "./argument_form.js";
    export function all(fields) {
      const form = new Form(fields);
      for (const { name } of fields) form.add(name);
      form.take(form.text());
      return [form.changed(), form.problem()];
    }`;
  const built = await build({ ...settings, write: false, stdin: { contents, resolveDir: "src", loader: "js" } });
  const { all } = await import(`data:text/javascript,${encodeURIComponent(built.outputFiles[0].text)}`);
  const kinds = ["text", "integer", "number", "flag", "json"].map((kind) => ({ ...FIELD, kind, name: kind }));
  const choice = { ...FIELD, kind: "choice", name: "choice", options: [["a", "1"]] };
  const [text, problem] = all([...kinds, choice]);
  assert.equal(problem, undefined);
  assert.deepEqual(JSON.parse(text), { text: "", integer: 0, number: 0, flag: false, json: null, choice: 1 });
});

test("a field of a question is left out while it is empty, and asked for where it is needed", () => {
  const one = form({ name: "a", title: "A", blank: true, needed: true }, { name: "b", blank: true, kind: "integer" });
  assert.equal(one.text(), "{}");
  assert.deepEqual([one.problem()?.name, one.problem()?.wrong], ["a", "a value is wanted"]);
  one.set("a", '"x"');
  assert.equal(one.problem(), undefined);
  const other = one.fields.get("b");
  Object.assign(other, { wrong: "a whole number is wanted" }); // though it has no value yet
  assert.equal(one.problem(), other);
  assert.equal(form({ name: "a", needed: true }).problem(), undefined); // of a call: the kernel says it
});

test("a list of choices knows which of them it holds", () => {
  const options = [["small", '"s"'], ["large", '"l"'], ["two", "2"]];
  assert.deepEqual(chosen('["l",\n2]', options), [false, true, true]);
  assert.deepEqual(chosen("[]", options), [false, false, false]);
  for (const raw of ['["x"]', '"s"', "null", '{"0": "s"}', '["2"]']) {
    assert.equal(chosen(raw, options), null, raw);
    assert.equal(written("several", raw, options), null, raw);
  }
  assert.equal(written("several", '["s"]', options), '["s"]');
});
