// @ts-check
/**
 * The tool calls of an answer: written, decided on, run, ended. What the page and the kernel say to each other:
 * ../../tool_inspector.py.
 */

import { box } from "./box.js";
import { Call } from "./call_view.js";
import { Card, heading } from "./approval_card.js";
import { keepKeys } from "./keys.js";

/** @typedef {import("./call_view.js").Change} Change */
/**
 * @typedef {object} Message
 * @property {number} [n]
 * @property {Change[]} [calls]
 * @property {string[]} [gone]
 * @property {number} [more]
 * @property {unknown} [whole]
 * @property {number} [ask]
 * @property {number} [turn]
 * @property {string} [said]
 */
/**
 * @typedef {object} Model
 * @property {(content: object) => void} send
 * @property {(event: string, callback: (...args: any[]) => void) => void} on
 * @property {(event: string, callback?: (...args: any[]) => void) => void} off
 */

const GREET = 300; // ms between two greetings
const GREETINGS = 30;

/**
 * @param {{ model: Model, el: HTMLElement }} context
 * @returns {() => void}
 */
export function renderCalls({ model, el }) {
  const over = new AbortController();
  const { signal } = over;
  const doc = el.ownerDocument;
  const id = Math.random().toString(36).slice(2);

  /** @param {object} message */
  const send = (message) => {
    try {
      model.send(message);
    } catch {
      // The kernel is gone: what is shown stays as it is.
    }
  };

  const list = box(doc, "amber-calls");
  const more = box(doc, "amber-quiet");
  const spoken = box(doc, "amber-spoken");
  spoken.setAttribute("aria-live", "polite");
  const view = box(doc, "amber-inspector");
  view.append(list, more, spoken);
  el.append(view);
  keepKeys(view, signal);

  // The keyboard's place: with the view goes what has the focus, and Lab's keys work in a cell only.
  /** @type {HTMLElement | null} */
  let home = null;
  const cell = () => /** @type {HTMLElement | null} */ (el.closest(".jp-Cell"));
  const focused = () => /** @type {Document | ShadowRoot} */ (view.getRootNode()).activeElement;
  view.addEventListener("focusin", () => (home = cell()), { signal });
  view.addEventListener("focusout", (event) => event.relatedTarget && (home = null), { signal });

  /** @type {Map<string, Call>} */
  const calls = new Map();
  let last = 0;
  let answered = false;
  const greet = () => send({ hello: id });

  /** The first card that is still open. */
  const next = () => [...calls.values()].find(({ card }) => card)?.card;
  const everyone = (/** @type {number} */ group) => {
    for (const { card } of [...calls.values()]) if (card && !card.question && card.group === group) card.accept(true);
  };

  /** @param {Call} call @param {Change} change */
  const decide = (call, { ask }) => {
    if (ask === undefined || ask?.id === call.card?.id) return;
    const had = call.card?.el.contains(focused());
    call.card?.close();
    call.card = null;
    if (ask) {
      const card = (call.card = new Card(el, ask, { send, everyone, titles: [call.name, call.server] }, signal));
      call.fold.after(card.el);
      // It takes no focus: the reader's next key may be meant for the cell.
      const { warning = "", question } = ask;
      const named = `${call.name.textContent}${call.server.textContent?.trimEnd()}${warning && `. ${warning}`}`;
      spoken.textContent = question ? `${heading(question)}: ${question.message}` : `A tool waits for your decision: ${named}`;
    } else if (had) {
      (next()?.el ?? cell())?.focus({ preventScroll: true });
    }
  };

  /** @param {string} key */
  const drop = (key) => {
    const call = calls.get(key);
    if (call) decide(call, { k: key, ask: null });
    call?.el.remove();
    calls.delete(key);
  };

  const lay = () => {
    view.hidden = !calls.size;
    let round = 0;
    for (const call of calls.values()) {
      call.el.classList.toggle("amber-round", round > 0 && call.round !== round);
      round = call.round;
    }
  };

  /** @param {Message | null} message */
  const heard = (message) => {
    if (!message) return;
    if (typeof message.ask === "number" && typeof message.turn === "number") {
      const [key, call] = [...calls].find(([, { card }]) => card?.id === message.ask) ?? [];
      if (!call || !key) return;
      if (typeof message.said === "string") call.card?.refused(message.turn, message.said);
      else decide(call, { k: key, ask: null });
    }
    if (typeof message.n !== "number") return;
    answered = true;
    const follows = message.n === last + 1 && message.calls;
    if (!follows && !message.whole) {
      if (message.n > last) greet(); // something was lost
      return;
    }
    last = message.n;
    const changes = message.calls ?? [];
    const gone = message.whole ? [...calls.keys()].filter((key) => !changes.some(({ k }) => k === key)) : message.gone;
    gone?.forEach(drop);
    for (const change of changes) {
      let call = calls.get(change.k);
      if (!call) {
        calls.set(change.k, (call = new Call(el, `${id}-${calls.size}-${last}`)));
        list.append(call.el);
      }
      call.update(change);
      decide(call, change);
    }
    more.textContent = message.more ? `and ${message.more.toLocaleString("en")} more calls` : "";
    lay();
  };

  const ticking = setInterval(() => calls.forEach((call) => call.tick()), 500);
  model.on("msg:custom", heard);
  greet();
  // A view may be up before its kernel can hear it.
  let tries = 0;
  const greeting = setInterval(() => {
    if (answered || ++tries > GREETINGS) clearInterval(greeting);
    else greet();
  }, GREET);
  lay();

  return () => {
    over.abort();
    clearInterval(ticking);
    clearInterval(greeting);
    model.off("msg:custom", heard);
    const lost = doc.activeElement === doc.body || view.contains(focused());
    view.remove();
    if (lost) home?.focus({ preventScroll: true });
  };
}
