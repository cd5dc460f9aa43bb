// @ts-check
/** An answer that is being written: what has come of it, and the views of it on this page. */

import { renderAnswer } from "./answer_view.js";
import { renderCalls } from "./calls_view.js";
import { make } from "./dom.js";
import { Receiver } from "./receiver.js";

/** @typedef {import("./receiver.js").Message} Message */
/**
 * @typedef {object} Announcement
 * @property {string} id 128 random bits
 * @property {string} title the model's name
 * @property {string} [badge]
 * @property {[string, string[], string][]} [strip] the images that were sent
 * @property {boolean} [tools]
 */
/** @typedef {{ host: HTMLElement, over: HTMLElement, focused: HTMLElement | null, dispose: () => void }} View */
/** @typedef {{ text: (text: string) => void, note: (note: string) => void, stopping: () => void }} Listener */

const CLAIM = Symbol.for("amber_nb.claim"); // on an element: the layer that draws over it
const DRAWN = "amber-drawn";
const IGNORED = "mathjax_ignore tex2jax_ignore"; // else the notebook would typeset text that is still being painted

export class LiveAnswer {
  /**
   * @param {Announcement} announcement
   * @param {(message: object) => void} send to the kernel
   * @param {() => void} interrupt the kernel
   */
  constructor({ id, title, badge = "", strip = [], tools = false }, send, interrupt) {
    this.id = id;
    this.hook = `amber-live-${id}`;
    this.title = title;
    this.badge = badge;
    this.strip = strip;
    this.tools = tools;
    this.send = send;
    this.interrupt = interrupt;
    this.text = "";
    this.note = "";
    this.stopping = false;
    this.ended = false;
    /** @type {string | null} the id of the notebook's cell that it stands in */
    this.cell = null;
    this.missing = 0; // looks at the document in which it was not found
    this.snapshot = ""; // what the document held when it was last found there
    /** @type {View[]} */
    this.views = [];
    /** @type {Set<Listener>} */
    this.listeners = new Set();
    /** @type {Set<(message: object) => void>} */
    this.callListeners = new Set();
    this.receiver = new Receiver((have) => send({ s: { have } }));
  }

  /** @param {Message} message */
  receiveText(message) {
    const text = this.receiver.take(message);
    this.text += text;
    if (typeof message.n === "string") this.note = message.n;
    else if (text) this.note = "";
    this.stopping ||= !!message.stopping;
    for (const listener of this.listeners) {
      listener.text(text);
      listener.note(this.note);
      if (message.stopping) listener.stopping();
    }
  }

  /** @param {object} message */
  receiveCalls(message) {
    for (const listener of this.callListeners) listener(message);
  }

  /** Tell a view what has come, and what comes. @param {Listener} listener @returns {() => void} to end it */
  listen(listener) {
    listener.text(this.text);
    listener.note(this.note);
    if (this.stopping) listener.stopping();
    this.listeners.add(listener);
    return () => this.listeners.delete(listener);
  }

  stop() {
    this.send({ s: { stop: true } });
  }

  /** Draw over an element; a view whose element Lab has taken away moves there. @param {HTMLElement} host */
  drawOver(host) {
    const claims = /** @type {Record<symbol, LiveAnswer | undefined>} */ (/** @type {unknown} */ (host));
    const claim = claims[CLAIM];
    if (claim && claim !== this) return; // another layer on this page draws here
    if (this.views.some((view) => view.host === host && host.contains(view.over))) return;
    if (!this.views.length) this.send({ s: { drawn: 1 } });
    const view = this.views.find((view) => !view.host.isConnected) ?? this.render(host);
    release(view.host);
    claims[CLAIM] = this;
    view.host = host;
    host.classList.add(DRAWN);
    const { focused } = view;
    host.append(view.over);
    if (focused && host.ownerDocument.activeElement === host.ownerDocument.body) focused.focus({ preventScroll: true });
  }

  /** @param {HTMLElement} host @returns {View} */
  render(host) {
    const over = make(host, "div", `amber-over ${IGNORED}`);
    host.append(over);
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
    /** @type {View} */
    const view = { host, over, focused: null, dispose: () => ends.forEach((end) => end()) };
    over.addEventListener("focusin", ({ target }) => (view.focused = /** @type {HTMLElement} */ (target)));
    // With an element that is taken away, the focus goes to nobody; a reader takes it somewhere.
    over.addEventListener("focusout", ({ relatedTarget }) => relatedTarget && (view.focused = null));
    this.views.push(view);
    return view;
  }

  /** End the views whose element is no longer on the page. */
  dropDetached() {
    this.end(this.views.filter(({ host }) => !host.isConnected));
  }

  dispose() {
    this.end(this.views);
  }

  /** @param {View[]} views */
  end(views) {
    for (const { host, over, dispose } of views) {
      dispose();
      over.remove();
      release(host);
    }
    this.views = this.views.filter((view) => !views.includes(view));
  }
}

/** @param {HTMLElement} host that is no longer drawn over */
function release(host) {
  host.classList.remove(DRAWN);
  delete (/** @type {any} */ (host)[CLAIM]);
}
