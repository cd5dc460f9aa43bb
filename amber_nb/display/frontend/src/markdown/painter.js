// @ts-check
/**
 * Markdown painted as it arrives.
 *
 * A line is held back until its first telling character, a few characters at most; then its place is settled for good and
 * what follows flows into its leaf. So nothing is ever unpainted but the last leaf, the work grows with the text, and the
 * result does not depend on how the text was cut into chunks.
 */

import { prune } from "./block_tree.js";
import { make } from "../dom.js";
import { FormulaLeaf, RowLeaf } from "./leaf_blocks.js";
import { plainly } from "./lines.js";
import { OpenBlocks } from "./open_blocks.js";
import { abandonFormula, place, rereadCode, telling } from "./block_parser.js";

/** @typedef {import("./leaf_blocks.js").Leaf} Leaf */
/** @typedef {import("./leaf_blocks.js").Table} Table */

const LINE = 20_000;
const HOLD = 1000; // a line that says nothing by then is text

export class Painter {
  /**
   * @param {HTMLElement} root
   * @param {{ limit?: number, leafLimit?: number, onHidden?: () => void, onClosed?: (block: Leaf | Table) => void }} [options]
   *   characters kept in the page, in all and in one paragraph or block of code: as much as a page lays out in a few
   *   frames; `onClosed` is called with each leaf that is painted for good
   */
  constructor(root, { limit = 120_000, leafLimit = 30_000, onHidden = () => {}, onClosed = () => {} } = {}) {
    this.limit = limit;
    this.onHidden = onHidden;
    this.outline = new OpenBlocks(root, leafLimit, onHidden, onClosed);
    this.half = ""; // of a line end
    this.held = "";
    this.line = ""; // all of it, as far as anybody would read it for what it defines
    this.flowing = false; // the line has its place
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
    const raw = this.half + text;
    this.half = raw.endsWith("\r") ? "\r" : ""; // its other half may be to come
    const s = plainly(raw.slice(0, raw.length - this.half.length));
    for (let i = 0; i < s.length; ) {
      const nl = s.indexOf("\n", i);
      const piece = s.slice(i, nl < 0 ? s.length : nl);
      if (this.line.length < LINE) this.line += piece;
      this.outline.budget.left += 4 * piece.length;
      if (nl >= 0) this.readLine();
      if (this.flowing) {
        this.outline.grow(piece);
      } else {
        this.held += piece;
        if (nl >= 0 || this.held.length > HOLD || telling(this.outline, this.held)) this.release(nl >= 0);
      }
      if (nl < 0) break;
      this.flowing = false;
      i = nl + 1;
    }
  }

  /** Learn what a whole line names. */
  readLine() {
    this.outline.known.read(this.line);
    this.line = "";
  }

  /**
   * Give the held line its place; what follows on the line flows after it.
   * @param {boolean} whole
   */
  release(whole) {
    const line = this.held.slice(0, HOLD);
    const more = this.held.slice(HOLD);
    this.held = "";
    this.flowing = true;
    place(this.outline, line, whole && !more);
    this.outline.grow(more);
  }

  /** Bring the page up to date: once a frame. */
  paint() {
    this.outline.paint();
    this.prune();
    this.setCaret();
  }

  /** Keep the page usable: of an answer longer than anybody can watch the last part stays. */
  prune() {
    if (prune(this.outline.root, this.limit)) this.onHidden();
  }

  /** Nothing has come for a while: show what is held back, as it is. */
  idle() {
    if (this.flowing || !this.held.trim() || this.ghost) return;
    const { leaf } = this.outline;
    const end = leaf && !(leaf instanceof RowLeaf) ? leaf : this.outline.top();
    this.ghost = make(end.el, "span", "amber-ghost");
    this.ghost.textContent = ` ${this.held.trim()}`;
    end.into.append(this.ghost);
  }

  /** The text is complete: nothing stays held back, nothing stays open. */
  end() {
    this.readLine();
    if (!this.flowing && this.held) this.release(true);
    this.flowing = false;
    rereadCode(this.outline);
    while (this.outline.leaf instanceof FormulaLeaf) abandonFormula(this.outline);
    this.outline.closeLeaf();
    this.ghost?.remove();
    this.ghost = null;
    this.outline.closeTo(1);
    this.paint();
    this.caret?.classList.remove("amber-caret");
    this.caret = null;
  }

  setCaret() {
    const { leaf, table } = this.outline;
    const caret = (leaf ?? table ?? this.outline.top()).tip;
    if (caret === this.caret) return;
    this.caret?.classList.remove("amber-caret");
    caret.classList.add("amber-caret");
    this.caret = caret;
  }
}
