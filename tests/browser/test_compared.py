"""The page of `bias-suite compare` in a real browser: it is read in every light and width, and asks for nothing."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.browser.conftest import Opened
from tests.chromium import SEEN, contrast
from tests.hostile_bots import PAYLOADS, TOGETHER
from tests.test_compared_page import answers, page_of
from tests.test_html import case


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_all_text_has_the_contrast_of_wcag_aa(visit: Callable[..., Opened], tmp_path: Path, scheme: str) -> None:
    opened = visit(page_of(tmp_path, answers("failed", "passed"), answers("passed", "failed")), color_scheme=scheme)
    for summary in opened.page.locator("summary").all():
        summary.click()
    seen = opened.page.evaluate(SEEN)
    assert len(seen) > 30
    assert [one for one in seen if contrast(one[2], one[3]) < 4.5] == []


def test_a_probe_opens_by_keyboard(visit: Callable[..., Opened], tmp_path: Path) -> None:
    opened = visit(page_of(tmp_path, answers("failed"), answers("passed")))
    said = opened.page.get_by_text("Answer passed.", exact=True)
    assert not said.is_visible()
    opened.page.keyboard.press("Tab")
    opened.page.keyboard.press("Tab")
    opened.page.keyboard.press("Enter")
    assert said.is_visible()


@pytest.mark.parametrize("width", [320, 1280])
def test_no_width_needs_scrolling_sideways(visit: Callable[..., Opened], tmp_path: Path, width: int) -> None:
    opened = visit(page_of(tmp_path, answers("failed"), answers("passed")), viewport={"width": width, "height": 844})
    opened.page.locator("summary").click()
    assert opened.page.evaluate("() => document.documentElement.scrollWidth") <= width


@pytest.mark.parametrize("name", [*PAYLOADS, "together"])
def test_what_was_said_does_nothing(visit: Callable[..., Opened], tmp_path: Path, name: str) -> None:
    said = PAYLOADS.get(name, TOGETHER)
    cases = [case(1, verdict, said, questions=(f"Question {said}", "Other")) for verdict in ("failed", "passed")]
    opened = visit(page_of(tmp_path, cases[:1], cases[1:], model=said))
    opened.page.locator("summary").click()
    assert opened.page.locator("main h4").count() == 3
    assert opened.page.locator("img, iframe, object, embed, link, script").count() == 0
