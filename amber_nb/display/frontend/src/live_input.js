// @ts-check
/** An input for images, open on this page. */

import { renderImages } from "./image_view.js";
import { LiveItem } from "./live_item.js";

/** @typedef {import("./documents.js").Documents} Documents */
/** @typedef {import("./image_view.js").Message} Message */
/** @typedef {(message: Message, buffers: DataView[]) => void} Listener */

export class LiveInput extends LiveItem {
  /**
   * @param {{ id: string, max_side_px?: number, most?: number }} announcement
   * @param {(message: object, buffers?: ArrayBuffer[]) => void} send to the kernel
   */
  constructor({ id, max_side_px = 2048, most = 20 }, send) {
    super(id, send);
    this.settings = { max_side_px, most };
    /** @type {Set<Listener>} */
    this.listeners = new Set();
    this.revision = -1; // of the list
    this.seen = -1; // the revision at the last look
    this.asked = -1; // the revision that was asked for
    this.found = false; // in the document
  }

  /** @param {{ i?: Message }} message @param {DataView[]} buffers */
  receive({ i }, buffers) {
    if (!i) return;
    if (typeof i.revision === "number") this.revision = i.revision;
    for (const listener of this.listeners) listener(i, buffers);
  }

  /** @param {HTMLElement} over */
  fill(over) {
    return renderImages(over, {
      ...this.settings,
      send: (message, buffers) => this.send({ i: message }, buffers),
      listen: (listener) => {
        this.listeners.add(listener);
        return () => this.listeners.delete(listener);
      },
    });
  }

  /**
   * Look whether the static form holds this list. In an Output widget, or on a page that was loaded again, the kernel's
   * update has not arrived.
   * @param {Documents} documents
   */
  look(documents) {
    super.look(documents);
    if (this.ended || this.asked === this.revision || this.revision < 0) return;
    const mark = `amber-revision-${this.revision}"`;
    if (this.seen === this.revision && documents.texts(this.id).some((text) => !text.includes(mark))) {
      this.asked = this.revision;
      this.send({ heal: this.id });
    }
    this.seen = this.revision; // the kernel's own update has until the next look to arrive
  }

  /** @param {Documents} documents */
  isMissing(documents) {
    const there = documents.find(this.id).length > 0;
    this.found ||= there;
    return this.found && !there;
  }

  leave() {
    this.found = false; // it may stand in another notebook of this kernel, or come back here
    this.send({ left: 1 });
  }
}
