// @ts-check
/** Wide characters: how many columns a line takes, and where a line's end is one; as ../../../markdown_lines.py has it. Pure: no DOM. */

const LONG = 60; // columns; a line of that length is taken for one that was broken because it was full
export const AHEAD = 200; // characters of the next line that may decide
const IDEOGRAPHS =
  "\\u1100-\\u115f\\u2329\\u232a\\u2e80-\\u303e\\u3041-\\ua4cf\\ua960-\\ua97f\\uac00-\\ud7a3\\uf900-\\ufaff\\ufe10-\\ufe19" +
  "\\ufe30-\\ufe6f\\uff01-\\uff60\\uffe0-\\uffe6\\u{16fe0}-\\u{1b2ff}\\u{1f200}-\\u{1f265}\\u{20000}-\\u{3fffd}";
const WIDE = RegExp(`[${IDEOGRAPHS}\\u{1f300}-\\u{1f64f}\\u{1f680}-\\u{1f6ff}\\u{1f900}-\\u{1faff}]`, "gu");
export const CJK = RegExp(
  `^[${IDEOGRAPHS}\\u1160-\\u11ff\\u20a9\\u3131-\\u318e\\ud7b0-\\ud7fb\\uff61-\\uffdc\\uffe8-\\uffee]`,
  "u",
);
const UNSPACED = /^[\u2e80-\u303e\u3041-\u3130\u3190-\ua4cf\uf900-\ufaff\ufe30-\ufe6f\uff01-\uff60\u{20000}-\u{3fffd}]/u;
const LIST_SIGN =
  /^[ \t]*(?:[-+*•‣⁃◦▪▫▸▹►▶●○■□◆◇·–—→⇒➔➜➤✓✔✗✘✅❌❗⚠☐☑☒★☆|>│├└┌┬┼─═║╔╚╠#{}[\]<]|\(?(?:\d{1,3}|[a-zA-Z]|[ivx]{1,5})[.)](?=\s)|[`\\]--)/;
// How a line begins that stands by itself: a speaker or a label, a time or a date, a level of a log, an address, a path.
const W = "[\\p{L}\\p{N}_.'\\-]";
const ENTRY = RegExp(
  `^[ \\t]*(?:[*_]{0,3}(?:\\p{L}${W}{0,24}|[A-ZÀ-ÖØ-ÞА-Я]${W}{0,20}(?: ${W}{1,20}){1,2})` +
    "(?: ?\\([^()]{1,20}\\))?[*_]{0,3}(?:：|:(?=[\\s*_]|$))" +
    "|\\d{4}[\\-\\/.]\\d{1,2}(?:[\\-\\/. T]|$)|\\d{1,2}:\\d{2}|\\d{1,2}[.\\/]\\d{1,2}[.\\/]\\d{2,4}|\\d{1,3}(?:\\.\\d{1,3}){3}" +
    "|(?:Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec|Mon|Tue|Wed|Thu|Fri|Sat|Sun)[a-z]{0,6}[ ,.]+\\d" +
    "|(?:TRACE|DEBUG|INFO|WARN|WARNING|ERROR|FATAL|CRITICAL)(?![\\p{L}\\p{N}_])" +
    "|(?:https?|ftp):\\/\\/|www\\.|~?\\/[\\p{L}\\p{N}_]|\\.{1,2}\\/|[a-zA-Z]:\\\\)",
  "u",
);
const FIELD = /[,;](?!\s|\d{3}(?!\d)|$)/g; // and no thousands
const CLAUSE = /[,;—，；]$/;
const CAPITAL = /^[ \t]*["'“‘«(*_]{0,3}[A-ZÀ-ÖØ-ÞΑ-ΩА-Я]/;

/** @param {string} line */
function columnsOf(line) {
  let columns = 0;
  for (const _ of line) columns++;
  return columns + (line.match(WIDE)?.length ?? 0);
}

/** What stands around a piece of a paragraph: on its first line before it, behind it, and the widest line above it. */
export const ALONE = { before: "", after: "", width: 0 };

/**
 * Where the line ends stand that are but spaces, and what each of them is: a line feed, or nothing.
 * @param {string} s
 * @param {typeof ALONE} around
 */
export function flowingEnds(s, { before, after, width }) {
  /** @type {Map<number, string>} */
  const ends = new Map();
  let start = 0;
  for (let end; (end = s.indexOf("\n", start)) >= 0; start = end + 1) {
    const line = ((start ? "" : before) + s.slice(start, end)).replace(/^[ \t]+|[ \t]+$/g, "");
    const columns = line.length < LONG / 2 ? 0 : columnsOf(line);
    width = Math.max(width, columns);
    if (columns < LONG) continue;
    const from = end + 1;
    const ahead = s.slice(from, from + 2 * AHEAD);
    const following = [...(ahead + (from + ahead.length === s.length ? after : "")).split("\n", 1)[0]].slice(0, AHEAD).join("");
    if (goesOn(line, following, width - columns)) ends.set(end, joint(line, following));
  }
  return { ends, width };
}

/**
 * Whether a full line goes on in the next one.
 * @param {string} line
 * @param {string} following
 * @param {number} room what the widest line so far has more than it
 */
function goesOn(line, following, room) {
  if (LIST_SIGN.test(following) || ENTRY.test(following) || /[:：]$/.test(line)) return false;
  if ((line.match(FIELD)?.length ?? 0) >= 3 || (CLAUSE.test(line) && CAPITAL.test(following))) return false;
  /** @param {string} text @param {string} sign */
  const count = (text, sign) => text.split(sign).length - 1;
  if ([",", ";", "\t"].some((sign) => count(line, sign) >= 3 && count(line, sign) === count(following, sign))) return false;
  const word = /^[ \t]*([^ \t]*)/.exec(following)?.[1] ?? "";
  const needed = UNSPACED.test(word) ? columnsOf([...word].slice(0, 2).join("")) : 1 + columnsOf(word);
  return needed > room; // it would have stood there, had the line been broken because it was full
}

/** @param {string} line @param {string} following */
function joint(line, following) {
  const last = [...line.replace(/[*_~]+$/, "").slice(-2)].pop() ?? "";
  const unspaced = UNSPACED.test(last) && UNSPACED.test(following.replace(/^[ \t*_~]+/, ""));
  return unspaced && !line.split(/\s+/).pop()?.includes("://") ? "" : "\n"; // an address would grow
}
