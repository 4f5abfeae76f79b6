"""The catalogue: Giskard's own detectors under Giskard's names, ours beside them, and choosing among them."""

from __future__ import annotations

import inspect
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from bias_suite import plan as plans
from bias_suite.detectors import ALIASES, CATALOGUE, Detector, catalogue, giskard, select, tags
from bias_suite.errors import OptionError
from bias_suite.options import Settings, read_settings
from tests import detectors as samples

BY_ID = {detector.id: detector for detector in CATALOGUE}
OURS = {"bbq", "canary_disclosure", "counterfactual", "coverage", "false_premise", "grounding", "invariance"}
WITHOUT_JUDGE = OURS | {"llm_chars_injection", "llm_prompt_injection"}


@pytest.fixture
def settings(pytestconfig: pytest.Config) -> Settings:
    """The settings of this repository."""
    return read_settings(pytestconfig)


def named(settings: Settings, *references: str) -> tuple[Detector, ...]:
    return catalogue(replace(settings, detectors=references))


# Against Giskard's registry


@pytest.fixture(scope="module")
def registry() -> dict[str, tuple[Any, set[str]]]:
    """Giskard's text-generation detectors: class and tags, by id."""
    giskard.load()
    from giskard.scanner.registry import DetectorRegistry

    found = DetectorRegistry.get_detector_classes(["text_generation"])
    return {name: (cls, DetectorRegistry._tags[name]) for name, cls in found.items() if name not in OURS}


def test_every_text_generation_detector_of_giskard_is_there(registry: dict[str, Any]) -> None:
    assert len(registry) == 9
    assert set(registry) == set(BY_ID) - OURS


def test_tags_are_giskard_s(registry: dict[str, tuple[Any, set[str]]]) -> None:
    theirs = {name: known for name, (_, known) in registry.items()}
    assert {name: set(BY_ID[name].tags) for name in theirs} == theirs


def test_harms_are_giskard_s(registry: dict[str, tuple[Any, set[str]]]) -> None:
    # Some of its classes have an attribute, others name the harms where they make an issue: both are in the source.
    for name, (cls, _) in registry.items():
        theirs = set(re.findall(r'"(avid-effect:[\w:]+)"', inspect.getsource(cls)))
        ours = {harm for harm in BY_ID[name].taxonomy if harm.startswith("avid-effect:")}
        assert ours == theirs, name


def test_headings_and_grades_are_giskard_s(registry: dict[str, tuple[Any, set[str]]]) -> None:
    from giskard.scanner import issues

    for name, (cls, _) in registry.items():
        group, level = getattr(cls, "_issue_group", None), getattr(cls, "_issue_level", None)
        if group is None:  # named where the issue is made
            source = inspect.getsource(cls)
            found = re.search(r"group=(\w+),", source)
            group = getattr(issues, found[1], None) if found else None
            levels = set(re.findall(r"level=IssueLevel\.(\w+)", source))
            level = issues.IssueLevel[levels.pop()] if len(levels) == 1 else None
        # Giskard makes the group of its injections on the spot, and grades them by their number.
        assert BY_ID[name].group == (group.name if group and group.name else "Prompt Injection"), name
        assert level is None or BY_ID[name].level == level.value, name


def test_evaluators_are_giskard_s(registry: dict[str, tuple[Any, set[str]]]) -> None:
    theirs = {
        "RequirementEvaluator": "Requirement",
        "CoherencyEvaluator": "Coherency",
        "PlausibilityEvaluator": "Plausibility",
        "StringMatcherEvaluator": "PromptInjection",
        "LLMCharInjector": "ControlCharacters",
    }
    for name, (cls, _) in registry.items():
        source = "".join(inspect.getsource(base) for base in cls.__mro__[:-1])
        used = {ours for evaluator, ours in theirs.items() if f"{evaluator}(" in source}
        assert {str(BY_ID[name].make_rule).rpartition(":")[2]} == used, name


# The table


def test_ids_are_unique() -> None:
    assert len(BY_ID) == len(CATALOGUE)


def test_every_detector_is_a_text_generation_one_with_a_title() -> None:
    for detector in CATALOGUE:
        assert "text_generation" in detector.tags
        assert detector.title
        assert len(set(detector.tags)) == len(detector.tags)


def test_ids_and_tags_can_be_used_with_m() -> None:
    assert [tag for tag in tags(CATALOGUE) if not tag.isidentifier()] == []


def test_only_planted_values_are_zero_tolerance() -> None:
    assert {detector.id for detector in CATALOGUE if detector.zero_tolerance} == {"canary_disclosure"}


def test_detectors_that_need_no_judge_stand_first() -> None:
    judged = {detector.id for detector in CATALOGUE if "judged:" in str(detector.make_rule)}
    assert judged == set(BY_ID) - WITHOUT_JUDGE
    assert {detector.id for detector in CATALOGUE[: len(WITHOUT_JUDGE)]} == WITHOUT_JUDGE


def test_every_rule_can_be_made(settings: Settings) -> None:
    for detector in CATALOGUE:
        rule = detector.rule(settings)
        reason = rule.unavailable()
        assert reason is None or isinstance(reason, str)


def test_judged_detectors_say_that_they_need_a_judge(settings: Settings) -> None:
    for name in set(BY_ID) - WITHOUT_JUDGE:
        assert BY_ID[name].rule(settings).unavailable() == "needs a judge, and none is configured (--bias-judge)"


def test_every_detector_that_needs_no_judge_has_enough_probes(settings: Settings) -> None:
    plan = plans.load(settings)
    # 29 without a failure are the fewest that can pass.
    assert {name: len(plan.probes[name]) for name in WITHOUT_JUDGE if len(plan.probes[name]) < 40} == {}
    assert len(plan.probes["llm_prompt_injection"]) > 100


def test_each_detector_gets_the_probes_that_name_it(settings: Settings) -> None:
    plan = plans.load(settings)
    assert [p.id for name, asked in plan.probes.items() for p in asked if p.detector != name] == []


# Detectors of one's own, named in the ini


def test_the_catalogue_without_further_detectors_is_the_table(settings: Settings) -> None:
    assert named(settings) == CATALOGUE


def test_named_detectors_come_after_ours(settings: Settings) -> None:
    found = named(settings, "tests.detectors:SMALL", "tests.detectors:OTHER")
    assert found == (*CATALOGUE, samples.SMALL, samples.OTHER)


@pytest.mark.parametrize(
    ("reference", "message"),
    [
        ("no_such_module:X", "No module named 'no_such_module'"),
        ("tests.detectors:NO_SUCH", "has no attribute 'NO_SUCH'"),
        ("tests.detectors", ": ."),
        (":SMALL", ": ."),
        (".detectors:SMALL", ": ."),
        ("tests.detectors:NOT_A_DETECTOR", "not a bias_suite.detectors.Detector"),
        ("tests.detectors:Sorry", "neither a bias_suite.detectors.Detector nor a class that is registered"),
        ("broken_detectors:MINE", "the licence server is down"),
        ("unfinished_detectors:MINE", "was never closed"),
    ],
)
def test_a_reference_that_leads_nowhere_is_an_error_that_names_it(
    settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, reference: str, message: str
) -> None:
    (tmp_path / "broken_detectors.py").write_text("raise RuntimeError('the licence server is down')")
    (tmp_path / "unfinished_detectors.py").write_text("MINE = (")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(OptionError, match=message) as raised:
        named(settings, reference)
    assert str(raised.value).startswith(f"ini key bias_detectors {reference!r}: ")


@pytest.mark.parametrize("twice", [True, False])
def test_an_id_that_is_taken_is_an_error(
    settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, twice: bool
) -> None:
    name = "mine" if twice else "canary_disclosure"
    module = "twice_detectors" if twice else "taken_detectors"
    line = f"Detector({name!r}, 'title', ('tag',), 'tests.detectors:Sorry')"
    (tmp_path / f"{module}.py").write_text(f"from bias_suite.detectors import Detector\nA = {line}\nB = {line}\n")
    monkeypatch.syspath_prepend(tmp_path)
    references = [f"{module}:A", f"{module}:B"] if twice else [f"{module}:A"]
    with pytest.raises(OptionError, match=f"bias_detectors: detector id '{name}' is taken"):
        named(settings, *references)


# Choosing


def chosen(*wanted: str) -> list[str]:
    return [detector.id for detector in select(CATALOGUE, wanted, "--bias-only")]


def test_without_tags_all_are_chosen() -> None:
    assert chosen() == [detector.id for detector in CATALOGUE]


@pytest.mark.parametrize(
    ("wanted", "found"),
    [
        (("stereotypes",), {"bbq", "llm_stereotypes_detector"}),
        (("ethics",), {"bbq", "counterfactual", "invariance", "llm_stereotypes_detector"}),
        (("canary_disclosure",), {"canary_disclosure"}),
        (("privacy",), {"canary_disclosure"}),
        (("information_disclosure",), {"canary_disclosure", "llm_information_disclosure"}),
        (("hallucination",), {"false_premise", "grounding", "llm_basic_sycophancy", "llm_implausible_output"}),
        (("prompt_injection",), {"llm_prompt_injection", "llm_chars_injection"}),
        (("jailbreak", "harmfulness"), {"llm_prompt_injection", "llm_harmful_content"}),
        (("text_generation",), set(BY_ID)),
    ],
)
def test_detectors_are_chosen_by_any_of_the_tags_or_ids(wanted: tuple[str, ...], found: set[str]) -> None:
    assert set(chosen(*wanted)) == found


def test_the_order_of_the_catalogue_is_kept() -> None:
    assert chosen("harmfulness", "jailbreak", "canary") == [
        "llm_prompt_injection",
        "canary_disclosure",
        "llm_harmful_content",
    ]


@pytest.mark.parametrize(
    "spelled", ["prompt injection", "prompt-injection", " prompt_injection ", "prompt - injection"]
)
def test_spaces_and_dashes_stand_for_underscores(spelled: str) -> None:
    assert chosen(spelled) == chosen("prompt_injection")


TUTORIAL = {
    "hallucination": {"false_premise", "grounding", "llm_basic_sycophancy", "llm_implausible_output"},
    "stereotype": {"bbq", "llm_stereotypes_detector"},
    "ethical": {"bbq", "counterfactual", "invariance", "llm_stereotypes_detector"},
    "harmfulness": {"llm_harmful_content"},
    "sensitive information disclosure": {"llm_information_disclosure", "canary_disclosure"},
}


@pytest.mark.parametrize("tag", TUTORIAL)
def test_each_tag_of_the_tutorial_chooses_what_it_was_meant_for(tag: str) -> None:
    # giskard.scan ignores three of the five without a word.
    assert {detector.id for detector in select(CATALOGUE, [tag], "--bias-only")} == TUTORIAL[tag]


def test_an_alias_names_a_tag_that_exists_and_is_none_itself() -> None:
    assert set(ALIASES.values()) <= set(tags(CATALOGUE))
    assert set(ALIASES) & set(tags(CATALOGUE)) == set()


@pytest.mark.parametrize("tag", ["unethical", "stereotyped", "information", "", "_", "llm_"])
def test_an_unknown_tag_is_an_error_that_lists_the_valid_ones(tag: str) -> None:
    with pytest.raises(OptionError) as raised:
        chosen("hallucination", tag)
    text = str(raised.value)
    assert text.startswith(f"--bias-only: unknown tag {tag!r}; tags are ")
    listed = text.partition("; tags are ")[2].split(", ")
    assert listed == tags(CATALOGUE)
    assert {"stereotypes", "ethics", "canary_disclosure", "llm_prompt_injection"} <= set(listed)


def test_every_listed_tag_chooses_something() -> None:
    assert [tag for tag in tags(CATALOGUE) if not chosen(tag)] == []


@pytest.mark.parametrize("tag", ["my-detector", "my detector", "bank-secrets", "gdpr/art. 9", "étiquette"])
def test_every_listed_tag_of_a_named_detector_chooses_it(tag: str) -> None:
    mine = Detector("my-detector", "a title", ("bank-secrets", "my detector", "gdpr/art. 9", "étiquette"), "m:f")
    assert select([*CATALOGUE, mine], [tag], "--bias-only") == [mine]
