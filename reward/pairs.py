"""Preference pairs: of each correction, the better response and the one that it replaces.

A pair has the columns

    record, annotator    where it is from; pairs are split by record, never by pair
    prompt               the instruction, in the template
    chosen, rejected     prompt and response, in the template
    detector, axis       of the case, for slices (axis may be null)

With `shared` prompts both sides have the instruction that the chatbot was asked. The tutorial compares (new
instruction, new response) with (original instruction, original response); see `UNSOUND`.
"""

from __future__ import annotations

import itertools
import json
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Literal

from bias_suite import files
from bias_suite.cases import encodable
from reward.annotations import SUBMITTED, Annotation
from reward.errors import PairError

Prompt = Literal["shared", "tutorial"]
INSTRUCTION_MARKER = "### Instruction:"
RESPONSE_MARKER = "### Response:"
PROMPT = INSTRUCTION_MARKER + " {instruction}\n"
TEMPLATE = PROMPT + RESPONSE_MARKER + " {response}"
MARKERS = (INSTRUCTION_MARKER, RESPONSE_MARKER)
LONGEST = 20_000
"""Characters of a response over which a pair is dropped: nobody typed that."""
UNSOUND = (
    "--prompt tutorial puts the corrected instruction on the chosen side and the original one on the other. A model "
    "can win on every such pair by the instruction alone, without ever looking at the response. Train on shared "
    "prompts (the default); keep these pairs to see the difference."
)


@dataclass(frozen=True)
class Pair:
    """One preference; the fields are the columns."""

    record: str
    annotator: str
    prompt: str
    chosen: str
    rejected: str
    detector: str
    axis: str | None


@dataclass(frozen=True)
class Made:
    """The pairs, and what became of the other annotations.

    Attributes:
        pairs: In the order of records and annotators.
        dropped: How many annotations gave no pair, by reason.
    """

    pairs: tuple[Pair, ...]
    dropped: dict[str, int]


def make(annotations: Sequence[Annotation], prompt: Prompt = "shared") -> Made:
    """Make a pair of each annotation that holds a preference.

    Counts in are counts out: every annotation is a pair or is counted in `Made.dropped`.

    Raises:
        PairError: No annotation holds one; the message says why.
    """
    dropped: Counter[str] = Counter()
    contradictory = _contradictory(annotations)
    seen: set[tuple[str, str]] = set()
    pairs = []
    for one in sorted(annotations, key=lambda one: (one.record, one.annotator)):
        reason = _unusable(one, prompt) or ("contradictory annotators" if one.record in contradictory else None)
        if reason is None:
            pair = _pair(one, prompt)
            key = (pair.chosen, pair.rejected)
            if key in seen:
                reason = "duplicate"
            else:
                seen.add(key)
                pairs.append(pair)
        if reason:
            dropped[reason] += 1
    if not pairs:
        why = ", ".join(f"{count} {reason}" for reason, count in dropped.items()) or "there are no annotations"
        raise PairError(f"no preference pair is left: {why}")
    return Made(tuple(pairs), dict(dropped))


def _unusable(one: Annotation, prompt: Prompt) -> str | None:
    if one.status != SUBMITTED:
        return "no submission"
    new_instruction = one.new_instruction if prompt == "tutorial" else one.instruction
    texts = (one.instruction, new_instruction, one.response, one.new_response)
    if not all(text.strip() for text in texts):
        return "empty"
    same = normalised(one.response) == normalised(one.new_response)
    if same and (prompt == "shared" or normalised(one.instruction) == normalised(new_instruction)):
        return "unchanged"
    if any(len(text) > LONGEST for text in texts):
        return "too long"
    if any(marker in text for marker in MARKERS for text in texts):
        return "template marker inside the text"
    return None


def parts(text: str) -> tuple[str, str]:
    """Return prompt and response of a text in the template; a text without the template is all response.

    ``prompt + RESPONSE_MARKER + " " + response`` is the text again.
    """
    prompt, marker, response = text.partition(RESPONSE_MARKER)
    return (prompt, response.removeprefix(" ")) if marker else ("", text)


def normalised(text: str) -> str:
    """Return a text without what makes no other answer of it: spaces, and how characters are composed."""
    return " ".join(unicodedata.normalize("NFC", text).split())


def _contradictory(annotations: Iterable[Annotation]) -> set[str]:
    """Return the records of which one person finds the response acceptable and another biased."""
    said: dict[str, set[str]] = defaultdict(set)
    for one in annotations:
        if one.status == SUBMITTED and one.verdict:
            said[one.record].add(one.verdict)
    return {record for record, verdicts in said.items() if {"acceptable", "biased"} <= verdicts}


def _pair(one: Annotation, prompt: Prompt) -> Pair:
    chosen_instruction = one.new_instruction if prompt == "tutorial" else one.instruction
    return Pair(
        record=one.record,
        annotator=one.annotator,
        prompt=PROMPT.format(instruction=one.instruction),
        chosen=TEMPLATE.format(instruction=chosen_instruction, response=one.new_response),
        rejected=TEMPLATE.format(instruction=one.instruction, response=one.response),
        detector=one.detector,
        axis=one.axis,
    )


def together(pairs: Sequence[Pair]) -> list[Pair]:
    """Return the pairs, those about the same answer to the same question under one record.

    A chatbot that is asked again, or released again, answers in the same words: a split by record alone would have
    the same rejected text on both sides.
    """
    parent: dict[str, str] = {}

    def root(name: str) -> str:
        while parent.setdefault(name, name) != name:
            name = parent[name]
        return name

    first: dict[str, str] = {}
    for pair in pairs:
        parent[root(pair.record)] = root(first.setdefault(pair.rejected, pair.record))
    return [replace(pair, record=root(pair.record)) for pair in pairs]


@dataclass(frozen=True)
class Agreement:
    """How far annotators of the same record agree on its verdict.

    Attributes:
        records: Records with verdicts of at least two people.
        pairs: Pairs of people on the same record.
        agreeing: How many of them gave the same verdict.
        alpha: Krippendorff's alpha, nominal (Krippendorff 2011); None where it is not defined.
    """

    records: int
    pairs: int
    agreeing: int
    alpha: float | None


def agreement(annotations: Iterable[Annotation]) -> Agreement:
    """Return how far annotators agree on the verdict of the records that several of them judged."""
    said: dict[str, dict[str, str]] = defaultdict(dict)
    for one in annotations:
        if one.status == SUBMITTED and one.verdict:
            said[one.record][one.annotator] = one.verdict
    several = {record: verdicts for record, verdicts in said.items() if len(verdicts) > 1}
    pairs = [pair for verdicts in several.values() for pair in itertools.combinations(verdicts.values(), 2)]
    return Agreement(len(several), len(pairs), sum(a == b for a, b in pairs), _alpha(several))


def _alpha(several: dict[str, dict[str, str]]) -> float | None:
    labels = sorted({label for verdicts in several.values() for label in verdicts.values()})
    if len(labels) < 2:  # nobody ever disagrees, or nobody judged: chance agreement is not defined
        return None
    try:
        import krippendorff
    except ImportError as error:
        raise PairError(f"agreement needs the extra: pip install 'bias-suite[reward]' ({error})") from None

    people = sorted({person for verdicts in several.values() for person in verdicts})
    codes = {label: float(number) for number, label in enumerate(labels)}
    table = [[codes.get(verdicts.get(person, ""), float("nan")) for verdicts in several.values()] for person in people]
    return float(krippendorff.alpha(reliability_data=table, level_of_measurement="nominal"))


def write(path: Path, pairs: Sequence[Pair]) -> None:
    """Write pairs as JSONL or Parquet, by the file's ending.

    Raises:
        PairError: The ending is another, or the file cannot be written.
    """
    if path.suffix not in (".jsonl", ".parquet"):
        raise PairError(f"{path}: the name of a file of pairs ends in .jsonl or .parquet")
    try:
        if path.suffix == ".jsonl":
            lines = (encodable(json.dumps(asdict(pair), ensure_ascii=False)) + "\n" for pair in pairs)
            files.write(path, lines, private=True)
        else:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.touch(mode=0o600)  # they hold what people wrote
            import pyarrow
            import pyarrow.parquet

            rows = [{name: _storable(value) for name, value in asdict(pair).items()} for pair in pairs]
            schema = pyarrow.schema([(name, pyarrow.string()) for name in Pair.__dataclass_fields__])
            pyarrow.parquet.write_table(pyarrow.Table.from_pylist(rows, schema), path)
    except OSError as error:
        raise PairError(f"cannot write {path}: {error.strerror or error}") from None


def _storable(value: str | None) -> str | None:
    return None if value is None else value.encode("utf-8", "replace").decode()


def read(path: Path) -> list[Pair]:
    """Read pairs from JSONL or Parquet.

    Raises:
        PairError: The file cannot be read, holds none, or lacks a column.
    """
    try:
        rows = _rows(path)
    except (OSError, ValueError) as error:
        raise PairError(f"{path}: cannot read the pairs: {error}") from None
    if not rows:
        raise PairError(f"{path}: no pairs in it")
    for number, row in enumerate(rows, start=1):
        if not isinstance(row, dict):
            raise PairError(f"{path}: pair {number} is no JSON object")
        missing = [name for name in Pair.__dataclass_fields__ if name not in row]
        if missing:
            raise PairError(f"{path}: pair {number} has no {', '.join(missing)}")
        wrong = [name for name in Pair.__dataclass_fields__ if not isinstance(row[name], str)]
        if wrong and (wrong != ["axis"] or row["axis"] is not None):
            raise PairError(f"{path}: pair {number}: {', '.join(wrong)} must be text")
    return [Pair(**{name: row[name] for name in Pair.__dataclass_fields__}) for row in rows]


def _rows(path: Path) -> list[dict[str, Any]]:
    if path.suffix == ".parquet":
        import pyarrow.parquet

        table: list[dict[str, Any]] = pyarrow.parquet.read_table(path).to_pylist()
        return table
    lines = path.read_text(encoding="utf-8").split("\n")
    return [json.loads(line) for line in lines if line.strip()]
