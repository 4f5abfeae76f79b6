"""Live progress on a terminal: one line under pytest's own, fed by a file that grows with every answered probe.

Reading a file serves one process and xdist's many alike.
"""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import TextIO

import pytest

_EVERY_SECONDS = 1.0
# How long pytest may take to write what it was about to write when the line was cleared.
_PAUSE = 0.3
# Make sure there is a line below, go there, clear and write it, and come back: the line in which pytest is
# writing stays as it is. IND and RI scroll where the cursor is at an edge.
_BELOW = "\x1bD\x1bM\x1b7\x1bD\r\x1b[K{}\x1b8"


class Progress:
    """The progress line of one run."""

    def __init__(self, answered: Path, planned: Mapping[str, int], terminal: TextIO, width: int) -> None:
        """Prepare; `planned` says how many probes each detector asks at first."""
        self._path = answered
        self._planned = planned
        self._terminal = terminal
        self._width = width
        self._offset = 0
        self._seen: Counter[str] = Counter()
        self._cleared = 0.0
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._follow, name="bias-suite progress", daemon=True)

    def start(self) -> None:
        """Begin to show it."""
        self._thread.start()

    def stop(self) -> None:
        """Clear the line, end, and close the terminal's file."""
        self._stop.set()
        self._thread.join()
        self._show("")
        self._terminal.close()

    def _follow(self) -> None:
        while not self._stop.wait(_EVERY_SECONDS):
            if self._read() and time.monotonic() - self._cleared > _PAUSE:
                self._show(self.line())

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_logstart(self) -> None:
        """Clear the line before pytest writes."""
        self._clear()

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_logreport(self) -> None:
        """Clear the line before pytest writes."""
        self._clear()

    def _clear(self) -> None:
        self._cleared = time.monotonic()
        self._show("")

    def line(self) -> str:
        """Return the line: answered probes of each detector that has begun and is not done."""
        parts = [
            f"{name} {self._seen[name]}/{max(planned, self._seen[name])}"
            for name, planned in self._planned.items()
            if 0 < self._seen[name] < planned
        ]
        return f"  {self._seen.total()} probes answered" + "".join(f" · {part}" for part in parts)

    def _read(self) -> bool:
        try:
            size = self._path.stat().st_size
            if size < self._offset:  # a new run has emptied the file
                self._offset, self._seen = 0, Counter()
            with self._path.open("rb") as file:
                file.seek(self._offset)
                chunk = file.read()
        except OSError:
            return False
        whole, _, _ = chunk.rpartition(b"\n")
        lines = whole.splitlines()
        self._offset += len(whole) + 1 if lines else 0
        self._seen.update(line.decode() for line in lines)
        return bool(lines)

    def _show(self, text: str) -> None:
        self._terminal.write(_BELOW.format(text[: self._width - 1]))
        self._terminal.flush()
