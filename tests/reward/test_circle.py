"""The whole circle on this machine: failing cases, people's corrections in Argilla, a reward model, fewer failures."""

from __future__ import annotations

import uuid
from pathlib import Path
from typing import Any

import pytest

from bias_suite.probes import Probe
from tests.annotators import BRIEF, EXPLAINING, correction
from tests.argilla.conftest import argilla_server  # noqa: F401  # a fixture
from tests.argilla.deliveries import answers, records, settings
from tests.benchmarks.rerank import ask, compare, questions, reward
from tests.polyglot import OWN

# Argilla's SDK has no way to close a client, and leaves a socket behind.
pytestmark = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
BOT = "tests.polyglot:build"
CORRECTED = 60


def halves() -> tuple[list[Probe], list[Probe]]:
    """Return questions to learn from and to test on, of different clusters, in the languages that the bot can."""
    learning, testing = questions(200, 200)
    return [one for one in learning if one.language in OWN], [one for one in testing if one.language in OWN]


def test_from_failing_cases_to_fewer_of_them(
    argilla_server: Any,  # noqa: F811
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    learning, testing = halves()
    assert not {probe.cluster for probe in learning} & {probe.cluster for probe in testing}
    monkeypatch.setenv("ARGILLA_API_KEY", argilla_server.owner.api_key)
    held = settings(
        argilla_server.url, argilla_server.owner.api_key, tmp_path, argilla_dataset=f"circle-{uuid.uuid4().hex[:8]}"
    )
    there = [f"--argilla-url={held.argilla_url}", f"--argilla-dataset={held.argilla_dataset}"]

    # The gate fails the bot, and sends the failing cases to people.
    cases = ask(BOT, learning, tmp_path / "run", *(option.replace("--", "--bias-", 1) for option in there))
    failed = {case.id: case for case in cases if case.verdict == "failed"}
    pushed = records(held)
    assert {record.id for record in pushed} == failed.keys()
    assert len(pushed) >= CORRECTED

    # Two people correct sixty of them.
    for record in sorted(pushed, key=lambda record: record.id)[:CORRECTED]:
        for annotator, person in zip(argilla_server.annotators, (BRIEF, EXPLAINING), strict=True):
            answers(held, annotator, record, correction(person, failed[record.id].language, record.id), "biased")

    # Their corrections become pairs, and the pairs a reward model.
    annotations, pairs, model = (str(tmp_path / name) for name in ("annotations.jsonl", "pairs.parquet", "model"))
    pulled = reward("pull", *there, "--out", annotations)
    assert (pulled["records"], pulled["annotations"], pulled["annotators"]) == (CORRECTED, 2 * CORRECTED, 2)
    made = reward("pairs", "--from", annotations, "--out", pairs)
    assert made["pairs"] + sum(made["dropped"].values()) == 2 * CORRECTED
    assert made["agreement"] == {"records": CORRECTED, "pairs": CORRECTED, "agreeing": CORRECTED, "alpha": None}
    reward("train", "--pairs", pairs, "--out", model, "--base-model", "embedded", "--max-length", "128", "--folds", "2")

    # It is better than what knows nothing, on records that it has not learned from.
    found = reward("evaluate", "--model", model, "--pairs", pairs, "--report-dir", str(tmp_path))
    assert found["verdict"] == "better", found
    assert (tmp_path / "reward.html").exists()

    # With it the bot fails less, on questions whose clusters gave no record.
    before = ask(BOT, testing, tmp_path / "before")
    reranked = f'reward.scoring:best_of_n(model="{BOT}", n=4, reward="{model}")'
    after = ask(reranked, testing, tmp_path / "after")
    change = compare(before, after)
    assert change.probes == len(testing)
    assert change.after < change.before / 2, change
    assert change.p < 0.05
