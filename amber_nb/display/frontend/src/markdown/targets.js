// @ts-check
/** Where a link leads: which addresses a reader may click, and whose label misleads, as ../../../escape.py has it. Pure: no DOM. */

const HOST = "[\\p{L}\\p{N}_\\-]{1,63}(?:\\.[\\p{L}\\p{N}_\\-]{1,63}){0,20}\\.?";
const WEB = RegExp(`^https?:\\/\\/(${HOST}|\\[[\\dA-Fa-f:.]{2,45}\\])(?::\\d{1,5})?(?:[\\/?#]|$)`, "iu");
const MAIL = RegExp(`^mailto:[\\p{L}\\p{N}_.+\\-]{1,64}@(${HOST})(?:\\?|$)`, "iu");
const ASCII_HOST = /^(?:[\w-]{1,63}(?:\.[\w-]{1,63}){0,20}\.?|\[[\da-f:.]{2,45}\])$/;
// What a browser drops from an address, and what no reader can see in it.
const DROPPED = /[\0-\x1f\x7f-\x9f\u00ad\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\ud800-\udfff]/gu;
const UNSEEN = /[\0-\x1f\x7f-\x9f\u00ad\u034f\u115f\u1160\u180b-\u180e\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufe00-\ufe0f\ufeff\u{e0000}-\u{e0fff}]/gu;
const NAMED = /[\p{L}\p{N}_-]{1,63}(?:\.[\p{L}\p{N}_-]{1,63}){0,20}\.\p{L}{2,24}/gu;
// Letters from right to left beside others in one name: each reader reads another host.
const RIGHT_TO_LEFT = /[\u0590-\u08ff\ufb1d-\ufdff\ufe70-\ufefc\u{10800}-\u{10fff}\u{1e800}-\u{1efff}]/u;
const LONGEST = 8000;

/**
 * The address of a link, if it is one we let a reader click: http, https or mailto with a plain host, as the browser's own
 * parser writes it.
 * @param {string} raw its escapes and character references decoded
 * @returns {string | undefined}
 */
export function safeHref(raw) {
  const text = raw.replace(DROPPED, "").trim();
  const host = (WEB.exec(text) ?? MAIL.exec(text))?.[1].toLowerCase();
  if (!host || text.length > LONGEST || !isPlain(host)) return undefined;
  try {
    const url = new URL(text);
    if (url.protocol === "mailto:") {
      const at = url.href.indexOf("@") + 1;
      const { hostname } = new URL(`http://${host}`);
      return ASCII_HOST.test(hostname) ? url.href.slice(0, at) + hostname + url.search : undefined;
    }
    // Where the parser reads another host than a reader does, it is none: 0x7f.1, 1.2.3.
    if (!ASCII_HOST.test(url.hostname) || (!/[^\0-\x7f]/.test(host) && url.hostname !== host)) return undefined;
    return url.href;
  } catch {
    return undefined;
  }
}

/** Whether every parser reads the same host from these letters. @param {string} host in small letters */
function isPlain(host) {
  if (!/[^\0-\x7f]/.test(host)) return !/(?:^|\.)xn--[^.]*-(?:\.|$)/.test(host); // no foreign letter in it
  if (host.normalize("NFKC") !== host || /[\u00df\u03c2]|\p{M}|(?:^|\.)xn--/u.test(host)) return false;
  if (!RIGHT_TO_LEFT.test(host)) return true;
  return host.split(".").every((label) => /^[a-z]*$/.test(label) || (/^\p{L}+$/u.test(label) && [...label].every((c) => RIGHT_TO_LEFT.test(c))));
}

/** @param {string} href of `safeHref` */
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
  if (host.includes("xn--")) return true;
  const seen = label.slice(0, 2000).replace(UNSEEN, "").normalize("NFKC").toLowerCase();
  const named = seen.replace(/(?<=[a-z\d])\u3002(?=[a-z\d])/g, ".").match(NAMED) ?? [];
  return named.some((name) => !`.${host}`.endsWith(`.${name.replace(/^www\./, "")}`));
}
