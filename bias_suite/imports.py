"""Imports: of large packages in about half the time, and from the folder that a run starts in."""

from __future__ import annotations

import contextlib
import gc
import sys
from collections.abc import Iterator
from pathlib import Path


def reach(folder: Path) -> None:
    """Let modules be imported from a folder, those that are found elsewhere first.

    ``pytest`` itself does so for tests alone, and for the folders of its `pythonpath`: an application beside no test
    would be found by ``python -m pytest`` and not by ``pytest``.
    """
    if str(folder) not in sys.path:
        sys.path.append(str(folder))


@contextlib.contextmanager
def heavy(package: str) -> Iterator[None]:
    """Import a large package within the block without the collector of garbage, which would look through it in vain.

    Hundreds of thousands of objects come into being, and nearly all of them stay: classes, functions, tables. What is
    there at the end is taken out of the collector's sight for good (`gc.freeze`), which also spares each later
    collection, and those at the end of the process. Where the package is loaded already, nothing of this is done.

    Args:
        package: Its name.
    """
    if package in sys.modules:
        yield
        return
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        if was_enabled:
            gc.enable()
