// @ts-check
/** The inline tree → DOM nodes, touching only what has changed. Elements and text nodes only; `innerHTML` is never used. */

/** @typedef {import("./markdown/inline.js").Inline} Inline */

/**
 * @param {globalThis.Node} at in whose document
 * @param {string} tag
 * @param {string} [cls]
 */
export function make(at, tag, cls) {
  const el = (at.ownerDocument ?? /** @type {Document} */ (at)).createElement(tag);
  if (cls) el.className = cls;
  return el;
}

/**
 * @param {Element} el
 * @param {Record<string, string>} values
 */
export function attributes(el, values) {
  for (const [name, value] of Object.entries(values)) el.setAttribute(name, value);
}

/**
 * @param {EventTarget} el
 * @param {string} types with spaces between them
 * @param {(event: any) => unknown} hear
 * @param {AbortSignal} signal the end of it
 */
export function on(el, types, hear, signal) {
  for (const type of types.split(" ")) el.addEventListener(type, hear, { signal });
}

/**
 * Bring the children of an element from one tree to the next. Text that grew is appended to its node, so that a
 * reader's selection survives and the browser lays out little.
 * @param {HTMLElement} parent
 * @param {Inline[]} before
 * @param {Inline[]} after
 */
export function patch(parent, before, after) {
  const doc = parent.ownerDocument;
  for (let i = 0; i < after.length; i++) {
    const old = before[i];
    const now = after[i];
    const node = parent.childNodes[i];
    if (old === undefined || !node) {
      parent.append(create(doc, now));
    } else if (typeof old === "string" && typeof now === "string") {
      const text = /** @type {Text} */ (node);
      if (old === now) continue;
      if (now.startsWith(old)) text.appendData(now.slice(old.length));
      else text.data = now;
    } else if (typeof old === "object" && typeof now === "object" && old.tag === now.tag && old.href === now.href) {
      patch(/** @type {HTMLElement} */ (node), old.kids, now.kids);
    } else {
      parent.replaceChild(create(doc, now), node);
    }
  }
  for (let i = before.length; i > after.length; i--) parent.childNodes[i - 1]?.remove();
}

/**
 * @param {Document} doc
 * @param {Inline} item
 * @returns {globalThis.Node}
 */
function create(doc, item) {
  if (typeof item === "string") return doc.createTextNode(item);
  const isSpan = item.tag === "math" || item.tag === "indent";
  const el = isSpan ? make(doc, "span", `amber-${item.tag}`) : make(doc, item.tag);
  if (item.href) {
    // `href` has passed `safeHref`; it is the only thing a model writes that reaches an attribute.
    const { href } = item;
    attributes(el, { href, title: href, target: "_blank", rel: "noopener noreferrer" });
  }
  for (const kid of item.kids) el.append(create(doc, kid));
  return el;
}
