// @ts-check
/** Where the spans end whose text is no Markdown: code and maths. Pure: no DOM. */

const LONGEST = 2500; // characters: a longer formula is frozen in pieces, like any text

/** @param {string} s @param {number} i */
export function runLength(s, i) {
  let n = 1;
  while (s[i + n] === s[i]) n++;
  return n;
}

/** @param {string} s @param {number} from @param {number} n */
export function closingTicks(s, from, n) {
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
export function mathEnd(s, i) {
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
 * Whether a paragraph begins with a formula on lines of its own that is not whole yet.
 * @param {string} s
 */
export function opensFormula(s) {
  const close = s.startsWith("$$") ? "$$" : s.startsWith("\\[") ? "\\]" : "";
  return !!close && s.length < LONGEST && s.indexOf(close, 2) < 0;
}
