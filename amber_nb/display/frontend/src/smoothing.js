// @ts-check
/**
 * Text comes in steps, some seven a second; shown as it comes, a slow answer would jerk. A small step after a small step is
 * spread over the frames until the next one is due. Pure: no DOM.
 */

const SMALL = 300; // characters: of more, nobody sees the steps
const SPREAD = 140; // ms
const FRAME = 17;

/** Milliseconds, for differences. */
export const ms = () => performance.now();

export class Flow {
  #last = Infinity;
  #until = 0;

  /**
   * A step has come.
   * @param {number} length characters
   * @param {number} now ms
   */
  came(length, now) {
    this.#until = length <= SMALL && this.#last <= SMALL ? now + SPREAD : now;
    this.#last = length;
  }

  /**
   * How much to show in this frame.
   * @param {number} waiting characters
   * @param {number} now ms
   */
  due(waiting, now) {
    const frames = Math.ceil((this.#until - now) / FRAME);
    return frames <= 1 || waiting > 2 * SMALL ? waiting : Math.ceil(waiting / frames);
  }
}
