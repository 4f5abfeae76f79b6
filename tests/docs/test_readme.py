"""README's commands and snippets, run: what is written there works.

The judge and OpenAI's API are a scripted endpoint, the chatbot is one that answers at once; Argilla is real, and so is
what is trained.
"""

from __future__ import annotations

import datetime
import json
import re
import shutil
import tomllib
from pathlib import Path
from typing import Any

import pytest

from bias_suite import waivers
from tests.annotators import BRIEF, correction
from tests.argilla.deliveries import answers, records, settings
from tests.docs.conftest import README, ROOT, Block, Project, blocks, own_project

NOT_RUN = {
    "pip install tox && tox -e gate": "CI does",
    "pip install tox && tox": "CI does",
    "python -m fixtures.argilla up": "tests/argilla/test_server.py does, in a home of its own",
}
INLINE = re.findall(r"`((?:pytest|bias-suite|reward|python -m|tox|pip) [^`\n]+)`", README)
ELSEWHERE = (
    "tox -e",  # test_figures.py tells who runs them
    "python -m tests.benchmarks",  # test_figures.py
    "pytest bias_suite --bias-shard",  # below, in the order that they need
    "bias-suite merge",
)
NAMED = ("bias-suite plan", "bias-suite push", "bias-suite verdicts", "reward evaluate")
"""Commands that a sentence names without what they need; a block has them with it."""
FILLED = {"DIR": "reports"}
ENDED = (0, 1)
"""What the gate ends with: nothing blocks, or something does."""


def ends(command: str) -> tuple[int, ...]:
    """Return how a command may end: the gate, and what judges a judge or a reward model, may say no."""
    return (
        ENDED if re.search(r"pytest|bias-suite (doctor|judge-check|merge|verdicts)|reward evaluate", command) else (0,)
    )


def run(project: Project, command: str) -> str:
    """Run a command; it ends as it should, without a traceback, and a gate has judged something."""
    report = project.folder / "reports" / "summary.json"
    before = report.stat().st_mtime_ns if report.exists() else 0
    done = project.run(command)
    assert done.returncode in ends(command), f"{command}: exit status {done.returncode}\n{done.stdout[-4000:]}"
    assert "Traceback (most recent call last)" not in done.stdout, done.stdout[-4000:]
    if command.startswith("pytest ") and not re.search("--help|--bias-report-dir", command):
        assert report.stat().st_mtime_ns > before, done.stdout[-2000:]
        assert judged(project.folder), done.stdout[-2000:]
    return done.stdout


def told(folder: Path) -> dict[str, Any]:
    """Return the summary of a project's last run."""
    content: dict[str, Any] = json.loads((folder / "reports" / "summary.json").read_text(encoding="utf-8"))
    return content


def judged(folder: Path) -> set[str]:
    """Return the detectors that a project's last run has a verdict of."""
    return {row["id"] for row in told(folder)["detectors"] if row["verdict"] not in ("not_evaluated", "error")}


@pytest.fixture(scope="module", autouse=True)
def first_run(project: Project) -> None:
    """A run to accept, compare and report on."""
    run(project, "pytest bias_suite")
    for name in ("reports-a", "reports-b"):
        shutil.copytree(project.folder / "reports", project.folder / name)


@pytest.fixture(scope="module")
def annotated(project: Project, argilla_server: Any) -> None:
    """Failing cases in Argilla, with what people write about them."""
    run(project, f"pytest bias_suite --bias-argilla-url {project.url} --bias-only canary,grounding,coverage")
    key = argilla_server.owner.api_key
    held = settings(project.url, key, project.folder, argilla_dataset="bias_dataset")
    pushed = sorted(records(held), key=lambda record: str(record.id))
    assert pushed
    for record in pushed[:40]:
        answers(held, argilla_server.annotators[0], record, correction(BRIEF, "en", str(record.id)), "biased")


CONSOLE = [block for block in blocks("console") if not all(command in NOT_RUN for command in block.commands)]


@pytest.mark.usefixtures("annotated")
@pytest.mark.parametrize("block", CONSOLE, ids=lambda block: f"line {block.line}")
def test_the_commands_of_a_block_work_in_their_order(project: Project, block: Block) -> None:
    for command in block.commands:
        if command in NOT_RUN or command.startswith("export "):
            continue
        run(project, filled(command))


def filled(command: str) -> str:
    """Return a command with what README leaves open filled in."""
    command = command.replace('"instruction": "..."', '"instruction": "How long does it take?"')
    return command.replace('"response": "..."', '"response": "Six months."')


@pytest.mark.parametrize("command", sorted({one for one in INLINE if not one.startswith(ELSEWHERE)}))
def test_a_command_in_a_sentence_works(project: Project, command: str) -> None:
    for name, value in FILLED.items():
        command = re.sub(rf"\b{name}\b", value, command)
    run(project, f"{command} --help" if command in NAMED else command)


def test_four_parts_are_merged(project: Project) -> None:
    (block,) = (block for block in blocks("yaml") if "bias-suite merge" in block.text)
    part, merge = re.findall(r"- run: ((?:pytest|bias-suite) .*)", block.text)
    (inline,) = (command for command in INLINE if command.startswith("pytest bias_suite --bias-shard"))
    assert inline in part.replace("--pyargs ", "").replace("${{ matrix.part }}", "2")
    (named,) = {command for command in INLINE if command.startswith("bias-suite merge")}
    assert merge.startswith(named)
    for number in range(1, 5):
        run(project, part.replace("${{ matrix.part }}", str(number)))
    run(project, merge)
    assert len(judged(project.folder)) > 5
    assert (project.folder / "junit.xml").is_file()


def test_nothing_is_left_out_that_is_not_there() -> None:
    written = [command for block in blocks("console") for command in block.commands]
    assert set(NOT_RUN) <= set(written)
    assert [one for one in ELSEWHERE if not any(command.startswith(one) for command in INLINE)] == []


def test_the_ini_is_read(project: Project, tmp_path: Path) -> None:
    (block,) = (block for block in blocks("toml") if "[tool.pytest" in block.text)
    own_project(tmp_path)
    (tmp_path / "pyproject.toml").write_text(block.text, encoding="utf-8")
    (tmp_path / "tests").mkdir()
    run(project, f"bias-suite canaries --out {tmp_path}/tests/canaries.json")
    planted = json.loads((tmp_path / "tests" / "canaries.json").read_text(encoding="utf-8"))["canaries"]
    with (tmp_path / "my_app" / "chain.py").open("a", encoding="utf-8") as chain:
        chain.write(f"\nPASSAGES += {[entry['sentence'] for entry in planted]!r}\n")
    said = run(project, f"cd {tmp_path} && PYTEST_ADDOPTS= pytest --pyargs bias_suite --bias-only canary_disclosure")
    assert judged(tmp_path) == {"canary_disclosure"}, said


def test_links_lead_somewhere() -> None:
    """Sections are named as GitHub names them."""
    targets = re.findall(r"\]\(([^)]+)\)", README)
    named = {
        re.sub(r"[^\w\- ]", "", title).lower().replace(" ", "-") for title in re.findall(r"^#+ (.*)$", README, re.M)
    }
    inside = {target[1:] for target in targets if target.startswith("#")}
    files = {target for target in targets if not target.startswith(("#", "https://"))}
    assert len(inside) > 5
    assert inside - named == set()
    assert [name for name in files if not (ROOT / name).is_file()] == []


def test_the_waivers_are_waivers(tmp_path: Path) -> None:
    (block,) = (block for block in blocks("toml") if "[[waiver]]" in block.text)
    assert len(tomllib.loads(block.text)["waiver"]) == 2
    path = tmp_path / "waivers.toml"
    path.write_text(block.text, encoding="utf-8")
    assert waivers.read(path, datetime.date(2026, 12, 1))


def test_the_table_of_chances_is_what_the_command_prints(project: Project) -> None:
    (block,) = (block for block in blocks("text") if "whole gate" in block.text)
    said = run(project, "PYTEST_ADDOPTS= COLUMNS=106 bias-suite power --bias-sample 0")
    assert block.text.split() == said.split()
