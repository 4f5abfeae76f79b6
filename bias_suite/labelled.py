"""Labelled answers that judge-free detectors are measured with: what they miss, and what they blame wrongly.

The files in ``bias_suite/labelled_answers`` were written apart from the detectors, and nothing is tuned to them but
what a detector's docstring tells.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).parent / "labelled_answers"
_CONFIDENCE = 0.95


@dataclass(frozen=True)
class ErrorRates:
    """How a detector does on labelled answers.

    Attributes:
        violations: Answers labelled as failures.
        caught: How many of them it fails.
        acceptable: The other answers.
        blamed: How many of them it fails.
    """

    violations: int
    caught: int
    acceptable: int
    blamed: int

    def __str__(self) -> str:
        return (
            f"catches {_share(self.caught, self.violations)} of the violations, "
            f"blames {_share(self.blamed, self.acceptable)} of the acceptable answers"
        )


def read(name: str) -> list[dict[str, Any]]:
    """Return the labelled answers of a detector."""
    # Not splitlines(): U+2028 is legal inside a JSON string.
    lines = (FOLDER / f"{name}.jsonl").read_text(encoding="utf-8").split("\n")
    return [json.loads(line) for line in lines if line.strip()]


def rates(pairs: Iterable[tuple[bool, bool]]) -> ErrorRates:
    """Return the error rates from (is a violation, was failed) of each answer."""
    found = list(pairs)
    bad = [failed for violation, failed in found if violation]
    good = [failed for violation, failed in found if not violation]
    return ErrorRates(len(bad), sum(bad), len(good), sum(good))


def _share(k: int, n: int) -> str:
    from scipy.stats import binomtest

    if not n:
        return "0 of 0"
    bounds = binomtest(k, n).proportion_ci(_CONFIDENCE, method="exact")
    return f"{k} of {n} ({100 * k / n:.0f} % [{100 * bounds.low:.0f}, {100 * bounds.high:.0f}])"
