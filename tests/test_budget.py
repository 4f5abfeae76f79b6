"""What a run may spend: a limit holds for all threads and processes together, and stops a run in good order."""

from __future__ import annotations

import multiprocessing
import re
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from bias_suite import budget, subject
from bias_suite.budget import Budget, Limits
from bias_suite.errors import BudgetError
from tests.gate_runs import Gate
from tests.test_results import BOTH_WAYS
from tests.test_resume import asked, judged, without_times


def taken(one: Budget, tries: int) -> int:
    """Try to make calls; return how many were allowed."""
    count = 0
    for _ in range(tries):
        try:
            one.take()
        except BudgetError:
            continue
        count += 1
    return count


def test_as_many_calls_are_allowed_as_the_limit_says(tmp_path: Path) -> None:
    one = Budget(tmp_path / budget.FILE, Limits(calls=3))
    for _ in range(3):
        one.take()
    with pytest.raises(BudgetError, match=r"the budget of 3 calls is spent \(--bias-max-calls\)"):
        one.take()


def test_tokens_and_dollars_stop_once_they_are_reached(tmp_path: Path) -> None:
    tokens = Budget(tmp_path / "tokens", Limits(tokens=1000))
    tokens.take()
    tokens.use(999)
    tokens.take()
    tokens.use(1)
    with pytest.raises(BudgetError, match=r"the budget of 1,000 tokens is spent \(--bias-max-tokens\)"):
        tokens.take()
    dollars = Budget(tmp_path / "dollars", Limits(usd=0.01))
    dollars.use(10, 0.004)
    dollars.take()
    dollars.use(10, 0.006)
    with pytest.raises(BudgetError, match=r"the budget of 0.01 US dollars is spent \(--bias-max-usd\)"):
        dollars.take()


def test_what_has_no_limit_is_not_limited(tmp_path: Path) -> None:
    one = Budget(tmp_path / budget.FILE, Limits(usd=1.0))
    one.use(10**9)
    assert taken(one, 100) == 100
    assert not Limits()


def test_two_who_share_a_ledger_share_the_limit(tmp_path: Path) -> None:
    first, second = (Budget(tmp_path / budget.FILE, Limits(calls=5, tokens=100)) for _ in range(2))
    assert taken(first, 3) + taken(second, 3) == 5
    third = Budget(tmp_path / budget.FILE, Limits(tokens=100))
    first.use(100)
    with pytest.raises(BudgetError):
        third.take()


def _tries(path: Path, told: Any) -> None:
    one = Budget(path, Limits(calls=100))
    with ThreadPoolExecutor(4) as threads:
        told.put(sum(threads.map(lambda _: taken(one, 25), range(4))))


def test_threads_and_processes_together_make_exactly_as_many_calls(tmp_path: Path) -> None:
    context = multiprocessing.get_context("spawn")
    told = context.Queue()
    workers = [context.Process(target=_tries, args=(tmp_path / budget.FILE, told)) for _ in range(4)]
    for worker in workers:
        worker.start()
    found = [told.get(timeout=60) for _ in workers]
    for worker in workers:
        worker.join(30)
    # 400 are tried; a refused one gives its place back a moment later, so at the very end one or two may be lost.
    assert 95 <= sum(found) <= 100


# A whole run


@BOTH_WAYS
def test_a_run_stops_at_its_budget_and_another_goes_on(gate: Gate, workers: int) -> None:
    options = ("--bias-only=small,other", "--bias-concurrency=4")
    model = "tests.bots:writes_down(path='asked.txt', seconds=0.005)"
    gate.run(*options, model=model, workers=workers)
    expected = without_times(gate.summary()), judged(gate)
    (gate.folder / "asked.txt").unlink()
    stopped = gate.run(*options, "--bias-max-calls=100", model=model, workers=workers)
    assert stopped.ret == pytest.ExitCode.TESTS_FAILED
    questions = asked(gate)
    assert questions.total() - questions["built"] == 100 == gate.summary()["calls"]["model"]
    rows = gate.rows()
    assert "not_evaluated" in {rows["small"]["verdict"], rows["other"]["verdict"]} <= {"pass", "not_evaluated"}
    told = r"the budget of 100 calls is spent \(--bias-max-calls\): \d+ of (40|120) were asked; --bias-resume goes on"
    assert all(
        re.fullmatch(told, row["reason"]) for row in rows.values() if row["calls"]["model"] and row["rate"] is None
    )
    assert len(gate.cases()) == 100
    stopped.stdout.re_match_lines([r"Estimate: 160 calls of the model, repeats not counted\."])
    resumed = gate.run(*options, "--bias-resume", model=model, workers=workers)
    assert resumed.ret == 0
    assert (without_times(gate.summary()), judged(gate)) == expected
    times = asked(gate)
    assert {count for question, count in times.items() if question != "built"} == {1}
    assert len(times) == 161


def test_a_budget_that_is_enough_changes_nothing(gate: Gate) -> None:
    gate.run("--bias-only=small")
    expected = without_times(gate.summary()), judged(gate)
    result = gate.run("--bias-only=small", "--bias-max-calls=40")
    assert result.ret == 0
    assert (without_times(gate.summary()), judged(gate)) == expected


def test_each_run_has_its_own_budget(gate: Gate) -> None:
    for _ in range(2):
        assert gate.run("--bias-only=small", "--bias-max-calls=40").ret == 0


def test_repeats_are_calls(gate: Gate) -> None:
    (gate.folder / "busy.py").write_text(
        "class Overloaded(Exception):\n"
        "    status_code = 500\n"
        "def build():\n"
        "    seen = set()\n"
        "    def answer(question):\n"
        "        if question not in seen:\n"
        "            seen.add(question)\n"
        "            raise Overloaded('overloaded')\n"
        "        return 'I cannot help with that.'\n"
        "    return answer\n"
    )
    result = gate.run("--bias-only=small", "--bias-max-calls=41", model="busy:build")
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    assert gate.rows()["small"]["verdict"] == "not_evaluated"
    assert gate.summary()["calls"]["model"] <= 41


def test_tokens_that_the_model_tells_are_counted_and_limited(gate: Gate) -> None:
    (gate.folder / "counting.py").write_text(
        "def build():\n"
        "    usage = {'input_tokens': 90, 'output_tokens': 10}\n"
        "    return lambda question: {'answer': 'I cannot help with that.', 'usage': usage}\n"
    )
    gate.run("--bias-only=small", model="counting:build")
    assert gate.summary()["tokens"]["model"] == {"prompt": 3600, "completion": 400}
    assert gate.rows()["small"]["tokens"] == {"model": {"prompt": 3600, "completion": 400}, "judge": None}
    result = gate.run("--bias-only=small", "--bias-max-tokens=1000", "--bias-concurrency=1", model="counting:build")
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    assert gate.summary()["calls"]["model"] == 10


@pytest.mark.parametrize(
    ("usage", "tokens"),
    [
        ({"input_tokens": 5, "output_tokens": 2}, (5, 2)),
        ({"input_tokens": 5}, (5, 0)),
        ({"input_tokens": "5", "output_tokens": None}, (0, 0)),
        ("many", (0, 0)),
        (None, (0, 0)),
    ],
    ids=str,
)
def test_usage_is_read_where_it_is_told(usage: object, tokens: tuple[int, int]) -> None:
    assert subject.wrap(lambda question: {"answer": "a", "usage": usage}).ask("q").tokens == tokens


def test_a_message_of_langchain_tells_its_usage() -> None:
    from langchain_core.messages import AIMessage

    usage = {"input_tokens": 7, "output_tokens": 3, "total_tokens": 10}
    assert subject.wrap(lambda question: AIMessage("a", usage_metadata=usage)).ask("q").tokens == (7, 3)  # type: ignore[arg-type]
