// @ts-check
/** Code within a line. Pure: no DOM. */

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
