// @ts-check
/**
 * Arguments as a reader edits them: as the fields of a form, or as JSON. Pure: no DOM.
 *
 * Each value is kept as the JSON it was written in: a number read by JavaScript would not always come back the same.
 */

/** @typedef {"text" | "integer" | "number" | "flag" | "choice" | "several" | "json"} Kind */
/**
 * A field as the kernel describes it, and as the reader leaves it.
 * @typedef {object} Field
 * @property {string} name
 * @property {Kind} kind
 * @property {string | null} raw its value as JSON; null: not given
 * @property {string | null} start the value that it is added with
 * @property {boolean} needed
 * @property {boolean} secret
 * @property {string} about
 * @property {[label: string, raw: string][]} options
 * @property {string} odd the value, with signs for what nobody would see in it
 * @property {string} [title] what it is called; empty: its name
 * @property {string} [format] of a text: "email", "uri", "date", "date-time"
 * @property {boolean} [blank] it is shown without a value, too, and left out where it is empty
 */

const HIDDEN = '"•••"'; // where JSON is shown, for the value of a secret
const TOKEN = /"(?:[^"\\]|\\.)*"|[{}[\],:]|[^\s"{}[\],:]+/g;
const BEGIN = { text: '""', flag: "false", integer: "0", number: "0", choice: "", several: "[]", json: "null" };

/**
 * A JSON object, taken apart.
 * @param {string} text
 * @returns {Map<string, string>} the JSON of each value
 * @throws {Error} with what is wrong, for the reader
 */
export function split(text) {
  let value;
  try {
    value = JSON.parse(text);
  } catch (error) {
    throw new Error(`This is no JSON: ${/** @type {Error} */ (error).message}`);
  }
  if (typeof value !== "object" || !value || Array.isArray(value)) {
    throw new Error("The arguments must be an object: { … }");
  }
  const found = new Map();
  let depth = 0;
  let from = 0;
  /** @type {string | null} */
  let name = null;
  for (const { 0: token, index } of text.matchAll(TOKEN)) {
    if (token === "}" || token === "]") depth--;
    if (name !== null && ((depth === 1 && token === ",") || !depth)) {
      found.set(name, text.slice(from, index).trim().replace(/\n {2}/g, "\n"));
      name = null;
    } else if (depth === 1 && name === null && token.startsWith('"')) {
      name = /** @type {string} */ (JSON.parse(token));
      if (found.has(name)) throw new Error(`${name} is there twice`);
      from = text.indexOf(":", index + token.length) + 1;
    }
    if (token === "{" || token === "[") depth++;
  }
  return found;
}

/**
 * The other way.
 * @param {Iterable<[name: string, raw: string]>} pieces
 */
export function join(pieces) {
  const lines = Array.from(pieces, ([name, raw]) => `  ${JSON.stringify(name)}: ${raw.replace(/\n/g, "\n  ")}`);
  return lines.length ? `{\n${lines.join(",\n")}\n}` : "{}";
}

/**
 * What a field's control shows; null where the value is none that it could.
 * @param {Kind} kind
 * @param {string} raw
 * @param {[string, string][]} options
 * @returns {string | null}
 */
export function written(kind, raw, options) {
  const value = JSON.parse(raw);
  if (kind === "text") return typeof value === "string" ? value : null;
  if (kind === "flag") return typeof value === "boolean" ? raw : null;
  if (kind === "choice") return options.some(([, one]) => one === raw) ? raw : null;
  if (kind === "several") return chosen(raw, options) ? raw : null;
  if (kind === "json") return raw;
  return typeof value === "number" && Number.isFinite(value) ? raw : null;
}

/**
 * Which options a list holds, as marks; null where it is none of them.
 * @param {string} raw
 * @param {[string, string][]} options
 * @returns {boolean[] | null}
 */
export function chosen(raw, options) {
  const value = JSON.parse(raw);
  if (!Array.isArray(value)) return null;
  const known = options.map(([, one]) => JSON.stringify(JSON.parse(one)));
  const held = new Set(value.map((one) => JSON.stringify(one)));
  return [...held].every((one) => known.includes(one)) ? known.map((one) => held.has(one)) : null;
}

/**
 * The JSON of what a reader has written.
 * @param {Kind} kind
 * @param {string} text
 * @throws {Error} with what is wrong
 */
export function read(kind, text) {
  if (kind === "text") return JSON.stringify(text);
  const raw = text.trim();
  if (kind === "integer" && !/^-?(0|[1-9]\d*)$/.test(raw)) throw new Error("a whole number is wanted");
  if (kind === "number" && !/^-?(0|[1-9]\d*)(\.\d+)?(e[+-]?\d+)?$/i.test(raw)) throw new Error("a number is wanted");
  if (kind === "json") {
    try {
      JSON.parse(raw);
    } catch (error) {
      throw new Error(`this is no JSON: ${/** @type {Error} */ (error).message}`);
    }
  }
  return raw;
}

/** The fields of one call. */
export class Form {
  /** @param {Field[]} fields as the kernel has described them */
  constructor(fields) {
    /** @type {Map<string, Field & { kind: Kind, first: Kind, wrong: string }>} */
    this.fields = new Map(fields.map((one) => [one.name, { ...one, first: one.kind, wrong: "" }]));
    this.before = join(this.pieces());
  }

  /** @returns {[name: string, raw: string][]} of those that are given */
  pieces() {
    return [...this.fields.values()].flatMap(({ name, raw }) => (raw === null ? [] : [[name, raw]]));
  }

  /** The arguments as JSON; null where nothing was changed. */
  changed() {
    const text = join(this.pieces());
    return text === this.before ? null : text;
  }

  /** What is wrong with a field, and with which; undefined: nothing. */
  problem() {
    for (const field of this.fields.values()) {
      if (field.blank && field.needed && field.raw === null) field.wrong ||= "a value is wanted";
      if (field.wrong && (field.blank || field.raw !== null)) return field;
    }
    return undefined;
  }

  /** The arguments as JSON to be read and edited; what is secret is not shown. */
  text() {
    return join(this.pieces().map(([name, raw]) => [name, this.hides(name) ? HIDDEN : raw]));
  }

  /** What will apply to arguments that are not given, in a line; "" where nothing will. */
  defaults() {
    const parts = [...this.fields.values()].flatMap(({ name, raw, start, secret }) =>
      raw === null && start !== null ? [`${name} = ${secret ? HIDDEN : start}`] : [],
    );
    return parts.length ? `Not given: ${parts.join(", ")}` : "";
  }

  /** @param {string} name */
  hides(name) {
    const field = this.fields.get(name);
    return !!field?.secret && field.raw !== null && field.raw !== '""' && field.raw !== "null";
  }

  /**
   * The arguments as a reader has written them.
   * @param {string} text
   * @throws {Error} with what is wrong; then nothing has changed
   */
  take(text) {
    const pieces = split(text);
    for (const field of this.fields.values()) {
      const raw = pieces.get(field.name);
      if (raw === undefined) field.raw = null;
      else if (!(raw === HIDDEN && this.hides(field.name))) this.set(field.name, raw);
    }
    for (const [name, raw] of pieces) {
      if (this.fields.has(name)) continue;
      const rest = { needed: false, secret: false, about: "", options: [], odd: "", start: null };
      this.fields.set(name, { name, kind: "json", first: "json", raw, wrong: "", ...rest });
    }
  }

  /** @param {string} name @param {string} raw */
  set(name, raw) {
    const field = this.fields.get(name);
    if (!field) return;
    const fits = written(field.first, raw, field.options) !== null;
    Object.assign(field, { raw, kind: fits ? field.first : "json", wrong: "", odd: raw === field.raw ? field.odd : "" });
  }

  /** @param {string} name of a field that was not given */
  add(name) {
    const field = this.fields.get(name);
    if (field) this.set(name, field.start ?? (field.first === "choice" ? field.options[0][1] : BEGIN[field.first]));
  }
}
