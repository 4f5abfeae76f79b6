"""Delivery: what waits in an outbox goes to Argilla, in batches, and what has arrived is not sent again."""

from __future__ import annotations

import contextlib
import itertools
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from bias_suite.cases import Case
from bias_suite.errors import BiasSuiteError, OutboxError, ReportError
from bias_suite.options import Settings
from bias_suite.sinks import argilla, outbox

_SEED = 2022
BATCH = 100
"""Records in one call: a few MB at most, and a kill costs no more than sending these again."""


def deliver(folder: Path, settings: Settings, on_batch: Callable[[int], None] = lambda sent: None) -> int:
    """Send all that waits in an outbox; return how many records that were.

    Args:
        folder: The outbox.
        settings: Name the Argilla, its workspace and dataset.
        on_batch: Receives the size of each batch when it has arrived.

    Raises:
        ArgillaError: It cannot be reached, or refuses; what has not arrived still waits.
        OutboxError: The outbox cannot be read or written.
    """
    with _alone(folder):
        files = outbox.waiting(folder)
        if not files:
            return 0
        with argilla.connected(settings) as client:
            found = argilla.dataset(client, settings)
            return sum(_send(path, found, settings, on_batch) for path in files)


def _send(path: Path, found: Any, settings: Settings, on_batch: Callable[[int], None]) -> int:
    before = arrived = outbox.sent(path)
    entries = outbox.read(path)
    while batch := list(itertools.islice(entries, BATCH)):
        argilla.send(found, batch, settings)
        arrived += len(batch)
        outbox.note_sent(path, arrived)
        on_batch(len(batch))
    outbox.remove(path)
    return arrived - before


@contextlib.contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Hold the outbox, so that two deliveries do not count each other's batches."""
    import filelock

    lock = filelock.FileLock(folder.with_name(f".{folder.name}.lock"), timeout=600)
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        lock.acquire()
    except filelock.Timeout:
        raise OutboxError(f"another delivery has held {folder} for ten minutes") from None
    except OSError as error:
        raise OutboxError(f"cannot write to {folder.parent}: {error.strerror}") from None
    try:
        yield
    finally:
        lock.release()


class Delivery:
    """A pytest plugin that puts a finished run's cases into the outbox, and sends them where Argilla is named."""

    def __init__(self, settings: Settings, redact: Callable[[Case], Case]) -> None:
        """Take where to send to, and what takes personal data out of a case."""
        self._settings = settings
        self._choice = outbox.Choice(settings.argilla_pass_sample, _SEED, redact)
        self.notes: list[str] = []

    def recover(self, report_dir: Path, commit: str | None) -> int:
        """Fill the outbox from an earlier run that was killed; return how many cases that were.

        Cases that cannot be read (of another version, damaged) are kept beside, with a note.

        Raises:
            OutboxError: The outbox cannot be written.
        """
        with _alone(report_dir / outbox.FOLDER):
            try:
                return outbox.recover(report_dir, self._choice, commit)
            except ReportError as error:
                kept = outbox.set_aside(report_dir)
                self.notes.append(f"An earlier run's cases cannot be read and are kept as {kept} ({error})")
                return 0

    @pytest.hookimpl(tryfirst=True)
    def pytest_bias_run_finished(self, summary: dict[str, Any], report_dir: Path, config: pytest.Config) -> None:
        """Fill the outbox and empty it; whatever fails is a note: the exit status is the gate's own."""
        folder = report_dir / outbox.FOLDER
        try:
            with _alone(folder):
                outbox.fill(report_dir, self._choice, summary["run"]["git"])
            sent = deliver(folder, self._settings) if self._settings.argilla_url else 0
            waiting = sum(map(outbox.count, outbox.waiting(folder)))
        except BiasSuiteError as error:
            self.notes.append(f"Argilla: {error}. Nothing is lost: `bias-suite push` sends what waits in {folder}")
            return
        if sent:
            self.notes.append(f"Argilla: {sent} cases are in {_named(self._settings)}")
        if waiting:
            self.notes.append(
                f"Argilla: not connected (--bias-argilla-url), {waiting} cases wait in {folder}; "
                "`bias-suite push` sends them"
            )


def _named(settings: Settings) -> str:
    return f"dataset {settings.argilla_dataset!r} of workspace {settings.argilla_workspace!r} at {settings.argilla_url}"


def push(settings: Settings, redact: Callable[[Case], Case], folder: Path | None, commit: str | None) -> int:
    """Send what waits, with progress: ``bias-suite push``; return the exit status.

    Args:
        settings: Name report folder, Argilla, workspace and dataset.
        redact: Takes personal data out of a case.
        folder: The outbox; None for that of the report folder, filled first from a run that was killed.
        commit: Of the checkout, for a run that was killed.

    Raises:
        BiasSuiteError: It could not be done; what has not arrived still waits.
    """
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    console = Console()
    if folder is None:
        folder = settings.report_dir / outbox.FOLDER
        delivery = Delivery(settings, redact)
        recovered = delivery.recover(settings.report_dir, commit)
        if recovered:
            console.print(f"{recovered} cases of a run that did not get to it are in the outbox now")
        for note in delivery.notes:
            console.print(note, markup=False, highlight=False, soft_wrap=True)
    elif not folder.is_dir():
        raise OutboxError(f"--outbox {folder}: there is no such folder")
    waiting = sum(map(outbox.count, outbox.waiting(folder)))
    if not waiting:
        console.print(f"Nothing waits in {folder}", soft_wrap=True)
        return 0
    columns = (TextColumn("sending"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    began = time.monotonic()
    with Progress(*columns, console=console, transient=True) as progress:
        task = progress.add_task("sending", total=waiting)
        sent = deliver(folder, settings, lambda batch: progress.advance(task, batch))
    seconds = time.monotonic() - began
    console.print(
        f"{sent} cases are in {_named(settings)}, sent in {seconds:.1f} s ({sent / seconds:.0f} a second)",
        soft_wrap=True,
        highlight=False,
    )
    return 0
