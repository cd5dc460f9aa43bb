// What a reader sees of HTML, whoever wrote it: the same as tests/display/canonical.py.

const LINES = /[ \t\n]*<(\/?)(p|div|h\d|ul|li|blockquote|pre|hr|br|table|tr|th|td|ol(?: start="\d+")?)>[ \t\n]*/g;

/** @param {string} html */
export function canonical(html) {
  const blocks = [];
  const text = html
    .replace(/<pre[^>]*>(.*?)<\/pre>/gs, (_, code) => {
      blocks.push(`<pre>${code.replace(/<[^>]*>/g, "").replace(/\n+$/, "")}</pre>`);
      return `<pre>${blocks.length - 1}</pre>`;
    })
    .replace(/<span class="amber-math">(.*?)<\/span>/gs, (_, formula) => `<math>${formula}</math>`)
    .replace(/<span class="amber-indent">(.*?)<\/span>/g, (_, blanks) => blanks.replaceAll(" ", "⇥"))
    .replace(/<\/?(?:span|thead|tbody)[^>]*>/g, "")
    .replace(/<(\w+)(?=[^>]*?( start="\d+")|)[^>]*>/g, "<$1$2>")
    .replace(/<(\/?)p>/g, "<$1div>")
    .replace(LINES, "<$1$2>")
    .replace(/[ \t\n]+/g, " ")
    .replace(/(?:<\/?div>)+/g, "\n")
    .replace(/\n*(<\/?(?:ul|ol|li|blockquote|table|tr|th|td|h\d|hr|pre)\b[^>]*>)\n*/g, "$1");
  return text
    .replace(/<pre>(\d+)<\/pre>/g, (_, n) => blocks[n])
    .replace(/&quot;/g, '"')
    .replace(/^[ \t\n]+|[ \t\n]+$/g, "");
}
