// @ts-check
/** The Stop button: the kernel acknowledges at once; where it cannot hear, it is interrupted. */

import { make, on } from "./dom.js";

const HEARD = 1000; // ms until an unanswered Stop interrupts the kernel
const STOPPED = 5000; // and until a reader whose Stop was heard may insist

export class StopButton {
  /**
   * @param {Document} doc
   * @param {{ ask: () => void, interrupt: () => void, what?: string }} ways of stopping, and what it says it stops
   * @param {AbortSignal} signal the end of the view
   */
  constructor(doc, { ask, interrupt, what = "Stop this answer" }, signal) {
    this.ask = ask;
    this.interrupt = interrupt;
    /** @type {"no" | "asked" | "heard" | "deaf"} */
    this.state = "no";
    /** @type {ReturnType<typeof setTimeout> | undefined} */
    this.overdue = undefined;
    this.el = /** @type {HTMLButtonElement} */ (make(doc, "button", "amber-stop"));
    this.el.type = "button";
    this.label("Stop", what);
    // The button moves with the text above it, so that a press may end beside it: it counts when it begins. Clicks are
    // left to the keyboard, and to what stands in for a mouse.
    on(this.el, "mousedown click", ({ type, button, detail }) => (type === "click" ? detail : button) || this.press(), signal);
    // Enter and Space belong to the button; Lab would run or select cells.
    this.el.setAttribute("data-lm-suppress-shortcuts", "true");
    on(this.el, "keydown keyup keypress", keep, signal);
    signal.addEventListener("abort", () => clearTimeout(this.overdue));
  }

  press() {
    if (this.state === "deaf") this.interrupt();
    if (this.state !== "no") return;
    this.state = "asked";
    this.label("Stopping…");
    this.el.setAttribute("aria-disabled", "true"); // not `disabled`: that would lose the keyboard's place
    this.ask();
    this.overdue = setTimeout(() => {
      this.heard();
      this.interrupt();
    }, HEARD);
  }

  /** The kernel knows that it is to stop. */
  heard() {
    this.state = "heard";
    clearTimeout(this.overdue);
    this.label("Stopping…");
    // Heard, and yet it goes on: then the reader may insist.
    this.overdue = setTimeout(() => {
      this.state = "deaf";
      this.label("Interrupt kernel");
      this.el.removeAttribute("aria-disabled");
    }, STOPPED);
  }

  /** @param {string} seen @param {string} [said] where that alone would say too little */
  label(seen, said) {
    this.el.textContent = seen;
    if (said) this.el.setAttribute("aria-label", said);
    else this.el.removeAttribute("aria-label");
  }
}

/** @param {KeyboardEvent} event */
export function keep(event) {
  if (event.key === "Enter" || event.key === " ") event.stopPropagation();
}
