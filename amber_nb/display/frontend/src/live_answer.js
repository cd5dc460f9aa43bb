// @ts-check
/** An answer that is being written: what has come of it, and the views of it on this page. */

import { renderAnswer } from "./answer_view.js";
import { renderCalls } from "./calls_view.js";
import { LiveRun } from "./live_run.js";
import { Receiver } from "./receiver.js";
import { Looks } from "./rich_text.js";
import { snapshot } from "./snapshot.js";

/** @typedef {import("./receiver.js").Message} Message */
/**
 * @typedef {object} Announcement
 * @property {string} id 128 random bits
 * @property {string} title the model's name
 * @property {string} [badge]
 * @property {[string, string[], string][]} [strip] the images that were sent
 * @property {boolean} [tools]
 * @property {number} [outdated] its cell runs again
 */
/**
 * @typedef {object} Listener
 * @property {(text: string) => void} text
 * @property {(note: string) => void} note
 * @property {(sources: [title: string, url: string][]) => void} sources
 * @property {() => void} stopping
 */

export class LiveAnswer extends LiveRun {
  /**
   * @param {Announcement} announcement
   * @param {(message: object) => void} send to the kernel
   * @param {() => void} interrupt the kernel
   * @param {((el: HTMLElement) => Promise<void> | void) | null} [typeset] formulas, where the front end can
   */
  constructor({ id, title, badge = "", strip = [], tools = false }, send, interrupt, typeset = null) {
    super(id, send, interrupt);
    this.title = title;
    this.badge = badge;
    this.strip = strip;
    this.tools = tools;
    this.typeset = typeset;
    this.looks = new Looks((blocks) => send({ s: { blocks } }));
    this.note = "";
    /** @type {[title: string, url: string][]} */
    this.sources = [];
    /** @type {Set<Listener>} */
    this.listeners = new Set();
    /** @type {Set<(message: object) => void>} */
    this.callListeners = new Set();
    this.receiver = new Receiver((have) => send({ s: { have } }));
  }

  /** @param {{ open?: Announcement, s?: Message, c?: object }} message */
  receive({ open, s, c }) {
    this.outdated ||= !!open?.outdated;
    if (s) this.receiveText(s);
    if (c) for (const listener of this.callListeners) listener(c);
  }

  /** @param {Message} message */
  receiveText(message) {
    const text = this.receiver.take(message);
    this.text += text;
    if (typeof message.n === "string") this.note = message.n;
    else if (text) this.note = "";
    this.stopping ||= !!message.stopping;
    if (Array.isArray(message.sources)) this.sources = message.sources;
    this.looks.take(message.looks);
    for (const listener of this.listeners) {
      listener.text(text);
      listener.note(this.note);
      if (message.sources) listener.sources(this.sources);
      if (message.stopping) listener.stopping();
    }
  }

  /** Tell a view what has come, and what comes. @param {Listener} listener @returns {() => void} to end it */
  listen(listener) {
    listener.text(this.text);
    listener.note(this.note);
    listener.sources(this.sources);
    if (this.stopping) listener.stopping();
    this.listeners.add(listener);
    return () => this.listeners.delete(listener);
  }

  stop() {
    this.send({ s: { stop: true } });
  }

  announceDrawn() {
    this.send({ s: { drawn: 1 } });
  }

  /** Ask the kernel whether the answer is still open. */
  ask() {
    this.send({ s: { have: this.receiver.have } });
  }

  /** @param {HTMLElement} over */
  fill(over) {
    /** @type {(() => void)[]} */
    const ends = [];
    if (this.tools) {
      const listeners = this.callListeners;
      /** @type {(message: object) => void} */
      let listener = () => {};
      const port = {
        send: (/** @type {object} */ message) => this.send({ c: message }),
        on: (/** @type {string} */ _, /** @type {(message: object) => void} */ callback) => listeners.add((listener = callback)),
        off: () => listeners.delete(listener),
      };
      ends.push(renderCalls({ model: port, el: over }));
    }
    ends.push(renderAnswer(over, this));
    return () => ends.forEach((end) => end());
  }

  /** All of the text so far. @param {string} html */
  update(html) {
    return snapshot(html, this.text);
  }
}
