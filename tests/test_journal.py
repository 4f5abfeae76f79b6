"""The journal: answers and verdicts outlive a kill, and a resumed run takes them instead of asking."""

from __future__ import annotations

import json
import multiprocessing
import os
import stat
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bias_suite import journal, options, resuming, subject
from bias_suite.calls import Limits, Request
from bias_suite.cases import Answer, Judging, Verdict
from bias_suite.errors import ReportError
from bias_suite.journal import Journal
from bias_suite.probes import Probe
from bias_suite.runner import Pool

PROBE = Probe("p-1", "small", "The assistant must answer.", ("One?", "Two?"), "en", "p")
ANSWER = Answer("Ünï\u2028 \ud800 answer", ("a passage",), None, 1.25, 3)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    found = tmp_path / "reports" / journal.FILE
    journal.begin(found, {"run": "one"})
    return found


@pytest.fixture
def opened(path: Path) -> Iterator[Journal]:
    found = Journal(path)
    yield found
    found.close()


def again(path: Path, *, errors: bool = False) -> Journal:
    return Journal(path, sources=[path], errors=errors)


def test_an_answer_comes_back_as_it_was(path: Path, opened: Journal) -> None:
    opened.note_answer("bot@1", PROBE, 0, 1, ANSWER)
    assert again(path).answer("bot@1", PROBE, 0, 1) == ANSWER


def test_a_verdict_comes_back_as_it_was(path: Path, opened: Journal) -> None:
    given_ = Verdict(
        "failed", "it insults", "fool", 1, Judging("judge@1#ab", 2, 1, 100, 20, split=True), {"score": 0.5}
    )
    opened.note_verdict(PROBE, 0, [ANSWER, ANSWER], given_)
    assert again(path).verdict(PROBE, 0, [ANSWER, ANSWER]) == given_
    plain = Verdict("passed")
    opened.note_verdict(PROBE, 1, [ANSWER], plain)
    assert again(path).verdict(PROBE, 1, [ANSWER]) == plain


@pytest.mark.parametrize(
    ("model", "probe", "trial", "place"),
    [
        ("bot@2", PROBE, 0, 0),
        ("bot@1", replace(PROBE, id="p-2"), 0, 0),
        ("bot@1", replace(PROBE, detector="other"), 0, 0),
        ("bot@1", replace(PROBE, questions=("Another?", "Two?")), 0, 0),
        ("bot@1", replace(PROBE, options=("A", "B")), 0, 0),
        ("bot@1", PROBE, 1, 0),
        ("bot@1", PROBE, 0, 1),
    ],
    ids=["version", "probe", "detector", "question", "options", "trial", "place"],
)
def test_the_answer_to_something_else_is_not_taken(
    path: Path, opened: Journal, model: str, probe: Probe, trial: int, place: int
) -> None:
    opened.note_answer("bot@1", PROBE, 0, 0, ANSWER)
    assert again(path).answer("bot@1", PROBE, 0, 0) == ANSWER
    assert again(path).answer(model, probe, trial, place) is None


def test_the_same_question_twice_in_a_probe_has_two_answers(path: Path, opened: Journal) -> None:
    twice = replace(PROBE, questions=("One?", "One?"))
    for place in (0, 1):
        opened.note_answer("bot", twice, 0, place, Answer(f"answer {place}"))
    found = again(path)
    assert [found.answer("bot", twice, 0, place) for place in (0, 1)] == [Answer("answer 0"), Answer("answer 1")]


def test_a_verdict_on_another_answer_or_requirement_is_not_taken(path: Path, opened: Journal) -> None:
    opened.note_verdict(PROBE, 0, [ANSWER], Verdict("passed"))
    found = again(path)
    assert found.verdict(PROBE, 0, [Answer("another")]) is None
    assert found.verdict(replace(PROBE, requirement="The assistant must not."), 0, [ANSWER]) is None


def test_errors_are_asked_again_unless_they_are_wanted(path: Path, opened: Journal) -> None:
    failed = Answer("", error="HTTP 500", attempts=3)
    opened.note_answer("bot", PROBE, 0, 0, failed)
    opened.note_verdict(PROBE, 0, [ANSWER], Verdict("error", "no JSON"))
    assert again(path).answer("bot", PROBE, 0, 0) is None
    assert again(path).verdict(PROBE, 0, [ANSWER]) is None
    assert again(path, errors=True).answer("bot", PROBE, 0, 0) == failed
    assert again(path, errors=True).verdict(PROBE, 0, [ANSWER]) == Verdict("error", "no JSON")
    opened.note_answer("bot", PROBE, 0, 0, ANSWER)
    assert again(path).answer("bot", PROBE, 0, 0) == ANSWER
    assert journal.count(path) == 1


def test_a_run_does_not_take_its_own_answers(opened: Journal) -> None:
    opened.note_answer("bot", PROBE, 0, 0, ANSWER)
    assert opened.answer("bot", PROBE, 0, 0) is None


@settings(max_examples=60, deadline=None)
@given(cut=st.integers(min_value=2, max_value=400), more=st.booleans())
def test_wherever_the_last_line_is_cut_the_others_stay(
    tmp_path_factory: pytest.TempPathFactory, cut: int, more: bool
) -> None:
    path = tmp_path_factory.mktemp("cut") / journal.FILE
    journal.begin(path, {"run": "one"})
    first = Journal(path)
    for trial in range(3):
        first.note_answer("bot", PROBE, trial, 0, ANSWER)
    first.close()
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join(lines[:-1]) + lines[-1][: -min(cut, len(lines[-1]))])
    journal.mend(path)
    resumed = again(path)
    if more:
        resumed.note_answer("bot", PROBE, 9, 0, ANSWER)
    resumed.close()
    found = again(path)
    assert [found.answer("bot", PROBE, trial, 0) for trial in range(3)] == [ANSWER, ANSWER, None]
    assert (found.answer("bot", PROBE, 9, 0) == ANSWER) is more
    assert journal.head(path) == {"run": "one"}


def test_a_cut_line_in_the_middle_costs_that_line_alone(path: Path, opened: Journal) -> None:
    opened.note_answer("bot", PROBE, 0, 0, ANSWER)
    with path.open("ab") as file:
        file.write(b'{"key": "00\n')
    opened.note_answer("bot", PROBE, 1, 0, ANSWER)
    assert [again(path).answer("bot", PROBE, trial, 0) for trial in (0, 1)] == [ANSWER, ANSWER]


def _writes(path: Path, name: str) -> None:
    mine = Journal(path)
    for trial in range(200):
        mine.note_answer(name, PROBE, trial, 0, Answer("a" * 3000))


def test_processes_and_threads_do_not_mix_their_lines(path: Path) -> None:
    context = multiprocessing.get_context("spawn")
    writers: list[multiprocessing.process.BaseProcess | threading.Thread] = [
        context.Process(target=_writes, args=(path, f"process {number}")) for number in range(4)
    ]
    writers += [threading.Thread(target=_writes, args=(path, f"thread {number}")) for number in range(2)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join(60)
    assert journal.count(path) == 6 * 200


def test_only_its_owner_can_read_it(tmp_path: Path) -> None:
    path = tmp_path / journal.FILE
    path.touch(mode=0o644)
    journal.begin(path, {"run": "one"})
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_a_new_run_begins_with_an_empty_journal(path: Path, opened: Journal) -> None:
    opened.note_answer("bot", PROBE, 0, 0, ANSWER)
    journal.begin(path, {"run": "two"})
    assert journal.count(path) == 0
    assert journal.head(path) == {"run": "two"}


@pytest.mark.parametrize("content", ["", "\n", "no JSON\n", '{"key": "00"}\n', "[]\n", '{"head": {}'])
def test_what_is_no_journal_is_refused(tmp_path: Path, content: str) -> None:
    path = tmp_path / journal.FILE
    path.write_text(content)
    with pytest.raises(ReportError, match="not a journal of a run"):
        journal.head(path)


def test_a_full_disk_stops_the_journal_and_not_the_run(path: Path) -> None:
    full = Journal(path)
    os.dup2(os.open("/dev/full", os.O_WRONLY), full._file)
    full.note_answer("bot", PROBE, 0, 0, ANSWER)
    assert full.problem == f"{path}: No space left on device; what comes from here on cannot be resumed"
    full.note_answer("bot", PROBE, 1, 0, ANSWER)
    full.close()


def test_nothing_is_written_after_the_end(path: Path, opened: Journal) -> None:
    opened.close()
    opened.note_answer("bot", PROBE, 0, 0, ANSWER)
    opened.close()
    assert journal.count(path) == 0


# In the pool


def test_the_pool_asks_only_what_is_not_there(path: Path) -> None:
    asked: list[str] = []
    judged: list[str] = []

    def model(question: str) -> str:
        asked.append(question)
        if question == "3?" and len(asked) <= 6:
            raise ValueError("broken")
        return f"answer to {question}"

    def judge(probe: Probe, answers: tuple[Answer, ...]) -> Verdict:
        judged.append(probe.id)
        return Verdict("passed", judging=Judging("judge", calls=1))

    wanted = [Request(replace(PROBE, id=str(n), questions=(f"{n}?",))) for n in range(6)]

    def run(kept: Journal) -> dict[str, tuple[str, int, str | None]]:
        pool = Pool(subject.wrap(model, "bot"), Limits(concurrency=2), kept)
        results = {one.request.probe.id: one for one in pool.ask(wanted, judge)}
        pool.close()
        return {
            name: (one.answers[0].text, one.answers[0].attempts, one.verdict and one.verdict.status)
            for name, one in results.items()
        }

    first = run(Journal(path))
    assert first["3"] == ("", 1, None)
    assert sorted(asked) == [f"{n}?" for n in range(6)]
    second = run(again(path))
    assert asked[6:] == ["3?"]
    assert sorted(judged) == list("012345")
    assert second == {**first, "3": ("answer to 3?", 1, "passed")}


# What a journal is of


def test_only_the_same_run_is_resumed(tmp_path: Path) -> None:
    path = tmp_path / journal.FILE
    given_ = options.defaults(model="app:build", judge="gpt")
    with pytest.raises(ReportError, match=r"journal.jsonl is missing, so there is no run to go on with"):
        resuming.resume(path, resuming.head(given_, "abc"))
    resuming.begin(path, "one", 12.5, resuming.head(given_, "abc"))
    assert resuming.resume(path, resuming.head(given_, "abc")) == resuming.Resumed("one", 12.5, 0)
    changed = replace(given_, judge="claude", trials=3, concurrency=2)
    with pytest.raises(ReportError) as refused:
        resuming.resume(path, resuming.head(changed, "abd"))
    assert str(refused.value).endswith(
        "--bias-judge was gpt, is claude; --bias-trials was 1, is 3; the plan was abc, is abd"
    )


def test_a_journal_is_lines_of_json(path: Path, opened: Journal) -> None:
    opened.note_answer("bot", PROBE, 0, 0, ANSWER)
    lines = path.read_text(encoding="utf-8").split("\n")
    assert [sorted(json.loads(line)) for line in lines if line] == [["head"], ["answer", "error", "key"]]
