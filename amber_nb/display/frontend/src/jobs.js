// @ts-check
/** What is on its way to the kernel: files and links, one after the other, each with its progress. */

import { box } from "./box.js";
import { shrink } from "./shrink.js";

/** @typedef {import("./upload.js").Line} Line */
/** @typedef {import("./data_transfer.js").Thing} Thing */
/** @typedef {{ thing: Thing, el: HTMLElement, stage: HTMLElement, bar: HTMLProgressElement }} Job */

export class Jobs {
  /**
   * @param {Document} doc
   * @param {object} ways
   * @param {Line} ways.line to the kernel
   * @param {() => number} ways.most pixels on a side
   * @param {(words: string) => void} ways.say what happens, for a reader who does not see it
   * @param {(words: string) => void} ways.onEnd of each of them, with what is to complain about; or nothing
   * @param {AbortSignal} signal the end of the view
   */
  constructor(doc, { line, most, say, onEnd }, signal) {
    this.line = line;
    this.most = most;
    this.say = say;
    this.onEnd = onEnd;
    this.signal = signal;
    this.el = box(doc, "amber-going");
    /** @type {Job[]} */
    this.jobs = [];
  }

  /** How many are under way. */
  get length() {
    return this.jobs.length;
  }

  /** @param {Thing[]} things */
  add(things) {
    const idle = !this.jobs.length;
    for (const thing of things) {
      const one = this.job(thing);
      this.jobs.push(one);
      this.el.append(one.el);
    }
    if (idle) void this.work();
  }

  /** @param {Thing} thing @returns {Job} */
  job(thing) {
    const el = box(this.el, "amber-job");
    const stage = box(el, "amber-quiet", "queued");
    const bar = /** @type {HTMLProgressElement} */ (box(el, "", "", "progress"));
    bar.value = 0;
    bar.setAttribute("aria-label", thing.name);
    el.append(box(el, "amber-name", thing.name), stage, bar);
    return { thing, el, stage, bar };
  }

  async work() {
    while (this.jobs.length && !this.signal.aborted) {
      const [one] = this.jobs;
      const words = await this.bring(one).catch((error) => `${one.thing.name}: ${reason(error)}`);
      one.el.remove();
      this.jobs.shift();
      this.onEnd(words);
    }
  }

  /** @param {Job} job @returns {Promise<string>} what the kernel has to say to it */
  async bring({ thing, el, stage, bar }) {
    const { name, file } = thing;
    this.say(`${name} is on its way`);
    if (!file) return this.line.ask({ link: name });
    stage.textContent = "preparing";
    const { blob, before } = await shrink(el.ownerDocument, file, this.most());
    stage.textContent = "sending";
    return this.line.file(name, blob, before, (share) => (bar.value = share));
  }
}

/** @param {unknown} error */
export function reason(error) {
  return error instanceof Error && error.message ? error.message : "it could not be read";
}
