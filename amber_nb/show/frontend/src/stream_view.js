// @ts-check
/**
 * The live view of an answer: text comes in as deltas with offsets, is painted once a frame, and is swapped by the kernel
 * for a static answer when it is finished.
 *
 * Kernel → view `{ o, e, t }`: text from offset o to offset e (code points), or only `e`, how far the text goes;
 * `n`: a note for the status line; `age`: [seconds since the start, seconds since the first text]; `stopping`.
 * View → kernel `{ hello: have }`, `{ have }` (send again from there), `{ stop: true }`.
 */

import { Painter } from "./painter.js";
import { make } from "./dom.js";

/**
 * @typedef {object} Model
 * @property {(name: string) => any} get
 * @property {(content: object) => void} send
 * @property {(event: string, callback: (...args: any[]) => void) => void} on
 * @property {(event: string, callback?: (...args: any[]) => void) => void} off
 * @property {any} [widget_manager]
 */

/** @typedef {{ o?: number, e?: number, t?: string, n?: string, age?: [number, number | null], stopping?: boolean }} Message */

const SLICE = 8192; // characters read between two looks at the clock
const BUDGET = 10; // ms of each frame for reading; layout needs the rest
const FAR = 250_000; // characters behind: until that is read, the page is taken out of layout
const PATIENCE = 1000; // ms until a question is asked again, and until an unanswered Stop interrupts the kernel
const ANNOUNCE = 4000;

/**
 * @param {{ model: Model, el: HTMLElement }} context
 * @returns {() => void}
 */
function render({ model, el }) {
  const over = new AbortController();
  const { signal } = over;
  const doc = el.ownerDocument;

  const view = make(doc, "div", "amber-view");
  const hidden = make(doc, "div", "amber-earlier");
  hidden.textContent = "earlier part hidden while streaming";
  hidden.hidden = true;
  const log = make(doc, "div", "amber-text");
  log.setAttribute("role", "log");
  log.setAttribute("aria-live", "off"); // a log is polite by itself: it would be read again at every word
  log.setAttribute("aria-busy", "true");
  log.setAttribute("aria-label", "Answer, still being written");
  const status = make(doc, "div", "amber-status");
  const badge = make(doc, "span", "amber-badge");
  badge.textContent = model.get("badge") ?? "";
  badge.hidden = !badge.textContent;
  const facts = make(doc, "span", "amber-facts");
  const note = make(doc, "span", "amber-note");
  const button = /** @type {HTMLButtonElement} */ (make(doc, "button", "amber-stop"));
  button.type = "button";
  button.textContent = "Stop";
  button.setAttribute("aria-label", "Stop this answer");
  const spoken = make(doc, "div", "amber-spoken");
  spoken.setAttribute("aria-live", "polite");
  status.append(badge, facts, note, button);
  view.append(hidden, log, status, spoken);
  el.appendChild(view);

  // Lab's own class, so that it looks as any Markdown in this notebook; elsewhere our style sheet's defaults hold.
  const page = log.appendChild(make(doc, "div", "jp-RenderedHTMLCommon"));
  const painter = new Painter(page, { onHidden: () => (hidden.hidden = false) });
  const modelName = String(model.get("title") ?? "");

  // --- text: deltas in order, gaps asked for, duplicates ignored

  let have = 0;
  let shown = 0;
  let asked = performance.now(); // the greeting asks as well
  let answered = false;
  let gapped = 0; // since when something is missing
  let waiting = ""; // received, not painted
  let started = performance.now();
  /** @type {number | null} */
  let firstText = null;

  /** @param {object} message */
  const say = (message) => {
    try {
      model.send(message);
    } catch {
      // The kernel is gone: what is shown stays as it is.
    }
  };
  const ask = () => {
    if (performance.now() - asked < PATIENCE) return;
    asked = performance.now();
    say({ have });
  };
  /** @param {Message} message */
  const receive = (message) => {
    const { o, e, t, n, age } = message ?? {};
    answered = true;
    if (age) {
      started = performance.now() - age[0] * 1000;
      firstText = age[1] === null ? null : performance.now() - age[1] * 1000;
    }
    if (message?.stopping) acknowledged();
    if (typeof n === "string") note.textContent = n;
    if (typeof e === "number" && e > have) {
      const text = typeof t === "string" && typeof o === "number";
      const gap = !text || o > have;
      if (gap) {
        ask();
        gapped ||= performance.now();
      }
      // Nobody answers: better a hole, until the answer is settled, than nothing.
      const hole = gap && text && performance.now() - gapped > 3 * PATIENCE;
      if (hole) waiting += "\n\n[…]\n\n";
      if (text && (!gap || hole)) {
        const fresh = o >= have ? t : Array.from(t).slice(have - o).join("");
        gapped = 0;
        have = e;
        waiting += fresh;
        asked = 0;
        firstText ??= performance.now();
        if (typeof n !== "string") note.textContent = "";
      }
    }
    plan();
  };

  // --- painting: once a frame, never more than a frame can bear

  let frame = 0;
  let quiet = 0;
  const plan = () => {
    if (!frame && !signal.aborted) frame = requestAnimationFrame(draw);
  };
  const draw = () => {
    frame = 0;
    if (waiting) {
      const following = atBottom(el);
      const start = performance.now();
      const far = waiting.length > FAR;
      if (far && page.parentNode) {
        log.style.minHeight = `${log.offsetHeight}px`; // the reader's place stays
        page.remove();
      }
      let at = 0;
      do {
        let cut = at + SLICE;
        if (/[\ud800-\udbff]/.test(waiting.charAt(cut - 1))) cut--;
        painter.write(waiting.slice(at, cut));
        painter.prune(); // what is dropped in the frame in which it came costs no layout
        at = Math.min(cut, waiting.length);
      } while (at < waiting.length && performance.now() - start < (far ? 2 * BUDGET : BUDGET));
      speech = (speech + waiting.slice(Math.max(0, at - 4000), at)).slice(-4000);
      waiting = waiting.slice(at);
      shown += at;
      painter.paint();
      if (!page.parentNode && waiting.length <= FAR) {
        log.appendChild(page);
        log.style.minHeight = "";
      }
      following?.scrollTo({ top: following.scrollHeight, behavior: "instant" });
      clearTimeout(quiet);
      quiet = setTimeout(() => painter.idle(), 400);
    }
    tell();
    if (waiting) plan();
  };
  const tell = () => {
    const now = performance.now();
    const words = [modelName, `${Math.floor((now - started) / 1000)} s`];
    if (shown) {
      const tokens = Math.ceil(shown / 4);
      words.push(`~${tokens.toLocaleString("en")} ${tokens === 1 ? "token" : "tokens"}`);
      const seconds = firstText === null ? 0 : (now - firstText) / 1000;
      if (seconds >= 1) words.push(`${Math.round(tokens / seconds)} tokens/s`);
    }
    const text = words.filter(Boolean).join(" · ");
    if (facts.textContent !== text) facts.textContent = text;
  };
  const ticking = setInterval(tell, 1000);

  // --- announcements: whole sentences, now and then

  let speech = "";
  const speaking = setInterval(() => {
    const end = Math.max(...[". ", "! ", "? ", ".\n", ":\n", "\n\n"].map((stop) => speech.lastIndexOf(stop)));
    if (end < 0) return;
    const said = speech.slice(0, end + 1).replace(/\]\([^)\s]*\)|^\s*([-+]|\[[ x]\]|-{3,})+(?=\s)/gm, "");
    const whole = said.replace(/[*_`#|>~[\]]+|!(?=\[)/g, "").replace(/\s+/g, " ").trim();
    speech = speech.slice(end + 1);
    // Reading aloud is slower than writing: of much text the last sentences are said.
    const from = whole.length > 500 ? whole.search(/(?<=[.!?] )\S(?=.{0,450}$)/) : 0;
    spoken.textContent = from < 0 ? whole.slice(-450) : whole.slice(from);
  }, ANNOUNCE);

  // --- Stop: the kernel acknowledges at once; where it cannot hear, it is interrupted

  /** @type {"no" | "asked" | "heard" | "deaf"} */
  let stop = "no";
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  let overdue;
  const acknowledged = () => {
    stop = "heard";
    clearTimeout(overdue);
    button.textContent = "Stopping…";
    // Heard, and yet it goes on: then the reader may insist.
    overdue = setTimeout(() => {
      stop = "deaf";
      button.textContent = "Interrupt kernel";
      button.setAttribute("aria-label", "Interrupt the kernel");
      button.removeAttribute("aria-disabled");
    }, 5 * PATIENCE);
  };
  const interrupt = () => {
    const manager = model.widget_manager;
    const kernel = manager?.kernel ?? manager?.context?.sessionContext?.session?.kernel;
    // Its status is no guide: the messages of a subshell make a busy kernel look idle.
    if (typeof kernel?.interrupt !== "function") return;
    Promise.resolve(kernel.interrupt()).catch(() => {});
  };
  button.addEventListener(
    "click",
    () => {
      if (stop === "deaf") return interrupt();
      if (stop !== "no") return;
      stop = "asked";
      button.textContent = "Stopping…";
      button.setAttribute("aria-disabled", "true"); // not `disabled`: that would lose the keyboard's place
      say({ stop: true });
      overdue = setTimeout(() => {
        acknowledged();
        interrupt();
      }, PATIENCE);
    },
    { signal },
  );
  // Enter and Space belong to the button; Lab would run or select cells.
  button.setAttribute("data-lm-suppress-shortcuts", "true");
  for (const type of /** @type {const} */ (["keydown", "keyup", "keypress"])) {
    button.addEventListener(
      type,
      (event) => {
        if (event.key === "Enter" || event.key === " ") event.stopPropagation();
      },
      { signal },
    );
  }

  // --- begin and end

  model.on("msg:custom", receive);
  say({ hello: have });
  // A view may be up before its kernel can hear it.
  let tries = 0;
  const greeting = setInterval(() => {
    if (answered || ++tries > 30) clearInterval(greeting);
    else say({ hello: have });
  }, 0.3 * PATIENCE);
  painter.setCaret();
  tell();

  return () => {
    over.abort();
    model.off("msg:custom", receive);
    for (const timer of [ticking, speaking, greeting]) clearInterval(timer);
    clearTimeout(overdue);
    clearTimeout(quiet);
    cancelAnimationFrame(frame);
    view.remove();
  };
}

/**
 * What scrolls the view, if the reader has it scrolled to its end and so wants to follow; else the page stays where it is.
 * @param {HTMLElement} el
 * @returns {Element | null}
 */
function atBottom(el) {
  for (let at = el.parentElement; at; at = at.parentElement) {
    if (at.scrollHeight <= at.clientHeight + 1) continue;
    const overflow = getComputedStyle(at).overflowY;
    if (overflow !== "auto" && overflow !== "scroll") continue;
    return at.scrollTop > 0 && at.scrollTop + at.clientHeight >= at.scrollHeight - 4 ? at : null;
  }
  return null;
}

export default { render };
