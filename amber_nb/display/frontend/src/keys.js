// @ts-check
/** Keys that belong to what has the focus here; Lab would run, move and delete cells. */

const OURS = /^(.|Enter|Escape|Delete|Backspace|Home|End|PageUp|PageDown|Arrow\w+)$/u;
const SUPPRESS = "data-lm-suppress-shortcuts";

/**
 * What Lab does with Ctrl it may do, such as saving, but not paste, and not run a cell.
 * @param {KeyboardEvent} event
 */
export function isOurs({ key, ctrlKey, metaKey }) {
  return OURS.test(key) && (key.length > 1 || !(ctrlKey || metaKey) || key.toLowerCase() === "v");
}

/**
 * @param {HTMLElement} view
 * @param {AbortSignal} signal
 */
export function keepKeys(view, signal) {
  for (const type of /** @type {const} */ (["keydown", "keyup", "keypress"])) {
    view.addEventListener(type, (event) => isOurs(event) && event.stopPropagation(), { signal });
  }
  // Some versions of Lab look at the keys before anything below them does, and then for this.
  view.setAttribute(SUPPRESS, "true");
  const suppress = (/** @type {KeyboardEvent} */ event) => {
    if (isOurs(event)) view.setAttribute(SUPPRESS, "true");
    else view.removeAttribute(SUPPRESS);
  };
  view.ownerDocument.defaultView?.addEventListener("keydown", suppress, { capture: true, signal });
}
