"""The catalogue of detectors: data only, so that collecting tests imports none of the heavy libraries.

A detector is a family of probes plus the rule that judges an answer. The nine text-generation detectors of
Giskard stand here under Giskard's ids and tags (a test compares them with its registry); the others are ours
and are registered with Giskard by `bias_suite.detectors.giskard.register`.
"""

from __future__ import annotations

import importlib
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from bias_suite.cases import Answer, Case, Judging, Verdict
from bias_suite.errors import OptionError
from bias_suite.probes import Probe

if TYPE_CHECKING:
    from bias_suite.effects import Effect
    from bias_suite.gate import Decision, Rules
    from bias_suite.judge import Judge
    from bias_suite.options import Settings
    from bias_suite.runner import Ask
    from bias_suite.subject import Subject


class Rule(Protocol):
    """How a detector gets its probes and judges answers; made once per process by `Detector.rule`.

    `calibrates` is True where an answer can only be judged in the light of the others. `remote` is True where
    judging waits for an LLM: `judge` is then called by many threads at a time, and must not raise. `scans` is
    True where the detector asks by itself: then `scan` is called, and nothing else is asked or judged; `calls`
    counts how often it called the model, `recorded` how many answers were recorded ones, `judging` what it spent on
    the judge. `compares` is True where `decide` compares groups, and the chances of a failure rate say nothing.
    """

    calibrates: bool = False
    remote: bool = False
    scans: bool = False
    compares: bool = False
    calls: int = 0
    recorded: int = 0
    judging: Judging | None = None

    def unavailable(self) -> str | None:
        """Return why the detector cannot be evaluated here, or None where it can."""
        return None

    def probes(self, written: Sequence[Probe]) -> list[Probe]:
        """Return the detector's plan, given its probes from the probes files."""
        return list(written)

    def prepare(self, subject: Subject, judge: Judge | None) -> None:
        """Get ready to judge answers of this model; called once, before anything is asked.

        Args:
            subject: The model under test.
            judge: The judge that ``--bias-judge`` names; None without one.

        Raises:
            BiasSuiteError: The detector cannot judge now; it becomes an ERROR with this message.
        """
        return

    def calibrate(self, answered: Sequence[tuple[Probe, tuple[Answer, ...]]]) -> None:
        """Look at all answers so far, before they are judged; called at each look, only where `calibrates`."""
        return

    def judge(self, probe: Probe, answers: tuple[Answer, ...]) -> Verdict:
        """Judge the answers to one probe; all of them are there (errors do not come here)."""
        ...

    def scan(self, written: Sequence[Probe], ask: Ask) -> Iterable[Case]:
        """Ask by itself and return failed cases; called only where `scans`.

        Args:
            written: The detector's plan.
            ask: Asks the model under test, many requests at a time, within the limits of the run.
        """
        return ()

    def decide(self, cases: Sequence[Case], rules: Rules, looks: int) -> Decision | None:
        """Return the decision on the detector where it is no matter of a failure rate; None leaves it to the gate.

        Args:
            cases: All so far, in the order of the plan.
            rules: What the detector is held to.
            looks: How often the evidence is looked at in all.
        """
        return None

    def effects(self, case: Case) -> Iterable[Effect]:
        """Return what a case shows that a later run can be compared with; nothing where it is no evidence."""
        from bias_suite import effects

        if case.verdict in ("passed", "failed"):
            yield effects.Effect(effects.FAILING, float(case.verdict == "failed"), case.cluster)

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
        make_rule: A callable, or ``module:callable``, that is called with the `Settings` and returns the `Rule`.
        zero_tolerance: One failure is enough to FAIL.
        taxonomy: AVID and OWASP names of the harm.
        group: Under which heading Giskard's reports show it.
        level: How serious a failure is: ``major``, ``medium`` or ``minor``, as Giskard grades its own.
        tolerance: Failure rate that is accepted, where it is not ``--bias-tolerance``.
        limit: Failure rate that must be ruled out for a PASS, where it is not ``--bias-limit``.
        asks: Whose probes it asks: a detector's id, where it has none of its own.
        test: The function of the package's test files that runs it.
    """

    id: str
    title: str
    tags: tuple[str, ...]
    make_rule: str | Callable[[Settings], Rule]
    zero_tolerance: bool = False
    taxonomy: tuple[str, ...] = ()
    group: str = "Robustness"
    level: str = "major"
    tolerance: float | None = None
    limit: float | None = None
    asks: str | None = None
    test: str = "test_detector"

    def rule(self, settings: Settings) -> Rule:
        """Return the detector's rule; imports its module (which is light; what it needs loads when used)."""
        make: Any = self.make_rule
        if isinstance(make, str):
            make = _import(make, f"detector {self.id!r}, make_rule {make!r}")
        rule: Rule = make(settings)
        return rule


_REQUIREMENT = "bias_suite.detectors.judged:Requirement"
CATALOGUE: tuple[Detector, ...] = (
    Detector(
        id="llm_prompt_injection",
        title="obeys instructions smuggled into the question",
        tags=("jailbreak", "prompt_injection", "llm", "generative", "text_generation"),
        make_rule="bias_suite.detectors.injection:PromptInjection",
        taxonomy=("avid-effect:security:S0403", "owasp-llm:LLM01:2025"),
        group="Prompt Injection",
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
        group="Sensitive Information Disclosure",
    ),
    Detector(
        id="bbq",
        title="takes the member of a group for the bad one, without evidence",
        tags=("stereotypes", "discrimination", "ethics", "judge_free", "text_generation"),
        make_rule="bias_suite.detectors.bbq:Bbq",
        taxonomy=("avid-effect:ethics:E0101", "avid-effect:ethics:E0302"),
        group="Stereotypes",
    ),
    Detector(
        id="counterfactual",
        title="treats people otherwise because of their group",
        tags=("discrimination", "counterfactual", "ethics", "judge_free", "text_generation"),
        make_rule="bias_suite.detectors.counterfactual:Counterfactual",
        taxonomy=("avid-effect:ethics:E0101", "avid-effect:performance:P0204"),
        group="Discrimination",
    ),
    Detector(
        id="invariance",
        title="treats two groups otherwise, in whatever words they ask",
        tags=("discrimination", "metamorphic", "ethics", "judge_free", "text_generation"),
        make_rule="bias_suite.detectors.invariance:Invariance",
        taxonomy=("avid-effect:ethics:E0101", "avid-effect:performance:P0204"),
        group="Discrimination",
        asks="counterfactual",
        test="test_invariance",
    ),
    Detector(
        id="grounding",
        title="states figures, dates, articles or agencies from nowhere",
        tags=("hallucination", "misinformation", "grounding", "judge_free", "text_generation"),
        make_rule="bias_suite.detectors.grounding:Grounding",
        taxonomy=("avid-effect:performance:P0204", "owasp-llm:LLM09:2025"),
        group="Hallucination and Misinformation",
    ),
    Detector(
        id="false_premise",
        title="agrees with what the question wrongly takes for granted",
        tags=("hallucination", "misinformation", "sycophancy", "judge_free", "text_generation"),
        make_rule="bias_suite.detectors.false_premise:FalsePremise",
        taxonomy=("avid-effect:ethics:E0402", "owasp-llm:LLM09:2025"),
        group="Hallucination and Misinformation",
    ),
    Detector(
        id="coverage",
        title="does not answer what it could answer",
        tags=("usefulness", "coverage", "judge_free", "text_generation"),
        make_rule="bias_suite.detectors.coverage:Coverage",
        taxonomy=("avid-effect:performance:P0204",),
        level="medium",
        tolerance=0.2,
        limit=0.5,
    ),
    Detector(
        id="llm_basic_sycophancy",
        title="changes its answer to please",
        tags=("hallucination", "misinformation", "sycophancy", "llm", "generative", "text_generation"),
        make_rule="bias_suite.detectors.judged:Coherency",
        taxonomy=("avid-effect:ethics:E0402", "owasp-llm:LLM09:2025"),
        group="Hallucination and Misinformation",
    ),
    Detector(
        id="llm_faithfulness",
        title="strays from the documents",
        tags=("faithfulness", "llm", "text_generation"),
        make_rule=_REQUIREMENT,
    ),
    Detector(
        id="llm_harmful_content",
        title="helps with harm",
        tags=("llm_harmful_content", "harmfulness", "text_generation"),
        make_rule=_REQUIREMENT,
        taxonomy=("avid-effect:performance:P0401", "avid-effect:performance:P0403", "avid-effect:ethics:E0301"),
        group="Harmfulness",
    ),
    Detector(
        id="llm_implausible_output",
        title="says what cannot be true",
        tags=("hallucination", "misinformation", "implausible_output", "llm", "generative", "text_generation"),
        make_rule="bias_suite.detectors.judged:Plausibility",
        taxonomy=("avid-effect:performance:P0204", "owasp-llm:LLM09:2025"),
        group="Hallucination and Misinformation",
        level="medium",
    ),
    Detector(
        id="llm_information_disclosure",
        title="gives away sensitive information",
        tags=("information_disclosure", "llm", "generative", "text_generation"),
        make_rule=_REQUIREMENT,
        taxonomy=("avid-effect:performance:P0301", "owasp-llm:LLM02:2025"),
        group="Sensitive Information Disclosure",
        level="medium",
    ),
    Detector(
        id="llm_output_formatting",
        title="breaks the format it should answer in",
        tags=("output_formatting", "llm", "text_generation"),
        make_rule=_REQUIREMENT,
        taxonomy=("avid-effect:performance:P0204",),
        group="Output Formatting",
        level="medium",
    ),
    Detector(
        id="llm_stereotypes_detector",
        title="stereotypes or discriminates",
        tags=("llm_stereotypes_detector", "stereotypes", "discrimination", "ethics", "text_generation"),
        make_rule=_REQUIREMENT,
        taxonomy=("avid-effect:ethics:E0101", "avid-effect:ethics:E0302"),
        group="Stereotypes",
    ),
)


def catalogue(settings: Settings) -> tuple[Detector, ...]:
    """Return every detector: ours, Giskard's, and those that the ini names.

    Raises:
        OptionError: `bias_detectors` names something that is neither a `Detector` nor a class registered with
            Giskard's ``@detector``, or an id twice.
    """
    named = tuple(_named(reference) for reference in settings.detectors)
    ids = [detector.id for detector in CATALOGUE + named]
    for identifier in ids:
        if ids.count(identifier) > 1:
            raise OptionError(f"ini key bias_detectors: detector id {identifier!r} is taken")
    return CATALOGUE + named


def _named(reference: str) -> Detector:
    found = _import(reference, f"ini key bias_detectors {reference!r}")
    if isinstance(found, Detector):
        return found
    if isinstance(found, type):
        from bias_suite.detectors import scanned

        return scanned.wrap(found, reference)
    raise OptionError(f"ini key bias_detectors {reference!r}: not a bias_suite.detectors.Detector")


def _import(reference: str, what: str) -> Any:
    module, _, name = reference.partition(":")
    try:
        return getattr(importlib.import_module(module), name)
    except KeyboardInterrupt:
        raise
    except BaseException as error:  # whatever somebody's module raises on import, SystemExit included
        raise OptionError(f"{what}: {type(error).__name__}: {error}") from None


ALIASES = {
    "stereotype": "stereotypes",
    "ethical": "ethics",
    "sensitive_information_disclosure": "information_disclosure",
    "sensitive_information": "information_disclosure",
}
"""Tags of Giskard's tutorials that name no detector any more, and the tags that do; both select the same."""


def tags(detectors: Iterable[Detector]) -> list[str]:
    """Return every tag and id that selects one of the detectors, sorted."""
    return sorted({tag for detector in detectors for tag in (*detector.tags, detector.id)})


def select(detectors: Sequence[Detector], wanted: Sequence[str], option: str) -> list[Detector]:
    """Return the detectors that have one of the tags or ids; all where none is wanted.

    Spaces and hyphens in a tag count as underscores, and `ALIASES` are followed.

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
    name = re.sub(r"\W+", "_", tag.strip())
    return ALIASES.get(name, name)
