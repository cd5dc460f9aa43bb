// @ts-check
/** Links: where they end, and what has to be said beside them. Pure: no DOM. */

import { findAddresses } from "./addresses.js";
import { normalized } from "./definitions.js";
import { decode } from "./entities.js";
import { hostOf, misleads, safeHref } from "./targets.js";

/** @typedef {import("./inline.js").Inline} Inline */
/** @typedef {import("./definitions.js").Definitions} Definitions */

const AUTOLINK =
  /<(?:([a-z][a-z0-9+.-]{1,31}:[^\s<>\u0000-\u001f]*)|([\w.!#$%&'*+/=?^`{|}~-]+@[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?(?:\.[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?)*))>/iy;
const TITLE = /[ \t\n]+(?:"(?:[^"\\]|\\[^])*"|'(?:[^'\\]|\\[^])*'|\((?:[^()\\]|\\[^])*\))/y;
const REFERENCE = /\[((?:[^[\]\\]|\\[^]){0,999})\]/y;
const SHOWN = 200; // characters of an address that is no link

/**
 * The address in angle brackets, if one stands there; one that is not let through is its text.
 * @param {string} s
 * @param {number} at
 * @returns {{ nodes: Inline[], end: number } | null}
 */
export function autolink(s, at) {
  AUTOLINK.lastIndex = at;
  const found = AUTOLINK.exec(s);
  if (!found) return null;
  const label = found[1] ?? found[2];
  const href = safeHref(found[1] ?? `mailto:${label}`);
  return { nodes: href ? addressNodes(href, label) : [{ tag: "span", kids: [label] }], end: at + found[0].length };
}

/**
 * Where a link leads whose label ends there: by what stands in parentheses behind it, or by a definition.
 * @param {string} s
 * @param {number} at of the bracket that ends the label
 * @param {string} label
 * @param {Definitions} known
 * @param {boolean} open
 * @returns {{ raw: string | null, end: number } | null} `raw`: the address; null while it is not all there
 */
export function readTarget(s, at, label, known, open) {
  if (s[at + 1] === "(") {
    const target = readParentheses(s, at + 1);
    if (target) return target;
    if (open && !/[\n)]/.test(s.slice(at + 1))) return { raw: null, end: s.length };
  }
  REFERENCE.lastIndex = at + 1;
  const reference = REFERENCE.exec(s);
  const raw = known.links.get(normalized(reference?.[1] || label));
  if (raw === undefined || (!reference?.[1] && /(?<!\\)[[\]]/.test(label))) {
    // As CommonMark has it, another label behind it decides, even where it is not defined.
    return null;
  }
  return { raw, end: at + 1 + (reference?.[0].length ?? 0) };
}

/** @param {string} s @param {number} at of the parenthesis @returns {{ raw: string, end: number } | null} */
function readParentheses(s, at) {
  let i = skip(s, at + 1);
  let raw = "";
  if (s[i] === "<") {
    const found = /^<((?:[^<>\n\\]|\\.)*)>/.exec(s.slice(i));
    if (!found) return null;
    raw = found[1];
    i += found[0].length;
  } else {
    const from = i;
    for (let level = 0; i < s.length && s.charCodeAt(i) > 32 && s.charCodeAt(i) !== 127; i++) {
      if (s[i] === "\\" && s.charCodeAt(i + 1) > 32) i++;
      else if (s[i] === "(" && ++level > 32) return null;
      else if (s[i] === ")" && level-- === 0) break;
    }
    raw = s.slice(from, i);
  }
  TITLE.lastIndex = i;
  i = skip(s, i + (TITLE.exec(s)?.[0].length ?? 0));
  return s[i] === ")" ? { raw: decode(raw), end: i + 1 } : null;
}

/** @param {string} s @param {number} i */
function skip(s, i) {
  while (/[ \t\n]/.test(s[i] ?? "")) i++;
  return i;
}

/**
 * A link or an image, with what has to be said beside it.
 * @param {Inline[]} kids the label as it was read
 * @param {string} label as it was written
 * @param {string | null} raw the address, decoded; null while it is still being written
 * @param {boolean} isImage
 * @returns {Inline[]}
 */
export function linkNodes(kids, label, raw, isImage) {
  if (raw === null) return isImage ? [label] : kids;
  const href = safeHref(raw);
  const where = href ? hostOf(href) : shorten(raw);
  if (isImage) {
    // Never fetched: a link that says where it would have come from.
    const alt = shorten(label);
    const words = alt ? `Image: ${alt} (${where})` : `Image: ${where}`;
    return [href ? { tag: "a", href, kids: [words] } : words];
  }
  const within = withoutLinks(kids);
  const text = textOf(within);
  const shown = raw && text !== raw.replace(/^mailto:/, "") ? [...within, ` (${where})`] : within;
  if (!href) return [{ tag: "span", kids: shown }];
  return [{ tag: "a", href, kids: within }, ...(misleads(text, where) ? [` (${where})`] : [])];
}

/** @param {Inline[]} nodes @returns {Inline[]} */
function withoutLinks(nodes) {
  return nodes.flatMap((node) => {
    if (typeof node === "string") return [node];
    const kids = withoutLinks(node.kids);
    return node.tag === "a" ? kids : [{ ...node, kids }];
  });
}

/** @param {Inline[]} nodes @returns {string} */
function textOf(nodes) {
  return nodes.map((node) => (typeof node === "string" ? node : textOf(node.kids))).join("");
}

/** @param {string} text */
export function shorten(text) {
  const characters = text.length > SHOWN ? [...text] : [];
  return characters.length > SHOWN ? `${characters.slice(0, SHOWN - 1).join("")}…` : text;
}

/**
 * The tree with the addresses that stand bare in its texts as links.
 * @param {Inline[]} nodes
 * @param {boolean} open the last text still grows
 * @returns {Inline[]}
 */
export function withAddresses(nodes, open) {
  return nodes.flatMap((node, n) => {
    const last = open && n === nodes.length - 1;
    if (typeof node === "string") return /:\/\/|www\./i.test(node) ? linked(node, last) : [node];
    if (["a", "code", "math", "span"].includes(node.tag)) return [node];
    return [{ ...node, kids: withAddresses(node.kids, last) }];
  });
}

/** @param {string} text @param {boolean} open @returns {Inline[]} */
function linked(text, open) {
  /** @type {Inline[]} */
  const out = [];
  let done = 0;
  for (const { index, end, href, address } of findAddresses(text, open)) {
    if (index > done) out.push(text.slice(done, index));
    out.push(...addressNodes(href, address));
    done = end;
  }
  if (done < text.length) out.push(text.slice(done));
  return out;
}

/** An address that is its own label; where its letters are foreign, its host is said. @param {string} href @param {string} label */
function addressNodes(href, label) {
  const host = hostOf(href);
  const link = { tag: "a", href, kids: [label] };
  return host.includes("xn--") ? [link, ` (${host})`] : [link];
}
