// @ts-check
/**
 * Inline Markdown of one short piece of text → a small tree. Pure: no DOM.
 *
 * `open` says that the text still grows: then a `**` that has not been closed yet is taken as bold already, so that the
 * reader does not see the marks come and go. Once the text is finished the rules are CommonMark's.
 */

import { pair, run } from "./emphasis.js";
import { ENTITY, entity } from "./entities.js";
import { autolink, findLink, hostOf, misleads, safeHref } from "./links.js";
import { closingTicks, mathEnd, runLength } from "./spans.js";

/** @typedef {{ tag: string, kids: Inline[], href?: string }} Node of the tag `math` is a formula's source */
/** @typedef {string | Node} Inline */
/** @typedef {import("./emphasis.js").Run} Run */

const SHOWN = 200; // characters of an address that is no link

/**
 * @param {string} text
 * @param {boolean} [open]
 * @param {number} [depth] of brackets; beyond eight they stay text
 * @param {boolean} [inLink]
 * @returns {Inline[]}
 */
export function inline(text, open = false, depth = 0, inLink = false) {
  // Marks at the growing end may still become anything: they wait for the next character.
  const s = open ? text.replace(/[*_~`[\]!\\<&]+$/, "") : text;
  /** @type {(Inline | Run)[]} */
  const out = [];
  let plain = "";
  const flush = () => {
    if (plain) out.push(plain);
    plain = "";
  };
  /** @param {Inline} node */
  const push = (node) => {
    flush();
    out.push(node);
  };
  /** @type {Set<number>} lengths of backtick runs known to have no partner, so that hostile text stays linear */
  const lonely = new Set();

  for (let i = 0; i < s.length; ) {
    const c = s[i];
    if (c === "\\") {
      const next = s[i + 1];
      const close = next === "(" ? "\\)" : next === "[" ? "\\]" : "";
      const end = close ? s.indexOf(close, i + 2) : -1;
      if (end > 0 || (close && open)) {
        const stop = end > 0 ? end + 2 : s.length;
        if (end > 0) push({ tag: "math", kids: [s.slice(i, stop)] });
        else plain += s.slice(i, stop); // as it was written, until it is whole
        i = stop;
      } else if (next === "\n") {
        push({ tag: "br", kids: [] });
        i += 2;
      } else if (next && /[!-/:-@[-`{-~]/.test(next)) {
        plain += next;
        i += 2;
      } else {
        plain += c;
        i++;
      }
    } else if (c === "`") {
      const n = runLength(s, i);
      const end = lonely.has(n) ? -1 : closingTicks(s, i + n, n);
      if (end < 0 && !open) {
        lonely.add(n);
        plain += s.slice(i, i + n);
        i += n;
      } else {
        const stop = end < 0 ? s.length : end;
        let code = s.slice(i + n, stop).replace(/\n/g, " ");
        if (/^ .*[^ ].* $|^ [^ ] $/.test(code)) code = code.slice(1, -1);
        push({ tag: "code", kids: [code] });
        i = end < 0 ? stop : stop + n;
      }
    } else if (c === "$") {
      const stop = mathEnd(s, i);
      const source = s.slice(i, stop);
      if (/[^$]/.test(source)) push({ tag: "math", kids: [source] });
      else plain += source;
      i = stop;
    } else if (c === "[" || (c === "!" && s[i + 1] === "[")) {
      const link = depth < 8 ? readLink(s, i, open, depth, inLink) : null;
      if (link) {
        flush();
        out.push(...link.nodes);
        i = link.end;
      } else {
        plain += c;
        i++;
      }
    } else if (c === "<") {
      const found = inLink ? null : autolink(s, i);
      if (found) push({ tag: "a", href: found.href, kids: [found.label] });
      else plain += c;
      i = found ? found.end : i + 1;
    } else if (c === "&") {
      ENTITY.lastIndex = i;
      const found = ENTITY.exec(s);
      const char = found && entity(found[1], found[2], found[3]);
      plain += char ?? c;
      i += found && char ? found[0].length : 1;
    } else if (c === "*" || c === "_" || c === "~") {
      const n = runLength(s, i);
      flush();
      out.push(c === "~" && n !== 2 ? s.slice(i, i + n) : run(s, i, n, c));
      i += n;
    } else if (c === "\n") {
      if (/ {2}$/.test(plain)) {
        plain = plain.trimEnd();
        push({ tag: "br", kids: [] });
      } else {
        plain = plain.trimEnd() + "\n";
      }
      i++;
    } else {
      plain += c;
      i++;
    }
  }
  flush();
  return pair(out, open && depth === 0);
}

/**
 * @param {string} s
 * @param {number} at of `[` or `![`
 * @param {boolean} open
 * @param {number} depth
 * @param {boolean} inLink
 * @returns {{ nodes: Inline[], end: number } | null}
 */
function readLink(s, at, open, depth, inLink) {
  const found = findLink(s, at);
  if (!found) return null;
  const { label, raw, end } = found;
  // The address is still being written: the label shows, the address does not yet.
  if (raw === null) return open ? { nodes: inline(label, false, depth + 1, true), end } : null;
  const href = safeHref(raw);
  const where = href ? hostOf(href) : raw.slice(0, SHOWN);
  if (s[at] === "!") {
    // Never fetched: a link that says where it would have come from.
    const alt = label.replace(/[*_`[\]!]/g, "").slice(0, SHOWN);
    const words = alt ? `Image: ${alt} (${where})` : `Image: ${where}`;
    return { nodes: [href && !inLink ? { tag: "a", href, kids: [words] } : words], end };
  }
  const kids = inline(label, false, depth + 1, true);
  if (!href || inLink) return { nodes: raw && !inLink ? [...kids, ` (${where})`] : kids, end };
  return { nodes: [{ tag: "a", href, kids }, ...(misleads(label, where) ? [` (${where})`] : [])], end };
}
