// @ts-check
/** Emphasis: runs of `*`, `_` and `~~` and how they pair. Pure: no DOM. */

import { CJK } from "./columns.js";

/** @typedef {import("./inline.js").Inline} Inline */
/** @typedef {{ mark: string, n: number, size: number, opens: boolean, closes: boolean }} Run `size`: what `n` was at first */

const MARK = /^[\p{P}\p{S}]/u;
const SPACE = /^[\t\n\f\r\p{Zs}]/u;

/**
 * CommonMark's rule for what opens and closes, amended for Chinese, Japanese and Korean, which have no spaces.
 * @param {string} s
 * @param {number} i
 * @param {number} n
 * @param {string} mark
 * @returns {Run}
 */
export function run(s, i, n, mark) {
  let before = charBefore(s, i);
  if (/^[\ufe00-\ufe0e]/.test(before) && i > 1) before = charBefore(s, i - 1);
  const after = i + n < s.length ? String.fromCodePoint(/** @type {number} */ (s.codePointAt(i + n))) : " ";
  const spaceBefore = SPACE.test(before);
  const spaceAfter = SPACE.test(after);
  const cjkBefore = CJK.test(before);
  const cjkAfter = CJK.test(after);
  const markBefore = MARK.test(before);
  const markAfter = MARK.test(after);
  const plainBefore = markBefore && !cjkBefore;
  const plainAfter = markAfter && !cjkAfter;
  const left = !spaceAfter && (!plainAfter || spaceBefore || plainBefore || cjkBefore);
  const right = !spaceBefore && (!plainBefore || spaceAfter || plainAfter || cjkAfter);
  const word = mark === "_"; // snake_case is no emphasis
  const opens = left && (!word || !right || markBefore);
  return { mark, n, size: n, opens, closes: right && (!word || !left || markAfter) };
}

/** @param {string} s @param {number} i */
function charBefore(s, i) {
  if (i === 0) return " ";
  const low = s.charCodeAt(i - 1) >= 0xdc00 && s.charCodeAt(i - 1) <= 0xdfff && i > 1;
  return s.slice(i - (low ? 2 : 1), i);
}

/**
 * CommonMark's pairing of `*`, `_` and `~~`.
 * @param {(Inline | Run)[]} items
 * @param {boolean} open
 * @returns {Inline[]}
 */
export function pair(items, open) {
  for (let c = 0; c < items.length; c++) {
    const closer = items[c];
    if (!isRun(closer) || !closer.closes) continue;
    for (let o = c - 1; o >= 0 && closer.n; o--) {
      const opener = items[o];
      if (!isRun(opener) || !opener.opens || !opener.n || opener.mark !== closer.mark) continue;
      if ((opener.closes || closer.opens) && (opener.size + closer.size) % 3 === 0 && (opener.size % 3 || closer.size % 3)) continue;
      const n = closer.n >= 2 && opener.n >= 2 ? 2 : 1;
      if (closer.mark === "~" && n < 2) continue;
      const kids = settle(items.splice(o + 1, c - o - 1));
      opener.n -= n;
      closer.n -= n;
      items.splice(o + 1, 0, wrap(closer.mark, n, kids));
      c = o + 2;
      o++; // the same opener may have marks left
    }
  }
  if (open) {
    for (let o = items.length - 2; o >= 0; o--) {
      const opener = items[o];
      if (!isRun(opener) || !opener.opens || !opener.n || (opener.mark === "_" && opener.closes)) continue;
      const n = opener.n >= 2 ? 2 : 1;
      opener.n -= n;
      items.push(wrap(opener.mark, n, settle(items.splice(o + 1))));
      if (opener.n) o++;
    }
  }
  return settle(items);
}

/** @param {Inline | Run} item @returns {item is Run} */
function isRun(item) {
  // Not `"mark" in item`: the build shortens names, but not in quotes.
  return typeof item === "object" && /** @type {Run} */ (item).mark !== undefined;
}

/** @param {string} mark @param {number} n @param {Inline[]} kids @returns {Inline} */
function wrap(mark, n, kids) {
  return { tag: mark === "~" ? "s" : n === 2 ? "strong" : "em", kids };
}

/**
 * What was not paired is text; neighbouring texts become one.
 * @param {(Inline | Run)[]} items
 * @returns {Inline[]}
 */
function settle(items) {
  /** @type {Inline[]} */
  const out = [];
  for (const item of items) {
    const node = isRun(item) ? item.mark.repeat(item.n) : item;
    const last = out.length - 1;
    if (typeof node !== "string") out.push(node);
    else if (node && typeof out[last] === "string") out[last] += node;
    else if (node) out.push(node);
  }
  return out;
}
