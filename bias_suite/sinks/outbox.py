"""The outbox: cases that people shall see, on disk until Argilla has them.

One file a run, ``OUTBOX/RUN.jsonl``, written in one piece, a case a line, personal data already redacted. How
many of its lines have been sent stands beside it in ``RUN.sent``; both go when all have been. Sending a case
twice does no harm (its id is the record's), so a kill at any moment costs at most a batch sent again.

A run that was killed, or whose outbox could not be written, has its cases in ``cases.jsonl`` all the same:
`recover` makes the outbox from them.
"""

from __future__ import annotations

import contextlib
import hashlib
import itertools
import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bias_suite import files
from bias_suite.cases import Case, encodable, read_cases
from bias_suite.errors import OutboxError
from bias_suite.sinks import jsonl

FOLDER = "outbox"
# Of which run, and up to which byte of its cases file, the cases are in the outbox, or were: told apart from a run
# that was killed before it got to it, or that goes on while somebody pushes.
_FILLED = ".outbox"


@dataclass(frozen=True)
class Entry:
    """A case on its way to people, with the run that it is from."""

    case: Case
    run: str
    commit: str | None


@dataclass(frozen=True)
class Choice:
    """Which cases people shall see: those that failed, and a share of those that passed.

    Attributes:
        pass_sample: The share, 0 to 1. Which ones they are depends on `seed` and the cases' ids alone.
        seed: Of that choice.
        redact: Takes the personal data out of a case.
    """

    pass_sample: float
    seed: int
    redact: Callable[[Case], Case]

    def takes(self, case: Case) -> bool:
        """Tell whether people shall see a case; errors are nobody's to correct."""
        if case.verdict == "passed" and self.pass_sample > 0:
            digest = hashlib.sha256(f"{self.seed}\0{case.id}".encode()).digest()
            return int.from_bytes(digest[:8], "big") < self.pass_sample * 2**64
        return case.verdict == "failed"


def fill(report_dir: Path, choice: Choice, commit: str | None) -> int:
    """Put the cases of the run in a report folder into its outbox; return how many.

    Raises:
        OutboxError: The outbox cannot be written.
        ReportError: The cases cannot be read.
    """
    run = _run(report_dir)
    if run is None:
        return 0
    cases = report_dir / jsonl.FILE
    state = _state(report_dir, run)  # before reading: what comes later is not in it
    taken = (choice.redact(case) for case in read_cases(cases) if choice.takes(case)) if cases.exists() else ()
    count = _write(report_dir / FOLDER / f"{run}.jsonl", (Entry(case, run, commit) for case in taken))
    _replace(report_dir / _FILLED, state)
    return count


def _state(report_dir: Path, run: str) -> str:
    try:
        size = (report_dir / jsonl.FILE).stat().st_size
    except OSError:
        size = 0
    return f"{run} {size}"


def recover(report_dir: Path, choice: Choice, commit: str | None) -> int:
    """Fill the outbox from the cases of a run that did not get to it; return how many, 0 where it did.

    Raises:
        OutboxError: The outbox cannot be written.
        ReportError: The cases cannot be read.
    """
    run = _run(report_dir)
    with contextlib.suppress(OSError):
        if run is None or (report_dir / _FILLED).read_text(encoding="utf-8") == _state(report_dir, run):
            return 0
    if not (report_dir / jsonl.FILE).exists():
        return 0
    return fill(report_dir, choice, commit)


def set_aside(report_dir: Path) -> Path:
    """Keep a cases file that cannot be read, out of the way of the next run; return where.

    Raises:
        OutboxError: It cannot be moved.
    """
    path = report_dir / jsonl.FILE
    kept = path.with_name(f"cases.{_run(report_dir)}.unreadable.jsonl")
    try:
        return path.replace(kept)
    except OSError as error:
        raise OutboxError(f"cannot move {path}: {error.strerror}") from None


def _run(report_dir: Path) -> str | None:
    try:
        return (report_dir / jsonl.RUN_FILE).read_text(encoding="utf-8") or None
    except OSError:
        return None


def _write(path: Path, entries: Iterable[Entry]) -> int:
    """Write a file in one piece; none where there is nothing to write. The owner alone can read it."""
    lines = map(_to_line, entries)
    first = next(lines, None)
    if first is None:
        return 0
    count = 0

    def counted() -> Iterator[str]:
        nonlocal count
        for line in itertools.chain([first], lines):
            count += 1
            yield line

    try:
        path.with_suffix(".sent").unlink(missing_ok=True)  # it counted lines that may stand elsewhere now
        files.write(path, counted(), private=True, sync=True)
    except OSError as error:
        raise OutboxError(f"cannot write {path}: {error.strerror}; the cases are in {jsonl.FILE}") from None
    return count


def _replace(path: Path, text: str) -> None:
    try:
        files.write(path, text)
    except OSError as error:
        raise OutboxError(f"cannot write {path}: {error.strerror}") from None


def _to_line(entry: Entry) -> str:
    record = {"run": entry.run, "commit": entry.commit, "case": vars(entry.case)}
    return encodable(json.dumps(record, ensure_ascii=False, default=dict)) + "\n"


def waiting(outbox: Path) -> list[Path]:
    """Return the files of an outbox, oldest first."""
    found = []
    for path in outbox.glob("*.jsonl"):
        with contextlib.suppress(FileNotFoundError):  # another delivery has sent it meanwhile
            found.append((path.stat().st_mtime, path.name, path))
    return [path for _, _, path in sorted(found)]


def read(path: Path) -> Iterator[Entry]:
    """Yield the entries of an outbox file that have not been sent.

    Raises:
        OutboxError: The file cannot be read, or a line is no entry.
    """
    already = sent(path)
    try:
        with path.open(encoding="utf-8") as file:
            for number, line in enumerate(file, start=1):
                if number > already:
                    yield _entry(line, f"{path}:{number}")
    except OSError as error:
        raise OutboxError(f"cannot read {path}: {error.strerror}") from None


def _entry(line: str, where: str) -> Entry:
    try:
        record: Mapping[str, Any] = json.loads(line)
        case = dict(record["case"])
        case |= {"contexts": tuple(case["contexts"]), "others": tuple(case["others"])}
        return Entry(Case(**case), record["run"], record["commit"])
    except (ValueError, TypeError, KeyError) as error:
        raise OutboxError(f"{where}: not an entry of an outbox: {error}") from None


def count(path: Path) -> int:
    """Return how many entries of a file have not been sent."""
    try:
        with path.open("rb") as file:
            return sum(1 for _ in file) - sent(path)
    except OSError as error:
        raise OutboxError(f"cannot read {path}: {error.strerror}") from None


def sent(path: Path) -> int:
    """Return how many entries of a file have been sent, from its beginning."""
    try:
        return int(path.with_suffix(".sent").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return 0


def note_sent(path: Path, number: int) -> None:
    """Note that the first `number` entries have been sent.

    Raises:
        OutboxError: That cannot be written.
    """
    _replace(path.with_suffix(".sent"), str(number))


def remove(path: Path) -> None:
    """Remove a file all of whose entries have been sent.

    Raises:
        OutboxError: It cannot be removed.
    """
    try:
        path.unlink(missing_ok=True)
        path.with_suffix(".sent").unlink(missing_ok=True)
    except OSError as error:
        raise OutboxError(f"cannot remove {path}: {error.strerror}") from None
