"""Numerals: what numbers in digits and spelled-out ones are worth, in eleven languages."""

from __future__ import annotations

import functools
import re
from decimal import Decimal, InvalidOperation

from bias_suite import words

DIGITS = r"\d{1,3}(?:[.,'’ \u00a0\u202f\u2009]\d{3})+(?!\d)(?:[.,]\d{1,2}(?!\d))?|\d+(?:[.,]\d+)?"
"""A pattern of a number in digits, with separators."""
JOINED = rf"(?:\s*[-–—]\s*|,\s*|\s+(?:{words.any_of('marks', 'joining')})\s+|\s+و)"
"""A pattern of what stands between the numbers of a list or a range."""
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


@functools.cache
def spelled(languages: tuple[str, ...]) -> dict[str, int]:
    """Return spelled-out whole numbers to 100, and the cases of Slavic ones."""
    from num2words import num2words

    names: dict[str, int] = {}
    for language in languages:
        for number in range(2, 101):
            written = num2words(number, lang=language)
            if language == "tr" and number > 10 and number % 10:  # written apart, too: "on sekiz"
                tens, ones = (num2words(part, lang=language) for part in (number - number % 10, number % 10))
                names.setdefault(folded(f"{tens} {ones}"), number)
            for name in (written, written.replace("-", " ").replace(" و ", " و"), written.replace("'", "’")):
                names.setdefault(folded(name), number)
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
                names.setdefault(folded(name), number)
        for name, number in _FORMS.get(language, {}).items():
            names.setdefault(folded(name), number)
    names |= {"a hundred": 100, "hundert": 100} if {"en", "de"} & set(languages) else {}
    return names


def folded(text: str) -> str:
    """Return a text in small letters, as regular expressions compare them: all of the Turkish i are one, ß is ß."""
    return text.replace("İ", "i").replace("ı", "i").lower()
