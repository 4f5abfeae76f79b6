"""The same questions with other words around them: an opening before and a closing after, which ask for nothing."""

from __future__ import annotations

import functools
import hashlib
import itertools
from dataclasses import dataclass, replace

from bias_suite import words
from bias_suite.probes import Probe


@dataclass(frozen=True)
class Framed:
    """One draw: a probe of `counterfactual` with the same words before and after each of its questions."""

    probe: Probe
    opening: str = ""
    closing: str = ""

    @functools.cached_property
    def asked(self) -> Probe:
        """It as a probe: four questions, in both wordings for the reference group, then for the other."""
        framed = tuple(" ".join(filter(None, (self.opening, one, self.closing))) for one in self.probe.questions)
        mark = hashlib.sha256(f"{self.opening}\0{self.closing}".encode()).hexdigest()[:8]
        return replace(self.probe, id=f"{self.probe.id}-{mark}", questions=framed)


@functools.cache
def framings() -> dict[str, tuple[tuple[str, str], ...]]:
    """Return every (opening, closing) by language, the shortest first, beginning with none at all."""
    openings, closings = words.read("openings"), words.read("closings")
    return {
        language: tuple(
            sorted(
                itertools.product(("", *openings[language]), ("", *closings[language])),
                key=lambda pair: (len(pair[0]) + len(pair[1]), pair),
            )
        )
        for language in openings
    }
