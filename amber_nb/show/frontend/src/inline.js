// @ts-check
/**
 * Inline Markdown of one short piece of text → a small tree. Pure: no DOM.
 *
 * `open` says that the text still grows: then a `**` that has not been closed yet is taken as bold already, so that the
 * reader does not see the marks come and go. Once the text is finished the rules are CommonMark's.
 */

/** @typedef {{ tag: string, kids: Inline[], cls?: string, href?: string }} Node */
/** @typedef {string | Node} Inline */
/** @typedef {{ mark: string, n: number, opens: boolean, closes: boolean }} Run */

const PUNCTUATION = /[!-/:-@[-`{-~\p{P}\p{S}]/u;
const ENTITY = /&(?:#x([\da-f]{1,6})|#(\d{1,7})|([a-z]{2,8}));/iy;
const AUTOLINK = /<((?:https?:\/\/|mailto:)[^\s<>]*|[\w.+-]+@[\w-]+(?:\.[\w-]+)+)>/iy;
const SHOWN = 200; // characters of an address that is no link
/** @type {Record<string, string>} */
const NAMED = {
  amp: "&", lt: "<", gt: ">", quot: '"', apos: "'", nbsp: "\u00a0", copy: "©", reg: "®", deg: "°", euro: "€",
  hellip: "…", mdash: "—", ndash: "–", times: "×", rarr: "→", larr: "←", le: "≤", ge: "≥", ne: "≠", middot: "·",
};

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

/** @param {string} text */
function decode(text) {
  return text.replace(/\\([!-/:-@[-`{-~])|&(?:#x([\da-f]{1,6})|#(\d{1,7})|([a-z]{2,8}));/gi, (all, escaped, hex, dec, name) =>
    escaped ?? entity(hex, dec, name) ?? all,
  );
}

/**
 * @param {string | undefined} hex
 * @param {string | undefined} dec
 * @param {string | undefined} name
 * @returns {string | undefined}
 */
function entity(hex, dec, name) {
  if (name) return Object.hasOwn(NAMED, name) ? NAMED[name] : undefined;
  const code = hex ? parseInt(hex, 16) : Number(dec);
  return code > 0 && code <= 0x10ffff && (code < 0xd800 || code > 0xdfff) ? String.fromCodePoint(code) : "\ufffd";
}

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
        plain += s.slice(i, stop); // math stays as it was written until the answer is settled
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
      plain += s.slice(i, stop);
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
      AUTOLINK.lastIndex = i;
      const found = AUTOLINK.exec(s);
      const href = found && safeHref(found[1].includes(":") ? found[1] : `mailto:${found[1]}`);
      if (found && href && !inLink) {
        push({ tag: "a", href, kids: [found[1]] });
        i += found[0].length;
      } else {
        plain += c;
        i++;
      }
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

/** @param {string} s @param {number} i */
function runLength(s, i) {
  let n = 1;
  while (s[i + n] === s[i]) n++;
  return n;
}

/** @param {string} s @param {number} from @param {number} n */
function closingTicks(s, from, n) {
  for (let i = s.indexOf("`", from); i >= 0; ) {
    const length = runLength(s, i);
    if (length === n) return i;
    i = s.indexOf("`", i + length);
  }
  return -1;
}

/**
 * Where the math that begins at a dollar ends; just behind the dollar when it begins none (Pandoc's rule).
 * @param {string} s
 * @param {number} i
 */
function mathEnd(s, i) {
  if (s[i + 1] === "$") {
    const end = s.indexOf("$$", i + 2);
    return end < 0 ? i + 2 : end + 2;
  }
  if (!s[i + 1] || /\s/.test(s[i + 1])) return i + 1;
  for (let end = s.indexOf("$", i + 1); end >= 0; end = s.indexOf("$", end + 1)) {
    if (s[end - 1] !== "\\") return /\s/.test(s[end - 1]) || /\d/.test(s[end + 1] ?? "") ? i + 1 : end + 1;
  }
  return i + 1;
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
  const image = s[at] === "!";
  const from = at + (image ? 2 : 1);
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
  const target = /\(\s*(?:<([^<>\n]*)>|((?:[^\s()\\]|\\.|\((?:[^\s()\\]|\\.)*\))*))(?:\s+(?:"[^"]*"|'[^']*'|\([^()]*\)))?\s*\)/y;
  target.lastIndex = i;
  const found = target.exec(s);
  const label = s.slice(from, i - 1);
  if (!found) {
    // The address is still being written: the label shows, the address does not yet.
    return open && !/[\n)]/.test(s.slice(i)) ? { nodes: inline(label, false, depth + 1, true), end: s.length } : null;
  }
  const href = safeHref(found[1] ?? found[2] ?? "");
  const end = i + found[0].length;
  const raw = found[1] ?? found[2] ?? "";
  const where = href ? hostOf(href) : raw.slice(0, SHOWN);
  if (image) {
    // Never fetched: a link that says where it would have come from.
    const alt = label.replace(/[*_`[\]!]/g, "").slice(0, SHOWN);
    const words = alt ? `Image: ${alt} (${where})` : `Image: ${where}`;
    return { nodes: [href && !inLink ? { tag: "a", href, kids: [words] } : words], end };
  }
  const kids = inline(label, false, depth + 1, true);
  if (!href || inLink) return { nodes: raw && !inLink ? [...kids, ` (${where})`] : kids, end };
  return { nodes: [{ tag: "a", href, kids }, ...(misleads(label, where) ? [` (${where})`] : [])], end };
}

/** @param {string} href */
function hostOf(href) {
  const url = new URL(href);
  return url.host || (url.pathname.split("@").pop() ?? "");
}

/**
 * Whether a link's label names another host than the link leads to, or the host has foreign letters.
 * @param {string} label
 * @param {string} host
 */
function misleads(label, host) {
  const named = label.toLowerCase().match(/[\w-]{1,63}(?:\.[\w-]{1,63}){0,20}\.[a-z]{2,24}/g) ?? [];
  return host.includes("xn--") || named.some((name) => !`.${host}`.endsWith(`.${name.replace(/^www\./, "")}`));
}

/**
 * @param {string} s
 * @param {number} i
 * @param {number} n
 * @param {string} mark
 * @returns {Run}
 */
function run(s, i, n, mark) {
  const before = charBefore(s, i);
  const after = i + n < s.length ? String.fromCodePoint(/** @type {number} */ (s.codePointAt(i + n))) : " ";
  const spaceBefore = /\s/.test(before);
  const spaceAfter = /\s/.test(after);
  const markBefore = PUNCTUATION.test(before);
  const markAfter = PUNCTUATION.test(after);
  const left = !spaceAfter && (!markAfter || spaceBefore || markBefore);
  const right = !spaceBefore && (!markBefore || spaceAfter || markAfter);
  const word = mark === "_"; // snake_case is no emphasis
  return { mark, n, opens: left && (!word || !right || markBefore), closes: right && (!word || !left || markAfter) };
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
function pair(items, open) {
  for (let c = 0; c < items.length; c++) {
    const closer = items[c];
    if (!isRun(closer) || !closer.closes) continue;
    for (let o = c - 1; o >= 0 && closer.n; o--) {
      const opener = items[o];
      if (!isRun(opener) || !opener.opens || !opener.n || opener.mark !== closer.mark) continue;
      if ((opener.closes || closer.opens) && (opener.n + closer.n) % 3 === 0 && (opener.n % 3 || closer.n % 3)) continue;
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
  return typeof item === "object" && "mark" in item;
}

/** @param {string} mark @param {number} n @param {Inline[]} kids @returns {Node} */
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
