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
from decimal import Decimal, InvalidOperation
from itertools import pairwise
from typing import Literal

from bias_suite import words

Kind = Literal["number", "percentage", "duration", "date", "article", "act", "agency"]

LANGUAGES = ("ar", "de", "en", "es", "fr", "it", "nl", "pl", "ro", "tr", "uk")
_LEAST_SPELLED = 13
_YEAR = re.compile(r"(?:19|20)\d\d")


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


_EQUAL = {"week": ("day", 7), "year": ("month", 12)}
_JOINED = rf"(?:\s*[-–—]\s*|,\s*|\s+(?:{words.any_of('marks', 'joining')})\s+|\s+و)"
_PARAGRAPH = rf"(?:\s?\(\d{{1,2}}\)|,?\s(?:{words.any_of('marks', 'paragraph')})\s?\(?\d{{1,2}}\)?)?"
_ACRONYM = re.compile(r"(?<![\w-])[A-ZÄÖÜ]{3,7}(?![\w-])")
_ACT = re.compile(r"(?<![\d/])(\d{2,4})/(\d{1,4})(?:/(?:EU|UE|EC|CE|EG|WE|ЄС|AB|EWG))?(?![\d/])")
_DIGITS = r"\d{1,3}(?:[.,'’ \u00a0\u202f\u2009]\d{3})+(?!\d)(?:[.,]\d{1,2}(?!\d))?|\d+(?:[.,]\d+)?"
_ALIKE = str.maketrans("٠١٢٣٤٥٦٧٨٩٫٬’", "0123456789.,'")
"""Signs that are read like others, one for one, so that places stay what they are."""


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
    _numbers(reading, languages)
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
        self.left = self.left[:start] + "\u241f" * (end - start) + self.left[end:]


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
    before = rf"(?<!\w)(?:{names})\s+(?:da\s+)?(?P<list>{one}(?:{_JOINED}{one})*)(?!\w)"
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


@functools.cache
def _months() -> tuple[str, dict[str, int]]:
    from babel.dates import get_month_names

    names: dict[str, int] = {}
    for language in LANGUAGES:
        for width in ("wide", "abbreviated"):
            for context in ("format", "stand-alone"):
                for number, name in get_month_names(width, context, language).items():
                    plain = _folded(name.rstrip("."))
                    if len(plain) > 2:
                        names.setdefault(plain, number)
    # Whole words of other languages, which the months of one would be taken for.
    for word in ("mar", "mai", "maa", "set", "dec", "lis", "avr", "mer", "sie", "ago", "ara"):
        names.pop(word, None)
    names["mai"] = 5
    ordered = sorted(names, key=len, reverse=True)
    return "|".join(map(re.escape, ordered)), names


@functools.cache
def _date_patterns() -> tuple[re.Pattern[str], ...]:
    month, _ = _months()
    year = r"(?P<year>(?:19|20)\d\d)"
    name = rf"(?P<month>(?<!\w)(?:{month})(?!\w))\.?"
    day = r"(?P<day>(?<!\d)[0-3]?\d)(?:st|nd|rd|th|er|º|°)?\.?"
    of = r"\s+(?:de\s+|of\s+|di\s+|del\s+|d['’])?"
    since = r"(?:\s+(?:de\s+|del\s+)?|,\s*)"
    written = (
        rf"{day}{of}{name}{since}{year}(?!\d)",
        rf"{name}\s+{day}{since}{year}(?!\d)",
        rf"{day}{of}{name}",
        rf"{name}\s+(?P<day>[0-3]?\d)(?:st|nd|rd|th)?(?!\d|\s*[.,]?\d)",
        rf"{name}{since}{year}(?!\d)",
        rf"(?<!\d){year}-(?P<number>[01]?\d)-(?P<day>[0-3]?\d)(?!\d)",
        rf"(?<![\d./])(?P<day>[0-3]?\d)[./](?P<number>[01]?\d)[./]{year}(?!\d)",
    )
    return tuple(re.compile(pattern, re.IGNORECASE) for pattern in written)


def _dates(reading: _Reading) -> None:
    _, numbers = _months()
    for pattern in _date_patterns():
        for match in pattern.finditer(reading.left):
            parts = match.groupdict()
            if parts.get("month") == "may" and not parts.get(
                "year"
            ):  # "applicants over 16 may ..."; the month has a capital
                continue
            number = numbers[_folded(parts["month"])] if parts.get("month") else int(parts["number"])
            if not 1 <= number <= 12 or not 1 <= int(parts.get("day") or 1) <= 31:
                continue
            value = f"{parts.get('year') or '-'}-{number:02}"
            value += f"-{int(parts['day']):02}" if parts.get("day") else ""
            reading.take("date", value, *match.span())


_FORMS = {
    "es": {"veintiún": 21, "veintiuna": 21},
    "ro": {"două": 2, "douăsprezece": 12, "douăzeci și două": 22},
    "pl": {
        "dwie": 2,
        "dwunastu": 12,
        "czternastu": 14,
        "piętnastu": 15,
        "osiemnastu": 18,
        "dwudziestu": 20,
        "dwudziestu jeden": 21,
        "trzydziestu": 30,
        "sześćdziesięciu": 60,
        "dziewięćdziesięciu": 90,
    },
    "uk": {
        "дві": 2,
        "дванадцяти": 12,
        "чотирнадцяти": 14,
        "п'ятнадцяти": 15,
        "вісімнадцяти": 18,
        "двадцяти": 20,
        "двадцяти одного": 21,
        "тридцяти": 30,
        "шістдесяти": 60,
    },
}
"""Forms of spelled-out numbers that num2words does not give."""


@functools.cache
def _spelled(languages: tuple[str, ...]) -> dict[str, int]:
    """Return spelled-out whole numbers to 100, and the cases of Slavic ones."""
    from num2words import num2words

    names: dict[str, int] = {}
    for language in languages:
        for number in range(2, 101):
            written = num2words(number, lang=language)
            if language == "tr" and number > 10 and number % 10:  # written apart, too: "on sekiz"
                tens, ones = (num2words(part, lang=language) for part in (number - number % 10, number % 10))
                names.setdefault(_folded(f"{tens} {ones}"), number)
            for name in (written, written.replace("-", " ").replace(" و ", " و"), written.replace("'", "’")):
                names.setdefault(_folded(name), number)
    more = {
        "pl": "dwóch trzech czterech pięciu sześciu siedmiu ośmiu dziewięciu dziesięciu",
        "uk": "двох трьох чотирьох п'яти шести семи восьми дев'яти десяти",
        "ar": "- ثلاث أربع خمس ست سبع ثماني تسع عشر",
        "tr": "iki üç dört beş altı yedi sekiz dokuz on",
        "de": "zwei drei vier fünf sechs sieben acht neun zehn",
        "it": "due tre quattro cinque sei sette otto nove dieci",
    }
    for language in languages:
        for number, name in enumerate(more.get(language, "").split(), start=2):
            if name != "-":
                names.setdefault(_folded(name), number)
        for name, number in _FORMS.get(language, {}).items():
            names.setdefault(_folded(name), number)
    names |= {"a hundred": 100, "hundert": 100} if {"en", "de"} & set(languages) else {}
    return names


def _bin(times: str, languages: tuple[str, ...]) -> bool:
    """Whether "bin" is a word for so many: Turkish for a thousand, and German for "am"."""
    return times == "1000" and "tr" in languages and "de" not in languages


@functools.cache
def _number_pattern(languages: tuple[str, ...]) -> re.Pattern[str]:
    spelled = "|".join(map(re.escape, sorted(_spelled(languages), key=len, reverse=True))) or "(?!)"
    multiplier = "|".join(
        f"(?P<times{times}>{words.any_of('multipliers', times)}{'|bin' if _bin(times, languages) else ''})"
        for times in words.read("multipliers")
    )
    unit = "|".join(f"(?P<{unit}>{words.any_of('units', unit)})" for unit in words.read("units"))
    number = rf"(?P<digits>{_DIGITS})|(?P<words>{spelled})"
    percent = rf"(?P<percent>{words.any_of('marks', 'percent')})"
    between = words.any_of("marks", "between")
    before = r"(?P<before>yüzde\s+|%\s?|بنسبة\s+)?"
    return re.compile(
        rf"(?:(?<![\w\u241f])|(?<=(?<!\w)[وبلف])){before}(?:{number})(?:[\s-]*(?:{multiplier})(?!\w))?"
        rf"(?:\s*(?:de\s+)?(?:{percent})(?!\w)|[\s\u00a0-]+(?:(?:{between})\s+)?(?:{unit})(?!\w|-old))?",
        re.IGNORECASE,
    )


def _numbers(reading: _Reading, languages: tuple[str, ...]) -> None:
    spelled = _spelled(languages)
    matches = [
        match for match in _number_pattern(languages).finditer(reading.left) if not _in_name(reading.left, match)
    ]
    for index, match in enumerate(matches):
        value = _value(match, spelled)
        if value is None:
            continue
        kind, unit = _kind(match)
        if kind == "number" and index + 1 < len(matches):
            # "3 to 10 working days", "between 20 and 30 %": the unit of the second is the first's too.
            between = reading.left[match.end() : matches[index + 1].start()]
            if re.fullmatch(_JOINED, between, re.IGNORECASE) and _value(matches[index + 1], spelled) is not None:
                kind, unit = _kind(matches[index + 1])
        if match["words"] and kind == "number" and value < _LEAST_SPELLED:
            continue
        words_there = reading.text[match.start() : match.end()].strip()
        reading.found.append(Fact(kind, _normal(value, unit), words_there, match.start()))


def _folded(text: str) -> str:
    """Return a text in small letters, as regular expressions compare them: all of the Turkish i are one, ß is ß."""
    return text.replace("İ", "i").replace("ı", "i").lower()


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


def _value(match: re.Match[str], spelled: dict[str, int]) -> Decimal | None:
    if match["words"]:
        value: Decimal | None = Decimal(spelled[_folded(match["words"])])
    else:
        value = number(match["digits"])
    if value is None:
        return None
    times = next((int(times) for times in words.read("multipliers") if match[f"times{times}"]), 1)
    return value * times


def number(text: str) -> Decimal | None:
    """Return the value of digits with separators, as any of the languages writes them; None for none.

    A dot or comma before exactly three last digits separates thousands.
    """
    plain = re.sub(r"[\s'’\u00a0\u202f\u2009]", "", text)
    if re.fullmatch(r"[1-9]\d{0,2}(?:\.\d{3})+(?:,\d+)?", plain):
        plain = plain.replace(".", "").replace(",", ".")
    elif re.fullmatch(r"[1-9]\d{0,2}(?:,\d{3})+(?:\.\d+)?", plain):
        plain = plain.replace(",", "")
    else:
        plain = plain.replace(",", ".")
    try:
        return Decimal(plain)
    except InvalidOperation:
        return None


def _kind(match: re.Match[str]) -> tuple[Kind, str]:
    if match["percent"] or match["before"]:
        return "percentage", ""
    unit = next((unit for unit in words.read("units") if match[unit]), "")
    if unit == "year" and _YEAR.fullmatch(match["digits"] or ""):  # "2022 roku": the year, not so many years
        unit = ""
    return ("duration", unit) if unit else ("number", "")


def _normal(value: Decimal, unit: str) -> str:
    if unit in _EQUAL:
        unit, times = _EQUAL[unit]
        value *= times
    return f"{value.normalize():f} {unit}".strip()


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
        times = next((times for equal, times in _EQUAL.values() if equal == unit), 1)
        return value == figure or Decimal(value) * times == Decimal(figure)  # 3 of "3 weeks", which is "21 day"
    if one.kind == "date":
        return value in (part.lstrip("0") for part in one.value.split("-"))
    return one.kind == "act" and bool(_YEAR.fullmatch(value)) and value in one.value.split("/")


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
