"""What an evaluation's figures say: why a model is not better, and what it may have learned instead."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from reward.model import FINE_TUNED, LOGISTIC
from reward.statistics import Difference, Estimate

if TYPE_CHECKING:
    from reward.evaluation import Evaluation

LEAST_RECORDS = 10
"""Held-out records below which nothing is shown to be better."""
_TELLING = 0.5
_INSTRUCTION_TELLS = 0.6
_TITLES = {"length": "the length of the responses", "untrained": "the network before training"}


def reasons(same: Estimate, advantages: Mapping[str, Difference], *, alike: bool) -> list[str]:
    """Return why a model is not better than the baselines; nothing where it is.

    Args:
        same: Its accuracy with the same instruction on both sides.
        advantages: That, less each baseline's.
        alike: Whether no pair has two different responses.
    """
    found = []
    if same.records < LEAST_RECORDS:
        found.append(f"{same.records} held-out records show nothing: at least {LEAST_RECORDS} are needed")
    if same.ties == same.pairs:
        why = "the responses do not differ" if alike else "it rewards both responses of each alike"
        found.append(f"under the same instruction all pairs are ties: {why}")
    elif same.lower <= 0.5:
        found.append(f"it may be no better than chance: {_interval(same)}")
    for title, one in advantages.items():
        if title in ("length", "untrained") and one.lower <= 0:
            found.append(f"it may be no better than {_TITLES[title]}: {100 * one.value:+.0f} points, {_points(one)}")
    return found


def warnings(found: Evaluation) -> list[str]:
    """Return what a model may have learned instead of people's preference, and what the figures cannot show."""
    said = []
    length, looks = found.baselines["length"], found.baselines.get("style")
    longer = found.slices["length"]
    if found.length_correlation is not None and abs(found.length_correlation) >= _TELLING:
        more = "longer" if found.length_correlation > 0 else "shorter"
        said.append(
            f"LENGTH: it rewards {more} responses (rank correlation {found.length_correlation:+.2f} of reward and "
            f"length); length alone is right in {_percent(length)} of the pairs"
        )
    elif length.lower > 0.7:
        said.append(f"LENGTH: length alone is right in {_percent(length)} of the pairs: they cannot tell it apart")
    if looks is not None and looks.value >= found.same_prompt.value:
        said.append(
            f"STYLE: a model that sees only the looks of responses is as good ({_percent(looks)}): "
            "corrections look different from the bot's answers"
        )
    if found.accuracy.value - found.same_prompt.value > 0.1 or (
        found.instruction_only is not None and found.instruction_only.value >= _INSTRUCTION_TELLS
    ):
        alone = (
            "" if found.instruction_only is None else f", {_percent(found.instruction_only)} by the instruction alone"
        )
        said.append(
            f"INSTRUCTION: it is right in {_percent(found.accuracy)} of the pairs as they are, in "
            f"{_percent(found.same_prompt)} under the same instruction{alone}: it has learned the style of instructions"
        )
    for kind in (FINE_TUNED, LOGISTIC):
        other = found.baselines.get(kind)
        if other is not None and found.advantages[kind].upper < 0:
            said.append(f"OTHER MODEL: the {kind} one is better ({_percent(other)})")
    for title, one in longer.items():
        if one.records >= LEAST_RECORDS and one.upper < 0.5:
            said.append(f"SLICE: {title}: it is right in {_percent(one)}")
    for group in ("axis", "detector"):
        for title, one in found.slices[group].items():
            if one.records >= LEAST_RECORDS and one.upper < 0.5:
                said.append(f"SLICE: of {group} {title} it is right in {_percent(one)}")
    return said


def _interval(one: Estimate) -> str:
    return f"{one.value:.3f} [{one.lower:.3f}, {one.upper:.3f}]"


def _points(one: Difference) -> str:
    return f"95 % interval [{100 * one.lower:+.0f}, {100 * one.upper:+.0f}]"


def _percent(one: Estimate) -> str:
    return f"{100 * one.value:.0f} %"
