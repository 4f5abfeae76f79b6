"""``bias-suite compare``: two runs side by side, for a terminal."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from bias_suite.reporting.text import cut, figure, percent, printable

if TYPE_CHECKING:
    from rich.console import Console

    from bias_suite.comparing import Change, Run

_LONGEST = 200


def show(before: Run, after: Run, found: Sequence[Change], console: Console) -> None:
    """Print what changed.

    Args:
        before: The first run.
        after: The second.
        found: The changes.
        console: Where to print.
    """
    from rich import box
    from rich.table import Table
    from rich.text import Text

    for name, run in (("A", before), ("B", after)):
        console.print(f"{name}: {about(run)}", soft_wrap=True)
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 0))
    for heading in ("detector", "A", "B"):
        table.add_column(heading, no_wrap=True)
    for heading in ("probes", "p"):
        table.add_column(heading, justify="right", no_wrap=True)
    table.add_column("B is", no_wrap=True)
    for one in found:
        probes = str(one.compared.common) if one.compared else ""
        p = "" if one.p is None else f"{one.p:.2g}"
        style = {"worse": "bold red", "better": "bold green"}.get(one.direction, "")
        table.add_row(one.detector, result(one.before), result(one.after), probes, p, Text(direction(one), style=style))
    console.print(table)
    for one in found:
        console.print(f" {one.detector}: {cut(one.note, _LONGEST)}", soft_wrap=True)
    console.print(verdict(found), soft_wrap=True)


def about(run: Run) -> str:
    """Return in a line which run it is."""
    told = run.summary["run"]
    judge = (told["judge"] or {}).get("model")
    parts = [told["model"] or "a model without a name", f"begun {told['started'][:16].replace('T', ' ')}"]
    if judge:
        parts.append(f"judge {judge}")
    return cut(f"{run.folder}: {', '.join(parts)}", _LONGEST)


def result(told: Mapping[str, Any] | None) -> str:
    """Return verdict, count and rate of a detector in one run; empty where it was not decided."""
    if told is None:
        return "–"
    rate = "" if told["rate"] is None else f" {percent(told['rate'])}"
    return printable(f"{told['verdict'].upper()} {figure(told['failures'])}/{told['judged']}{rate}")


def direction(change: Change) -> str:
    """Return whether B is worse or better than A; that nobody can tell where the probes do not say so."""
    if change.compared is None:
        return "not compared"
    return change.direction or "no different, as far as one can tell"


def verdict(found: Sequence[Change]) -> str:
    """Return in a sentence how many detectors changed beyond chance."""
    compared = [one for one in found if one.compared]
    counts = [sum(one.direction == way for one in compared) for way in ("worse", "better")]
    return (
        f"B is worse in {counts[0]} and better in {counts[1]} of {len(compared)} detectors that can be compared "
        "(p below 0.05, two-sided, adjusted for all of them)."
    )
