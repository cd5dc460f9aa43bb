// @ts-check
/**
 * The leaves: paragraphs and headings, blocks of code, rows of a table. Text flows into the last one, and it alone is
 * ever painted again; of a long one only the last piece.
 */

import { Block, Container } from "./block_tree.js";
import { make, patch } from "../dom.js";
import { inline } from "./inline.js";
import { TASK, cellsOf } from "./lines.js";

/** @typedef {import("./inline.js").Inline} Inline */
/** @typedef {TextLeaf | CodeLeaf | RowLeaf} Leaf */

// As ../../../answer_html.py has them: below the notebook's own, and not in Lab's table of contents.
const HEADINGS = /** @type {Record<string, string>} */ ({ h1: "h3", h2: "h4", h3: "h5", h4: "h6", h5: "h6", h6: "h6" });
const SHORT = 24; // characters: cells whose lines are not broken; a wide table scrolls
const PIECE = 2500; // longer leaves are frozen piece by piece

/** A paragraph or a heading. */
export class TextLeaf extends Block {
  /** @param {string} tag `p`, or `h1` to `h6` @param {Block} parent */
  constructor(tag, parent) {
    super(HEADINGS[tag] ? make(parent.el, HEADINGS[tag], "tocSkip") : make(parent.el, tag), parent);
    this.tag = tag;
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
    if (this.raw.length <= PIECE) return false;
    while (this.raw.length > PIECE) this.freeze();
    if (this.size <= most * 1.5) return false;
    while (this.kids[0] && this.size > most) this.kids[0].drop();
    return true;
  }

  /** Paint a full piece for good. */
  freeze() {
    const raw = this.raw;
    let cut = Math.max(raw.lastIndexOf(" ", PIECE), raw.lastIndexOf("\n", PIECE)) + 1;
    if (cut < PIECE / 2) cut = PIECE;
    if (/[\ud800-\udbff]/.test(raw[cut - 1])) cut--;
    this.show(this.task(raw.slice(0, cut), false), false);
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
    let raw = this.raw.trimEnd();
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
    const now = inline(raw, growing);
    patch(this.into, this.shown, now);
    this.shown = now;
  }

  /** Paint it as it stays. */
  close() {
    this.paint(false);
    this.open = false;
    this.raw = "";
    this.shown = [];
  }
}

/** A block of code: one text node that grows. */
export class CodeLeaf extends Block {
  /**
   * @param {string} fence what opened it; empty for indented code
   * @param {number} indent columns before the fence, which its lines are spared, too
   * @param {string} language the word after the fence
   * @param {Block} parent
   */
  constructor(fence, indent, language, parent) {
    super(make(parent.el, "pre"), parent);
    this.fence = fence;
    this.indent = indent;
    this.language = language;
    this.whole = true; // nothing of it has gone
    /** Blank lines that count only if more code follows; the first line needs no line break before it. */
    this.blanks = -1;
    this.into = make(this.el, "code");
    this.into.append(this.el.ownerDocument.createTextNode(""));
    this.el.append(this.into);
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
    const breaks = "\n".repeat(this.blanks + 1);
    this.blanks = 0;
    return breaks + text;
  }

  paint() {} // it is painted as it grows

  close() {
    this.open = false;
  }
}

/** A table, in a box that scrolls when it is too wide: its rows are its children; its head stays when they go. */
export class Table extends Block {
  /** @param {string[]} aligns one word a column, may be empty @param {string[]} titles @param {Block} parent */
  constructor(aligns, titles, parent) {
    const doc = parent.el.ownerDocument;
    super(make(doc, "div", "amber-wide"), parent);
    this.aligns = aligns;
    this.into = make(doc, "tbody");
    const table = make(doc, "table");
    const head = make(doc, "thead");
    const row = make(doc, "tr");
    head.append(row);
    table.append(head, this.into);
    this.el.append(table);
    this.heads = titles.map((title, i) => {
      const cell = addCell(row, "th", aligns[i]);
      if (title.length > SHORT) cell.className = "amber-long";
      patch(cell, [], inline(title));
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
    const texts = cellsOf(this.raw.slice(0, PIECE));
    this.last = Math.min(texts.length, this.cells.length) - 1;
    this.cells.forEach((cell, i) => {
      if ((texts[i] ?? "").length > SHORT) cell.el.className = "amber-long";
      const now = inline(texts[i] ?? "", growing && i === texts.length - 1);
      patch(cell.el, cell.shown, now);
      cell.shown = now;
    });
  }

  close() {
    this.paint(false);
    this.open = false;
    this.raw = "";
    this.cells = [];
  }
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
