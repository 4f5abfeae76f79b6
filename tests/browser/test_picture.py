"""README's picture of the report, made anew after `tox -e gate`.

BIAS_SCREENSHOTS=reports tox -e argilla -- tests/browser/test_picture.py
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.browser.conftest import Opened

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.skipif(
    "BIAS_SCREENSHOTS" not in os.environ, reason="makes a picture where BIAS_SCREENSHOTS names a folder"
)
def test_the_verdicts_of_the_last_run_as_a_picture(visit: Callable[..., Opened]) -> None:
    page = visit(ROOT / "reports" / "index.html", viewport={"width": 960, "height": 900}).page
    ends = [page.locator(f"#{name}").bounding_box() for name in ("detectors", "groups")]
    top, bottom = (int(one["y"]) - 12 for one in ends if one)
    picture = Path(os.environ["BIAS_SCREENSHOTS"]).resolve() / "example.png"
    page.screenshot(path=picture, full_page=True, clip={"x": 0, "y": top, "width": 960, "height": bottom - top - 32})
    assert picture.stat().st_size > 10_000
