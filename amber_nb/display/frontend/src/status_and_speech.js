// @ts-check
/** What the view says besides the text: the facts of its status line, and what a screen reader is given to read. Pure. */

const KEPT = 4000; // characters a voice could still say
const MOST_SAID = 500; // in one go: reading aloud is slower than writing
const STALLED = 5; // s: models pause, and most of them not so long
const ENDS = [". ", "! ", "? ", ".\n", ":\n", "\n\n"];

/**
 * @param {string} model
 * @param {number} seconds since the question
 * @param {number} characters so far
 * @param {number} flowing seconds since the first of them
 */
export function facts(model, seconds, characters, flowing) {
  const words = [model, `${Math.floor(seconds)} s`];
  if (characters) {
    const tokens = Math.ceil(characters / 4);
    words.push(`~${tokens.toLocaleString("en")} ${tokens === 1 ? "token" : "tokens"}`);
    if (flowing >= 1) words.push(`${Math.round(tokens / flowing)} tokens/s`);
  }
  return words.filter(Boolean).join(" · ");
}

/** What is said of a stream that gives nothing. @param {number} seconds since its last sign of life */
export function stall(seconds) {
  return seconds >= STALLED ? `nothing for ${Math.floor(seconds)} s` : "";
}

/** Whole sentences for a screen reader, of much text the last ones. */
export class Speech {
  constructor() {
    this.unsaid = "";
  }

  /** @param {string} text */
  add(text) {
    this.unsaid = (this.unsaid + text.slice(-KEPT)).slice(-KEPT);
  }

  /** What has become whole since the last time; empty if nothing has. */
  next() {
    const end = Math.max(...ENDS.map((stop) => this.unsaid.lastIndexOf(stop)));
    if (end < 0) return "";
    const whole = spoken(this.unsaid.slice(0, end + 1));
    this.unsaid = this.unsaid.slice(end + 1);
    if (whole.length <= MOST_SAID) return whole;
    const sentence = whole.search(/(?<=[.!?] )\S(?=.{0,450}$)/);
    return sentence < 0 ? whole.slice(-450) : whole.slice(sentence);
  }
}

/**
 * Markdown without its marks.
 * @param {string} text
 */
function spoken(text) {
  return text
    .replace(/\]\([^)\s]*\)|^\s*(?:[-+](?:[ \t]+\[[ xX]\])?|-{3,})(?=\s)/gm, "")
    .replace(/[*_`#|>~[\]]+|!(?=\[)/g, "")
    .replace(/\s+/g, " ")
    .trim();
}
