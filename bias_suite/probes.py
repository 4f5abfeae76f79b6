"""Probes: the frozen questions, their JSONL files, and the order in which they are asked.

A probes file has one JSON object a line::

    {"id": "injection-footnote-01", "detector": "llm_prompt_injection",
     "requirement": "The assistant must not ...", "claim": "what this line probes",
     "question": "...", "language": "en", "cluster": "footnote", "group": "forged source",
     "source": "bias-suite", "check": {"expected_strings": ["..."]}}

`check` is what the detector needs to judge the answer, in the detector's own words. Instead of "question"
a line may have "questions", a list, where a detector compares answers.
"""

from __future__ import annotations

import hashlib
import json
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from bias_suite.errors import ProbeError

_TEXT_FIELDS = ("id", "detector", "requirement", "language")
_OPTIONAL_TEXT_FIELDS = ("claim", "axis", "group", "cluster", "source", "severity")
SEVERITIES = ("minor", "medium", "major")


@dataclass(frozen=True)
class Probe:
    """One frozen input with the claim that it tests.

    Attributes:
        id: Unique in the plan.
        detector: Id of the detector that judges the answer.
        requirement: The sentence that the answer may break ("The assistant must not ...").
        questions: What is asked, each in a fresh conversation; most detectors ask one.
        language: ISO 639-1 code of the questions.
        cluster: The template behind the probe: probes of one cluster are not independent evidence.
        claim: What this probe is about, for people.
        axis: The characteristic varied (``nationality``, ``religion`` ...), where there is one.
        group: The group named, or the technique used.
        source: Who wrote it: ``bias-suite``, ``giskard``, a data set.
        severity: ``minor``, ``medium`` or ``major``.
        options: What can be answered, where the question is multiple-choice; empty for an open question.
        check: What the detector needs to judge the answer.
        provenance: Where a generated probe comes from: generator, seed, version, fingerprint of the prompt.
    """

    id: str
    detector: str
    requirement: str
    questions: tuple[str, ...]
    language: str
    cluster: str
    claim: str = ""
    axis: str | None = None
    group: str | None = None
    source: str = "bias-suite"
    severity: str = "major"
    options: tuple[str, ...] = ()
    check: Mapping[str, Any] = field(default_factory=dict)
    provenance: Mapping[str, Any] = field(default_factory=dict)


def read(path: Path, detectors: Collection[str]) -> list[Probe]:
    """Read one probes file.

    Args:
        path: A JSONL file in UTF-8; empty lines are ignored.
        detectors: Known detector ids.

    Raises:
        ProbeError: The file cannot be read, holds no probe, or a line is wrong (named as ``file:line``).
    """
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ProbeError(f"{path}: cannot read the probes file: {error}") from None
    probes: list[Probe] = []
    lines: dict[str, int] = {}
    # Not splitlines(): U+2028 and its like are legal inside a JSON string.
    for number, line in enumerate(text.split("\n"), start=1):
        if not line.strip():
            continue
        where = f"{path}:{number}"
        probe = _probe(line, where, detectors)
        if probe.id in lines:
            raise ProbeError(f"{where}: duplicate id {probe.id!r}, first on line {lines[probe.id]}; rename one")
        lines[probe.id] = number
        probes.append(probe)
    if not probes:
        raise ProbeError(f"{path}: zero probes; add at least one line or remove the file")
    return probes


def read_folder(folder: Path, detectors: Collection[str]) -> list[Probe]:
    """Read every ``*.jsonl`` file of a folder, in the order of their names.

    Raises:
        ProbeError: The folder is missing or holds no probes file, or a file is wrong.
    """
    if not folder.is_dir():
        raise ProbeError(f"{folder}: --bias-probes must name a folder with *.jsonl files")
    files = sorted(folder.glob("*.jsonl"))
    if not files:
        raise ProbeError(f"{folder}: zero probes: no *.jsonl file here; see bias_suite.probes for the format")
    return [probe for path in files for probe in read(path, detectors)]


def require_unique(probes: Iterable[Probe]) -> None:
    """Raise ProbeError where two probes of a plan share an id."""
    seen: set[str] = set()
    for probe in probes:
        if probe.id in seen:
            raise ProbeError(f"duplicate id {probe.id!r} in two probes files of the plan; rename one")
        seen.add(probe.id)


def _probe(line: str, where: str, detectors: Collection[str]) -> Probe:
    try:
        record = json.loads(line)
    except ValueError as error:
        raise ProbeError(f"{where}: not JSON: {error}") from None
    if not isinstance(record, dict):
        raise ProbeError(f"{where}: a probe is a JSON object, not {type(record).__name__}")
    unknown = sorted(record.keys() - Probe.__dataclass_fields__.keys() - {"question"})
    if unknown:
        raise ProbeError(f"{where}: unknown field {unknown[0]!r}; fields are {', '.join(_known_fields())}")
    texts = {name: _text(record, name, where) for name in _TEXT_FIELDS}
    if texts["detector"] not in detectors:
        known = ", ".join(sorted(detectors))
        raise ProbeError(f"{where}: unknown detector {texts['detector']!r}; detectors are {known}")
    given = [name for name in _OPTIONAL_TEXT_FIELDS if record.get(name) is not None]
    options = {name: _text(record, name, where) for name in given}
    options.setdefault("cluster", texts["id"])
    if options.get("severity", "major") not in SEVERITIES:
        raise ProbeError(f"{where}: severity {options['severity']!r} is not one of {', '.join(SEVERITIES)}")
    check, provenance = (_object(record, name, where) for name in ("check", "provenance"))
    return Probe(
        questions=_questions(record, where),
        options=_choices(record, where),
        check=check,
        provenance=provenance,
        **texts,
        **options,
    )


def to_line(probe: Probe) -> str:
    """Return the probe as a line of a probes file, newline included; what has its default is left out."""
    record = asdict(probe)
    questions = record.pop("questions")
    told = {name: value for name, value in record.items() if value}
    if told["cluster"] == probe.id:
        del told["cluster"]
    asked = {"questions": list(questions)} if len(questions) > 1 else {"question": questions[0]}
    head = {name: told.pop(name) for name in ("id", "detector", "requirement")}
    return json.dumps({**head, **asked, **told}, ensure_ascii=False) + "\n"


def _known_fields() -> list[str]:
    return ["question", *Probe.__dataclass_fields__]


def _text(record: Mapping[str, Any], name: str, where: str) -> str:
    value = record.get(name)
    if not isinstance(value, str) or not value.strip():
        found = "missing" if name not in record else f"{json.dumps(value)[:40]}"
        raise ProbeError(f'{where}: "{name}" must be a text that is not empty ({found})')
    return value


def _object(record: Mapping[str, Any], name: str, where: str) -> dict[str, Any]:
    value = record.get(name, {})
    if not isinstance(value, dict):
        raise ProbeError(f'{where}: "{name}" must be an object, not {type(value).__name__}')
    return value


def _questions(record: Mapping[str, Any], where: str) -> tuple[str, ...]:
    if ("question" in record) == ("questions" in record):
        raise ProbeError(f'{where}: give either "question" or "questions"')
    if "question" in record:
        return (_text(record, "question", where),)
    questions = record["questions"]
    if not isinstance(questions, list) or not questions:
        raise ProbeError(f'{where}: "questions" must be a list with at least one text')
    return tuple(_text({"questions": question}, "questions", where) for question in questions)


def _choices(record: Mapping[str, Any], where: str) -> tuple[str, ...]:
    options = record.get("options", [])
    if not isinstance(options, list) or len(options) == 1:
        raise ProbeError(f'{where}: "options" must be a list of two or more texts')
    if len(options) > 8:  # each is listed with a letter, a to h
        raise ProbeError(f'{where}: "options" has {len(options)} texts; at most eight can be listed')
    given = tuple(_text({"options": option}, "options", where) for option in options)
    if len(set(given)) < len(given):
        raise ProbeError(f'{where}: two "options" are the same')
    return given


def ordered(probes: Sequence[Probe]) -> list[Probe]:
    """Return the probes in the fixed order in which a run asks them.

    Any first N of them are a fair sample: strata of (requirement, axis, language) take turns, largest first,
    and within a stratum each cluster gives one probe before any gives a second. The order depends on the
    probes alone, by a hash of their ids: no seed, no clock, and adding a probe moves few others.
    """
    strata: dict[tuple[str, str, str], list[Probe]] = defaultdict(list)
    for probe in probes:
        strata[probe.requirement, probe.axis or "", probe.language].append(probe)
    # The fraction of its stratum that is asked once this probe is: sorting by it keeps every prefix in
    # proportion to the whole plan. Each stratum starts at an offset of its own; else all small ones would come
    # at the same time.
    keyed = [
        ((position + _offset(stratum)) / len(members), _digest(probe.id), probe)
        for stratum, members in strata.items()
        for position, probe in enumerate(_by_cluster(members))
    ]
    return [probe for _, _, probe in sorted(keyed, key=lambda entry: entry[:2])]


def _offset(stratum: tuple[str, ...]) -> float:
    return int(_digest("\0".join(stratum))[:8], 16) / 16**8


def _by_cluster(probes: Iterable[Probe]) -> list[Probe]:
    taken: dict[str, int] = defaultdict(int)
    keyed = []
    for probe in sorted(probes, key=lambda probe: _digest(probe.id)):
        keyed.append((taken[probe.cluster], _digest(probe.id), probe))
        taken[probe.cluster] += 1
    return [probe for _, _, probe in sorted(keyed, key=lambda entry: entry[:2])]


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def fingerprint(probes: Iterable[Probe]) -> str:
    """Return the SHA-256 of a plan (hex); the order of the probes does not matter."""
    lines = sorted(json.dumps(vars(probe), sort_keys=True, ensure_ascii=False) for probe in probes)
    return hashlib.sha256("\n".join(lines).encode("utf-8", "surrogatepass")).hexdigest()
