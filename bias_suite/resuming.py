"""What a journal is of, and whether a run may go on with it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bias_suite import journal
from bias_suite.errors import ReportError
from bias_suite.options import Settings

_SAME = (
    "model",
    "judge",
    "judge_votes",
    "trials",
    "sample",
    "sequential",
    "search",
    "tolerance",
    "limit",
    "confidence",
    "shard",
)
"""Settings without which a run is another one."""


@dataclass(frozen=True)
class Resumed:
    """A run that goes on.

    Attributes:
        run: Its id.
        started: When it began (`time.time`).
        answers: How many answers and verdicts there are already, without errors.
    """

    run: str
    started: float
    answers: int


def head(settings: Settings, plan: str) -> dict[str, Any]:
    """Return what makes a run this one: its settings and the fingerprint of its plan."""
    told = {name: getattr(settings, name) for name in _SAME}
    if settings.shard:  # what falls to a part depends on what all of them ask
        told["only"] = ", ".join(settings.only)
    return {"plan": plan, "settings": told}


def begin(path: Path, run: str, started: float, told: Mapping[str, Any]) -> None:
    """Start a run's journal.

    Args:
        path: The file.
        run: The run's id.
        started: When it began.
        told: Its `head`.

    Raises:
        ReportError: It cannot be written.
    """
    journal.begin(path, {"run": run, "started": started, **told})


def resume(path: Path, wanted: Mapping[str, Any]) -> Resumed:
    """Return the run that goes on, and make its journal ready to be written to.

    Args:
        path: The journal.
        wanted: The `head` of the run as it would be now.

    Raises:
        ReportError: There is no journal, or it is of another plan or other settings.
    """
    if not path.exists():
        raise ReportError(f"--bias-resume: {path} is missing, so there is no run to go on with")
    found = journal.head(path)
    changed = differences(found, wanted)
    if changed:
        raise ReportError(f"--bias-resume: this is not the run of {path}: {'; '.join(changed)}")
    journal.mend(path)
    return Resumed(found["run"], found["started"], journal.count(path))


def differences(found: Mapping[str, Any], wanted: Mapping[str, Any]) -> list[str]:
    """Return in which ways two heads are of different runs."""
    changed = [
        f"--bias-{name.replace('_', '-')} was {found['settings'].get(name)}, is {value}"
        for name, value in wanted["settings"].items()
        if found["settings"].get(name) != value
    ]
    if found["plan"] != wanted["plan"]:
        changed.append(f"the plan was {found['plan'][:12]}, is {wanted['plan'][:12]}")
    return changed
