// @ts-check
/** The static form of an answer that is not whole yet, with all of its text so far. */

import { Painter } from "./markdown/painter.js";

const TEXT = "amber-so-far"; // the element of a snapshot that holds the text
const LOUD = "[still being written when this was saved]";
const MOST = 300_000; // characters: more would hold up the saving
const STYLES = {
  pre: "margin:0 0 1em;padding:8px 12px;border:1px solid rgba(128,128,128,.3);border-radius:4px;white-space:pre-wrap",
  table: "border-collapse:collapse;margin:0 0 1em",
  th: "padding:.3em .8em;border:1px solid rgba(128,128,128,.3);text-align:left",
  td: "padding:.3em .8em;border:1px solid rgba(128,128,128,.3);text-align:left",
  h3: "font-size:1.3em;font-weight:600",
  h4: "font-size:1.15em;font-weight:600",
  h5: "font-size:1em;font-weight:600",
  h6: "font-size:1em;font-weight:600",
  blockquote: "margin:0 0 1em;padding:0 0 0 12px;border-left:3px solid rgba(128,128,128,.3)",
};

/**
 * @param {string} html the snapshot that the document holds
 * @param {string} text Markdown
 * @returns {Record<string, string> | null} null where that is no snapshot
 */
export function snapshot(html, text) {
  // An inert document: nothing in it loads or runs.
  const page = new DOMParser().parseFromString(html, "text/html");
  const slot = page.querySelector(`.${TEXT}`);
  if (!slot) return null;
  const painted = page.createElement("div");
  const painter = new Painter(painted, { limit: Infinity, leafLimit: Infinity });
  painter.write(text.slice(0, MOST));
  painter.end();
  if (text.length > MOST) {
    const note = page.createElement("p");
    note.textContent = `… and ${(text.length - MOST).toLocaleString("en")} more characters`;
    painted.append(note);
  }
  // After a page was loaded again, less may have come than the kernel has shown.
  if ((painted.textContent ?? "").length < (slot.textContent ?? "").length) return null;
  for (const [tag, style] of Object.entries(STYLES)) {
    for (const el of painted.querySelectorAll(tag)) el.setAttribute("style", style);
  }
  for (const el of painted.querySelectorAll(".amber-indent")) el.setAttribute("style", "white-space:pre");
  separateDollars(painted);
  slot.replaceChildren(...painted.childNodes);
  return { "text/html": page.body.innerHTML, "text/plain": text ? `${text}\n${LOUD}` : LOUD };
}

/** Notebooks typeset what stands between two dollars in the text of an element: no two stand in the same one. @param {Element} root */
function separateDollars(root) {
  const walker = root.ownerDocument.createTreeWalker(root, 4 /* texts */);
  /** @type {Text[]} */
  const texts = [];
  while (walker.nextNode()) texts.push(/** @type {Text} */ (walker.currentNode));
  for (const node of texts) {
    if (!/[$\\]/.test(node.data) || node.parentElement?.closest("code")) continue;
    const pieces = node.data.split(/([$\\])/).filter(Boolean);
    node.replaceWith(
      ...pieces.map((piece) => {
        if (piece !== "$" && piece !== "\\") return piece;
        const span = root.ownerDocument.createElement("span");
        span.textContent = piece;
        return span;
      }),
    );
  }
}
