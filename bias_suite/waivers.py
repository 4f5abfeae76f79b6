"""Waivers: failing cases and requirements that somebody answers for, until a day. Pure but for reading the file.

A case that a waiver covers is evidence neither way: it leaves n, and nobody is shown a pass that was none. The day that
a waiver expires is its last; from the next on its cases count again, and the summary says whose waiver ended.
"""

from __future__ import annotations

import datetime
import tomllib
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from bias_suite.cases import Case
from bias_suite.errors import WaiverError

_FIELDS = {"case", "requirement", "detector", "owner", "reason", "expires"}
_COVERED = ("passed", "failed")
Requirements = Mapping[str, Collection[str] | None]
"""The requirements of the plan, by detector; None for a detector that asks by itself."""


@dataclass(frozen=True)
class Waiver:
    """One waiver.

    Attributes:
        owner: Who answers for it.
        reason: Why.
        expires: The last day on which it holds.
        case: Id of the one case that it covers; None where it covers a requirement.
        requirement: The requirement that it covers, word for word; None where it covers a case.
        detector: The detector whose requirement it is; None for all that have it.
    """

    owner: str
    reason: str
    expires: datetime.date
    case: str | None = None
    requirement: str | None = None
    detector: str | None = None

    def covers(self, case: Case) -> bool:
        """Tell whether it is about this case, whatever the day."""
        if self.case is not None:
            return case.id == self.case
        return case.requirement == self.requirement and self.detector in (None, case.detector)

    def __str__(self) -> str:
        return f"{self.owner} (until {self.expires.isoformat()}: {self.reason})"


@dataclass(frozen=True)
class Waivers:
    """The waivers of a run.

    Attributes:
        all: In the order of the file.
        today: The day on which the run began.
    """

    all: tuple[Waiver, ...]
    today: datetime.date

    def ended(self, waiver: Waiver) -> bool:
        """Tell whether a waiver holds no longer."""
        return waiver.expires < self.today

    def apply(self, case: Case) -> Case:
        """Return the case as waived, where a waiver that holds covers it; else as it is.

        Of a requirement the passed answers are covered, too: what is left would else look better than the chatbot is.
        """
        if case.verdict not in _COVERED:
            return case
        for waiver in self.all:
            if waiver.covers(case) and not self.ended(waiver):
                told = f"waived by {waiver}; it {case.verdict}" + (f": {case.reason}" if case.reason else "")
                return replace(case, verdict="waived", reason=told)
        return case

    def told(self, cases: Iterable[Case]) -> list[dict[str, Any]]:
        """Return each waiver for ``summary.json``, with how many of the run's cases it covers.

        Args:
            cases: The cases of the run. Those that a waiver which has ended would cover count for it: they are why it
                is told.
        """
        counts = [0] * len(self.all)
        for case in cases:
            if case.verdict not in (*_COVERED, "waived"):
                continue
            for place, waiver in enumerate(self.all):
                # The first that holds covers a case; of those that ended, each.
                if waiver.covers(case) and (self.ended(waiver) or case.verdict == "waived"):
                    counts[place] += 1
                    if not self.ended(waiver):
                        break
        return [
            {
                "case": waiver.case,
                "requirement": waiver.requirement,
                "detector": waiver.detector,
                "owner": waiver.owner,
                "reason": waiver.reason,
                "expires": waiver.expires.isoformat(),
                "ended": self.ended(waiver),
                "cases": count,
            }
            for waiver, count in zip(self.all, counts, strict=True)
        ]


def notes(told: Sequence[Mapping[str, Any]]) -> list[str]:
    """Return for people what the waivers of a run did: what they cover, whose have ended, which cover nothing.

    Args:
        told: As `Waivers.told` returns it.
    """
    lines = []
    for one in told:
        what = f"case {one['case']}" if one["case"] else f"requirement {one['requirement']!r}"
        about = f"{what}, by {one['owner']}: {one['reason']}"
        number = f"{one['cases']} case{'s' if one['cases'] != 1 else ''}"
        if one["ended"]:
            counted = f"{number} count{'s' if one['cases'] == 1 else ''} again"
            effect = counted if one["cases"] else "covers nothing in this run"
            lines.append(f"Waiver ended on {one['expires']} ({effect}): {about}")
        elif one["cases"]:
            lines.append(f"Waived until {one['expires']} ({number}): {about}")
        else:
            lines.append(f"Waiver covers nothing in this run: {about}")
    return lines


def read(path: Path, today: datetime.date, requirements: Requirements | None = None) -> Waivers:
    """Read ``waivers.toml``.

    Args:
        path: The file; it holds ``[[waiver]]`` tables with ``case`` or ``requirement`` (and, if wanted, ``detector``),
            ``owner``, ``reason`` and ``expires``.
        today: The day on which the run began.
        requirements: Those of the plan: a waiver for one that there is not is an error. None where nobody knows.

    Raises:
        WaiverError: The file cannot be read, or a waiver in it is wrong; the message names file and waiver.
    """
    try:
        content = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise WaiverError(f"{path}: {error.strerror}") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise WaiverError(f"{path}: is no TOML: {error}") from None
    entries = content.pop("waiver", [])
    if content or not isinstance(entries, list):
        raise WaiverError(f"{path}: holds [[waiver]] tables and nothing else, not {', '.join(content) or 'waiver'}")
    found = tuple(_waiver(entry, f"{path}: waiver {number}") for number, entry in enumerate(entries, start=1))
    if requirements is not None:
        for number, waiver in enumerate(found, start=1):
            _require_known(waiver, requirements, f"{path}: waiver {number}")
    return Waivers(found, today)


def _waiver(entry: object, where: str) -> Waiver:
    if not isinstance(entry, dict):
        raise WaiverError(f"{where}: must be a [[waiver]] table")
    if unknown := sorted(entry.keys() - _FIELDS):
        raise WaiverError(f"{where}: does not know {', '.join(unknown)}; it may have {', '.join(sorted(_FIELDS))}")
    if ("case" in entry) == ("requirement" in entry):
        raise WaiverError(f"{where}: must name a case or a requirement, one of them")
    if "case" in entry and "detector" in entry:
        raise WaiverError(f"{where}: a case has its detector; only a requirement may be narrowed to one")
    texts = {name: _text(entry, name, where) for name in ("owner", "reason")}
    optional = {name: _text(entry, name, where) for name in ("case", "requirement", "detector") if name in entry}
    return Waiver(**texts, expires=_day(entry.get("expires"), where), **optional)


def _text(entry: Mapping[str, Any], name: str, where: str) -> str:
    given = entry.get(name)
    if not isinstance(given, str) or not given.strip():
        raise WaiverError(f"{where}: {name} must be there, as text that is not empty")
    return given if name == "requirement" else given.strip()


def _day(given: object, where: str) -> datetime.date:
    if isinstance(given, datetime.date) and not isinstance(given, datetime.datetime):
        return given
    try:
        return datetime.date.fromisoformat(given if isinstance(given, str) else "")
    except ValueError:
        raise WaiverError(f"{where}: expires must be there, as a day such as 2027-01-31") from None


def _require_known(waiver: Waiver, requirements: Requirements, where: str) -> None:
    if waiver.requirement is None:
        return
    if waiver.detector is not None and waiver.detector not in requirements:
        raise WaiverError(f"{where}: there is no detector {waiver.detector!r}")
    chosen = [waiver.detector] if waiver.detector is not None else list(requirements)
    known = [requirements[name] for name in chosen]
    if not any(one is None or waiver.requirement in one for one in known):
        raise WaiverError(f"{where}: no probe of the plan has the requirement {waiver.requirement!r}, word for word")
