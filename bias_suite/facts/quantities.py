"""Quantities: numbers, percentages and lengths of time, with their units and multipliers."""

from __future__ import annotations

import functools
import re
from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal
from typing import Literal

from bias_suite import words
from bias_suite.facts.dates import YEAR
from bias_suite.facts.numerals import DIGITS, JOINED, folded, number, spelled

Kind = Literal["number", "percentage", "duration"]

TAKEN = "\u241f"
"""Stands for what was read as something else; no number begins after it."""
CONVERSIONS = {"week": ("day", 7), "year": ("month", 12)}
"""What a unit is in a smaller one: its name, and how many."""
_LEAST_SPELLED = 13


@dataclass(frozen=True)
class Quantity:
    """One quantity: its kind, its normal form (``966000``, ``6 month``), and where it begins and ends."""

    kind: Kind
    value: str
    start: int
    end: int


def find(text: str, languages: tuple[str, ...]) -> Iterator[Quantity]:
    """Yield the quantities of a text, in its order; spelled-out numbers in some languages alone."""
    names = spelled(languages)
    matches = [match for match in _pattern(languages).finditer(text) if not _in_name(text, match)]
    for index, match in enumerate(matches):
        value = _value(match, names)
        if value is None:
            continue
        kind, unit = _kind(match)
        if kind == "number" and index + 1 < len(matches):
            # "3 to 10 working days", "between 20 and 30 %": the unit of the second is the first's too.
            between = text[match.end() : matches[index + 1].start()]
            if re.fullmatch(JOINED, between, re.IGNORECASE) and _value(matches[index + 1], names) is not None:
                kind, unit = _kind(matches[index + 1])
        if match["words"] and kind == "number" and value < _LEAST_SPELLED:
            continue
        yield Quantity(kind, _normal(value, unit), *match.span())


def _bin(times: str, languages: tuple[str, ...]) -> bool:
    """Whether "bin" is a word for so many: Turkish for a thousand, and German for "am"."""
    return times == "1000" and "tr" in languages and "de" not in languages


@functools.cache
def _pattern(languages: tuple[str, ...]) -> re.Pattern[str]:
    names = "|".join(map(re.escape, sorted(spelled(languages), key=len, reverse=True))) or "(?!)"
    multiplier = "|".join(
        f"(?P<times{times}>{words.any_of('multipliers', times)}{'|bin' if _bin(times, languages) else ''})"
        for times in words.read("multipliers")
    )
    unit = "|".join(f"(?P<{unit}>{words.any_of('units', unit)})" for unit in words.read("units"))
    number = rf"(?P<digits>{DIGITS})|(?P<words>{names})"
    percent = rf"(?P<percent>{words.any_of('marks', 'percent')})"
    between = words.any_of("marks", "between")
    before = r"(?P<before>yüzde\s+|%\s?|بنسبة\s+)?"
    return re.compile(
        rf"(?:(?<![\w{TAKEN}])|(?<=(?<!\w)[وبلف])){before}(?:{number})(?:[\s-]*(?:{multiplier})(?!\w))?"
        rf"(?:\s*(?:de\s+)?(?:{percent})(?!\w)|[\s\u00a0-]+(?:(?:{between})\s+)?(?:{unit})(?!\w|-old))?",
        re.IGNORECASE,
    )


_AGE = re.compile(r"[- ](?:year|month|week|day)s?[- ]old\b")
_ORDINAL = re.compile(r"(?<!\w)(?:die|der|das|de[mnrs]|im|am|[zv]om|zu[mr]|beim)\s$", re.IGNORECASE)
_NUMBERED = re.compile(
    r"(?<!\w)(?:step|option|schritt|étape|paso|fase|passo|stap|krok|pasul|adım|крок)\s$", re.IGNORECASE
)


def _in_name(text: str, match: re.Match[str]) -> bool:
    """Whether a number is part of a name or an ordinal: COVID-19, EU-27, 1st, 2nd, 3., Art. 4a."""
    if not match["digits"]:
        return False
    if _AGE.match(text, match.end("digits")):
        return True
    before = text[max(0, match.start() - 12) : match.start()]
    after = text[match.end("digits") : match.end("digits") + 12]
    return bool(
        re.search(r"[^\W\d_][-–]$|[A-Za-z#]$", before)
        or re.match(r"(?:st|nd|rd|th|º|ª|er|ère|ème|e)\b|[A-Za-z]", after)
        # An ordinal with a dot: "die 2. Anhörung", "2. görüşme".
        or re.match(r"\.\s+[^\W\d_A-ZÄÖÜ]", after)
        or (re.match(r"\.\s+[A-ZÄÖÜ]", after) and re.search(_ORDINAL, before))
        or re.search(_NUMBERED, before)
    )


def _value(match: re.Match[str], names: dict[str, int]) -> Decimal | None:
    if match["words"]:
        value: Decimal | None = Decimal(names[folded(match["words"])])
    else:
        value = number(match["digits"])
    if value is None:
        return None
    times = next((int(times) for times in words.read("multipliers") if match[f"times{times}"]), 1)
    return value * times


def _kind(match: re.Match[str]) -> tuple[Kind, str]:
    if match["percent"] or match["before"]:
        return "percentage", ""
    unit = next((unit for unit in words.read("units") if match[unit]), "")
    if unit == "year" and YEAR.fullmatch(match["digits"] or ""):  # "2022 roku": the year, not so many years
        unit = ""
    return ("duration", unit) if unit else ("number", "")


def _normal(value: Decimal, unit: str) -> str:
    if unit in CONVERSIONS:
        unit, times = CONVERSIONS[unit]
        value *= times
    return f"{value.normalize():f} {unit}".strip()
