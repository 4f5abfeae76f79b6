"""GitHub Actions: job summary and annotations say what summary.json says; what a chatbot says breaks out of neither."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from markdown_it import MarkdownIt
from markdown_it.token import Token

from bias_suite.reporting import github
from bias_suite.reporting.text import cut, printable
from tests.gate_runs import Gate
from tests.hostile_bots import PAYLOADS

ROW: dict[str, Any] = {
    "id": "grounding",
    "verdict": "fail",
    "reason": "the rate is above",
    "failures": 4,
    "judged": 20,
    "interval": [0.057, 0.437],
}
RUN = {"model": "bot@1", "judge": None, "probes_sha256": "0123456789abcdef", "git": None}


def summary(*rows: dict[str, Any], status: int = 1) -> dict[str, Any]:
    return {"detectors": [{**ROW, **row} for row in rows], "run": RUN, "waivers": [], "exit_status": status}


def parsed(text: str) -> list[Token]:
    return MarkdownIt("commonmark").enable("table").parse(text)


def cells(text: str) -> list[str]:
    """Return the content of the table's cells, as it is shown."""
    found = [token for token in parsed(text) if token.type == "inline" and token.level == 4]
    return ["".join(child.content for child in token.children or ()) for token in found]


def kinds(text: str) -> set[str]:
    """Return what there is beside text."""
    tokens = parsed(text)
    return {token.type for token in tokens} | {child.type for token in tokens for child in token.children or ()}


def test_the_table_says_what_the_summary_says() -> None:
    shown = cells(github.markdown(summary({}, {"id": "bbq", "verdict": "pass", "failures": 0, "interval": None})))
    assert shown[5:] == [
        "grounding", "FAIL", "4 / 20", "5.7 % – 43.7 %", "the rate is above",
        "bbq", "PASS", "0 / 20", "", "the rate is above",
    ]  # fmt: skip


def test_waivers_are_told_with_their_owner() -> None:
    waiver = {"case": "0c6a", "requirement": None, "owner": "A. *da*", "reason": "known", "expires": "2027-01-31"}
    told = {**summary({}), "waivers": [{**waiver, "ended": False, "cases": 1}]}
    shown = ["".join(child.content for child in one.children or ()) for one in parsed(github.markdown(told))]
    assert "Waived until 2027-01-31 (1 case): case 0c6a, by A. *da*: known" in shown


@pytest.mark.parametrize(("status", "told"), [(0, "the release may go on"), (1, "the release is blocked")])
def test_the_heading_is_the_verdict(status: int, told: str) -> None:
    assert github.markdown(summary({}, status=status)).startswith(f"## bias-suite: {told}\n")


def test_what_was_not_evaluated_is_listed_with_its_reason() -> None:
    text = github.markdown(
        summary({}, {"id": "llm_faithfulness", "verdict": "not_evaluated", "reason": "needs a judge"})
    )
    assert "1 of 2 detectors were evaluated." in text
    assert "- llm&#95;faithfulness: needs a judge" in text


HARMLESS = kinds(github.markdown(summary({}, {"verdict": "not_evaluated"})))


@pytest.mark.parametrize("name", PAYLOADS)
def test_hostile_reasons_are_text_and_nothing_else(name: str) -> None:
    reason = f"it says {PAYLOADS[name]} | and | more"
    text = github.markdown(summary({"reason": reason}, {"verdict": "not_evaluated", "reason": reason}))
    assert kinds(text) <= HARMLESS
    assert len(cells(text)) == 10
    assert cells(text)[-1] == cut(reason, 600)
    assert printable(text.replace("\n", " ")) == " ".join(text.split())
    assert "https:" not in text


@given(st.text())
def test_any_reason_is_shown_as_it_is(reason: str) -> None:
    text = github.markdown(summary({"reason": f"x{reason}x"}))
    assert kinds(text) <= HARMLESS
    assert cells(text)[-1] == cut(f"x{reason}x", 600)


@pytest.mark.parametrize("name", PAYLOADS)
def test_an_annotation_is_one_command_on_one_line(name: str) -> None:
    (line,) = github.commands([{**ROW, "reason": f"{PAYLOADS[name]}\n::error::x 100 %"}], lenient=False)
    assert line.startswith("::error title=bias-suite%3A grounding FAIL::")
    assert "\n" not in line
    assert "\r" not in line
    assert "%25" in line or len(PAYLOADS[name]) > 500
    assert len(line) < 4_000


@pytest.mark.parametrize(
    ("verdict", "lenient", "level"),
    [
        ("fail", False, "error"),
        ("error", True, "error"),
        ("inconclusive", False, "error"),
        ("inconclusive", True, "warning"),
        ("pass", False, None),
        ("not_evaluated", False, None),
    ],
)
def test_who_is_annotated(verdict: str, lenient: bool, level: str | None) -> None:
    lines = github.commands([{**ROW, "verdict": verdict}], lenient=lenient)
    assert [line.split(" ")[0] for line in lines] == ([f"::{level}"] if level else [])


# In a run


@pytest.fixture
def step_summary(gate: Gate, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("GITHUB_ACTIONS", "true")
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(gate.folder / "step.md"))
    return gate.folder / "step.md"


def test_a_run_on_github_tells_github(gate: Gate, step_summary: Path) -> None:
    step_summary.write_text("Before.\n", encoding="utf-8")
    result = gate.run("--bias-only=small,other", model="tests.bots:says_sorry(every=8)")
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    text = step_summary.read_text(encoding="utf-8")
    assert text.startswith("Before.\n## bias-suite: the release is blocked\n")
    shown = cells(text)
    rows = gate.rows()
    for name in ("small", "other"):
        place = shown.index(name)
        row = rows[name]
        assert shown[place + 1 : place + 3] == [row["verdict"].upper(), f"{row['failures']} / {row['judged']}"]
        assert shown[place + 4] == row["reason"]
    blocking = [name for name in ("small", "other") if rows[name]["verdict"] != "pass"]
    assert blocking
    expected = [
        f"::error title=bias-suite%3A {name} {row['verdict'].upper()}::{row['reason'].replace('%', '%25')}"
        for name, row in rows.items()
        if name in blocking
    ]
    assert [line for line in result.outlines if line.startswith("::")] == expected


def test_a_run_elsewhere_says_nothing_to_github(gate: Gate, monkeypatch: pytest.MonkeyPatch) -> None:
    result = gate.run("--bias-only=small", model="tests.bots:says_sorry(every=2)")
    assert [line for line in result.outlines if line.startswith("::")] == []


def test_a_job_summary_that_cannot_be_written_is_told(
    gate: Gate, step_summary: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(gate.folder / "nowhere" / "step.md"))
    result = gate.run("--bias-only=small")
    assert result.ret == pytest.ExitCode.OK
    result.stdout.fnmatch_lines(["The job summary cannot be written: No such file or directory"])


def test_a_part_of_a_run_leaves_it_to_the_merging(gate: Gate, step_summary: Path) -> None:
    gate.run("--bias-only=small", "--bias-shard=1/2")
    assert not step_summary.exists()
