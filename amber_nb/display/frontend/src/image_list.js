// @ts-check
/** The images of an input, one below the other, and the buttons that move and remove them. */

import { box, button, disable } from "./box.js";
import { attributes, make } from "./dom.js";

/** @typedef {[id: number, name: string, facts: string[], thumbnail: number | null]} Entry */
/** @typedef {{ el: HTMLElement, told: HTMLElement, tools: HTMLElement, buttons: HTMLButtonElement[] }} Row */

const UP = 0;
const DOWN = 1;
const REMOVE = 2;

export class ImageList {
  /**
   * @param {Document} doc
   * @param {object} ways
   * @param {(order: number[], removed: number[]) => Promise<string>} ways.arrange in the kernel; what goes wrong there
   * @param {(words: string) => void} ways.say what has happened, for a reader who does not see it
   * @param {() => void} ways.leave the last image was removed: the keyboard has to go elsewhere
   * @param {AbortSignal} signal the end of the view
   */
  constructor(doc, { arrange, say, leave }, signal) {
    this.arrange = arrange;
    this.say = say;
    this.leave = leave;
    this.signal = signal;
    this.el = make(doc, "ul", "amber-list");
    this.el.setAttribute("aria-label", "Images");
    /** @type {Map<number, Row>} */
    this.rows = new Map();
    /** @type {Map<number, string>} their addresses; nothing is fetched for them */
    this.pictures = new Map();
    /** @type {Map<number, string>} */
    this.names = new Map();
    /** @type {Entry[]} as the kernel had them last */
    this.entries = [];
    /** @type {number[]} */
    this.order = [];
    /** @type {Set<number>} removed here; the kernel may not know yet */
    this.removed = new Set();
    this.unsettled = 0; // changes of which the kernel has not heard yet: until then, the order is the reader's
    signal.addEventListener("abort", () => this.pictures.forEach((address) => URL.revokeObjectURL(address)));
  }

  /**
   * The whole list, as the kernel has it.
   * @param {Entry[]} entries
   * @param {DataView[]} thumbnails
   * @param {boolean} finished
   */
  update(entries, thumbnails, finished) {
    this.entries = entries;
    const focus = this.focused();
    const stay = new Set(entries.map(([id]) => id));
    for (const [id, row] of this.rows) if (!stay.has(id)) this.forget(id, row);
    for (const [id, name, facts, index] of entries) {
      if (this.removed.has(id)) continue;
      if (index !== null && thumbnails[index] && !this.pictures.has(id)) {
        this.pictures.set(id, URL.createObjectURL(new Blob([/** @type {any} */ (thumbnails[index])])));
      }
      this.names.set(id, name);
      const row = this.rows.get(id) ?? this.row(id, name);
      this.rows.set(id, row);
      row.told.textContent = facts.join(" · ");
      if (finished) row.tools.remove();
    }
    const mine = this.unsettled ? this.order : [];
    const theirs = entries.map(([id]) => id);
    this.order = [...new Set([...mine, ...theirs])].filter((id) => this.rows.has(id));
    this.lay();
    focus?.focus();
  }

  /** Tell the kernel what the reader has done; if it does not do the same, the page goes back. */
  async settle() {
    this.lay();
    this.unsettled++;
    const wrong = await this.arrange([...this.order], [...this.removed]);
    this.unsettled--;
    if (wrong) this.removed.clear();
    this.update(this.entries, [], false);
  }

  /** @param {number} id @param {string} name @returns {Row} */
  row(id, name) {
    const el = make(this.el, "li");
    const address = this.pictures.get(id);
    const picture = box(el, "amber-thumb", address ? "" : "↗");
    picture.setAttribute("aria-hidden", "true"); // the name stands beside it
    if (address) {
      const image = /** @type {HTMLImageElement} */ (make(el, "img"));
      attributes(image, { alt: "", src: address });
      picture.append(image);
    }
    const words = box(el, "amber-words");
    const told = box(el, "amber-quiet");
    words.append(box(el, "amber-name", name), told);
    const tools = box(el, "amber-tools");
    /** @param {string} sign @param {string} title @param {string} label @param {() => void} press */
    const tool = (sign, title, label, press) => {
      const one = button(el, "amber-tool", "", press, this.signal);
      attributes(one, { title, "aria-label": label, "data-sign": sign });
      return one;
    };
    const buttons = [
      tool("↑", "Move earlier", `Move ${name} earlier`, () => this.move(id, -1)),
      tool("↓", "Move later", `Move ${name} later`, () => this.move(id, 1)),
      tool("×", "Remove", `Remove ${name}`, () => this.remove(id)),
    ];
    tools.append(...buttons);
    el.append(picture, words, tools);
    return { el, told, tools, buttons };
  }

  /** @param {number} id @param {-1 | 1} by */
  move(id, by) {
    const from = this.order.indexOf(id);
    const to = from + by;
    const focus = this.focused();
    this.order.splice(from, 1);
    this.order.splice(to, 0, id);
    void this.settle();
    focus?.focus();
    this.say(`${this.names.get(id)} is now image ${to + 1} of ${this.order.length}`);
  }

  /** @param {number} id */
  remove(id) {
    const at = this.order.indexOf(id);
    const row = this.rows.get(id);
    if (!row) return;
    this.removed.add(id);
    this.order.splice(at, 1);
    const neighbour = this.order[at] ?? this.order[at - 1];
    this.forget(id, row);
    void this.settle();
    if (neighbour === undefined) this.leave();
    else this.rows.get(neighbour)?.buttons[REMOVE].focus();
    this.say(`${this.names.get(id)} removed`);
  }

  /** @param {number} id @param {Row} row */
  forget(id, row) {
    row.el.remove();
    this.rows.delete(id);
  }

  /**
   * Bring the rows into their order, and their buttons up to date. The row that has the keyboard is not moved, but the
   * others around it: moved, it would lose the keyboard to Lab, and a key that is down its click.
   */
  lay() {
    const rows = this.order.map((id) => /** @type {Row} */ (this.rows.get(id)));
    const focus = this.focused();
    const still = rows.find(({ el }) => focus && el.contains(focus))?.el ?? null;
    if (rows.some(({ el }, i) => this.el.children[i] !== el)) {
      let before = still;
      for (const { el } of rows) {
        if (el === still) before = null;
        else this.el.insertBefore(el, before);
      }
    }
    rows.forEach(({ buttons }, i) => {
      disable(buttons[UP], !i);
      disable(buttons[DOWN], i === rows.length - 1);
    });
    this.el.hidden = !rows.length;
  }

  /** What has the keyboard, to give it back after its row was moved. */
  focused() {
    const at = /** @type {Document | ShadowRoot} */ (this.el.getRootNode()).activeElement;
    return at && this.el.contains(at) ? /** @type {HTMLElement} */ (at) : null;
  }
}
