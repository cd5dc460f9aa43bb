// @ts-check
/**
 * The documents in which outputs stand, as far as a widget's manager leads to them: the notebook's model, and the Output
 * widgets of its kernel. JupyterLab 4 and Notebook 7; elsewhere there are none, and nothing is written.
 */

/** @typedef {import("./live_run.js").LiveRun} LiveRun */
/** @typedef {import("./live_item.js").LiveItem} LiveItem */
/** @typedef {{ area: any, index: number, cell: string | null, saved: () => void }} Place an output in its area's model */

const START = /^<div class="amber-(answer|images|map)"><div class="amber-hook/; // of a static form with a hook
const SETTLED = /^<div class="amber-(answer|map)">(?!<div class="amber-hook)/;
const HOOK = /\bamber-live-([0-9a-f]{32})\b/;
const EMPTY = { "text/html": '<div class="amber-emptied" hidden></div>', "text/plain": "" };
const STATE = "application/vnd.jupyter.widget-state+json";
const LAYER = "amber_nb.display.layer.LiveLayer"; // what anywidget calls it
const ENDINGS = new Set(["restarting", "autorestarting", "dead", "terminating"]); // of a kernel

export class Documents {
  /**
   * @param {any} manager of widgets
   * @param {() => void} write called before the document is saved
   * @param {() => void} end called when the kernel goes
   * @param {() => void} close called when the document is closed
   */
  constructor(manager, write, end, close) {
    this.manager = manager;
    /** @type {Map<string, { id: string, html: string }>} by cell: an answer that was put back there */
    this.returned = new Map();
    this.context = manager?.context;
    this.onSave = (/** @type {unknown} */ _, /** @type {string} */ state) => {
      if (state !== "started") return;
      attempt(() => this.dropState());
      write();
    };
    this.onStatus = (/** @type {unknown} */ _, /** @type {string} */ status) => ENDINGS.has(status) && end();
    this.onClose = close;
    this.context?.saveState?.connect?.(this.onSave);
    this.context?.disposed?.connect?.(this.onClose);
    this.kernel = this.context?.sessionContext ?? manager?.kernel;
    this.kernel?.statusChanged?.connect?.(this.onStatus);
  }

  /** Typesets the formulas in an element, as the notebook does; null where it does not. */
  get typeset() {
    const typesetter = this.manager?.rendermime?.latexTypesetter;
    return typesetter ? (/** @type {HTMLElement} */ el) => typesetter.typeset(el) : null;
  }

  /** Resolves when the document has its content. */
  get ready() {
    return Promise.resolve(this.context?.ready);
  }

  /** Whether there is a document to look into. */
  get known() {
    return !!this.context?.model?.cells && !this.context.isDisposed;
  }

  /** @returns {Generator<Place>} */
  *places() {
    const nothing = () => {};
    const cells = this.known ? this.context.model.cells : null;
    for (let at = 0; at < (cells?.length ?? 0); at++) {
      const cell = cells.get(at);
      yield* within(cell?.outputs, cell?.id ?? null, nothing);
    }
    // Models of this manager that are there already: Output widgets are never asked for here.
    for (const model of this.manager?._modelsSync?.values() ?? []) {
      if (model?.name !== "OutputModel") continue;
      yield* within(model.outputs, null, () => {
        model.set("outputs", model.outputs.toJSON(), { newMessage: true });
        model.save_changes();
      });
    }
  }

  /** The outputs that hold the hook of an item. @param {string} id @returns {Place[]} */
  find(id) {
    return [...this.places()].filter((place) => idOf(html(place)) === id);
  }

  /** The HTML of these outputs. @param {string} id */
  texts(id) {
    return this.find(id).map(html);
  }

  /** The id of the notebook's cell that holds an answer: the one that did so last, if it still does. @param {LiveRun} answer */
  cellWith(answer) {
    const places = within(this.cell(answer.cell)?.outputs, answer.cell, () => {});
    const found =
      [...places].find((place) => idOf(html(place)) === answer.id) ?? this.find(answer.id).find(({ cell }) => cell);
    if (found) answer.snapshot = html(found);
    return found?.cell ?? null;
  }

  /** The model of a cell of the notebook. @param {string | null} id @returns {any} */
  cell(id) {
    const cells = id && this.known ? this.context.model.cells : null;
    for (let at = 0; at < (cells?.length ?? 0); at++) if (cells.get(at)?.id === id) return cells.get(at);
  }

  /** Put an answer that was cleared away back into its cell; false where that is gone. @param {LiveRun} answer */
  putBack(answer) {
    const outputs = this.cell(answer.cell)?.outputs; // a cell that has become Markdown has none
    if (!outputs || !answer.snapshot) return false;
    const data = answer.update(answer.snapshot) ?? { "text/html": answer.snapshot, "text/plain": answer.text };
    attempt(() => outputs.add({ output_type: "display_data", data, metadata: {} }));
    this.returned.set(/** @type {string} */ (answer.cell), { id: answer.id, html: "" });
    return true;
  }

  /**
   * Whether the cell of an answer is still there, and holds neither the answer's hook nor, as far as can be told by a
   * look, its settled form.
   * @param {LiveRun} answer
   */
  lacks(answer) {
    const outputs = this.cell(answer.cell)?.outputs;
    if (!outputs || !answer.snapshot || this.find(answer.id).length) return false;
    return answer.missing > 0 || ![...within(outputs, answer.cell, () => {})].some((place) => SETTLED.test(html(place)));
  }

  /** Whether this static form stands in an output. @param {Record<string, string>} data */
  holds(data) {
    return [...this.places()].some((place) => html(place) === data["text/html"]);
  }

  /** The ids of all hooks in the documents. @returns {string[]} */
  hooks() {
    return [...new Set([...this.places()].map((place) => idOf(html(place)) ?? ""))].filter(Boolean);
  }

  /** Take the emptied outputs out of a cell, now that nothing of its run is updated any more. @param {string | null} cell */
  removeEmptied(cell) {
    const outputs = this.cell(cell)?.outputs;
    const kept = outputs?.toJSON().filter((/** @type {any} */ output) => output.data?.["text/html"] !== EMPTY["text/html"]);
    if (kept && kept.length < outputs.length) attempt(() => outputs.fromJSON(kept));
  }

  /**
   * Empty what was put back into a cell that has run again: the answer of this run stands there now. It is taken away
   * only later, since Lab knows the outputs that are still updated by their places.
   * @param {string | null} cell
   * @param {string} id of the answer of this run
   */
  dropReturned(cell, id) {
    const returned = this.returned.get(cell ?? "");
    if (!returned || returned.id === id) return;
    this.returned.delete(cell ?? "");
    for (const place of within(this.cell(cell)?.outputs, cell, () => {})) {
      const text = html(place);
      if (idOf(text) === returned.id || (text && text === returned.html)) attempt(() => set(place, EMPTY));
    }
  }

  /** Take the layer, and its code, out of the widgets' state that Lab may save: its manager has just put it there. */
  dropState() {
    const { model } = this.context;
    const widgets = model.getMetadata?.("widgets");
    const saved = widgets?.[STATE];
    const others = Object.entries(saved?.state ?? {}).filter(([, { state }]) => state?._anywidget_id !== LAYER);
    if (!saved?.state || others.length === Object.keys(saved.state).length) return;
    model.setMetadata("widgets", { ...widgets, [STATE]: { ...saved, state: Object.fromEntries(others) } });
  }

  /** Put a newer static form of an item in the place of the one with its hook. @param {string} id @param {Record<string, string>} data */
  replace(id, data) {
    for (const returned of this.returned.values()) if (returned.id === id) returned.html = data["text/html"] ?? "";
    for (const place of this.find(id)) attempt(() => set(place, data));
  }

  /** Write what has come of an item into its outputs. @param {LiveItem} item */
  write(item) {
    for (const place of this.find(item.id)) {
      attempt(() => {
        const data = item.update(html(place));
        if (data && data["text/html"] !== html(place)) set(place, data);
      });
    }
  }

  dispose() {
    this.context?.saveState?.disconnect?.(this.onSave);
    this.context?.disposed?.disconnect?.(this.onClose);
    this.kernel?.statusChanged?.disconnect?.(this.onStatus);
  }
}

/** Change one output of many: what fails there leaves the others, and the saving, as they are. @param {() => void} change */
function attempt(change) {
  try {
    change();
  } catch (error) {
    console.warn("amber_nb: an output of the document could not be written", error);
  }
}

/** @param {any} area @param {string | null} cell @param {() => void} saved @returns {Generator<Place>} */
function* within(area, cell, saved) {
  for (let index = 0; index < (area?.length ?? 0); index++) yield { area, index, cell, saved };
}

/** The id of the item whose static form this is; its text may name others. @param {string} text */
function idOf(text) {
  return START.test(text) ? HOOK.exec(text)?.[1] : undefined;
}

/** @param {Place} place */
function html({ area, index }) {
  const value = area.get(index)?.data?.["text/html"] ?? "";
  return Array.isArray(value) ? value.join("") : String(value);
}

/** @param {Place} place @param {Record<string, string>} data */
function set({ area, index, saved }, data) {
  const output = area.get(index).toJSON();
  area.set(index, { ...output, data });
  saved();
}
