"""The whole way: a run of the gate, a real Argilla, and whatever is killed in between."""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path
from typing import Any

import pytest

from bias_suite.sinks import argilla, outbox
from fixtures import argilla as server
from tests.argilla.deliveries import records, settings
from tests.gate_runs import Gate

SORRY = "tests.bots:says_sorry(every=2)"


@pytest.fixture(scope="module", autouse=True)
def _loaded_once() -> None:
    """Import what pytester would make a later test import again: pyarrow's extensions cannot be, in one process."""
    argilla._sdk()


@pytest.fixture
def held(argilla_server: Any, gate: Gate, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Settings of a dataset of this test's own, and the owner's key where a run finds it."""
    monkeypatch.setenv("ARGILLA_API_KEY", argilla_server.owner.api_key)
    return settings(argilla_server.url, argilla_server.owner.api_key, gate.reports)


def options(held: Any) -> list[str]:
    return [f"--bias-argilla-url={held.argilla_url}", f"--bias-argilla-dataset={held.argilla_dataset}"]


def push(gate: Gate, held: Any) -> pytest.RunResult:
    command = "from bias_suite.cli import main; main()"
    where = ["-c", str(gate.folder / "tox.ini"), f"--rootdir={gate.folder}"]
    return gate.pytester.run(sys.executable, "-c", command, "push", *options(held), *where)


@pytest.mark.parametrize("workers", [0, 4])
def test_each_failing_case_of_a_run_arrives_once(gate: Gate, held: Any, workers: int) -> None:
    result = gate.run_apart("--bias-only=small,other", *options(held), model=SORRY, workers=workers)
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    failed = {case["id"] for case in gate.cases() if case["verdict"] == "failed"}
    found = [record.id for record in records(held)]
    assert len(found) == len(set(found)) == 80
    assert set(found) == failed
    assert f"80 cases are in dataset '{held.argilla_dataset}'" in " ".join(result.stdout.str().split())
    assert outbox.waiting(gate.reports / "outbox") == []
    assert held.argilla_key not in result.stdout.str()
    assert {record.metadata["run"] for record in records(held)} == {gate.summary()["run"]["id"]}


def test_a_run_that_is_killed_is_pushed_later(gate: Gate, held: Any) -> None:
    running = gate.start(
        "--bias-only=small,other", *options(held), model="tests.bots:says_sorry(every=1, seconds=0.05)"
    )
    try:
        gate.wait_for_lines(10)
    finally:
        os.killpg(running.pid, signal.SIGKILL)
        running.communicate()
    failed = {case["id"] for case in gate.cases() if case["verdict"] == "failed"}
    result = push(gate, held)
    assert result.ret == pytest.ExitCode.OK, result.stderr.str()
    assert {record.id for record in records(held)} == failed
    again = push(gate, held)
    assert again.ret == pytest.ExitCode.OK
    assert "Nothing waits" in again.stdout.str()


def test_a_server_that_is_killed_during_a_run_costs_nothing(
    gate: Gate, argilla_server: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from tests.argilla.server import environment

    home = tmp_path / "home"
    mine = server.up(home, environment=environment())
    try:
        monkeypatch.setenv("ARGILLA_API_KEY", mine.owner.api_key)
        held = settings(mine.url, mine.owner.api_key, gate.reports)
        server.down(home)
        result = gate.run_apart("--bias-only=small", *options(held), model=SORRY)
        assert result.ret == pytest.ExitCode.TESTS_FAILED
        assert "there is no server at" in " ".join(result.stdout.str().split())
        again = server.up(home, environment=environment())
        back = settings(again.url, again.owner.api_key, gate.reports, argilla_dataset=held.argilla_dataset)
        assert push(gate, back).ret == pytest.ExitCode.OK
        assert len(records(back)) == 20
    finally:
        server.down(home)
