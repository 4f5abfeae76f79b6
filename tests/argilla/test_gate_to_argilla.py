"""The whole way: a run of the gate, a real Argilla, and whatever is killed in between."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from bias_suite.errors import ArgillaError
from bias_suite.sinks import argilla, delivery, outbox
from bias_suite.sinks.outbox import Choice
from fixtures import argilla as server
from tests.argilla.deliveries import a_case, a_run, records, settings
from tests.argilla.server import environment
from tests.argilla.test_server import processes
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


@pytest.fixture
def own_home(tmp_path: Path) -> Iterator[Path]:
    """The home of a server of this test's own, to do to it what it must survive."""
    home = tmp_path / "home"
    try:
        yield home
    finally:
        server.down(home)


def test_a_server_that_is_down_at_the_end_of_a_run_costs_nothing(
    gate: Gate, own_home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mine = server.up(own_home, environment=environment())
    monkeypatch.setenv("ARGILLA_API_KEY", mine.owner.api_key)
    held = settings(mine.url, mine.owner.api_key, gate.reports)
    server.down(own_home)
    result = gate.run_apart("--bias-only=small", *options(held), model=SORRY)
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    assert "there is no server at" in " ".join(result.stdout.str().split())
    again = server.up(own_home, environment=environment())
    back = settings(again.url, again.owner.api_key, gate.reports, argilla_dataset=held.argilla_dataset)
    assert push(gate, back).ret == pytest.ExitCode.OK
    assert len(records(back)) == 20


def test_a_server_that_is_killed_in_the_middle_of_a_push_costs_nothing(
    own_home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mine = server.up(own_home, environment=environment())
    held = settings(mine.url, mine.owner.api_key, tmp_path / "reports")
    outbox.fill(a_run(held.report_dir, [a_case(n) for n in range(200)]), Choice(0.0, 1, lambda case: case), None)
    monkeypatch.setattr(delivery, "BATCH", 20)
    arrived = []

    def kill_it_after_three(batch: int) -> None:
        arrived.append(batch)
        if len(arrived) == 3:
            for process in processes(own_home)["python"]:
                os.kill(process, signal.SIGKILL)

    with pytest.raises(ArgillaError, match=r"there is no server at|broke the connection"):
        delivery.deliver(held.report_dir / "outbox", held, kill_it_after_three)
    (path,) = outbox.waiting(held.report_dir / "outbox")
    assert outbox.count(path) == 140
    again = server.up(own_home, environment=environment())
    back = settings(again.url, again.owner.api_key, held.report_dir, argilla_dataset=held.argilla_dataset)
    assert delivery.deliver(back.report_dir / "outbox", back) == 140
    assert {record.id for record in records(back)} == {a_case(n).id for n in range(200)}
