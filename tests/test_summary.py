"""``summary.json``: the contract's fields, rows that travel through pytest, and a file that is whole or old."""

from __future__ import annotations

import json
import math
import subprocess
import threading
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bias_suite.errors import ReportError
from bias_suite.evaluation import Outcome
from bias_suite.gate import Rules, Tally, decide
from bias_suite.reporting.summary import Row, commit, document, from_properties, row, to_properties, write

DECISION = decide([Tally(str(number), int(number < 3)) for number in range(40)], Rules())
OUTCOME = Outcome("canary_disclosure", "fail", "zero tolerance", DECISION, (), 151, 3, 12.34567, 42, 2)


# Rows


def test_a_row_has_the_figures_of_the_outcome() -> None:
    line = row(OUTCOME, "bot@1")
    assert (line.id, line.verdict, line.reason, line.model) == ("canary_disclosure", "fail", "zero tolerance", "bot@1")
    assert (line.judged, line.probes, line.plan, line.failures, line.errors) == (40, 40, 151, 3, 0)
    assert (line.rate, (line.lower, line.upper)) == (3 / 40, DECISION.interval)
    assert (line.seconds, line.calls, line.retried) == (12.346, 42, 2)


def test_a_row_of_an_outcome_without_figures() -> None:
    line = row(Outcome("canary_disclosure", "not_evaluated", "no planted values", plan=151))
    assert line == Row("canary_disclosure", "not_evaluated", "no planted values", plan=151)
    assert not line.evaluated


def test_a_row_of_nothing_but_errors_has_no_rate() -> None:
    decision = decide([Tally("a", 0, errors=1)], Rules())
    line = row(Outcome("canary_disclosure", "error", "errored", decision, plan=1))
    assert (line.rate, line.lower, line.upper, line.errors) == (None, None, None, 1)
    assert line.evaluated


def test_whole_counts_are_whole_numbers_in_json() -> None:
    whole, part = row(OUTCOME), row(Outcome("a", "pass", "", decide([Tally("a", 1, trials=2)], Rules())))
    assert json.dumps([whole.failures, whole.errors, part.failures]) == "[3, 0, 0.5]"


# Through pytest's user properties

numbers = st.floats(0, 1) | st.none()
rows = st.builds(
    Row,
    id=st.text(min_size=1),
    verdict=st.sampled_from(["pass", "fail", "inconclusive", "error", "not_evaluated"]),
    reason=st.text(),
    judged=st.integers(0),
    probes=st.integers(0),
    plan=st.integers(0),
    failures=st.integers(0, 99) | st.floats(0, 99),
    errors=st.integers(0, 99) | st.floats(0, 99),
    rate=numbers,
    lower=numbers,
    upper=numbers,
    seconds=st.floats(0, 1e6),
    calls=st.integers(0),
    retried=st.integers(0),
    model=st.none() | st.text(),
)


@given(rows)
def test_a_row_comes_back_from_its_properties(line: Row) -> None:
    assert from_properties(to_properties(line)) == line


@given(rows)
def test_a_row_comes_back_through_json_as_xdist_sends_it(line: Row) -> None:
    sent = json.loads(json.dumps(to_properties(line)))
    assert from_properties(sent) == line


@given(rows)
def test_properties_are_plain_values(line: Row) -> None:
    for name, value in to_properties(line):
        assert name.startswith("bias_")
        assert isinstance(value, str | int | float)


def test_other_properties_are_passed_over() -> None:
    others: list[tuple[str, object]] = [("duration", 3), ("bias_note", "of a sink's own"), ("model", "x")]
    assert from_properties([*others, *to_properties(row(OUTCOME))]) == row(OUTCOME)


@pytest.mark.parametrize(
    "properties", [[], [("duration", 3)], [("bias_note", "x")], [("bias_rate", 0.1)], [("bias_id", "x")]]
)
def test_properties_of_other_tests_are_no_row(properties: list[tuple[str, object]]) -> None:
    assert from_properties(properties) is None


# The document

RUN: dict[str, Any] = {
    "id": "r",
    "started": "2026-11-01T00:00:00+00:00",
    "seconds": 1.5,
    "model": "bot@1",
    "judge": None,
    "probes_sha256": "0" * 64,
    "git": None,
}
LINES = [row(OUTCOME, "bot@1"), Row("llm_faithfulness", "not_evaluated", "needs a judge")]
CONTENT = document(RUN, LINES, {"canary_disclosure": ("privacy", "canary")}, 1)


def test_the_document_has_the_keys_of_the_contract() -> None:
    assert set(CONTENT) == {"schema", "run", "detectors", "calls", "tokens", "usd", "waivers", "exit_status"}
    assert CONTENT["schema"] == 1
    assert set(RUN) <= set(CONTENT["run"])
    assert set(CONTENT["calls"]) == {"model", "judge", "measuring", "cached", "retried", "saved"}
    contract = {"id", "tags", "verdict", "probes", "failures", "errors", "rate", "interval", "reason"}
    assert all(contract <= set(detector) for detector in CONTENT["detectors"])
    assert CONTENT["exit_status"] == 1


def test_the_document_has_every_detector_in_order_with_its_figures() -> None:
    first, second = CONTENT["detectors"]
    assert (first["id"], first["tags"], first["verdict"]) == ("canary_disclosure", ["privacy", "canary"], "fail")
    assert (first["probes"], first["failures"], first["errors"], first["rate"]) == (40, 3, 0, 3 / 40)
    assert first["interval"] == list(DECISION.interval or ())
    assert (second["id"], second["tags"], second["verdict"]) == ("llm_faithfulness", [], "not_evaluated")
    assert (second["probes"], second["rate"], second["interval"]) == (0, None, None)
    assert second["reason"] == "needs a judge"


def test_calls_are_added_up() -> None:
    content = document(
        RUN, [Row("a", "pass", "", calls=40, retried=1), Row("b", "fail", "", calls=2, retried=2)], {}, 0
    )
    assert (content["calls"]["model"], content["calls"]["retried"]) == (42, 3)


@given(st.lists(rows, max_size=3))
def test_the_document_is_json_without_nan(lines: list[Row]) -> None:
    content = document(RUN, lines, {}, 0)
    assert json.loads(json.dumps(content, allow_nan=False)) == content


# The file


def test_what_is_written_is_the_document(tmp_path: Path) -> None:
    path = write(CONTENT, tmp_path)
    assert path == tmp_path / "summary.json"
    assert json.loads(path.read_text(encoding="utf-8")) == CONTENT
    assert path.read_bytes().endswith(b"}\n")


def test_the_last_run_s_file_is_replaced_and_nothing_else_is_left(tmp_path: Path) -> None:
    (tmp_path / "summary.json").write_text("old" * 100_000)
    write(CONTENT, tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["summary.json"]
    assert json.loads((tmp_path / "summary.json").read_text()) == CONTENT


def test_a_reader_sees_a_whole_file_at_any_time(tmp_path: Path) -> None:
    documents = [document(RUN, [Row("a", "error", "x" * size)], {}, 0) for size in (10, 300_000)]
    path = write(documents[0], tmp_path)
    done = threading.Event()
    torn: list[str] = []

    def follow() -> None:
        while not done.is_set():
            text = path.read_text(encoding="utf-8")
            if not text.endswith("}\n"):
                torn.append(text[-20:])

    reader = threading.Thread(target=follow)
    reader.start()
    for number in range(60):
        write(documents[number % 2], tmp_path)
    done.set()
    reader.join()
    assert torn == []


def test_text_in_other_scripts_can_be_read_in_the_file(tmp_path: Path) -> None:
    path = write(document(RUN, [Row("a", "error", "Où ? أين")], {}, 0), tmp_path)
    assert "Où ? أين" in path.read_text(encoding="utf-8")


def test_half_a_character_in_a_name_is_written_as_an_escape(tmp_path: Path) -> None:
    path = write(document({**RUN, "model": "bot \ud83d"}, [], {}, 0), tmp_path)
    assert json.loads(path.read_text(encoding="utf-8"))["run"]["model"] == "bot \ud83d"


def test_a_missing_folder_is_made(tmp_path: Path) -> None:
    assert write(CONTENT, tmp_path / "new" / "reports").exists()


def test_a_file_in_the_folder_s_place_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "reports").write_text("")
    with pytest.raises(ReportError, match=r"cannot write .*/reports/summary\.json: (Not a directory|File exists)"):
        write(CONTENT, tmp_path / "reports")


def test_a_folder_in_the_file_s_place_is_an_error_that_leaves_nothing_behind(tmp_path: Path) -> None:
    (tmp_path / "summary.json").mkdir()
    with pytest.raises(ReportError, match=r"cannot write .*summary\.json: Is a directory"):
        write(CONTENT, tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["summary.json"]


def test_figures_that_json_cannot_hold_do_not_come_up() -> None:
    for figures in (row(OUTCOME), row(Outcome("a", "error", "", decide([], Rules())))):
        assert not any(isinstance(value, float) and not math.isfinite(value) for value in vars(figures).values())


# The commit


def git(folder: Path, *arguments: str) -> str:
    identity = ["-c", "user.name=t", "-c", "user.email=t@example.org", "-c", "commit.gpgsign=false"]
    run = subprocess.run(["git", *identity, *arguments], cwd=folder, capture_output=True, text=True, check=True)
    return run.stdout.strip()


def test_the_commit_of_a_repository_is_its_hash(tmp_path: Path) -> None:
    git(tmp_path, "init", "-q")
    git(tmp_path, "commit", "-q", "--allow-empty", "--no-verify", "-m", "one")
    assert commit(tmp_path) == git(tmp_path, "rev-parse", "HEAD")
    assert len(bytes.fromhex(commit(tmp_path) or "")) == 20


def test_a_repository_without_commits_has_none(tmp_path: Path) -> None:
    git(tmp_path, "init", "-q")
    assert commit(tmp_path) is None


def test_a_folder_without_repository_has_none(tmp_path: Path) -> None:
    assert commit(tmp_path) is None


def test_a_folder_that_is_not_there_has_none(tmp_path: Path) -> None:
    assert commit(tmp_path / "none") is None


def test_without_git_there_is_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    git(tmp_path, "init", "-q")
    git(tmp_path, "commit", "-q", "--allow-empty", "--no-verify", "-m", "one")
    monkeypatch.setenv("PATH", str(tmp_path))
    assert commit(tmp_path) is None
