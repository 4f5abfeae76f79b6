"""`reports/cases.jsonl`: every case of a run, on disk the moment it is judged; in the plan's order at the end."""

from __future__ import annotations

import contextlib
import json
import os
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from bias_suite import files
from bias_suite.cases import Case, to_line
from bias_suite.errors import ReportError

FILE = "cases.jsonl"
PROGRESS_FILE = ".progress"
RUN_FILE = ".run"


class CaseFile:
    """The cases file of one run, shared by all its processes.

    A line is appended as a whole, so processes do not mix lines, and a killed process loses no
    case that was judged. The file may hold personal data, so only its owner can read it.
    """

    def __init__(self, report_dir: Path, run_id: str) -> None:
        """Open the file; the first process of a run to come empties it of the last run's cases.

        Raises:
            ReportError: The folder or file cannot be written.
        """
        self._noting, self._closed = threading.Lock(), False
        try:
            report_dir.mkdir(parents=True, exist_ok=True)
            self._file, self._progress = _open_for_run(report_dir, run_id)
        except OSError as error:
            raise ReportError(f"cannot write to --bias-report-dir {report_dir}: {error.strerror}") from None

    def append(self, case: Case) -> None:
        """Write one case.

        Raises:
            ReportError: The disk is full or gone.
        """
        try:
            files.append(self._file, to_line(case).encode())
        except OSError as error:
            raise ReportError(f"cannot write a case to {FILE}: {error.strerror}") from None

    def note_answer(self, detector: str) -> None:
        """Tell whoever follows `PROGRESS_FILE` that a probe of a detector has its answers; any thread may."""
        with self._noting, contextlib.suppress(OSError):  # only a display follows it
            if not self._closed:
                os.write(self._progress, f"{detector}\n".encode())

    def close(self) -> None:
        """Close the files."""
        with self._noting:
            self._closed = True
        os.close(self._file)
        os.close(self._progress)


def arrange(report_dir: Path, place: Callable[[Mapping[str, Any]], Any]) -> None:
    """Put the cases of a run that is over into an order that does not depend on who answered first.

    A file that cannot be read or written, or with a line that is no case or has no place, stays as it is: the order is
    a convenience.

    Args:
        report_dir: The folder.
        place: Returns what a case is sorted by; equal ones stay in the order in which they came. A KeyError says that
            it has no place.
    """
    path = report_dir / FILE
    with contextlib.suppress(OSError, ValueError, KeyError, TypeError):
        with path.open("rb") as file:
            found, begin = [], 0
            for line in file:
                if not line.endswith(b"\n"):
                    return
                found.append((place(json.loads(line)), begin, len(line)))
                begin += len(line)
        ordered = sorted(found)
        if ordered != found:
            files.write(path, _lines(path, [part[1:] for part in ordered]), private=True)


def _lines(path: Path, parts: Sequence[tuple[int, int]]) -> Iterator[str]:
    with path.open("rb") as file:
        for begin, length in parts:
            file.seek(begin)
            yield file.read(length).decode("utf-8")


def is_of(report_dir: Path, run_id: str) -> bool:
    """Tell whether a folder's cases file is that of a run."""
    try:
        return (report_dir / RUN_FILE).read_text(encoding="utf-8") == run_id
    except OSError:
        return False


def require_writable(folder: Path) -> None:
    """Check, without making it, that a report folder can be written.

    Raises:
        ReportError: It cannot.
    """
    existing = next(path for path in (folder, *folder.parents) if path.exists())
    if not existing.is_dir():
        raise ReportError(f"cannot write to --bias-report-dir {folder}: Not a directory")
    if not os.access(existing, os.W_OK | os.X_OK):
        raise ReportError(f"cannot write to --bias-report-dir {folder}: Permission denied")


def _open_for_run(report_dir: Path, run_id: str) -> tuple[int, int]:
    import filelock

    marker = report_dir / RUN_FILE
    with filelock.FileLock(report_dir / f"{RUN_FILE}.lock"):
        opened = [_open(report_dir / name) for name in (FILE, PROGRESS_FILE)]
        if not marker.exists() or marker.read_text(encoding="utf-8") != run_id:
            for file in opened:
                os.ftruncate(file, 0)
            marker.write_text(run_id, encoding="utf-8")
    return opened[0], opened[1]


def _open(path: Path) -> int:
    file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    os.fchmod(file, 0o600)  # an older file may be open to others
    return file
