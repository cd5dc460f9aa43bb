// @ts-check
/** The painted tree: what stands inside what, and how much of it the page has to bear. */

import { make } from "../dom.js";

const WEIGHT = 60; // a block costs the page as much as so many characters

/** Something that can be taken off the page in one piece. */
export class Block {
  /**
   * @param {HTMLElement} el what is removed when the block is dropped
   * @param {Block | null} parent
   */
  constructor(el, parent) {
    this.el = el;
    this.parent = parent;
    /** Where its children or its text go. */
    this.into = el;
    /** @type {Block[]} */
    this.kids = [];
    /** Characters inside, and the weight of the blocks. */
    this.size = 0;
    this.open = true;
  }

  /** Where the caret stands while this is what is written last. */
  get tip() {
    return this.el;
  }

  /** How many blocks this one counts for. */
  get weight() {
    return 1;
  }

  /** Put the block at its parent's end. */
  attach() {
    this.parent?.into.append(this.el);
    this.parent?.kids.push(this);
    this.resize(WEIGHT * this.weight);
  }

  /** Take the block off the page. */
  drop() {
    const kids = this.parent?.kids ?? [];
    kids.splice(kids.indexOf(this), 1);
    this.el.remove();
    this.parent?.resize(-this.size);
  }

  /** @param {number} by */
  resize(by) {
    for (let at = /** @type {Block | null} */ (this); at; at = at.parent) at.size += by;
  }
}

/**
 * An element for text that begins on the side of its own letters; within an item, it begins where the list does.
 * @param {Block} parent
 * @param {string} tag
 * @param {string} [cls]
 */
export function makeDirected(parent, tag, cls) {
  const el = make(parent.el, tag, cls);
  let at = /** @type {Block | null} */ (parent);
  while (at && !(at instanceof Container && at.kind === "item")) at = at.parent;
  if (!at) el.dir = "auto";
  return el;
}

/** A block that other blocks stand in. */
export class Container extends Block {
  /**
   * @param {"root" | "quote" | "list" | "item" | "note"} kind
   * @param {HTMLElement} el
   * @param {Block | null} parent
   */
  constructor(kind, el, parent) {
    super(el, parent);
    this.kind = kind;
    /** List: its bullet or delimiter. */
    this.mark = "";
    /** Item, note: columns its content is indented by. */
    this.offset = 0;
    /** Note: its label, until that is written. */
    this.label = "";
  }
}

/**
 * Drop the oldest finished blocks of a page that has become too heavy; well below the limit, so that they go in a batch.
 * @param {Block} root
 * @param {number} limit characters
 * @returns {boolean} whether something has gone
 */
export function prune(root, limit) {
  if (root.size <= limit) return false;
  let gone = false;
  while (root.size > limit * 0.8) {
    let at = root;
    // Down to the first part that is finished and small enough not to take the reader's place with it.
    while (at.kids[0]?.kids.length && (at.kids[0].open || at.kids[0].size > limit / 4)) at = at.kids[0];
    const oldest = at.kids[0];
    if (!oldest || oldest.open) break;
    if (at.el.tagName === "OL") {
      at.el.setAttribute("start", String(Number(at.el.getAttribute("start") ?? 1) + 1));
    }
    oldest.drop();
    gone = true;
  }
  return gone;
}
