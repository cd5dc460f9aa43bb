// @ts-check
/**
 * Text that comes in pieces with offsets, which may be lost, repeated or late: put in order, and what is missing asked
 * for. Pure: no DOM.
 */

import { ms } from "./smoothing.js";

/**
 * @typedef {object} Message
 * @property {number} [o] offset of the text, in code points
 * @property {number} [e] offset of its end; without a text: how far it goes
 * @property {string} [t] the text
 * @property {[number, number | null]} [age] seconds since the start, and since the first text
 * @property {string} [n] a note for the status line
 * @property {unknown} [stopping] Stop was heard
 * @property {[title: string, url: string][]} [sources] that the answer has named so far
 * @property {unknown} [looks] of finished blocks: rich_text.js
 */

export const PATIENCE = 1000; // ms until a question is asked again
const HOLE = "\n\n[…]\n\n";

export class Receiver {
  /**
   * @param {(have: number) => void} ask for everything from there
   * @param {() => number} [clock] ms
   */
  constructor(ask, clock = ms) {
    this.ask = ask;
    this.clock = clock;
    this.have = 0;
    this.asked = this.started = clock(); // the greeting asks as well
    /** @type {number | null} */
    this.firstText = null;
    /** @type {number | null} when the last text came */
    this.lastText = null;
    /** @type {number | null} since when something is missing */
    this.gapped = null;
  }

  /**
   * @param {Message} message
   * @returns {string} what is new and follows on what came before
   */
  take({ o, e, t, age }) {
    const now = this.clock();
    if (age) {
      this.started = now - age[0] * 1000;
      this.firstText = age[1] === null ? null : now - age[1] * 1000;
    }
    if (typeof e !== "number" || e <= this.have) return "";
    const text = typeof t === "string" && typeof o === "number" ? { from: o, is: t } : null;
    const gap = !text || text.from > this.have;
    if (gap) {
      this.gapped ??= now;
      if (now - this.asked >= PATIENCE) {
        this.asked = now;
        this.ask(this.have);
      }
      // Nobody answers: better a hole, until the answer is settled, than nothing.
      if (!text || now - this.gapped <= 3 * PATIENCE) return "";
    }
    const fresh = text.from >= this.have ? text.is : Array.from(text.is).slice(this.have - text.from).join("");
    this.have = e;
    this.asked = -Infinity;
    this.gapped = null;
    this.firstText ??= now;
    this.lastText = now;
    return gap ? HOLE + fresh : fresh;
  }
}
