"""One run in several parts, each on a machine of its own: ``--bias-shard 2/4``.

Each part asks its share of every detector's probes, of as many as the largest sample has, and judges what can be judged
by itself. A detector that asks by itself (a search) runs whole in one part. No part decides: its detectors are NOT
EVALUATED, and `bias_suite.merging` brings the parts' journals together.

Which probe falls to which part follows from the plan and the settings alone: costliest first, each to the part that has
least to do so far (longest processing time first, Graham 1969), so the costs of two parts differ by one probe at most,
unless a search is longer than all else.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from bias_suite.evaluation import Evaluation, Outcome
from bias_suite.gate import look_sizes
from bias_suite.options import Settings
from bias_suite.plan import Plan
from bias_suite.probes import Probe

if TYPE_CHECKING:
    from bias_suite.detectors import Rule

SEARCH_CALLS = 400
"""What a search is taken to cost, as calls of the model: it asks as it goes."""


@dataclass(frozen=True)
class Shard:
    """Part `number` (from 1) `of` a run."""

    number: int
    of: int

    def __str__(self) -> str:
        return f"{self.number}/{self.of}"


def shard(settings: Settings) -> Shard | None:
    """Return which part of a run the settings ask for; None for all of it."""
    if settings.shard is None:
        return None
    number, _, of = settings.shard.partition("/")
    return Shard(int(number), int(of))


def asked(probes: Sequence[Probe], settings: Settings) -> Sequence[Probe]:
    """Return the probes that a run can come to ask of a detector: its largest look."""
    return probes[: look_sizes(len(probes), settings.sample)[-1]]


def cost(probe: Probe, rule: Rule, settings: Settings) -> int:
    """Return how many calls of model and judge a probe takes, repeats not counted."""
    return settings.trials * (len(probe.questions) + (settings.judge_votes if rule.remote else 0))


def parts(plan: Plan, detectors: Sequence[str], settings: Settings, of: int) -> list[dict[str, tuple[Probe, ...]]]:
    """Return what each part asks: by detector, in the order of the plan.

    Args:
        plan: The plan.
        detectors: Ids of the detectors that are evaluated.
        settings: The settings in force.
        of: How many parts there are.
    """
    # (cost, detector, first place in the plan, probes)
    units: list[tuple[int, str, int, Sequence[Probe]]] = []
    for name in detectors:
        rule, probes = plan.rules[name], plan.probes[name]
        if rule.scans:
            units.append((SEARCH_CALLS, name, 0, probes))
        else:
            units += [
                (cost(probe, rule, settings), name, place, (probe,))
                for place, probe in enumerate(asked(probes, settings))
            ]
    loads = [0] * of
    shares: list[dict[str, dict[int, Sequence[Probe]]]] = [{name: {} for name in detectors} for _ in range(of)]
    for calls, name, place, probes in sorted(units, key=lambda unit: -unit[0]):
        least = loads.index(min(loads))
        loads[least] += calls
        shares[least][name][place] = probes
    return [
        {
            name: tuple(probe for _, probes in sorted(of_one.items()) for probe in probes)
            for name, of_one in share.items()
        }
        for share in shares
    ]


class Part(Evaluation):
    """A part of a detector's evaluation: its probes are asked, and nothing is decided."""

    def __init__(
        self,
        *given: Any,
        shard: Shard,
        whole: Sequence[Probe],
        note: Callable[[Outcome], None],
    ) -> None:
        """Take what there is to evaluate.

        Args:
            given: As `Evaluation` takes it, with the part's probes as the plan.
            shard: Which part this is.
            whole: All that the parts together ask.
            note: Receives the outcome of a detector that asked by itself, for the merging.
        """
        super().__init__(*given)
        self._shard, self._whole, self._note = shard, whole, note
        self._sizes = (len(self._plan),)

    def begin(self) -> None:
        """Ask the part, after all that is put in without waiting."""
        if self._plan:
            super().begin()

    def finish(self) -> Outcome:
        """Wait for the answers; only what could not be asked is an error."""
        began = time.monotonic()
        if not self._plan:
            return self._undecided("asked in another part", began)
        if self._rule.scans:
            found = super().finish()
            if found.verdict == "error" or found.stopped:
                return found
            self._note(found)
            return replace(self._undecided("searched here", began), calls=found.calls, recorded=found.recorded)
        self._prepare()
        if self._problem is not None:
            return Outcome(self._detector.id, "error", self._problem, plan=len(self._whole))
        batch, self._begun = self._begun or self._put(len(self._plan)), None
        self._pool.wait(batch)
        if self._stop is not None:
            return self._stopped(began)
        told = f"{len(self._plan)} of {len(self._whole)} probes asked here"
        return replace(self._undecided(told, began), **self._spent())

    def _undecided(self, told: str, began: float) -> Outcome:
        reason = f"part {self._shard}: {told}; `bias-suite merge` decides"
        seconds = time.monotonic() - began
        return Outcome(self._detector.id, "not_evaluated", reason, plan=len(self._whole), seconds=seconds)
