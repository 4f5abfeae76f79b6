"""What a recording holds, for people."""

from __future__ import annotations

import datetime
import json
from collections import Counter, defaultdict
from dataclasses import asdict

import typer

from bias_suite.cases import encodable
from bias_suite.errors import RecordingError
from bias_suite.recordings import Entry, Recording
from bias_suite.reporting.text import cut

_QUESTION, _ANSWER = 200, 400


def show(recording: Recording, probe: str | None) -> None:
    """Print a line for each model and judge, by version; or what was asked and answered for one probe.

    Raises:
        RecordingError: Nothing was recorded for the probe.
    """
    if probe is None:
        _whole(recording)
        return
    found = list(recording.entries(label=probe))
    if not found:
        raise RecordingError(f"{recording.path}: nothing was recorded for probe {probe!r}")
    for entry in found:
        told = entry.asked
        typer.echo(f"{_who(entry)}, trial {told.get('trial', 0)}, {entry.recorded}")
        typer.echo(encodable(f"  asked: {cut(str(told.get('question', told.get('messages'))), _QUESTION)}"))
        typer.echo(encodable(f"  answered: {cut(str(entry.reply.get('answer', entry.reply.get('text'))), _ANSWER)}"))


def _whole(recording: Recording) -> None:
    counts: Counter[tuple[str, str]] = Counter()
    dates: dict[tuple[str, str], list[str]] = defaultdict(list)
    runs: dict[tuple[str, str], set[str]] = defaultdict(set)
    for entry in recording.entries():
        place = entry.kind, _who(entry)
        counts[place] += 1
        dates[place].append(entry.recorded)
        runs[place].add(entry.run)
    for (kind, who), count in sorted(counts.items()):
        first, last = min(dates[kind, who]), max(dates[kind, who])
        typer.echo(f"{kind} {who}: {count} entries of {len(runs[kind, who])} runs, {first} to {last}")
    typer.echo(f"{sum(counts.values())} entries, {recording.path.stat().st_size / 1e6:.1f} MB")


def prune(recording: Recording, before: str | None, version: str | None) -> None:
    """Remove entries from before a date, or of a version, and say how many.

    Raises:
        RecordingError: Neither is given, or the date is none.
    """
    if before is None and version is None:
        raise RecordingError("give --before DATE or --version VERSION: without either nothing is removed")
    try:
        date = before and datetime.date.fromisoformat(before).isoformat()
    except ValueError:
        raise RecordingError(f"--before {before!r}: must be a date such as 2026-01-31") from None
    typer.echo(f"removed {recording.prune(date, version)} entries")


def export(recording: Recording) -> None:
    """Write every entry to standard output, as JSON Lines."""
    for entry in recording.entries():
        typer.echo(encodable(json.dumps(asdict(entry), ensure_ascii=False)))


def _who(entry: Entry) -> str:
    return f"{entry.name}@{entry.version}" if entry.version else f"{entry.name} (no version)"
