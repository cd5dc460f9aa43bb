// @ts-check
/** Code within a line, and signs that mean themselves; as ../../../markdown_lines.py has them. Pure: no DOM. */

// The lines of a tree, and what its branches begin with.
const BRANCH = /^([ \t|│┃║]*)(?:[├└┌┬┼╠╚]|\+--|\|--|(`+|\\)--+(?=[ \t]*[^\s-])).*$/gm;
const PATH =
  /(?:(?<![A-Za-z0-9])[A-Za-z]:|(?<!\S)(?:%[\p{L}\p{N}_]{1,40}%|\.{1,2}|\\\\[\p{L}\p{N}_.$-]{1,60}(?=\\[\p{L}\p{N}_*$])))\\[^\s`<>"|]*/gu;
const SEPARATOR = /\\(?:(?!\*\*(?:[^*\p{L}\p{N}_.\\]|$))(?:[*_]+(?=[\\.\p{L}\p{N}_?])|[!-/:-@[-_{-~]))?/gu;

/** @param {string} s @param {number} i */
export function runLength(s, i) {
  let n = 1;
  while (s[i + n] === s[i]) n++;
  return n;
}

/** @param {string} s @param {number} from @param {number} n @param {Map<number, number>} literal */
export function closingTicks(s, from, n, literal) {
  for (let i = s.indexOf("`", from); i >= 0; ) {
    const length = runLength(s, i);
    if (length === n && !literal.has(i)) return i;
    i = s.indexOf("`", i + length);
  }
  return -1;
}

/**
 * Where the signs begin, and end, that a tree or a Windows path needs: they are no marks of Markdown.
 * @param {string} s
 * @param {string} before what stands on the first line before it
 * @param {boolean} open the text still grows
 */
export function literalSigns(s, before, open) {
  /** @type {Map<number, number>} */
  const signs = new Map();
  if (/--|[├└]/.test(s)) {
    for (const { 0: line, 1: blanks, 2: sign = "", index } of s.matchAll(BRANCH)) {
      if (!index && /[^ \t|│┃║]/.test(before)) continue;
      const at = index + blanks.length;
      const rest = line.slice(blanks.length + sign.length);
      const closer = sign[0] === "`" && [...rest.matchAll(/`+/g)].find(([run]) => run.length === sign.length);
      if (closer && !/[ \t]/.test(rest[closer.index - 1])) continue; // an option in code
      // Or it may become one.
      if (sign[0] === "`" && open && index + line.length === s.length && !/^--+ /.test(rest)) continue;
      if (sign) signs.set(at, at + sign.length + (sign === "\\" ? 1 : 0));
      for (const { 0: run, index: i } of line.matchAll(/_+/g)) signs.set(index + i, index + i + run.length);
    }
  }
  if (s.includes("\\")) {
    for (const { 0: path, index } of s.matchAll(PATH)) {
      for (const { 0: found, index: i } of path.matchAll(SEPARATOR)) signs.set(index + i, index + i + found.length);
    }
  }
  return signs;
}
