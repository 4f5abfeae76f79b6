"""What a run will ask, told before it begins where there is a budget."""

from __future__ import annotations

from collections.abc import Sequence

from bias_suite import trust
from bias_suite.gate import look_sizes
from bias_suite.options import Settings
from bias_suite.plan import Plan


def line(plan: Plan, detectors: Sequence[str], settings: Settings) -> str:
    """Return how many calls the first look of these detectors takes, and how many it can become.

    Args:
        plan: The plan.
        detectors: Ids of the detectors that will be evaluated.
        settings: The settings in force.
    """
    least, most = [0, 0], [0, 0]
    searching = []
    for name in detectors:
        rule, probes = plan.rules[name], plan.probes[name]
        if rule.scans:
            searching.append(name)
            continue
        sizes = look_sizes(len(probes), settings.sample)
        for total, size in ((least, sizes[0]), (most, sizes[-1])):
            total[0] += settings.trials * sum(len(probe.questions) for probe in probes[:size])
            total[1] += settings.trials * settings.judge_votes * size if rule.remote else 0
    model, judge = (
        f"{low:,}" if low == high else f"{low:,} to {high:,}" for low, high in zip(least, most, strict=True)
    )
    judged = f" and {judge} of the judge" if most[1] else ""
    if most[1] and settings.judge_gold:
        gold = len(trust.part(trust.gold(), settings.judge_gold)) * settings.judge_votes
        judged += f" (up to {gold:,} more to measure it)"
    found = f"Estimate: {model} calls of the model{judged}, repeats not counted"
    return f"{found}; {', '.join(searching)} asks as it goes, in addition." if searching else f"{found}."
