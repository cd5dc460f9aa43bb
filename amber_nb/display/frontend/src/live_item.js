// @ts-check
/** Something live, and the views of it on this page: each is drawn over an element that has its hook. */

import { make } from "./dom.js";

/** @typedef {{ id: string, [name: string]: any }} Announcement `id`: 128 random bits */
/** @typedef {{ host: HTMLElement, over: HTMLElement, areas: Element[], focused: HTMLElement | null, dispose: () => void }} View */
/** @typedef {import("./documents.js").Documents} Documents */

const CLAIM = Symbol.for("amber_nb.claim"); // on an element: the layer that draws over it
const DRAWN = "amber-drawn";
const IGNORED = "mathjax_ignore tex2jax_ignore"; // else the notebook would typeset text that is still being painted
const DECISION = ".amber-decision"; // the buttons of approval_card.js
const GONE = 5; // looks at the document: moves and undo take cells away, too

export class LiveItem {
  /**
   * @param {string} id
   * @param {(message: object, buffers?: ArrayBuffer[]) => void} send to the kernel
   */
  constructor(id, send) {
    this.id = id;
    this.hook = `amber-live-${id}`;
    this.send = send;
    this.ended = false;
    this.missing = 0; // looks at the document since it was there
    /** @type {View[]} */
    this.views = [];
  }

  /** Whether a view of it is on the page. */
  get isDrawn() {
    return this.views.some(({ host }) => host.isConnected);
  }

  /** Handle a message of the kernel. @param {any} _message @param {DataView[]} _buffers */
  receive(_message, _buffers) {}

  /** Fill the element of a new view. @param {HTMLElement} _over @returns {() => void} to end it */
  fill(_over) {
    return () => {};
  }

  /** It is on the page for the first time. */
  announceDrawn() {}

  /** The static form for an output that holds this one; null where it needs no change. @param {string} _html @returns {Record<string, string> | null} */
  update(_html) {
    return null;
  }

  /** Whether the document lacks what it stands in, though it had it. @param {Documents} _documents */
  isMissing(_documents) {
    return false;
  }

  /** Whether its output was cleared away before it was settled. @param {Documents} _documents */
  isCleared(_documents) {
    return false;
  }

  /** The document has lacked it for a while. @param {Documents} _documents */
  leave(_documents) {}

  /** A view stands in its element, which may be another one than before. @param {View} _view */
  onDrawn(_view) {}

  /** A view was taken away. @param {View} _view */
  onRemoved(_view) {}

  /** Look at the document, now and then. @param {Documents} documents */
  look(documents) {
    if (this.ended || !documents.known) return;
    this.missing = this.isMissing(documents) ? this.missing + 1 : 0;
    if (this.missing < GONE) return;
    this.missing = 0;
    this.leave(documents);
  }

  /** Draw over an element; a view whose element Lab has taken away moves there. @param {HTMLElement} host */
  drawOver(host) {
    const claims = /** @type {Record<symbol, LiveItem | undefined>} */ (/** @type {unknown} */ (host));
    const claim = claims[CLAIM];
    if (claim && claim !== this) return; // another layer on this page draws here
    if (this.views.some((view) => view.host === host && host.contains(view.over))) return;
    if (!this.views.length) this.announceDrawn();
    const view = this.views.find((view) => !view.host.isConnected) ?? this.render(host);
    release(view.host);
    claims[CLAIM] = this;
    view.host = host;
    host.classList.add(DRAWN);
    const { focused } = view;
    host.append(view.over);
    this.onDrawn(view);
    if (!focused || host.ownerDocument.activeElement !== host.ownerDocument.body) return;
    // Not onto a button that decides: the reader's next key may be meant for something else.
    const target = focused.matches(DECISION) ? focused.closest("[tabindex]") : focused;
    /** @type {HTMLElement | null} */ (target)?.focus({ preventScroll: true });
  }

  /** @param {HTMLElement} host @returns {View} */
  render(host) {
    const over = make(host, "div", `amber-over ${IGNORED}`);
    host.append(over);
    /** @type {View} */
    const view = { host, over, areas: [], focused: null, dispose: this.fill(over) };
    over.addEventListener("focusin", ({ target }) => (view.focused = /** @type {HTMLElement} */ (target)));
    // With an element that is taken away, the focus goes to nobody; a reader takes it somewhere.
    over.addEventListener("focusout", ({ target, relatedTarget }) => {
      const left = /** @type {HTMLElement} */ (target);
      const forget = () => view.focused === left && (view.focused = null);
      if (relatedTarget) forget();
      // A click beside it; of a window that is left, the element stays the active one.
      else queueMicrotask(() => left.isConnected && left.ownerDocument.activeElement !== left && forget());
    });
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
    for (const view of views) {
      view.dispose();
      view.over.remove();
      release(view.host);
      this.onRemoved(view);
    }
    this.views = this.views.filter((view) => !views.includes(view));
  }
}

/** @param {HTMLElement} host that is no longer drawn over */
function release(host) {
  host.classList.remove(DRAWN);
  delete (/** @type {any} */ (host)[CLAIM]);
}
