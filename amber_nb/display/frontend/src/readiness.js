// @ts-check
/**
 * Whether a decision can have been meant: a second after the reader could see the card, by an event that the browser
 * itself calls trusted, and not by a key that was held down before. An impatient second Ctrl+Enter, which ran a cell,
 * must not allow what the first one brought up.
 */

import { ms } from "./smoothing.js";

const SEEN = 1000; // ms
const BLINK = 500; // ms out of sight that count as in sight: Lab may render the output anew

export class Readiness {
  /**
   * @param {HTMLElement} el what the reader has to see
   * @param {() => void} changed called when it becomes ready
   * @param {AbortSignal} signal the end of it
   */
  constructor(el, changed, signal) {
    this.changed = changed;
    /** @type {number | null} since when it is on the screen */
    this.since = null;
    /** @type {number | null} since when it is out of sight again */
    this.left = null;
    /** @type {Map<string, number>} keys that are held down, and since when */
    this.keys = new Map();
    this.reported = false;
    const view = el.ownerDocument.defaultView;
    const options = { capture: true, signal };
    view?.addEventListener("keydown", ({ code }) => this.keys.has(code) || this.keys.set(code, ms()), options);
    view?.addEventListener("keyup", ({ code }) => (this.keys.delete(code), this.report()), options);
    view?.addEventListener("blur", () => this.keys.clear(), options);
    const observer = new IntersectionObserver(([{ isIntersecting }]) => {
      if (!isIntersecting) {
        this.left ??= ms();
        return;
      }
      if (this.since === null || (this.left !== null && ms() - this.left > BLINK)) this.since = ms();
      this.left = null;
      setTimeout(() => this.report(), SEEN);
    });
    observer.observe(el);
    signal.addEventListener("abort", () => observer.disconnect());
  }

  get ready() {
    if (this.since === null || this.left !== null || ms() - this.since < SEEN) return false;
    const from = this.since + SEEN;
    return [...this.keys.values()].every((pressed) => pressed >= from);
  }

  report() {
    if (this.reported || !this.ready) return;
    this.reported = true;
    this.changed();
  }

  /** @param {Event} event */
  accepts(event) {
    return event.isTrusted && this.ready;
  }
}
