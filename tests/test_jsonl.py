"""The cases file: every case is a whole line, from however many processes, for its owner's eyes."""

from __future__ import annotations

import json
import multiprocessing
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from bias_suite.cases import Answer, Case, Verdict, make_case, read_cases
from bias_suite.errors import ReportError
from bias_suite.sinks.jsonl import FILE, CaseFile, arrange
from tests.detectors import small_probes

(PROBE,) = small_probes("small", 1)


def case(number: int, text: str = "an answer") -> Case:
    return make_case(PROBE, [Answer(f"{number}: {text}", ("a passage",))], Verdict("passed"), model="bot", trial=number)


@contextmanager
def opened(folder: Path, run_id: str = "this run") -> Iterator[CaseFile]:
    file = CaseFile(folder, run_id)
    try:
        yield file
    finally:
        file.close()


def lines(folder: Path) -> list[str]:
    text = (folder / FILE).read_text(encoding="utf-8")
    assert text == "" or text.endswith("\n")
    return text.split("\n")[:-1]


def test_each_case_is_one_line_that_reads_back(tmp_path: Path) -> None:
    cases = [case(number) for number in range(5)]
    with opened(tmp_path) as file:
        for one in cases:
            file.append(one)
    assert [json.loads(line)["id"] for line in lines(tmp_path)] == [one.id for one in cases]
    assert list(read_cases(tmp_path / FILE)) == cases


@pytest.mark.parametrize(
    "text", ["two\nlines\r\n", "\u2028\u2029\x85\x0b\x0c", "\ud800 alone", "\x00\x1b[2J", "日本 🏳️‍🌈", '"}\n{"']
)
def test_whatever_a_model_answers_stays_on_one_line(tmp_path: Path, text: str) -> None:
    with opened(tmp_path) as file:
        file.append(case(1, text))
        file.append(case(2))
    first, _ = lines(tmp_path)
    assert json.loads(first)["answer"] == f"1: {text}"


def test_a_case_is_on_disk_before_the_next_begins(tmp_path: Path) -> None:
    with opened(tmp_path) as file:
        file.append(case(1))
        assert len(lines(tmp_path)) == 1
        file.append(case(2))
        assert len(lines(tmp_path)) == 2


def test_the_folder_is_made(tmp_path: Path) -> None:
    with opened(tmp_path / "deep" / "reports") as file:
        file.append(case(1))
    assert len(lines(tmp_path / "deep" / "reports")) == 1


def mode(folder: Path) -> int:
    return stat.S_IMODE((folder / FILE).stat().st_mode)


def test_only_the_owner_can_read_the_cases(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        with opened(tmp_path):
            assert mode(tmp_path) == 0o600
    finally:
        os.umask(before)


def test_only_the_owner_can_read_the_cases_in_a_file_that_was_there_before(tmp_path: Path) -> None:
    (tmp_path / FILE).touch()
    (tmp_path / FILE).chmod(0o644)
    with opened(tmp_path):
        assert mode(tmp_path) == 0o600


def test_a_run_empties_the_file_of_the_run_before(tmp_path: Path) -> None:
    with opened(tmp_path, "the run before") as file:
        file.append(case(1))
    with opened(tmp_path, "this run") as file:
        file.append(case(2))
    assert [one.trial for one in read_cases(tmp_path / FILE)] == [2]


def test_a_later_process_of_a_run_adds_to_the_file(tmp_path: Path) -> None:
    with opened(tmp_path) as first:
        first.append(case(1))
        with opened(tmp_path) as second:
            second.append(case(2))
        first.append(case(3))
    assert [one.trial for one in read_cases(tmp_path / FILE)] == [1, 2, 3]


LONG = "a long answer " * 3000  # some forty kilobytes: more than a pipe or a page takes at once
PROCESSES, EACH = 4, 60


def write_many(folder: Path, process: int) -> None:
    """Write this process's cases; run in a process of its own."""
    with opened(folder) as file:
        for number in range(EACH):
            file.append(case(process * EACH + number, LONG))


def test_processes_that_write_at_a_time_lose_nothing_and_mix_nothing(tmp_path: Path) -> None:
    with opened(tmp_path, "the run before") as file:
        file.append(case(-1))
    context = multiprocessing.get_context("spawn")
    processes = [context.Process(target=write_many, args=(tmp_path, number)) for number in range(PROCESSES)]
    for process in processes:
        process.start()
    for process in processes:
        process.join(60)
    assert [process.exitcode for process in processes] == [0] * PROCESSES
    found = list(read_cases(tmp_path / FILE))
    # All of theirs, and none of the run before, whichever of them came first.
    assert sorted(one.trial for one in found) == list(range(PROCESSES * EACH))
    assert {one.answer for one in found} == {f"{number}: {LONG}" for number in range(PROCESSES * EACH)}


def test_a_folder_that_cannot_be_made_is_a_clear_error(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    folder = tmp_path / "file" / "reports"
    with pytest.raises(ReportError) as raised:
        CaseFile(folder, "this run")
    assert str(raised.value) == f"cannot write to --bias-report-dir {folder}: Not a directory"


def test_a_cases_file_that_cannot_be_opened_is_a_clear_error(tmp_path: Path) -> None:
    (tmp_path / FILE).mkdir()
    with pytest.raises(ReportError, match=r"^cannot write to --bias-report-dir .*: Is a directory$"):
        CaseFile(tmp_path, "this run")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_a_full_disk_is_a_clear_error(tmp_path: Path) -> None:
    with opened(tmp_path):
        pass
    (tmp_path / FILE).unlink()
    (tmp_path / FILE).symlink_to("/dev/full")
    with opened(tmp_path) as file, pytest.raises(ReportError) as raised:
        file.append(case(1))
    assert str(raised.value) == "cannot write a case to cases.jsonl: No space left on device"


def written(folder: Path, *numbers: int, tail: str = "") -> bytes:
    with opened(folder) as file:
        for number in numbers:
            file.append(case(number))
    with (folder / FILE).open("a", encoding="utf-8") as raw:
        raw.write(tail)
    return (folder / FILE).read_bytes()


def trials(folder: Path) -> list[int]:
    return [json.loads(line)["trial"] for line in lines(folder)]


def test_the_cases_of_a_run_that_is_over_are_put_in_order_whoever_came_first(tmp_path: Path) -> None:
    written(tmp_path, 5, 0, 4, 3, 2, 1)
    arrange(tmp_path, lambda one: one["trial"] % 3)
    assert trials(tmp_path) == [0, 3, 4, 1, 5, 2]  # those alike as they came
    assert stat.S_IMODE((tmp_path / FILE).stat().st_mode) == 0o600
    assert [path.name for path in tmp_path.iterdir() if "cases" in path.name] == [FILE]


@pytest.mark.parametrize("tail", ['{"id": "torn', "not a case\n", "[]\n", '{"trial": "x"}\n'])
def test_a_file_with_anything_else_in_it_stays_as_it_is(tmp_path: Path, tail: str) -> None:
    before = written(tmp_path, 2, 1, tail=tail)
    arrange(tmp_path, lambda one: one["trial"])
    assert (tmp_path / FILE).read_bytes() == before


def test_a_file_with_a_case_that_has_no_place_stays_as_it_is(tmp_path: Path) -> None:
    before = written(tmp_path, 2, 1, 0)
    arrange(tmp_path, lambda one: {1: 0, 2: 1}[one["trial"]])
    assert (tmp_path / FILE).read_bytes() == before


def test_where_there_is_no_file_nothing_is_arranged(tmp_path: Path) -> None:
    arrange(tmp_path, lambda one: 0)
    assert list(tmp_path.iterdir()) == []
