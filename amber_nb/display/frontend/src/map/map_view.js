// @ts-check
/**
 * The view of a run: a bar, figures in fixed places, the newest rows, the errors so far, and a Stop button that never
 * moves. Elements are made once; then only texts change, once a frame.
 */

import { box } from "../box.js";
import { attributes, make, on } from "../dom.js";
import { StopButton } from "../stop.js";
import { Announcements, duration } from "./words.js";

/** @typedef {import("./live_map.js").LiveMap} LiveMap */

const NEWEST = 5; // lines that are kept free for the newest rows
const PARTS = ["ok", "failed", "skipped"]; // of the bar

/**
 * @param {HTMLElement} el gets the view as its last child
 * @param {LiveMap} run
 * @returns {() => void} to take it away
 */
export function renderMap(el, run) {
  const over = new AbortController();
  const { signal } = over;
  const doc = el.ownerDocument;
  /** @param {HTMLElement} parent @param {string} cls @param {string} [tag] */
  const add = (parent, cls, tag) => parent.appendChild(box(doc, cls, "", tag));

  const view = make(doc, "div", "amber-view amber-run");
  attributes(view, { role: "group", "aria-label": "Rows that a model is asked about" });
  const head = add(view, "amber-run-head");
  add(head, "amber-run-title", "span").textContent = run.title;
  const badge = add(head, "amber-badge", "span");
  badge.textContent = run.badge;
  badge.hidden = !run.badge;
  const elapsed = add(head, "amber-run-elapsed", "span");
  const stop = new StopButton(doc, { ask: () => run.stop(), interrupt: run.interrupt, what: "Stop this run" }, signal);
  head.append(stop.el);
  const bar = add(view, "amber-bar");
  attributes(bar, { role: "progressbar", "aria-label": "Rows done", "aria-valuemin": "0" });
  const parts = PARTS.map((name) => add(bar, `amber-bar-${name}`));
  const figures = add(view, "amber-figures", "dl");
  const note = add(view, "amber-run-note");
  const newest = list(view, "Newest rows");
  const failures = list(view, "Errors so far");
  failures.classList.add("amber-errors");
  const remarks = add(view, "amber-remarks");
  const spoken = add(view, "amber-spoken");
  spoken.setAttribute("aria-live", "polite");
  el.append(view);

  // The keyboard's place: with the view goes what has the focus, and Lab's keys work in a cell only.
  /** @type {HTMLElement | null} */
  let home = null;
  on(view, "focusin", () => (home = el.closest(".jp-Cell")), signal);
  on(view, "focusout", (event) => event.relatedTarget && (home = null), signal);

  const announcements = new Announcements();
  let frame = 0;
  const draw = () => {
    frame = 0;
    const { picture } = run;
    tick();
    if (!picture) return;
    const [ok, failed, skipped, rows] = picture.of;
    const done = ok + failed + skipped;
    [ok, failed, skipped].forEach((count, i) => {
      // What is there is seen, though it be one row of a million.
      parts[i].style.width = `${rows ? (100 * count) / rows : 0}%`;
      parts[i].style.minWidth = count ? "2px" : "";
    });
    const [shown, missed] = picture.figures;
    const words = `${shown?.[1]} rows${failed ? `, ${missed?.[1]} failed` : ""}`;
    attributes(bar, { "aria-valuemax": `${rows}`, "aria-valuenow": `${Math.min(done, rows)}`, "aria-valuetext": words });
    fit(figures, picture.figures.length, () => {
      const figure = make(doc, "div", "amber-figure");
      for (const tag of ["dt", "dd", "dd"]) figure.append(make(doc, tag));
      return figure;
    });
    picture.figures.forEach((texts, i) => write(figures.children[i], texts));
    say(note, picture.note);
    const { newest: found = [] } = picture;
    // As many lines as there will be: what stands below does not move.
    lines(newest, Array.from({ length: Math.min(NEWEST, rows) }, (_, i) => found[i] ?? ["", "", false]));
    lines(failures, [...picture.failures, ...(picture.more ? [["", picture.more, ""]] : [])]);
    fit(remarks, picture.remarks.length, () => make(doc, "div"));
    picture.remarks.forEach((text, i) => say(remarks.children[i], text));
    const said = announcements.next(done, failed, rows, performance.now());
    if (said) spoken.textContent = said;
  };
  const tick = () => {
    const since = run.picture ? run.picture.elapsed + (performance.now() - run.came) / 1000 : 0;
    say(elapsed, duration(since));
  };
  const plan = () => {
    if (run.stopping) stop.heard();
    if (!frame && !signal.aborted) frame = requestAnimationFrame(draw);
  };
  const ticking = setInterval(tick, 1000);
  run.listeners.add(plan);
  plan();

  return () => {
    over.abort();
    run.listeners.delete(plan);
    clearInterval(ticking);
    cancelAnimationFrame(frame);
    const lost = doc.activeElement === doc.body || view.contains(doc.activeElement);
    view.remove();
    if (lost) home?.focus({ preventScroll: true });
  };
}

/** A titled list, hidden while it is empty. @param {HTMLElement} view @param {string} title */
function list(view, title) {
  const part = view.appendChild(make(view, "div", "amber-run-part"));
  part.hidden = true;
  part.append(box(view, "amber-run-label", title));
  const lines = part.appendChild(make(view, "ul", "amber-lines"));
  lines.setAttribute("role", "list"); // without marks it is none to some browsers
  return lines;
}

/** @param {HTMLElement} list @param {(readonly [string, string, string | boolean] | string[])[]} rows */
function lines(list, rows) {
  /** @type {HTMLElement} */ (list.parentElement).hidden = !rows.length;
  fit(list, rows.length, () => {
    const line = make(list, "li");
    line.append(make(list, "span", "amber-line-name"), make(list, "span", "amber-line-text"), make(list, "span", "amber-line-rows"));
    for (const part of line.children) part.setAttribute("dir", "auto");
    return line;
  });
  rows.forEach(([name, text, last], i) => {
    const line = list.children[i];
    const isError = last === true;
    write(line, [`${name}`, isError ? `✗ ${text}` : `${text}`, typeof last === "string" ? last : ""]);
    line.classList[isError ? "add" : "remove"]("amber-is-error");
  });
}

/** Have so many children, those that are there among them. @param {HTMLElement} el @param {number} count @param {() => HTMLElement} create */
function fit(el, count, create) {
  while (el.children.length < count) el.append(create());
  while (el.children.length > count) el.children[el.children.length - 1].remove();
}

/** @param {Element} el @param {readonly string[]} texts of its children */
function write(el, texts) {
  texts.forEach((text, i) => say(el.children[i], text));
}

/** @param {Element} el @param {string} text */
function say(el, text) {
  if (el.textContent !== text) el.textContent = text;
}
