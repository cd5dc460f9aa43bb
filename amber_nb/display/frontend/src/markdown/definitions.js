// @ts-check
/** What a text defines beside its paragraphs: the addresses of links, and footnotes; and who waits for it. Pure: no DOM. */

import { decode } from "./entities.js";

const LABEL = /\[((?:[^[\]\\\n]|\\.){1,999})\](?!:)/g;
const DEFINITION = new RegExp(
  String.raw`\[((?:[^[\]\\]|\\[^]){1,999})\]:[ \t]*\n?[ \t]*(?:<((?:[^<>\n\\]|\\.)*)>|([^\s<]\S*))` +
    String.raw`(?:(?:[ \t]+|[ \t]*\n[ \t]*)(?:"(?:[^"\\]|\\[^])*"|'(?:[^'\\]|\\[^])*'|\((?:[^()\\]|\\[^])*\)))?[ \t]*(?:\n|$)`,
  "y",
);
const ADDRESS = /^(?:[a-z][a-z0-9+.-]*:|[/#.<]|www\.)/i;
const MOST_WAITING = 2000; // pieces of text

/** A label as CommonMark compares it. @param {string} label */
export function normalized(label) {
  return label.trim().replace(/\s+/g, " ").toLowerCase().toUpperCase();
}

/** Whether the parentheses of an address have their partners. @param {string} raw */
function hasPartners(raw) {
  let level = 0;
  for (const [sign] of raw.matchAll(/\\.|[()]/g)) {
    level += sign === "(" ? 1 : sign === ")" ? -1 : 0;
    if (level < 0) return false;
  }
  return !level;
}

/** @typedef {{ labels: string[], renew: () => void }} Waiting */

export class Definitions {
  constructor() {
    /** @type {Map<string, string>} addresses, as they are meant, by label */
    this.links = new Map();
    /** @type {Set<string>} labels of footnotes */
    this.notes = new Set();
    /** @type {Set<string>} labels that stand in brackets somewhere */
    this.used = new Set();
    /** @type {Waiting[]} */
    this.waiting = [];
  }

  /** Learn which labels a line uses. @param {string} line */
  read(line) {
    if (!line.includes("[")) return;
    const fresh = [...line.matchAll(LABEL)].map(([, label]) => normalized(label)).filter((label) => !this.used.has(label));
    for (const label of fresh) this.used.add(label);
    this.wake(fresh);
  }

  /** Call back when one of the labels in a text is defined, or used. @param {string} text @param {() => void} renew */
  wait(text, renew) {
    const labels = [...text.matchAll(/\[((?:[^[\]\\]|\\[^]){1,999})\]/g)].map(([, label]) => normalized(label));
    if (labels.length && this.waiting.length < MOST_WAITING) this.waiting.push({ labels, renew });
  }

  /** @param {string[]} labels */
  wake(labels) {
    if (!labels.length) return;
    for (const one of this.waiting) if (one.labels.some((label) => labels.includes(label))) one.renew();
  }

  /** @param {string} label */
  note(label) {
    if (this.notes.has(label)) return;
    this.notes.add(label);
    this.wake([normalized(`^${label}`)]);
  }

  /**
   * Take the definitions off the beginning of a paragraph: those that a link uses.
   * @param {string} text
   * @returns {string} the rest
   */
  strip(text) {
    let rest = text;
    /** @type {string[]} */
    const fresh = [];
    while (rest.startsWith("[")) {
      DEFINITION.lastIndex = 0;
      const found = DEFINITION.exec(rest);
      const label = found ? normalized(found[1]) : "";
      const address = found ? decode(found[2] ?? found[3]) : "";
      if (!found || !label || (found[2] === undefined && !hasPartners(found[3]))) break;
      if (!this.links.has(label) && (!this.used.has(label) || !ADDRESS.test(address))) break;
      if (!this.links.has(label)) {
        this.links.set(label, address);
        fresh.push(label);
      }
      rest = rest.slice(found[0].length).replace(/^[ \t]+/, "");
    }
    this.wake(fresh);
    return rest;
  }
}
