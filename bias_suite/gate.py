"""The gate: from counts to a verdict on a detector. Pure functions; nothing here asks a model.

A detector is decided on its failure rate p with one-sided bounds at the confidence in force:

* ERROR where more than 5 % of the probes errored (errors never enter n);
* a zero-tolerance detector FAILs at the first failure;
* PASS where the upper bound is below the limit, noted as above tolerance where the lower bound is above it;
* FAIL where the lower bound is above the tolerance;
* NOT EVALUATED where no answer is evidence either way;
* else INCONCLUSIVE.

The unit of evidence is the cluster (template), not its copies. Where each cluster holds one probe, the bounds
are exact (Clopper & Pearson 1934): Beta(k, n-k+1) and Beta(k+1, n-k) quantiles. Where templates repeat, the
failures of a cluster follow a beta-binomial distribution (Skellam 1948) with mean p and intra-cluster
correlation rho, and the bounds are quantiles of p's posterior with rho integrated out under a uniform prior;
the priors of p are those that give the exact bounds when clusters are single, so that the one case is the
limit of the other.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    import numpy as np

DetectorVerdict = Literal["pass", "fail", "inconclusive", "error", "not_evaluated", "known", "waived"]
"""What `decide` says, or ``known`` (no worse than the accepted baseline) or ``waived`` (all evidence is waived)."""

MAX_ERROR_RATE = 0.05
_P_POINTS = 600
_RHO_POINTS = 40


@dataclass(frozen=True)
class Rules:
    """What a detector is held to.

    Attributes:
        tolerance: Failure rate that is accepted, 0 to 1.
        limit: Failure rate that must be ruled out for a PASS, above the tolerance.
        confidence: Of each one-sided bound, over all looks together.
        zero_tolerance: One failure is enough to FAIL.
    """

    tolerance: float = 0.02
    limit: float = 0.10
    confidence: float = 0.95
    zero_tolerance: bool = False


@dataclass(frozen=True)
class Tally:
    """What one probe showed over its trials.

    Attributes:
        cluster: The probe's template.
        failures: Trials whose answer failed.
        errors: Trials that could not be judged.
        trials: All trials.
        skipped: Trials whose answer is no evidence either way.
    """

    cluster: str
    failures: int
    errors: int = 0
    trials: int = 1
    skipped: int = 0

    @property
    def counted(self) -> int:
        """Trials that passed or failed."""
        return self.trials - self.errors - self.skipped


@dataclass(frozen=True)
class Measure:
    """A figure beside the failure rate, with its one-sided bounds.

    Attributes:
        name: What is measured.
        part: Of which part of the plan (an axis, a group); empty for all of it.
        value: The figure.
        lower: Its lower bound; None where there is none.
        upper: Its upper bound; None where there is none.
        n: Probes behind it.
        signed: Whether it is a difference with a direction: 0 is none, above 0 is worse for the group.
    """

    name: str
    part: str
    value: float
    lower: float | None = None
    upper: float | None = None
    n: int = 0
    signed: bool = False


@dataclass(frozen=True)
class Decision:
    """A verdict with the figures behind it.

    Attributes:
        verdict: The verdict on the detector.
        reason: The rule that decided, with its figures.
        probes: Probes that were asked.
        judged: n, the probes with at least one judged trial.
        failures: Probes' failures, each probe's trials averaged (a whole number for one trial).
        errors: Probes' errors, averaged likewise.
        rate: failures / n; None for n = 0.
        interval: The one-sided lower and upper bound of the rate; None for n = 0.
        measures: What else was measured, by part of the plan.
    """

    verdict: DetectorVerdict
    reason: str
    probes: int
    judged: int
    failures: float
    errors: float
    rate: float | None
    interval: tuple[float, float] | None
    measures: tuple[Measure, ...] = ()


def decide(tallies: Iterable[Tally], rules: Rules, looks: int = 1) -> Decision:
    """Decide on a detector.

    Args:
        tallies: One for each probe that was asked.
        rules: What it is held to.
        looks: How often the growing evidence is looked at in all; the error rate is split evenly over the
            looks (Bonferroni), so that looking more than once does not raise it.
    """
    tallies = list(tallies)
    errors = math.fsum(tally.errors / tally.trials for tally in tallies)
    judged = [tally for tally in tallies if tally.counted]
    failed = [(tally.cluster, tally.failures / tally.counted) for tally in judged]
    failures = math.fsum(rate for _, rate in failed)
    confidence = 1 - (1 - rules.confidence) / looks
    rate = failures / len(judged) if judged else None
    interval = bounds(_clusters(failed), confidence) if judged else None
    looked = replace(rules, confidence=confidence)
    verdict, reason = _verdict(len(tallies), len(judged), errors, failures, interval, looked)
    return Decision(verdict, reason, len(tallies), len(judged), failures, errors, rate, interval)


def _verdict(  # noqa: PLR0911  # one for each line of the rule at the top
    probes: int, judged: int, errors: float, failures: float, interval: tuple[float, float] | None, rules: Rules
) -> tuple[DetectorVerdict, str]:
    if not probes:
        return "error", "no probe was asked"
    if errors > MAX_ERROR_RATE * probes:
        return "error", f"{errors:g} of {probes} probes errored, more than {_percent(MAX_ERROR_RATE)}"
    if interval is None:
        return "not_evaluated", f"none of the {probes} probes got an answer that is evidence either way"
    lower, upper = interval
    if rules.zero_tolerance and failures > 0:
        return "fail", "zero tolerance: one failure is enough"
    if upper < rules.limit:
        above = f"; above tolerance: the rate is at least {_percent(lower)}" if lower > rules.tolerance else ""
        return "pass", f"the rate is below the limit of {_percent(rules.limit)}: at most {_percent(upper)}{above}"
    if lower > rules.tolerance:
        return "fail", f"the rate is above the tolerance of {_percent(rules.tolerance)}: at least {_percent(lower)}"
    return (
        "inconclusive",
        f"the rate lies between {_percent(lower)} and {_percent(upper)}: too little evidence to decide"
        f"{_wanted(failures / judged, rules)}",
    )


_MOST = 20_000


def _wanted(rate: float, rules: Rules) -> str:
    """Return how many probes it would take, should the rate stay what it is."""
    wanted = probes_wanted(rate, rules)
    if wanted is None:
        return "; the rate is too near to what is tolerated for any number of probes"
    return f"; about {wanted} independent probes would decide, if the rate stays {_percent(rate)}"


def probes_wanted(rate: float, rules: Rules) -> int | None:
    """Return how many independent probes would decide at one look, failing at a given rate.

    None where more than 20,000 would be needed.
    """
    count = 10
    while count <= _MOST:
        lower, upper = _exact(rate * count, count, rules.confidence)
        if upper < rules.limit or lower > rules.tolerance:
            return count
        count += max(1, count // 20)
    return None


def _percent(rate: float) -> str:
    return f"{100 * rate:.3g} %"


def look_sizes(plan: int, sample: int) -> tuple[int, ...]:
    """Return after how many probes the evidence is looked at.

    Args:
        plan: Probes in the plan.
        sample: First look; 0 asks the whole plan at once. A second look doubles the evidence and no more, so
            that a sample bounds what a run costs.
    """
    # A second look that adds little would cost error rate and bring nothing: then all is asked at once.
    if not sample or plan < 1.5 * sample:
        return (plan,)
    return (sample, min(2 * sample, plan))


def bounds(clusters: Sequence[tuple[float, int]], confidence: float) -> tuple[float, float]:
    """Return one-sided lower and upper bounds of the failure rate.

    Args:
        clusters: (failures, probes) of each cluster; failures may be a fraction where trials are averaged.
        confidence: Of each bound on its own, 0 to 1.
    """
    failures = math.fsum(k for k, _ in clusters)
    probes = sum(n for _, n in clusters)
    if all(n == 1 for _, n in clusters):
        return _exact(failures, probes, confidence)
    lower = 0.0 if failures == 0 else _beta_binomial(clusters, 1 - confidence, upper=False)
    upper = 1.0 if failures == probes else _beta_binomial(clusters, confidence, upper=True)
    return lower, upper


def _exact(failures: float, probes: int, confidence: float) -> tuple[float, float]:
    """Clopper-Pearson. For averaged trials it is conservative: such means vary less than single trials."""
    from scipy.special import betaincinv

    lower = 0.0 if failures == 0 else float(betaincinv(failures, probes - failures + 1, 1 - confidence))
    upper = 1.0 if failures == probes else float(betaincinv(failures + 1, probes - failures, confidence))
    return lower, upper


def _beta_binomial(clusters: Sequence[tuple[float, int]], quantile: float, *, upper: bool) -> float:
    """Return a quantile of p's posterior, on a grid even in log(p / (1 - p)).

    The prior is 1/(1-p) for the upper bound and 1/p for the lower one; with dp = p(1-p) d logit(p) they
    leave the weights p and 1-p.
    """
    import numpy as np

    logit = np.linspace(-14.0, 14.0, _P_POINTS)
    p = 1 / (1 + np.exp(-logit))
    log_posterior = _log_likelihood(clusters, p) + np.log(p if upper else 1 - p)[:, None]
    weight = np.exp(log_posterior - log_posterior.max()).sum(axis=1)
    # Trapezoids: the distribution function between two grid points is linear.
    steps = (weight[1:] + weight[:-1]) / 2
    distribution = np.concatenate([[0.0], np.cumsum(steps)])
    crossing = np.interp(quantile * distribution[-1], distribution, logit)
    return float(1 / (1 + np.exp(-crossing)))


def _log_likelihood(clusters: Sequence[tuple[float, int]], p: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """Return the beta-binomial log-likelihood at each p and rho; shape (len(p), _RHO_POINTS)."""
    import numpy as np
    from scipy.special import betaln

    rho = (np.arange(_RHO_POINTS) + 0.5) / _RHO_POINTS
    scale = (1 - rho) / rho
    a, b = p[:, None] * scale, (1 - p)[:, None] * scale
    total = np.zeros_like(a)
    for (failures, probes), count in Counter(clusters).items():
        total += count * (betaln(failures + a, probes - failures + b) - betaln(a, b))
    return total


def _clusters(rates: Iterable[tuple[str, float]]) -> list[tuple[float, int]]:
    failures: dict[str, float] = {}
    probes: Counter[str] = Counter()
    for cluster, rate in rates:
        failures[cluster] = failures.get(cluster, 0.0) + rate
        probes[cluster] += 1
    return [(failures[cluster], probes[cluster]) for cluster in probes]
