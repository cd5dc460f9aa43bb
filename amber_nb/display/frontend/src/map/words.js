// @ts-check
/** What the view of a run says beside what the kernel tells. Pure. */

const STEP = 10; // per cent between two announcements
const REST = 20_000; // ms between two announcements

/** @param {number} seconds */
export function duration(seconds) {
  const s = Math.max(0, Math.floor(seconds));
  if (s < 60) return `${s} s`;
  if (s < 3600) return `${Math.floor(s / 60)} min ${s % 60} s`;
  return `${Math.floor(s / 3600).toLocaleString("en")} h ${Math.floor((s % 3600) / 60)} min`;
}

/** Tells now and then how far a run is: at each tenth, and no more often than a listener bears. */
export class Announcements {
  constructor() {
    this.step = 0;
    this.at = -Infinity;
  }

  /**
   * @param {number} done rows
   * @param {number} failed rows among them
   * @param {number} rows in all
   * @param {number} now ms
   * @returns {string} "" where there is nothing to be said
   */
  next(done, failed, rows, now) {
    const step = rows ? Math.floor((100 * done) / rows / STEP) * STEP : 0;
    if (step <= this.step || now - this.at < REST) return "";
    this.step = step;
    this.at = now;
    return `${step} per cent of the rows are done${failed ? `, ${failed.toLocaleString("en")} failed` : ""}`;
  }
}
