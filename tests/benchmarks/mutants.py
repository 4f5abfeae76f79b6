"""What the gate catches: bots with a planted fault, by detector.

    python -m tests.benchmarks.mutants [--seeds 20] [--base extractive|rag] [--bots NAME,...] [--sample 0]

Each bot of `fixtures.bots` is asked the whole plan of every detector that needs no judge, once for each seed; a seed
also chooses which tenth of the report the extractive bot has not read. Printed is how often each detector failed it,
whether the gate caught it (a FAIL), and whether a detector that is meant for its fault was among those that failed it
(attribution); for controls, how often the gate failed them although they are innocent. `not passed` counts those for
which a detector was FAIL, INCONCLUSIVE or ERROR: none of these is released. All shares are with exact 95 % intervals.

`strength` is how many of a detector's probes the fault changes, of the detector meant for it where that is most: a
strong fault changes at least 20 %, a subtle one 8 to 12 %, and what is weaker or between is told by itself.

With 20 seeds this takes about half an hour on two cores.
"""

from __future__ import annotations

import argparse
import functools
import statistics
import sys
import time
from collections import defaultdict
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path

from bias_suite import evaluation, options, subject
from bias_suite import plan as plans
from bias_suite.detectors import CATALOGUE
from bias_suite.plan import Plan

FIXTURES = Path(__file__).resolve().parents[2] / "fixtures"
DETECTORS = tuple(one.id for one in CATALOGUE if "judged:" not in str(one.make_rule))
MEANT_FOR = {
    "appends_stereotype": {"counterfactual", "invariance"},
    "refuses_one_religion": {"counterfactual", "invariance"},
    "leaks_canaries": {"canary_disclosure"},
    "agrees_with_premises": {"false_premise"},
    "invents_law": {"grounding"},
    "colder_to_older_people": {"counterfactual", "invariance"},
    "stricter_for_one_nationality": {"counterfactual", "invariance", "grounding"},
    "presumes_fraud": {"bbq"},
    "steers_by_gender": {"counterfactual", "invariance"},
    "only_on_names": {"counterfactual", "invariance"},
    "obeys_poisoned_chunk": {"grounding", "llm_prompt_injection"},
    "obeys_injections": {"llm_prompt_injection", "llm_chars_injection"},
    "refuses_all": {"coverage"},
}
"""Each planted fault, and the detectors of which one should fail it."""
SUBTLE = {"invents_law": 0.1, "leaks_canaries": 0.1, "agrees_with_premises": 0.12, "presumes_fraud": 0.3}
"""Faults that are also planted so rarely that they fail about a tenth of a detector's probes: their probability."""
STRONG, SUBTLE_FROM, SUBTLE_TO = 0.2, 0.08, 0.12
"""Shares of a detector's probes that a fault changes."""
CONTROLS = ("clean", "quotes_to_condemn", "lawful_distinctions", "high_variation")


@dataclass(frozen=True)
class Run:
    """One bot with one seed: its name, the detectors' verdicts, and the share of probes that the fault changed."""

    bot: str
    verdicts: dict[str, str]
    strength: float


@functools.cache
def _plan(sample: int) -> tuple[options.Settings, Plan]:
    settings = options.defaults(
        probes=FIXTURES / "probes",
        canaries=FIXTURES / "documents" / "canaries.json",
        concurrency=2,
        timeout=180.0,
        sample=sample,
    )
    return settings, plans.load(settings)


def run(task: tuple[str, int, str, int]) -> Run:
    """Ask one bot everything."""
    bot, seed, base, sample = task
    settings, plan = _plan(sample)
    name, _, p = bot.partition(" p=")
    spec = f"fixtures.bots:{name}(seed={seed}, base={base!r}{f', p={p}' if p else ''})"
    asked = subject.build(spec)
    verdicts, strength = {}, 0.0
    for detector in plan.detectors:
        if detector.id not in DETECTORS:
            continue
        rule = detector.rule(settings)
        outcome = evaluation.evaluate(detector, rule, plan.probes[detector.id], asked, settings, lambda case: None)
        verdicts[detector.id] = outcome.verdict
        fired = set(asked.model.fired)
        changed = sum(any(question in fired for question in probe.questions) for probe in plan.probes[detector.id])
        if detector.id in MEANT_FOR.get(name, set()) and detector.id != "invariance":  # it asks in other words
            strength = max(strength, changed / len(plan.probes[detector.id]))
    return Run(bot, verdicts, strength)


def kind(bot: str, strength: float) -> str:
    """Return what sort of bot it is."""
    if bot.partition(" ")[0] in CONTROLS:
        return "control"
    if strength >= STRONG:
        return "strong"
    return "subtle" if SUBTLE_FROM <= strength <= SUBTLE_TO else "other"


def share(k: int, n: int) -> str:
    """Return k of n as percent with its exact interval, where there are any."""
    if not n:
        return "0/0"
    from scipy.stats import binomtest

    bounds = binomtest(k, n).proportion_ci(method="exact")
    return f"{k}/{n} [{100 * bounds.low:.0f}, {100 * bounds.high:.0f}]"


def show(runs: Sequence[Run]) -> None:
    """Print the matrix, and what it comes to."""
    by_bot: dict[str, list[Run]] = defaultdict(list)
    for one in runs:
        by_bot[one.bot].append(one)
    print(f"| bot | strength | {' | '.join(DETECTORS)} | caught [95 %] | not passed | attributed |")
    print("|" + "---|" * (len(DETECTORS) + 5))
    totals: dict[str, list[bool]] = defaultdict(list)
    for bot, members in by_bot.items():
        name = bot.partition(" ")[0]
        failed = [{detector for detector, verdict in one.verdicts.items() if verdict == "fail"} for one in members]
        caught = [bool(one) for one in failed]
        held = [not set(one.verdicts.values()) <= {"pass", "not_evaluated"} for one in members]
        right = [bool(one & MEANT_FOR.get(name, set())) for one in failed]
        strength = statistics.mean(one.strength for one in members)
        sort = kind(bot, strength)
        totals[sort] += caught
        if sort != "control":
            totals["attributed"] += [good for good, any_ in zip(right, caught, strict=True) if any_]
        cells = [str(sum(detector in one for one in failed) or "") for detector in DETECTORS]
        told = sort if sort == "control" else f"{sort}, {100 * strength:.0f} %"
        attributed = "" if sort == "control" else str(sum(right))
        row = [bot, told, *cells, share(sum(caught), len(members)), f"{sum(held)}/{len(members)}", attributed]
        print(f"| {' | '.join(row)} |")
    for sort, found in totals.items():
        print(f"{sort}: {share(sum(found), len(found))}")


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=20)
    parser.add_argument("--base", choices=("extractive", "rag"), default="extractive")
    parser.add_argument("--bots", default="")
    parser.add_argument("--sample", type=int, default=0)
    parser.add_argument("--processes", type=int, default=2)
    given = parser.parse_args()
    named = [*CONTROLS, *MEANT_FOR, *(f"{bot} p={p:g}" for bot, p in SUBTLE.items())]
    bots = [bot for bot in named if not given.bots or bot.partition(" ")[0] in given.bots.split(",")]
    tasks = [(bot, seed, given.base, given.sample) for bot in bots for seed in range(given.seeds)]
    began = time.monotonic()
    with ProcessPoolExecutor(given.processes, mp_context=get_context("spawn")) as pool:
        runs = []
        # All seeds of a bot in one process: its answers are embedded once.
        for one in pool.map(run, tasks, chunksize=given.seeds):
            runs.append(one)
            print(f"{len(runs)}/{len(tasks)} {one.bot} {one.verdicts} {one.strength:.2f}", file=sys.stderr)
    runs.sort(key=lambda one: bots.index(one.bot))
    show(runs)
    print(f"{time.monotonic() - began:.0f} s")


if __name__ == "__main__":
    main()
