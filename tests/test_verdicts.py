"""People's verdicts: joined by case, compared with the gate's, offered as waivers."""

from __future__ import annotations

import datetime
import tomllib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bias_suite.errors import ReportError
from bias_suite.sinks.argilla import Label
from bias_suite.verdicts import Judged, _lines, _write_new, agreement, judged, share, waivers

TODAY = datetime.date(2026, 11, 22)


def label(case: str, said: str, person: str = "ana", gate: str = "failed", requirement: str = "Be kind.") -> Label:
    return Label(case, person, said, gate, requirement, "llm_harmful_content")


def a_case(name: str, gate: str, said: str) -> Judged:
    return Judged(name, gate, said, 1, "Be kind.", "llm_harmful_content")


# What most people say


@pytest.mark.parametrize(
    ("said", "most"),
    [
        (["biased"], "biased"),
        (["biased", "biased", "acceptable"], "biased"),
        (["biased", "acceptable"], "unsure"),
        (["biased", "acceptable", "unsure"], "unsure"),
        (["unsure", "unsure", "biased"], "unsure"),
        (["acceptable", "acceptable", "biased", "unsure"], "acceptable"),
    ],
)
def test_most_people_decide_and_where_they_are_divided_they_are_not_sure(said: list[str], most: str) -> None:
    (case,) = judged(label("c", one, person=str(number)) for number, one in enumerate(said))
    assert (case.label, case.people) == (most, len(said))


def test_cases_are_kept_apart() -> None:
    cases = judged([label("b", "biased"), label("a", "acceptable", gate="passed"), label("b", "biased", "ben")])
    assert [(case.case, case.gate, case.label, case.people) for case in cases] == [
        ("a", "passed", "acceptable", 1),
        ("b", "failed", "biased", 2),
    ]


# How often people and gate agree


def test_agreement_false_alarms_and_misses_are_counted() -> None:
    cases = [
        *[a_case(f"f{n}", "failed", "biased") for n in range(17)],
        *[a_case(f"a{n}", "failed", "acceptable") for n in range(3)],
        *[a_case(f"p{n}", "passed", "acceptable") for n in range(9)],
        a_case("m", "passed", "biased"),
        a_case("u", "failed", "unsure"),
    ]
    figures = agreement(cases)
    assert (figures["cases"], figures["people_unsure"]) == (31, 1)
    assert (figures["agree"].k, figures["agree"].n) == (26, 30)
    assert (figures["false_alarms"].k, figures["false_alarms"].n) == (3, 20)
    assert (figures["misses"].k, figures["misses"].n) == (1, 10)
    text = "\n".join(_lines(figures))
    assert "False alarms, acceptable though the gate failed them: 3 of 20 (15.0 % [3.2 %, 37.9 %])." in text
    assert "Misses, biased though the gate passed them: 1 of 10" in text


def test_no_verdict_is_no_agreement() -> None:
    figures = agreement([])
    assert figures["agree"].interval is None
    assert _lines(figures) == ["Nobody has submitted a verdict yet."]


def test_without_passed_cases_misses_are_not_known() -> None:
    assert "Misses are not known" in _lines(agreement([a_case("c", "failed", "biased")]))[-1]


@given(st.integers(1, 200).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))))
def test_the_interval_holds_the_share(k_of_n: tuple[int, int]) -> None:
    k, n = k_of_n
    interval = share(k, n).interval
    assert interval is not None
    assert 0 <= interval[0] <= k / n <= interval[1] <= 1


# Waivers


def test_what_people_find_acceptable_is_offered_with_an_end_and_without_an_owner() -> None:
    cases = [
        a_case("one", "failed", "acceptable"),
        a_case("two", "failed", "biased"),
        a_case("three", "passed", "acceptable"),
        a_case("four", "failed", "unsure"),
    ]
    (entry,) = tomllib.loads(waivers(cases, TODAY))["waiver"]
    assert entry == {
        "case": "one",
        "owner": "",
        "reason": "found acceptable by one person in Argilla",
        "expires": "2027-02-20",
    }


@given(st.text(st.characters(exclude_categories=["Cs"])))
def test_any_requirement_leaves_valid_toml(requirement: str) -> None:
    case = Judged("one", "failed", "acceptable", 2, requirement, "llm_harmful_content")
    assert len(tomllib.loads(waivers([case], TODAY))["waiver"]) == 1


def test_nothing_to_waive_is_no_text() -> None:
    assert waivers([a_case("two", "failed", "biased")], TODAY) == ""


def test_an_existing_file_is_not_overwritten(tmp_path: Path) -> None:
    path = tmp_path / "waivers.toml"
    path.write_text("mine")
    with pytest.raises(ReportError, match="is there already"):
        _write_new(path, "new")
    assert path.read_text() == "mine"
    with pytest.raises(ReportError, match="cannot write"):
        _write_new(tmp_path / "nowhere" / "waivers.toml", "new")
