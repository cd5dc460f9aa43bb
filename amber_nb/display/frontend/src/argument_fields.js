// @ts-check
/** The fields of a form: a label, a control, and what is to be said about them. All of it is text or a value. */

import { box, button } from "./box.js";
import { attributes, make } from "./dom.js";
import { read, written } from "./argument_form.js";

/** @typedef {import("./argument_form.js").Form} Form */
/** @typedef {HTMLInputElement | HTMLTextAreaElement | HTMLSelectElement} Control */

const LONG = 60; // characters of a text that gets several lines
const LINES = 8;

/**
 * @param {HTMLElement} panel gets the fields, in the place of what is in it
 * @param {Form} form
 * @param {AbortSignal} signal the end of the card
 * @returns {Map<string, Control>}
 */
export function draw(panel, form, signal) {
  /** @type {Map<string, Control>} */
  const controls = new Map();
  const again = (/** @type {string} */ name) => {
    const fresh = draw(panel, form, signal);
    controls.clear();
    for (const [one, control] of fresh) controls.set(one, control);
    (controls.get(name) ?? panel.querySelector("button"))?.focus();
  };
  panel.replaceChildren();
  const more = box(panel, "amber-more");
  for (const field of form.fields.values()) {
    const { name, raw, needed } = field;
    if (raw === null) {
      const add = () => {
        form.add(name);
        again(name);
      };
      more.append(button(panel, "amber-small", `+ ${name}`, add, signal));
      continue;
    }
    const row = box(panel, "amber-field");
    const label = box(panel, "", "", "label");
    label.append(box(panel, "amber-label", name, "span"));
    const control = controlOf(panel, field, raw);
    label.append(control);
    row.append(label);
    const wrong = box(panel, "amber-wrong", field.wrong);
    const about = box(panel, "amber-about", field.about);
    const odd = box(panel, "amber-about", field.odd && `It contains characters that nobody sees: ${field.odd}`);
    control.addEventListener(
      "input",
      () => {
        field.wrong = "";
        try {
          field.raw = read(field.kind, valueOf(control, field));
        } catch (error) {
          field.wrong = /** @type {Error} */ (error).message;
        }
        odd.textContent = "";
        wrong.textContent = field.wrong;
        control.setAttribute("aria-invalid", String(!!field.wrong));
      },
      { signal },
    );
    if (!needed) {
      const leave = () => {
        field.raw = null;
        field.wrong = "";
        again("");
      };
      const cross = button(panel, "amber-small amber-out", "", leave, signal);
      attributes(cross, { "aria-label": "Leave it out", title: "Leave it out", "data-sign": "×" });
      row.append(cross);
    }
    if (control.type === "password") row.append(eye(panel, /** @type {HTMLInputElement} */ (control), name, signal));
    row.append(wrong, about, odd);
    panel.append(row);
    controls.set(name, control);
  }
  panel.append(more);
  return controls;
}

/**
 * @param {HTMLElement} at
 * @param {import("./argument_form.js").Field} field
 * @param {string} raw
 * @returns {Control}
 */
function controlOf(at, { kind, options, secret }, raw) {
  const text = written(kind, raw, options) ?? raw;
  if (kind === "choice") {
    const select = /** @type {HTMLSelectElement} */ (make(at, "select"));
    for (const [label] of options) select.append(box(at, "", label, "option"));
    select.selectedIndex = options.findIndex(([, value]) => value === text);
    return select;
  }
  if (!secret && (kind === "json" || (kind === "text" && (text.length > LONG || /[\n\r]/.test(text))))) {
    const area = /** @type {HTMLTextAreaElement} */ (make(at, "textarea", kind === "json" ? "amber-json" : ""));
    const lines = Math.max(text.split("\n").length, Math.ceil(text.length / LONG));
    area.rows = Math.min(LINES, kind === "json" ? lines : Math.max(2, lines));
    return plain(area, text);
  }
  const input = /** @type {HTMLInputElement} */ (make(at, "input"));
  if (kind === "flag") {
    input.type = "checkbox";
    input.checked = raw === "true";
    return input;
  }
  input.type = secret ? "password" : kind === "text" || kind === "json" ? "text" : "number";
  if (kind === "number") input.step = "any";
  return plain(input, text);
}

/**
 * Whoever allows a call must be able to see what is in it.
 * @param {HTMLElement} at
 * @param {HTMLInputElement} control
 * @param {string} name
 * @param {AbortSignal} signal
 */
function eye(at, control, name, signal) {
  const show = button(at, "amber-small amber-eye", "Show", () => turn(control.type === "password"), signal);
  const turn = (/** @type {boolean} */ open) => {
    control.type = open ? "text" : "password";
    attributes(show, { "aria-pressed": String(open), "aria-label": `Show ${name}` });
  };
  turn(false);
  return show;
}

/** @param {Control} control @param {import("./argument_form.js").Field} field */
function valueOf(control, { kind, options }) {
  if (kind === "choice") return options[/** @type {HTMLSelectElement} */ (control).selectedIndex][1];
  return kind === "flag" ? String(/** @type {HTMLInputElement} */ (control).checked) : control.value;
}

/** @template {HTMLInputElement | HTMLTextAreaElement} T @param {T} el @param {string} text @returns {T} */
function plain(el, text) {
  attributes(el, { autocomplete: "off", spellcheck: "false", autocapitalize: "off" });
  el.value = text;
  return el;
}
