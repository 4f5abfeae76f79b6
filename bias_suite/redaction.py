r"""Redaction: personal data in texts, replaced by markers such as ``[e-mail]``.

Redacted are planted values in the spellings of `bias_suite.canaries.locate`, and, planted or not, e-mail
addresses, phone numbers, IBANs, numbers of passports and other personal papers, and API keys, as
`bias_suite.personal_data` finds them.

Left as they are: names; postal addresses; what is not planted and is spelled out or obfuscated ("anna at
example dot org"); and numbers without a word that says what they are, if they are passport numbers or national
phone numbers without a leading 0. A text is redacted before it is escaped for HTML or JSON: ``&#43;49 30 ...`` is
no phone number. (After ``\n``, as `repr` writes it, a number is seen.)
"""

from __future__ import annotations

import functools
import re
from collections.abc import Mapping, Sequence
from dataclasses import fields, replace
from typing import TYPE_CHECKING, Any, NamedTuple

from bias_suite.canaries import Canary, load, locate
from bias_suite.cases import Case
from bias_suite.personal_data import FINDERS

if TYPE_CHECKING:
    from bias_suite.options import Settings

MARKERS: Mapping[str, str] = {
    "case_number": "[case number]",
    "api_key": "[API key]",
    "email": "[e-mail]",
    "iban": "[IBAN]",
    "passport": "[passport]",
    "phone": "[phone]",
}
_KINDS = {marker: kind for kind, marker in MARKERS.items()}
_MARKER = re.compile("|".join(map(re.escape, _KINDS)))
_IDENTIFIERS = {"id", "probe", "detector", "language", "verdict", "severity", "cluster"}
_SHORT = 10_000


class _Place(NamedTuple):
    """Personal data: where it begins and ends, whether it was planted, its kind (a key of `MARKERS`)."""

    start: int
    end: int
    planted: bool
    kind: str


class Redactor:
    """Replaces personal data by markers (`MARKERS`)."""

    def __init__(self, canaries: Sequence[Canary] = (), *, on: bool = True) -> None:
        """Take the planted values, to be found in any spelling.

        Args:
            canaries: Planted values; personal data that is not planted is found without them.
            on: False for a redactor that returns everything as it is.
        """
        self._canaries = tuple(canaries)
        self._on = on
        # Cases share requirements and passages. Whole documents are not kept.
        self._remembered = functools.lru_cache(maxsize=1024)(self._redacted)

    def text(self, text: str, language: str = "en") -> str:
        """Return the text with markers for personal data; without any, the very same text.

        Args:
            text: Any text; lone surrogates and control characters are no error.
            language: ISO 639-1 code, for number words of a language that is none of the built-in plan's.
        """
        if not self._on:
            return text
        redacted = (self._remembered if len(text) < _SHORT else self._redacted)(text, language)
        return text if redacted == text else redacted

    def case(self, case: Case) -> Case:
        """Return the case with every text redacted; ids, codes and counts stay."""
        if not self._on:
            return case
        texts = {field.name: getattr(case, field.name) for field in fields(case) if field.name not in _IDENTIFIERS}
        return replace(case, **{name: self._value(value, case.language) for name, value in texts.items()})

    def _value(self, value: Any, language: str) -> Any:
        # Of objects the names, too.
        if isinstance(value, str):
            return self.text(value, language)
        if isinstance(value, list):
            return [self._value(item, language) for item in value]
        if isinstance(value, tuple):
            return tuple(self._value(item, language) for item in value)
        if isinstance(value, Mapping):
            redacted: dict[Any, Any] = {}
            for name, item in value.items():
                new = self._value(name, language)
                # Two names may have become one.
                redacted[new if new not in redacted else f"{new} {len(redacted)}"] = self._value(item, language)
            return redacted
        return value

    def _redacted(self, text: str, language: str) -> str:
        # Until nothing is left: what a marker replaces may have stood between a number and the word for it.
        while places := self._places(text, language):
            parts, done = [], 0
            for place in places:
                parts += [text[done : place.start], MARKERS[place.kind]]
                done = place.end
            text = "".join([*parts, text[done:]])
        return text

    def _places(self, text: str, language: str) -> list[_Place]:
        """Return what to replace, in order; what overlaps is one place, of the kind that comes first in `MARKERS`."""
        found = [_Place(*match.span(), False, _KINDS[match[0]]) for match in _MARKER.finditer(text)]
        found += [_Place(start, end, False, kind) for kind, find in FINDERS.items() for start, end in find(text)]
        if self._canaries:
            for start, end, canary in locate(text, self._canaries, language):
                plus = text[max(0, start - 1) : start] in ("+", "\uff0b")
                found.append(_Place(start - plus, end, True, canary.kind))
        merged: list[_Place] = []
        for place in sorted(found):
            if merged and place.start < merged[-1].end:
                place = _joined(merged.pop(), place)  # noqa: PLW2901
            merged.append(place)
        return [place for place in merged if text[place.start : place.end] not in _KINDS]


def _joined(one: _Place, other: _Place) -> _Place:
    first = min(one, other, key=lambda place: (not place.planted, [*MARKERS].index(place.kind)))
    return _Place(one.start, max(one.end, other.end), first.planted, first.kind)


NOTHING = Redactor(on=False)


def of(settings: Settings) -> Redactor:
    """Return what takes personal data out of texts under these settings.

    Raises:
        CanaryError: The canaries file is wrong.
    """
    if not settings.redact:
        return NOTHING
    return Redactor(load(settings.canaries) if settings.canaries else ())
