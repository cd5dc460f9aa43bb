// @ts-check
/** Addresses that stand bare in a text, as ../../../addresses.py reads them. Pure: no DOM. */

import { safeHref } from "./targets.js";

// What ends an address: quotes, dashes, bullets, arrows and other signs, and the punctuation of Chinese and Japanese.
const ENDS =
  "\\u00ab\\u00bb\\u200b\\u200e\\u200f\\u2014-\\u206f\\u2190-\\u2bff\\u3000-\\u3004\\u3008-\\u3020\\u3030\\u303d-\\u303f" +
  "\\ufe10-\\ufe1f\\ufe30-\\ufe6f\\uff01-\\uff0f\\uff1a-\\uff20\\uff3b-\\uff40\\uff5b-\\uff65\\uffe0-\\uffee\\u{1f000}-\\u{1faff}";
// Letters that are written without spaces between the words, or that stand directly behind a foreign word.
const UNSPACED =
  "\\u0e00-\\u0eff\\u1000-\\u109f\\u1100-\\u11ff\\u1780-\\u17ff\\u2e80-\\ud7ff\\uf900-\\ufaff\\uff01-\\uffdc\\u{20000}-\\u{3fffd}";
const ADDRESS = RegExp(
  `(?:https?:\\/\\/(?:\\[[\\da-f:.]{2,45}\\])?|(?<![^\\s*_~(\\[${ENDS}${UNSPACED}])www\\.(?=[\\p{L}\\p{N}_\\-]{1,63}\\.[a-z]))` +
    `[^\\s\\0-,\\/:-@\\[-^\`{-\\xa0${ENDS}]{0,255}(?::\\d{1,5}(?!\\d))?(?:[\\/?#][^\\s<>"'\`${ENDS}]{0,2000})?`,
  "giu",
);
const ASCII_HOST = RegExp(`^(?:https?:\\/\\/)?[a-z0-9_\\-]+(?:\\.[a-z0-9_\\-]+)*\\.([a-z0-9\\-]{2,63})(?=[${UNSPACED}])`, "iu");
// What stands before is no host, or not all of it: an escape, a user name, or a letter behind what nobody sees.
const USER = /%|[^\s/?#<>"'`]{0,255}@|[\u200b\u200e\u200f\u202a-\u202e\u2060-\u206f]{1,255}[\p{L}\p{N}_.\-]/uy;
const DOMAIN = /^(?:ai|app|biz|br|ca|cc|cloud|cn|co|com|de|dev|edu|eu|fr|gov|hk|in|info|io|jp|kr|me|net|org|ru|th|tv|tw|uk|us|xyz)$/i;

/**
 * Where each address begins and ends, and what a reader may click; those left out that may still grow.
 * @param {string} text
 * @param {boolean} open the text still grows
 */
export function* findAddresses(text, open) {
  ADDRESS.lastIndex = 0;
  for (let found; (found = ADDRESS.exec(text)); ) {
    const { index } = found;
    const over = index + found[0].length;
    USER.lastIndex = over;
    const address = USER.test(text) ? "" : withoutPunctuation(withoutWords(found[0]));
    const href = address && safeHref(/^http/i.test(address) ? address : `http://${address}`);
    if (!href || (open && over === text.length)) {
      ADDRESS.lastIndex = over;
      continue;
    }
    const end = (ADDRESS.lastIndex = index + address.length);
    yield { index, end, href, address };
    ADDRESS.lastIndex = end;
  }
}

/** An address without the words directly behind its host; "" where nobody can tell them apart. @param {string} address */
function withoutWords(address) {
  const host = ASCII_HOST.exec(address);
  if (!host) return address;
  return DOMAIN.test(host[1]) || !/[./?#:]/.test(address.slice(host[0].length)) ? host[0] : "";
}

/** An address as it stands in a sentence, without what ends that, or a bracket around it. @param {string} address */
function withoutPunctuation(address) {
  let end = address.length;
  let surplus = address.split(")").length - address.split("(").length;
  for (; end && (".,;:!?*_]}\u00b7".includes(address[end - 1]) || (address[end - 1] === ")" && surplus > 0)); end--) {
    if (address[end - 1] === ")") surplus--;
  }
  return address.slice(0, end);
}
