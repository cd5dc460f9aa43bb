// @ts-check
/**
 * Stop stays in sight while the answer is longer than the page. The status line is sticky, which only works within the nearest
 * element that scrolls, and Lab's outputs do: so they are told to clip while an answer is drawn in them. An output that is
 * lower than what is in it, as a "scrolled" one, goes on scrolling, and the line sticks to its edge. (`position: fixed` is no
 * way: cells are `contain: content`.)
 */

const THROUGH = "amber-through";
const AREAS = ".jp-OutputArea, .jp-OutputArea-child, .jp-OutputArea-output, .output_subarea";

/** @param {Element} host @returns {Element[]} what `close` is to be called with */
export function open(host) {
  /** @type {Element[]} */
  const areas = [];
  for (let el = host.closest(AREAS); el; el = el.parentElement?.closest(AREAS) ?? null) areas.push(el);
  for (const area of areas) area.classList.add(THROUGH);
  return areas;
}

/** @param {Element[]} areas that may hold other answers */
export function close(areas) {
  for (const area of areas) if (!area.querySelector(".amber-over")) area.classList.remove(THROUGH);
}
