// @ts-check
/**
 * Where each line of a Markdown text belongs: CommonMark's containers and leaves, GFM's tables and task lists. A line's
 * place is settled for good when it is given one, and what follows on the line flows into its leaf.
 */

import { Block } from "./block_tree.js";
import { make } from "../dom.js";
import { alignsOf, cellsOf } from "./cells.js";
import { Formula, mayOpenFormula } from "./formulas.js";
import { CodeLeaf, FormulaLeaf, Table, TextLeaf } from "./leaf_blocks.js";
import { FENCE, HEADING, ITEM, NOTE, QUOTE, RULE, UNDERLINE } from "./lines.js";
import { closesFence, expandTabs, indentOf, interrupts, isBlank, trimStart, unindent } from "./lines.js";

/** @typedef {import("./open_blocks.js").OpenBlocks} OpenBlocks */

const DEEPEST = 24; // containers; a thousand quotes inside each other help nobody
const TELLING = /[^\s>#*+\-_=~`|:\d.)]/;
const MAY_BE_NOTE = /^ {0,3}\[(?:\^(?:[^\s[\]^]{0,40}(?:\](?::[ \t]*)?)?)?)?$/;

/**
 * Whether a line's beginning says what the line is.
 * @param {OpenBlocks} outline
 * @param {string} line
 */
export function telling(outline, line) {
  if (!/[^\s>]/.test(line)) return false;
  const { rest, depth } = match(outline, line);
  if (isBlank(rest) || outline.leaf instanceof FormulaLeaf) return false;
  if (depth === outline.stack.length && outline.leaf instanceof CodeLeaf) {
    if (outline.leaf.inner) return !/^\s*(?:[`~]|$)/.test(rest);
    if (outline.leaf.fence) return !/^\s*[`~]*\s*$/.test(rest);
    if (indentOf(rest) >= 4) return true;
  }
  // Behind the marks of items and quotes it may begin, too.
  const text = rest.replace(/^(?:\s*(?:>|[-+*](?=\s)|\d{1,9}[.)](?=\s)|\[\^[^\s[\]^]{1,40}\]:(?=\s)))*\s*/, "");
  if (!text || mayOpenFormula(text) || MAY_BE_NOTE.test(text)) return false;
  return TELLING.test(text) && !/^[\s>*+\-\d.)]*(?:```|~~~)/.test(text);
}

/**
 * Give a line its place.
 * @param {OpenBlocks} outline
 * @param {string} line its beginning, or all of it
 * @param {boolean} whole
 */
export function place(outline, line, whole) {
  const { rest, depth } = match(outline, line);
  const all = depth === outline.stack.length;
  const blank = whole && isBlank(rest);
  if (outline.leaf instanceof FormulaLeaf) {
    if (depth >= outline.leaf.depth && whole && goesOnFormula(outline, outline.leaf, line, rest)) return;
    abandonFormula(outline);
    place(outline, line, whole);
    return;
  }
  if (all && outline.leaf instanceof CodeLeaf && goesOnCode(outline, outline.leaf, rest, whole, blank)) return;
  if (blank) {
    // A blank line ends quotes, paragraphs and tables; items wait for what comes next.
    if (!all && !["list", "note"].includes(outline.stack[depth].kind)) outline.closeTo(depth);
    else outline.closeLeaf();
    outline.blank = true;
    return;
  }
  begin(outline, rest, depth, whole);
}

/**
 * How many of the open containers a line continues, and the line without their marks.
 * @param {OpenBlocks} outline
 * @param {string} line
 */
function match({ stack, leaf, blank }, line) {
  const inFence = leaf instanceof CodeLeaf && leaf.fence;
  let rest = !inFence && line.includes("\t") && (stack.length > 1 || !/^[ \t]/.test(line)) ? expandTabs(line) : line;
  let depth = 1;
  for (; depth < stack.length; depth++) {
    const container = stack[depth];
    if (container.kind === "quote") {
      const quote = QUOTE.exec(rest);
      if (!quote) break;
      rest = rest.slice(quote[0].length);
    } else if (container.kind === "item" || container.kind === "note") {
      if (isBlank(rest)) rest = unindent(rest, Math.min(container.offset, indentOf(rest)));
      else if (blank && !container.kids.length && container.kind === "item") break;
      else if (indentOf(rest) >= container.offset) rest = unindent(rest, container.offset);
      else break;
    }
  }
  // A list goes on only with one of its items, or a new one.
  if (depth > 1 && depth < stack.length && stack[depth - 1].kind === "list") depth--;
  return { rest, depth };
}

/**
 * Whether a line belongs to the code above it; then it is put there.
 * @param {OpenBlocks} outline
 * @param {CodeLeaf} code
 * @param {string} rest
 * @param {boolean} whole
 * @param {boolean} blank
 */
function goesOnCode(outline, code, rest, whole, blank) {
  const indent = indentOf(rest);
  if (code.inner?.waiting) {
    if (blank) {
      outline.closeLeaf();
      return false;
    }
    const fence = code.inner.nest();
    outline.grow(code.nextLine(unindent(fence, Math.min(code.indent, indentOf(fence)))));
  }
  if (code.fence) {
    if (whole && (code.inner ? code.inner.ends(rest, indent, code.above) : closesFence(rest, code.fence))) outline.closeLeaf();
    else if (!code.inner?.waiting) outline.grow(code.nextLine(unindent(rest, Math.min(code.indent, indent))));
  } else if (blank) {
    code.skipLine(unindent(rest, 4));
  } else if (indent >= 4) {
    outline.grow(code.nextLine(unindent(rest, 4)));
  } else {
    return false;
  }
  return true;
}

/**
 * Give a formula its next line.
 * @param {OpenBlocks} outline
 * @param {FormulaLeaf} leaf
 * @param {string} line
 * @param {string} rest
 * @returns {boolean} whether it may still be one
 */
function goesOnFormula(outline, leaf, line, rest) {
  outline.budget.left -= rest.length + 1;
  leaf.lines.push(line);
  const state = outline.budget.left < 0 ? "none" : leaf.formula.add(rest);
  if (state === "none") {
    leaf.lines.pop();
    return false;
  }
  outline.dirty = true;
  if (state === "whole") outline.closeFormula(leaf);
  return true;
}

/**
 * Read the lines of what is no formula again, as any other lines.
 * @param {OpenBlocks} outline
 */
export function abandonFormula(outline) {
  const leaf = /** @type {FormulaLeaf} */ (outline.leaf);
  const [first] = leaf.formula.lines;
  leaf.drop();
  outline.leaf = leaf.before;
  if (leaf.before) {
    outline.grow(`\n${first}`);
  } else {
    outline.openText("p");
    outline.grow(first.trimStart());
  }
  for (const line of leaf.lines) place(outline, line, true);
}

/**
 * Read a block of Markdown again whose bare fences are no pairs.
 * @param {OpenBlocks} outline
 */
export function rereadCode(outline) {
  const { leaf } = outline;
  if (!(leaf instanceof CodeLeaf) || !leaf.inner?.isTorn || outline.stack.length > 1) return;
  outline.bare = false;
  leaf.drop();
  outline.leaf = null;
  for (const line of [leaf.fence + leaf.info, ...leaf.source.join("").split("\n")]) place(outline, line, true);
}

/**
 * Open what a line opens: containers, one inside the other, then a leaf.
 * @param {OpenBlocks} outline
 * @param {string} rest the line without the marks of the containers that it continues
 * @param {number} depth of those
 * @param {boolean} whole
 */
function begin(outline, rest, depth, whole) {
  const all = depth === outline.stack.length;
  let paragraph = outline.leaf instanceof TextLeaf && outline.leaf.tag === "p" ? outline.leaf : null;
  let table = all ? outline.table : null;
  while (outline.stack.length <= DEEPEST || indentOf(rest) >= 4) {
    if (indentOf(rest) >= 4) {
      if (paragraph) break;
      outline.enter(depth);
      outline.openCode("", 0, "");
      outline.grow(/** @type {CodeLeaf} */ (outline.leaf).nextLine(unindent(rest, 4)));
      return;
    }
    const quote = QUOTE.exec(rest);
    const item = quote ? null : ITEM.exec(rest);
    const note = NOTE.exec(rest);
    if (quote) {
      outline.enter(depth);
      outline.openQuote();
      rest = rest.slice(quote[0].length);
    } else if (openLeaf(outline, rest, depth, whole, all ? paragraph : null, paragraph)) {
      return;
    } else if (note) {
      outline.enter(depth);
      outline.openNote(note[1]);
      rest = rest.slice(note[0].length);
    } else if (item && !(paragraph && all && !interrupts(item, rest))) {
      rest = openItem(outline, item, rest, depth);
    } else {
      break;
    }
    if (isBlank(rest)) return;
    depth = outline.stack.length;
    paragraph = table = null;
  }
  if (paragraph) {
    const kept = outline.stack.slice(depth).every(({ kind }) => kind === "quote");
    outline.grow(`\n${kept ? rest : trimStart(rest)}`); // also the lazy line that forgot its marks
    return;
  }
  if (table) {
    outline.openRow(table);
  } else {
    outline.enter(depth);
    outline.openText("p");
  }
  outline.grow(trimStart(rest));
}

/**
 * Whether a line is a heading, a fence, a rule, or makes the paragraph above it something else; then it is put there.
 * @param {OpenBlocks} outline
 * @param {string} rest
 * @param {number} depth
 * @param {boolean} whole
 * @param {TextLeaf | null} paragraph that the line would continue
 * @param {TextLeaf | null} lazy that paragraph, or one that it would continue without its marks
 */
function openLeaf(outline, rest, depth, whole, paragraph, lazy) {
  const heading = HEADING.exec(rest);
  const fence = whole && FENCE.exec(rest);
  const formula = whole ? Formula.opening(rest) : null;
  const state = formula && (outline.budget.left -= rest.length) >= 0 ? formula.add(rest) : "none";
  if (heading) {
    outline.enter(depth);
    outline.openText(`h${heading[1].length}`);
    outline.grow(rest.slice(heading[0].length));
  } else if (fence) {
    outline.enter(depth);
    outline.openCode(fence[1], indentOf(rest), fence[2]);
  } else if (formula && state !== "none") {
    outline.openFormula(formula, lazy, depth);
    if (state === "whole") outline.closeFormula(/** @type {FormulaLeaf} */ (outline.leaf));
  } else if (whole && paragraph && retitle(outline, paragraph, rest)) {
    return true;
  } else if (whole && RULE.test(rest)) {
    outline.enter(depth);
    outline.attach(new Block(make(outline.root.el, "hr"), outline.top())).open = false;
  } else {
    return false;
  }
  return true;
}

/**
 * @param {OpenBlocks} outline
 * @param {RegExpExecArray} found
 * @param {string} rest
 * @param {number} depth
 * @returns {string} what follows the item's mark
 */
function openItem(outline, found, rest, depth) {
  const mark = found[2].slice(-1);
  const list = outline.stack[depth];
  if (list?.kind === "list" && list.mark === mark) {
    outline.closeTo(depth + 1);
    outline.loosen(list);
  } else {
    outline.enter(depth);
    outline.openList(mark, parseInt(found[2], 10));
  }
  const width = found[0].length;
  const after = rest.slice(width);
  const gap = indentOf(after);
  const offset = width + (gap > 4 || isBlank(after) ? 1 : gap);
  outline.openItem(offset);
  return unindent(after, offset - width);
}

/**
 * A line under a paragraph may turn it into a heading, or its last line into the head of a table.
 * @param {OpenBlocks} outline
 * @param {TextLeaf} paragraph
 * @param {string} rest
 */
function retitle(outline, paragraph, rest) {
  const { kids } = paragraph;
  const under = UNDERLINE.exec(rest);
  const aligns = alignsOf(rest);
  if (!under && !aligns) return false;
  paragraph.strip();
  const { raw } = paragraph;
  if (!raw) return false;
  if (under && !kids.length) {
    paragraph.drop();
    outline.openText(under[1][0] === "=" ? "h1" : "h2");
    outline.grow(raw);
    if (outline.leaf instanceof TextLeaf) outline.leaf.underline = rest.trim();
    outline.closeLeaf();
    return true;
  }
  const cut = raw.lastIndexOf("\n");
  const head = raw.slice(cut + 1);
  if (!aligns || !head.includes("|") || aligns.length > 200 || (cut < 0 && kids.length)) return false;
  const titles = cellsOf(head, aligns.length, true);
  if (titles.length !== aligns.length) return false;
  if (cut < 0) {
    paragraph.drop();
    outline.leaf = null;
  } else {
    paragraph.raw = raw.slice(0, cut);
    outline.closeLeaf();
  }
  outline.openTable(new Table(aligns, titles, outline.top(), outline.known));
  return true;
}
