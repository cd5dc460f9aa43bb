// @ts-check
/** The fields of a form: a label, a control, and what is to be said about them. All of it is text or a value. */

import { box, button } from "./box.js";
import { attributes, make } from "./dom.js";
import { chosen, read, written } from "./argument_form.js";

/** @typedef {import("./argument_form.js").Form} Form */
/** @typedef {HTMLInputElement | HTMLTextAreaElement | HTMLSelectElement} Control */

const LONG = 60; // characters of a text that gets several lines
const LINES = 8;
/** @type {Record<string, string>} how the browser helps to write a text */
const TYPES = { email: "email", uri: "url", date: "date" };
const DATE = /^\d{4}-\d\d-\d\d$/;
const INSTANT = "2026-12-31T18:00:00Z";

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
    const { name, raw, needed, blank } = field;
    if (raw === null && !blank) {
      const add = () => {
        form.add(name);
        again(name);
      };
      more.append(button(panel, "amber-small", `+ ${name}`, add, signal));
      continue;
    }
    const row = box(panel, "amber-field");
    const title = box(panel, "amber-label", field.title || name, "span");
    if (blank && !needed && field.kind !== "flag") title.append(box(panel, "amber-about", " optional", "span"));
    /** @type {Control} */
    let control;
    if (field.kind === "several") {
      const group = choices(panel, field, title, signal);
      control = /** @type {HTMLInputElement} */ (group.querySelector("input"));
      row.append(title, group);
    } else {
      control = controlOf(panel, field, raw);
      const label = box(panel, "", "", "label");
      label.append(title, control);
      row.append(label);
      if (blank && needed) control.setAttribute("aria-required", "true");
    }
    const wrong = box(panel, "amber-wrong", field.wrong);
    const about = box(panel, "amber-about", field.about);
    const odd = box(panel, "amber-about", field.odd && `It contains characters that nobody sees: ${field.odd}`);
    row.addEventListener(
      "input",
      () => {
        field.wrong = "";
        try {
          const text = valueOf(control, field);
          if (field.kind !== "several") field.raw = blank && !text ? null : read(field.kind, text);
        } catch (error) {
          field.wrong = /** @type {Error} */ (error).message;
        }
        odd.textContent = "";
        wrong.textContent = field.wrong;
        control.setAttribute("aria-invalid", String(!!field.wrong));
      },
      { signal },
    );
    if (!needed && !blank) {
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
 * @param {string | null} raw
 * @returns {Control}
 */
function controlOf(at, { kind, options, secret, format = "", blank }, raw) {
  const text = raw === null ? "" : (written(kind, raw, options) ?? raw);
  if (kind === "choice") {
    const select = /** @type {HTMLSelectElement} */ (make(at, "select"));
    if (blank) select.append(box(at, "", "–", "option"));
    for (const [label] of options) select.append(box(at, "", label, "option"));
    select.selectedIndex = options.findIndex(([, value]) => value === text) + Number(!!blank);
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
  if (kind === "text" && !secret && (format !== "date" || !text || DATE.test(text))) input.type = TYPES[format] ?? "text";
  if (format === "date-time") input.placeholder = INSTANT;
  return plain(input, text);
}

/**
 * The options of a list, each to be marked.
 * @param {HTMLElement} at
 * @param {import("./argument_form.js").Field} field
 * @param {HTMLElement} title of the field
 * @param {AbortSignal} signal
 */
function choices(at, field, title, signal) {
  const { options, needed } = field;
  const marks = (field.raw !== null && chosen(field.raw, options)) || [];
  const group = box(at, "amber-several");
  title.id = `amber-${Math.random().toString(36).slice(2)}`;
  attributes(group, { role: "group", "aria-labelledby": title.id });
  const inputs = options.map(([text], at) => {
    const input = /** @type {HTMLInputElement} */ (make(group, "input"));
    input.type = "checkbox";
    input.checked = !!marks[at];
    const label = box(group, "", "", "label");
    label.append(input, text);
    group.append(label);
    return input;
  });
  const hear = () => {
    const raws = options.filter((_, at) => inputs[at].checked).map(([, raw]) => raw);
    field.raw = raws.length || needed ? `[${raws.join(", ")}]` : null;
  };
  group.addEventListener("input", hear, { signal });
  return group;
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
function valueOf(control, { kind, options, blank }) {
  if (kind === "choice") return options[/** @type {HTMLSelectElement} */ (control).selectedIndex - Number(!!blank)]?.[1] ?? "";
  return kind === "flag" ? String(/** @type {HTMLInputElement} */ (control).checked) : control.value;
}

/** @template {HTMLInputElement | HTMLTextAreaElement} T @param {T} el @param {string} text @returns {T} */
function plain(el, text) {
  attributes(el, { autocomplete: "off", spellcheck: "false", autocapitalize: "off" });
  el.value = text;
  return el;
}
