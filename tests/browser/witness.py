"""Who stands by in a page and sees whether anything that a model wrote runs, is fetched, or is no plain element.

`WITNESS` is in every page and frame from its first moment on; `Watch` collects what it and the browser report.
"""

import json
import pathlib
import re
import sys

from playwright.sync_api import Error

# A folder that is on the path only in a whole run.
sys.path.append(str(pathlib.Path(__file__).parents[1] / "display"))
from allowed import ATTRIBUTES, TAGS, StripReader

__all__ = ["Watch"]

LOCAL = r"(https?|wss?)://127\.0\.0\.1:|file:|data:|blob:|about:"

# Every element that ever comes into an output is noted, however shortly it is there, and the text that each view shows.
WITNESS = r"""(() => {
  for (const name of ["pwned", "hit"])
    Object.defineProperty(window, name, { set: value => window.tellWitness(`script: ${name} = ${value}`) });
  const seen = window.seen = new Set(), views = window.views = {};
  const place = el => el.closest(".amber-copy") ? "copy" : el.closest(".amber-text") ? "live"
    : el.closest(".amber-view") ? "view"
    : el.closest(".amber-inspector") ? "tools" : el.closest(".amber-answer") ? "settled"
    : el.closest("[data-mime-type*=jupyter]") ? "error"
    : el.closest(".jp-OutputArea-output") ? "output" : "";
  const note = (el, where) => {
    if (!where) return;
    seen.add(JSON.stringify([where, el.localName]));
    for (const { name, value } of el.attributes) seen.add(JSON.stringify([where, el.localName, name, value]));
  };
  new MutationObserver(records => {
    for (const { target, addedNodes } of records) {
      const el = target.nodeType === 3 ? target.parentElement : target;
      if (el?.nodeType !== 1) continue;
      const where = place(el);
      note(el, where);
      for (const added of addedNodes)
        if (added.nodeType === 1)
          for (const one of [added, ...added.querySelectorAll("*")]) note(one, place(one) || where);
      const view = el.closest(".amber-view");
      if (!view) continue;
      const facts = view.querySelector(".amber-facts")?.textContent ?? "";
      const tokens = /~([\d,]+) token/.exec(facts)?.[1].replace(",", "");
      views[facts.split(" ")[0]] = [Number(tokens ?? 0), view.querySelector(".amber-text").textContent];
    }
  }).observe(document, { subtree: true, childList: true, attributes: true, characterData: true });
})()"""

# A reader's mouse and focus on everything in the outputs. Links out of the page are not followed, nor Lab's own from a
# traceback to the source: a reader may want that.
TOUCH = r"""() => {
  const commands = [], app = window.jupyterapp;
  const heard = (_, { id }) => commands.push(id);
  const stay = event => /^(https?|mailto):/.test(event.target.closest?.("a")?.href) && event.preventDefault();
  app?.commands.commandExecuted.connect(heard);
  document.addEventListener("click", stay, true);
  const all = [...document.querySelectorAll(".jp-OutputArea-output *")]
    .filter(el => !el.closest(".amber-stop, [data-mime-type*=jupyter] a"));
  for (const el of all) {
    for (const type of ["pointerover", "mouseover", "mouseenter", "mousemove", "focus", "focusin", "toggle"])
      el.dispatchEvent(new MouseEvent(type, { bubbles: !/enter|focus$/.test(type), cancelable: true }));
    el.click?.();
  }
  document.removeEventListener("click", stay, true);
  app?.commands.commandExecuted.disconnect(heard);
  return [all.length, commands];
}"""

# Lab makes links of its own in tracebacks: one without an address to a file, and one of whatever has a scheme, even
# javascript:. A browser opens the latter in a page of its own, which can reach nothing.
LOOSE = """links => links.filter(({ protocol, target, rel }) =>
  !(/^(https?|mailto|file):$/.test(protocol) || target === "_blank" && /noopener/.test(rel))
).map(link => link.getAttribute("href")).filter(href => href)"""

# The live view takes the browser's own word for what an address is.
_LINK = r"(https?://[\w.:\[-]|mailto:)[^\s\"<>]*"
_OURS = {name: rule.pattern for name, rule in ATTRIBUTES.items()}
# Of an answer that is being written.
_HOOK = r"(amber-(hook|live-[0-9a-f]{32}|drawn) ?)+|amber-so-far|amber-over mathjax_ignore tex2jax_ignore"
_NAMES = r"((amber-[a-z-]+|jp-RenderedHTMLCommon|tocSkip) ?)*"
RULES = {
    "live": {
        **{name: rule for name, rule in _OURS.items() if name != "href"},
        "class": _NAMES,
        "(href|title)": _LINK,
        "style": r"(text-align: (left|center|right);)?",
        "role": "log",
        "aria-(live|busy|label)": r"[\w ,]*",
    },
    "copy": {
        "class": "amber-copy",
        "type": "button",
        "hidden": "",
        "data-word": "Copy|Copied|Not copied",
        "aria-label": "Copy this (code|answer so far, as Markdown)|Copied|The browser did not let it be copied",
        "data-lm-suppress-shortcuts": "true",
    },
    "view": {
        "class": r"(amber-[a-z0-9-]+ ?)*",
        "type": "button",
        "hidden": "",
        "aria-(live|label|disabled)": r"[\w ]*",
        "data-lm-suppress-shortcuts": "true",
    },
    "tools": {
        "class": r"(amber-[a-z_-]+ ?)*",
        "id": r"[\w-]+",
        "role": "group|alert",
        "type": "button|text|number|password|checkbox|email|url|date",
        "rows": r"\d+",
        "style": "(caret-color: transparent !important;)?",  # Playwright's, for a picture
        "dir": "ltr",
        "step": "any",
        "tabindex": "-1|0",
        "(hidden|open)": "",
        "data-sign": "×",
        "title": "Leave it out|Allow this call and all that follow in this answer|This call, and those that follow",
        "placeholder": "2026-12-31T18:00:00Z",
        "(autocomplete|autocapitalize)": "off",
        "spellcheck": "false",
        "data-lm-suppress-shortcuts": "true",
        "aria-labelledby": r"[\w-]+( [\w-]+)?",
        # The last is the name of a secret argument.
        "aria-label": "Leave it out|(Arguments|Your answer) as JSON|Edit the arguments as|Write the answer as|"
        "What it asks|Show .*",
        "aria-(live|hidden|disabled|expanded|pressed|invalid|required)": r"[a-z]+",
    },
    # Lab numbers headings and writes its own rel over ours; a click has opened what was folded.
    "settled": {
        **_OURS,
        "class": f"{_OURS['class']}|numbering-entry|amber-copied|{_HOOK}",
        "rel": "noopener( noreferrer)?",
        "open": "",
    },
    "output": {
        "class": r"((lm|jp|jupyter|widget|amber)-[\w-]+ ?)*",
        "data-mime-type": r"[\w./+-]+",
        "tabindex": "0|-1",
    },
    # Lab colours tracebacks, and links in them whatever looks like an address: see LOOSE.
    "error": {
        "class": r"(((lm|jp|ansi)-[\w-]+|sr-only) ?)*",
        "data-mime-type": r"[\w./+-]+",
        "href": r".*",
        "style": r"((background-)?color: ?rgb\([\d,]+\);?)*",
        "target": "_blank|_self",
        "rel": "noopener",
        "tabindex": "0|-1",
    },
    # What MathJax makes of a formula.
    "formula": {
        "class": r"[\w .-]*",
        "style": r"(?!.*(url|@|fixed|expression)).*",
        "(jax|display|xmlns|unselectable|space|size|role|tabindex|ctxtmenu_counter|aria-[a-z]+)": r"[\w:/. -]*",
        "(mathvariant|displaystyle|scriptlevel|stretchy|texclass|data-mjx-[a-z-]+|data-mml-node)": r"[\w -]*",
    },
}
ELEMENTS = {
    "copy": {"button"},
    "view": TAGS | {"button"},
    "tools": {"div", "span", "code", "pre", "details", "summary"}
    | {"label", "input", "textarea", "select", "option", "button"},
    "output": {"div", "pre"},
}
_FORMULA = re.compile(r"mjx-[\w-]+|math|m(i|n|o|row|text|style|sup|sub|frac|table|tr|td|space|error)")


def strange(found):
    """What an output may not consist of, of what the witness saw: by the lists of tests/display/allowed.py."""
    for where, tag, *attribute in map(json.loads, found):
        formula = where in ("live", "settled") and _FORMULA.fullmatch(tag)
        known = formula or tag in ELEMENTS.get(where, TAGS)
        if known and attribute:
            name, value = attribute
            rules = RULES["formula" if formula else where]
            rule = next((rule for names, rule in rules.items() if re.fullmatch(names, name)), None)
            known = rule is not None and re.fullmatch(rule, value, re.DOTALL)
            if not known and name == "style" and where == "settled":
                known = all(_declared(*one.partition(":")[::2]) for one in re.split("; *", value.rstrip("; ")))
        if not known:
            yield f"element: {where} {tag} {'='.join(attribute)}"


def _declared(name, value):
    rule = StripReader.properties.get("--" if re.fullmatch("--[a-z]", name) else name)
    # As we wrote it, or as Lab's sanitizer writes it again.
    return rule is not None and any(
        rule.fullmatch(one) for one in (value, value.strip(), re.sub(", *", ",", value.strip()))
    )


class Watch:
    """The browser with a witness in each page; what was seen is in `alarms`."""

    def __init__(self, browser):
        self._browser = browser
        self.alarms = []
        self.referrers = []

    def new_context(self, **options):
        context = self._browser.new_context(**options)
        context.route(re.compile(f"^(?!{LOCAL})"), self._foreign)  # local ones go without us, also while we wait
        context.expose_binding("tellWitness", lambda _source, what: self.alarms.append(what))
        context.add_init_script(WITNESS)
        context.on("page", lambda page: self._page(context, page))
        return context

    def _foreign(self, route):
        self.alarms.append(f"request: {route.request.url}")
        self.referrers.append(route.request.headers.get("referer"))
        route.abort()

    def _page(self, context, page):
        if len(context.pages) > 1:
            self.alarms.append(f"popup: {page.url}")
        page.on("dialog", self._dialog)
        page.on("download", lambda download: self.alarms.append(f"download: {download.url}"))
        page.on("framenavigated", self._navigated)

    def _dialog(self, dialog):
        self.alarms.append(f"dialog: {dialog.message}")
        dialog.dismiss()

    def _navigated(self, frame):
        if frame.parent_frame or not re.match(
            r"http://127\.0\.0\.1:\d+/lab(/tree/|$)|http://widget\.invalid/|file:|about:blank", frame.url
        ):
            self.alarms.append(f"navigation: {frame.url}")

    @staticmethod
    def _come_to_rest(page):
        """Wait until what was begun is under way: a request is reported before the frame after it is."""
        try:
            page.evaluate(
                "() => new Promise(done => requestAnimationFrame(() => requestIdleCallback(done, { timeout: 1000 })))"
            )
        except Error:  # on the way to another page
            page.wait_for_load_state()

    @staticmethod
    def _seen(page):
        for _ in range(10):
            try:
                return page.evaluate("[...window.seen ?? []]")
            except Error:  # on the way to another page
                page.wait_for_load_state()
        raise AssertionError("the page does not come to rest")

    def problems(self, page, least=1):
        """All that should not be, once a reader has touched all there is (at least so many elements)."""
        seen = page.evaluate("[...window.seen]")
        count, commands = page.evaluate(TOUCH)
        self._come_to_rest(page)
        assert count >= least
        seen += self._seen(page)  # a click that left the page left its witness, too
        links = page.eval_on_selector_all(".jp-OutputArea-output a", LOOSE)
        found = [
            *self.alarms,
            *(f"link: {one}" for one in links),
            *(f"command: {one}" for one in commands),
            *strange(seen),
        ]
        self.alarms.clear()
        return sorted(set(found))
