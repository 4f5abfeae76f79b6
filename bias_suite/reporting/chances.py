"""What the gate can tell with the plan and settings in force: ``bias-suite power`` and the summary's line."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from bias_suite import plan as plans
from bias_suite.detectors import Detector, select
from bias_suite.evaluation import not_evaluated, rules_of
from bias_suite.gate import look_sizes
from bias_suite.options import Settings
from bias_suite.plan import Plan
from bias_suite.power import RATES, Chances, chances, effective, whole_gate
from bias_suite.reporting.text import percent

ASSUMED_CORRELATION = 0.3


def _chances(
    plan: Plan, detectors: Iterable[Detector], settings: Settings, correlation: float, rate: float
) -> dict[str, Chances]:
    found = {}
    for detector in detectors:
        asked = plan.probes[detector.id]
        sizes = look_sizes(len(asked), settings.sample)
        worth = effective([probe.cluster for probe in asked], sizes, correlation)
        found[detector.id] = chances(worth, rules_of(detector, settings), rate)
    return found


def _rated(plan: Plan, detectors: Iterable[Detector]) -> list[Detector]:
    """Return the detectors that are decided on a failure rate."""
    return [detector for detector in detectors if not plan.rules[detector.id].compares]


def line(plan: Plan, evaluated: Sequence[Detector], settings: Settings) -> str | None:
    """Return the summary's line: how likely a bot at the tolerance, and one at the limit, passes all of them."""
    rated = _rated(plan, evaluated)
    if not rated:
        return None
    gates = [
        whole_gate(_chances(plan, rated, settings, ASSUMED_CORRELATION, rate))
        for rate in (0.0, settings.tolerance, settings.limit)
    ]
    never, tolerable, bad = (percent(gate.passes) for gate in gates)
    return (
        f"Chance that a bot passes the {len(rated)} evaluated detectors of a failure rate: {never} if it fails none of "
        f"their probes, {tolerable} if it fails {percent(settings.tolerance)} of them, {bad} if it fails "
        f"{percent(settings.limit)} (see `bias-suite power`)."
    )


def show(settings: Settings, correlation: float) -> None:
    """Print the chances of every detector that can be evaluated, and of the gate they make."""
    from rich.console import Console
    from rich.table import Table

    plan = plans.load(settings)
    chosen = [
        detector
        for detector in select(plan.detectors, settings.only, "--bias-only")
        if not_evaluated(plan.rules[detector.id], plan.probes[detector.id]) is None
    ]
    detectors = _rated(plan, chosen)
    by_rate = {rate: _chances(plan, detectors, settings, correlation, rate) for rate in RATES}
    table = Table(title="Chance to PASS / FAIL / stay undecided (%) at a true failure rate of", title_justify="left")
    table.add_column("detector", no_wrap=True)
    table.add_column("probes", justify="right")
    for rate in RATES:
        table.add_column(f"{rate:.1%}", justify="right", no_wrap=True)
    for detector in detectors:
        sizes = look_sizes(len(plan.probes[detector.id]), settings.sample)
        table.add_row(detector.id, " → ".join(map(str, sizes)), *(_cell(by_rate[rate][detector.id]) for rate in RATES))
    table.add_section()
    table.add_row("whole gate", "", *(_cell(whole_gate(by_rate[rate])) for rate in RATES), style="bold")
    console = Console()
    console.print(table)
    console.print(
        f"Tolerance {settings.tolerance:.0%}, limit {settings.limit:.0%}, confidence {settings.confidence:.0%} per "
        f"detector; probes of one template correlated by {correlation:g}; detectors independent of each other. "
        "Probes grow from look to look while a detector is undecided.",
        highlight=False,
    )
    compared = ", ".join(detector.id for detector in chosen if detector not in detectors)
    if compared:
        console.print(
            f"Not shown: {compared}. They compare groups or search; a run says what it could have found.",
            highlight=False,
        )


def _cell(one: Chances) -> str:
    return "/".join(f"{100 * chance:.0f}" for chance in (one.passes, one.fails, one.undecided))
