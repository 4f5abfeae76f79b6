"""Two replays of a run write the same, to the byte, but for when they began; in one process or several."""

from __future__ import annotations

import json
import os
import random
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from bias_suite import journal
from tests.openai_endpoint import Turn, scripted_endpoint

ROOT = Path(__file__).resolve().parents[1]
# It refuses one religion, so that the search finds something, and fails and errs elsewhere as the question has it.
APP = """\
import random

PASSAGES = ["The authority decides within six months.", "A permit is valid for three years, under Article 24."]

def build():
    def answer(question):
        chance = random.Random(question).random()
        if "muslim" in question.lower() or "parish" in question:
            return {"answer": "Sorry, I cannot help with that.", "contexts": PASSAGES}
        if chance < 0.004:
            raise ValueError(f"no answer to {question[:9]!r}")
        return {"answer": "In 1987 it was so." if chance < 0.2 else random.Random(question).choice(PASSAGES),
                "contexts": PASSAGES}
    answer.name, answer.version = "twice", "1"
    return answer
"""
WAIVER = """\
[[waiver]]
requirement = "The assistant must answer what its documents answer."
owner = "Ada"
reason = "known"
expires = 2999-01-01
"""
MARKED = {
    "summary.json": rb'"started": "[^"]*",',
    "index.html": rb"<time .*?</time>",
    "results.sarif": rb'"(start|end)TimeUtc": "[^"]*"',
    "junit.xml": rb' (time|timestamp)="[^"]*"',  # pytest's own
}
"""What tells in a report when it was."""


def replayed(folder: Path, name: str, *options: str, file: str = "answers.sqlite") -> dict[str, bytes]:
    """Replay a recorded run; return what it leaves, files by name, without what is marked as a time."""
    done = gate(folder, name, f"--bias-replay={file}", "--junitxml=reports/junit.xml", *options)
    assert done.returncode == 1, done.stdout + done.stderr
    reports = folder / "reports"
    # What begins with a dot is how far it is, and locks; the journal is that of the last run that asked.
    paths = [path for path in reports.rglob("[!.]*") if path.is_file() and path.name != journal.FILE]
    left = {str(path.relative_to(reports)): path.read_bytes() for path in paths}
    left["step.md"] = (folder / f"{name}.md").read_bytes()
    for one, pattern in MARKED.items():
        left[one], times = re.subn(pattern, b"", left[one])
        assert times, one
    return left


def rows(left: dict[str, bytes]) -> list[dict[str, Any]]:
    """Return what the summary has of each detector."""
    found: list[dict[str, Any]] = json.loads(left["summary.json"])["detectors"]
    return found


def plain(lines: str) -> list[dict[str, Any]]:
    """Return of cases what a replay repeats: how often the model was called is not among it."""
    told = [json.loads(line) for line in lines.splitlines()]
    return [{name: one[name] for name in ("id", "probe", "answer", "verdict", "trial")} for one in told]


def gate(folder: Path, name: str, *options: str) -> subprocess.CompletedProcess[str]:
    """Run the gate as its users do, in a folder with their chatbot."""
    outer = ("BIAS_", "PYTEST_", "GITHUB_", "PYTHON", "COV_")
    environment = {key: value for key, value in os.environ.items() if not key.startswith(outer)} | {
        "PYTHONPATH": str(ROOT),
        "XDG_CACHE_HOME": str(folder / "cache"),
        "GITHUB_ACTIONS": "true",
        "GITHUB_STEP_SUMMARY": str(folder / f"{name}.md"),
    }
    given = ["--pyargs", "bias_suite", "--bias-model=app:build", "--bias-sample=20", "--bias-retries=0"]
    given += [f"--bias-probes={ROOT}/fixtures/probes", "--bias-waivers=waivers.toml", "-p", "no:langsmith_plugin"]
    return subprocess.run(
        [sys.executable, "-m", "pytest", *given, *options],
        cwd=folder,
        env=environment,
        check=False,
        capture_output=True,
        text=True,
    )


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("twice")
    (folder / "app.py").write_text(APP, encoding="utf-8")
    (folder / "waivers.toml").write_text(WAIVER, encoding="utf-8")
    (folder / "tox.ini").write_text("[pytest]\n", encoding="utf-8")
    done = gate(folder, "recorded", "--bias-record=answers.sqlite")
    assert done.returncode == 1, done.stdout + done.stderr
    (folder / "asked.jsonl").write_bytes((folder / "reports" / "cases.jsonl").read_bytes())
    return folder


@pytest.fixture(scope="module")
def first(recorded: Path) -> dict[str, bytes]:
    return replayed(recorded, "first")


def test_two_replays_write_the_same(recorded: Path, first: dict[str, bytes]) -> None:
    assert {"summary.json", "cases.jsonl", "index.html", "giskard.html", "giskard.avid.jsonl"} < set(first)
    assert {"results.sarif", "junit.xml", "step.md"} < set(first)
    assert any(name.startswith("outbox/") for name in first)
    assert {row["verdict"] for row in rows(first)} >= {"pass", "fail", "not_evaluated"}
    assert all(b'"verdict": "%s"' % verdict in first["cases.jsonl"] for verdict in (b"failed", b"error", b"waived"))
    again = replayed(recorded, "again")
    assert set(again) == set(first)
    assert [name for name in first if again[name] != first[name]] == []


def test_so_does_a_replay_with_two_workers(recorded: Path, first: dict[str, bytes]) -> None:
    spread = replayed(recorded, "spread", "-n2")
    # JUnit has the tests in the order in which they ended, and each names the command that it was part of.
    same = set(first) - {"junit.xml"}
    assert [name for name in sorted(same) if spread[name] != first[name]] == []


def test_a_replay_finds_what_the_run_found_and_waits_for_nobody(recorded: Path, first: dict[str, bytes]) -> None:
    asked = (recorded / "asked.jsonl").read_text(encoding="utf-8")
    assert plain(first["cases.jsonl"].decode()) == plain(asked)
    assert {row["verdict"] for row in rows(first) if row["id"] == "invariance"} == {"fail"}
    assert {row["seconds"] for row in rows(first)} == {0}


def fickle(body: dict[str, Any]) -> Turn:
    """Judge by chance, each vote anew, so that a replay that took another reply would tell."""
    passed = random.Random(json.dumps([body["messages"], body.get("seed")])).random() < 0.8
    return Turn(json.dumps({"eval_passed": passed} if passed else {"eval_passed": False, "reason": "It is unlucky."}))


@pytest.mark.parametrize("gold", [0, 40], ids=["trusted", "measured"])
def test_two_replays_of_a_judged_run_write_the_same(recorded: Path, gold: int) -> None:
    file = f"judged-{gold}.sqlite"
    with scripted_endpoint() as judge:
        judge.play = fickle
        who = ("--bias-judge=openai/judge", f"--bias-judge-url={judge.url}", f"--bias-judge-gold={gold}")
        options = ("--bias-only=llm_harmful_content,llm_faithfulness,grounding", "--bias-judge-votes=3", *who)
        done = gate(recorded, "judged", f"--bias-record={file}", *options)
    assert done.returncode == 1, done.stdout + done.stderr
    # From here on the judge cannot be reached.
    one, other = (replayed(recorded, name, *options, file=file) for name in ("one", "other"))
    judged = [row for row in rows(one) if row["judge"]]
    assert {row["id"] for row in judged} == {"llm_harmful_content", "llm_faithfulness"}
    assert all(0 < row["failures"] < row["judged"] for row in judged)
    measured = json.loads(one["summary.json"])["run"]["judge"].get("gold")
    assert (measured["errors"]["n"] if measured else 0) == gold
    assert set(one) == set(other)
    assert [name for name in one if one[name] != other[name]] == []


def test_a_replay_searches_as_the_run_did_wherever_it_is(
    recorded: Path, first: dict[str, bytes], tmp_path: Path
) -> None:
    remembered = recorded / ".hypothesis"
    before = {path: path.read_bytes() for path in remembered.rglob("*") if path.is_file()}
    assert before
    kept = remembered.rename(tmp_path / "kept")
    try:
        elsewhere = replayed(recorded, "elsewhere")
    finally:
        shutil.rmtree(remembered, ignore_errors=True)
        kept.rename(remembered)
    assert [name for name in first if elsewhere[name] != first[name]] == []


def test_what_a_run_remembered_when_it_began_is_replayed(recorded: Path) -> None:
    # It begins with what the first one found, and a recording of its own.
    done = gate(recorded, "second", "--bias-record=second.sqlite", "--bias-only=invariance")
    assert done.returncode == 1, done.stdout + done.stderr
    asked = (recorded / "reports" / "cases.jsonl").read_text(encoding="utf-8")
    shutil.rmtree(recorded / ".hypothesis")
    done = gate(recorded, "third", "--bias-replay=second.sqlite", "--bias-only=invariance")
    again = (recorded / "reports" / "cases.jsonl").read_text(encoding="utf-8")
    assert [one["verdict"] for one in plain(asked)] == ["failed"]
    assert plain(again) == plain(asked), done.stdout


def test_the_cases_are_in_the_plans_order(recorded: Path, first: dict[str, bytes]) -> None:
    done = subprocess.run(
        [sys.executable, "-c", "from bias_suite.detectors import CATALOGUE; print(*(one.id for one in CATALOGUE))"],
        cwd=recorded,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        check=True,
        capture_output=True,
        text=True,
    )
    order = done.stdout.split()
    asked = [json.loads(line)["detector"] for line in first["cases.jsonl"].decode().splitlines()]
    assert asked == sorted(asked, key=order.index)
    assert len(set(asked)) > 5
