"""`bias-suite compare --html`: the page says what the terminal says, and shows the probes that changed sides."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from bias_suite import comparing, gate
from bias_suite.cases import Case, to_line
from bias_suite.detectors import CATALOGUE
from bias_suite.detectors.grounding import Grounding
from bias_suite.errors import ReportError
from bias_suite.options import defaults
from bias_suite.reporting import compared, compared_page
from tests.gate_runs import Gate
from tests.hostile_bots import PAYLOADS, TOGETHER
from tests.test_baseline import sorry_to
from tests.test_comparing import compare, run_into
from tests.test_html import Parsed, case, summary


def run_of(folder: Path, cases: list[Case], **told: Any) -> comparing.Run:
    """Write a run of `grounding`, and read it again."""
    folder.mkdir(exist_ok=True)
    (folder / "cases.jsonl").write_text("".join(map(to_line, cases)), encoding="utf-8")
    (folder / "summary.json").write_text(json.dumps(summary(**told)), encoding="utf-8")
    return comparing.read(folder, {"grounding": Grounding(defaults())})


def page_of(tmp_path: Path, before: list[Case], after: list[Case], **told: Any) -> Path:
    """Write the page of two runs of `grounding`."""
    first, second = run_of(tmp_path / "a", before, **told), run_of(tmp_path / "b", after, **told)
    detectors = [one for one in CATALOGUE if one.id == "grounding"]
    found = comparing.changes(first, second, detectors, {"grounding": gate.Rules()})
    path = tmp_path / "compared.html"
    compared_page.write(path, first, second, found, detectors, lambda case: case)
    assert compared.verdict(found) in Parsed(path.read_text(encoding="utf-8")).text
    return path


def told(path: Path) -> str:
    return " ".join(Parsed(path.read_text(encoding="utf-8")).text.split())


def answers(*verdicts: str, **probe: Any) -> list[Case]:
    return [case(number, verdict, f"Answer {verdict}.", **probe) for number, verdict in enumerate(verdicts, 1)]


def test_the_command_writes_what_it_prints(gate: Gate) -> None:
    run_into(gate, "first", model=sorry_to(*range(1, 13)))
    run_into(gate, "second", model=sorry_to(1))
    status, text = compare(gate, "first", "second", "--html=compared.html")
    assert status == 0
    assert "Wrote compared.html" in text
    path = gate.folder / "compared.html"
    text = told(path)
    assert "B is worse in 0 and better in 2 of 2 detectors that can be compared" in text
    assert "small: 0 failed only in B, 11 only in A" in text
    assert "FAIL 12 / 40" in text
    assert "INCONCLUSIVE 1 / 40" in text
    assert path.stat().st_mode & 0o077 == 0


def test_probes_that_changed_sides_are_shown_the_worse_first(tmp_path: Path) -> None:
    before = answers("failed", "passed", "passed", "failed", "error")
    after = answers("passed", "failed", "passed", "failed", "failed")
    text = told(page_of(tmp_path, before, after))
    assert "grounding: 1 failed only in B, 1 only in A" in text
    assert 0 < text.index("worse Question 2?") < text.index("better Question 1?")
    assert "better Question 3?" not in text  # never failed
    assert "Question 4?" not in text  # failed both times
    assert "Question 5?" not in text  # an error is no side
    shown = text[text.index("worse Question 2?") : text.index("better Question 1?")]
    assert "A: passed Answer passed. because of Answer passed. B: failed Answer failed." in shown


def test_more_than_there_is_room_for_are_counted(tmp_path: Path) -> None:
    number = compared_page.MOST + 5
    text = told(page_of(tmp_path, answers(*["passed"] * number), answers(*["failed"] * number)))
    assert f"grounding: {number} failed only in B, 0 only in A" in text
    assert f"{compared_page.MOST} of them are here; all are in cases.jsonl." in text
    assert text.count("worse Question") == compared_page.MOST


def test_runs_that_answer_alike_say_so(tmp_path: Path) -> None:
    same = answers("failed", "passed")
    assert "None: what one run failed, so did the other." in page_of(tmp_path, same, same).read_text(encoding="utf-8")


def test_ids_are_unique_and_the_same_runs_give_the_same_page(tmp_path: Path) -> None:
    path = page_of(tmp_path, answers("failed"), answers("passed"))
    before = path.read_bytes()
    ids = [given["id"] for _, given in Parsed(before.decode()).tags if "id" in given]
    assert len(ids) == len(set(ids)) > 10
    assert page_of(tmp_path, answers("failed"), answers("passed")).read_bytes() == before


@pytest.mark.parametrize("name", [*PAYLOADS, "together"])
def test_what_was_said_is_text(tmp_path: Path, name: str) -> None:
    said = PAYLOADS.get(name, TOGETHER)
    plain = {tag for tag, _ in Parsed(page_of(tmp_path, answers("failed"), answers("passed")).read_text()).tags}
    hostile = [case(1, verdict, said, questions=(f"Question {said}", "Other")) for verdict in ("failed", "passed")]
    path = page_of(tmp_path, hostile[:1], hostile[1:], model=said)
    assert {tag for tag, _ in Parsed(path.read_text(encoding="utf-8")).tags} == plain
    assert not plain & {"script", "img", "iframe", "link", "object"}


def test_personal_data_is_redacted(gate: Gate) -> None:
    (gate.folder / "app.py").write_text(
        "def build():\n    return lambda question: 'sorry, write to ada.lovelace@mail.example.org'\n", encoding="utf-8"
    )
    run_into(gate, "first", model="app:build")
    run_into(gate, "second", model=sorry_to(1))
    compare(gate, "first", "second", "--html=compared.html")
    text = (gate.folder / "compared.html").read_text(encoding="utf-8")
    assert "39 only in A" in text
    assert "sorry, write to [e-mail]" in text
    assert "ada.lovelace" not in text


def test_a_page_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    (tmp_path / "compared.html").mkdir()
    with pytest.raises(ReportError, match=r"cannot write .*compared\.html"):
        page_of(tmp_path, answers("failed"), answers("passed"))
