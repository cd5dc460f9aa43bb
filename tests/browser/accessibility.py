"""axe-core's judgement of what is on a page."""

from __future__ import annotations

import json
import pathlib
from typing import Any

__all__ = ["RUN_AXE", "SOURCE", "judge"]

SOURCE = pathlib.Path(__file__).resolve().parents[2] / "amber_nb/display/frontend/node_modules/axe-core/axe.min.js"
RUN_AXE = """async part => {
  const { passes, violations, incomplete } = await axe.run({ include: [[part]] });
  const lines = rules => rules.flatMap(({ id, nodes }) => nodes.map(({ impact, html, failureSummary }) =>
    [id, impact, html.slice(0, 120), failureSummary].join(' | ')));
  const contrast = passes.find(rule => rule.id === 'color-contrast');
  return { violations: lines(violations), unsure: lines(incomplete), contrast: contrast ? contrast.nodes.length : 0 };
}"""


def judge(page: Any, axe: str, selector: str, report: pathlib.Path, *, least: int = 10, width: int = 1280) -> None:
    """Nothing serious may be wrong with a part of a page; what else axe has to say is in the report.

    Args:
        page: Playwright's.
        axe: its source.
        selector: of the part.
        report: the file for all that was found.
        least: as many elements must have been judged for their contrast.
        width: of the page in px; of a table that is clipped axe cannot judge the contrast.
    """
    # Of what is clipped or out of sight axe judges no contrast; and Lab's body has no height, all of it overflows.
    style = page.add_style_tag(content="html, body { height: 100%; }")
    page.set_viewport_size({"width": width, "height": 3000})
    page.locator(selector).first.wait_for()  # Lab takes cells out of the page, and puts them back, for another size
    page.evaluate(axe)
    found = page.evaluate(RUN_AXE, selector)
    style.evaluate("el => el.remove()")
    report.write_text(json.dumps(found, indent=2))
    assert found["contrast"] >= least
    assert not [line for line in found["violations"] if line.split(" | ")[1] in ("serious", "critical")]
    unsure = [line for line in found["unsure"] if line.startswith("color-contrast")]
    # A lone sign is no text to axe; it has the colour of the word beside it.
    assert not [line for line in unsure if "only non-text characters" not in line]
