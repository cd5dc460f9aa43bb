// @ts-check
/** What is written behind a fence, and the fences within a block of Markdown. Pure: no DOM. */

const MARKDOWN = /^[ \t]*(?:markdown|md|mdx|gfm|commonmark)(?![^\s`{:])/i;
const INNER = /^[ \t]*(`{3,}|~{3,})[ \t]*([^\n`]*)$/;

/**
 * The language of a fence, and the name of its file where it tells one: as ../../../markdown_blocks.py reads it.
 * @param {string} info
 */
export function languageOf(info) {
  const text = info.trim();
  const titled = /(?:title|file(?:name)?)\s*=\s*(?:"([^"]*)"|'([^']*)'|([^\s"'}]+))/.exec(text);
  const file = titled?.[1] || titled?.[2] || titled?.[3] || "";
  if (text.startsWith("{")) {
    const language = /^\{\s*\.?([^\s,}]*)/.exec(text)?.[1] ?? "";
    return { language: ["code-cell", "ipython"].includes(language) ? "python" : language, file };
  }
  let first = text.split(/\s+/)[0];
  first = /^([^{]+)\{/.exec(first)?.[1] ?? first; // as in js{1,3}, whose lines are to be marked
  const lines = /^\d+:\d+:(\S+)$/.exec(first)?.[1]; // as in 12:15:src/app.py
  first = lines ?? first;
  const isPath = lines !== undefined || /^[a-zA-Z]:[\\/]/.test(first);
  const colon = first.indexOf(":");
  if (!isPath && colon > 0 && colon < first.length - 1) return { language: first.slice(0, colon), file: file || first.slice(colon + 1) };
  const suffix = /^(?:[a-zA-Z]:)?[\w./\\-]*[\w/\\-]\.([a-zA-Z]\w{0,7})$/.exec(first);
  if (suffix || isPath) return { language: suffix?.[1] ?? "", file: file || first };
  return { language: colon < 0 ? first : first.slice(0, colon), file };
}

/** The fences that are open in a block of Markdown, the block's own first. */
export class InnerFences {
  /**
   * @param {string} fence
   * @param {string} info
   * @param {boolean} nests whether a bare fence may open code within it
   * @returns {InnerFences | null} null for any other block
   */
  static of(fence, info, nests) {
    return MARKDOWN.test(info) && !info.includes("`") ? new InnerFences(fence, nests) : null;
  }

  /** @param {string} fence @param {boolean} nests */
  constructor(fence, nests) {
    this.open = [fence];
    this.nests = nests;
    this.hasNested = false;
    /** A bare fence that opens code if a line of text follows, and ends the block if none does. */
    this.waiting = "";
  }

  /** Whether bare fences were taken for pairs that they are not. */
  get isTorn() {
    return this.hasNested && this.open.length > 1;
  }

  /** What waits opens code. @returns {string} its line */
  nest() {
    const line = this.waiting;
    this.open.push(line.trim());
    this.hasNested = true;
    this.waiting = "";
    return line;
  }

  /**
   * Read a line.
   * @param {string} line
   * @param {number} indent
   * @param {string | null} above the line above it, null for the block's own fence
   * @returns {boolean} whether it ends the block
   */
  ends(line, indent, above) {
    const found = INNER.exec(line);
    if (!found) return false;
    const info = found[2].trim();
    const innermost = this.open[this.open.length - 1];
    if (info) {
      if (/^[\w{.+#-]/.test(info)) this.open.push(found[1]);
    } else if (found[1][0] === innermost[0] && found[1].length >= innermost.length && (indent < 4 || this.open.length > 1)) {
      if (this.nests && this.open.length === 1 && above !== null && /^[ \t]*(?:#.*|.*[:：][ \t]*)?$/.test(above)) this.waiting = line;
      else this.open.pop();
    }
    return !this.open.length;
  }
}
