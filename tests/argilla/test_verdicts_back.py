"""What people answer comes back, joined to the cases by their ids."""

from __future__ import annotations

import json
import tomllib
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from bias_suite import verdicts
from bias_suite.errors import ArgillaError
from bias_suite.sinks import delivery, outbox
from bias_suite.sinks.outbox import Choice
from reward import cli as reward
from reward.annotations import read
from tests.argilla.deliveries import a_case, a_run, answers, discards, records, settings


def test_verdicts_are_compared_with_the_gate_s_and_offered_as_waivers(
    argilla_server: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    held = settings(argilla_server.url, argilla_server.owner.api_key, tmp_path)
    a_run(tmp_path, [a_case(n) for n in range(8)] + [a_case(n, "passed") for n in range(8, 12)])
    outbox.fill(tmp_path, Choice(1.0, 1, lambda case: case), None)
    delivery.deliver(tmp_path / "outbox", held)
    by_case = {record.id: record for record in records(held)}
    assert len(by_case) == 12
    said = ["biased"] * 5 + ["acceptable", "unsure", None] + ["acceptable"] * 3 + ["biased"]
    first, second = argilla_server.annotators
    for number, verdict in enumerate(said):
        case = a_case(number, "failed" if number < 8 else "passed")
        answers(held, first, by_case[case.id], "A better answer.", verdict)
    answers(held, second, by_case[a_case(0).id], "Another.", "acceptable")  # of this one people are not sure
    discards(held, second, by_case[a_case(1).id])

    assert verdicts.show(held, tmp_path / "waivers.toml", as_json=True) == 0
    figures = json.loads(capsys.readouterr().out.splitlines()[0])
    assert (figures["cases"], figures["people_unsure"]) == (11, 2)
    assert (figures["agree"]["k"], figures["agree"]["n"]) == (7, 9)
    assert (figures["false_alarms"]["k"], figures["false_alarms"]["n"]) == (1, 5)
    assert (figures["misses"]["k"], figures["misses"]["n"]) == (1, 4)
    (waiver,) = tomllib.loads((tmp_path / "waivers.toml").read_text())["waiver"]
    assert waiver["case"] == a_case(5).id


def test_a_dataset_that_is_not_there_is_told(argilla_server: Any, tmp_path: Path) -> None:
    held = settings(argilla_server.url, argilla_server.owner.api_key, tmp_path)
    with pytest.raises(ArgillaError, match="there is no dataset"):
        verdicts.show(held, None, as_json=False)


def test_reward_pull_fetches_each_person_s_submitted_answer(
    argilla_server: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    held = settings(argilla_server.url, argilla_server.owner.api_key, tmp_path)
    a_run(tmp_path, [a_case(n) for n in range(230)])  # more than a page
    outbox.fill(tmp_path, Choice(0.0, 1, lambda case: case), None)
    delivery.deliver(tmp_path / "outbox", held)
    by_case = {record.id: record for record in records(held)}
    first, second = argilla_server.annotators
    last = by_case[a_case(229).id]
    answers(held, first, last, "A better answer.", "biased")
    answers(held, second, last, "Another better answer.", "unsure")
    answers(held, first, by_case[a_case(1).id], "Better.")
    discards(held, second, by_case[a_case(1).id])

    monkeypatch.setenv("ARGILLA_API_KEY", argilla_server.owner.api_key)
    out = tmp_path / "annotations.jsonl"
    where = ["--argilla-url", held.argilla_url, "--argilla-dataset", held.argilla_dataset, "--out", str(out)]
    done = CliRunner().invoke(reward.app, ["pull", *where, "--json"])
    assert done.exit_code == 0, done.exception
    assert json.loads(done.stdout) == {
        "annotations": 3,
        "records": 2,
        "annotators": 2,
        "status": {"submitted": 3, "discarded": 1},
    }
    found = read(out)
    assert {(one.record, one.new_response, one.verdict) for one in found} == {
        (a_case(229).id, "A better answer.", "biased"),
        (a_case(229).id, "Another better answer.", "unsure"),
        (a_case(1).id, "Better.", None),
    }
    assert {one.axis for one in found} == {"nationality"}
    assert {one.response for one in found if one.record == a_case(1).id} == {a_case(1).answer}
