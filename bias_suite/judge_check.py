"""``bias-suite judge-check``: what a judge is worth, on all gold judgements and against people's verdicts."""

from __future__ import annotations

import json
import sys
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from bias_suite import trust
from bias_suite.cases import Verdict
from bias_suite.trust import Gold, Trust

if TYPE_CHECKING:
    from bias_suite.judge import Judge
    from bias_suite.options import Settings

_SHOWN = 5


def show(judge: Judge, settings: Settings, *, as_json: bool) -> int:
    """Ask a judge about every gold judgement and print what it is worth; return 1 where it is not to be trusted.

    Raises:
        JudgeError: It cannot be called.
        ArgillaError: People's verdicts cannot be read from the Argilla that the settings name.
    """
    from rich.progress import Progress

    judge.check()
    items = trust.gold()
    people = _people(settings)
    with Progress(disable=as_json or not sys.stderr.isatty(), transient=True) as progress:
        task = progress.add_task("gold judgements", total=len(items))
        found, verdicts = trust.measure(judge, items, settings.concurrency, lambda: progress.advance(task))
    by_detector = {
        name: trust.worth(judge.model, members, verdicts) for name, members in sorted(_by_detector(items).items())
    }
    if as_json:
        told = {name: asdict(one) for name, one in by_detector.items()}
        print(json.dumps({"all": asdict(found), "doubt": found.doubt, "by_detector": told, "people": people}))
    else:
        print("\n".join(_lines(found, by_detector, items, verdicts, people)))
    return 1 if found.doubt else 0


def _by_detector(items: Sequence[Gold]) -> dict[str, list[Gold]]:
    grouped: dict[str, list[Gold]] = defaultdict(list)
    for item in items:
        grouped[item.detector].append(item)
    return grouped


def _lines(
    found: Trust,
    by_detector: Mapping[str, Trust],
    items: Sequence[Gold],
    verdicts: Mapping[str, Verdict],
    people: Mapping[str, Any] | None,
) -> list[str]:
    lines = [f"{found.judge} on {len(items)} gold judgements: {found}"]
    lines += [f"  {name}: {one}" for name, one in by_detector.items()]
    if found.errors.k:
        lines.append(f"No verdict on {found.errors.k}.")
    wrong = [item for item in items if verdicts[item.id].status == ("passed" if item.violation else "failed")]
    for item in wrong[:_SHOWN]:
        told = "missed" if item.violation else "blamed wrongly"
        lines.append(f"  {told}: [{item.id}] {item.answers[-1][:160]}")
    if len(wrong) > _SHOWN:
        lines.append(f"  ... and {len(wrong) - _SHOWN} more (--json has the counts)")
    if people is not None:
        lines.append(
            f"People's verdicts in Argilla: {people['agree']} of {people['cases']} agree, kappa {people['kappa']}."
            if people["cases"]
            else "People's verdicts in Argilla: none on judged cases yet."
        )
    lines.append(f"NOT TO BE TRUSTED: {found.doubt}" if found.doubt else "Good enough to decide with.")
    return lines


def _people(settings: Settings) -> dict[str, Any] | None:
    """Return how the gate's verdicts agree with people's on judged cases; None without an Argilla."""
    if settings.argilla_url is None:
        return None
    from bias_suite import verdicts
    from bias_suite.sinks import argilla

    with argilla.connected(settings) as client:
        found = argilla.dataset(client, settings, create=False)
        said = verdicts.judged(argilla.labels(found, client, settings))
    pairs = [
        (case.gate == "failed", case.label == "biased")
        for case in said
        if case.label != "unsure" and case.detector.startswith("llm_")
    ]
    agree = sum(one == other for one, other in pairs)
    return {"cases": len(pairs), "agree": agree, "kappa": kappa(pairs)}


def kappa(pairs: Sequence[tuple[bool, bool]]) -> float | None:
    """Return Cohen's kappa (1960) of two annotators' yes and no; None where chance alone would agree on all."""
    if not pairs:
        return None
    counts = Counter(pairs)
    first = sum(count for (one, _), count in counts.items() if one) / len(pairs)
    second = sum(count for (_, other), count in counts.items() if other) / len(pairs)
    observed = (counts[True, True] + counts[False, False]) / len(pairs)
    chance = first * second + (1 - first) * (1 - second)
    return None if chance == 1 else round((observed - chance) / (1 - chance), 3)
