// @ts-check
/** Buttons that copy: a block of code, or an answer as Markdown with its formulas. Their words are drawn, never selected. */

import { attributes, make, on } from "./dom.js";
import { keep } from "./stop.js";

const TOLD = 1500; // ms for which the button says that it has copied

/**
 * @param {globalThis.Node} at in whose document
 * @param {string} label what it copies, for a screen reader
 * @param {() => string} text
 * @param {AbortSignal} [signal] the end of it; without one, it goes with its element
 */
export function copyButton(at, label, text, signal = new AbortController().signal) {
  const button = /** @type {HTMLButtonElement} */ (make(at, "button", "amber-copy"));
  button.type = "button";
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  let told;
  /** @param {string} word @param {string} said */
  const say = (word, said) => attributes(button, { "data-word": word, "aria-label": said });
  say("Copy", label);
  button.setAttribute("data-lm-suppress-shortcuts", "true");
  on(button, "keydown keyup keypress", keep, signal);
  const press = async () => {
    const done = await copy(button.ownerDocument, text());
    say(done ? "Copied" : "Not copied", done ? "Copied" : "The browser did not let it be copied");
    clearTimeout(told);
    told = setTimeout(() => say("Copy", label), TOLD);
  };
  on(button, "click", press, signal);
  return button;
}

/** Give the blocks of code in a settled answer their buttons, on this page only. @param {Element | undefined} output */
export function offerCopies(output) {
  if (!output?.isConnected || output.querySelector(".amber-hook")) return;
  for (const code of output.querySelectorAll(".amber-answer .amber-md pre > code")) {
    const pre = /** @type {HTMLElement} */ (code.parentElement);
    if (!pre.querySelector(".amber-copy")) offerCopy(pre, code);
  }
}

/** @param {HTMLElement} pre @param {Element} code */
export function offerCopy(pre, code) {
  pre.classList.add("amber-copied");
  pre.append(copyButton(pre, "Copy this code", () => code.textContent ?? ""));
}

/** @param {Document} doc @param {string} text */
async function copy(doc, text) {
  try {
    await doc.defaultView?.navigator.clipboard.writeText(text);
    return true;
  } catch {
    // A page that came by http has no clipboard, or it may not be used.
  }
  const area = /** @type {HTMLTextAreaElement} */ (make(doc, "textarea", "amber-spoken"));
  const focused = /** @type {HTMLElement | null} */ (doc.activeElement);
  area.value = text;
  doc.body.append(area);
  area.select();
  const done = doc.execCommand("copy");
  area.remove();
  focused?.focus({ preventScroll: true });
  return done;
}
