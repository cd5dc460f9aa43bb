// @ts-check
/**
 * Keeps the newest text in sight for a reader who has scrolled down to it, until the reader scrolls up. For anybody else
 * the page stays where it is.
 */

import { ms } from "./smoothing.js";

const HAND = 1000; // ms after a reader's move in which scrolling is the reader's
const SLACK = 60; // px: what has grown while the reader was on the way down

export class Following {
  /**
   * @param {HTMLElement} end what has to stay in sight
   * @param {AbortSignal} signal
   */
  constructor(end, signal) {
    this.end = end;
    this.on = false;
    /** @type {Element | null} what the reader scrolls */
    this.scroller = null;
    this.top = 0;
    this.moved = -Infinity; // when the reader moved last; Infinity: has a scroll bar in the hand
    this.up = false;
    const options = { capture: true, passive: true, signal };
    const doc = end.ownerDocument;
    doc.addEventListener("scroll", (event) => this.scrolled(event.target), options);
    for (const type of /** @type {const} */ (["wheel", "touchmove", "keydown", "pointerdown", "pointermove"])) {
      doc.addEventListener(type, (event) => this.move(event), options);
    }
  }

  /** @param {Event} event of the reader's, which may scroll */
  move(event) {
    if (event.type === "pointermove" && this.moved !== Infinity) return;
    if (event instanceof KeyboardEvent && event.key === "Enter") return; // Lab runs a cell, and scrolls by itself
    const grips = event.type === "pointerdown" && /** @type {Element} */ (event.target).contains(this.end);
    this.moved = grips ? Infinity : ms();
    // Browsers scroll smoothly: the first steps up are too small to tell.
    this.up = event instanceof WheelEvent && event.deltaY < 0;
    if (this.up) this.on = false;
  }

  /** @param {EventTarget | null} target */
  scrolled(target) {
    const doc = this.end.ownerDocument;
    const scroller = target === doc ? doc.scrollingElement : /** @type {Element} */ (target);
    if (!scroller?.contains(this.end)) return;
    const by = scroller === this.scroller ? scroller.scrollTop - this.top : 1;
    this.scroller = scroller;
    this.top = scroller.scrollTop;
    // A page that grows scrolls, too; and so do we.
    if (by && ms() - this.moved <= HAND) this.on = by > 0 && !this.up && this.beyond() <= SLACK;
  }

  /** How far the end is below what can be seen, in px. */
  beyond() {
    const { scroller, end } = this;
    if (!scroller) return 0;
    const isPage = scroller === end.ownerDocument.scrollingElement;
    return end.getBoundingClientRect().bottom - (isPage ? innerHeight : scroller.getBoundingClientRect().bottom);
  }

  /** After the text has grown. */
  keepUp() {
    const beyond = this.on ? this.beyond() : 0;
    if (!this.scroller || beyond <= 0) return;
    this.scroller.scrollBy({ top: beyond, behavior: "instant" });
    this.top = this.scroller.scrollTop;
  }
}
