// @ts-check
/** The sources of an answer, as a quiet list below its text: as ../sources.py shows them in the settled form. */

import { attributes, make } from "./dom.js";
import { safeHref } from "./markdown/targets.js";

/**
 * @param {HTMLElement} el gets the list in the place of the one before
 * @param {[title: string, url: string][]} sources
 */
export function listSources(el, sources) {
  el.hidden = !sources.length;
  const list = make(el, "ol");
  for (const [title, url] of sources) {
    const item = list.appendChild(make(el, "li"));
    const href = safeHref(url);
    const label = title || url;
    if (!href) {
      item.textContent = url && url !== label ? `${label} (${url})` : label;
      continue;
    }
    const link = make(el, "a");
    attributes(link, { href, target: "_blank", rel: "noopener noreferrer" });
    link.textContent = label;
    item.append(link, title ? ` (${new URL(href).host})` : ""); // a title may say anything
  }
  el.replaceChildren("Sources", list);
}
