"""Runs that are done, from their report folders: one is accepted as the baseline, or two are compared.

Two runs are compared on the probes that both judged, as a run is with its baseline (see `bias_suite.baseline`), but in
both directions; p-values are two-sided and adjusted for all detectors by Holm's method.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bias_suite import baseline, effects
from bias_suite.baseline import Baseline, Comparison, Shown
from bias_suite.cases import read_cases
from bias_suite.detectors import Detector, Rule
from bias_suite.effects import Effect
from bias_suite.errors import ReportError
from bias_suite.gate import Rules
from bias_suite.reporting import summary
from bias_suite.sinks import jsonl

_DECIDED = ("pass", "fail", "inconclusive", "known", "waived")
_ALPHA = 0.05


@dataclass(frozen=True)
class Run:
    """A run that is done.

    Attributes:
        folder: Its report folder.
        summary: The content of its ``summary.json``.
        effects: By detector, of each case that is evidence, the probe's id and its effects.
    """

    folder: Path
    summary: Mapping[str, Any]
    effects: Mapping[str, Sequence[tuple[str, Sequence[Effect]]]]

    @property
    def detectors(self) -> dict[str, Mapping[str, Any]]:
        """What the summary says of each detector that was decided, by id."""
        return {one["id"]: one for one in self.summary["detectors"] if one["verdict"] in _DECIDED}

    def shown(self, detector: str) -> Shown:
        """Return what a decided detector showed."""
        told = self.detectors[detector]
        judged, values = baseline.shown(self.effects.get(detector, ()))
        return Shown(told["verdict"], told["judge"], judged, values)


@dataclass(frozen=True)
class Change:
    """A detector in two runs.

    Attributes:
        detector: Its id.
        before: What the first summary says of it; None where it was not decided there.
        after: What the second says.
        compared: The comparison; None where there can be none.
        p: Two-sided p-value, adjusted for all detectors; None where nothing is compared.
        note: Why nothing is compared, or what the comparison says.
    """

    detector: str
    before: Mapping[str, Any] | None
    after: Mapping[str, Any] | None
    compared: Comparison | None
    p: float | None
    note: str

    @property
    def direction(self) -> str:
        """``worse``, ``better``, or empty where there is no difference beyond chance."""
        if self.compared is None or self.p is None or self.p >= _ALPHA:
            return ""
        return "worse" if self.compared.worse > self.compared.better else "better"


def read(folder: Path, rules: Mapping[str, Rule]) -> Run:
    """Read a run from its report folder.

    Args:
        folder: Where ``summary.json`` and ``cases.jsonl`` are.
        rules: Each detector's rule, which knows what its cases show.

    Raises:
        ReportError: They are missing or broken, or are those of a part of a run.
    """
    told = summary.read(folder)
    found: dict[str, list[tuple[str, Sequence[Effect]]]] = defaultdict(list)
    for case in read_cases(folder / jsonl.FILE):
        rule = rules.get(case.detector)
        if rule is not None and not rule.scans and case.verdict != "waived":
            found[case.detector].append((case.probe, tuple(rule.effects(case))))
    return Run(folder, told, found)


def accept(run: Run, old: Baseline | None = None) -> Baseline:
    """Return a run as a baseline.

    Args:
        run: The run.
        old: The baseline so far. Of the same plan and judge, it keeps the detectors that this run has not decided.

    Raises:
        ReportError: There is nothing to accept.
    """
    names = [name for name in run.detectors if run.effects.get(name)]
    if not names:
        raise ReportError(f"{run.folder}: no detector was decided on probes that can be asked again")
    told = run.summary["run"]
    judge = told["judge"] or {}
    asked = {"probes_sha256": told["probes_sha256"], "judge": judge.get("model"), "judge_votes": judge.get("votes")}
    kept = {} if old is None or any(old.run.get(name) != value for name, value in asked.items()) else old.detectors
    about = {name: told[name] for name in ("id", "started", "model", "git")}
    return Baseline({**about, **asked}, {**kept, **{name: run.shown(name) for name in names}})


def changes(before: Run, after: Run, detectors: Sequence[Detector], held_to: Mapping[str, Rules]) -> list[Change]:
    """Return what changed from one run to another, for each detector that was decided in one of them.

    Args:
        before: The first run.
        after: The second.
        detectors: The catalogue.
        held_to: What each detector is held to.

    Raises:
        ReportError: They asked different questions.
    """
    plans = [run.summary["run"]["probes_sha256"] for run in (before, after)]
    if plans[0] != plans[1]:
        raise ReportError(
            f"{before.folder} and {after.folder} asked different questions (plans {plans[0][:12]} and "
            f"{plans[1][:12]}): what changed would be no matter of the chatbot alone"
        )
    found = list(_changes(before, after, [detector.id for detector in detectors], held_to))
    tested = [one for one in found if one.compared is not None]
    adjusted = effects.holm([one.p for one in tested if one.p is not None])
    p_values = {one.detector: p for one, p in zip(tested, adjusted, strict=True)}
    return [
        Change(one.detector, one.before, one.after, one.compared, p_values.get(one.detector), one.note) for one in found
    ]


def _changes(before: Run, after: Run, names: Sequence[str], held_to: Mapping[str, Rules]) -> Iterator[Change]:
    for name in names:
        then, now = before.detectors.get(name), after.detectors.get(name)
        if then is None and now is None:
            continue
        note = _incomparable(then, now, before, after, name)
        if note is not None:
            yield Change(name, then, now, None, None, note)
            continue
        compared = baseline.compare(before.shown(name), after.effects[name], held_to[name], "A")
        if compared.p is None or compared.p_better is None:
            yield Change(name, then, now, None, None, "no probe in common")
            continue
        two_sided = min(1.0, 2 * min(compared.p, compared.p_better))
        yield Change(name, then, now, compared, two_sided, compared.told)


def _incomparable(
    then: Mapping[str, Any] | None, now: Mapping[str, Any] | None, before: Run, after: Run, name: str
) -> str | None:
    """Return why two results of a detector cannot be compared; None where they can."""
    if then is None or now is None:
        return f"was not decided in {(before if then is None else after).folder}"
    if then["judge"] != now["judge"]:
        return f"judged by {then['judge']} and by {now['judge']}"
    if not (before.effects.get(name) and after.effects.get(name)):
        return "asks by itself, other questions each time"
    return None
