// @ts-check
/** Character references and backslash escapes → the characters they stand for. Pure: no DOM. */

export const ENTITY = /&(?:#x([\da-f]{1,6})|#(\d{1,7})|([a-z]{2,8}));/iy;
/** @type {Record<string, string>} */
const NAMED = {
  // @ts-expect-error: so that it has these names only
  __proto__: null,
  amp: "&", lt: "<", gt: ">", quot: '"', apos: "'", nbsp: "\u00a0", copy: "©", reg: "®", deg: "°", euro: "€",
  hellip: "…", mdash: "—", ndash: "–", times: "×", rarr: "→", larr: "←", le: "≤", ge: "≥", ne: "≠", middot: "·",
};

/** @param {string} text */
export function decode(text) {
  const { source } = ENTITY;
  return text.replace(RegExp(`\\\\([!-/:-@[-\`{-~])|${source}`, "gi"), (all, escaped, hex, dec, name) =>
    escaped ?? entity(hex, dec, name) ?? all,
  );
}

/**
 * @param {string | undefined} hex
 * @param {string | undefined} dec
 * @param {string | undefined} name
 * @returns {string | undefined}
 */
export function entity(hex, dec, name) {
  if (name) return NAMED[name];
  const code = hex ? parseInt(hex, 16) : Number(dec);
  return code > 0 && code <= 0x10ffff && (code < 0xd800 || code > 0xdfff) ? String.fromCodePoint(code) : "\ufffd";
}
