"""The facts that a text states, normalised so that two texts can be compared in eleven languages.

A fact is a number, a percentage, a length of time, a date, an article of law, an act or an agency. ``966,000``,
``966.000`` and ``966 000`` are one number, ``six months``, ``6 Monate`` and ``6 miesięcy`` one length of time,
``4 March 2022`` and ``04.03.2022`` one date. Names of months are Babel's (CLDR), spelled-out numbers num2words'.

What is no claim is left out: numbers in names (COVID-19, EU-27, Dublin III), numbers of a list's lines, ordinals, and
small spelled-out numbers without a unit ("two options").
"""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass
from decimal import Decimal
from itertools import pairwise
from typing import Literal

from bias_suite import words
from bias_suite.facts import dates, quantities
from bias_suite.facts.numerals import JOINED, number

__all__ = ["LANGUAGES", "Fact", "Kind", "find", "number", "supported"]

Kind = Literal["number", "percentage", "duration", "date", "article", "act", "agency"]

LANGUAGES = ("ar", "de", "en", "es", "fr", "it", "nl", "pl", "ro", "tr", "uk")
_PARAGRAPH = rf"(?:\s?\(\d{{1,2}}\)|,?\s(?:{words.any_of('marks', 'paragraph')})\s?\(?\d{{1,2}}\)?)?"
_ACRONYM = re.compile(r"(?<![\w-])[A-ZÄÖÜ]{3,7}(?![\w-])")
_ACT = re.compile(r"(?<![\d/])(\d{2,4})/(\d{1,4})(?:/(?:EU|UE|EC|CE|EG|WE|ЄС|AB|EWG))?(?![\d/])")
_ALIKE = str.maketrans("٠١٢٣٤٥٦٧٨٩٫٬’", "0123456789.,'")
"""Signs that are read like others, one for one, so that places stay what they are."""


@dataclass(frozen=True)
class Fact:
    """One fact.

    Attributes:
        kind: What sort of fact it is.
        value: Its normal form, equal for equal facts of a kind: ``966000``, ``6 month``, ``2022-03-04``, ``10(3)``.
        text: Its words in the text.
        start: Where they begin.
    """

    kind: Kind
    value: str
    text: str
    start: int


def find(text: str, languages: Collection[str] = ("en",)) -> list[Fact]:
    """Return the facts of a text, in its order.

    Args:
        text: The text.
        languages: Whose spelled-out numbers are read (ISO 639-1); digits, units and months are read in all of
            `LANGUAGES`.
    """
    return list(_found(text, tuple(sorted(set(languages) & set(LANGUAGES)))))


@functools.lru_cache(maxsize=4096)  # the same passages are read for many answers
def _found(text: str, languages: tuple[str, ...]) -> tuple[Fact, ...]:
    reading = _Reading(text)
    # The numbers of lists after what looks like them: "4. März", "10. madde", "Article 4(2) says".
    for look in (_acts, _articles, _dates, _agencies, _list_numbers):
        look(reading)
    _quantities(reading, languages)
    return tuple(sorted(reading.found, key=lambda fact: fact.start))


class _Reading:
    """A text and what was read in it; what has been read is not read again."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.left = text.translate(_ALIKE)
        self.found: list[Fact] = []

    def take(self, kind: Kind | None, value: str, start: int, end: int) -> None:
        if kind is not None:
            self.found.append(Fact(kind, value, self.text[start:end].strip(), start))
        self.left = self.left[:start] + quantities.TAKEN * (end - start) + self.left[end:]


def _list_numbers(reading: _Reading) -> None:
    for match in re.finditer(r"^[^\S\n]*(?:\d{1,2}[.)]|\(\d{1,2}\))(?=\s)", reading.left, re.MULTILINE):
        reading.take(None, "", *match.span())
    # The second line's number of a list written in one line: "1. ... 2. ...".
    inline = list(re.finditer(r"(?<![\w,.])(\d{1,2})[.)](?=\s+\D)", reading.left))
    listed = [int(match[1]) for match in inline]
    if listed[:1] in ([1], [2]) and all(after == before + 1 for before, after in pairwise(listed)):
        for match in inline:
            reading.take(None, "", *match.span())


@functools.cache
def _agency_pattern() -> tuple[re.Pattern[str], dict[str, str]]:
    names = {alias: name for name, aliases in words.read("agencies").items() for alias in aliases}
    ordered = sorted(names, key=len, reverse=True)
    return re.compile(r"(?<!\w)(?:" + "|".join(map(re.escape, ordered)) + r")(?!\w)"), names


def _agencies(reading: _Reading) -> None:
    pattern, names = _agency_pattern()
    for match in pattern.finditer(reading.left):
        reading.take("agency", names[match[0]], *match.span())
    for match in re.finditer(rf"(?<!\w)(?:{words.any_of('named')})", reading.left):
        reading.take("agency", " ".join(match[0].casefold().split()), *match.span())
    for match in _ACRONYM.finditer(reading.left):
        if match[0] not in words.read("marks")["no_agency"] and not re.fullmatch(r"[IVXLC]+", match[0]):
            reading.take("agency", match[0], *match.span())


def _acts(reading: _Reading) -> None:
    for match in _ACT.finditer(reading.left):
        first, second = match[1], match[2]
        if len(first) == 4 or len(second) == 4:  # a number and a year, in either order
            reading.take("act", f"{first}/{second}", *match.span())


@functools.cache
def _article_pattern() -> tuple[re.Pattern[str], re.Pattern[str]]:
    one = rf"\d{{1,3}}[a-z]?{_PARAGRAPH}"
    names = words.any_of("marks", "article")
    before = rf"(?<!\w)(?:{names})\s+(?:da\s+)?(?P<list>{one}(?:{JOINED}{one})*)(?!\w)"
    after = (
        r"(?P<list>\d{1,3}(?:\s+(?:ila|ile|ve)\s+\d{1,3}|-\d{1,3})?)"
        r"['’]?(?:\.|[ıiuü]?nc[ıiuü]|üncü|uncu)\s*madde\w*"
    )
    return re.compile(before, re.IGNORECASE), re.compile(after, re.IGNORECASE)


def _articles(reading: _Reading) -> None:
    for pattern in _article_pattern():
        for match in pattern.finditer(reading.left):
            words_there = reading.text[match.start() : match.end()].strip()
            for value in _listed(match["list"]):
                reading.found.append(Fact("article", value, words_there, match.start()))
            reading.take(None, "", *match.span())


_UP_TO = {"to", "bis", "à", "a", "tot", "tot en met", "do", "до", "-", "–", "—", "إلى", "ile", "ila", "al"}


def _listed(text: str) -> Iterator[str]:
    """Yield the articles of a list: ``14 to 17`` are four of them."""
    last, end = None, 0
    for match in re.finditer(rf"(\d{{1,3}})[a-z]?({_PARAGRAPH})", text, re.IGNORECASE):
        number = int(match[1])
        between = text[end : match.start()].strip().casefold()
        if last is not None and between in _UP_TO:
            yield from map(str, range(last + 1, min(number, last + 60)))
        paragraph = re.search(r"\d+", match[2])
        yield f"{number}({paragraph[0]})" if paragraph else str(number)
        last, end = number, match.end()


def _dates(reading: _Reading) -> None:
    for pattern in dates.patterns(LANGUAGES):
        for match in pattern.finditer(reading.left):
            value = dates.value(match, LANGUAGES)
            if value is not None:
                reading.take("date", value, *match.span())


def _quantities(reading: _Reading, languages: tuple[str, ...]) -> None:
    for one in quantities.find(reading.left, languages):
        words_there = reading.text[one.start : one.end].strip()
        reading.found.append(Fact(one.kind, one.value, words_there, one.start))


def supported(fact: Fact, by: Sequence[Fact]) -> bool:
    """Whether a fact stands among others.

    A date stands where a more precise one does, a year where it is part of any date, an article without its paragraph
    where one with it does. A plain number may be any number, percentage or length of time.
    """
    if any((fact.kind, fact.value) == (one.kind, one.value) for one in by):
        return True
    rule = _SUPPORT.get(fact.kind)
    return rule is not None and any(rule(fact.value, one) for one in by)


def _supports_number(value: str, one: Fact) -> bool:
    if one.kind in ("percentage", "duration"):
        figure, _, unit = one.value.partition(" ")
        times = next((times for equal, times in quantities.CONVERSIONS.values() if equal == unit), 1)
        return value == figure or Decimal(value) * times == Decimal(figure)  # 3 of "3 weeks", which is "21 day"
    if one.kind == "date":
        return value in (part.lstrip("0") for part in one.value.split("-"))
    return one.kind == "act" and bool(dates.YEAR.fullmatch(value)) and value in one.value.split("/")


def _supports_date(value: str, one: Fact) -> bool:
    if one.kind != "date":
        return False
    if value.startswith("--"):
        return one.value.endswith(value[1:])
    return one.value.startswith(value)


_SUPPORT: dict[str, Callable[[str, Fact], bool]] = {
    "number": _supports_number,
    "date": _supports_date,
    "article": lambda value, one: one.kind == "article" and one.value.partition("(")[0] == value,
}
