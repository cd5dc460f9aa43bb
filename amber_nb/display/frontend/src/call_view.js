// @ts-check
/** One call of a tool: a line as it will stand in the settled answer, its arguments, and what came of it. */

import { box } from "./box.js";
import { make } from "./dom.js";
import { ms } from "./smoothing.js";

/**
 * What the kernel says of a call: all of it, or what has changed.
 * @typedef {object} Change
 * @property {string} k its key
 * @property {string} [name]
 * @property {string} [server] that runs it
 * @property {number} [round]
 * @property {string} [state]
 * @property {string} [word]
 * @property {string} [sign]
 * @property {string} [gist]
 * @property {string} [said]
 * @property {number | null} [ran] seconds, while it runs
 * @property {number} [o] where `t` begins: 0 replaces what there was
 * @property {string} [t] its arguments
 * @property {import("./approval_card.js").Ask | null} [ask]
 */

const LIVE = /^(writing|checking|waiting|running)$/;
const KNOWN = /^(ran|denied|invalid|failed|timeout|not_run)$/;

export class Call {
  /** @param {HTMLElement} at in whose document @param {string} id */
  constructor(at, id) {
    this.el = box(at, "amber-call");
    this.fold = /** @type {HTMLDetailsElement} */ (make(at, "details"));
    this.sign = box(at, "amber-sign", "", "span");
    this.sign.setAttribute("aria-hidden", "true"); // the word says the same
    this.name = box(at, "", "", "code");
    this.name.id = id;
    this.server = box(at, "amber-quiet amber-server", "", "span");
    this.server.id = `${id}-server`;
    this.gist = box(at, "amber-quiet amber-gist", "", "span");
    this.word = box(at, "amber-quiet amber-word", "", "span");
    const head = make(at, "summary");
    head.append(this.sign, this.name, this.server, this.gist, this.word);
    this.text = make(at, "pre");
    this.text.dir = "ltr";
    this.fold.append(head, this.text);
    this.said = box(at, "amber-outcome");
    this.el.append(this.fold, this.said);
    this.state = "";
    this.words = "";
    this.round = 0;
    /** @type {number | null} when it began to run, on our clock */
    this.began = null;
    /** @type {import("./approval_card.js").Card | null} */
    this.card = null;
    this.touched = false; // opened or closed by the reader, who is not to be corrected
    head.addEventListener("click", () => (this.touched = true));
  }

  /** @param {Change} change */
  update(change) {
    const { name, server, round, state, word, sign, gist, said, ran, o, t } = change;
    if (name !== undefined) this.name.textContent = name;
    if (server !== undefined) this.server.textContent = server && ` · ${server} `;
    if (round !== undefined) this.round = round;
    if (word !== undefined) this.words = word;
    if (ran !== undefined) this.began = ran === null ? null : ms() - ran * 1000;
    if (gist !== undefined) this.gist.textContent = gist && `(${gist})`;
    if (said !== undefined) this.said.textContent = said;
    if (sign !== undefined) this.sign.textContent = sign;
    if (t !== undefined) {
      const last = this.text.lastChild;
      if (o && last) /** @type {Text} */ (last).appendData(t);
      else this.text.textContent = t;
      if (this.state === "writing") this.text.scrollTop = this.text.scrollHeight;
    }
    if (state !== undefined && (LIVE.test(state) || KNOWN.test(state))) {
      this.state = state;
      this.el.className = `amber-call amber-is-${state}`;
      if (!this.touched) this.fold.open = state === "writing"; // then its gist stands in the line
    }
    this.tick();
  }

  /** The seconds that it has been running. */
  tick() {
    const seconds = this.began === null ? 0 : Math.floor((ms() - this.began) / 1000);
    const text = ` · ${this.words}${seconds > 0 ? ` · ${seconds.toLocaleString("en")} s` : ""}`;
    if (this.word.textContent !== text) this.word.textContent = text;
  }
}
