// @ts-check
/** A run of `amber.map` that goes on: its last picture, and the views of it on this page. */

import { LiveRun } from "../live_run.js";
import { renderMap } from "./map_view.js";

/**
 * @typedef {object} Picture what the kernel tells of a run; its texts are cleaned and short
 * @property {[ok: number, failed: number, skipped: number, rows: number]} of
 * @property {number} elapsed s
 * @property {[label: string, value: string, below: string][]} figures
 * @property {string} note
 * @property {[count: string, reason: string, rows: string][]} failures
 * @property {string} more errors
 * @property {string[]} remarks
 * @property {[label: string, text: string, isError: boolean][]} [newest]
 */
/** @typedef {{ id: string, title: string, badge?: string, rows: number, outdated?: number }} Announcement */

export class LiveMap extends LiveRun {
  /**
   * @param {Announcement} announcement
   * @param {(message: object) => void} send to the kernel
   * @param {() => void} interrupt the kernel
   */
  constructor({ id, title, badge = "", rows }, send, interrupt) {
    super(id, send, interrupt);
    this.title = title;
    this.badge = badge;
    this.rows = rows;
    /** @type {Picture | null} */
    this.picture = null;
    this.came = 0; // when
    /** @type {Set<() => void>} */
    this.listeners = new Set();
  }

  /** @param {{ open?: Announcement, m?: Picture & { stopping?: number } }} message */
  receive({ open, m }) {
    this.outdated ||= !!open?.outdated;
    if (!m) return;
    this.stopping ||= !!m.stopping;
    if (m.of) {
      this.picture = { ...m, newest: m.newest ?? this.picture?.newest };
      this.came = performance.now();
    }
    for (const listener of this.listeners) listener();
  }

  announceDrawn() {
    this.send({ m: { drawn: 1 } });
  }

  ask() {
    this.send({ m: { ask: 1 } });
  }

  stop() {
    this.send({ m: { stop: true } });
  }

  /** @param {HTMLElement} over */
  fill(over) {
    return renderMap(over, this);
  }
}
