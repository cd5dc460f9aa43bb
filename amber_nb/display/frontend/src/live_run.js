// @ts-check
/** Something that goes on in the kernel until it is settled, such as an answer that is written: the reader may stop it. */

import { offerCopies } from "./copy_button.js";
import { LiveItem } from "./live_item.js";
import * as sight from "./sight.js";

/** @typedef {import("./documents.js").Documents} Documents */
/** @typedef {import("./live_item.js").View} View */

export class LiveRun extends LiveItem {
  /**
   * @param {string} id
   * @param {(message: object) => void} send to the kernel
   * @param {() => void} interrupt the kernel
   */
  constructor(id, send, interrupt) {
    super(id, send);
    this.interrupt = interrupt;
    this.stopping = false;
    this.text = ""; // its plain form
    /** @type {string | null} the id of the notebook's cell that it stands in */
    this.cell = null;
    this.outdated = false; // its cell runs again: it is not put back into that
    this.snapshot = ""; // what the document held when it was last found there
  }

  /** Ask the kernel whether it is still open. */
  ask() {}

  stop() {}

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
