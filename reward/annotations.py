"""Annotations: what people wrote in Argilla, one line a record and annotator.

A line of ``annotations.jsonl``::

    {"record": "…", "annotator": "…", "status": "submitted", "instruction": "…", "response": "…",
     "new_instruction": "…", "new_response": "…", "verdict": "biased", "detector": "…", "axis": null}

`record` is the case's id, `annotator` the person's; `instruction` and `response` are what the chatbot was asked and
answered, `new_…` what the person made of it. Only submitted answers are used; drafts and discarded ones are counted.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from bias_suite import files
from bias_suite.cases import encodable
from bias_suite.sinks.argilla import INSTRUCTION, RESPONSE, VERDICT
from reward.errors import AnnotationError

SUBMITTED = "submitted"
_REQUIRED = ("record", "annotator", "status", "instruction", "response")


@dataclass(frozen=True)
class Annotation:
    """One person's answer to one record; the fields are those of a line of ``annotations.jsonl``."""

    record: str
    annotator: str
    status: str
    instruction: str
    response: str
    new_instruction: str = ""
    new_response: str = ""
    verdict: str | None = None
    detector: str = ""
    axis: str | None = None


def of_records(records: Iterable[Mapping[str, Any]]) -> Iterator[Annotation]:
    """Yield the annotations of records as Argilla's server tells them, whatever their status."""
    for record in records:
        told = record.get("metadata") or {}
        for response in record.get("responses") or ():
            values = response.get("values") or {}
            yield Annotation(
                record=str(record["external_id"]),
                annotator=str(response["user_id"]),
                status=str(response["status"]),
                instruction=record["fields"]["instruction"],
                response=record["fields"]["response"],
                new_instruction=_written(values, INSTRUCTION),
                new_response=_written(values, RESPONSE),
                verdict=(values.get(VERDICT) or {}).get("value"),
                detector=str(told.get("detector", "")),
                axis=told.get("axis"),
            )


def _written(values: Mapping[str, Any], question: str) -> str:
    # Argilla's editor ends a text of several paragraphs with a line break that nobody typed.
    return str((values.get(question) or {}).get("value") or "").removesuffix("\n")


def counts(annotations: Iterable[Annotation]) -> dict[str, int]:
    """Return how many annotations have each status."""
    return dict(Counter(one.status for one in annotations))


def submitted(annotations: Iterable[Annotation]) -> list[Annotation]:
    """Return the submitted annotations, in a fixed order.

    Raises:
        AnnotationError: There is none.
    """
    found = sorted((one for one in annotations if one.status == SUBMITTED), key=lambda one: (one.record, one.annotator))
    if not found:
        raise AnnotationError("nobody has submitted an answer yet: have people correct the records in Argilla first")
    return found


def read(path: Path) -> list[Annotation]:
    """Read a file of annotations.

    Raises:
        AnnotationError: It cannot be read, or a line is no annotation (named as ``file:line``).
    """
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise AnnotationError(f"{path}: cannot read the annotations: {error}") from None
    # Not splitlines(): U+2028 and its like are legal inside a JSON string.
    lines = enumerate(text.split("\n"), start=1)
    return [_annotation(line, f"{path}:{number}") for number, line in lines if line.strip()]


def _annotation(line: str, where: str) -> Annotation:
    try:
        record = json.loads(line)
    except ValueError as error:
        raise AnnotationError(f"{where}: not JSON: {error}") from None
    if not isinstance(record, dict):
        raise AnnotationError(f"{where}: an annotation is a JSON object, not {type(record).__name__}")
    for name in _REQUIRED:
        if not isinstance(record.get(name), str):
            raise AnnotationError(f'{where}: "{name}" is missing or no text')
    known = {field.name for field in fields(Annotation)}
    given = {name: value for name, value in record.items() if name in known}
    for name, value in given.items():
        if not isinstance(value, str) and not (value is None and name in ("verdict", "axis")):
            raise AnnotationError(f'{where}: "{name}" is no text')
    return Annotation(**given)


def write(path: Path, annotations: Iterable[Annotation]) -> None:
    """Write annotations, in one piece, readable by their owner alone: they hold what people wrote.

    Raises:
        AnnotationError: The file cannot be written.
    """
    lines = (encodable(json.dumps(asdict(one), ensure_ascii=False)) + "\n" for one in annotations)
    try:
        files.write(path, lines, private=True)
    except OSError as error:
        raise AnnotationError(f"cannot write {path}: {error.strerror}") from None
