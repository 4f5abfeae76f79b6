"""Words that judge-free detectors read answers by: lists of regular expressions in TOML, by language or by meaning."""

from __future__ import annotations

import functools
import re
import tomllib
from pathlib import Path


@functools.cache
def read(name: str) -> dict[str, tuple[str, ...]]:
    """Return a list of this folder."""
    content = tomllib.loads((Path(__file__).parent / f"{name}.toml").read_text(encoding="utf-8"))
    return {key: tuple(patterns) for key, patterns in content.items()}


def any_of(name: str, *keys: str) -> str:
    """Return one regular expression for the patterns of some keys of a list; for all of them without keys."""
    lists = read(name)
    return "|".join(pattern for key in keys or lists for pattern in lists[key])


@functools.cache
def pattern(name: str) -> re.Pattern[str]:
    """Return a list as one pattern that begins at a word's beginning, in all languages at once.

    A model may answer in another language than it was asked in.
    """
    return re.compile(rf"(?<![\w'])(?:{any_of(name)})", re.IGNORECASE)
