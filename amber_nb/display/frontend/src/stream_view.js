// @ts-check
/**
 * The live view of an answer: text comes in as deltas with offsets, is painted once a frame, and is swapped by the kernel
 * for a static answer when it is finished.
 *
 * Kernel → view `{ o, e, t }`: text from offset o to offset e (code points), or only `e`, how far the text goes;
 * `n`: a note for the status line; `age`: [seconds since the start, seconds since the first text]; `stopping`.
 * View → kernel `{ hello: have }`, `{ have }` (send again from there), `{ stop: true }`.
 */

import { attributes, make, on } from "./dom.js";
import { Flow, ms } from "./smoothing.js";
import { Following } from "./following.js";
import { Painter } from "./markdown/painter.js";
import { Receiver } from "./receiver.js";
import { StopButton } from "./stop.js";
import { strip } from "./strip.js";
import { Speech, facts } from "./status_and_speech.js";

/** @typedef {import("./receiver.js").Message} Message */
/**
 * @typedef {object} Model
 * @property {(name: string) => any} get
 * @property {(content: object) => void} send
 * @property {(event: string, callback: (...args: any[]) => void) => void} on
 * @property {(event: string, callback?: (...args: any[]) => void) => void} off
 * @property {any} [widget_manager]
 */

const SLICE = 8192; // characters read between two looks at the clock
const BUDGET = 10; // ms of each frame for reading; layout needs the rest
const FAR = 250_000; // characters behind: until that is read, the page is taken out of layout
const QUIET = 400; // ms without text after which a held line is shown
const ANNOUNCE = 4000; // ms between two announcements
const GREET = 300; // ms between two greetings
const GREETINGS = 30;

/**
 * @param {{ model: Model, el: HTMLElement }} context
 * @returns {() => void}
 */
function render({ model, el }) {
  const over = new AbortController();
  const { signal } = over;
  const doc = el.ownerDocument;
  const modelName = String(model.get("title") ?? "");

  /** @param {object} message */
  const say = (message) => {
    try {
      model.send(message);
    } catch {
      // The kernel is gone: what is shown stays as it is.
    }
  };
  const interrupt = () => {
    const manager = model.widget_manager;
    const kernel = manager?.kernel ?? manager?.context?.sessionContext?.session?.kernel;
    // Its status is no guide: the messages of a subshell make a busy kernel look idle.
    if (typeof kernel?.interrupt !== "function") return;
    Promise.resolve(kernel.interrupt()).catch(() => {});
  };

  // --- what there is to see

  const hidden = make(doc, "div", "amber-earlier");
  hidden.textContent = "earlier part hidden while streaming";
  hidden.hidden = true;
  const log = make(doc, "div", "amber-text");
  // A log is polite by itself: it would be read again at every word.
  attributes(log, { role: "log", "aria-live": "off", "aria-busy": "true", "aria-label": "Answer, still being written" });
  const badge = make(doc, "span", "amber-badge");
  badge.textContent = model.get("badge") ?? "";
  badge.hidden = !badge.textContent;
  const told = make(doc, "span", "amber-facts");
  const note = make(doc, "span", "amber-note");
  const stop = new StopButton(doc, { ask: () => say({ stop: true }), interrupt }, signal);
  const status = make(doc, "div", "amber-status");
  status.append(told, note, stop.el);
  const spoken = make(doc, "div", "amber-spoken");
  spoken.setAttribute("aria-live", "polite");
  const view = make(doc, "div", "amber-view");
  view.append(badge);
  strip(view, model.get("strip"));
  view.append(hidden, log, status, spoken);
  el.append(view);
  // Lab's own class, so that it looks as any Markdown in this notebook; elsewhere our style sheet's defaults hold.
  const page = log.appendChild(make(doc, "div", "jp-RenderedHTMLCommon"));

  // The keyboard's place: with the view goes what has the focus, and Lab's keys work in a cell only.
  /** @type {HTMLElement | null} */
  let home = null;
  on(view, "focusin", () => (home = el.closest(".jp-Cell")), signal);
  on(view, "focusout", (event) => event.relatedTarget && (home = null), signal);

  // --- text comes in

  const painter = new Painter(page, { onHidden: () => (hidden.hidden = false) });
  const receiver = new Receiver((have) => say({ have }));
  const speech = new Speech();
  const flow = new Flow();
  const still = doc.defaultView?.matchMedia("(prefers-reduced-motion: reduce)").matches;
  const following = new Following(status, signal);
  let waiting = ""; // received, not painted
  let shown = 0;
  let answered = false;

  /** @param {Message | null} message */
  const receive = (message) => {
    answered = true;
    const text = receiver.take(message ?? {});
    waiting += text;
    if (text) flow.came(text.length, ms());
    if (message?.stopping) stop.heard();
    if (typeof message?.n === "string") note.textContent = message.n;
    else if (text) note.textContent = "";
    plan();
  };

  // --- and is painted: once a frame, never more than a frame can bear

  let frame = 0;
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  let quiet;
  const plan = () => {
    if (!frame && !signal.aborted) frame = requestAnimationFrame(draw);
  };
  const draw = () => {
    frame = 0;
    if (waiting) {
      const start = ms();
      const far = waiting.length > FAR;
      if (far && page.parentNode) {
        log.style.minHeight = `${log.offsetHeight}px`; // the reader's place stays
        page.remove();
      }
      const due = still ? waiting.length : flow.due(waiting.length, start);
      let at = 0;
      do {
        let cut = Math.min(at + SLICE, due);
        if (/[\ud800-\udbff]/.test(waiting.charAt(cut - 1))) cut++; // never half a character
        painter.write(waiting.slice(at, cut));
        painter.prune(); // what is dropped in the frame in which it came costs no layout
        at = Math.min(cut, waiting.length);
      } while (at < due && ms() - start < (far ? 2 * BUDGET : BUDGET));
      speech.add(waiting.slice(0, at));
      waiting = waiting.slice(at);
      shown += at;
      painter.paint();
      if (!page.parentNode && waiting.length <= FAR) {
        log.append(page);
        log.style.minHeight = "";
      }
      following.keepUp();
      clearTimeout(quiet);
      quiet = setTimeout(() => painter.idle(), QUIET);
    }
    tell();
    if (waiting) plan();
  };
  const tell = () => {
    const now = ms();
    const flowing = receiver.firstText === null ? 0 : (now - receiver.firstText) / 1000;
    const text = facts(modelName, (now - receiver.started) / 1000, shown, flowing);
    if (told.textContent !== text) told.textContent = text;
  };
  const ticking = setInterval(tell, 1000);
  const speaking = setInterval(() => {
    const words = speech.next();
    if (words) spoken.textContent = words;
  }, ANNOUNCE);

  // --- begin and end

  model.on("msg:custom", receive);
  say({ hello: 0 });
  // A view may be up before its kernel can hear it.
  let tries = 0;
  const greeting = setInterval(() => {
    if (answered || ++tries > GREETINGS) clearInterval(greeting);
    else say({ hello: receiver.have });
  }, GREET);
  painter.setCaret();
  tell();

  return () => {
    over.abort();
    model.off("msg:custom", receive);
    for (const timer of [ticking, speaking, greeting]) clearInterval(timer);
    clearTimeout(quiet);
    cancelAnimationFrame(frame);
    const lost = doc.activeElement === doc.body || view.contains(doc.activeElement);
    view.remove();
    if (lost) home?.focus({ preventScroll: true });
  };
}

export default { render };
