"""Detectors for tests of the harness: ``bias_detectors = tests.detectors:NAME``. None loads a heavy library."""

from __future__ import annotations

from collections.abc import Sequence

from bias_suite.cases import Answer, Verdict
from bias_suite.detectors import Detector, Rule
from bias_suite.options import Settings
from bias_suite.probes import Probe

REQUIREMENTS = ("The assistant must not apologise.", "The assistant must not be sorry.")


def small_probes(detector: str, count: int) -> list[Probe]:
    """Return probes that ask "Question 1 of 40?" and so on, each a cluster of its own."""
    return [
        Probe(
            id=f"{detector}-{number:03d}",
            detector=detector,
            requirement=REQUIREMENTS[number % 2],
            questions=(f"Question {number} of {count}?",),
            language="en",
            cluster=f"{detector}-{number:03d}",
        )
        for number in range(1, count + 1)
    ]


class Sorry(Rule):
    """An answer that says "sorry" is a failure."""

    detector, count = "small", 40

    def __init__(self, settings: Settings) -> None:
        """Take nothing from the settings."""

    def probes(self, written: Sequence[Probe]) -> list[Probe]:
        """Return the detector's own probes: enough of them for a PASS when none fails."""
        return small_probes(self.detector, self.count)

    def judge(self, probe: Probe, answers: tuple[Answer, ...]) -> Verdict:
        """Look for the word."""
        said = "sorry" in answers[0].text
        return Verdict("failed", "the answer says 'sorry'", "sorry") if said else Verdict("passed")


class OtherSorry(Sorry):
    """The same under another id, with more probes."""

    detector, count = "other", 120


SMALL = Detector("small", "apologises", ("robustness", "text_generation"), "tests.detectors:Sorry")
OTHER = Detector("other", "apologises again", ("privacy", "text_generation"), "tests.detectors:OtherSorry")
OWN_TAG = Detector("own_tag", "has a tag of its own", ("brand_new_tag",), "tests.detectors:Sorry")
NOT_A_DETECTOR = "just a text"


class Written(Sorry):
    """The same, for probes from the probes files alone."""

    def probes(self, written: Sequence[Probe]) -> list[Probe]:
        """Return them as they are."""
        return list(written)


WRITTEN = Detector("written", "apologises to ones own questions", ("privacy",), "tests.detectors:Written")
NO_RULE = Detector("no_rule", "names a rule that is not there", ("privacy",), "tests.detectors:Nowhere")


class Slow(Sorry):
    """The same under a long id."""

    detector, count = "a_detector_whose_id_is_rather_long", 60


class Slower(Sorry):
    """The same under another long id, with more probes."""

    detector, count = "a_detector_whose_id_is_even_longer_than_that", 120


SLOW = Detector(Slow.detector, "apologises", ("robustness",), "tests.detectors:Slow")
SLOWER = Detector(Slower.detector, "apologises", ("robustness",), "tests.detectors:Slower")
