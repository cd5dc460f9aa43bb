// @ts-check
/**
 * Markdown painted as it arrives: lines → blocks (CommonMark's containers and leaves, GFM's tables and task lists).
 *
 * A line is held back until its first telling character, a few characters at most; then its place is settled for good and
 * what follows flows into its leaf. So nothing is ever unpainted but the last leaf, the work grows with the text, and the
 * result does not depend on how the text was cut into chunks.
 */

import { inline } from "./inline.js";
import { make, patch } from "./dom.js";

/** @typedef {import("./inline.js").Inline} Inline */

/**
 * @typedef {object} Block
 * @property {"root" | "quote" | "list" | "item" | "text" | "code" | "table" | "row" | "piece"} kind
 * @property {HTMLElement} el what is removed when the block is dropped
 * @property {HTMLElement} into where its children or its text go
 * @property {Block[]} kids
 * @property {Block | null} parent
 * @property {number} size characters inside
 * @property {boolean} open
 * @property {number} offset item: columns its content is indented by
 * @property {string} mark list: its bullet or delimiter; code: its fence
 * @property {string} raw text, row: the source of the piece that is still repainted
 * @property {Inline[]} shown text: what is painted of it
 * @property {Inline[][]} cells row: the same for each cell
 * @property {string[]} aligns table: one a column
 * @property {number} blanks code: blank lines that count only if more code follows
 */

const HOLD = 1000; // a line that says nothing by then is text
const PIECE = 2500; // longer leaves are frozen piece by piece: only the last piece is repainted
const WEIGHT = 60; // a block costs the page as much as so many characters
const DEEPEST = 24; // containers; a thousand quotes inside each other help nobody
const TELLING = /[^\s>#*+\-_=~`|:\d.)]/;
const FENCE = /^ {0,3}(`{3,}(?=[^`]*$)|~{3,})(.*)$/;
const ITEM = /^( {0,3})([-+*]|\d{1,9}[.)])(?=[ \t]|$)/;
const RULE = /^ {0,3}([-_*])(?:[ \t]*\1){2,}[ \t]*$/;
const DELIMITERS = /^ {0,3}\|?[ \t]*:?-+:?[ \t]*(?:\|[ \t]*:?-+:?[ \t]*)*\|?[ \t]*$/;
// Controls, and the bidi overrides that turn a line around: shown, not obeyed.
const UNSEEN = /[\0-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]/g;
const TASK = /^\[([ xX])\](?:\s+|$)/;

export class Painter {
  /**
   * @param {HTMLElement} root
   * @param {{ limit?: number, leafLimit?: number, onHidden?: () => void }} [options] characters kept in the page, in all
   *   and in one paragraph or block of code: as much as a page lays out in a few frames
   */
  constructor(root, { limit = 120_000, leafLimit = 30_000, onHidden = () => {} } = {}) {
    this.doc = root.ownerDocument;
    this.limit = limit;
    this.leafLimit = leafLimit;
    this.onHidden = onHidden;
    this.root = block("root", root, null);
    /** @type {Block[]} */
    this.stack = [this.root];
    /** @type {Block | null} */
    this.leaf = null;
    this.held = "";
    this.flowing = false;
    this.blank = false;
    this.dirty = false;
    /** @type {HTMLElement | null} */
    this.ghost = null;
    /** @type {HTMLElement | null} */
    this.caret = null;
  }

  /** @param {string} text */
  write(text) {
    if (!text) return;
    this.ghost?.remove();
    this.ghost = null;
    const s = text.replace(/\r/g, "").replace(UNSEEN, visible);
    for (let i = 0; i < s.length; ) {
      const nl = s.indexOf("\n", i);
      const piece = s.slice(i, nl < 0 ? s.length : nl);
      if (this.flowing) {
        this.grow(piece);
      } else {
        this.held += piece;
        if (nl >= 0 || this.telling(this.held)) this.begin(nl >= 0);
      }
      if (nl < 0) break;
      this.flowing = false;
      i = nl + 1;
    }
  }

  /** Bring the page up to date: once a frame. */
  paint() {
    if (this.dirty) this.repaint(true);
    this.prune();
    this.setCaret();
  }

  /** Nothing has come for a while: show what is held back, as it is. */
  idle() {
    if (this.flowing || !this.held.trim() || this.ghost) return;
    this.ghost = make(this.doc, "span", "amber-ghost");
    this.ghost.textContent = ` ${this.held.trim()}`;
    const leaf = this.leaf;
    (leaf && leaf.kind !== "row" ? leaf.into : this.top().into).appendChild(this.ghost);
  }

  /** The text is complete: nothing stays held back, nothing stays open. */
  end() {
    if (!this.flowing && this.held) this.begin(true);
    this.flowing = false;
    this.closeLeaf();
    this.ghost?.remove();
    this.ghost = null;
    this.closeTo(1);
    this.paint();
    this.caret?.classList.remove("amber-caret");
    this.caret = null;
  }

  top() {
    return this.stack[this.stack.length - 1];
  }

  /**
   * Whether a line's beginning says what the line is.
   * @param {string} line
   */
  telling(line) {
    if (line.length > HOLD) return true;
    if (!/[^\s>]/.test(line)) return false;
    const { rest, matched } = this.match(line);
    if (!rest.trim()) return false;
    if (matched === this.stack.length && this.leaf?.kind === "code") {
      if (this.leaf.mark) return !/^\s*[`~]*\s*$/.test(rest);
      if (indentOf(rest) >= 4) return true;
    }
    return TELLING.test(line) && !/^[\s>*+\-\d.)]*(?:```|~~~)/.test(line);
  }

  /**
   * Which open containers a line continues.
   * @param {string} line
   */
  match(line) {
    let rest = line;
    let matched = 1;
    for (; matched < this.stack.length; matched++) {
      const container = this.stack[matched];
      if (container.kind === "quote") {
        const quote = /^ {0,3}> ?/.exec(rest);
        if (!quote) break;
        rest = rest.slice(quote[0].length);
      } else if (container.kind === "item") {
        if (!rest.trim()) rest = "";
        else if (indentOf(rest) >= container.offset) rest = unindent(rest, container.offset);
        else break;
      }
    }
    // A list goes on only with one of its items, or a new one.
    if (matched > 1 && matched < this.stack.length && this.stack[matched - 1].kind === "list") matched--;
    return { rest, matched };
  }

  /**
   * Give the held line its place; what follows on the line flows after it.
   * @param {boolean} whole
   */
  begin(whole) {
    const line = this.held.slice(0, HOLD);
    const more = this.held.slice(HOLD);
    this.held = "";
    this.flowing = true;
    this.place(line, whole && !more);
    if (more) this.grow(more);
  }

  /**
   * @param {string} line
   * @param {boolean} whole
   */
  place(line, whole) {
    const { rest: inside, matched } = this.match(line);
    let rest = inside;
    const all = matched === this.stack.length;
    const leaf = this.leaf;
    const isBlank = whole && !rest.trim();

    if (all && leaf?.kind === "code") {
      if (leaf.mark) {
        const close = /^ {0,3}(`{3,}|~{3,})[ \t]*$/.exec(rest);
        if (whole && close && close[1][0] === leaf.mark[0] && close[1].length >= leaf.mark.length) this.closeLeaf();
        else this.codeLine(unindent(rest, Math.min(leaf.offset, indentOf(rest))));
        return;
      }
      if (isBlank) {
        leaf.blanks++;
        return;
      }
      if (indentOf(rest) >= 4) return this.codeLine(unindent(rest, 4));
    }
    if (isBlank) {
      // A blank line ends quotes, paragraphs and tables; items wait for what comes next.
      if (!all && this.stack[matched]?.kind !== "list") this.closeTo(matched);
      else this.closeLeaf();
      this.blank = true;
      return;
    }

    const paragraph = leaf?.kind === "text" && leaf.mark === "p" ? leaf : null;
    let begun = false;
    let depth = matched;
    for (;;) {
      const indent = indentOf(rest);
      if (indent >= 4) {
        if (paragraph && !begun) break;
        this.enter(depth, begun);
        this.openCode("");
        return this.codeLine(unindent(rest, 4));
      }
      if (this.stack.length > DEEPEST) break;
      const quote = /^ {0,3}> ?/.exec(rest);
      if (quote) {
        this.enter(depth, begun);
        const el = make(this.doc, "blockquote");
        this.push(block("quote", el, this.top()));
        rest = rest.slice(quote[0].length);
        depth = this.stack.length;
        begun = true;
        if (!rest.trim()) return;
        continue;
      }
      const head = /^ {0,3}(#{1,6})(?:[ \t]+|$)/.exec(rest);
      if (head) {
        this.enter(depth, begun);
        this.openText(/** @type {"h1"} */ (`h${head[1].length}`));
        return this.grow(rest.slice(head[0].length));
      }
      const fence = whole && FENCE.exec(rest);
      if (fence) {
        this.enter(depth, begun);
        this.openCode(fence[1]).offset = indent;
        return;
      }
      if (whole && paragraph && !begun && all && this.retitle(paragraph, rest)) return;
      if (whole && RULE.test(rest)) {
        this.enter(depth, begun);
        this.attach(block("piece", make(this.doc, "hr"), this.top())).open = false;
        return;
      }
      const item = ITEM.exec(rest);
      if (item && !(paragraph && !begun && all && (!rest.slice(item[0].length).trim() || /^(?!1[.)])\d/.test(item[2])))) {
        rest = this.openItem(item, rest, depth, begun);
        depth = this.stack.length;
        begun = true;
        if (!rest.trim()) return;
        continue;
      }
      break;
    }

    if (!begun && paragraph) {
      return this.grow(`\n${rest.trimStart()}`); // also the lazy line that forgot its marks
    }
    const table = !begun && all && this.leaf?.kind === "row" ? this.leaf.parent : null;
    if (table) {
      this.repaint(false);
      Object.assign(/** @type {Block} */ (this.leaf), { open: false, raw: "", cells: [] });
      this.openRow(table);
      return this.grow(rest.trimStart());
    }
    this.enter(depth, begun);
    this.openText("p");
    this.grow(rest.trimStart());
  }

  /**
   * Leave what the line does not continue.
   * @param {number} depth
   * @param {boolean} begun
   */
  enter(depth, begun) {
    if (!begun) this.closeTo(depth);
    this.closeLeaf();
    // A list takes items only.
    while (this.top().kind === "list") this.closeTo(this.stack.length - 1);
    this.loosen(this.top());
  }

  /**
   * Blank lines between the parts of an item, or between items, make their list a loose one.
   * @param {Block} container
   */
  loosen(container) {
    const list = container.kind === "item" ? container.parent : container;
    const parts = container.kind === "item" ? container.kids.length : 1;
    if (this.blank && list?.kind === "list" && parts) list.el.classList.remove("amber-tight");
    this.blank = false;
  }

  /**
   * @param {RegExpExecArray} found
   * @param {string} rest
   * @param {number} depth
   * @param {boolean} begun
   */
  openItem(found, rest, depth, begun) {
    const mark = found[2].slice(-1);
    const ordered = found[2].length > 1;
    const list = this.stack[depth];
    if (!begun && list?.kind === "list" && list.mark === mark) {
      this.closeTo(depth + 1);
      this.loosen(list);
    } else {
      this.enter(depth, begun);
      const el = make(this.doc, ordered ? "ol" : "ul", "amber-tight");
      const start = parseInt(found[2], 10);
      if (ordered && start !== 1) el.setAttribute("start", String(start));
      this.push(block("list", el, this.top())).mark = mark;
    }
    const after = rest.slice(found[0].length);
    const gap = indentOf(after);
    const item = this.push(block("item", make(this.doc, "li"), this.top()));
    const width = found[0].length;
    item.offset = width + (gap > 4 || !after.trim() ? 1 : gap);
    return unindent(after, item.offset - width);
  }

  /** @param {"p" | "h1"} tag */
  openText(tag) {
    const leaf = block("text", make(this.doc, tag), this.top());
    leaf.mark = tag;
    this.attach(leaf);
    leaf.into = this.piece(leaf);
    this.leaf = leaf;
  }

  /** @param {Block} leaf */
  piece(leaf) {
    const span = make(this.doc, "span");
    leaf.el.appendChild(span);
    return span;
  }

  /** @param {string} fence */
  openCode(fence) {
    const pre = make(this.doc, "pre");
    const code = make(this.doc, "code");
    code.appendChild(this.doc.createTextNode(""));
    pre.appendChild(code);
    const leaf = this.attach(block("code", pre, this.top()));
    leaf.into = code;
    leaf.mark = fence;
    leaf.blanks = -1; // the first line needs no line break before it
    this.leaf = leaf;
    return leaf;
  }

  /** @param {string} text */
  codeLine(text) {
    const leaf = /** @type {Block} */ (this.leaf);
    this.grow("\n".repeat(leaf.blanks + 1) + text);
    leaf.blanks = 0;
  }

  /**
   * A line under a paragraph may turn it into a heading, or its last line into the head of a table.
   * @param {Block} leaf
   * @param {string} rest
   */
  retitle(leaf, rest) {
    const under = /^ {0,3}(=+|-+)[ \t]*$/.exec(rest);
    if (under && !leaf.kids.length) {
      const raw = leaf.raw;
      this.leaf = null;
      this.drop(leaf);
      this.openText(under[1][0] === "=" ? "h1" : /** @type {any} */ ("h2"));
      this.grow(raw);
      this.closeLeaf();
      return true;
    }
    if (!DELIMITERS.test(rest) || !/[|:]/.test(rest)) return false;
    const cut = leaf.raw.lastIndexOf("\n");
    const titles = cells(leaf.raw.slice(cut + 1));
    const aligns = cells(rest).map((cell) => (/^:-+:$/.test(cell) ? "center" : /-:$/.test(cell) ? "right" : /^:/.test(cell) ? "left" : ""));
    if (titles.length !== aligns.length || aligns.length > 200 || (cut < 0 && leaf.kids.length)) return false;
    if (cut < 0) {
      this.leaf = null;
      this.drop(leaf);
    } else {
      leaf.raw = leaf.raw.slice(0, cut);
      this.closeLeaf();
    }
    const el = make(this.doc, "table");
    const table = this.attach(block("table", el, this.top()));
    table.aligns = aligns;
    table.into = make(this.doc, "tbody");
    const head = make(this.doc, "thead");
    const row = make(this.doc, "tr");
    head.appendChild(row);
    el.appendChild(head);
    el.appendChild(table.into);
    titles.forEach((title, i) => patch(this.cell(row, "th", aligns[i]), [], inline(title)));
    this.leaf = block("row", row, table); // the head; it is never dropped, so it is no child
    this.leaf.open = false;
    return true;
  }

  /** @param {HTMLElement} row @param {"th" | "td"} tag @param {string} align one of four words */
  cell(row, tag, align) {
    const cell = make(this.doc, tag);
    if (align) cell.style.textAlign = align;
    row.appendChild(cell);
    return cell;
  }

  /** @param {Block} table */
  openRow(table) {
    const row = block("row", make(this.doc, "tr"), table);
    for (const align of table.aligns) this.cell(row.el, "td", align);
    row.cells = table.aligns.map(() => []);
    this.leaf = this.attach(row);
  }

  /** @param {string} text */
  grow(text) {
    const leaf = this.leaf;
    if (!text || !leaf) return;
    if (leaf.kind === "code") {
      const node = /** @type {Text} */ (leaf.into.firstChild);
      node.appendData(text);
      this.resize(leaf, text.length);
      if (node.length > this.leafLimit * 1.5) {
        const from = node.length - this.leafLimit;
        const nl = node.data.indexOf("\n", from);
        const gone = nl >= 0 && nl < from + 2000 ? nl + 1 : from;
        node.deleteData(0, gone);
        this.resize(leaf, -gone);
        this.onHidden();
      }
      return;
    }
    if (leaf.kind === "row" && leaf.raw.length > PIECE) return; // a row of that length is cut short until it is settled
    this.dirty = true;
    this.resize(leaf, text.length);
    leaf.raw += text;
    if (leaf.kind === "text" && leaf.raw.length > PIECE) this.freeze(leaf);
  }

  /**
   * Paint the full pieces of a long leaf for good.
   * @param {Block} leaf
   */
  freeze(leaf) {
    let raw = leaf.raw;
    while (raw.length > PIECE) {
      let cut = Math.max(raw.lastIndexOf(" ", PIECE), raw.lastIndexOf("\n", PIECE)) + 1;
      if (cut < PIECE / 2) cut = PIECE;
      const code = raw.charCodeAt(cut - 1);
      if (code >= 0xd800 && code <= 0xdbff) cut--;
      leaf.raw = raw.slice(0, cut);
      this.paintText(leaf, false, true);
      const piece = block("piece", leaf.into, leaf);
      piece.size = cut;
      piece.open = false;
      leaf.kids.push(piece);
      leaf.into = this.piece(leaf);
      leaf.shown = [];
      raw = raw.slice(cut);
    }
    leaf.raw = raw;
    if (leaf.size > this.leafLimit * 1.5) {
      while (leaf.kids[0] && leaf.size > this.leafLimit) this.drop(leaf.kids[0]);
      this.onHidden();
    }
  }

  /** @param {boolean} open */
  repaint(open) {
    this.dirty = false;
    const leaf = this.leaf;
    if (leaf?.kind === "text") this.paintText(leaf, open, false);
    if (leaf?.kind === "row" && leaf.cells.length) {
      const texts = cells(leaf.raw.slice(0, PIECE));
      leaf.cells = leaf.cells.map((shown, i) => {
        const now = inline(texts[i] ?? "", open && i === texts.length - 1);
        patch(/** @type {HTMLElement} */ (leaf.el.children[i]), shown, now);
        return now;
      });
    }
  }

  /**
   * @param {Block} leaf
   * @param {boolean} open
   * @param {boolean} frozen
   */
  paintText(leaf, open, frozen) {
    let raw = frozen ? leaf.raw : leaf.raw.trimEnd();
    if (leaf.mark !== "p" && !frozen) raw = raw.replace(/(?:^|[ \t])#+[ \t]*$/, "");
    const item = leaf.parent;
    if (!leaf.kids.length && item?.kind === "item" && item.kids[0] === leaf) {
      const task = TASK.exec(raw);
      if (task) {
        raw = `${task[1] === " " ? "☐" : "☑"} ${raw.slice(task[0].length)}`;
      } else if (open && /^\[[ xX]?\]?$/.test(raw)) {
        raw = "";
      }
    }
    const now = inline(raw, open);
    patch(leaf.into, leaf.shown, now);
    leaf.shown = now;
  }

  closeLeaf() {
    const leaf = this.leaf;
    if (!leaf) return;
    this.repaint(false);
    leaf.open = false;
    if (leaf.kind === "row" && leaf.parent) leaf.parent.open = false;
    leaf.raw = "";
    leaf.shown = [];
    this.leaf = null;
  }

  /** @param {number} depth */
  closeTo(depth) {
    if (depth >= this.stack.length) return;
    this.closeLeaf();
    for (const container of this.stack.splice(depth)) container.open = false;
  }

  /** @param {Block} child */
  push(child) {
    this.stack.push(this.attach(child));
    return child;
  }

  /** @param {Block} child */
  attach(child) {
    const parent = /** @type {Block} */ (child.parent);
    parent.into.appendChild(child.el);
    parent.kids.push(child);
    this.resize(child, WEIGHT * (1 + (parent.aligns.length >> 1)));
    this.blank = false;
    return child;
  }

  /** @param {Block} child */
  drop(child) {
    const kids = /** @type {Block} */ (child.parent).kids;
    kids.splice(kids.indexOf(child), 1);
    child.el.remove();
    this.resize(/** @type {Block} */ (child.parent), -child.size);
  }

  /** @param {Block} from @param {number} by */
  resize(from, by) {
    for (let at = /** @type {Block | null} */ (from); at; at = at.parent) at.size += by;
  }

  /** Keep the page usable: drop the oldest finished blocks of an answer that is longer than anybody can watch. */
  prune() {
    if (this.root.size <= this.limit) return;
    while (this.root.size > this.limit * 0.8) {
      let at = this.root;
      // Down to the first part that is finished and small enough not to take the reader's place with it.
      while (at.kids[0]?.kids.length && (at.kids[0].open || at.kids[0].size > this.limit / 4)) at = at.kids[0];
      const oldest = at.kids[0];
      if (!oldest || oldest.open) break;
      if (at.kind === "list" && at.el.tagName === "OL") {
        const list = /** @type {HTMLOListElement} */ (at.el);
        list.setAttribute("start", String(Number(list.getAttribute("start") ?? 1) + 1));
      }
      this.drop(oldest);
      this.onHidden();
    }
  }

  setCaret() {
    const leaf = this.leaf;
    const caret = (leaf?.kind === "code" ? leaf.into : leaf?.el) ?? this.top().el;
    if (caret === this.caret) return;
    this.caret?.classList.remove("amber-caret");
    caret.classList.add("amber-caret");
    this.caret = caret;
  }
}

/**
 * @param {Block["kind"]} kind
 * @param {HTMLElement} el
 * @param {Block | null} parent
 * @returns {Block}
 */
function block(kind, el, parent) {
  return {
    kind, el, into: el, kids: [], parent, size: 0, open: true,
    offset: 0, mark: "", raw: "", shown: [], cells: [], aligns: [], blanks: 0,
  };
}

/** @param {string} char */
function visible(char) {
  const code = char.charCodeAt(0);
  if (!code) return "\ufffd";
  return code < 32 ? String.fromCharCode(0x2400 + code) : `[U+${code.toString(16).toUpperCase().padStart(4, "0")}]`;
}

/**
 * Columns of white space a line begins with.
 * @param {string} line
 */
function indentOf(line) {
  let column = 0;
  for (let i = 0; i < line.length; i++) {
    if (line[i] === " ") column++;
    else if (line[i] === "\t") column += 4 - (column % 4);
    else break;
  }
  return column;
}

/** @param {string} line @param {number} columns */
function unindent(line, columns) {
  let column = 0;
  let i = 0;
  for (; i < line.length && column < columns; i++) {
    if (line[i] === " ") column++;
    else if (line[i] === "\t") column += 4 - (column % 4);
    else break;
  }
  return " ".repeat(Math.max(0, column - columns)) + line.slice(i);
}

/**
 * The cells of a table row: split at bars that are not escaped.
 * @param {string} row
 */
function cells(row) {
  const inner = row.trim().replace(/^\|/, "").replace(/(^|[^\\])\|$/, "$1");
  return inner.split(/(?<!\\)\|/).map((cell) => cell.trim().replace(/\\\|/g, "|"));
}
