"""What somebody has accepted of a chatbot that is not perfect, in one process of a run: waivers, and the baseline."""

from __future__ import annotations

import datetime
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from bias_suite import baseline as baselines
from bias_suite import evaluation
from bias_suite import waivers as waived
from bias_suite.baseline import Baseline
from bias_suite.cases import Case, read_cases
from bias_suite.detectors import Detector, Rule
from bias_suite.evaluation import Outcome
from bias_suite.options import Settings
from bias_suite.plan import Plan
from bias_suite.reporting.summary import Row
from bias_suite.waivers import Waivers


class Accepted:
    """Waivers and baseline of a run."""

    def __init__(self, settings: Settings, plan: Plan, today: datetime.date) -> None:
        """Read what the settings name.

        Args:
            settings: The settings in force.
            plan: The plan.
            today: The day on which the run began.

        Raises:
            WaiverError: The waivers are wrong.
            BaselineError: The baseline cannot be read, or is of another plan or judge.
        """
        self._settings = settings
        self._waivers: Waivers | None = None
        self._baseline: Baseline | None = None
        if settings.waivers is not None:
            self._waivers = waived.read(settings.waivers, today, _requirements(plan))
        if settings.baseline is not None:
            self._baseline = baselines.read(settings.baseline)
            run = {
                "probes_sha256": plan.sha256,
                "judge": settings.judge,
                "judge_votes": settings.judge_votes,
            }
            baselines.require_same(self._baseline, settings.baseline, run)

    def waive(self, case: Case) -> Case:
        """Return a case as waived where a waiver covers it, else as it is."""
        return self._waivers.apply(case) if self._waivers else case

    def held(self, detector: Detector, rule: Rule, outcome: Outcome) -> Outcome:
        """Return a detector's outcome in the light of the baseline; as it is where that does not know the detector.

        Raises:
            BaselineError: Another version of the judge has judged it.
        """
        before = self._baseline.detectors.get(detector.id) if self._baseline else None
        if before is None or rule.scans or outcome.verdict not in ("pass", "fail", "inconclusive"):
            return outcome
        baselines.require_same_judge(detector.id, before, [one.judge for one in outcome.judging])
        counted = [(case.probe, list(rule.effects(case))) for case in evaluation.unwaived(outcome.cases)]
        rules = evaluation.rules_of(detector, self._settings)
        compared = baselines.compare(before, counted, rules)
        return baselines.held(outcome, before, compared, rules, ratchet=self._settings.baseline_mode == "ratchet")

    def waivers_told(self, cases: Path) -> list[dict[str, Any]]:
        """Return the waivers for ``summary.json``.

        Args:
            cases: The run's ``cases.jsonl``.

        Raises:
            ReportError: The cases cannot be read.
        """
        if self._waivers is None:
            return []
        return self._waivers.told(read_cases(cases) if cases.exists() else ())

    def baseline_told(self) -> dict[str, Any] | None:
        """Return for ``summary.json`` which accepted run this one is compared with; None without."""
        if self._baseline is None:
            return None
        told = {name: self._baseline.run.get(name) for name in ("id", "started", "model", "git")}
        return {"mode": self._settings.baseline_mode, **told}

    def notes(self, rows: Sequence[Row], waivers: Sequence[dict[str, Any]]) -> list[str]:
        """Return for people what waivers and baseline did in a run.

        Args:
            rows: The results.
            waivers: As `waivers_told` returned them.
        """
        lines = waived.notes(waivers)
        if self._baseline is None:
            return lines
        compared = [row for row in rows if row.baseline]
        improved = [row.id for row in compared if '"status": "improved"' in (row.baseline or "")]
        lines.append(
            f"Compared with the baseline of {self._baseline.run['started'][:10]}: {len(compared)} detectors "
            f"({self._settings.baseline_mode})."
        )
        if improved:
            lines.append(
                f"Better than the baseline: {', '.join(improved)}. To hold that, accept this run: "
                f"bias-suite baseline accept {self._settings.report_dir.name}"
            )
        return lines


def _requirements(plan: Plan) -> dict[str, frozenset[str] | None]:
    return {
        # What a detector that asks by itself will ask for is not known before.
        name: None if rule.scans and not plan.probes[name] else frozenset(one.requirement for one in plan.probes[name])
        for name, rule in plan.rules.items()
    }
