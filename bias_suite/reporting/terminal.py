"""The terminal summary: a table of detectors, what was not evaluated and why, where the files are."""

from __future__ import annotations

import io
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

from bias_suite.reporting.summary import EVALUATED, Row
from bias_suite.reporting.text import cut, figure, percent

_STYLES = {
    "pass": "bold green",
    "fail": "bold red",
    "inconclusive": "bold yellow",
    "error": "bold red",
    "known": "bold yellow",
    "waived": "bold yellow",
}


def render(rows: Sequence[Row], notes: Sequence[str], files: Sequence[Path], width: int, *, color: bool) -> str:
    """Return the summary as text.

    Args:
        rows: Every detector of the catalogue.
        notes: Further lines: what the figures can tell.
        files: What the run wrote.
        width: Columns of the terminal.
        color: Whether it shows colours.
    """
    from rich.console import Console
    from rich.padding import Padding
    from rich.text import Text

    buffer = io.StringIO()
    console = Console(
        file=buffer,
        width=max(width, 60),
        force_terminal=color,
        no_color=not color,
        highlight=False,
        legacy_windows=False,
    )
    evaluated = [line for line in rows if line.evaluated]
    console.print(Text(headline(rows), style="bold"))
    if evaluated:
        console.print(_table(evaluated))
    # A detector with measures of its own says what it could have found, also where it passes.
    undecided = [
        line for line in evaluated if line.verdict != "pass" or "above tolerance" in line.reason or line.measures
    ]
    for text in [*_grouped(undecided), *notes]:
        console.print(Padding(Text(text), (0, 0, 0, 1)))
    missing = _grouped([line for line in rows if not line.evaluated])
    if missing:
        console.print(Text("Not evaluated:"))
        for text in missing:
            console.print(Padding(Text(text), (0, 0, 0, 2)))
    for path in files:
        console.print(Text(f"Wrote {path}"), soft_wrap=True)
    return buffer.getvalue()


def headline(rows: Sequence[Row]) -> str:
    """Return the first line: how much was covered and what came of it."""
    verdicts = [line.verdict for line in rows if line.evaluated]
    counts = ", ".join(f"{verdicts.count(name)} {name.upper()}" for name in EVALUATED if name in verdicts)
    return f"covers {len(verdicts)} of {len(rows)} detectors" + (f": {counts}" if counts else "")


def _table(rows: Sequence[Row]) -> object:
    from rich import box
    from rich.table import Table
    from rich.text import Text

    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 0))
    for name in ("detector", "verdict"):
        table.add_column(name, no_wrap=True)
    for name in ("failed / n", "rate", "seconds"):
        table.add_column(name, justify="right", no_wrap=True)
    for line in rows:
        bounds = "" if line.lower is None or line.upper is None else f"{100 * line.lower:.1f} – {percent(line.upper)}"
        uncounted = not line.probes and line.verdict in ("fail", "inconclusive")  # it asked by itself
        counts = f"{figure(line.failures)} / {'?' if uncounted else line.judged}"
        table.add_row(
            line.id,
            Text(line.verdict.upper(), style=_STYLES.get(line.verdict, "")),
            counts,
            bounds,
            f"{line.seconds:.1f}",
        )
    return table


def _grouped(rows: Sequence[Row]) -> list[str]:
    by_reason: dict[str, list[str]] = defaultdict(list)
    for line in rows:
        by_reason[line.reason].append(line.id)
    return [f"{', '.join(ids)}: {cut(reason, 400)}" for reason, ids in by_reason.items()]
