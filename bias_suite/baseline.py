"""The baseline: what a run has shown that somebody accepted, and whether this run is worse. Pure but for its file.

A run is compared with the baseline on the same probes: of each the effect then is taken from the effect now (for a
failure rate: 1 where it fails and did not, -1 where it did and does not, else 0). Whether it got worse is McNemar's
exact test over templates, and by how much a bound of the mean, both as in `bias_suite.effects`; where a detector
compares groups, its measures, axes and groups are tested, adjusted by Holm's method.

* A regression is a FAIL, also below the limit. For zero tolerance one more failing probe is one.
* What is no regression stays what it was (``strict``), or becomes KNOWN (``ratchet``) where the accepted run was no
  PASS either and the same probes rule out that it got worse by as much as the limit. KNOWN does not block.
"""

from __future__ import annotations

import json
import math
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from bias_suite import effects
from bias_suite.effects import Effect, Family
from bias_suite.errors import BaselineError
from bias_suite.gate import Rules

if TYPE_CHECKING:
    from bias_suite.evaluation import Outcome

SCHEMA = 1
Status = Literal["regression", "improved", "same"]
_ACCEPTED = ("fail", "inconclusive", "known")


@dataclass(frozen=True)
class Shown:
    """What a detector showed in the accepted run.

    Attributes:
        verdict: The verdict on it.
        judge: Name, version and prompt of the judge; None where no LLM judged.
        judged: The probes that got an answer that is evidence.
        effects: By probe, what was not 0, by measure.
    """

    verdict: str
    judge: str | None
    judged: tuple[str, ...]
    effects: Mapping[str, Mapping[str, float]]


@dataclass(frozen=True)
class Baseline:
    """An accepted run.

    Attributes:
        run: Its id, start, model, commit, plan fingerprint, and the judge's name and votes.
        detectors: What each detector showed that was evaluated, by id.
    """

    run: Mapping[str, Any]
    detectors: Mapping[str, Shown]


@dataclass(frozen=True)
class Comparison:
    """A detector, compared with the baseline.

    Attributes:
        status: Whether it got worse or better by more than chance.
        common: Probes that were judged both times.
        worse: Templates that lean to the worse, in the measure that tells most.
        better: Templates that lean to the better, in the same measure.
        p: One-sided p-value of "worse", adjusted for all comparisons; None without anything in common.
        p_better: The same of "better".
        upper: The most by which it may have got worse, by any measure; None without anything in common.
        told: Where the templates lean, in words.
    """

    status: Status
    common: int
    worse: int
    better: int
    p: float | None
    p_better: float | None
    upper: float | None
    told: str

    @property
    def reason(self) -> str:
        """What is told, with the p-value of the side that it leans to."""
        if self.p is None or self.p_better is None:
            return self.told
        return f"{self.told} (p = {min(self.p, self.p_better):.2g})"


def shown(probes: Iterable[tuple[str, Iterable[Effect]]]) -> tuple[tuple[str, ...], dict[str, dict[str, float]]]:
    """Return which probes were judged, and of each the effects that are not 0, trials averaged.

    Args:
        probes: Of each judged case, the probe's id and its effects.
    """
    means = _means(probes)
    judged = tuple(sorted(means))
    kept = {probe: {measure: one.value for measure, one in means[probe].items() if one.value} for probe in judged}
    return judged, {probe: values for probe, values in kept.items() if values}


def _means(probes: Iterable[tuple[str, Iterable[Effect]]]) -> dict[str, dict[str, Effect]]:
    found: dict[str, dict[str, list[Effect]]] = defaultdict(lambda: defaultdict(list))
    for probe, showed in probes:
        for effect in showed:
            found[probe][effect.measure].append(effect)
    return {
        probe: {
            measure: replace(trials[0], value=math.fsum(one.value for one in trials) / len(trials))
            for measure, trials in measures.items()
        }
        for probe, measures in found.items()
    }


def compare(
    before: Shown, probes: Iterable[tuple[str, Iterable[Effect]]], rules: Rules, name: str = "the baseline"
) -> Comparison:
    """Compare a detector with what it showed in the accepted run.

    Args:
        before: What it showed then.
        probes: Of each case that is evidence now, the probe's id and its effects.
        rules: What the detector is held to.
        name: What the accepted run is called.
    """
    judged, now = set(before.judged), _means(probes)
    common = [probe for probe in now if probe in judged]
    risen = [
        replace(effect, value=effect.value - before.effects.get(probe, {}).get(measure, 0.0))
        for probe in common
        for measure, effect in now[probe].items()
    ]
    if not risen:
        return Comparison("same", 0, 0, 0, None, None, None, f"no probe in common with {name}")
    families = effects.families(risen, rules.confidence)
    worst, p = _telling(families)
    upper = max(one.upper for one in families if not one.part)
    telling, p_better = _telling([_turned(one) for one in families])
    regressed = any(one.worse for one in families) if rules.zero_tolerance else p < 1 - rules.confidence
    status: Status = "regression" if regressed else "improved" if p_better < 1 - rules.confidence else "same"
    one = _turned(telling) if p_better < p else worst
    what = ", ".join(filter(None, ("" if one.measure == effects.FAILING else one.measure, one.part)))
    told = (
        f"{what}{': ' if what else ''}worse than {name} in {one.worse} and better in {one.better} of "
        f"{one.clusters} templates"
    )
    return Comparison(status, len(common), one.worse, one.better, p, p_better, upper, told)


def _telling(families: Sequence[Family]) -> tuple[Family, float]:
    """Return the family that tells most of a rise, and its p-value; wholes and parts have half the error rate each."""
    whole, parts = ([one for one in families if bool(one.part) is part] for part in (False, True))
    share = 2 if parts else 1
    ranked = [
        (min(1.0, share * p), -one.mean, place, one)
        for tier in (whole, parts)
        for place, (p, one) in enumerate(zip(effects.holm([one.p for one in tier]), tier, strict=True))
    ]
    p, _, _, one = min(ranked, key=lambda found: found[:2])
    return one, p


def _turned(one: Family) -> Family:
    return replace(
        one,
        mean=-one.mean,
        lower=-one.upper,
        upper=-one.lower,
        worse=one.better,
        better=one.worse,
        p=effects.sign_test(one.better, one.worse),
    )


def held(outcome: Outcome, before: Shown, compared: Comparison, rules: Rules, *, ratchet: bool) -> Outcome:
    """Return the outcome of a detector in the light of the baseline.

    Args:
        outcome: What the gate says of it; PASS, FAIL or INCONCLUSIVE.
        before: What it showed in the accepted run.
        compared: The comparison.
        rules: What the detector is held to.
        ratchet: Whether what is known does not block.
    """
    outcome = replace(outcome, baseline=compared)
    if compared.status == "regression":
        return replace(outcome, verdict="fail", reason=f"regression: {compared.reason}; {outcome.reason}")
    if outcome.verdict == "pass":
        return outcome
    if compared.upper is None or compared.upper >= rules.limit:
        unknown = compared.told if compared.upper is None else f"it may have got worse by {100 * compared.upper:.1f} %"
        return replace(outcome, reason=f"{outcome.reason}; against the baseline too little is known: {unknown}")
    if before.verdict not in _ACCEPTED:
        return replace(outcome, reason=f"{outcome.reason}; the baseline was a {before.verdict.upper()}")
    no_worse = f"no worse than the baseline: {compared.reason}, at most {100 * compared.upper:.1f} % worse"
    if ratchet:
        return replace(outcome, verdict="known", reason=f"{no_worse}; {outcome.reason}")
    return replace(outcome, reason=f"{outcome.reason}; {no_worse} (--bias-baseline-mode ratchet would let it pass)")


def read(path: Path) -> Baseline:
    """Read a baseline.

    Raises:
        BaselineError: It is missing or is none.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise BaselineError(f"{path}: there is no baseline: `bias-suite baseline accept reports` makes one") from None
    except OSError as error:
        raise BaselineError(f"{path}: {error.strerror}") from None
    except ValueError as error:
        raise BaselineError(f"{path}: is no baseline: {error}") from None
    if not isinstance(content, dict) or content.get("schema") != SCHEMA:
        raise BaselineError(f"{path}: is no baseline of schema {SCHEMA}: accept a run anew")
    try:
        detectors = {
            name: Shown(one["verdict"], one["judge"], tuple(one["judged"]), one["effects"])
            for name, one in content["detectors"].items()
        }
        return Baseline(content["run"], detectors)
    except (KeyError, TypeError, AttributeError) as error:
        raise BaselineError(f"{path}: is no baseline: {error!r}") from None


def write(baseline: Baseline, path: Path) -> None:
    """Write a baseline, one probe a line, so that a review shows what changed.

    Raises:
        BaselineError: It cannot be written.
    """
    from bias_suite import files

    content = {
        "schema": SCHEMA,
        "run": dict(baseline.run),
        "detectors": {name: asdict(baseline.detectors[name]) for name in sorted(baseline.detectors)},
    }
    try:
        files.write(path, json.dumps(content, indent=1, ensure_ascii=False, sort_keys=True) + "\n")
    except OSError as error:
        raise BaselineError(f"{path}: cannot be written: {error.strerror}") from None


def require_same(baseline: Baseline, path: Path, run: Mapping[str, Any]) -> None:
    """Check that a baseline is of the run's plan and judge.

    Args:
        baseline: The baseline.
        path: Its file, for the message.
        run: ``probes_sha256``, ``judge`` and ``judge_votes`` of the run.

    Raises:
        BaselineError: It is not; the message says what differs.
    """
    names = {"probes_sha256": "plan", "judge": "judge", "judge_votes": "number of votes of the judge"}
    if not (baseline.run.get("judge") and run["judge"]):  # judged detectors are then in one of the two alone
        names = {"probes_sha256": "plan"}
    for name, title in names.items():
        then, now = baseline.run.get(name), run[name]
        if then != now:
            was, is_ = (str(one)[:12] if name == "probes_sha256" else one or "none" for one in (then, now))
            raise BaselineError(
                f"{path}: is of another {title}: {was} then, {is_} now; what it says cannot be compared: "
                "accept a run of this one (`bias-suite baseline accept`)"
            )


def require_same_judge(detector: str, before: Shown, judges: Iterable[str]) -> None:
    """Check that one version of the judge judged a detector both times.

    Raises:
        BaselineError: It did not.
    """
    met = sorted({*judges, *([before.judge] if before.judge else [])})
    if len(met) > 1:
        raise BaselineError(
            f"the baseline of {detector} cannot be compared: another version of the judge, or another prompt, judged "
            f"it ({', '.join(met)}); accept a run of this one (`bias-suite baseline accept`)"
        )
