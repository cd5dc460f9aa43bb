/**
 * The bundle of the layer, as it is committed in ../static.
 */

import { writeFile } from "node:fs/promises";
import { fileURLToPath } from "node:url";
import { build } from "esbuild";

/** Spaces that mean nothing, and that esbuild leaves in values it does not read. */
const squeeze = /** @type {import("esbuild").Plugin} */ ({
  name: "squeeze",
  setup({ onEnd }) {
    onEnd(({ outputFiles = [] }) => {
      for (const file of outputFiles.filter(({ path }) => path.endsWith(".css"))) {
        const css = file.text.replace(/,\s+/g, ",").replace(/(--[\w-]+):\s+/g, "$1:");
        file.contents = new TextEncoder().encode(css.trim());
      }
    });
  },
});

export const settings = /** @type {const} */ ({
  bundle: true,
  format: "esm",
  minify: true,
  charset: "utf8",
  target: "es2022",
});

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const entryPoints = ["src/layer.js", "src/layer.css"];
  const { outputFiles } = await build({ ...settings, entryPoints, outdir: "../static", write: false, plugins: [squeeze] });
  for (const { path, contents } of outputFiles) await writeFile(path, contents);
}
