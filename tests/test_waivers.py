"""Waivers: what they cover leaves the evidence until their last day, and everybody is told whose they are."""

from __future__ import annotations

import datetime
from dataclasses import replace
from pathlib import Path

import pytest

from bias_suite import waivers
from bias_suite.cases import Answer, Case, Verdict, make_case
from bias_suite.errors import WaiverError
from bias_suite.waivers import Waiver, Waivers
from tests.detectors import REQUIREMENTS, small_probes
from tests.gate_runs import Gate
from tests.test_results import BOTH_WAYS

TODAY = datetime.date(2026, 11, 23)
FAR = (datetime.datetime.now(datetime.UTC) + datetime.timedelta(days=400)).date()
PAST = datetime.date(2026, 1, 31)
SORRY = "tests.bots:says_sorry(every=3)"  # 13 of the 40 of `small`


def case(number: int = 1, verdict: str = "failed") -> Case:
    probe = small_probes("small", 40)[number - 1]
    status = {"failed": "failed", "passed": "passed", "error": "error", "skipped": "skipped"}[verdict]
    return make_case(probe, [Answer("I am sorry.")], Verdict(status, "it says so"), model="bot@1")  # type: ignore[arg-type]


def waiver(**fields: object) -> Waiver:
    given = {"owner": "Ada", "reason": "known, fixed in May", "expires": TODAY}
    return Waiver(**{**given, **fields})  # type: ignore[arg-type]


def entry(**fields: object) -> str:
    """Return a waiver as a file has it."""
    given = {"owner": "Ada", "reason": "known, fixed in May", "expires": FAR.isoformat(), **fields}
    return "[[waiver]]\n" + "".join(f"{name} = {value!r}\n" for name, value in given.items() if value is not None)


def written(folder: Path, *entries: str) -> Path:
    path = folder / "waivers.toml"
    path.write_text("\n".join(entries), encoding="utf-8")
    return path


# One case


def test_a_waived_case_is_no_evidence_and_says_whose_waiver_it_is() -> None:
    found = Waivers((waiver(case=case().id),), TODAY).apply(case())
    assert found.verdict == "waived"
    assert found.reason == "waived by Ada (until 2026-11-23: known, fixed in May); it failed: it says so"
    assert replace(found, verdict="failed", reason="it says so") == case()


def test_a_waiver_of_a_case_covers_no_other() -> None:
    assert Waivers((waiver(case=case(2).id),), TODAY).apply(case()) == case()


@pytest.mark.parametrize("verdict", ["failed", "passed"])
def test_a_waiver_of_a_requirement_covers_what_passed_too(verdict: str) -> None:
    held = Waivers((waiver(requirement=case().requirement),), TODAY)
    assert held.apply(case(verdict=verdict)).verdict == "waived"
    assert held.apply(case(2, verdict)).verdict == verdict  # of the other requirement


@pytest.mark.parametrize("verdict", ["error", "skipped"])
def test_what_is_no_evidence_anyway_stays_what_it_was(verdict: str) -> None:
    one = case(verdict=verdict)
    assert Waivers((waiver(requirement=one.requirement),), TODAY).apply(one) == one


def test_a_waiver_of_a_requirement_can_be_of_one_detector() -> None:
    of_another = waiver(requirement=case().requirement, detector="other")
    assert Waivers((of_another,), TODAY).apply(case()) == case()
    assert Waivers((replace(of_another, detector="small"),), TODAY).apply(case()).verdict == "waived"


def test_a_waiver_holds_on_its_last_day_and_not_on_the_next() -> None:
    one = waiver(case=case().id, expires=TODAY)
    assert Waivers((one,), TODAY).apply(case()).verdict == "waived"
    assert Waivers((one,), TODAY + datetime.timedelta(days=1)).apply(case()) == case()


def test_where_one_has_ended_another_may_hold() -> None:
    both = waiver(case=case().id, expires=PAST), waiver(requirement=case().requirement, owner="Bo")
    assert Waivers(both, TODAY).apply(case()).reason.startswith("waived by Bo")


def test_each_case_counts_for_the_waiver_that_covers_it_and_for_those_that_ended() -> None:
    held = Waivers(
        (
            waiver(case=case().id),
            waiver(requirement=case().requirement, owner="Bo"),
            waiver(case=case(2).id, expires=PAST, owner="Cy"),
            waiver(case="0" * 32, owner="Di"),
        ),
        TODAY,
    )
    cases = [held.apply(one) for one in (case(1), case(3), case(5, "passed"), case(2), case(4))]
    assert [one.verdict for one in cases] == ["waived", "waived", "waived", "failed", "failed"]
    told = held.told(cases)
    assert [(one["owner"], one["cases"], one["ended"]) for one in told] == [
        ("Ada", 1, False),
        ("Bo", 2, False),
        ("Cy", 1, True),
        ("Di", 0, False),
    ]
    lines = waivers.notes(told)
    assert lines[0] == f"Waived until 2026-11-23 (1 case): case {case().id}, by Ada: known, fixed in May"
    assert lines[1].startswith(f"Waived until 2026-11-23 (2 cases): requirement {case().requirement!r}, by Bo")
    assert lines[2].startswith("Waiver ended on 2026-01-31 (1 case counts again): ")
    assert lines[3].startswith("Waiver covers nothing in this run: case 000")


# The file


def test_a_day_may_be_a_text_or_a_day_of_toml(tmp_path: Path) -> None:
    path = written(
        tmp_path, entry(case="a"), "[[waiver]]\nrequirement='r'\nowner='B'\nreason='x'\nexpires=2027-02-01\n"
    )
    assert waivers.read(path, TODAY).all == (
        Waiver("Ada", "known, fixed in May", FAR, case="a"),
        Waiver("B", "x", datetime.date(2027, 2, 1), requirement="r"),
    )


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (entry(case="a", owner=None), "waiver 1: owner must be there"),
        (entry(case="a", owner=" "), "waiver 1: owner must be there"),
        (entry(case="a", reason=None), "waiver 1: reason must be there"),
        (entry(case="a", expires=None), "waiver 1: expires must be there, as a day such as 2027-01-31"),
        (entry(case="a", expires="soon"), "waiver 1: expires must be there"),
        ("[[waiver]]\ncase='a'\nowner='A'\nreason='x'\nexpires=2027-02-01T00:00:00Z\n", "waiver 1: expires must be"),
        (entry(case="a") + entry(), "waiver 2: must name a case or a requirement, one of them"),
        (entry(case="a", requirement="b"), "waiver 1: must name a case or a requirement, one of them"),
        (entry(case="a", detector="small"), "waiver 1: a case has its detector"),
        (entry(case="a", until="2027-01-01"), "waiver 1: does not know until"),
        (entry(requirement="No such sentence."), "waiver 1: no probe of the plan has the requirement 'No such"),
        (entry(requirement="Be kind.", detector="mine"), "waiver 1: there is no detector 'mine'"),
        (entry(requirement="Be kind.", detector="other"), "waiver 1: no probe of the plan has the requirement"),
        ("waiver = 3\n", "holds [[waiver]] tables and nothing else"),
        ("[waivers]\n", "holds [[waiver]] tables and nothing else, not waivers"),
        ("waiver = [3]\n", "waiver 1: must be a [[waiver]] table"),
        ("[[waiver\n", "is no TOML"),
    ],
)
def test_what_is_wrong_is_told_with_its_place(tmp_path: Path, text: str, message: str) -> None:
    path = written(tmp_path, text)
    with pytest.raises(WaiverError) as raised:
        waivers.read(path, TODAY, {"small": {"Be kind."}, "other": set()})
    assert str(raised.value).startswith(f"{path}: ")
    assert message in str(raised.value)


def test_what_a_detector_that_asks_by_itself_requires_is_not_known(tmp_path: Path) -> None:
    path = written(tmp_path, entry(requirement="Who knows."))
    assert waivers.read(path, TODAY, {"small": {"Be kind."}, "mine": None}).all[0].requirement == "Who knows."


def test_a_missing_file_is_told(tmp_path: Path) -> None:
    with pytest.raises(WaiverError, match=r"nowhere\.toml: No such file"):
        waivers.read(tmp_path / "nowhere.toml", TODAY)


# Whole runs


@BOTH_WAYS
def test_waived_failures_block_nothing_and_are_told(gate: Gate, workers: int) -> None:
    assert gate.run("--bias-only=small", model=SORRY).ret == pytest.ExitCode.TESTS_FAILED
    failed = [one for one in gate.cases() if one["verdict"] == "failed"]
    assert len(failed) == 13
    written(gate.folder, *(entry(case=one["id"]) for one in failed))
    result = gate.run("--bias-only=small", "--bias-waivers=waivers.toml", model=SORRY, workers=workers)
    row = gate.rows()["small"]
    # The other 27 passed, which is too few for a PASS: no waiver makes one.
    assert (row["verdict"], row["judged"], row["failures"]) == ("inconclusive", 27, 0)
    assert row["reason"].endswith("; 13 waived answers do not count")
    assert [one["cases"] for one in gate.summary()["waivers"]] == [1] * 13
    assert {one["id"] for one in gate.cases() if one["verdict"] == "waived"} == {one["id"] for one in failed}
    text = " ".join(result.stdout.str().split())
    assert f"Waived until {FAR} (1 case): case {failed[0]['id']}, by Ada: known, fixed in May" in text


def test_the_end_of_a_waiver_blocks_again_and_says_whose_it_was(gate: Gate) -> None:
    written(gate.folder, *(entry(requirement=one, expires=PAST.isoformat()) for one in REQUIREMENTS))
    result = gate.run("--bias-only=small", "--bias-waivers=waivers.toml", model=SORRY)
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    assert gate.verdicts() == {"small": "fail"}
    assert [(one["ended"], one["cases"]) for one in gate.summary()["waivers"]] == [(True, 20), (True, 20)]
    assert "Waiver ended on 2026-01-31 (20 cases count again)" in " ".join(result.stdout.str().split())


def test_a_detector_all_of_whose_evidence_is_waived_is_waived_and_not_skipped(gate: Gate) -> None:
    written(gate.folder, *(entry(requirement=one) for one in REQUIREMENTS))
    options = ("--bias-only=small", "--bias-require=small", "--bias-waivers=waivers.toml")
    result = gate.run(*options, model=SORRY)
    assert result.ret == pytest.ExitCode.OK
    assert gate.rows()["small"]["verdict"] == "waived"
    assert gate.rows()["small"]["reason"] == "all that would be evidence, 40 answers, is waived"
    assert "covers 1 of 19 detectors: 1 WAIVED" in result.stdout.str()


def test_a_waiver_of_some_does_not_cover_an_answer_that_changed(gate: Gate) -> None:
    gate.run("--bias-only=small", model="tests.bots:says_sorry_to(numbers=(1, 2, 3, 4, 5))")
    written(gate.folder, *(entry(case=one["id"]) for one in gate.cases() if one["verdict"] == "failed"))
    gate.run(
        "--bias-only=small", "--bias-waivers=waivers.toml", model="tests.bots:says_sorry_to(numbers=(6, 7, 8, 9, 10))"
    )
    assert gate.rows()["small"]["failures"] == 5
    assert [one["cases"] for one in gate.summary()["waivers"]] == [0] * 5


def test_a_wrong_waiver_stops_the_run_before_anything_is_asked(gate: Gate) -> None:
    written(gate.folder, entry(requirement="The assistant must not apologize."))
    result = gate.run("--bias-only=small", "--bias-waivers=waivers.toml", model=SORRY)
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    assert "waiver 1: no probe of the plan has the requirement" in result.stderr.str()
    assert not gate.reports.exists()
