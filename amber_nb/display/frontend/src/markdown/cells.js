// @ts-check
/** The cells of a table's rows, as ../../../markdown_blocks.py cuts them. Pure: no DOM. */

import { Budget, formulaEnd } from "./formulas.js";
import { runLength } from "./spans.js";

const DELIMITERS = /^ {0,3}\|?[ \t]*:?-+:?[ \t]*(?:\|[ \t]*:?-+:?[ \t]*)*\|?[ \t]*$/;
const EDGES = /^[ \t]+|[ \t]+$/g;

/**
 * How the line under a table's head aligns its columns; null for any other line.
 * @param {string} line
 * @returns {string[] | null}
 */
export function alignsOf(line) {
  if (!DELIMITERS.test(line) || !/[|:]/.test(line)) return null;
  const text = line.replace(EDGES, "");
  return cut(text, barsOf(text)).map((cell) => {
    if (/^:-+:$/.test(cell)) return "center";
    return /-:$/.test(cell) ? "right" : /^:/.test(cell) ? "left" : "";
  });
}

/**
 * The cells of a row: cut at its bars, those within formulas and code left out where that fits the columns.
 * @param {string} line
 * @param {number} columns how many the table has; what is too much for it stays in the last cell
 * @param {boolean} [exactly] a row with too many cells stays as it is
 */
export function cellsOf(line, columns, exactly = false) {
  const row = line.replace(EDGES, "");
  const bars = barsOf(row);
  let readings = [bars];
  if (/[`$\\]/.test(row)) {
    const spans = spansOf(row);
    const outside = outsideOf(bars, spans);
    if (outside.length !== bars.length) readings = [outside, outsideOf(bars, spans.filter((span) => span.code)), bars];
  }
  const fits = readings.find((cuts) => cut(row, cuts).length === columns);
  let cells = cut(row, fits ?? readings[0]);
  while (!exactly && cells.length > columns && !cells[cells.length - 1]) cells.pop();
  if (cells.length > columns && !exactly) {
    const cuts = readings[0];
    const first = cuts.length && !row.slice(0, cuts[0]).trim() ? 1 : 0;
    const last = first + columns - 2;
    let rest = row.slice(last >= 0 ? cuts[last] + 1 : 0).replace(EDGES, "");
    if (rest.endsWith("|") && !rest.endsWith("\\|")) rest = rest.slice(0, -1).replace(EDGES, "");
    cells = [...cells.slice(0, columns - 1), rest];
  }
  return cells.map((cell) => cell.replace(/\\\|/g, "|"));
}

/** @param {string} row */
function barsOf(row) {
  return [...row.matchAll(/(?<!\\)\|/g)].map(({ index }) => index);
}

/** @param {string} row @param {number[]} bars */
function cut(row, bars) {
  const edges = [-1, ...bars, row.length];
  const cells = edges.slice(1).map((right, i) => row.slice(edges[i] + 1, right).replace(EDGES, ""));
  if (cells.length > 1 && !cells[0]) cells.shift();
  if (cells.length > 1 && !cells[cells.length - 1]) cells.pop();
  return cells;
}

/** @param {number[]} bars @param {{ from: number, to: number }[]} spans */
function outsideOf(bars, spans) {
  let n = 0;
  return bars.filter((bar) => {
    while (n < spans.length && spans[n].to <= bar) n++;
    return n === spans.length || bar < spans[n].from;
  });
}

/** Where code and formulas stand. @param {string} row */
function spansOf(row) {
  const spans = [];
  const budget = new Budget(row.length);
  /** @type {Map<number, number[]>} where runs of backticks stand, by their length */
  const runs = new Map();
  for (const { 0: run, index } of row.matchAll(/`+/g)) runs.set(run.length, [...(runs.get(run.length) ?? []), index]);
  for (const starts of runs.values()) starts.reverse();
  for (let i = 0; i < row.length; ) {
    if (row[i] === "`") {
      const n = runLength(row, i);
      const starts = runs.get(n) ?? [];
      while (starts.length && starts[starts.length - 1] <= i) starts.pop();
      const end = starts[starts.length - 1];
      if (end !== undefined) spans.push({ from: i, to: end + n, code: true });
      i = (end ?? i) + n;
    } else if (row[i] === "$" || row[i] === "\\") {
      const end = formulaEnd(row, i, budget);
      if (end > 0) spans.push({ from: i, to: end, code: false });
      i = end > 0 ? end : i + (row[i] === "\\" ? 2 : 1);
    } else i++;
  }
  return spans;
}
