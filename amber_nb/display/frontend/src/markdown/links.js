// @ts-check
/** Links: where they end, which addresses a reader may click, and what has to be said beside them. Pure: no DOM. */

import { decode } from "./entities.js";
import { closingTicks, runLength } from "./spans.js";

const AUTOLINK = /<((?:https?:\/\/|mailto:)[^\s<>]*|[\w.+-]+@[\w-]+(?:\.[\w-]+)+)>/iy;
const TARGET = /\(\s*(?:<([^<>\n]*)>|((?:[^\s()\\]|\\.|\((?:[^\s()\\]|\\.)*\))*))(?:\s+(?:"[^"]*"|'[^']*'|\([^()]*\)))?\s*\)/y;

/**
 * The address of a link, if it is one we let a reader click: http, https or mailto, judged after decoding, by the
 * browser's own parser, and handed on as that parser wrote it.
 * @param {string} raw
 * @returns {string | undefined}
 */
export function safeHref(raw) {
  const text = decode(raw).replace(/[\u0000-\u0020\u007f-\u00a0]+/g, "");
  if (!/^(https?:\/\/|mailto:)/i.test(text)) return undefined;
  try {
    const url = new URL(text);
    // A user name before the host is there to look like the host.
    return ["http:", "https:", "mailto:"].includes(url.protocol) && !url.username && !url.password ? url.href : undefined;
  } catch {
    return undefined;
  }
}

/**
 * The address in angle brackets, if one stands there.
 * @param {string} s
 * @param {number} at
 */
export function autolink(s, at) {
  AUTOLINK.lastIndex = at;
  const found = AUTOLINK.exec(s);
  const href = found && safeHref(found[1].includes(":") ? found[1] : `mailto:${found[1]}`);
  return href ? { href, label: found[1], end: at + found[0].length } : null;
}

/**
 * The link or image whose brackets open there.
 * @param {string} s
 * @param {number} at of `[` or `![`
 * @returns {{ label: string, raw: string | null, end: number } | null} `raw`: the address as it was written; null while
 *   it is not all there
 */
export function findLink(s, at) {
  const from = at + (s[at] === "!" ? 2 : 1);
  let level = 1;
  let i = from;
  for (; i < s.length && level; i++) {
    if (s[i] === "\\") i++;
    else if (s[i] === "[") level++;
    else if (s[i] === "]") level--;
    else if (s[i] === "`") {
      const n = runLength(s, i);
      const end = closingTicks(s, i + n, n);
      i = (end < 0 ? i : end) + n - 1;
    }
  }
  if (level || s[i] !== "(") return null;
  TARGET.lastIndex = i;
  const found = TARGET.exec(s);
  const label = s.slice(from, i - 1);
  if (found) return { label, raw: found[1] ?? found[2] ?? "", end: i + found[0].length };
  return /[\n)]/.test(s.slice(i)) ? null : { label, raw: null, end: s.length };
}

/** @param {string} href */
export function hostOf(href) {
  const url = new URL(href);
  return url.host || (url.pathname.split("@").pop() ?? "");
}

/**
 * Whether a link's label names another host than the link leads to, or the host has foreign letters.
 * @param {string} label
 * @param {string} host
 */
export function misleads(label, host) {
  const named = label.toLowerCase().match(/[\w-]{1,63}(?:\.[\w-]{1,63}){0,20}\.[a-z]{2,24}/g) ?? [];
  return host.includes("xn--") || named.some((name) => !`.${host}`.endsWith(`.${name.replace(/^www\./, "")}`));
}
