// @ts-check
/** The view of an answer's text while it is written: painted once a frame, with a status line and a Stop button. */

import { copyButton, offerCopy } from "./copy_button.js";
import { attributes, make, on } from "./dom.js";
import { Flow, ms } from "./smoothing.js";
import { Following } from "./following.js";
import { CodeLeaf } from "./markdown/leaf_blocks.js";
import { Painter } from "./markdown/painter.js";
import { RichText } from "./rich_text.js";
import { StopButton } from "./stop.js";
import { listSources } from "./sources.js";
import { strip } from "./strip.js";
import { Speech, facts, stall } from "./status_and_speech.js";

/** @typedef {import("./live_answer.js").LiveAnswer} LiveAnswer */

const SLICE = 8192; // characters read between two looks at the clock
const BUDGET = 10; // ms of each frame for reading; layout needs the rest
const FAR = 250_000; // characters behind: until that is read, the page is taken out of layout
const QUIET = 400; // ms without text after which a held line is shown
const ANNOUNCE = 4000; // ms between two announcements

/**
 * @param {HTMLElement} el gets the view as its last child
 * @param {LiveAnswer} answer
 * @returns {() => void} to take it away
 */
export function renderAnswer(el, answer) {
  const over = new AbortController();
  const { signal } = over;
  const doc = el.ownerDocument;

  // --- what there is to see

  const hidden = make(doc, "div", "amber-earlier");
  hidden.textContent = "earlier part hidden while streaming";
  hidden.hidden = true;
  const log = make(doc, "div", "amber-text");
  // A log is polite by itself: it would be read again at every word.
  attributes(log, { role: "log", "aria-live": "off", "aria-busy": "true", "aria-label": "Answer, still being written" });
  const badge = make(doc, "span", "amber-badge");
  badge.textContent = answer.badge;
  badge.hidden = !badge.textContent;
  const told = make(doc, "span", "amber-facts");
  const note = make(doc, "span", "amber-note");
  const stop = new StopButton(doc, { ask: () => answer.stop(), interrupt: answer.interrupt }, signal);
  const status = make(doc, "div", "amber-status");
  const copy = copyButton(doc, "Copy this answer so far, as Markdown", () => answer.text, signal);
  copy.hidden = true;
  status.append(told, note, copy, stop.el);
  const spoken = make(doc, "div", "amber-spoken");
  spoken.setAttribute("aria-live", "polite");
  const view = make(doc, "div", "amber-view");
  view.append(badge);
  strip(view, answer.strip);
  const sources = make(doc, "div", "amber-sources");
  sources.hidden = true;
  view.append(hidden, log, sources, status, spoken);
  el.append(view);
  // Lab's own class, so that it looks as any Markdown in this notebook; elsewhere our style sheet's defaults hold.
  const page = log.appendChild(make(doc, "div", "jp-RenderedHTMLCommon"));

  // The keyboard's place: with the view goes what has the focus, and Lab's keys work in a cell only.
  /** @type {HTMLElement | null} */
  let home = null;
  on(view, "focusin", () => (home = el.closest(".jp-Cell")), signal);
  on(view, "focusout", (event) => event.relatedTarget && (home = null), signal);

  // --- text comes in

  const { receiver } = answer;
  const speech = new Speech();
  const flow = new Flow();
  const still = doc.defaultView?.matchMedia("(prefers-reduced-motion: reduce)").matches;
  const following = new Following(view, signal);
  const richText = new RichText(answer.looks, answer.typeset, () => following.keepUp(), signal);
  const painter = new Painter(page, {
    onHidden: () => (hidden.hidden = false),
    onClosed: (block) => {
      richText.add(block);
      if (block instanceof CodeLeaf && block.whole) offerCopy(block.el, block.into);
    },
  });
  let waiting = ""; // received, not painted
  let shown = 0;
  let lastNote = answer.note;
  let noted = 0; // when the kernel's note changed

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
      copy.hidden = false;
      painter.paint();
      richText.ask();
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
    const text = facts(answer.title, (now - receiver.started) / 1000, shown, flowing);
    if (told.textContent !== text) told.textContent = text;
    // What the kernel says goes on, such as a tool, is no stall.
    const silent = receiver.lastText === null || answer.note ? 0 : (now - Math.max(receiver.lastText, noted)) / 1000;
    const said = answer.note || stall(silent);
    if (note.textContent !== said) note.textContent = said;
  };
  const ticking = setInterval(tell, 1000);
  const speaking = setInterval(() => {
    const words = speech.next();
    if (words) spoken.textContent = words;
  }, ANNOUNCE);

  // --- begin and end

  const end = answer.listen({
    text: (text) => {
      waiting += text;
      if (text) flow.came(text.length, ms());
      plan();
    },
    note: (text) => {
      if (text !== lastNote) noted = ms();
      lastNote = text;
      tell();
    },
    sources: (found) => listSources(sources, found),
    stopping: () => stop.heard(),
  });
  painter.setCaret();
  tell();

  return () => {
    over.abort();
    end();
    for (const timer of [ticking, speaking]) clearInterval(timer);
    clearTimeout(quiet);
    cancelAnimationFrame(frame);
    const lost = doc.activeElement === doc.body || view.contains(doc.activeElement);
    view.remove();
    if (lost) home?.focus({ preventScroll: true });
  };
}
