"""The pages as axe-core sees them, the usual checker of WCAG: no rule of it is broken, in any light, wide or narrow."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from axe_playwright_python import sync_playwright as axe

from bias_suite.cases import to_line
from bias_suite.reporting import html
from tests.browser.conftest import Opened
from tests.test_compared_page import answers, page_of
from tests.test_html import case, summary

RULES = 30
"""How many find something to look at, at least."""


def report(folder: Path) -> Path:
    cases = [case(1, said="They may not work."), case(2, "passed"), case(3, "error"), case(4, language="ar")]
    (folder / "cases.jsonl").write_text("".join(map(to_line, cases)), encoding="utf-8")
    return html.write(summary(), folder)


def compared(folder: Path) -> Path:
    return page_of(folder, answers("failed", "passed"), answers("passed", "failed"))


@pytest.mark.parametrize("width", [390, 1280])
@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("make", [report, compared])
def test_axe_finds_nothing(
    visit: Callable[..., Opened], tmp_path: Path, make: Callable[[Path], Path], scheme: str, width: int
) -> None:
    opened = visit(make(tmp_path), color_scheme=scheme, viewport={"width": width, "height": 900})
    opened.page.evaluate("() => document.querySelectorAll('details').forEach((one) => { one.open = true; })")
    opened.page.evaluate("() => document.querySelectorAll('button[aria-expanded=false]').forEach((one) => one.click())")
    found = axe.Axe().run(opened.page).response
    assert len(found["passes"]) > RULES
    broken = [(one["id"], one["help"], [node["html"][:200] for node in one["nodes"]]) for one in found["violations"]]
    assert broken == [], json.dumps(broken, indent=1)
