"""What a run of a given size can tell: the chance of each verdict at a true failure rate.

A gate that passes a bad bot, blocks a good one or leaves both undecided does so because of how many probes it
asks. These chances depend on the plan's sizes and the settings alone, so they can be known before a release.
"""

from __future__ import annotations

import bisect
import functools
import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from bias_suite.gate import Rules, Tally, decide

RATES = (0.0, 0.005, 0.01, 0.02, 0.05, 0.10, 0.20)


@dataclass(frozen=True)
class Chances:
    """Chance of each verdict at one true failure rate; they add up to 1."""

    passes: float
    fails: float
    undecided: float


def chances(sizes: Sequence[int], rules: Rules, rate: float) -> Chances:
    """Return the exact chance of each verdict for independent probes that fail at a true rate.

    The number of failures seen so far, while undecided, is followed from look to look.

    Args:
        sizes: Independent probes seen at each look, growing.
        rules: What the detector is held to.
        rate: The true failure rate, 0 to 1.
    """
    undecided: dict[int, float] = {0: 1.0}
    asked, passes, fails = 0, 0.0, 0.0
    for size in sizes:
        step = _binomial(size - asked, rate)
        spread: dict[int, float] = {}
        for failures, chance in undecided.items():
            for more, share in enumerate(step):
                spread[failures + more] = spread.get(failures + more, 0.0) + chance * share
        undecided, asked = {}, size
        passing, failing = _bounds(size, rules, len(sizes))
        for failures, chance in spread.items():
            if failures <= passing:
                passes += chance
            elif failures >= failing:
                fails += chance
            else:
                undecided[failures] = chance
    return Chances(passes, fails, math.fsum(undecided.values()))


@functools.cache
def _bounds(probes: int, rules: Rules, looks: int) -> tuple[int, int]:
    """Return the most failures of so many probes that pass (-1 for none), and the least that fail."""

    def verdict(failures: int) -> str:
        tallies = [Tally(cluster=str(index), failures=int(index < failures)) for index in range(probes)]
        return decide(tallies, rules, looks).verdict

    # More failures never make a verdict better.
    counts = range(probes + 1)
    passing = bisect.bisect_left(counts, 1, key=lambda failures: int(verdict(failures) != "pass")) - 1
    failing = bisect.bisect_left(counts, 1, key=lambda failures: int(verdict(failures) == "fail"))
    return passing, failing


def _binomial(trials: int, rate: float) -> list[float]:
    if rate in (0.0, 1.0):
        return [float(k == rate * trials) for k in range(trials + 1)]
    # By logarithms: the coefficients of a thousand trials are beyond a float.
    whole, fails, holds = math.lgamma(trials + 1), math.log(rate), math.log1p(-rate)
    return [
        math.exp(whole - math.lgamma(k + 1) - math.lgamma(trials - k + 1) + k * fails + (trials - k) * holds)
        for k in range(trials + 1)
    ]


def effective(clusters: Sequence[str], sizes: Sequence[int], correlation: float) -> tuple[int, ...]:
    """Return how many independent probes each look is worth: n / (1 + (m - 1) rho) (Kish 1965).

    Here m is the mean size of a probe's cluster within the look. The gate itself assumes no rho: it takes the
    correlation from the answers.

    Args:
        clusters: The cluster of each probe of the plan, in the order of asking.
        sizes: Probes seen at each look.
        correlation: rho, the correlation of two probes of one template, 0 to 1.
    """
    worth = []
    for size in sizes:
        mean_size = sum(count * count for count in Counter(clusters[:size]).values()) / size
        worth.append(round(size / (1 + (mean_size - 1) * correlation)))
    return tuple(worth)


def whole_gate(each: Mapping[str, Chances]) -> Chances:
    """Return the chances of the gate: it passes where all detectors do, fails where one fails.

    Detectors are taken as independent of each other.
    """
    passes = math.prod(one.passes for one in each.values())
    fails = 1 - math.prod(1 - one.fails for one in each.values())
    return Chances(passes, fails, max(0.0, 1 - passes - fails))
