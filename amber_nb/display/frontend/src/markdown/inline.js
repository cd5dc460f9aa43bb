// @ts-check
/**
 * Inline Markdown of one short piece of text → a small tree. Pure: no DOM.
 *
 * `open` says that the text still grows: then a `**` that has not been closed yet is taken as bold already, so that the
 * reader does not see the marks come and go. Once the text is finished the rules are CommonMark's, and those of
 * ../../../markdown_inline.py.
 */

import { Definitions } from "./definitions.js";
import { ALONE, flowingEnds } from "./columns.js";
import { pair, run } from "./emphasis.js";
import { ENTITY, entity } from "./entities.js";
import { Budget, formulaEnd } from "./formulas.js";
import { autolink, linkNodes, readTarget, withAddresses } from "./links.js";
import { closingTicks, literalSigns, runLength } from "./spans.js";

/** @typedef {{ tag: string, kids: Inline[], href?: string }} Node of the tag `math` is a formula's source, of `indent` the blanks that a line begins with */
/** @typedef {string | Node} Inline */
/** @typedef {import("./emphasis.js").Run} Run */
/**
 * @typedef {object} Opener
 * @property {number} index of its sign in what was read
 * @property {number} from where its text begins
 * @property {string} sign `[`, `![` or a tag
 * @property {boolean} active a link may not stand within a link
 */

const NONE = new Definitions();
// How JSON begins: what stands in it is no emphasis, no escape and no formula.
const DATA = /^(?:\{[ \t]*(?:\n|["}{[])|\[[ \t]*(?:\n|\{))/;
const TAG = /<(?:(\/?br)[ \t]*\/?|(\/?)(sub|sup|kbd))>/iy;
const KEY = /<kbd>((?:[\p{L}\p{N}_+ -]{0,20}\+ ?)?[!-/:-@[-`{-~])<\/kbd>/iuy; // a sign is itself there
const INDENT = /(?:[│┃║]?[ \t]+|\|[ \t]{2,})*/y; // with the lines of a tree
const NOTE = /\[\^([^\s[\]^]{1,40})\]/y;

/**
 * @param {string} text
 * @param {boolean} [open]
 * @param {Definitions} [known] the links and footnotes that the text has defined
 * @param {typeof ALONE} [around] what stands around the text
 * @param {boolean} [data] whether it is JSON, and stays as it is written
 * @returns {Inline[]}
 */
export function inline(text, open = false, known = NONE, around = ALONE, data = isData(text)) {
  if (data) return withAddresses(lines(text), open);
  // Marks at the growing end may still become anything: they wait for the next character.
  const s = open ? text.replace(/(?:[*_~`[\]!\\&]|<\/?(?:br?|s(?:u[bp]?)?|k(?:bd?)?)?\/?)+$/i, "") : text;
  /** @type {(Inline | Run)[]} */
  const out = [];
  /** @type {Opener[]} */
  const openers = [];
  const budget = new Budget(s.length);
  const flowing = s.includes("\n") ? flowingEnds(s, around).ends : null;
  const literal = literalSigns(s, around.before, open);
  let plain = "";
  const flush = () => {
    if (plain) out.push(plain);
    plain = "";
  };
  /** @param {...(Inline | Run)} nodes */
  const push = (...nodes) => {
    flush();
    out.push(...nodes);
  };
  /** What was read since an opener, as nodes. @param {Opener} opener */
  const take = (opener) => {
    flush();
    return pair(out.splice(opener.index).slice(1), false);
  };
  /** @type {Set<number>} lengths of backtick runs known to have no partner, so that hostile text stays linear */
  const lonely = new Set();

  for (let i = 0; i < s.length; ) {
    const c = s[i];
    const sign = literal.get(i);
    if (sign) {
      plain += s.slice(i, sign);
      i = sign;
    } else if (c === "\\" || c === "$") {
      const end = formulaEnd(s, i, budget);
      const next = s[i + 1] ?? "";
      if (end > 0) {
        push({ tag: "math", kids: [s.slice(i, end)] });
        i = end;
      } else if (open && /^(?:\$\$(?!\$)|\\[([])/.test(s.slice(i, i + 3)) && budget.left > 0) {
        plain += s.slice(i); // as it was written, until it is whole
        i = s.length;
      } else if (c === "$") {
        const n = runLength(s, i);
        plain += s.slice(i, i + n);
        i += n;
      } else if (next === "\n") {
        push({ tag: "br", kids: [] });
        i = skipBlanks(s, i + 2);
      } else if (/[!-/:-@[-`{-~]/.test(next)) {
        plain += next;
        i += 2;
      } else {
        plain += c;
        i++;
      }
    } else if (c === "`") {
      const n = runLength(s, i);
      const end = lonely.has(n) ? -1 : closingTicks(s, i + n, n, literal);
      if (end < 0 && !open) {
        lonely.add(n);
        plain += s.slice(i, i + n);
        i += n;
      } else {
        const stop = end < 0 ? s.length : end;
        let code = s.slice(i + n, stop).replace(/\n/g, " ");
        if (/^ .*[^ ].* $/.test(code) || /^ [^ ] $/.test(code)) code = code.slice(1, -1);
        push({ tag: "code", kids: [code] });
        i = end < 0 ? stop : stop + n;
      }
    } else if (c === "[" || (c === "!" && s[i + 1] === "[")) {
      NOTE.lastIndex = i;
      const note = c === "[" ? NOTE.exec(s) : null;
      if (note && known.notes.has(note[1])) {
        push({ tag: "sup", kids: [note[1]] });
        i += note[0].length;
      } else {
        const sign = c === "!" ? "![" : "[";
        push(sign);
        i += sign.length;
        openers.push({ index: out.length - 1, from: i, sign, active: true });
      }
    } else if (c === "]") {
      const at = lastOf(openers, (sign) => sign[0] !== "<");
      const opener = openers[at];
      if (opener) openers.length = at;
      const target = opener?.active ? readTarget(s, i, s.slice(opener.from, i), known, open) : null;
      if (target) {
        const isImage = opener.sign === "![";
        push(...linkNodes(take(opener), s.slice(opener.from, i), target.raw, isImage));
        if (!isImage) for (const outer of openers) outer.active &&= outer.sign !== "[";
        i = target.end;
      } else {
        plain += c;
        i++;
      }
    } else if (c === "<") {
      TAG.lastIndex = i;
      const tag = TAG.exec(s);
      KEY.lastIndex = i;
      const key = tag && KEY.exec(s);
      const link = tag ? null : autolink(s, i);
      if (key) {
        push({ tag: "kbd", kids: [key[1]] });
        i += key[0].length - tag[0].length;
      } else if (tag?.[1]) {
        push({ tag: "br", kids: [] });
      } else if (tag && !tag[2]) {
        push(tag[0]);
        openers.push({ index: out.length - 1, from: i, sign: tag[0].toLowerCase(), active: true });
      } else if (tag) {
        const at = lastOf(openers, (sign) => sign === `<${tag[3].toLowerCase()}>`);
        if (at >= 0) {
          const opener = openers[at];
          openers.length = at;
          push({ tag: tag[3].toLowerCase(), kids: take(opener) });
        } else plain += tag[0];
      } else if (link) push(...link.nodes);
      else plain += c;
      i += tag ? tag[0].length : link ? link.end - i : 1;
    } else if (c === "&") {
      ENTITY.lastIndex = i;
      const found = ENTITY.exec(s);
      const char = found && entity(found[1], found[2], found[3]);
      plain += char ?? c;
      i += found && char ? found[0].length : 1;
    } else if (c === "*" || c === "_" || c === "~") {
      const n = runLength(s, i);
      if (c === "~" && n !== 2) plain += s.slice(i, i + n);
      else push(run(s, i, n, c));
      i += n;
    } else if (c === "\n") {
      const hard = plain.endsWith("  ");
      plain = plain.replace(/ +$/, "");
      const from = i + 1;
      const joint = hard ? undefined : flowing?.get(i);
      INDENT.lastIndex = from;
      i += 1 + (INDENT.exec(s)?.[0].length ?? 0);
      if (joint === undefined) push({ tag: "br", kids: [] });
      else plain += joint;
      if (joint === undefined && i > from) push({ tag: "indent", kids: [s.slice(from, i).replace(/\t/g, "    ")] });
    } else {
      plain += c;
      i++;
    }
  }
  flush();
  if (open) {
    // A tag whose end is to come is taken as closed, as emphasis is.
    for (let opener; (opener = openers.pop()); ) {
      if (opener.sign[0] === "<") out.push({ tag: opener.sign.slice(1, -1), kids: take(opener) });
    }
  }
  return withAddresses(pair(out, open), open);
}

/** Whether a text begins as JSON does. @param {string} text */
export function isData(text) {
  return DATA.test(text);
}

/** @param {string} text @returns {Inline[]} its lines as they are written */
function lines(text) {
  return text.split("\n").flatMap((line, number) => {
    INDENT.lastIndex = 0;
    const indent = number ? (INDENT.exec(line)?.[0] ?? "") : "";
    const rest = line.slice(indent.length).replace(/[ \t]+$/, "");
    return [
      ...(number ? [{ tag: "br", kids: [] }] : []),
      ...(indent ? [{ tag: "indent", kids: [indent.replace(/\t/g, "    ")] }] : []),
      ...(rest ? [rest] : []),
    ];
  });
}

/** @param {Opener[]} openers @param {(sign: string) => boolean} fits @returns {number} the last that does, or -1 */
function lastOf(openers, fits) {
  let at = openers.length - 1;
  while (at >= 0 && !fits(openers[at].sign)) at--;
  return at;
}

/** @param {string} s @param {number} i */
function skipBlanks(s, i) {
  while (s[i] === " " || s[i] === "\t") i++;
  return i;
}
