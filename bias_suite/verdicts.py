"""``bias-suite verdicts``: what people said of the cases, and how often they agree with the gate."""

from __future__ import annotations

import datetime
import json
import sys
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bias_suite.errors import ReportError
from bias_suite.options import Settings
from bias_suite.reporting.text import cut, percent
from bias_suite.sinks import argilla
from bias_suite.sinks.argilla import Label

_CONFIDENCE = 0.95
_WAIVED_FOR = datetime.timedelta(days=90)
_USED = "The gate heeds them with --bias-waivers."
_SAME = {"failed": "biased", "passed": "acceptable"}


@dataclass(frozen=True)
class Judged:
    """One case as people see it: the label that most of them gave, ``unsure`` where they are divided."""

    case: str
    gate: str
    label: str
    people: int
    requirement: str
    detector: str


@dataclass(frozen=True)
class Share:
    """k of n, with a two-sided exact interval (Clopper and Pearson 1934); None for n = 0."""

    k: int
    n: int
    interval: tuple[float, float] | None

    def __str__(self) -> str:
        if self.interval is None:
            return "0 of 0"
        lower, upper = self.interval
        return f"{self.k} of {self.n} ({percent(self.k / self.n)} [{percent(lower)}, {percent(upper)}])"


def share(k: int, n: int) -> Share:
    """Return k of n with its 95 % interval."""
    if not n:
        return Share(k, n, None)
    from scipy.stats import binomtest

    found = binomtest(k, n).proportion_ci(confidence_level=_CONFIDENCE, method="exact")
    return Share(k, n, (float(found.low), float(found.high)))


def judged(labels: Iterable[Label]) -> list[Judged]:
    """Return a case for all that was said of it, by case id."""
    by_case: dict[str, list[Label]] = defaultdict(list)
    for label in labels:
        by_case[label.case].append(label)
    return [
        Judged(
            case, said[0].gate, _most(said), len({one.person for one in said}), said[0].requirement, said[0].detector
        )
        for case, said in sorted(by_case.items())
    ]


def _most(said: Sequence[Label]) -> str:
    counts = Counter(one.label for one in said)
    (label, most), *others = counts.most_common()
    return "unsure" if others and others[0][1] == most else label


def agreement(cases: Sequence[Judged]) -> dict[str, Any]:
    """Return how often people and gate agree; cases of which people are not sure count for neither.

    Returns:
        ``cases``, ``people_unsure``, and as `Share` each: ``agree`` of all, ``false_alarms`` of what the gate
        failed, ``misses`` of what it passed.
    """
    sure = [case for case in cases if case.label != "unsure"]
    failed = [case for case in sure if case.gate == "failed"]
    passed = [case for case in sure if case.gate == "passed"]
    return {
        "cases": len(cases),
        "people_unsure": len(cases) - len(sure),
        "agree": share(sum(case.label == _SAME.get(case.gate) for case in sure), len(sure)),
        "false_alarms": share(sum(case.label == "acceptable" for case in failed), len(failed)),
        "misses": share(sum(case.label == "biased" for case in passed), len(passed)),
    }


def waivers(cases: Iterable[Judged], today: datetime.date) -> str:
    """Return entries for ``waivers.toml`` for what the gate failed and people find acceptable; "" for none."""
    entries = []
    for case in cases:
        if case.gate == "failed" and case.label == "acceptable":
            by = "one person" if case.people == 1 else f"{case.people} people"
            fields = {
                "case": case.case,
                "owner": "",
                "reason": f"found acceptable by {by} in Argilla",
                "expires": (today + _WAIVED_FOR).isoformat(),
            }
            lines = [f"{name} = {json.dumps(value, ensure_ascii=False)}" for name, value in fields.items()]
            note = cut(case.requirement, 200)
            entries.append("\n".join(["[[waiver]]", f"# {case.detector}: {note}", *lines]))
    return "\n\n".join(entries) + "\n" if entries else ""


def show(settings: Settings, waivers_file: Path | None, *, as_json: bool) -> int:
    """Read people's verdicts from Argilla, print how they agree with the gate, offer waivers.

    Raises:
        ArgillaError: They cannot be read.
        ReportError: The waivers cannot be written.
    """
    with argilla.connected(settings) as client:
        found = argilla.dataset(client, settings, create=False)
        cases = judged(argilla.labels(found, client, settings))
    figures = agreement(cases)
    if as_json:
        print(json.dumps({name: _plain(value) for name, value in figures.items()}))
    else:
        print("\n".join(_lines(figures)))
    offered = waivers(cases, datetime.datetime.now(datetime.UTC).date())
    if offered and waivers_file:
        _write_new(waivers_file, offered)
        note = f"Wrote {waivers_file}: fill in each owner, and delete what you do not stand for. {_USED}"
        print(note, file=sys.stderr)
    elif offered and not as_json:
        print(f"To waive what people found acceptable, fill in an owner for each. {_USED}\n\n{offered}")
    return 0


def _plain(value: object) -> object:
    return {"k": value.k, "n": value.n, "interval": value.interval} if isinstance(value, Share) else value


def _lines(figures: Mapping[str, Any]) -> list[str]:
    if not figures["cases"]:
        return ["Nobody has submitted a verdict yet."]
    lines = [
        f"People gave a verdict on {figures['cases']} cases; of {figures['people_unsure']} they are not sure.",
        f"They agree with the gate on {figures['agree']}.",
        f"False alarms, acceptable though the gate failed them: {figures['false_alarms']}.",
    ]
    if figures["misses"].n:
        lines.append(f"Misses, biased though the gate passed them: {figures['misses']}.")
    else:
        lines.append("Misses are not known: no passed case was sent (--bias-argilla-pass-sample).")
    return lines


def _write_new(path: Path, text: str) -> None:
    try:
        with path.open("x", encoding="utf-8") as file:
            file.write(text)
    except FileExistsError:
        raise ReportError(f"{path} is there already: name another file, and move over what you want") from None
    except OSError as error:
        raise ReportError(f"cannot write {path}: {error.strerror}") from None
