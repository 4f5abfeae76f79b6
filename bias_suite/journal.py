"""`reports/journal.jsonl`: what the model and the judge have answered so far, so that a killed run can go on.

Every answer and every verdict of a judge is a line, appended in one write the moment it is there; all processes of a
run append to the same file. A resumed run takes from it what was answered, errors excepted, and asks the rest: its
cases and its summary are those of a run that was never interrupted, with the calls that the answers took at the time.
The file may hold personal data, so only its owner can read it.

The first line is the head: what the run is, so that nobody goes on with another plan, model or judge. A line that a
kill or a full disk cut short counts as not written.
"""

from __future__ import annotations

import hashlib
import json
import os
import threading
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from bias_suite import files
from bias_suite.cases import Answer, Judging, Verdict, encodable
from bias_suite.errors import ReportError
from bias_suite.probes import Probe

FILE = "journal.jsonl"
GOLD = "gold"
"""A note on what it took to measure the judge: a `cases.Judging`."""
_KEY_BYTES = 16


class Journal:
    """The journal of one run, for all threads of a process.

    Attributes:
        problem: Why nothing is written any more; None while it is.
    """

    def __init__(self, path: Path | None, *, sources: Sequence[Path] = (), errors: bool = False) -> None:
        """Open a journal to append to.

        Args:
            path: The file; it has a head already (see `begin`). None where nothing is to be noted.
            sources: Files whose answers are taken instead of asking; none for a run that begins.
            errors: Take errors too, instead of asking again.

        Raises:
            ReportError: A file cannot be read or written.
        """
        self._path, self._errors = path, errors
        self.problem: str | None = None
        self._places: dict[bytes, tuple[Path, int]] = {}
        self._lock = threading.Lock()
        try:
            self._file = -1 if path is None else os.open(path, os.O_WRONLY | os.O_APPEND)
        except OSError as error:
            raise ReportError(f"cannot write {path}: {error.strerror}") from None
        for source in sources:
            self._read(source)

    def _read(self, source: Path) -> None:
        for place, entry in _lines(source):
            if "key" in entry and (self._errors or entry.get("error") is None):
                self._places[bytes.fromhex(entry["key"])] = (source, place)

    def answer(self, model: str, probe: Probe, trial: int, place: int) -> Answer | None:
        """Return what a model answered to the question at a place of a probe; None where it is to be asked."""
        found = self._find(_answer_key(model, probe, trial, place))
        if found is None:
            return None
        told = found["answer"]
        return Answer(**{**told, "contexts": tuple(told["contexts"]), "tokens": tuple(told["tokens"])})

    def note_answer(self, model: str, probe: Probe, trial: int, place: int, answer: Answer) -> None:
        """Append an answer, or the error that came of asking."""
        self._append(_answer_key(model, probe, trial, place), answer.error, answer=asdict(answer))

    def verdict(self, probe: Probe, trial: int, answers: Sequence[Answer]) -> Verdict | None:
        """Return the judge's verdict on these answers; None where it is to be asked."""
        found = self._find(_verdict_key(probe, trial, answers))
        if found is None:
            return None
        told = found["verdict"]
        return Verdict(**{**told, "judging": Judging(**told["judging"]) if told["judging"] else None})

    def note_verdict(self, probe: Probe, trial: int, answers: Sequence[Answer], verdict: Verdict) -> None:
        """Append a verdict of the judge, or the error that came of asking it."""
        error = verdict.reason if verdict.status == "error" else None
        self._append(_verdict_key(probe, trial, answers), error, verdict=asdict(verdict))

    def holds(self, model: str, probe: Probe, trial: int, *, judged: bool) -> bool:
        """Tell whether all answers to a probe are there and, where a judge is asked about them, its verdict."""
        answers = [self.answer(model, probe, trial, place) for place in range(len(probe.questions))]
        there = [answer for answer in answers if answer is not None]
        if len(there) < len(answers):
            return False
        return not judged or any(one.error for one in there) or self.verdict(probe, trial, there) is not None

    def note(self, kind: str, content: Mapping[str, Any]) -> None:
        """Append something else that a later reader is to know, see `notes`."""
        self._append_entry({kind: dict(content)})

    def close(self) -> None:
        """Close the file."""
        with self._lock:
            if self._file >= 0:
                os.close(self._file)
            self._file = -1

    def _find(self, key: bytes) -> dict[str, Any] | None:
        place = self._places.get(key)
        if place is None:
            return None
        source, offset = place
        with source.open("rb") as file:
            file.seek(offset)
            found: dict[str, Any] = json.loads(file.readline())
        return found

    def _append(self, key: bytes, error: str | None, **content: Any) -> None:
        self._append_entry({"key": key.hex(), "error": error, **content})

    def _append_entry(self, entry: Mapping[str, Any]) -> None:
        with self._lock:
            if self._file < 0 or self.problem:  # what comes after the end of the run counts nowhere
                return
            try:
                _write(self._file, entry)
            except OSError as problem:  # the run itself can go on
                self.problem = f"{self._path}: {problem.strerror}; what comes from here on cannot be resumed"


def begin(path: Path, head: Mapping[str, Any]) -> None:
    """Start a journal with a head, in place of one that is there.

    Raises:
        ReportError: It cannot be written.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_APPEND, 0o600)
        try:
            os.fchmod(file, 0o600)  # an older file may be open to others
            _write(file, {"head": dict(head)})
        finally:
            os.close(file)
    except OSError as error:
        raise ReportError(f"cannot write {path}: {error.strerror}") from None


def mend(path: Path) -> None:
    """End a last line that was cut short, so that the next one stands by itself.

    Raises:
        ReportError: It cannot be written.
    """
    try:
        with path.open("r+b") as file:
            size = file.seek(0, os.SEEK_END)
            if size and (file.seek(size - 1), file.read(1))[1] != b"\n":
                file.write(b"\n")
    except OSError as error:
        raise ReportError(f"cannot write {path}: {error.strerror}") from None


def head(path: Path) -> dict[str, Any]:
    """Return what run a journal is of.

    Raises:
        ReportError: It cannot be read, or is no journal.
    """
    for _, entry in _lines(path):
        if isinstance(entry.get("head"), dict):
            found: dict[str, Any] = entry["head"]
            return found
        break
    raise ReportError(f"{path}: not a journal of a run")


def notes(path: Path, kind: str) -> list[dict[str, Any]]:
    """Return what was noted beside answers and verdicts, in its order.

    Raises:
        ReportError: The journal cannot be read.
    """
    return [entry[kind] for _, entry in _lines(path) if isinstance(entry.get(kind), dict) and "key" not in entry]


def count(path: Path) -> int:
    """Return how many answers and verdicts a journal holds, errors not counted.

    Raises:
        ReportError: It cannot be read.
    """
    return len({entry["key"] for _, entry in _lines(path) if "key" in entry and entry.get("error") is None})


def _lines(path: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    """Yield (offset, content) of each whole line."""
    offset = 0
    try:
        with path.open("rb") as file:
            for line in file:
                try:
                    content = json.loads(line) if line.endswith(b"\n") else None
                except ValueError:
                    content = None
                if isinstance(content, dict):
                    yield offset, content
                offset += len(line)
    except OSError as error:
        raise ReportError(f"cannot read {path}: {error.strerror}") from None


def _write(file: int, entry: Mapping[str, Any]) -> None:
    files.append(file, (encodable(json.dumps(entry, ensure_ascii=False)) + "\n").encode())


def _answer_key(model: str, probe: Probe, trial: int, place: int) -> bytes:
    return _key("answer", probe, trial, [model, place, probe.questions[place], *probe.options])


def _verdict_key(probe: Probe, trial: int, answers: Sequence[Answer]) -> bytes:
    return _key("verdict", probe, trial, [probe.requirement, *(answer.text for answer in answers)])


def _key(kind: str, probe: Probe, trial: int, asked: Sequence[object]) -> bytes:
    parts = [kind, probe.detector, probe.id, trial, *asked]
    return hashlib.sha256(json.dumps(parts).encode()).digest()[:_KEY_BYTES]
