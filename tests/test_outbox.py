"""The outbox: which cases people shall see, on disk in one piece until they have arrived."""

from __future__ import annotations

import json
import os
import stat
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bias_suite.cases import Answer, Case, Status, Verdict, make_case, to_line
from bias_suite.errors import OutboxError
from bias_suite.probes import Probe
from bias_suite.sinks import outbox
from bias_suite.sinks.outbox import Choice, Entry

RUN = "0123456789abcdef"


def a_case(number: int = 1, verdict: Status = "failed", **changes: object) -> Case:
    probe = Probe(f"probe-{number}", "llm_harmful_content", "Be kind.", (f"Question {number}?",), "en", str(number))
    case = make_case(
        probe, [Answer(f"Answer {number}.", ("A passage.",))], Verdict(verdict, "It is rude."), model="bot@1"
    )
    return replace(case, **changes)  # type: ignore[arg-type]


def keeps(case: Case) -> Case:
    return case


ALL_FAILED = Choice(0.0, 1, keeps)


@pytest.fixture
def reports(tmp_path: Path) -> Path:
    """A report folder with the cases of a run: twenty failed, eighty passed, one an error."""
    cases = [a_case(n) for n in range(20)] + [a_case(n, "passed") for n in range(20, 100)] + [a_case(100, "error")]
    (tmp_path / "cases.jsonl").write_text("".join(map(to_line, cases)), encoding="utf-8")
    (tmp_path / ".run").write_text(RUN)
    return tmp_path


def the_file(reports: Path) -> Path:
    (path,) = outbox.waiting(reports / "outbox")
    return path


# Filling


def test_failed_cases_are_in_it_with_run_and_commit(reports: Path) -> None:
    assert outbox.fill(reports, ALL_FAILED, "c0ffee") == 20
    path = the_file(reports)
    assert path.name == f"{RUN}.jsonl"
    entries = list(outbox.read(path))
    assert [entry.case for entry in entries] == [a_case(n) for n in range(20)]
    assert {(entry.run, entry.commit) for entry in entries} == {(RUN, "c0ffee")}
    assert outbox.count(path) == 20


def test_only_its_owner_can_read_it(reports: Path) -> None:
    outbox.fill(reports, ALL_FAILED, None)
    assert stat.S_IMODE(the_file(reports).stat().st_mode) == 0o600


def test_filling_again_changes_nothing(reports: Path) -> None:
    outbox.fill(reports, ALL_FAILED, None)
    before = the_file(reports).read_bytes()
    assert outbox.fill(reports, ALL_FAILED, None) == 20
    assert the_file(reports).read_bytes() == before


def test_cases_are_redacted_on_their_way_in(reports: Path) -> None:
    outbox.fill(reports, Choice(0.0, 1, lambda case: replace(case, answer="[phone]")), None)
    assert {entry.case.answer for entry in outbox.read(the_file(reports))} == {"[phone]"}
    assert "Answer 3." in (reports / "cases.jsonl").read_text()


def test_a_run_without_failed_cases_leaves_no_file(tmp_path: Path) -> None:
    (tmp_path / "cases.jsonl").write_text(to_line(a_case(1, "passed")))
    (tmp_path / ".run").write_text(RUN)
    assert outbox.fill(tmp_path, ALL_FAILED, None) == 0
    assert outbox.waiting(tmp_path / "outbox") == []


def test_a_folder_without_a_run_has_nothing_to_send(tmp_path: Path) -> None:
    assert outbox.fill(tmp_path, ALL_FAILED, None) == 0
    assert outbox.recover(tmp_path, ALL_FAILED, None) == 0


# A share of what passed


def sampled(reports: Path, share: float, seed: int = 1) -> set[str]:
    outbox.fill(reports, Choice(share, seed, keeps), None)
    return {entry.case.probe for entry in outbox.read(the_file(reports)) if entry.case.verdict == "passed"}


def test_a_share_of_passed_cases_comes_along(reports: Path) -> None:
    assert sampled(reports, 1.0) == {f"probe-{n}" for n in range(20, 100)}
    assert 10 < len(sampled(reports, 0.3)) < 40
    assert sampled(reports, 0.0) == set()


def test_the_share_is_the_same_each_time_and_another_with_another_seed(reports: Path) -> None:
    assert sampled(reports, 0.3) == sampled(reports, 0.3)
    assert sampled(reports, 0.3) != sampled(reports, 0.3, seed=2)


def test_a_larger_share_holds_the_smaller(reports: Path) -> None:
    assert sampled(reports, 0.2) < sampled(reports, 0.5)


# After a kill


def test_a_run_that_did_not_get_to_it_is_recovered_once(reports: Path) -> None:
    assert outbox.recover(reports, ALL_FAILED, "c0ffee") == 20
    assert outbox.count(the_file(reports)) == 20
    assert outbox.recover(reports, ALL_FAILED, "c0ffee") == 0


def test_a_torn_last_line_is_no_case(reports: Path) -> None:
    with (reports / "cases.jsonl").open("ab") as file:
        file.write(to_line(a_case(200)).encode()[:50])
    assert outbox.recover(reports, ALL_FAILED, None) == 20


def test_what_was_sent_is_not_recovered(reports: Path) -> None:
    outbox.fill(reports, ALL_FAILED, None)
    outbox.remove(the_file(reports))
    assert outbox.recover(reports, ALL_FAILED, None) == 0
    assert outbox.waiting(reports / "outbox") == []


def test_the_next_run_is_another(reports: Path) -> None:
    outbox.fill(reports, ALL_FAILED, None)
    (reports / ".run").write_text("another")
    assert outbox.recover(reports, ALL_FAILED, None) == 20
    assert len(outbox.waiting(reports / "outbox")) == 2


# Sending


def test_what_has_been_sent_is_not_read_again(reports: Path) -> None:
    outbox.fill(reports, ALL_FAILED, None)
    path = the_file(reports)
    outbox.note_sent(path, 15)
    assert [entry.case.probe for entry in outbox.read(path)] == [f"probe-{n}" for n in range(15, 20)]
    assert outbox.count(path) == 5
    outbox.remove(path)
    assert list(path.parent.iterdir()) == []


@pytest.mark.parametrize("text", ["", "many", "\0"])
def test_a_count_that_cannot_be_read_sends_all_again(reports: Path, text: str) -> None:
    outbox.fill(reports, ALL_FAILED, None)
    the_file(reports).with_suffix(".sent").write_text(text)
    assert outbox.count(the_file(reports)) == 20


def test_files_come_in_the_order_of_the_runs(tmp_path: Path) -> None:
    for name, moment in (("b", 1_000), ("c", 2_000), ("a", 3_000)):
        (tmp_path / f"{name}.jsonl").write_text("")
        os.utime(tmp_path / f"{name}.jsonl", (moment, moment))
    (tmp_path / "b.sent").write_text("3")
    assert [path.stem for path in outbox.waiting(tmp_path)] == ["b", "c", "a"]


# Faults


def test_a_full_disk_is_told_and_leaves_nothing_half_written(reports: Path) -> None:
    (reports / "outbox").mkdir()
    limit = outbox.fill(reports, ALL_FAILED, None)
    outbox.remove(the_file(reports))
    (reports / "outbox" / f"{RUN}.jsonl").mkdir()  # in its place, nothing can be put
    with pytest.raises(OutboxError, match=r"cannot write .*; the cases are in cases\.jsonl"):
        outbox.fill(reports, ALL_FAILED, None)
    assert limit == 20
    assert [path.name for path in (reports / "outbox").iterdir()] == [f"{RUN}.jsonl"]


def test_a_disk_without_room_is_told_and_the_cases_stay_where_they_are(reports: Path) -> None:
    # The kernel refuses to let a file grow beyond this, as a full disk does.
    program = (
        "import resource, signal, sys; from pathlib import Path; from tests.test_outbox import ALL_FAILED, outbox;"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN); resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096));"
        "outbox.fill(Path(sys.argv[1]), ALL_FAILED, None)"
    )
    root = Path(__file__).resolve().parents[1]
    found = subprocess.run(
        [sys.executable, "-c", program, str(reports)], cwd=root, capture_output=True, text=True, check=False
    )
    assert "OutboxError: cannot write" in found.stderr
    assert "the cases are in cases.jsonl" in found.stderr
    assert list((reports / "outbox").iterdir()) == []
    assert outbox.recover(reports, ALL_FAILED, None) == 20


@pytest.mark.parametrize("line", ["", "{", "[]", '{"run": "r"}', '{"run": "r", "commit": null, "case": {"id": "x"}}'])
def test_a_broken_line_is_named(tmp_path: Path, line: str) -> None:
    path = tmp_path / "run.jsonl"
    path.write_text(line + "\n")
    with pytest.raises(OutboxError, match=r"run\.jsonl:1: not an entry"):
        list(outbox.read(path))


@given(st.text(), st.text(), st.lists(st.text(), max_size=3), st.text())
def test_any_case_survives_the_outbox(question: str, answer: str, contexts: list[str], reason: str) -> None:
    case = a_case(1, question=question, answer=answer, contexts=tuple(contexts), reason=reason)
    line = outbox._to_line(Entry(case, "run", None))
    assert line.count("\n") == 1
    line.encode()
    read = outbox._entry(line, "here")
    assert replace(read.case, others=()) == replace(case, others=())
    assert json.loads(line)["run"] == "run"
