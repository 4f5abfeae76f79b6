"""Pages in a real browser, that must neither complain nor ask for anything."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest


class Opened:
    """A file, opened: its page, and what it did that it must not do."""

    def __init__(self, page: Any) -> None:
        """Listen to the page."""
        self.page = page
        self.wrong: list[str] = []
        page.on("console", lambda message: self.wrong.append(f"console: {message.text}"))
        page.on("pageerror", lambda error: self.wrong.append(f"error: {error}"))
        page.on("dialog", lambda dialog: (self.wrong.append("dialog"), dialog.dismiss()))
        page.on("request", self._note)

    def _note(self, request: Any) -> None:
        if not request.url.startswith("file://") or request.resource_type != "document":
            self.wrong.append(f"request: {request.url[:200]}")


@pytest.fixture
def visit(browser: Any) -> Iterator[Callable[..., Opened]]:
    """Open a file in a context of its own; at the end, nothing that it must not do was done."""
    contexts, visited = [], []

    def visit_it(path: Path, address: str = "", **how: Any) -> Opened:
        context = browser.new_context(**how)
        contexts.append(context)
        opened = Opened(context.new_page())
        opened.page.set_default_timeout(20_000)
        opened.page.goto(f"{path.as_uri()}{address}")
        visited.append(opened)
        return opened

    yield visit_it
    for context in contexts:
        context.close()
    assert [wrong for one in visited for wrong in one.wrong] == []
