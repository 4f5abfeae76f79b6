"""What a reward model is worth on pairs of records that it has not learned from.

Its accuracy stands beside those of baselines that know nothing: the longer (or shorter) response, the same network
before training, and a model of the responses' looks. The verdict is BETTER only where the model, asked about two
responses to the *same* instruction, is right more often than chance and than each of the first two, with 95 %
confidence. What it may have learned instead of people's preference is named in warnings.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from reward import findings, model, statistics, style
from reward.errors import PairError, RewardModelError
from reward.model import FINE_TUNED, LOGISTIC, RewardModel
from reward.pairs import RESPONSE_MARKER, Pair, parts, together
from reward.statistics import Bin, Difference, Estimate

_UNKNOWN = "UNKNOWN: the folder does not tell what the model has learned from: all records count as held out"

Rewards = NDArray[np.float64]


class Scorer(Protocol):
    """Whatever rewards texts."""

    def score(self, texts: Sequence[str]) -> Rewards:
        """Return the reward of each text, shape (texts,)."""
        ...


Progress = Callable[[str, int, int], None]
"""Called with what is being done, the steps done, and all steps."""


@dataclass(frozen=True)
class _Watched:
    """A model that tells how far it is, and is in memory only where `load` keeps it there."""

    load: Callable[[], RewardModel]
    name: str
    progress: Progress

    def score(self, texts: Sequence[str]) -> Rewards:
        return self.load().score(texts, step=lambda done, steps: self.progress(self.name, done, steps))


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


def evaluate(
    tested: RewardModel, pairs: Sequence[Pair], *, progress: Progress = lambda task, done, steps: None
) -> Evaluation:
    """Evaluate a model and its baselines on the records that it has not learned from.

    Args:
        tested: The model.
        pairs: Pairs, also of records that it has learned from: these are left out.
        progress: Told which model scores, the texts done and all texts.

    Raises:
        PairError: It has learned from all of them.
        RewardError: The base model of a baseline cannot be had.
    """
    learned = set(tested.training.get("split", {}).get("learned_from", ()))
    joined = together(pairs)
    known = {one.record for pair, one in zip(pairs, joined, strict=True) if pair.record in learned}
    held = [one for one in joined if one.record not in known]
    if not held:
        raise PairError(
            "every record in these pairs is one that the model has learned from: nothing is left to test on"
        )
    others: dict[str, Scorer] = {}
    if tested.training:
        other = LOGISTIC if tested.method == FINE_TUNED else FINE_TUNED
        others[other] = _Watched(lambda: model.load(tested.folder, other), other, progress)
        others["untrained"] = _Watched(lambda: model.untrained(tested.training), "untrained", progress)
    found = examine(
        _Watched(lambda: tested, tested.method, progress),
        held,
        others=others,
        baselines=tested.training.get("baselines", {}),
        name=f"{tested.folder}@{tested.version}",
        method=tested.method,
        left_out=len(pairs) - len(held),
    )
    more = [] if tested.training else [_UNKNOWN]
    shortened, cut = tested.lost([text for pair in held for text in (pair.chosen, pair.rejected)])
    if shortened:
        more.append(f"CUT: {shortened} texts are too long and lost a part of the instruction, {cut} of the response")
    return replace(found, warnings=(*more, *found.warnings))


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
    differing = [pair for pair in pairs if parts(pair.chosen)[0] != parts(pair.rejected)[0]]
    swapped = [_join(parts(pair.chosen)[0], parts(pair.rejected)[1]) for pair in differing]
    given = [pair.chosen for pair in pairs], [pair.rejected for pair in pairs]
    # Each text once, all in one call: equal texts then have equal rewards to the last digit, and count as ties.
    reward = _Rewards.of(tested, [*sides.chosen, *sides.rejected, *given[0], *given[1], *swapped])
    margins = reward(sides.chosen) - reward(sides.rejected)
    known = _known(sides, told)
    for title, scorer in (others or {}).items():
        other = _Rewards.of(scorer, [*sides.chosen, *sides.rejected])
        known[title] = other(sides.chosen) - other(sides.rejected)
    same = statistics.estimate(margins, records)
    accuracies = {title: statistics.estimate(found, records) for title, found in known.items()}
    advantages = {title: statistics.advantage(margins, found, records) for title, found in known.items()}
    error, bins = statistics.calibration(margins)
    lengths = style.lengths(sides.chosen), style.lengths(sides.rejected)
    instruction_only = None
    if differing:
        difference = reward(swapped) - reward([pair.rejected for pair in differing])
        instruction_only = statistics.estimate(difference, [pair.record for pair in differing])
    found = Evaluation(
        model=name,
        method=method,
        verdict="not better",
        reasons=tuple(findings.reasons(same, advantages, alike=sides.chosen == sides.rejected)),
        warnings=(),
        left_out=left_out,
        accuracy=statistics.estimate(reward(given[0]) - reward(given[1]), records),
        same_prompt=same,
        instruction_only=instruction_only,
        baselines=accuracies,
        advantages=advantages,
        slices=_slices(pairs, margins, lengths[0] - lengths[1]),
        length_correlation=statistics.correlation(margins, lengths[0] - lengths[1]),
        calibration_error=error,
        bins=tuple(bins),
        rewards=tuple(
            (float(value), float(length), texts is sides.chosen)
            for texts, long in zip((sides.chosen, sides.rejected), lengths, strict=True)
            for value, length in zip(reward(texts), long, strict=True)
        ),
    )
    verdict: Literal["better", "not better"] = "not better" if found.reasons else "better"
    return replace(found, verdict=verdict, warnings=tuple(findings.warnings(found)))


@dataclass(frozen=True)
class _Sides:
    """Both responses of each pair under one instruction, the rejected side's."""

    chosen: list[str]
    rejected: list[str]

    @classmethod
    def of(cls, pairs: Sequence[Pair]) -> _Sides:
        return cls(
            [_join(parts(pair.rejected)[0], parts(pair.chosen)[1]) for pair in pairs],
            [_join(*parts(pair.rejected)) for pair in pairs],
        )


def _join(prompt: str, response: str) -> str:
    return f"{prompt}{RESPONSE_MARKER} {response}" if prompt else response


@dataclass(frozen=True)
class _Rewards:
    """What a model gives texts."""

    by_text: Mapping[str, float]

    @classmethod
    def of(cls, scorer: Scorer, texts: Sequence[str]) -> _Rewards:
        distinct = list(dict.fromkeys(texts))
        rewards = scorer.score(distinct)
        if not np.isfinite(rewards).all():
            raise RewardModelError(f"{int((~np.isfinite(rewards)).sum())} of {len(distinct)} rewards are no number")
        return cls(dict(zip(distinct, map(float, rewards), strict=True)))

    def __call__(self, texts: Sequence[str]) -> Rewards:
        return np.array([self.by_text[text] for text in texts])


def _known(sides: _Sides, told: Mapping[str, Any]) -> dict[str, Rewards]:
    """Return the margins of the baselines that need no network."""
    longer = style.lengths(sides.chosen) - style.lengths(sides.rejected)
    prefers = told.get("length_prefers") or ("longer" if np.sign(longer).sum() >= 0 else "shorter")
    found = {"length": longer if prefers == "longer" else -longer}
    if "style" in told:
        found["style"] = style.scores(told["style"], sides.chosen) - style.scores(told["style"], sides.rejected)
    return found


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
