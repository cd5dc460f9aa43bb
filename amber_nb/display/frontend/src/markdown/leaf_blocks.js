// @ts-check
/**
 * The leaves: paragraphs and headings, blocks of code, rows of a table. Text flows into the last one, and it alone is
 * ever painted again; of a long one only the last piece.
 */

import { Block, Container, makeDirected } from "./block_tree.js";
import { make, patch } from "../dom.js";
import { cellsOf } from "./cells.js";
import { AHEAD, ALONE, flowingEnds } from "./columns.js";
import { decode } from "./entities.js";
import { InnerFences, languageOf } from "./fences.js";
import { inline, isData } from "./inline.js";
import { TASK } from "./lines.js";
import { shorten } from "./links.js";

/** @typedef {import("./inline.js").Inline} Inline */
/** @typedef {import("./definitions.js").Definitions} Definitions */
/** @typedef {import("./formulas.js").Formula} Formula */
/** @typedef {TextLeaf | CodeLeaf | FormulaLeaf | RowLeaf} Leaf */

// As ../../../answer_html.py has them: below the notebook's own, and not in Lab's table of contents.
const HEADINGS = /** @type {Record<string, string>} */ ({ h1: "h3", h2: "h4", h3: "h5", h4: "h6", h5: "h6", h6: "h6" });
const SHORT = 24; // characters: cells whose lines are not broken; a wide table scrolls
const PIECE = 2500; // longer leaves are frozen piece by piece

/** A paragraph or a heading. */
export class TextLeaf extends Block {
  /**
   * @param {string} tag `p`, or `h1` to `h6`
   * @param {Block} parent
   * @param {Definitions} known
   * @param {string} note the label of the footnote that it begins
   */
  constructor(tag, parent, known, note) {
    super(HEADINGS[tag] ? makeDirected(parent, HEADINGS[tag], "tocSkip") : makeDirected(parent, tag), parent);
    this.tag = tag;
    this.known = known;
    this.note = note;
    /** What made a heading of it, on a line of its own. */
    this.underline = "";
    /** Whether it is JSON. */
    this.data = false;
    /** What stands around the piece. */
    this.around = ALONE;
    /** The source of the piece that is still repainted, and what is painted of it. */
    this.raw = "";
    /** @type {Inline[]} */
    this.shown = [];
    this.into = this.piece();
  }

  piece() {
    const span = make(this.el, "span");
    this.el.append(span);
    return span;
  }

  /**
   * @param {string} text
   * @param {number} most characters that stay on the page
   * @returns {boolean} whether some have gone
   */
  grow(text, most) {
    this.resize(text.length);
    this.raw += text;
    if (this.raw.length <= PIECE + 2 * AHEAD) return false;
    while (this.raw.length > PIECE + 2 * AHEAD) this.freeze();
    if (this.size <= most * 1.5) return false;
    while (this.kids[0] && this.size > most) this.kids[0].drop();
    return true;
  }

  /** Paint a full piece for good. */
  freeze() {
    if (this.strip()) return;
    const raw = this.raw;
    let cut = Math.max(raw.lastIndexOf(" ", PIECE), raw.lastIndexOf("\n", PIECE)) + 1;
    if (cut < PIECE / 2) cut = PIECE;
    if (/[\ud800-\udbff]/.test(raw[cut - 1])) cut--;
    const text = raw.slice(0, cut);
    this.around = { ...this.around, after: raw.slice(cut, cut + 2 * AHEAD) };
    this.show(this.task(text, false), false);
    this.renewLater(text);
    const { width } = flowingEnds(text, this.around);
    const before = (text.includes("\n") ? "" : this.around.before) + text.slice(text.lastIndexOf("\n") + 1);
    this.around = { before, after: "", width };
    const piece = new Block(this.into, this);
    piece.size = cut;
    piece.open = false;
    this.kids.push(piece);
    this.into = this.piece();
    this.shown = [];
    this.raw = raw.slice(cut);
  }

  /** @param {boolean} growing */
  paint(growing) {
    let raw = this.raw.replace(/[ \t\n]+$/, "");
    if (this.tag !== "p") raw = raw.replace(/(?:^|[ \t])#+[ \t]*$/, "");
    this.show(this.task(raw, growing), growing);
  }

  /**
   * The box of a task in place of its brackets.
   * @param {string} raw
   * @param {boolean} growing
   */
  task(raw, growing) {
    const item = this.parent;
    const first = !this.kids.length && item instanceof Container && item.kind === "item" && item.kids[0] === this;
    if (!first) return raw;
    const box = TASK.exec(raw);
    if (box) return `${box[1] === " " ? "☐" : "☑"} ${raw.slice(box[0].length)}`;
    return growing && /^\[[ xX]?\]?$/.test(raw) ? "" : raw;
  }

  /** @param {string} raw @param {boolean} growing */
  show(raw, growing) {
    if (!this.kids.length) this.data = isData(raw);
    const now = inline(raw, growing, this.known, this.around, this.data);
    if (this.note && !this.kids.length) now.unshift({ tag: "sup", kids: [this.note] }, " ");
    patch(this.into, this.shown, now);
    this.shown = now;
  }

  /** Take the definitions of links off the beginning. @returns {boolean} whether there were some */
  strip() {
    if (this.tag !== "p" || this.kids.length || this.raw[0] !== "[") return false;
    const raw = this.raw.replace(/[ \t\n]+$/, "");
    const rest = this.known.strip(raw);
    if (rest === raw) return false;
    this.resize(rest.length - this.raw.length);
    this.raw = rest;
    return true;
  }

  /** Paint a piece again when what it names is defined. @param {string} raw */
  renewLater(raw) {
    if (!raw.includes("[") || this.data) return;
    const { into, around, kids } = this;
    let { shown } = this;
    const first = !kids.length;
    const note = first ? this.note : "";
    this.known.wait(raw, () => {
      const rest = (first && (this.tag === "p" || this.underline) ? this.known.strip(raw) : raw) || this.underline;
      if (!rest) {
        if (this.parent?.kids.includes(this)) this.drop();
        return;
      }
      const now = inline(this.task(rest, false), false, this.known, around);
      if (note) now.unshift({ tag: "sup", kids: [note] }, " ");
      patch(into, shown, now);
      shown = now;
    });
  }

  /** Paint it as it stays. */
  close() {
    this.open = false;
    if (this.strip() && !this.raw) {
      this.drop();
      return;
    }
    this.paint(false);
    this.renewLater(this.raw.replace(/[ \t\n]+$/, ""));
    this.raw = "";
    this.shown = [];
  }
}

/** A formula on lines of its own, as it is written; what turns out to be none is taken back. */
export class FormulaLeaf extends Block {
  /**
   * @param {Formula} formula
   * @param {TextLeaf | null} before the paragraph that it interrupts
   * @param {number} depth of the containers that it stands in
   * @param {Block} parent
   */
  constructor(formula, before, depth, parent) {
    super(make(parent.el, "p"), parent);
    this.formula = formula;
    this.before = before;
    this.depth = depth;
    /** @type {string[]} its lines behind the first, with the marks of their containers */
    this.lines = [];
    /** @type {Inline[]} */
    this.shown = [];
  }

  grow() {
    return false; // it takes whole lines
  }

  /** @param {boolean} growing */
  paint(growing) {
    const { source, trailing, lines } = this.formula;
    /** @type {Inline[]} */
    const now = growing || !source ? [lines.join("\n")] : [{ tag: "math", kids: [source] }];
    if (!growing && trailing) now.push(trailing);
    patch(this.into, this.shown, now);
    this.shown = now;
  }

  close() {
    this.open = false;
    this.resize(this.formula.source.length);
    this.paint(false);
  }
}

/** A block of code: one text node that grows. */
export class CodeLeaf extends Block {
  /**
   * @param {string} fence what opened it; empty for indented code
   * @param {number} indent columns before the fence, which its lines are spared, too
   * @param {string} info what stands behind the fence
   * @param {Block} parent
   * @param {boolean} nests whether bare fences may open code within a block of Markdown
   */
  constructor(fence, indent, info, parent, nests) {
    const { language, file } = languageOf(decode(info));
    const pre = make(parent.el, "pre");
    super(file ? make(parent.el, "div") : pre, parent);
    this.pre = pre;
    this.fence = fence;
    this.indent = indent;
    this.language = language;
    this.inner = fence ? InnerFences.of(fence, info, nests) : null;
    this.info = info;
    /** @type {string[]} pieces of its text, where it may have to be read again */
    this.source = [];
    this.last = ""; // line of it
    if (file) {
      const name = make(parent.el, "div", "amber-file");
      name.textContent = shorten(file);
      this.el.append(name, pre);
    }
    this.whole = true; // nothing of it has gone
    /** @type {string[] | null} blank lines that count only if more code follows; null before the first line */
    this.blanks = null;
    this.into = make(pre, "code");
    this.into.append(pre.ownerDocument.createTextNode(""));
    pre.append(this.into);
  }

  get tip() {
    return this.into;
  }

  /**
   * @param {string} text
   * @param {number} most characters that stay on the page
   * @returns {boolean} whether some have gone
   */
  grow(text, most) {
    const node = /** @type {Text} */ (this.into.firstChild);
    node.appendData(text);
    if (this.inner?.nests) {
      this.source.push(text);
      const cut = text.lastIndexOf("\n") + 1;
      this.last = cut ? text.slice(cut) : this.last + text;
    }
    this.resize(text.length);
    if (node.length <= most * 1.5) return false;
    const from = node.length - most;
    const line = node.data.indexOf("\n", from);
    const gone = line >= 0 && line < from + 2000 ? line + 1 : from;
    node.deleteData(0, gone);
    this.resize(-gone);
    this.whole = false;
    return true;
  }

  /**
   * A line's text with the line breaks before it.
   * @param {string} text
   */
  nextLine(text) {
    const lines = this.blanks ? ["", ...this.blanks, text] : [text];
    this.blanks = [];
    return lines.join("\n");
  }

  /** The line above the next one; null before the first. */
  get above() {
    return this.blanks && this.last;
  }

  /** Keep a blank line until more code follows. @param {string} blank */
  skipLine(blank) {
    this.blanks?.push(blank);
  }

  paint() {} // it is painted as it grows

  close() {
    this.open = false;
  }
}

/** A table, in a box that scrolls when it is too wide: its rows are its children; its head stays when they go. */
export class Table extends Block {
  /**
   * @param {string[]} aligns one word a column, may be empty
   * @param {string[]} titles
   * @param {Block} parent
   * @param {Definitions} known
   */
  constructor(aligns, titles, parent, known) {
    const doc = parent.el.ownerDocument;
    super(make(doc, "div", "amber-wide"), parent);
    this.aligns = aligns;
    this.known = known;
    this.into = make(doc, "tbody");
    const table = makeDirected(parent, "table");
    const head = make(doc, "thead");
    const row = make(doc, "tr");
    head.append(row);
    table.append(head, this.into);
    this.el.append(table);
    this.heads = titles.map((title, i) => {
      const cell = addCell(row, "th", aligns[i]);
      if (title.length > SHORT) cell.className = "amber-long";
      fill(cell, title, known);
      return cell;
    });
    reachable(this.el, table);
  }

  get tip() {
    return this.heads[this.heads.length - 1];
  }
}

/** A row of a table, cell by cell. */
export class RowLeaf extends Block {
  /** @param {Table} table */
  constructor(table) {
    super(make(table.el, "tr"), table);
    this.table = table;
    this.raw = "";
    this.last = 0; // the cell that is being written
    this.cells = table.aligns.map((align) => ({ el: addCell(this.el, "td", align), shown: /** @type {Inline[]} */ ([]) }));
  }

  get weight() {
    return 1 + (this.cells.length >> 1);
  }

  get tip() {
    return this.cells[this.last]?.el ?? this.el;
  }

  /** @param {string} text */
  grow(text) {
    if (this.raw.length > PIECE) return false; // a row of that length is cut short until it is settled
    this.resize(text.length);
    this.raw += text;
    return false;
  }

  /** @param {boolean} growing */
  paint(growing) {
    const texts = cellsOf(this.raw.slice(0, PIECE), this.cells.length);
    this.last = Math.min(texts.length, this.cells.length) - 1;
    this.cells.forEach((cell, i) => {
      if ((texts[i] ?? "").length > SHORT) cell.el.className = "amber-long";
      const now = inline(texts[i] ?? "", growing && i === texts.length - 1, this.table.known);
      patch(cell.el, cell.shown, now);
      cell.shown = now;
    });
  }

  close() {
    this.paint(false);
    const texts = this.raw.includes("[") ? cellsOf(this.raw.slice(0, PIECE), this.cells.length) : [];
    this.cells.forEach(({ el, shown }, i) => fill(el, texts[i] ?? "", this.table.known, shown));
    this.open = false;
    this.raw = "";
    this.cells = [];
  }
}

/**
 * Paint a cell, and again when what it names is defined.
 * @param {HTMLElement} cell
 * @param {string} text
 * @param {Definitions} known
 * @param {Inline[]} [shown]
 */
function fill(cell, text, known, shown = []) {
  if (shown.length && !text) return;
  const paint = () => {
    const now = inline(text, false, known);
    patch(cell, shown, now);
    shown = now;
  };
  paint();
  if (text.includes("[")) known.wait(text, paint);
}

/** @param {HTMLElement} row @param {"th" | "td"} tag @param {string} align one of four words */
function addCell(row, tag, align) {
  const cell = make(row, tag);
  if (align) cell.style.textAlign = align;
  row.append(cell);
  return cell;
}

/**
 * Make a box a stop of the Tab key while there is something in it to scroll to.
 * @param {HTMLElement} box
 * @param {HTMLElement} content
 */
function reachable(box, content) {
  const Observer = box.ownerDocument.defaultView?.ResizeObserver;
  if (!Observer) return;
  const watch = new Observer(() => {
    if (box.scrollWidth > box.clientWidth) box.tabIndex = 0;
    else box.removeAttribute("tabindex");
  });
  watch.observe(box);
  watch.observe(content);
  // Lab has other uses for the arrows.
  box.addEventListener("keydown", (event) => /^Arrow(Left|Right)$/.test(event.key) && event.stopPropagation());
}
