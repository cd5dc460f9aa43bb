// @ts-check
/**
 * The live layer: draws what is live over its static output, in whatever document that stands: answers that are being
 * written, runs over tables, and inputs for images.
 *
 * The kernel's one widget, which is never displayed, brings it to each page. The document holds ordinary HTML; an item
 * that is live has a hook in it, a class with 128 random bits that the kernel has announced. What the layer draws is
 * never part of the document, but the text so far is put into it when the document is saved and when the kernel goes.
 * The protocol: ../../layer.py.
 */

import { Documents } from "./documents.js";
import { LiveAnswer } from "./live_answer.js";
import { LiveInput } from "./live_input.js";
import { LiveRun } from "./live_run.js";
import { LiveMap } from "./map/live_map.js";

/** @typedef {import("./live_item.js").Announcement} Announcement */
/** @typedef {import("./live_item.js").LiveItem} LiveItem */
/**
 * @typedef {object} Model
 * @property {(name: string) => any} get
 * @property {(content: object, callbacks?: object, buffers?: ArrayBuffer[]) => void} send
 * @property {(event: string, callback: (...args: any[]) => void) => void} on
 * @property {(event: string, callback?: (...args: any[]) => void) => void} off
 * @property {any} [widget_manager]
 */
/**
 * @typedef {object} Message
 * @property {number} [a] the item's number
 * @property {Announcement} [open]
 * @property {object} [s] for the view of its text
 * @property {object} [c] for the view of its tool calls
 * @property {object} [i] for an input for images
 * @property {object} [m] for a run over a table
 * @property {unknown} [end] it is settled
 * @property {unknown} [ping] asks for a sign of life
 * @property {string} [who] the id of an item that another page has lost
 * @property {string} [heal] the id of an item whose newer static form is in `data`
 * @property {Record<string, string>} [data]
 */

const GREET = 300; // ms between two greetings
const GREETINGS = 30;
const SETTLE = 1500; // ms that the page has for showing the settled form by itself
const LOOK = 1000; // ms between two looks at the document
const SILENT = 12_000; // ms without a message, after which the kernel is asked whether an answer is still open
const HOOK = "amber-hook";
const OVER = "amber-over";
// Where outputs are: JupyterLab and Notebook 7, nbclassic, Voilà.
const OUTPUTS = ".jp-OutputArea-output, .output_subarea, .jp-RenderedHTML";

export class Layer {
  /** @param {Model} model @param {Document} doc */
  constructor(model, doc) {
    this.model = model;
    this.doc = doc;
    this.documents = new Documents(model.widget_manager, () => this.write(), () => this.end(), () => this.dispose());
    /** @type {Map<number, LiveItem>} */
    this.items = new Map();
    /** @type {Map<string, LiveItem>} settled, with no output to hold that, by their ids */
    this.cleared = new Map();
    /** @type {Set<Element>} added to the page, not yet looked at */
    this.added = new Set();
    this.frame = 0;
    this.answered = false;
    this.heard = performance.now();
    this.disposed = false;
    this.observer = new MutationObserver((records) => this.observe(records));
    this.receive = (/** @type {Message | null} */ message, /** @type {DataView[]} */ buffers = []) =>
      message && this.take(message, buffers);
    model.on("msg:custom", this.receive);
    this.greet();
    // A layer may be up before its kernel can hear it.
    let tries = 0;
    this.greeting = setInterval(() => {
      if (this.answered || ++tries > GREETINGS) clearInterval(this.greeting);
      else this.greet();
    }, GREET);
    // A page may have the layer before it has the document.
    void this.documents.ready.then(() => this.disposed || this.send({ stale: this.documents.hooks() }));
    this.looking = setInterval(() => this.look(), LOOK);
  }

  greet() {
    this.send({ hello: 1 });
  }

  /** @param {object} message @param {ArrayBuffer[]} [buffers] */
  send(message, buffers) {
    try {
      this.model.send(message, undefined, buffers);
    } catch {
      // The kernel is gone: what is shown stays as it is.
    }
  }

  interrupt() {
    const manager = this.model.widget_manager;
    const kernel = manager?.kernel ?? manager?.context?.sessionContext?.session?.kernel;
    // Its status is no guide: the messages of a subshell make a busy kernel look idle.
    if (typeof kernel?.interrupt !== "function") return;
    Promise.resolve(kernel.interrupt()).catch(() => {});
  }

  /** @param {Message} message @param {DataView[]} buffers */
  take(message, buffers) {
    const { a, open, end, ping, who, heal, data } = message;
    this.answered = true;
    this.heard = performance.now();
    if (ping) this.send({ here: this.held() });
    if (typeof who === "string" && this.held().includes(who)) this.send({ here: [who] });
    if (typeof heal === "string" && data) this.heal(heal, data);
    if (typeof a !== "number") return;
    if (open && !this.items.has(a)) this.open(a, open);
    const item = this.items.get(a);
    if (!item) return;
    item.receive(message, buffers);
    if (end) this.settle(a, item);
  }

  /** @param {string} id @param {Record<string, string>} data */
  heal(id, data) {
    const item = this.cleared.get(id);
    this.cleared.delete(id);
    if (item && data["text/html"] && !this.documents.holds(data)) this.documents.putBack(/** @type {LiveRun} */ (item));
    this.documents.replace(id, data);
  }

  /** The ids of the items that this page holds: drawn, or in a document, of which it may show another part. */
  held() {
    const stand = new Set(this.documents.hooks());
    return [...this.items.values()].filter((item) => item.isDrawn || stand.has(item.id)).map(({ id }) => id);
  }

  /** @param {number} number @param {Announcement} announcement */
  open(number, announcement) {
    /** @type {(message: object, buffers?: ArrayBuffer[]) => void} */
    const send = (message, buffers) => this.send({ a: number, ...message }, buffers);
    const { typeset } = this.documents;
    const item =
      "most" in announcement
        ? new LiveInput(announcement, send)
        : "rows" in announcement
          ? new LiveMap(/** @type {any} */ (announcement), send, () => this.interrupt())
          : new LiveAnswer(/** @type {any} */ (announcement), send, () => this.interrupt(), typeset);
    this.items.set(number, item);
    if (this.items.size === 1) this.observer.observe(this.doc.body, { childList: true, subtree: true });
    this.draw(this.doc.body);
  }

  /**
   * The kernel has sent the settled form. Where the page does not show it by itself, as in an Output widget, a moved cell
   * or a page that was loaded again, it is asked for and put into the document; also where the output was cleared just
   * before, so that the settled form reached none.
   * @param {number} number @param {LiveItem} item
   */
  settle(number, item) {
    if (item.ended) return;
    item.ended = true;
    const cleared = item.isCleared(this.documents); // now: what is cleared from here on, the reader's code wants so
    setTimeout(() => {
      if (this.disposed) return;
      if (item instanceof LiveRun) {
        item.look(this.documents);
        this.documents.removeEmptied(item.cell);
      }
      if (cleared) this.cleared.set(item.id, item);
      if (cleared || this.documents.find(item.id).length) this.send({ heal: item.id });
      this.remove(number, item);
    }, SETTLE);
  }

  /** @param {number} number @param {LiveItem} item */
  remove(number, item) {
    item.dispose();
    this.items.delete(number);
    if (this.items.size) return;
    this.observer.disconnect();
    this.added.clear();
  }

  // --- on the page

  /** @param {MutationRecord[]} records */
  observe(records) {
    for (const { target, addedNodes } of records) {
      if (!addedNodes.length || /** @type {Element} */ (target).closest?.(`.${OVER}`)) continue;
      for (const node of addedNodes) if (node.nodeType === 1) this.added.add(/** @type {Element} */ (node));
    }
    if (!this.added.size || this.frame) return;
    // A hidden page has no frames.
    if (this.doc.hidden) setTimeout(() => this.drawAdded());
    else this.frame = requestAnimationFrame(() => this.drawAdded());
  }

  drawAdded() {
    this.frame = 0;
    const added = [...this.added];
    this.added.clear();
    for (const node of added) if (node.isConnected) this.draw(node);
    // The settled form has taken the place of a view: with it goes what has the focus.
    for (const item of this.items.values()) if (item.ended) item.dropDetached();
  }

  /** Draw over the hooks in a part of the page. @param {Element} root */
  draw(root) {
    const hooks = [...root.querySelectorAll(`.${HOOK}`)];
    if (root.classList.contains(HOOK)) hooks.push(root);
    for (const host of hooks) {
      const item = [...this.items.values()].find(({ hook }) => host.classList.contains(hook));
      // A hook outside an output is forged.
      if (!item || !host.closest(OUTPUTS)) continue;
      item.drawOver(/** @type {HTMLElement} */ (host));
      item.isMissing(this.documents); // where it stands is known from now on
    }
  }

  // --- in the document

  /** Write what has come into the document; ask for what was settled while its cell was elsewhere. */
  write() {
    const open = new Set([...this.items.values()].map(({ id }) => id));
    const stale = this.documents.hooks().filter((id) => !open.has(id));
    if (stale.length) this.send({ stale });
    for (const item of this.items.values()) if (!item.ended) this.documents.write(item);
  }

  /** The kernel is gone, and nothing more will come. */
  end() {
    this.write();
    for (const [number, item] of [...this.items]) this.remove(number, item);
    clearInterval(this.greeting);
    clearInterval(this.looking);
  }

  /**
   * What stands in a cell that was deleted ends, an answer whose output was cleared is put back, and with it what waits
   * for the reader; that a settled answer was settled may have been lost on the way. And a hook that another layer on
   * this page drew over is free when that layer goes.
   */
  look() {
    if (this.items.size) this.draw(this.doc.body);
    const silent = performance.now() - this.heard > SILENT;
    for (const item of this.items.values()) {
      if (silent && item instanceof LiveRun && !item.ended) item.ask();
      item.look(this.documents);
    }
  }

  dispose() {
    if (this.disposed) return;
    this.disposed = true;
    this.end();
    cancelAnimationFrame(this.frame);
    this.observer.disconnect();
    this.model.off("msg:custom", this.receive);
    this.documents.dispose();
  }
}

/** @param {{ model: Model }} context */
function initialize({ model }) {
  const layer = new Layer(model, document);
  return () => layer.dispose();
}

export default { initialize };
