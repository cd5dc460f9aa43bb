/**
 * The live view's bundle, as it is committed in ../static.
 *
 * It travels with every answer, so its size counts: the longer names of our own properties are shortened too, which saves
 * a kilobyte. Only names that no part of the browser, of Lab and of the protocol uses may stand here, and none that is asked for in quotes
 * (`"name" in thing`): test/built.test.js runs the painter as it is built.
 */

import { fileURLToPath } from "node:url";
import { build } from "esbuild";

const OURS = `
  aligns asked attach beyond blank blanks caret closeLeaf closes closeTo dirty drop enter fence firstText flowing
  gapped ghost grow heads heard held idle indent into keepUp kids kind label leaf leafLimit loosen mark moved nextLine
  nodes offset onHidden openCode openText outline overdue paint press prune resize scrolled scroller setCaret shown
  stack started state table unsaid weight
`;

export const settings = /** @type {const} */ ({
  bundle: true,
  format: "esm",
  minify: true,
  charset: "utf8",
  target: "es2022",
  mangleProps: new RegExp(`^(${OURS.trim().split(/\s+/).join("|")})$`),
});

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  await build({ ...settings, entryPoints: ["src/stream_view.js", "src/stream_view.css"], outdir: "../static" });
}
