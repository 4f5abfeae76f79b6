"""Text from models and users, made safe for a terminal and cut to size."""

from __future__ import annotations

import re

# What orders about a CI system that reads along: "::error::" at the beginning of a line (GitHub; lines are wrapped),
# "##vso[" anywhere (Azure).
_ORDER = re.compile(r"(?<!\S)::(?=\w)|##(?=\w*\[)")
_LONGEST = 1_500
# Control characters, marks that turn or hide text, and half characters. Not the joiners (U+200C and U+200D), which
# Persian and emoji are written with.
_HIDDEN = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb\ufffe\uffff"
    "\ud800-\udfff\U000e0000-\U000e0fff]"
)


def printable(text: str) -> str:
    r"""Return the text on one line, with what could move a cursor or hide text shown as an escape.

    Control characters, terminal escapes, bidirectional marks and lone surrogates become ``\\x1b``,
    ``\\u202e`` and so on; whitespace becomes single spaces. The second
    character of a command to a CI system becomes one, too.
    """
    line = " ⏎ ".join(" ".join(part.split()) for part in text.split("\n"))
    shown = "".join(c if c.isprintable() else _escape(c) for c in line)
    return _ORDER.sub(lambda found: f"{found[0][0]}\\x{ord(found[0][1]):02x}", shown)


def visible(text: str, length: int) -> str:
    """Return the text for a page: its lines as they are, cut, and with what cannot be seen as an escape."""
    lines = shortened(text, length).replace("\r\n", "\n")
    return _HIDDEN.sub(lambda found: _escape(found[0]), lines).replace("\t", " ")


def shortened(text: str, length: int) -> str:
    """Return the text, cut to `length` characters with a note on how long it was and where all of it is."""
    # Cut before anything else: a model may answer with megabytes.
    return text if len(text) <= length else f"{text[:length]}… (cut; {len(text):,} characters, whole in cases.jsonl)"


def message(error: object) -> str:
    """Return what an error says, line by line made safe, and cut where it is endless."""
    return "\n".join(cut(line, _LONGEST) for line in str(error)[: 20 * _LONGEST].split("\n"))


def _escape(character: str) -> str:
    return character.encode("unicode_escape").decode("ascii")


def cut(text: str, length: int) -> str:
    """Return the printable text, cut to `length` characters with an ellipsis that tells how long it was."""
    # Cut before escaping: a model may answer with megabytes.
    shown = printable(text[: length + 1])
    if len(text) <= length and len(shown) <= length:
        return shown
    return f"{shown[:length]}… ({len(text):,} characters)"


def figure(number: float) -> str:
    """Return a count, without decimals where it is whole."""
    return f"{number:.0f}" if float(number).is_integer() else f"{number:.1f}"


def percent(rate: float) -> str:
    """Return a rate as a percentage with one decimal."""
    return f"{100 * rate:.1f} %"
