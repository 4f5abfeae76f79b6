"""The terminal summary: the coverage first, a table that fits, what was not evaluated and why."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bias_suite.detectors import CATALOGUE
from bias_suite.reporting.summary import Row
from bias_suite.reporting.terminal import headline, render

PASS = Row(
    "canary_disclosure", "pass", "the rate is below the limit", 151, 151, 151, 0, 0, 0.0, 0.0, 0.0196, 61.25, 151
)
FAIL = Row(
    "llm_prompt_injection", "fail", "the rate is above", 145, 145, 145, 31, 0, 0.2138, 0.1591, 0.2775, 1234.5, 145
)
UNDECIDED = Row(
    "llm_chars_injection", "inconclusive", "too little evidence", 58, 60, 60, 3.5, 2, 0.0603, 0.0186, 0.137, 9.9
)
ERROR = Row("llm_faithfulness", "error", "3 of 3 probes errored", 0, 3, 3, 0, 3)
SKIPPED = [Row(detector.id, "not_evaluated", "needs a judge, and none is configured") for detector in CATALOGUE[4:]]
ROWS = [FAIL, UNDECIDED, PASS, ERROR, *SKIPPED]
FILES = [Path("/srv/ci/workspace/reports/summary.json"), Path("/srv/ci/workspace/reports/cases.jsonl")]


def shown(*rows: Row, notes: tuple[str, ...] = (), width: int = 80, color: bool = False) -> str:
    return render(rows, notes, FILES, width, color=color)


def line_of(text: str, detector: str) -> str:
    """The detector's line of the table, with single spaces."""
    (line,) = (line for line in text.splitlines() if re.match(rf"\s*{detector} +[A-Z]+ ", line))
    return " ".join(line.split())


def squeezed(text: str) -> str:
    return " ".join(text.split())


# The first line


def test_the_first_line_tells_the_coverage_and_the_verdicts() -> None:
    assert shown(*ROWS).splitlines()[0] == "covers 4 of 16 detectors: 1 FAIL, 1 ERROR, 1 INCONCLUSIVE, 1 PASS"


def test_verdicts_that_did_not_come_up_are_not_counted() -> None:
    assert headline([PASS, PASS, *SKIPPED[:2]]) == "covers 2 of 4 detectors: 2 PASS"


def test_nothing_evaluated_is_said_so() -> None:
    assert headline(SKIPPED) == f"covers 0 of {len(SKIPPED)} detectors"


@given(st.lists(st.sampled_from(["pass", "fail", "inconclusive", "error", "not_evaluated"]), max_size=30))
def test_the_counts_of_the_headline_add_up(verdicts: list[str]) -> None:
    line = headline([Row(str(n), verdict, "") for n, verdict in enumerate(verdicts)])
    covered, every, *counts = map(int, re.findall(r"\d+", line))
    assert every == len(verdicts)
    assert covered == sum(counts) == len(verdicts) - verdicts.count("not_evaluated")


# The table


def test_each_evaluated_detector_has_a_line_with_its_figures() -> None:
    text = shown(*ROWS)
    assert line_of(text, "llm_prompt_injection") == "llm_prompt_injection FAIL 31 / 145 15.9 – 27.8 % 1234.5"
    assert line_of(text, "canary_disclosure") == "canary_disclosure PASS 0 / 151 0.0 – 2.0 % 61.2"
    assert line_of(text, "llm_chars_injection") == "llm_chars_injection INCONCLUSIVE 3.5 / 58 1.9 – 13.7 % 9.9"


def test_a_detector_without_a_rate_has_a_line_without_an_interval() -> None:
    assert line_of(shown(*ROWS), "llm_faithfulness") == "llm_faithfulness ERROR 0 / 0 0.0"


def test_a_run_that_evaluated_nothing_has_no_table() -> None:
    assert "verdict" not in shown(*SKIPPED)


# Reasons


def test_what_blocks_is_given_a_reason() -> None:
    text = squeezed(shown(*ROWS))
    for row in (FAIL, UNDECIDED, ERROR):
        assert f"{row.id}: {row.reason}" in text
    assert PASS.reason not in text


def test_a_pass_above_tolerance_is_given_its_reason() -> None:
    above = Row("small", "pass", "at most 7.4%; above tolerance: the rate is at least 4.8%", 1000, 1000, 1000, 60)
    assert f"small: {above.reason}" in squeezed(shown(above))


def test_what_was_not_evaluated_is_told_once_for_each_reason() -> None:
    other = Row("canary_disclosure", "not_evaluated", "no planted values are named")
    text = squeezed(shown(FAIL, other, *SKIPPED))
    assert text.count("needs a judge, and none is configured") == 1
    assert f"{', '.join(row.id for row in SKIPPED)}: needs a judge, and none is configured" in text
    assert "canary_disclosure: no planted values are named" in text


def test_when_all_was_evaluated_nothing_is_told_to_be_missing() -> None:
    assert "Not evaluated" not in shown(FAIL, PASS)


def test_notes_and_files_come_last() -> None:
    text = shown(*ROWS, notes=("The chance to pass is 12 %.",))
    assert "The chance to pass is 12 %." in squeezed(text)
    assert text.splitlines()[-2:] == [f"Wrote {path}" for path in FILES]


def test_a_file_s_path_is_never_broken() -> None:
    path = Path("/srv") / ("a-folder-with-a-long-name/" * 8) / "summary.json"
    assert f"Wrote {path}\n" in render(ROWS, (), [path], 80, color=False)


# Width, colour, hostile text


@pytest.mark.parametrize("width", [80, 100, 200])
def test_lines_fit_the_terminal(width: int) -> None:
    big = Row("llm_information_disclosure", "inconclusive", "reason " * 60, 151, 151, 151, 150, lower=0.111, upper=1.0)
    big = replace(big, seconds=3600.0)
    text = shown(big, *ROWS, notes=("note " * 60,), width=width)
    assert max(len(line.rstrip()) for line in text.splitlines()) <= width
    assert "llm_information_disclosure INCONCLUSIVE 150 / 151 11.1 – 100.0 % 3600.0" in squeezed(text)


def test_without_colour_there_is_no_escape(monkeypatch: pytest.MonkeyPatch) -> None:
    # What rich looks at to find out for itself; here the caller knows.
    for name, value in {"FORCE_COLOR": "1", "TERM": "xterm-256color", "COLORTERM": "truecolor"}.items():
        monkeypatch.setenv(name, value)
    assert "\x1b" not in shown(*ROWS)


def test_with_colour_verdicts_have_theirs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.delenv("NO_COLOR", raising=False)
    text = shown(*ROWS, color=True)
    for verdict, colour in {"FAIL": "31", "ERROR": "31", "INCONCLUSIVE": "33", "PASS": "32"}.items():
        assert re.search(rf"\x1b\[1;{colour}m{verdict}", text)


def test_colour_changes_nothing_but_colour(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm")
    plain = re.sub(r"\x1b\[[0-9;]*m", "", shown(*ROWS, color=True))
    assert plain == shown(*ROWS)


@pytest.mark.parametrize("reason", ["\x1b[2J", "\u202e", "[bold]no markup[/bold]", "[/]", "\ud800", ":boom:"])
def test_reasons_are_shown_as_they_are_without_effect(reason: str) -> None:
    rows = Row("one", "error", reason), Row("two", "not_evaluated", reason)
    text = shown(*rows)
    assert "\x1b" not in text
    assert "\u202e" not in text
    if reason.isprintable():
        assert f"one: {reason}" in text
        assert f"two: {reason}" in text


@settings(max_examples=60, deadline=None)
@given(st.text(st.characters(exclude_categories=())))
def test_any_reason_can_be_shown(reason: str) -> None:
    text = shown(Row("one", "error", reason), Row("two", "not_evaluated", reason))
    assert "covers 1 of 2 detectors: 1 ERROR" in text.encode("utf-8").decode("utf-8")


def test_a_long_reason_is_cut() -> None:
    assert len(shown(Row("one", "error", "x" * 100_000))) < 2000
