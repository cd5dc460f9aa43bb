// @ts-check
/** A call that waits for the reader, or a question of a server: the arguments or the answer, and the decision on it. */

import { box, button, disable } from "./box.js";
import { attributes, make } from "./dom.js";
import { Readiness } from "./readiness.js";
import { draw } from "./argument_fields.js";
import { Form } from "./argument_form.js";

/** @typedef {import("./argument_form.js").Field[]} Fields */
/** @typedef {{ server: string, message: string }} Question */
/**
 * @typedef {object} Ask
 * @property {number} id
 * @property {string} [about]
 * @property {string} [warning]
 * @property {Fields | null} fields
 * @property {string} [scope] what "Allow all" covers; empty: all of this answer
 * @property {number} [group] its number
 * @property {Question} [question] of a server, which the fields answer
 */
/** @typedef {{ arguments: string | null, all: boolean } | { deny: string }} Decision */

const AGAIN = 2000; // ms until a decision that was not answered is sent again
const WAITING = "waiting for the kernel: it is busy";
const EDIT = "Run this? You may change the arguments first.";
const NOTICE = "Your answer goes to this server. Give it no passwords or keys."; // as ../../../chat/input_prompt.py has it

/** What stands above a question. @param {Question} question */
export const heading = ({ server }) => `The server '${server}' asks`;

export class Card {
  /**
   * @param {HTMLElement} at in whose document
   * @param {Ask} ask
   * @param {object} ways
   * @param {(message: object) => void} ways.send to the kernel
   * @param {(group: number) => void} ways.everyone allow all of a scope that wait, this one too
   * @param {HTMLElement[]} ways.titles name the card
   * @param {AbortSignal} over the end of the view
   */
  constructor(at, ask, { send, everyone, titles }, over) {
    const { id, about = "", warning = "", fields, scope = "", group = 0, question } = ask;
    this.id = id;
    this.group = group;
    this.question = question;
    this.send = send;
    this.turn = 0;
    /** @type {Decision | null} made, and not answered */
    this.made = null;
    /** @type {ReturnType<typeof setInterval> | undefined} */
    this.again = undefined;
    this.ended = new AbortController();
    over.addEventListener("abort", () => this.close(), { signal: this.ended.signal });
    const { signal } = this.ended;
    this.form = fields && new Form(fields);
    /** @type {Map<string, import("./argument_fields.js").Control>} */
    this.controls = new Map();

    this.el = box(at, `amber-card${question ? " amber-question" : ""}`);
    const asks = box(at, "amber-asks", question && heading(question));
    const message = box(at, "amber-message", question?.message);
    if (question) {
      asks.id = `${titles[0].id}-${id}`;
      titles = [asks];
      if (question.message) attributes(message, { tabindex: "0", role: "group", "aria-label": "What it asks" }); // it may scroll
    }
    attributes(this.el, { role: "group", tabindex: "-1", "aria-labelledby": titles.map((one) => one.id).join(" ") });
    this.panel = box(at, "amber-form");
    this.area = /** @type {HTMLTextAreaElement} */ (make(at, "textarea", "amber-json"));
    const what = question ? "Your answer" : "Arguments";
    attributes(this.area, { "aria-label": `${what} as JSON`, spellcheck: "false", autocomplete: "off" });
    this.area.hidden = true;
    this.said = box(at, "amber-wrong");
    this.said.setAttribute("role", "alert");
    this.tabs = box(at, "amber-tabs");
    this.asForm = button(at, "amber-small", "Form", () => this.turnTo(false), signal);
    this.asJson = button(at, "amber-small", "JSON", () => this.turnTo(true), signal);
    this.tabs.append(box(at, "amber-about", question ? NOTICE : EDIT), this.asForm, this.asJson);
    attributes(this.tabs, { role: "group", "aria-label": question ? "Write the answer as" : "Edit the arguments as" });

    const sure = (/** @type {Event} */ event) => this.readiness.accepts(event);
    this.allow = button(at, "amber-button amber-first amber-decision", question ? "Send" : "Allow", (event) => sure(event) && this.accept(false), signal);
    const decline = (/** @type {Event} */ event) => sure(event) && this.decide({ deny: "" });
    this.deny = question
      ? button(at, "amber-button amber-decision", "Decline", decline, signal)
      : button(at, "amber-button", "Deny…", () => this.explain(!this.why.hidden), signal);
    const label = scope ? `Allow ${scope}` : "Allow all";
    this.all = button(at, "amber-button amber-decision", label, (event) => sure(event) && everyone(group), signal);
    this.all.title = scope ? "This call, and those that follow" : "Allow this call and all that follow in this answer";
    this.all.hidden = !!question;
    this.hint = box(at, "amber-about", "");
    const row = box(at, "amber-row");
    row.append(this.allow, this.deny, this.all, this.hint);

    this.why = box(at, "amber-row amber-why");
    this.reason = /** @type {HTMLInputElement} */ (make(at, "input"));
    attributes(this.reason, { type: "text", autocomplete: "off" });
    const reason = box(at, "", "", "label");
    reason.append(box(at, "", "Why? The model is told.", "span"), this.reason);
    const refuse = (/** @type {Event} */ event) => sure(event) && this.decide({ deny: this.reason.value });
    this.refuse = button(at, "amber-button amber-decision", "Deny", refuse, signal);
    this.why.append(reason, this.refuse);
    this.why.hidden = true;
    if (!question) this.explain(true);

    if (this.form) {
      this.controls = draw(this.panel, this.form, signal);
      this.turnTo(false);
    } else {
      this.tabs.hidden = true;
      this.panel.append(box(at, "amber-about", "These arguments are too long to be edited here."));
    }
    const description = box(at, "amber-description", about);
    description.hidden = !about;
    const caution = box(at, "amber-caution", warning);
    caution.hidden = !warning;
    this.defaults = box(at, "amber-about", this.form?.defaults() ?? "");
    asks.hidden = message.hidden = !question;
    if (question) this.asForm.hidden = this.asJson.hidden = !fields?.length;
    this.el.append(asks, message, description, caution, this.tabs, this.panel, this.area, this.defaults, this.said, row, this.why);
    this.el.addEventListener("keydown", (event) => this.press(event), { signal });
    this.panel.addEventListener("input", () => this.say(""), { signal });
    this.area.addEventListener("input", () => this.takeJson(), { signal });
    this.readiness = new Readiness(this.el, () => this.refresh(), signal);
    this.free();
    for (const pause of [0, 400, 1200]) setTimeout(() => signal.aborted || send({ seen: id }), pause);
  }

  /** Allow the call as it is now. @param {boolean} all and those that follow */
  accept(all) {
    if (!this.area.hidden && !this.takeJson()) return this.area.focus();
    const problem = this.form?.problem();
    if (problem) {
      if (!this.area.hidden) this.turnTo(false);
      this.say(`${problem.title || problem.name}: ${problem.wrong}`);
      const control = this.controls.get(problem.name);
      control?.setAttribute("aria-invalid", "true");
      return control?.focus();
    }
    this.decide({ arguments: (this.question ? this.form?.text() : this.form?.changed()) ?? null, all });
  }

  /** @param {Decision} decision */
  decide(decision) {
    if (this.made) return;
    this.made = decision;
    this.turn++;
    this.say("");
    this.refresh();
    const tell = () => this.send({ decide: this.id, turn: this.turn, ...decision });
    this.hint.textContent = "";
    this.again = setInterval(() => {
      this.hint.textContent = WAITING;
      tell();
    }, AGAIN);
    tell();
  }

  /** @param {number} turn @param {string} said what is wrong with the arguments */
  refused(turn, said) {
    if (turn !== this.turn || !this.made) return;
    this.free();
    this.say(said);
  }

  free() {
    clearInterval(this.again);
    this.made = null;
    this.hint.textContent = "";
    this.refresh();
  }

  /** Have the buttons look as they are: a press that would not count must not seem to. */
  refresh() {
    const off = this.made !== null || !this.readiness.ready;
    for (const one of [this.allow, this.all, this.refuse]) disable(one, off);
    disable(this.deny, this.question ? off : this.made !== null); // "Deny…" decides nothing yet
  }

  /** @param {string} text */
  say(text) {
    this.said.textContent = text;
  }

  /** @param {boolean} shut */
  explain(shut) {
    this.why.hidden = shut;
    this.deny.setAttribute("aria-expanded", String(!shut));
    if (!shut) this.reason.focus();
  }

  /** @param {boolean} json whether the arguments are shown as JSON, or as a form */
  turnTo(json) {
    if (!this.form) return;
    if (json && this.area.hidden) {
      this.area.value = this.form.text();
      this.area.rows = Math.min(16, this.area.value.split("\n").length + 1);
      this.say("");
    } else if (!json && !this.area.hidden) {
      if (!this.takeJson()) return;
      this.controls = draw(this.panel, this.form, this.ended.signal);
    }
    this.area.hidden = !json;
    this.panel.hidden = json;
    this.asForm.setAttribute("aria-pressed", String(!json));
    this.asJson.setAttribute("aria-pressed", String(json));
  }

  /** Whether what is written as JSON can be read; then the form has it too. */
  takeJson() {
    try {
      this.form?.take(this.area.value);
      this.say("");
      return true;
    } catch (error) {
      this.say(/** @type {Error} */ (error).message);
      return false;
    }
  }

  /** @param {KeyboardEvent} event */
  press(event) {
    const { key, target } = event;
    if (key === "Escape" && !this.why.hidden) {
      this.explain(true);
      this.deny.focus();
    } else if (key === "Enter" && target === this.reason && this.readiness.accepts(event)) {
      this.decide({ deny: this.reason.value });
    }
  }

  close() {
    clearInterval(this.again);
    this.ended.abort();
    this.el.remove();
  }
}
