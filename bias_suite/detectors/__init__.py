"""The catalogue of detectors: data only, so that collecting tests imports none of the heavy libraries.

A detector is a family of probes plus the rule that judges an answer. The nine text-generation detectors of
Giskard stand here under Giskard's ids and tags (a test compares them with its registry); the others are ours
and are registered with Giskard by `bias_suite.detectors.giskard.register`.
"""

from __future__ import annotations

import importlib
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from bias_suite.cases import Answer, Case, Verdict
from bias_suite.errors import OptionError
from bias_suite.probes import Probe

if TYPE_CHECKING:
    from bias_suite.options import Settings


class Rule(Protocol):
    """How a detector gets its probes and judges answers; made once per process by `Detector.rule`.

    `calibrates` is True where an answer can only be judged in the light of the others.
    """

    calibrates: bool = False

    def unavailable(self) -> str | None:
        """Return why the detector cannot be evaluated here, or None where it can."""
        return None

    def probes(self, written: Sequence[Probe]) -> list[Probe]:
        """Return the detector's plan, given its probes from the probes files."""
        return list(written)

    def calibrate(self, answered: Sequence[tuple[Probe, tuple[Answer, ...]]]) -> None:
        """Look at all answers so far, before they are judged; called at each look, only where `calibrates`."""
        return

    def judge(self, probe: Probe, answers: tuple[Answer, ...]) -> Verdict:
        """Judge the answers to one probe; all of them are there (errors do not come here)."""
        ...

    def discount(self, cases: Sequence[Case]) -> str | None:
        """Return why the cases are no evidence either way (then NOT EVALUATED), or None where they are."""
        return None


@dataclass(frozen=True)
class Detector:
    """One detector.

    Attributes:
        id: The id, as in test ids, reports and probes files.
        title: What it looks for, in a few words.
        tags: What ``--bias-only`` and ``-m`` select by.
        make_rule: ``module:callable``, called with the `Settings`, returns the `Rule`; None for a detector
            that needs a judge.
        zero_tolerance: One failure is enough to FAIL.
        taxonomy: AVID and OWASP names of the harm.
    """

    id: str
    title: str
    tags: tuple[str, ...]
    make_rule: str | None = None
    zero_tolerance: bool = False
    taxonomy: tuple[str, ...] = ()

    def rule(self, settings: Settings) -> Rule:
        """Return the detector's rule; imports its module (which is light; what it needs loads when used)."""
        if self.make_rule is None:
            return _Judged()
        make: Any = _import(self.make_rule, f"detector {self.id!r}, make_rule {self.make_rule!r}")
        rule: Rule = make(settings)
        return rule


class _Judged(Rule):
    """A detector whose answers only an LLM can judge."""

    def unavailable(self) -> str | None:
        return "needs a judge, and none is configured"

    def judge(self, probe: Probe, answers: tuple[Answer, ...]) -> Verdict:
        raise AssertionError("unreachable: unavailable() says why")


CATALOGUE: tuple[Detector, ...] = (
    Detector(
        id="llm_prompt_injection",
        title="obeys instructions smuggled into the question",
        tags=("jailbreak", "prompt_injection", "llm", "generative", "text_generation"),
        make_rule="bias_suite.detectors.injection:PromptInjection",
        taxonomy=("avid-effect:security:S0403", "owasp-llm:LLM01:2025"),
    ),
    Detector(
        id="llm_chars_injection",
        title="answers otherwise when control characters are appended",
        tags=("control_chars_injection", "prompt_injection", "robustness", "text_generation"),
        make_rule="bias_suite.detectors.characters:ControlCharacters",
        taxonomy=("avid-effect:performance:P0201", "avid-effect:security:S0403", "owasp-llm:LLM01:2025"),
    ),
    Detector(
        id="canary_disclosure",
        title="gives away planted personal data and secrets",
        tags=("information_disclosure", "privacy", "canary", "text_generation"),
        make_rule="bias_suite.detectors.disclosure:CanaryDisclosure",
        zero_tolerance=True,
        taxonomy=("avid-effect:security:S0301", "owasp-llm:LLM02:2025"),
    ),
    Detector(
        id="llm_basic_sycophancy",
        title="changes its answer to please",
        tags=("hallucination", "misinformation", "sycophancy", "llm", "generative", "text_generation"),
        taxonomy=("avid-effect:ethics:E0402",),
    ),
    Detector(
        id="llm_faithfulness",
        title="strays from the documents",
        tags=("faithfulness", "llm", "text_generation"),
    ),
    Detector(
        id="llm_harmful_content",
        title="helps with harm",
        tags=("llm_harmful_content", "harmfulness", "text_generation"),
        taxonomy=("avid-effect:performance:P0401", "avid-effect:performance:P0403", "avid-effect:ethics:E0301"),
    ),
    Detector(
        id="llm_implausible_output",
        title="says what cannot be true",
        tags=("hallucination", "misinformation", "implausible_output", "llm", "generative", "text_generation"),
        taxonomy=("avid-effect:performance:P0204",),
    ),
    Detector(
        id="llm_information_disclosure",
        title="gives away sensitive information",
        tags=("information_disclosure", "llm", "generative", "text_generation"),
        taxonomy=("avid-effect:performance:P0301",),
    ),
    Detector(
        id="llm_output_formatting",
        title="breaks the format it should answer in",
        tags=("output_formatting", "llm", "text_generation"),
        taxonomy=("avid-effect:performance:P0204",),
    ),
    Detector(
        id="llm_stereotypes_detector",
        title="stereotypes or discriminates",
        tags=("llm_stereotypes_detector", "stereotypes", "discrimination", "ethics", "text_generation"),
        taxonomy=("avid-effect:ethics:E0101", "avid-effect:ethics:E0302"),
    ),
)


def catalogue(settings: Settings) -> tuple[Detector, ...]:
    """Return every detector: ours, Giskard's, and those that the ini names.

    Raises:
        OptionError: `bias_detectors` names something that is not a `Detector`, or an id twice.
    """
    named = tuple(_named(reference) for reference in settings.detectors)
    ids = [detector.id for detector in CATALOGUE + named]
    for identifier in ids:
        if ids.count(identifier) > 1:
            raise OptionError(f"ini key bias_detectors: detector id {identifier!r} is taken")
    return CATALOGUE + named


def _named(reference: str) -> Detector:
    found = _import(reference, f"ini key bias_detectors {reference!r}")
    if not isinstance(found, Detector):
        raise OptionError(f"ini key bias_detectors {reference!r}: not a bias_suite.detectors.Detector")
    return found


def _import(reference: str, what: str) -> Any:
    module, _, name = reference.partition(":")
    try:
        return getattr(importlib.import_module(module), name)
    except KeyboardInterrupt:
        raise
    except BaseException as error:  # whatever somebody's module raises on import, SystemExit included
        raise OptionError(f"{what}: {type(error).__name__}: {error}") from None


def tags(detectors: Iterable[Detector]) -> list[str]:
    """Return every tag and id that selects one of the detectors, sorted."""
    return sorted({tag for detector in detectors for tag in (*detector.tags, detector.id)})


def select(detectors: Sequence[Detector], wanted: Sequence[str], option: str) -> list[Detector]:
    """Return the detectors that have one of the tags or ids; all where none is wanted.

    Raises:
        OptionError: A tag selects nothing; the message lists those that do.
    """
    known = tags(detectors)
    for tag in wanted:
        if _name(tag) not in map(_name, known):
            raise OptionError(f"{option}: unknown tag {tag!r}; tags are {', '.join(known)}")
    names = {_name(tag) for tag in wanted}
    return [one for one in detectors if not names or names & {_name(tag) for tag in (*one.tags, one.id)}]


def _name(tag: str) -> str:
    return re.sub(r"\W+", "_", tag.strip())
