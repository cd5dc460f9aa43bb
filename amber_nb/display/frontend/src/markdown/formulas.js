// @ts-check
/** Formulas: where they end, and what between dollars is none, as ../../../markdown_math.py has it. Pure: no DOM. */

/** @type {Record<string, string>} */
const CLOSERS = { $: "$", $$: "$$", "\\(": "\\)", "\\[": "\\]" };
const LONGEST = 5000; // characters
const ENVIRONMENTS = new Set(
  (
    "Bmatrix Vmatrix align align* alignat alignat* aligned alignedat array bmatrix bmatrix* cases cases* dcases dcases* " +
    "eqnarray eqnarray* equation equation* flalign flalign* gather gather* gathered matrix matrix* multline multline* " +
    "pmatrix pmatrix* rcases rcases* smallmatrix split subarray vmatrix vmatrix*"
  ).split(" "),
);
const BEGIN = /\\begin\{([a-zA-Z]{2,20}\*?)\}/y;
const STEP = /\\(?:[a-zA-Z]+\*?|[^])|[{}$`]|\n[ \t]*\n/g;
const COMMENT = /(?<!\\)%|(?<![\\{])#/;
const SIGN = /[\\^_{}=<>+*|~]/;
const WORDS = /^[\p{L}\p{N}_\s.,;:!?'"’“”–—/&-]*$/u;
const WORD = /\p{L}{2,}/gu;
const CJK = /[\u3040-\u30ff\u3400-\u9fff\uac00-\ud7a3]/;
const FUNCTIONS = new Set(
  (
    "arccos arcsin arctan arg cos cosh cot csc deg det diag dim div exp gcd grad inf ker lim ln log max min mod rank sec " +
    "sgn sign sin sinh sup tan tanh trace var cov"
  ).split(" "),
);
const TEXTS = /\\(?:text\w*|mathrm|mbox|operatorname\*?|tag\*?)\s*\{[^{}]*\}/g;
const INTERVAL = /\](?:\p{L}?[^\p{L}\p{N}_[\]]|\p{Nd}|\\[a-zA-Z]+){1,40}\[/gu;
const BRACKET = /\\(left|right)\b\s*\\?.?|\\(?:[a-zA-Z]+|[^])|[()[\]（）［］]/gs;
const ORDINAL = /^(?:th|st|nd|rd|s|d|es)(?![a-zA-Z])/;
const AMOUNT = /^\p{Nd}[\p{Nd}.,]*\s?(?:[KMBT]|bn|mn)(?![A-Za-z])./u;
const VARIABLE = /^[A-Z][A-Z0-9_]{2,}$/;

/**
 * Whether what stands between dollars is a formula, and neither prices, tickers, a path nor words.
 * @param {string} content
 * @param {string} before the character before the first dollar; of a pair of dollars, it is a dollar
 * @param {string} after the text behind the last
 */
export function holdsFormula(content, before, after) {
  if (!content.trim() || content[0] === "/" || content.endsWith("/") || COMMENT.test(content)) return false;
  if (/[A-Za-z0-9]/.test(before) && !/[\\^_]/.test(content[0])) return false;
  if (after[0] === "{") return false;
  if (/^[A-Za-z]/.test(after) && !ORDINAL.test(after) && content.length > 1) {
    if (!/[A-Za-z0-9)}\]'!|*]$/.test(content) || !/[\\^_={]/.test(content) || VARIABLE.test(content)) return false;
  }
  if (!SIGN.test(content)) {
    if (CJK.test(content)) return false;
    const words = WORDS.test(content) ? (content.match(WORD) ?? []).filter((word) => !FUNCTIONS.has(word)) : null;
    const most = words?.includes(content) ? 3 : before === "$" ? 1 : 2; // letters: `$ABC$` may be a triangle
    if (words && (words.length > 1 || words.some((word) => word.length > most) || AMOUNT.test(content))) return false;
  }
  return balanced(content);
}

/** Whether each bracket has its partner. @param {string} content */
function balanced(content) {
  let depth = 0;
  for (const [found, command] of content.replace(TEXTS, "").replace(INTERVAL, "()").matchAll(BRACKET)) {
    if (command) depth += command === "left" ? 1 : -1;
    else if ("([（［".includes(found)) depth++;
    else if (")]）］".includes(found)) depth--;
    if (depth < 0) return false;
  }
  return depth === 0;
}

/** How much may be read for formulas without an end. */
export class Budget {
  /** @param {number} length of the text */
  constructor(length = 0) {
    this.left = 20_000 + 4 * length;
  }
}

/**
 * Where the formula that opens there is over, or -1.
 * @param {string} s
 * @param {number} at
 * @param {Budget} budget
 */
export function formulaEnd(s, at, budget) {
  BEGIN.lastIndex = at;
  const begin = BEGIN.exec(s);
  if (begin) return environmentEnd(s, at, begin[1], budget);
  if (s.startsWith("$$$", at)) return -1;
  const opener = [s.slice(at, at + 2), s[at]].find((mark) => Object.hasOwn(CLOSERS, mark));
  if (!opener) return -1;
  const from = at + opener.length;
  const end = closerOf(s, from, opener, budget);
  if (end < 0) return -1;
  const over = end + CLOSERS[opener].length;
  const before = opener === "$$" ? "$" : (s[at - 1] ?? "");
  const content = s.slice(from, end);
  // Brackets without a letter in them are those of a pattern.
  const holds = opener[0] === "$" ? holdsFormula(content, before, s.slice(over, over + 4)) : /[\p{L}\p{N}]/u.test(content);
  return holds ? over : -1;
}

/** @param {string} s @param {number} at @param {string} name @param {Budget} budget */
function environmentEnd(s, at, name, budget) {
  if (!ENVIRONMENTS.has(name) || budget.left < 0) return -1;
  let text = s.slice(at, at + LONGEST);
  const blank = text.search(/\n[ \t]*\n/);
  if (blank >= 0) text = text.slice(0, blank);
  let depth = 0;
  for (const found of text.matchAll(marksOf(name))) {
    depth += found[1] === "begin" ? 1 : -1;
    if (!depth) return at + found.index + found[0].length;
  }
  budget.left -= text.length;
  return -1;
}

/** @param {string} name of an environment */
function marksOf(name) {
  return RegExp(`\\\\(begin|end)\\{${name.replace("*", "\\*")}\\}`, "g");
}

/** @param {string} s @param {number} from @param {string} opener @param {Budget} budget */
function closerOf(s, from, opener, budget) {
  const closer = CLOSERS[opener];
  if (budget.left < 0 || from >= s.length || (opener === "$" && /\s/.test(s[from]))) return -1;
  const stop = Math.min(s.length, from + LONGEST);
  let end = -1;
  let at = from;
  STEP.lastIndex = from;
  for (let depth = 0, step; (step = STEP.exec(s)); ) {
    at = step.index;
    const [found] = step;
    if (at + found.length > stop) break;
    if (found === "{" || found === "}") depth += found === "{" ? 1 : -1;
    else if (!depth && s.startsWith(closer, at) && (closer[0] === "$" || found === closer)) end = at;
    else if (/^(?:`|\n|\\[()[\]]$)/.test(found)) break;
    if (depth < 0 || end >= 0) break;
  }
  budget.left -= at - from;
  if (end <= from || !s.slice(from, end).trim()) return -1;
  const after = s[end + closer.length] ?? "";
  if (opener[0] === "$" && after === "$") return -1;
  return opener === "$" && (/\s/.test(s[end - 1]) || /\p{Nd}/u.test(after)) ? -1 : end;
}

/** A formula on lines of its own, as its lines come. */
export class Formula {
  /**
   * @param {string} line its first
   * @returns {Formula | null}
   */
  static opening(line) {
    const found = /^ {0,3}(\$\$|\\\[|\\begin\{([a-zA-Z]{2,20}\*?)\})/.exec(line);
    if (!found || (found[2] && !ENVIRONMENTS.has(found[2]))) return null;
    return new Formula(found[1], found[2] ?? "", line.trim() === found[1]);
  }

  /** @param {string} opener @param {string} name of its environment @param {boolean} alone on its line */
  constructor(opener, name, alone) {
    this.opener = opener;
    this.name = name;
    this.alone = alone;
    this.closer = name ? `\\end{${name}}` : CLOSERS[opener];
    /** @type {string[]} */
    this.lines = [];
    this.size = 0;
    this.depth = 0;
    /** The formula with its delimiters, and the one character that may follow it. */
    this.source = "";
    this.trailing = "";
  }

  /**
   * @param {string} line without the marks of its containers
   * @returns {"open" | "whole" | "none"}
   */
  add(line) {
    const text = line.trim();
    if (this.size > LONGEST || (!text && !this.alone && !this.name)) return "none";
    const isFirst = !this.lines.length;
    this.lines.push(line);
    this.size += text.length + 1;
    let at;
    if (this.name) {
      this.depth += text.split(this.opener).length - text.split(this.closer).length;
      at = this.depth <= 0 ? text.lastIndexOf(this.closer) : -1;
    } else {
      at = text.indexOf(this.closer, isFirst ? 2 : 0);
      if (text[at - 1] === "\\") at = -1;
    }
    if (at < 0) return "open";
    this.trailing = text.slice(at + this.closer.length).trim();
    const body = this.lines.join("\n").trim();
    this.source = body.slice(0, body.lastIndexOf(this.closer) + this.closer.length);
    const inner = this.source.slice(this.opener.length, -this.closer.length);
    if (this.trailing.length > 1 || !inner.trim()) return "none";
    return this.opener === "$$" && !this.alone && !holdsFormula(inner, "$", "") ? "none" : "whole";
  }
}

/**
 * Whether a line may still turn out to begin a formula on lines of its own.
 * @param {string} line its beginning
 */
export function mayOpenFormula(line) {
  const text = line.trimStart();
  return /^(?:\$\$|\$$|\\\[|\\$)/.test(text) || text.startsWith("\\begin{") || (!!text && "\\begin{".startsWith(text));
}
