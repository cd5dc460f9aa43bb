// @ts-check
/** What one line of Markdown says: its marks, its indent, its cells. Pure: no DOM, no state. */

export const FENCE = /^ {0,3}(`{3,}(?=[^`]*$)|~{3,})(.*)$/;
export const ITEM = /^( {0,3})([-+*]|\d{1,9}[.)])(?=[ \t]|$)/;
export const RULE = /^ {0,3}([-_*])(?:[ \t]*\1){2,}[ \t]*$/;
export const QUOTE = /^ {0,3}> ?/;
export const HEADING = /^ {0,3}(#{1,6})(?:[ \t]+|$)/;
export const UNDERLINE = /^ {0,3}(=+|-+)[ \t]*$/;
export const TASK = /^\[([ xX])\](?:[ \t\n]|$)/;
export const NOTE = /^ {0,3}\[\^([^\s[\]^]{1,40})\]:[ \t]*/;
const FENCE_END = /^ {0,3}(`{3,}|~{3,})[ \t]*$/;
// Controls, and the bidi overrides that turn a line around: shown, not obeyed.
const UNSEEN = /[\0-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]/g;

/**
 * A model's text with line feeds as line ends, and with the characters made visible that would act unseen.
 * @param {string} text
 */
export function plainly(text) {
  return text.replace(/\r\n?/g, "\n").replace(UNSEEN, visible);
}

/** @param {string} char */
function visible(char) {
  const code = char.charCodeAt(0);
  if (!code) return "\ufffd";
  return code < 32 ? String.fromCharCode(0x2400 + code) : `[U+${code.toString(16).toUpperCase().padStart(4, "0")}]`;
}

/** Whether a line is one without text; wide blanks are text. @param {string} line */
export function isBlank(line) {
  return !/[^ \t]/.test(line);
}

/** @param {string} line */
export function trimStart(line) {
  return line.replace(/^[ \t]+/, "");
}

/**
 * Columns of white space a line begins with.
 * @param {string} line
 */
export function indentOf(line) {
  return leading(line, Infinity).column;
}

/**
 * The line without so many columns of its indent; a tab that reaches beyond them leaves spaces.
 * @param {string} line
 * @param {number} columns
 */
export function unindent(line, columns) {
  const { column, length } = leading(line, columns);
  return " ".repeat(Math.max(0, column - columns)) + line.slice(length);
}

/**
 * The line with the tabs before its text as spaces: within containers their stops are those of the whole line.
 * @param {string} line
 */
export function expandTabs(line) {
  const [prefix] = /** @type {RegExpExecArray} */ (/^(?:[ \t>*+-]|\d{1,9}[.)](?=[ \t]|$)|\[\^[^\s[\]^]{1,40}\]:)*/.exec(line));
  if (!prefix.includes("\t")) return line;
  let out = "";
  for (const char of prefix) out += char === "\t" ? " ".repeat(4 - (out.length % 4)) : char;
  return out + line.slice(prefix.length);
}

/** @param {string} line @param {number} columns at which to stop */
function leading(line, columns) {
  let column = 0;
  let length = 0;
  for (; length < line.length && column < columns; length++) {
    if (line[length] === " ") column++;
    else if (line[length] === "\t") column += 4 - (column % 4);
    else break;
  }
  return { column, length };
}

/**
 * Whether a line closes the code block that this fence opened.
 * @param {string} line
 * @param {string} fence
 */
export function closesFence(line, fence) {
  const close = FENCE_END.exec(line);
  return !!close && close[1][0] === fence[0] && close[1].length >= fence.length;
}

/**
 * Whether a list may begin in the middle of a paragraph: not with an empty item, nor with a number other than 1.
 * @param {RegExpExecArray} item
 * @param {string} line
 */
export function interrupts(item, line) {
  return line.slice(item[0].length).trim() !== "" && !/^(?!1[.)])\d/.test(item[2]);
}
