// @ts-check
/** Elements with a text in one go. */

import { make } from "./dom.js";

/**
 * @param {globalThis.Node} at in whose document
 * @param {string} cls
 * @param {string} [text]
 * @param {string} [tag]
 */
export function box(at, cls, text = "", tag = "div") {
  const el = make(at, tag, cls);
  el.textContent = text;
  return el;
}

/**
 * @param {HTMLElement} at in whose document
 * @param {string} cls
 * @param {string} text
 * @param {(event: MouseEvent) => unknown} press
 * @param {AbortSignal} signal the end of the view
 */
export function button(at, cls, text, press, signal) {
  const el = /** @type {HTMLButtonElement} */ (box(at, cls, text, "button"));
  el.type = "button";
  el.addEventListener("click", (event) => el.getAttribute("aria-disabled") !== "true" && press(event), { signal });
  return el;
}

/**
 * Not `disabled`: that would lose the keyboard's place.
 * @param {HTMLElement} el
 * @param {boolean} off
 */
export function disable(el, off) {
  el.setAttribute("aria-disabled", String(off));
}
