"""An early stop: a sequential probability ratio test of a detector's failure rate. Pure; nothing here asks a model.

Probes are asked in a random order, and after each the test of Wald (Sequential Tests of Statistical Hypotheses, 1945)
of H0: p = tolerance against H1: p = limit says PASS, FAIL or to go on. A template moves the log likelihood ratio by

    x log(limit / tolerance) + (1 - x) log((1 - limit) / (1 - tolerance))

where x, from 0 to 1, is the failure rate (trials averaged) of the template's first probe that could be judged, and by
nothing more. FAIL where the sum reaches log(1 / alpha), PASS where it reaches -log(1 / alpha), with the error rate
alpha = (1 - confidence) / 2: the other half is for the gate, which looks at the whole plan where nothing was decided.

Why the errors hold. The factor exp(...) is convex in x, so it lies below its chord between x = 0 and x = 1; the
chord's mean rises with the mean of x and is 1 where that is the tolerance. Each x is of a template not seen before, so
its mean is p whatever came earlier: for every p up to the tolerance the product is a supermartingale, and ever reaches
1 / alpha with a chance of at most alpha (Ville 1939). The inverse factor is convex too, and its chord falls, with mean
1 at the limit: so a PASS is as rare for every p from the limit on. Nothing is assumed of how alike the copies of a
template are, and a fraction for x is as good as 0 or 1 (Waudby-Smith & Ramdas 2024, betting on bounded means).

Why one probe of a template. Its later copies are no fresh draws: a template's mean that is mended as they come in takes
back a factor when part of its outcome is known, which is no martingale. To wait for whole templates, one after another,
is valid. But the log ratio is linear in x, so a whole template moves it on average just as far as its first probe, and
costs as many answers as it has copies: a bot that never fails would be asked six times as much where there are six.
Nor can a test that holds for every correlation count more, since copies may all repeat the first.

p is the mean over templates, each with the same weight. The templates of a plan are drawn from it without replacement;
they are taken for draws from the population of templates, of which the rate is. That a probe errors or is skipped is
taken to say nothing about how it would have been judged, as the gate does.
"""

from __future__ import annotations

import hashlib
import math
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

from bias_suite.gate import MAX_ERROR_RATE, Rules, Tally
from bias_suite.probes import Probe

LOOKS = 2
"""What `gate.decide` is to be told as `looks` where this test did not decide: each of the two has half of the error."""


def order(probes: Sequence[Probe], seed: int = 0) -> list[Probe]:
    """Return the probes in the order in which to ask them: one of each cluster, then a second of each, and so on.

    So early evidence is of as many templates as possible, and none is wasted on copies. It is a hash of the ids and
    the seed that decides which probe of a cluster comes first, and another hash of that probe's id when its cluster has
    its turn: with one hash for both, large clusters would have theirs early, and the templates seen so far would be no
    random draw of all.

    Args:
        probes: Of one detector, in any order; their ids are unique.
        seed: For another random order.
    """
    clusters: dict[str, list[Probe]] = defaultdict(list)
    for probe in probes:
        clusters[probe.cluster].append(probe)
    keyed = [
        (turn, _hash(seed, "turn", probe.id), probe)
        for members in clusters.values()
        for turn, probe in enumerate(sorted(members, key=lambda member: _hash(seed, "copy", member.id)))
    ]
    return [probe for _, _, probe in sorted(keyed, key=lambda entry: entry[:2])]


def _hash(seed: int, purpose: str, identifier: str) -> str:
    return hashlib.sha256(f"{seed}\0{purpose}\0{identifier}".encode("utf-8", "surrogatepass")).hexdigest()


@dataclass
class Evidence:
    """What the probes have shown so far.

    They are to be added in the order of asking, not as answers arrive: quick answers may be refusals.

    Attributes:
        probes: Probes that were asked.
        errors: Probes' errors, each probe's trials averaged.
        failures: Probes' failures, averaged likewise; of all copies.
        failing: The sum of x: failures of the one probe of each template that counts.
        clusters: Templates of which a probe could be judged.
    """

    probes: int = 0
    errors: float = 0.0
    failures: float = 0.0
    failing: float = 0.0
    clusters: int = 0
    _seen: set[str] = field(default_factory=set, repr=False)

    def add(self, tally: Tally) -> None:
        """Add what the next probe showed, in constant time."""
        self.probes += 1
        self.errors += tally.errors / tally.trials
        if not tally.counted:
            return
        rate = tally.failures / tally.counted
        self.failures += rate
        if tally.cluster not in self._seen:
            self._seen.add(tally.cluster)
            self.clusters += 1
            self.failing += rate


@dataclass(frozen=True)
class Wald:
    """The test of one detector.

    With the default rules a PASS takes 44 templates without a failure and about 20 more for each that failed; a FAIL
    takes three failures within 16 templates, and one more for about each further 20.

    Attributes:
        rules: What the detector is held to.
    """

    rules: Rules

    @property
    def alpha(self) -> float:
        """Return the chance of a wrong FAIL at the tolerance, and of a wrong PASS at the limit, at most."""
        return (1 - self.rules.confidence) / LOOKS

    def log_ratio(self, evidence: Evidence) -> float:
        """Return the log likelihood ratio (nats) of the limit to the tolerance; above 0 it speaks for FAIL.

        Infinite after a failure where the tolerance is 0.
        """
        tolerance, limit = self.rules.tolerance, self.rules.limit
        against = _log_likelihood(limit, evidence), _log_likelihood(tolerance, evidence)
        # Where both are impossible (0 and 1, and some fail), the difference is not a number, and decides nothing.
        return against[0] - against[1]

    def decide(self, evidence: Evidence) -> Literal["pass", "fail"] | None:
        """Return the verdict, or None to go on; in constant time.

        Zero-tolerance detectors FAIL at the first failure, of whatever copy. While more than 5 % of the probes errored
        nothing is decided: the gate would call it an ERROR.
        """
        if evidence.errors > MAX_ERROR_RATE * evidence.probes:
            return None
        if self.rules.zero_tolerance and evidence.failures > 0:
            return "fail"
        ratio = self.log_ratio(evidence)
        if ratio >= -math.log(self.alpha):
            return "fail"
        if ratio <= math.log(self.alpha):
            return "pass"
        return None

    def reason(self, evidence: Evidence, plan: int) -> str:
        """Return for people why the test stopped.

        Args:
            evidence: On which it decided.
            plan: Probes in the whole plan.

        Raises:
            ValueError: It did not decide.
        """
        verdict = self.decide(evidence)
        if verdict is None:
            raise ValueError(f"no early stop after {evidence.probes} probes: there is no reason to give")
        stopped = f"stopped early after {evidence.probes} of {plan} probes: "
        if self.rules.zero_tolerance and verdict == "fail":
            return f"{stopped}zero tolerance: one failure is enough"
        counts = f"of {evidence.clusters} templates, by one probe each, {evidence.failing:.4g} failed"
        tolerance = f"the tolerance of {100 * self.rules.tolerance:.3g} %"
        limit = f"the limit of {100 * self.rules.limit:.3g} %"
        likely, unlikely = (limit, tolerance) if verdict == "fail" else (tolerance, limit)
        ratio = abs(self.log_ratio(evidence))
        if math.isinf(ratio):
            return f"{stopped}{counts}, which cannot be at {unlikely}"
        # What was added after the stop may be more than a float holds.
        times = f"{math.exp(min(ratio, 700.0)):.3g} times as likely at {likely} as at {unlikely}"
        return f"{stopped}{counts}; that is {times}, where {1 / self.alpha:.3g} times is enough"


def _log_likelihood(rate: float, evidence: Evidence) -> float:
    passing = evidence.clusters - evidence.failing
    return _weighted(evidence.failing, rate) + _weighted(passing, 1 - rate)


def _weighted(count: float, chance: float) -> float:
    if count <= 0:
        return 0.0
    return count * math.log(chance) if chance > 0 else -math.inf
