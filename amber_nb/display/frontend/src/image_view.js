// @ts-check
/**
 * Images chosen, dropped or pasted: shrunk here, brought to the kernel one after the other, and listed as the kernel
 * has them. How they travel: upload.js; the whole protocol: ../../../images/view.py.
 */

import { box, button, disable } from "./box.js";
import { attributes, make } from "./dom.js";
import { ImageList } from "./image_list.js";
import { Jobs, reason } from "./jobs.js";
import { keepKeys } from "./keys.js";
import { ofFiles, pastedName, refusal, surplus, taken } from "./data_transfer.js";
import { Line } from "./upload.js";

/** @typedef {import("./image_list.js").Entry} Entry */
/** @typedef {import("./data_transfer.js").Thing} Thing */
/** @typedef {import("./upload.js").Answer & { entries?: Entry[], finished?: boolean, revision?: number }} Message */
/**
 * @typedef {object} Port
 * @property {number} max_side_px images with a longer side are shrunk
 * @property {number} most how many images are taken
 * @property {(message: object, buffers?: ArrayBuffer[]) => void} send to the kernel
 * @property {(listener: (message: Message, buffers: DataView[]) => void) => () => void} listen to the kernel
 */

const GREET = 300; // ms between two greetings
const GREETINGS = 30;
const WAITING = "waiting for the kernel: it is busy";

/**
 * @param {HTMLElement} el gets the view as its last child
 * @param {Port} port
 * @returns {() => void} to take it away
 */
export function renderImages(el, { max_side_px, most, send, listen }) {
  const over = new AbortController();
  const { signal } = over;
  const doc = el.ownerDocument;
  const id = Math.random().toString(36).slice(2);
  const mac = /Mac|iP(hone|ad)/.test(navigator.platform);

  /** @type {Set<string>} lines on which the kernel does not answer */
  const silent = new Set();
  // What is said on the one must not wait for the files on the other.
  const [words, files] = ["words", "files"].map(
    (name) =>
      new Line(`${id}-${name}`, send, (waiting) => {
        silent[waiting ? "add" : "delete"](name);
        tell();
      }),
  );

  // --- what there is to see

  const input = /** @type {HTMLInputElement} */ (make(doc, "input"));
  attributes(input, { type: "file", accept: "image/*", multiple: "", hidden: "" });
  const choose = button(el, "amber-button", "Choose images…", () => input.click(), signal);
  const hint = box(doc, "amber-quiet", `or drop or paste (${mac ? "⌘V" : "Ctrl+V"}) them here`);
  const zone = box(doc, "amber-zone");
  attributes(zone, { tabindex: "0", role: "group", "aria-label": "Add images" });
  zone.append(choose, hint);
  const said = box(doc, "amber-said");
  said.setAttribute("role", "status");
  const dismiss = button(el, "amber-tool", "", () => complain(), signal);
  attributes(dismiss, { "aria-label": "Dismiss messages", title: "Dismiss", "data-sign": "×" });
  const messages = box(doc, "amber-messages");
  messages.append(said, dismiss);
  const spoken = box(doc, "amber-spoken");
  spoken.setAttribute("aria-live", "polite");
  const say = (/** @type {string} */ text) => (spoken.textContent = text);
  const arrange = (/** @type {number[]} */ order, /** @type {number[]} */ removed) => {
    tell();
    return ask({ order, removed });
  };
  const list = new ImageList(doc, { arrange, say, leave: () => choose.focus() }, signal);
  const onEnd = (/** @type {string} */ wrong) => {
    if (wrong) add(wrong);
    tell();
  };
  const jobs = new Jobs(doc, { line: files, most: () => max_side_px, say, onEnd }, signal);
  const count = box(doc, "amber-quiet");
  const done = button(el, "amber-button amber-done", "Done", () => void finish(), signal);
  const foot = box(doc, "amber-foot");
  foot.append(count, done);
  const view = box(doc, "amber-input");
  view.append(zone, input, messages, list.el, jobs.el, foot, spoken);
  el.appendChild(view);

  // --- what there is to say

  /** @param {string[]} words the messages that there are now; none takes the box away */
  const complain = (...words) => {
    const had = messages.contains(focused());
    said.replaceChildren(...words.map((text) => box(doc, "", text)));
    dismiss.hidden = !said.childNodes.length; // and not the box: only what was there before is announced
    if (had && dismiss.hidden) choose.focus();
  };
  /** @param {string} text one more message */
  const add = (text) => complain(...Array.from(said.children, (one) => one.textContent ?? ""), text);
  const focused = () => /** @type {Document | ShadowRoot} */ (view.getRootNode()).activeElement;

  // --- to the kernel

  let closing = false;
  let pasted = 0;
  /** @param {object} what @returns {Promise<string>} */
  const ask = (what) =>
    words.ask(what).catch(reason).then((text) => {
      if (text) add(text);
      return text;
    });
  const finish = async () => {
    closing = true;
    complain();
    tell();
    closing = !(await ask({ done: 1 }));
    tell();
  };

  /** @param {Thing[]} things */
  const take = (things) => {
    const wrong = things.filter(refusal).map((thing) => `${thing.name}: ${refusal(thing)}`);
    const fit = things.filter((thing) => !refusal(thing));
    const room = Math.max(0, most - list.order.length - jobs.length);
    const left = fit.slice(room).map((thing) => thing.name);
    complain(...wrong, ...(left.length ? [surplus(left, most)] : []));
    jobs.add(fit.slice(0, room));
    tell();
  };

  const tell = () => {
    const n = list.order.length;
    const images = n ? countOf(n) : "";
    const text = silent.size ? WAITING : closing ? "finishing" : images;
    if (count.textContent !== text) count.textContent = text;
    disable(done, !n || !!jobs.length || closing);
  };

  // --- from the reader

  input.addEventListener(
    "change",
    () => {
      take(ofFiles(input.files));
      input.value = ""; // the same file may be chosen again
    },
    { signal },
  );
  zone.addEventListener("click", (event) => event.target !== choose && zone.focus(), { signal });

  /** @param {Event} event @param {DataTransfer | null} data @param {boolean} paste */
  const receive = (event, data, paste) => {
    event.preventDefault(); // the page would go there
    event.stopPropagation();
    const things = taken(data);
    for (const thing of paste ? things : []) {
      const { name } = thing;
      thing.name = pastedName(name, pasted);
      if (thing.name !== name) pasted++;
    }
    if (things.length) take(things);
    else complain(`There is no image in what was ${paste ? "pasted" : "dropped"}, and no link to one.`);
  };
  // Browsers do not agree where a paste happens when nothing is edited; who has the focus is certain.
  const onPaste = (/** @type {ClipboardEvent} */ event) => {
    if (view.contains(focused()) && !foot.hidden) receive(event, event.clipboardData, true);
  };
  doc.addEventListener("paste", onPaste, { capture: true, signal });
  /** @param {boolean} on */
  const light = (on) => zone.classList.toggle("amber-dropping", on);
  for (const type of /** @type {const} */ (["dragenter", "dragover", "dragleave", "drop"])) {
    view.addEventListener(
      type,
      (event) => {
        if (foot.hidden) return;
        event.stopPropagation();
        light(type !== "drop" && (type !== "dragleave" || view.contains(/** @type {Node} */ (event.relatedTarget))));
        if (type === "drop") return receive(event, event.dataTransfer, false);
        if (type === "dragleave") return;
        event.preventDefault();
        if (event.dataTransfer) event.dataTransfer.dropEffect = "copy";
      },
      { signal },
    );
  }

  keepKeys(view, signal);

  // The keyboard's place: with the view goes what has the focus, and Lab's keys work in a cell only.
  /** @type {HTMLElement | null} */
  let home = null;
  view.addEventListener("focusin", () => (home = el.closest(".jp-Cell")), { signal });
  view.addEventListener("focusout", (event) => event.relatedTarget && (home = null), { signal });

  // --- from the kernel

  let answered = false;
  /** @param {Message} message @param {DataView[]} buffers */
  const heard = (message, buffers) => {
    files.heard(message);
    words.heard(message);
    if (!Array.isArray(message.entries)) return;
    answered = true;
    const finished = !!message.finished;
    if (finished && !foot.hidden) {
      const had = view.contains(focused());
      for (const part of [zone, messages, jobs.el, foot]) part.hidden = true;
      if (had) home?.focus({ preventScroll: true });
    }
    const before = list.order.length;
    list.update(message.entries, buffers, finished);
    if (list.order.length > before) say(countOf(list.order.length));
    tell();
  };
  const end = listen(heard);
  send({ hello: id });
  // A view may be up before its kernel can hear it.
  let tries = 0;
  const greeting = setInterval(() => {
    if (answered || ++tries > GREETINGS) clearInterval(greeting);
    else send({ hello: id });
  }, GREET);
  list.lay();
  complain();
  tell();

  return () => {
    over.abort();
    clearInterval(greeting);
    files.close();
    words.close();
    send({ gone: id });
    end();
    const lost = doc.activeElement === doc.body || view.contains(focused());
    view.remove();
    if (lost) home?.focus({ preventScroll: true });
  };
}

/** @param {number} count */
function countOf(count) {
  return `${count} ${count === 1 ? "image" : "images"}`;
}
