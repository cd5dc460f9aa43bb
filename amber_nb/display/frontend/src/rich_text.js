// @ts-check
/**
 * Colours and formulas of an answer that is being written: each block that is finished is asked about, once, and looks from
 * then on as it will when the answer is settled. The kernel decides (../../rich_text.py): it has the colourer, and the list of
 * the commands that a formula may hold.
 */

import { make } from "./dom.js";
import { CodeLeaf } from "./markdown/leaf_blocks.js";
import { ms } from "./smoothing.js";

/** @typedef {import("./markdown/leaf_blocks.js").Leaf} Leaf */
/** @typedef {import("./markdown/leaf_blocks.js").Table} Table */
/** @typedef {(looks: Record<string, unknown>) => void} Listener */

const LONGEST = 20_000; // characters; longer blocks stay plain
const LANGUAGE = /^[\w+#.-]{1,20}$/;
const TYPESET = 8; // ms of a frame for formulas
const ELEMENTS = /** @type {Record<string, string>} */ ({ k: "b", c: "i" });

/** What is known of an answer's blocks, for all of its views. */
export class Looks {
  /** @param {(blocks: string[][]) => void} ask the kernel */
  constructor(ask) {
    this.ask = ask;
    // What the kernel says goes to all pages; a key that another page could make would dress a block it never asked about.
    this.prefix = random();
    /** @type {Map<string, string>} the key of each block, by all of its text: two blocks share none */
    this.keys = new Map();
    /** @type {Record<string, unknown>} by the key of a block */
    this.known = Object.create(null);
    /** @type {Set<string>} */
    this.asked = new Set();
    /** @type {Set<Listener>} */
    this.listeners = new Set();
  }

  /** The key of a block. @param {string[]} block */
  key(block) {
    const text = JSON.stringify(block);
    const key = this.keys.get(text) ?? `${this.prefix}.${this.keys.size}`;
    this.keys.set(text, key);
    return key;
  }

  /** @param {string[][]} blocks each with its key first */
  want(blocks) {
    const fresh = blocks.filter(([key]) => !this.asked.has(key));
    for (const [key] of fresh) this.asked.add(key);
    if (fresh.length) this.ask(fresh);
  }

  /** @param {unknown} looks as the kernel has sent them */
  take(looks) {
    if (!looks || typeof looks !== "object") return;
    Object.assign(this.known, looks);
    for (const listener of this.listeners) listener(this.known);
  }
}

/** The finished blocks of one view. */
export class RichText {
  /**
   * @param {Looks} looks
   * @param {((el: HTMLElement) => Promise<void> | void) | null} typeset null where the front end has no typesetter
   * @param {() => void} onGrown called when a formula has taken its place
   * @param {AbortSignal} signal the end of the view
   */
  constructor(looks, typeset, onGrown, signal) {
    this.looks = looks;
    this.typeset = typeset;
    this.onGrown = onGrown;
    this.signal = signal;
    /** @type {Map<string, HTMLElement[]>} that wait for their look */
    this.plain = new Map();
    /** @type {string[][]} */
    this.questions = [];
    /** @type {HTMLElement[]} */
    this.formulas = [];
    this.busy = false;
    const listen = () => this.dress();
    looks.listeners.add(listen);
    signal.addEventListener("abort", () => looks.listeners.delete(listen));
  }

  /** @param {Leaf | Table} block that is painted for good */
  add(block) {
    if (block instanceof CodeLeaf) {
      const code = block.into.textContent ?? "";
      if (block.whole && code && code.length <= LONGEST && LANGUAGE.test(block.language)) {
        this.remember(block.into, [block.language, code]);
      }
    } else if (this.typeset) {
      for (const el of block.el.getElementsByClassName("amber-math")) {
        this.remember(/** @type {HTMLElement} */ (el), [el.textContent ?? ""]);
      }
    }
  }

  /** @param {HTMLElement} el @param {string[]} block */
  remember(el, block) {
    const key = this.looks.key(block);
    this.plain.set(key, [...(this.plain.get(key) ?? []), el]);
    this.questions.push([key, ...block]);
  }

  /** Ask about what was added: once a frame. */
  ask() {
    if (!this.questions.length) return;
    this.looks.want(this.questions.splice(0));
    this.dress();
  }

  /** Give what is known its look. */
  dress() {
    for (const [key, elements] of [...this.plain]) {
      const look = this.looks.known[key];
      if (look === undefined) continue;
      this.plain.delete(key);
      if (typeof look === "string") for (const el of elements) colour(el, look);
      else if (look) this.formulas.push(...elements);
      else for (const el of elements) refuse(el);
    }
    if (this.formulas.length && !this.busy) void this.set();
  }

  /** Typeset, no more in a frame than it can bear. */
  async set() {
    this.busy = true;
    try {
      let start = ms();
      for (let el; (el = this.formulas.shift()) && !this.signal.aborted; ) {
        if (!el.isConnected) continue;
        try {
          await this.typeset?.(el);
        } catch {
          // It stays as it is written, and the others are typeset.
        }
        this.onGrown();
        if (ms() - start < TYPESET) continue;
        await new Promise((done) => setTimeout(done));
        start = ms();
      }
    } finally {
      this.busy = false;
    }
  }
}

/**
 * Colour a block of code; one that is not what was asked about stays as it is.
 * @param {HTMLElement} el
 * @param {string} look letters of colours and lengths
 */
function colour(el, look) {
  const code = el.textContent ?? "";
  const runs = [...look.matchAll(/([a-z ])(\d+)/g)].map(([, kind, length]) => ({ kind, length: Number(length) }));
  if (runs.reduce((sum, { length }) => sum + length, 0) !== code.length) return;
  let at = 0;
  el.replaceChildren(
    ...runs.map(({ kind, length }) => {
      const text = code.slice(at, (at += length));
      if (kind === " ") return el.ownerDocument.createTextNode(text);
      const piece = make(el, ELEMENTS[kind] ?? "span", `amber-code-${kind}`);
      piece.textContent = text;
      return piece;
    }),
  );
}

/** Show a formula that is not typeset as code. @param {HTMLElement} el */
function refuse(el) {
  const code = make(el, "code");
  code.append(...el.childNodes);
  el.append(code);
}

/** 64 random bits; `randomUUID` is not there on a page over plain http. */
function random() {
  return [...crypto.getRandomValues(new Uint32Array(2))].map((number) => number.toString(36)).join("");
}
