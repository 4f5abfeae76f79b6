"""The parts of a run, brought together: ``bias-suite merge``.

Each part left a journal. From these all answers and verdicts of the judge are taken, errors included, and the detectors
decide as they would have in one run; a detector that asks by itself has its outcome there. Nobody is asked. A part that
is missing, doubled, of another run or not complete is an error: no verdict is given on what is not there.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from bias_suite import journal as journals
from bias_suite import resuming, sharding
from bias_suite import trust as trusting
from bias_suite.cases import Case, Judging, from_record
from bias_suite.chat import Reply
from bias_suite.errors import CallError, JudgeError, ReportError
from bias_suite.evaluation import Outcome
from bias_suite.gate import Decision, Measure
from bias_suite.journal import Journal
from bias_suite.judge import Judge
from bias_suite.options import Settings
from bias_suite.plan import Plan
from bias_suite.probes import Probe
from bias_suite.subject import Subject
from bias_suite.trust import Trust

MODEL, OUTCOME, TRUST, ENDED = "model", "outcome", "trust", "ended"
"""What a journal tells beside answers: whom it asked, what a search found, what the judge is worth, how it ended."""


@dataclass(frozen=True)
class _Part:
    path: Path
    head: Mapping[str, Any]
    shard: str


class Merged:
    """All parts of a run."""

    def __init__(self, folders: Sequence[Path]) -> None:
        """Read which parts there are.

        Args:
            folders: The report folder of each part.

        Raises:
            ReportError: One is no report of a part, or parts are missing or doubled.
        """
        self._parts = [_read(folder) for folder in folders]
        if not self._parts:
            raise ReportError("name the report folders of all parts: bias-suite merge shard-1 shard-2")
        self.of = int(self._parts[0].shard.partition("/")[2])
        _require_each_once(self._parts, self.of)
        self.folders = tuple(folder.resolve() for folder in folders)

    @property
    def started(self) -> float:
        """When the first part began (`time.time`)."""
        return float(min(part.head["started"] for part in self._parts))

    @property
    def seconds(self) -> float:
        """How long the longest part took."""
        ended = [told[-1]["seconds"] for part in self._parts if (told := journals.notes(part.path, ENDED))]
        return float(max(ended, default=0.0))

    def check(self, settings: Settings, plan: str) -> None:
        """Check that the parts are of one run, and of the one that is wanted.

        Args:
            settings: The settings in force.
            plan: The fingerprint of the plan.

        Raises:
            ReportError: They are not; the message says what differs.
        """
        for part in self._parts:
            changed = resuming.differences(part.head, resuming.head(replace(settings, shard=part.shard), plan))
            if changed:
                raise ReportError(
                    f"merge: this is not the run of part {part.shard} ({part.path}): {'; '.join(changed)}"
                )
        if settings.report_dir.resolve() in self.folders:
            raise ReportError(f"merge: {settings.report_dir} holds a part; name another --bias-report-dir")

    @functools.cached_property
    def journal(self) -> Journal:
        """All answers and verdicts.

        Raises:
            ReportError: A journal cannot be read.
        """
        return Journal(None, sources=[part.path for part in self._parts], errors=True)

    def subject(self) -> Subject:
        """Return the model that the parts asked; it answers nothing.

        Raises:
            ReportError: They asked different ones, or none.
        """
        found: dict[tuple[str, str | None], tuple[str, dict[str, Any]]] = {}
        for part in self._parts:
            for told in journals.notes(part.path, MODEL):
                found.setdefault((told["name"], told["version"]), (part.shard, told))
        if len(found) > 1:
            named = ", ".join(f"{'@'.join(filter(None, key))} (part {shard})" for key, (shard, _) in found.items())
            raise ReportError(f"merge: the parts asked different models: {named}")
        if not found:
            raise ReportError("merge: no part asked the model anything")
        ((_, told),) = found.values()
        return Subject(
            model=None, name=told["name"], version=told["version"], description=told["description"], _call=_unasked
        )

    def judge(self, settings: Settings) -> Judge | None:
        """Return the judge that the settings name, which is not called; None where they name none."""
        return None if settings.judge is None else _Absent(settings.judge, votes=settings.judge_votes)

    @property
    def trust(self) -> Trust | None:
        """What the judge is worth, as a part measured it; None where none did."""
        told = [told for part in self._parts for told in journals.notes(part.path, TRUST)]
        return trusting.load(told[-1]) if told else None

    @property
    def measuring(self) -> list[Judging]:
        """What the parts spent on measuring it."""
        return [Judging(**told) for part in self._parts for told in journals.notes(part.path, journals.GOLD)]

    def outcome(self, detector: str) -> Outcome | None:
        """Return what a detector that asks by itself came to, in the part that it fell to; None where it is missing."""
        told = [told for part in self._parts for told in journals.notes(part.path, OUTCOME)]
        found = [one for one in told if one["detector"] == detector]
        return load(found[-1]) if found else None

    def require_complete(self, plan: Plan, detectors: Sequence[str], settings: Settings) -> None:
        """Check that every answer and verdict is there.

        Args:
            plan: The plan.
            detectors: Ids of the detectors that are evaluated.
            settings: The settings in force.

        Raises:
            ReportError: One is missing; the message says of which parts, and how to go on.
        """
        model = self.subject().identity
        shares = sharding.parts(plan, detectors, settings, self.of)
        incomplete = []
        for part in sorted(self._parts, key=lambda part: part.shard):
            share = shares[int(part.shard.partition("/")[0]) - 1]
            missing = [
                name for name, probes in share.items() for _ in self._missing(plan, name, probes, model, settings)
            ]
            if missing:
                wanted = ", ".join(dict.fromkeys(missing))
                incomplete.append(f"part {part.shard} ({part.path}) misses {len(missing)} answers of {wanted}")
        if incomplete:
            raise ReportError(
                f"merge: {'; '.join(incomplete)}: run it to its end (--bias-resume), with the same options"
            )

    def _missing(
        self, plan: Plan, name: str, probes: Sequence[Probe], model: str, settings: Settings
    ) -> list[tuple[Probe, int]]:
        rule = plan.rules[name]
        if rule.scans:
            return [] if not probes or self.outcome(name) else [(probes[0], 0)]
        asked = [(probe, trial) for probe in probes for trial in range(settings.trials)]
        return [one for one in asked if not self.journal.holds(model, *one, judged=rule.remote)]


class Found:
    """The outcome of a detector that asked by itself, in place of its evaluation."""

    def __init__(self, outcome: Outcome, on_case: Callable[[Case], None]) -> None:
        """Take the outcome, and what receives its cases."""
        self._outcome, self._on_case = outcome, on_case

    def begin(self) -> None:
        """There is nothing to begin."""

    def finish(self) -> Outcome:
        """Hand the cases on, and return the outcome."""
        for case in self._outcome.cases:
            self._on_case(case)
        return self._outcome


class _Absent(Judge):
    """A judge whose verdicts are all there."""

    def check(self) -> Reply:
        """Nobody is called."""
        return Reply("")

    def verdict(self, *given: Any) -> Any:
        """All verdicts are taken from the journals.

        Raises:
            JudgeError: This one was not.
        """
        raise JudgeError("no part has a verdict of the judge on this")


def dump(outcome: Outcome) -> dict[str, Any]:
    """Return an outcome as JSON has it."""
    return asdict(outcome)


def load(told: Mapping[str, Any]) -> Outcome:
    """Return the outcome that was dumped."""
    decision: Any = told["decision"]
    if decision is not None:
        measures = tuple(Measure(**one) for one in decision["measures"])
        interval = None if decision["interval"] is None else tuple(decision["interval"])
        decision = Decision(**{**decision, "measures": measures, "interval": interval})
    cases = tuple(from_record(case) for case in told["cases"])
    judging = tuple(Judging(**one) for one in told["judging"])
    given: dict[str, Any] = {"decision": decision, "cases": cases, "judging": judging, "tokens": tuple(told["tokens"])}
    return Outcome(**{**told, **given})


def _read(folder: Path) -> _Part:
    path = folder / journals.FILE
    if not path.exists():
        raise ReportError(f"merge: {path} is missing: it is not the report folder of a part (--bias-shard)")
    head = journals.head(path)
    shard = head["settings"].get("shard")
    if not shard:
        raise ReportError(f"merge: {path} is of a whole run, not of a part (--bias-shard)")
    return _Part(path, head, shard)


def _require_each_once(parts: Sequence[_Part], of: int) -> None:
    places: dict[str, Path] = {}
    for part in parts:
        if part.shard in places:
            raise ReportError(f"merge: part {part.shard} is there twice, in {places[part.shard]} and {part.path}")
        places[part.shard] = part.path
    wanted = {f"{number}/{of}" for number in range(1, of + 1)}
    if alien := sorted(places.keys() - wanted):
        raise ReportError(f"merge: parts {', '.join(alien)} and those of {of} do not belong together")
    if missing := sorted(wanted - places.keys()):
        raise ReportError(f"merge: part {', '.join(missing)} is missing")


def _unasked(question: str, timeout: float) -> object:
    raise CallError("no part has asked this")
