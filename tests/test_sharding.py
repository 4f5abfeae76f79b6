"""`--bias-shard` and `bias-suite merge`: parts on several machines are one run, with one verdict."""

from __future__ import annotations

import json
import os
import shutil
import signal
import sys
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from types import SimpleNamespace
from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bias_suite import journal, merging, sharding
from bias_suite.cases import Answer, Judging, Verdict, make_case
from bias_suite.evaluation import Outcome
from bias_suite.gate import Decision, Measure
from bias_suite.options import defaults
from bias_suite.plan import Plan
from bias_suite.probes import Probe
from tests.gate_runs import Gate
from tests.test_results import BOTH_WAYS, started
from tests.test_resume import judged, without_times

OPTIONS = ("--bias-only=small,other", "--bias-trials=2")
SORRY = "tests.bots:says_sorry(every=3)"


def ask_part(gate: Gate, number: int, of: int, *options: str, **how: Any) -> pytest.RunResult:
    """Ask one part of a run; its reports are in a folder of its own."""
    return gate.run(*options, f"--bias-shard={number}/{of}", f"--bias-report-dir=part-{number}", **how)


def ask_parts(gate: Gate, of: int, *options: str, **how: Any) -> list[str]:
    """Ask all parts of a run, one after the other; return their folders."""
    for number in range(1, of + 1):
        result = ask_part(gate, number, of, *options, **how)
        assert result.ret == pytest.ExitCode.OK, result.stdout.str()
    return [f"part-{number}" for number in range(1, of + 1)]


def merge(gate: Gate, folders: Sequence[str], *options: str, model: str = SORRY) -> tuple[int, str]:
    """Bring parts together, as a user does; return exit status and output."""
    command = [sys.executable, "-c", "from bias_suite.cli import main; main()", "merge", *folders]
    given = gate.arguments("--bias-judge-gold=0", *options, model=model)[:-1]
    result = gate.pytester.run(*command, *given, timeout=60)
    return int(result.ret), result.stdout.str() + result.stderr.str()


def in_one(gate: Gate) -> Any:
    """Return summary and cases without what tells whether a run was in parts."""
    content = gate.summary()
    run = {name: part for name, part in content["run"].items() if name not in {"shard", "merged"}}
    return without_times({**content, "run": run}), judged(gate)


@BOTH_WAYS
@pytest.mark.parametrize("of", [1, 3])
def test_parts_are_as_one_run(gate: Gate, of: int, workers: int) -> None:
    whole = gate.run(*OPTIONS, model=SORRY)
    assert whole.ret == pytest.ExitCode.TESTS_FAILED
    expected = in_one(gate)
    shutil.rmtree(gate.reports)
    status, text = merge(gate, ask_parts(gate, of, *OPTIONS, model=SORRY, workers=workers), *OPTIONS)
    assert status == whole.ret, text
    assert in_one(gate) == expected
    assert (gate.summary()["run"]["merged"], gate.summary()["run"]["shard"]) == (of, None)
    assert gate.verdicts() == {"small": "fail", "other": "fail"}


def test_a_part_decides_nothing_and_says_so(gate: Gate) -> None:
    result = ask_part(gate, 2, 3, *OPTIONS, "--bias-require=all", model=SORRY)
    assert result.ret == pytest.ExitCode.OK
    content = json.loads((gate.folder / "part-2" / "summary.json").read_text(encoding="utf-8"))
    assert (content["run"]["shard"], content["run"]["merged"]) == ("2/3", None)
    rows = {row["id"]: row for row in content["detectors"]}
    assert {rows[name]["verdict"] for name in ("small", "other")} == {"not_evaluated"}
    asked = [rows[name]["calls"]["model"] for name in ("small", "other")]
    assert sum(asked) == 2 * 160 / 3 // 2 * 2 or abs(sum(asked) - 2 * 160 / 3) <= 2
    assert rows["small"]["reason"].startswith("part 2/3: ")
    assert rows["small"]["reason"].endswith("of 40 probes asked here; `bias-suite merge` decides")
    assert not (gate.folder / "part-2" / "outbox").exists()


def test_the_largest_sample_is_asked_and_as_much_of_it_counts_as_was_needed(gate: Gate) -> None:
    options = ("--bias-only=other", "--bias-sample=30")
    gate.run(*options, model=SORRY)
    expected = in_one(gate)
    assert gate.rows()["other"]["probes"] == 30  # decided at the first look
    status, text = merge(gate, ask_parts(gate, 2, *options, model=SORRY), *options)
    assert status == pytest.ExitCode.TESTS_FAILED, text
    assert in_one(gate) == expected
    assert sum(journal.count(gate.folder / f"part-{number}" / journal.FILE) for number in (1, 2)) == 60


def test_errors_stay_errors_and_nobody_is_asked_again(gate: Gate) -> None:
    model = "tests.bots:fails_until(path='asked.txt', every=7)"
    options = ("--bias-only=other", "--bias-retries=0")
    folders = ask_parts(gate, 2, *options, model=model)
    before = (gate.folder / "asked.txt").read_text(encoding="utf-8")
    (gate.folder / "asked.txt.mended").touch()
    status, _ = merge(gate, folders, *options, model=model)
    assert status == pytest.ExitCode.TESTS_FAILED
    assert (gate.rows()["other"]["verdict"], gate.rows()["other"]["errors"]) == ("error", 120 // 7)
    assert (gate.folder / "asked.txt").read_text(encoding="utf-8") == before


def test_calls_that_were_given_up_are_errors_of_the_whole(gate: Gate) -> None:
    model = "tests.hostile_bots:never_returns"
    options = ("-o", "bias_detectors=tests.hostile_bots:to_waits", "--bias-only=to_waits", "--bias-timeout=0.2")
    folders = ask_parts(gate, 2, *options, "--bias-concurrency=40", model=model)
    status, text = merge(gate, folders, *options, model=model)
    assert status == pytest.ExitCode.TESTS_FAILED
    assert gate.rows()["to_waits"]["verdict"] == "error", text
    assert gate.rows()["to_waits"]["errors"] == 40


def test_a_search_runs_whole_in_one_part(gate: Gate) -> None:
    options = ("--bias-only=invariance,small", "--bias-sample=6")
    gate.run(*options)
    expected = in_one(gate)
    assert gate.rows()["invariance"]["probes"] == 6
    folders = ask_parts(gate, 2, *options, model="tests.bots:always_refuses")
    told = [journal.notes(gate.folder / folder / journal.FILE, merging.OUTCOME) for folder in folders]
    assert sorted(map(len, told)) == [0, 1]
    status, text = merge(gate, folders, *options, model="tests.bots:always_refuses")
    assert status == pytest.ExitCode.TESTS_FAILED, text  # six draws decide nothing
    assert in_one(gate) == expected


def test_a_part_that_was_killed_is_not_merged_before_it_was_resumed(gate: Gate) -> None:
    model = "tests.bots:writes_down(path='asked.txt', seconds=0.02)"
    options = ("--bias-only=small,other", "--bias-concurrency=2")
    assert ask_part(gate, 1, 2, *options, model=model).ret == pytest.ExitCode.OK
    given = (*options, "--bias-shard=2/2", "--bias-report-dir=part-2")
    with started(gate, *given, model=model) as process:
        gate.wait_for_lines(20, "part-2/journal.jsonl")
        os.killpg(process.pid, signal.SIGKILL)
        process.wait(30)
    status, text = merge(gate, ["part-1", "part-2"], *options, model=model)
    assert status == pytest.ExitCode.USAGE_ERROR
    told = " ".join(text.split())
    assert "part 2/2" in told
    assert "part 1/2" not in told
    assert "run it to its end (--bias-resume), with the same options" in told
    assert (gate.summary()["exit_status"], gate.verdicts()) == (status, {})
    assert gate.run(*given, "--bias-resume", model=model).ret == pytest.ExitCode.OK
    status, text = merge(gate, ["part-1", "part-2"], *options, model=model)
    assert status == pytest.ExitCode.OK, text
    assert gate.verdicts() == {"small": "pass", "other": "pass"}


def test_what_does_not_belong_together_is_not_merged(gate: Gate) -> None:
    options = ("--bias-only=small",)
    ask_parts(gate, 2, *options, model=SORRY)
    shutil.copytree(gate.folder / "part-1", gate.folder / "copy")
    gate.run("--bias-only=small", "--bias-shard=2/3", "--bias-report-dir=alien", model=SORRY)
    gate.run("--bias-only=small", "--bias-report-dir=whole", model=SORRY)
    gate.run("--bias-only=small", "--bias-shard=2/2", "--bias-limit=0.2", "--bias-report-dir=other", model=SORRY)
    gate.run("--bias-shard=2/2", "--bias-only=small,other", "--bias-report-dir=more", model=SORRY)
    wrong = {
        ("part-1",): "part 2/2 is missing",
        ("part-1", "copy", "part-2"): "part 1/2 is there twice",
        ("part-1", "alien"): "parts 2/3 and those of 2 do not belong together",
        ("part-1", "whole"): "is of a whole run, not of a part",
        ("part-1", "nowhere"): "nowhere/journal.jsonl is missing",
        ("part-1", "other"): "--bias-limit was 0.2, is 0.1",
        ("part-1", "more"): "--bias-only was small, other, is small",
        (): "name the report folders of all parts",
    }
    for folders, told in wrong.items():
        status, text = merge(gate, folders, *options)
        assert (status, told in " ".join(text.split())) == (pytest.ExitCode.USAGE_ERROR, True), text
        assert "Traceback" not in text
    status, text = merge(gate, ["part-1", "part-2"], *options, "--bias-report-dir=part-2")
    assert "part-2 holds a part; name another --bias-report-dir" in " ".join(text.split())
    assert (gate.folder / "part-2" / journal.FILE).exists()
    assert not gate.reports.exists()


def test_parts_that_asked_different_models_are_not_merged(gate: Gate) -> None:
    app = "class Bot:\n    version = open('version').read()\n    def __call__(self, question): return 'fine'\n"
    (gate.folder / "app.py").write_text(app, encoding="utf-8")
    for number in (1, 2):
        (gate.folder / "version").write_text(f"v{number}", encoding="utf-8")
        given = ("--bias-only=small", f"--bias-shard={number}/2", f"--bias-report-dir=part-{number}")
        assert gate.run_apart(*given, model="app:Bot").ret == pytest.ExitCode.OK
    status, text = merge(gate, ["part-1", "part-2"], "--bias-only=small", model="app:Bot")
    assert status == pytest.ExitCode.USAGE_ERROR
    assert "the parts asked different models: app:Bot@v1 (part 1/2), app:Bot@v2 (part 2/2)" in " ".join(text.split())


def test_an_ini_that_asks_for_workers_does_not_keep_parts_from_being_merged(gate: Gate) -> None:
    folders = ask_parts(gate, 2, "--bias-only=small", model=SORRY)
    status, text = merge(gate, folders, "--bias-only=small", "-p", "xdist.plugin", "-n", "2")
    assert status == pytest.ExitCode.TESTS_FAILED
    assert gate.verdicts() == {"small": "fail"}, text


# Sharing out

RULES = {
    "plain": SimpleNamespace(scans=False, remote=False),
    "judged": SimpleNamespace(scans=False, remote=True),
    "search": SimpleNamespace(scans=True, remote=False),
}


def plan_of(questions: dict[str, list[int]]) -> Plan:
    """Return a plan with so many questions for each probe of a detector."""
    probes = {
        name: tuple(
            Probe(f"{name}-{place}", name, "", tuple(f"q{number}" for number in range(count)), "en", "c")
            for place, count in enumerate(counts)
        )
        for name, counts in questions.items()
    }
    return Plan((), cast(Any, RULES), probes, "")


@given(
    st.dictionaries(st.sampled_from(sorted(RULES)), st.lists(st.integers(1, 4), min_size=1, max_size=30), min_size=1),
    st.integers(1, 7),
    st.integers(1, 3),
    st.sampled_from([0, 5, 40]),
)
def test_every_probe_falls_to_one_part_and_the_parts_cost_the_same(
    questions: dict[str, list[int]], of: int, trials: int, sample: int
) -> None:
    settings = defaults(trials=trials, sample=sample, judge_votes=3)
    plan = plan_of(questions)
    shares = sharding.parts(plan, list(questions), settings, of)
    assert shares == sharding.parts(plan, list(questions), settings, of)
    assert [list(share) for share in shares] == [list(questions)] * of
    costs = []
    for name, probes in plan.probes.items():
        wanted = probes if RULES[name].scans else sharding.asked(probes, settings)
        assert Counter(probe.id for share in shares for probe in share[name]) == Counter(probe.id for probe in wanted)
        if RULES[name].scans:
            assert sum(bool(share[name]) for share in shares) == 1
        for share in shares:
            places = [probes.index(probe) for probe in share[name]]
            assert places == sorted(places)
    for share in shares:
        told = [
            sharding.SEARCH_CALLS if RULES[name].scans else sharding.cost(probe, cast(Any, RULES[name]), settings)
            for name, probes in share.items()
            for probe in (probes[:1] if RULES[name].scans else probes)
        ]
        costs.append((sum(told), max(told, default=0)))
    most = max(cost for cost, _ in costs)
    longest = max(unit for _, unit in costs)
    assert most - min(cost for cost, _ in costs) <= longest


def test_an_outcome_is_read_as_it_was_written() -> None:
    probe = Probe("one", "invariance", "must not", ("first", "second"), "en", "template", axis="age")
    answers = (Answer("a", ("passage",), seconds=0.5, attempts=2), Answer("b"))
    case = make_case(probe, answers, Verdict("failed", "why", "a", measures={"fresh": 3}), model="bot@1")
    measure = Measure("rate", "age", 0.2, 0.1, 0.3, 10)
    decision = Decision("fail", "reason", 10, 9, 1, 0.5, 0.1, (0.01, 0.3), (measure,))
    whole = Outcome(
        "invariance", "fail", "reason", decision, (case,), 40, 1, 2.5, 7, 1, 3, (Judging("judge@1", 2),), tokens=(5, 6)
    )
    for outcome in (
        whole,
        replace(whole, decision=None, cases=()),
        replace(whole, decision=replace(decision, interval=None)),
    ):
        assert merging.load(json.loads(json.dumps(merging.dump(outcome)))) == outcome
