/**
 * The bundles of the widgets, as they are committed in ../static.
 *
 * They travel with every view, so their size counts: the longer names of our own properties are shortened too, which
 * saves more than a kilobyte. Only names that no part of the browser, of Lab and of the protocol uses may stand here, and
 * none that is asked for in quotes (`"name" in thing`): test/built.test.js runs the painter as it is built. Each bundle
 * has a list of its own: the one may ask a File for the size that the other calls its own.
 */

import { writeFile } from "node:fs/promises";
import { fileURLToPath } from "node:url";
import { build } from "esbuild";

const OURS = `
  aligns ask asked attach beyond blank blanks came caret cells clock close closeLeaf closes closeTo column depth
  dirty doc drop due end enter fence firstText flowing freeze gapped ghost grow heads heard held idle indent into
  keepUp kids kind label last leaf leafLimit limit loosen mark move moved nextLine nodes offset onHidden open
  openCode openItem openList openQuote openRow opens openText outline overdue paint parent piece press prune raw
  release resize rest root scrolled scroller setCaret show shown size stack started state table tag take task text
  tip unsaid weight write
`;

const IMAGES = `
  after arrange bar blob bring buttons closed focused forget job jobs last lay leave most move names onEnd onWaiting
  pictures row rows say settle since stage thing timers told tools unsettled work
`;

const TOOLS = `
  accept again allow area asForm asJson before began born card changed controls ended everyone explain first
  fold form free hides hint made panel pieces press problem reason refuse refused tabs take takeJson tick told
  touched turnTo why words
`;

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

const common = /** @type {const} */ ({
  bundle: true,
  format: "esm",
  minify: true,
  charset: "utf8",
  target: "es2022",
});

/** @param {string} names */
const shortening = (names) => ({ ...common, mangleProps: new RegExp(`^(${names.trim().split(/\s+/).join("|")})$`) });

export const settings = shortening(OURS);
export const tools = shortening(TOOLS);

/** @param {string} name @param {ReturnType<typeof shortening>} how */
async function widget(name, how) {
  const entryPoints = [`src/${name}.js`, `src/${name}.css`];
  const { outputFiles } = await build({ ...how, entryPoints, outdir: "../static", write: false, plugins: [squeeze] });
  for (const { path, contents } of outputFiles) await writeFile(path, contents);
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  await widget("stream_view", settings);
  await widget("image_view", shortening(IMAGES));
  await widget("inspector", tools);
}
