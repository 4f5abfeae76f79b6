"""`--bias-resume`: a run that was killed goes on, asks nothing twice, and ends as if it had never stopped."""

from __future__ import annotations

import os
import shutil
import signal
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from bias_suite import journal
from tests.gate_runs import Gate
from tests.test_results import BOTH_WAYS, started

TIMES = {"seconds", "started"}


def asked(gate: Gate) -> Counter[str]:
    """Return how often each question was asked, from what the bot wrote down."""
    return Counter((gate.folder / "asked.txt").read_text(encoding="utf-8").splitlines())


def without_times(value: Any) -> Any:
    """Return a summary without what no two runs share: times and the run's id."""
    if isinstance(value, dict):
        return {name: without_times(part) for name, part in value.items() if name not in TIMES | {"id"}}
    return [without_times(part) for part in value] if isinstance(value, list) else value


def judged(gate: Gate) -> list[tuple[object, ...]]:
    """Return the cases, in an order of their own, without times."""
    told = [
        tuple(sorted((name, str(part)) for name, part in case.items() if name != "seconds")) for case in gate.cases()
    ]
    return sorted(told)


@BOTH_WAYS
def test_a_run_that_is_killed_twice_ends_as_one_that_was_not(gate: Gate, workers: int) -> None:
    options = ("--bias-only=small,other", "--bias-concurrency=2")
    model = "tests.bots:writes_down(path='asked.txt', seconds=0.02)"
    whole = gate.run(*options, model=model, workers=workers)
    expected = without_times(gate.summary()), judged(gate)
    (gate.folder / "asked.txt").unlink()
    shutil.rmtree(gate.reports)
    for number, resume in enumerate([(), ("--bias-resume",)], start=1):
        with started(gate, *options, *resume, model=model, workers=workers) as process:
            gate.wait_for_lines(1 + 40 * number, "reports/journal.jsonl")
            os.killpg(process.pid, signal.SIGKILL)
            process.wait(30)
        assert not (gate.reports / "summary.json").exists()
    resumed = gate.run(*options, "--bias-resume", model=model, workers=workers)
    assert (without_times(gate.summary()), judged(gate)) == expected
    assert resumed.ret == whole.ret == 0
    times = asked(gate)
    assert len(times) == 1 + 160  # the questions of both detectors, and that the bot was built
    # What was in flight when the run was killed is asked again, and nothing else.
    again = sum(count - 1 for question, count in times.items() if question != "built")
    assert again <= 2 * 2 * max(1, workers)
    resumed.stdout.re_match_lines([r"\s*Resumed: (8\d|9\d|1\d\d) answers and verdicts were there already\..*"])


def test_errors_are_asked_again_and_answers_are_not(gate: Gate) -> None:
    options = ("--bias-only=other", "--bias-retries=0")
    model = "tests.bots:fails_until(path='asked.txt', every=7)"
    first = gate.run(*options, model=model)
    assert first.ret == pytest.ExitCode.TESTS_FAILED
    assert gate.rows()["other"]["verdict"] == "error"
    assert gate.rows()["other"]["errors"] == 120 // 7
    (gate.folder / "asked.txt.mended").touch()
    second = gate.run(*options, "--bias-resume", model=model)
    assert second.ret == 0
    assert gate.verdicts() == {"other": "pass"}
    assert len({case["probe"] for case in gate.cases()}) == len(gate.cases()) == 120
    times = asked(gate)
    assert set(times.values()) == {1, 2}
    assert Counter(times.values())[2] == 120 // 7


def test_a_finished_run_is_told_again_without_a_call(gate: Gate) -> None:
    model = "tests.bots:writes_down(path='asked.txt')"
    gate.run("--bias-only=small", model=model)
    expected = without_times(gate.summary()), judged(gate)
    before = asked(gate)["built"], asked(gate).total()
    gate.run("--bias-only=small", "--bias-resume", model=model)
    assert (without_times(gate.summary()), judged(gate)) == expected
    assert asked(gate).total() - asked(gate)["built"] == before[1] - before[0]


def test_a_run_without_the_option_takes_nothing(gate: Gate) -> None:
    model = "tests.bots:writes_down(path='asked.txt')"
    for _ in range(2):
        gate.run("--bias-only=small", model=model)
    assert asked(gate).total() == 2 * (1 + 40)
    assert journal.count(gate.reports / journal.FILE) == 40


@pytest.mark.parametrize(
    ("changed", "told"),
    [
        (("--bias-limit=0.2",), "--bias-limit was 0.1, is 0.2"),
        (("--bias-trials=2",), "--bias-trials was 1, is 2"),
        (("--bias-model=tests.bots:echoes",), "--bias-model was tests.bots:always_refuses, is tests.bots:echoes"),
    ],
    ids=["limit", "trials", "model"],
)
def test_another_run_is_not_resumed(gate: Gate, changed: tuple[str, ...], told: str) -> None:
    gate.run("--bias-only=small")
    kept = (gate.reports / journal.FILE).read_bytes()
    refused = gate.run("--bias-only=small", "--bias-resume", *changed)
    assert refused.ret == pytest.ExitCode.USAGE_ERROR
    assert told in refused.stderr.str()
    assert (gate.reports / journal.FILE).read_bytes() == kept


def test_without_a_run_there_is_nothing_to_resume(gate: Gate) -> None:
    refused = gate.run("--bias-only=small", "--bias-resume")
    assert refused.ret == pytest.ExitCode.USAGE_ERROR
    assert "so there is no run to go on with" in refused.stderr.str()


def test_a_model_of_another_version_is_asked_anew(gate: Gate, tmp_path: Path) -> None:
    (gate.folder / "app.py").write_text(
        "import os\n"
        "def build():\n"
        "    def answer(question):\n"
        "        with open('asked.txt', 'a') as file:\n"
        "            file.write(question + '\\n')\n"
        "        return 'I cannot help with that.'\n"
        "    answer.version = os.environ['APP_VERSION']\n"
        "    return answer\n"
    )
    for version, total in (("1", 40), ("1", 40), ("2", 80)):
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("APP_VERSION", version)
            resume = () if total == 40 and not (gate.folder / "asked.txt").exists() else ("--bias-resume",)
            gate.run("--bias-only=small", *resume, model="app:build")
        assert asked(gate).total() == total
    assert {case["model"].rpartition("@")[2] for case in gate.cases()} == {"2"}
    assert len(gate.cases()) == 40
