// @ts-check
/** The blocks of a text that are open: begun, filled and closed as its lines ask for. */

import { Container, makeDirected } from "./block_tree.js";
import { make } from "../dom.js";
import { Definitions } from "./definitions.js";
import { Budget } from "./formulas.js";
import { CodeLeaf, FormulaLeaf, RowLeaf, TextLeaf } from "./leaf_blocks.js";

/** @typedef {import("./block_tree.js").Block} Block */
/** @typedef {import("./leaf_blocks.js").Leaf} Leaf */
/** @typedef {import("./leaf_blocks.js").Table} Table */

export class OpenBlocks {
  /**
   * @param {HTMLElement} root
   * @param {number} leafLimit characters that stay of one paragraph or block of code
   * @param {() => void} onHidden
   * @param {(block: Leaf | Table) => void} onClosed called with what is painted for good
   */
  constructor(root, leafLimit, onHidden, onClosed) {
    this.leafLimit = leafLimit;
    this.onHidden = onHidden;
    this.onClosed = onClosed;
    this.root = new Container("root", root, null);
    /** @type {Container[]} what is open, the outermost first */
    this.stack = [this.root];
    /** @type {Leaf | null} what text flows into */
    this.leaf = null;
    /** @type {Table | null} what another row may be added to */
    this.table = null;
    this.blank = false; // a blank line has come since the last block
    this.known = new Definitions();
    this.budget = new Budget(); // for formulas on lines of their own
    this.bare = true; // bare fences within a block of Markdown may be pairs
    this.dirty = false; // the leaf has grown since it was painted
  }

  top() {
    return this.stack[this.stack.length - 1];
  }

  /**
   * Leave what a line does not continue.
   * @param {number} depth
   */
  enter(depth) {
    this.closeTo(depth);
    this.closeLeaf();
    // A list takes items only.
    while (this.top().kind === "list") this.closeTo(this.stack.length - 1);
    this.loosen(this.top());
  }

  /**
   * Blank lines between the parts of an item, or between items, make their list a loose one.
   * @param {Container} container
   */
  loosen(container) {
    const isItem = container.kind === "item";
    const list = /** @type {Container} */ (isItem ? container.parent : container);
    const parts = isItem ? container.kids.length : 1;
    if (this.blank && list.kind === "list" && parts) list.el.classList.remove("amber-tight");
    this.blank = false;
  }

  /** @param {"quote" | "list" | "item" | "note"} kind @param {HTMLElement} el */
  open(kind, el) {
    const container = this.attach(new Container(kind, el, this.top()));
    this.stack.push(container);
    return container;
  }

  openQuote() {
    this.open("quote", make(this.root.el, "blockquote"));
  }

  /** @param {string} mark its bullet or delimiter @param {number} number of its first item; NaN for a bullet */
  openList(mark, number) {
    const ordered = !Number.isNaN(number);
    const el = makeDirected(this.top(), ordered ? "ol" : "ul", "amber-tight");
    if (ordered && number !== 1) el.setAttribute("start", String(number));
    this.open("list", el).mark = mark;
  }

  /** @param {number} offset columns its content is indented by */
  openItem(offset) {
    this.open("item", make(this.root.el, "li")).offset = offset;
  }

  /** @param {string} label of a footnote */
  openNote(label) {
    const note = this.open("note", make(this.root.el, "div"));
    note.offset = 4;
    note.label = label;
    this.known.note(label);
  }

  /** @param {string} tag */
  openText(tag) {
    const top = this.top();
    const { label } = top;
    top.label = "";
    this.leaf = this.attach(new TextLeaf(tag, top, this.known, label));
  }

  /** @param {string} fence @param {number} indent @param {string} info what stands behind the fence */
  openCode(fence, indent, info) {
    this.leaf = this.attach(new CodeLeaf(fence, indent, info, this.top(), this.bare));
  }

  /**
   * @param {import("./formulas.js").Formula} formula of which the first line is known
   * @param {TextLeaf | null} before the paragraph that it interrupts, and that goes on if it is none
   * @param {number} depth of the containers that it stands in
   */
  openFormula(formula, before, depth) {
    if (!before) this.enter(depth);
    let within = before ? depth : this.stack.length;
    while (this.stack[within - 1].kind === "list") within--;
    this.leaf = this.attach(new FormulaLeaf(formula, before, within, this.stack[within - 1]));
    this.dirty = true;
  }

  /** The formula is whole: what it has interrupted is over. @param {FormulaLeaf} leaf */
  closeFormula(leaf) {
    if (leaf.before) {
      this.leaf = leaf.before;
      this.closeTo(leaf.depth);
      this.closeLeaf();
      this.leaf = leaf;
    }
    this.closeLeaf();
  }

  /** @param {Table} table */
  openRow(table) {
    this.settleLeaf();
    this.leaf = this.attach(new RowLeaf(table));
  }

  /** @template {Block} B @param {B} child */
  attach(child) {
    this.markNote(this.top());
    child.attach();
    this.blank = false;
    return child;
  }

  /** Write the mark of a footnote that does not begin with a paragraph. @param {Container} note */
  markNote(note) {
    if (!note.label) return;
    const mark = make(this.root.el, "sup");
    mark.textContent = note.label;
    note.into.append(mark);
    note.label = "";
  }

  /** @param {string} text */
  grow(text) {
    if (!text || !this.leaf) return;
    this.dirty = true;
    if (this.leaf.grow(text, this.leafLimit)) this.onHidden();
  }

  /** Paint what has grown. */
  paint() {
    if (this.dirty) this.leaf?.paint(true);
    this.dirty = false;
  }

  settleLeaf() {
    const { leaf } = this;
    leaf?.close();
    this.leaf = null;
    this.dirty = false;
    if (leaf) this.onClosed(leaf);
  }

  closeLeaf() {
    this.settleLeaf();
    if (this.table) this.table.open = false;
    this.table = null;
  }

  /** @param {Table} table */
  openTable(table) {
    this.table = this.attach(table);
    this.onClosed(table); // its head
  }

  /** @param {number} depth */
  closeTo(depth) {
    if (depth >= this.stack.length) return;
    this.closeLeaf();
    for (const container of this.stack.splice(depth)) {
      this.markNote(container);
      container.open = false;
    }
  }
}
