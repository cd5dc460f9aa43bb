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
   * @param {() => void} changed called when it becomes ready, and when it no longer is
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
    /** @type {ReturnType<typeof setTimeout> | undefined} */
    this.timer = undefined;
    const view = el.ownerDocument.defaultView;
    const options = { capture: true, signal };
    view?.addEventListener("keydown", ({ code }) => this.keys.has(code) || this.keys.set(code, ms()), options);
    const release = (/** @type {KeyboardEvent} */ { code, key }) => {
      // A Mac tells nothing of keys that are let go while Cmd is held.
      if (key === "Meta") this.keys.clear();
      this.keys.delete(code);
      this.report();
    };
    view?.addEventListener("keyup", release, options);
    view?.addEventListener("blur", () => this.keys.clear(), options);
    const observer = new IntersectionObserver((entries) => {
      const { isIntersecting } = entries[entries.length - 1];
      if (!isIntersecting) {
        this.left ??= ms();
        this.look(BLINK + 1);
        return;
      }
      if (this.since === null || (this.left !== null && ms() - this.left >= BLINK)) this.since = ms();
      this.left = null;
      this.report();
    });
    observer.observe(el);
    signal.addEventListener("abort", () => {
      observer.disconnect();
      clearTimeout(this.timer);
    });
  }

  get ready() {
    if (this.since === null || ms() - this.since < SEEN) return false;
    if (this.left !== null && ms() - this.left >= BLINK) return false;
    const from = this.since + SEEN;
    return [...this.keys.values()].every((pressed) => pressed >= from);
  }

  /** Tell what has changed; look again when the time has come. */
  report() {
    const { ready } = this;
    if (ready !== this.reported) {
      this.reported = ready;
      this.changed();
    }
    if (!ready && this.since !== null && this.left === null) this.look(Math.max(50, this.since + SEEN - ms()));
  }

  /** @param {number} pause ms */
  look(pause) {
    clearTimeout(this.timer);
    this.timer = setTimeout(() => this.report(), pause);
  }

  /** @param {Event} event */
  accepts(event) {
    // The second click of two may have been meant for the card that was here before.
    return event.isTrusted && this.ready && /** @type {MouseEvent} */ (event).detail < 2;
  }
}
