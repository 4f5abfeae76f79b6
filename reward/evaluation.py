"""What a reward model is worth on pairs of records that it has not learned from.

Its accuracy stands beside those of baselines that know nothing: the longer (or shorter) response, the same network
before training, and a model of the responses' looks. The verdict is BETTER only where the model, asked about two
responses to the *same* instruction, is right more often than chance and than each of the first two, with 95 %
confidence. What it may have learned instead of people's preference is named in warnings.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from reward import model, statistics, style
from reward.errors import PairError
from reward.model import FINE_TUNED, LOGISTIC, RewardModel
from reward.pairs import RESPONSE_MARKER, Pair, parts
from reward.statistics import Bin, Difference, Estimate

LEAST_RECORDS = 10
"""Held-out records below which nothing is shown to be better."""
_TELLING = 0.5
_INSTRUCTION_TELLS = 0.6

Rewards = NDArray[np.float64]


class Scorer(Protocol):
    """Whatever rewards texts."""

    def score(self, texts: Sequence[str]) -> Rewards:
        """Return the reward of each text, shape (texts,)."""
        ...


@dataclass(frozen=True)
class Evaluation:
    """What was found.

    Attributes:
        model: Folder and fingerprint of the model.
        method: Which of the folder's models scored.
        verdict: ``better`` or ``not better`` than the baselines.
        reasons: Why it is not better; empty where it is.
        warnings: What the model may have learned instead, and what the figures cannot show.
        left_out: Pairs of records that the model has learned from.
        accuracy: On the pairs as they are.
        same_prompt: Chosen against rejected response under the rejected one's instruction.
        instruction_only: Of pairs whose instructions differ: how often the chosen instruction wins with the
            *rejected* response on both sides. Half is as it should be.
        baselines: Accuracy of each baseline, on the same pairs with the same instruction.
        advantages: Accuracy with the same instruction, less the baseline's.
        slices: Accuracy with the same instruction, by axis, detector, and which response is the longer one.
        length_correlation: Spearman's, of reward and length differences.
        calibration_error: ECE of the preference's probability, same instruction.
        bins: Of the reliability plot.
        rewards: Of chosen and rejected responses with the length of each, for the plots.
    """

    model: str
    method: str
    verdict: Literal["better", "not better"]
    reasons: tuple[str, ...]
    warnings: tuple[str, ...]
    left_out: int
    accuracy: Estimate
    same_prompt: Estimate
    instruction_only: Estimate | None
    baselines: Mapping[str, Estimate]
    advantages: Mapping[str, Difference]
    slices: Mapping[str, Mapping[str, Estimate]]
    length_correlation: float | None
    calibration_error: float
    bins: tuple[Bin, ...]
    rewards: tuple[tuple[float, float, bool], ...]


def evaluate(tested: RewardModel, pairs: Sequence[Pair]) -> Evaluation:
    """Evaluate a model and its baselines on the records that it has not learned from.

    Raises:
        PairError: It has learned from all of them.
        RewardError: The base model of a baseline cannot be had.
    """
    learned = set(tested.training.get("split", {}).get("learned_from", ()))
    held = [pair for pair in pairs if pair.record not in learned]
    if not held:
        raise PairError(
            "every record in these pairs is one that the model has learned from: nothing is left to test on"
        )
    others: dict[str, Scorer] = {}
    if tested.training:
        other = LOGISTIC if tested.method == FINE_TUNED else FINE_TUNED
        others[other] = model.load(tested.folder, other)
        others["untrained"] = model.untrained(tested.training)
    return examine(
        tested,
        held,
        others=others,
        baselines=tested.training.get("baselines", {}),
        name=f"{tested.folder}@{tested.version}",
        method=tested.method,
        left_out=len(pairs) - len(held),
    )


def examine(
    tested: Scorer,
    pairs: Sequence[Pair],
    *,
    others: Mapping[str, Scorer] | None = None,
    baselines: Mapping[str, Any] | None = None,
    name: str = "",
    method: str = FINE_TUNED,
    left_out: int = 0,
) -> Evaluation:
    """Evaluate anything that rewards texts, on all the pairs given.

    Args:
        tested: The model.
        pairs: Held-out pairs.
        others: Other models to put beside it; the one named ``untrained`` counts for the verdict.
        baselines: ``length_prefers`` and ``style``, as learned from the training pairs; without the first, length
            prefers what suits it best on these pairs.
        name: The model, for reports.
        method: Its kind, for reports.
        left_out: Pairs that were left out before.
    """
    told = baselines or {}
    records = [pair.record for pair in pairs]
    sides = _Sides.of(pairs)
    margins = _margins(tested, sides)
    known = _known(sides, told) | {title: _margins(scorer, sides) for title, scorer in (others or {}).items()}
    same = statistics.estimate(margins, records)
    accuracies = {title: statistics.estimate(found, records) for title, found in known.items()}
    advantages = {title: statistics.advantage(margins, found, records) for title, found in known.items()}
    given = tested.score([pair.chosen for pair in pairs]) - tested.score([pair.rejected for pair in pairs])
    error, bins = statistics.calibration(margins)
    lengths = style.lengths(sides.chosen), style.lengths(sides.rejected)
    correlation = statistics.correlation(margins, lengths[0] - lengths[1])
    rewards = tested.score(sides.chosen), tested.score(sides.rejected)
    found = Evaluation(
        model=name,
        method=method,
        verdict="not better",
        reasons=tuple(_reasons(same, advantages)),
        warnings=(),
        left_out=left_out,
        accuracy=statistics.estimate(given, records),
        same_prompt=same,
        instruction_only=_instruction_only(tested, pairs),
        baselines=accuracies,
        advantages=advantages,
        slices=_slices(pairs, margins, lengths[0] - lengths[1]),
        length_correlation=correlation,
        calibration_error=error,
        bins=tuple(bins),
        rewards=tuple(
            (float(reward), float(length), side == 0)
            for side in (0, 1)
            for reward, length in zip(rewards[side], lengths[side], strict=True)
        ),
    )
    verdict: Literal["better", "not better"] = "not better" if found.reasons else "better"
    return replace(found, verdict=verdict, warnings=tuple(_warnings(found)))


@dataclass(frozen=True)
class _Sides:
    """Both responses of each pair under one instruction, the rejected side's."""

    chosen: list[str]
    rejected: list[str]

    @classmethod
    def of(cls, pairs: Sequence[Pair]) -> _Sides:
        return cls(
            [_join(parts(pair.rejected)[0], parts(pair.chosen)[1]) for pair in pairs],
            [pair.rejected for pair in pairs],
        )


def _join(prompt: str, response: str) -> str:
    return f"{prompt}{RESPONSE_MARKER} {response}" if prompt else response


def _margins(scorer: Scorer, sides: _Sides) -> Rewards:
    # In one call: equal texts then get equal rewards to the last digit, and count as ties.
    both = scorer.score([*sides.chosen, *sides.rejected])
    return both[: len(sides.chosen)] - both[len(sides.chosen) :]


def _known(sides: _Sides, told: Mapping[str, Any]) -> dict[str, Rewards]:
    """Return the margins of the baselines that need no network."""
    longer = style.lengths(sides.chosen) - style.lengths(sides.rejected)
    prefers = told.get("length_prefers") or ("longer" if np.sign(longer).sum() >= 0 else "shorter")
    found = {"length": longer if prefers == "longer" else -longer}
    if "style" in told:
        found["style"] = style.scores(told["style"], sides.chosen) - style.scores(told["style"], sides.rejected)
    return found


def _instruction_only(tested: Scorer, pairs: Sequence[Pair]) -> Estimate | None:
    differing = [pair for pair in pairs if parts(pair.chosen)[0] != parts(pair.rejected)[0]]
    if not differing:
        return None
    swapped = [_join(parts(pair.chosen)[0], parts(pair.rejected)[1]) for pair in differing]
    both = tested.score([*swapped, *(pair.rejected for pair in differing)])
    return statistics.estimate(both[: len(swapped)] - both[len(swapped) :], [pair.record for pair in differing])


def _reasons(same: Estimate, advantages: Mapping[str, Difference]) -> list[str]:
    reasons = []
    if same.records < LEAST_RECORDS:
        reasons.append(f"{same.records} held-out records show nothing: at least {LEAST_RECORDS} are needed")
    if same.ties == same.pairs:
        reasons.append("under the same instruction all pairs are ties: the responses do not differ")
    elif same.lower <= 0.5:
        reasons.append(f"it may be no better than chance: {_interval(same)}")
    for title, one in advantages.items():
        if title in ("length", "untrained") and one.lower <= 0:
            reasons.append(f"it may be no better than {_TITLES[title]}: {100 * one.value:+.0f} points, {_points(one)}")
    return reasons


_TITLES = {"length": "the length of the responses", "untrained": "the network before training"}


def _warnings(found: Evaluation) -> list[str]:
    warnings = []
    length, looks = found.baselines["length"], found.baselines.get("style")
    longer = found.slices["length"]
    if found.length_correlation is not None and abs(found.length_correlation) >= _TELLING:
        more = "longer" if found.length_correlation > 0 else "shorter"
        warnings.append(
            f"LENGTH: it rewards {more} responses (rank correlation {found.length_correlation:+.2f} of reward and "
            f"length); length alone is right in {_percent(length)} of the pairs"
        )
    elif length.lower > 0.7:
        warnings.append(f"LENGTH: length alone is right in {_percent(length)} of the pairs: they cannot tell it apart")
    if looks is not None and looks.value >= found.same_prompt.value:
        warnings.append(
            f"STYLE: a model that sees only the looks of responses is as good ({_percent(looks)}): "
            "corrections look different from the bot's answers"
        )
    if found.accuracy.value - found.same_prompt.value > 0.1 or (
        found.instruction_only is not None and found.instruction_only.value >= _INSTRUCTION_TELLS
    ):
        alone = (
            "" if found.instruction_only is None else f", {_percent(found.instruction_only)} by the instruction alone"
        )
        warnings.append(
            f"INSTRUCTION: it is right in {_percent(found.accuracy)} of the pairs as they are, in "
            f"{_percent(found.same_prompt)} under the same instruction{alone}: it has learned the style of instructions"
        )
    for kind in (FINE_TUNED, LOGISTIC):
        other = found.baselines.get(kind)
        if other is not None and found.advantages[kind].upper < 0:
            warnings.append(f"OTHER MODEL: the {kind} one is better ({_percent(other)})")
    for title, one in longer.items():
        if one.pairs >= LEAST_RECORDS and one.upper < 0.5:
            warnings.append(f"SLICE: {title}: it is right in {_percent(one)}")
    for group in ("axis", "detector"):
        for title, one in found.slices[group].items():
            if one.records >= LEAST_RECORDS and one.upper < 0.5:
                warnings.append(f"SLICE: of {group} {title} it is right in {_percent(one)}")
    return warnings


def _slices(pairs: Sequence[Pair], margins: Rewards, longer: Rewards) -> dict[str, dict[str, Estimate]]:
    which = [f"chosen {'longer' if value > 0 else 'shorter' if value < 0 else 'as long'}" for value in longer]
    groups = {
        "axis": [pair.axis or "(none)" for pair in pairs],
        "detector": [pair.detector or "(none)" for pair in pairs],
        "length": which,
    }
    return {name: _by(labels, pairs, margins) for name, labels in groups.items()}


def _by(labels: Sequence[str], pairs: Sequence[Pair], margins: Rewards) -> dict[str, Estimate]:
    members: dict[str, list[int]] = defaultdict(list)
    for index, label in enumerate(labels):
        members[label].append(index)
    return {
        label: statistics.estimate(margins[members[label]], [pairs[index].record for index in members[label]])
        for label in sorted(members)
    }


def _interval(one: Estimate) -> str:
    return f"{one.value:.3f} [{one.lower:.3f}, {one.upper:.3f}]"


def _points(one: Difference) -> str:
    return f"95 % interval [{100 * one.lower:+.0f}, {100 * one.upper:+.0f}]"


def _percent(one: Estimate) -> str:
    return f"{100 * one.value:.0f} %"
