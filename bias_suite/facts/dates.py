"""Dates: what they look like in each language, and their normal form."""

from __future__ import annotations

import functools
import re

from bias_suite.facts.numerals import folded

YEAR = re.compile(r"(?:19|20)\d\d")


@functools.cache
def patterns(languages: tuple[str, ...]) -> tuple[re.Pattern[str], ...]:
    """Return the patterns of dates as the languages write them, the more precise ones first."""
    month, _ = _months(languages)
    year = rf"(?P<year>{YEAR.pattern})"
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


def value(match: re.Match[str], languages: tuple[str, ...]) -> str | None:
    """Return the normal form of what one of the `patterns` found, ``2022-03-04``; None for no date."""
    parts = match.groupdict()
    if parts.get("month") == "may" and not parts.get("year"):  # "applicants over 16 may ..."; the month has a capital
        return None
    number = _months(languages)[1][folded(parts["month"])] if parts.get("month") else int(parts["number"])
    if not 1 <= number <= 12 or not 1 <= int(parts.get("day") or 1) <= 31:
        return None
    day = f"-{int(parts['day']):02}" if parts.get("day") else ""
    return f"{parts.get('year') or '-'}-{number:02}{day}"


@functools.cache
def _months(languages: tuple[str, ...]) -> tuple[str, dict[str, int]]:
    """Return a pattern of the months' names, and the number of each."""
    from babel.dates import get_month_names

    names: dict[str, int] = {}
    for language in languages:
        for width in ("wide", "abbreviated"):
            for context in ("format", "stand-alone"):
                for number, name in get_month_names(width, context, language).items():
                    plain = folded(name.rstrip("."))
                    if len(plain) > 2:
                        names.setdefault(plain, number)
    # Whole words of other languages, which the months of one would be taken for.
    for word in ("mar", "mai", "maa", "set", "dec", "lis", "avr", "mer", "sie", "ago", "ara"):
        names.pop(word, None)
    names["mai"] = 5
    ordered = sorted(names, key=len, reverse=True)
    return "|".join(map(re.escape, ordered)), names
