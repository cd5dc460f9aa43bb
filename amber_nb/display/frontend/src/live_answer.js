// @ts-check
/** An answer that is being written: what has come of it, and the views of it on this page. */

import { renderAnswer } from "./answer_view.js";
import { renderCalls } from "./calls_view.js";
import { offerCopies } from "./copy_button.js";
import { LiveItem } from "./live_item.js";
import { Receiver } from "./receiver.js";
import { Looks } from "./rich_text.js";
import * as sight from "./sight.js";
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
/** @typedef {import("./documents.js").Documents} Documents */
/** @typedef {import("./live_item.js").View} View */
/**
 * @typedef {object} Listener
 * @property {(text: string) => void} text
 * @property {(note: string) => void} note
 * @property {(sources: [title: string, url: string][]) => void} sources
 * @property {() => void} stopping
 */

export class LiveAnswer extends LiveItem {
  /**
   * @param {Announcement} announcement
   * @param {(message: object) => void} send to the kernel
   * @param {() => void} interrupt the kernel
   * @param {((el: HTMLElement) => Promise<void> | void) | null} [typeset] formulas, where the front end can
   */
  constructor({ id, title, badge = "", strip = [], tools = false }, send, interrupt, typeset = null) {
    super(id, send);
    this.title = title;
    this.badge = badge;
    this.strip = strip;
    this.tools = tools;
    this.interrupt = interrupt;
    this.typeset = typeset;
    this.looks = new Looks((blocks) => send({ s: { blocks } }));
    this.text = "";
    this.note = "";
    this.stopping = false;
    /** @type {[title: string, url: string][]} */
    this.sources = [];
    /** @type {string | null} the id of the notebook's cell that it stands in */
    this.cell = null;
    this.outdated = false; // its cell runs again: it is not put back into that
    this.snapshot = ""; // what the document held when it was last found there
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

  /** In an Output widget it may stand nowhere in the document. @param {Documents} documents */
  isMissing(documents) {
    const place = documents.cellWith(this);
    this.cell = place ?? this.cell;
    return place === null && this.cell !== null;
  }

  /** @param {Documents} documents */
  isCleared(documents) {
    return !this.outdated && documents.lacks(this);
  }

  /** @param {Documents} documents */
  look(documents) {
    super.look(documents);
    if (documents.known) documents.dropReturned(this.cell, this.id);
  }

  /** @param {Documents} documents */
  leave(documents) {
    if (!this.outdated && documents.putBack(this)) return;
    this.cell = null; // it may stand in another notebook of this kernel, or come back here
    this.send({ left: 1 });
  }

  /** Keep the Stop button in sight. @param {View} view */
  onDrawn(view) {
    sight.close(view.areas);
    view.areas = sight.open(view.host);
  }

  /** @param {View} view */
  onRemoved({ areas }) {
    sight.close(areas);
    offerCopies(areas[0]);
  }
}
