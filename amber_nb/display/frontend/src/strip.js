// @ts-check
/** The images that were sent, above the answer: tile for tile what ../strip.py makes of them, so that nothing jumps. */

import { make } from "./dom.js";

const TILE =
  "display:inline-block;vertical-align:top;margin:0 16px 8px 0;max-width:240px;font-size:85%;line-height:1.4";
const PICTURE =
  "height:72px;width:auto;max-width:240px;margin:0;border:1px solid rgba(128,128,128,.5);border-radius:4px";
const QUIET = "opacity:.75";

/**
 * @param {HTMLElement} view gets the strip as its last child; nothing without images
 * @param {[name: string, lines: string[], thumbnail: string][]} images
 */
export function strip(view, images) {
  /** @param {HTMLElement} parent @param {string} style @param {string} [text] */
  const box = (parent, style, text) => {
    const el = make(view, text === undefined ? "img" : "div");
    el.style.cssText = style;
    if (text) el.textContent = text;
    return parent.appendChild(el);
  };
  if (!images?.length) return;
  const all = box(view, "margin:0 0 .5em", "");
  all.className = "amber-images jp-RenderedHTMLCommon"; // Lab's own, for its margins
  for (const [name, lines, thumbnail] of images) {
    const tile = box(all, TILE, "");
    // Nothing that would have to be fetched.
    if (/^data:image\/webp;base64,/.test(thumbnail)) {
      const picture = /** @type {HTMLImageElement} */ (box(box(tile, "", ""), PICTURE));
      picture.alt = ""; // the name stands below it
      picture.src = thumbnail;
    }
    box(tile, "overflow-wrap:anywhere", name);
    for (const line of lines) box(tile, QUIET, line);
  }
}
