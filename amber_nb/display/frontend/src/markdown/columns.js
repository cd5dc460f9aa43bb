// @ts-check
/** Wide characters: how many columns a line takes, and where a line's end is one. Pure: no DOM. */

const LONG = 60; // columns; a line of that length is taken for one that was broken because it was full
// As ../../../markdown_inline.py has them.
const IDEOGRAPHS =
  "\\u1100-\\u115f\\u2329\\u232a\\u2e80-\\u303e\\u3041-\\ua4cf\\ua960-\\ua97f\\uac00-\\ud7a3\\uf900-\\ufaff\\ufe10-\\ufe19" +
  "\\ufe30-\\ufe6f\\uff01-\\uff60\\uffe0-\\uffe6\\u{16fe0}-\\u{1b2ff}\\u{1f200}-\\u{1f265}\\u{20000}-\\u{3fffd}";
const WIDE = RegExp(`[${IDEOGRAPHS}\\u{1f300}-\\u{1f64f}\\u{1f680}-\\u{1f6ff}\\u{1f900}-\\u{1faff}]`, "gu");
export const CJK = RegExp(
  `^[${IDEOGRAPHS}\\u1160-\\u11ff\\u20a9\\u3131-\\u318e\\ud7b0-\\ud7fb\\uff61-\\uffdc\\uffe8-\\uffee]`,
  "u",
);
const LIST_SIGN =
  /[ \t]*(?:[-+*•‣⁃◦▪▫▸▹►▶●○■□◆◇·–—→⇒➔➜➤✓✔✗✘✅❌❗⚠☐☑☒★☆|>│├└┌┬┼─═║╔╚╠#{}[\]<]|\(?(?:\d{1,3}|[a-zA-Z]|[ivx]{1,5})[.)](?=\s))/y;

/** @param {string} line */
function columnsOf(line) {
  let columns = 0;
  for (const _ of line) columns++;
  return columns + (line.match(WIDE)?.length ?? 0);
}

/**
 * Whether a line end is but a space: behind a line that was full, and before none that begins with a list's sign.
 * @param {string} s
 * @param {number} at of the line end
 * @param {string} before what stands on its line before the text
 */
export function flows(s, at, before) {
  const start = at ? s.lastIndexOf("\n", at - 1) + 1 : 0;
  const line = (start ? "" : before) + s.slice(start, at);
  if (line.length < LONG / 2 || columnsOf(line.replace(/^[ \t]+|[ \t]+$/g, "")) < LONG) return false;
  LIST_SIGN.lastIndex = at + 1;
  return !LIST_SIGN.test(s);
}
