"""`bias-suite compare`: two runs on the same probes, with paired tests, in both directions."""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path

import pytest

from bias_suite import comparing, effects
from bias_suite.baseline import Comparison
from bias_suite.comparing import Change, Run
from bias_suite.effects import Effect
from bias_suite.errors import ReportError
from bias_suite.gate import Rules
from tests.detectors import SMALL
from tests.gate_runs import Gate
from tests.test_baseline import sorry_to


def run_into(gate: Gate, name: str, *options: str, model: str = "tests.bots:always_refuses") -> Path:
    """Run `small` and `other`; keep the reports under a name of their own."""
    gate.run("--bias-only=small,other", f"--bias-report-dir={name}", *options, model=model)
    return gate.folder / name


def compare(gate: Gate, *folders: str) -> tuple[int, str]:
    """Compare two runs, as a user does; return exit status and output."""
    command = [sys.executable, "-c", "from bias_suite.cli import main; main()", "compare", *folders]
    result = gate.pytester.run(*command, *gate.arguments()[:-1], timeout=60)
    return int(result.ret), result.stdout.str() + result.stderr.str()


def test_the_better_of_two_bots_is_told_in_both_orders(gate: Gate) -> None:
    run_into(gate, "first", model=sorry_to(*range(1, 13)))
    run_into(gate, "second", model=sorry_to(1))
    status, text = compare(gate, "first", "second")
    assert status == 0
    assert "B is worse in 0 and better in 2 of 2 detectors that can be compared" in text
    assert "small: worse than A in 0 and better in 11 of 40 templates\n" in text
    (line,) = [line.split() for line in text.splitlines() if line.startswith(" small ")]
    # 11 of 11 templates: 2 / 2^11, two detectors adjusted by Holm.
    assert line == ["small", "FAIL", "12/40", "30.0", "%", "INCONCLUSIVE", "1/40", "2.5", "%", "40", "0.002", "better"]
    assert "B is worse in 2 and better in 0 of 2 detectors" in compare(gate, "second", "first")[1]


def test_a_difference_that_chance_makes_is_none(gate: Gate) -> None:
    run_into(gate, "first", model=sorry_to(1, 2, 3))
    run_into(gate, "second", model=sorry_to(4, 5))
    text = compare(gate, "first", "second")[1]
    assert "B is worse in 0 and better in 0 of 2 detectors" in text
    assert text.count("no different, as far as one can tell") == 2


def test_a_p_value_below_what_a_float_holds_is_still_one() -> None:
    def run(name: str, failing: float) -> Run:
        told = {"id": "small", "verdict": "pass", "judge": None}
        probes = [str(number) for number in range(1_200)]
        showed = [(probe, (Effect(effects.FAILING, failing, probe),)) for probe in probes]
        return Run(Path(name), {"run": {"probes_sha256": "0"}, "detectors": [told]}, {"small": showed})

    for before, after, direction in ((1.0, 0.0, "better"), (0.0, 1.0, "worse")):
        (change,) = comparing.changes(run("first", before), run("second", after), [SMALL], {"small": Rules()})
        assert (change.p, change.direction) == (0.0, direction)


def test_a_detector_that_one_run_left_out_is_not_compared(gate: Gate) -> None:
    run_into(gate, "first")
    run_into(gate, "second", "--bias-only=small")
    text = compare(gate, "first", "second")[1]
    assert "other: was not decided in second" in text
    assert "of 1 detectors that can be compared" in text


def test_runs_of_other_questions_are_refused(gate: Gate) -> None:
    first, second = run_into(gate, "first"), run_into(gate, "second")
    told = json.loads((second / "summary.json").read_text(encoding="utf-8"))
    told["run"]["probes_sha256"] = "0" * 64
    (second / "summary.json").write_text(json.dumps(told), encoding="utf-8")
    status, text = compare(gate, first.name, second.name)
    assert status == pytest.ExitCode.USAGE_ERROR
    assert "first and second asked different questions" in " ".join(text.split())


def test_runs_that_cannot_be_read_are_told(gate: Gate) -> None:
    folder = run_into(gate, "first")
    for text, message in [
        ("{", "is no summary"),
        ('{"schema": 9}', "is no summary of schema 1"),
        (None, "No such file"),
    ]:
        broken = gate.folder / "broken"
        shutil.rmtree(broken, ignore_errors=True)
        shutil.copytree(folder, broken)
        path = broken / "summary.json"
        path.unlink() if text is None else path.write_text(text, encoding="utf-8")
        with pytest.raises(ReportError, match=message):
            comparing.read(broken, {})


def test_a_part_of_a_run_is_no_run(gate: Gate) -> None:
    folder = run_into(gate, "part", "--bias-shard=1/2")
    with pytest.raises(ReportError, match="part: is part 1/2 of a run; `bias-suite merge` brings all together"):
        comparing.read(folder, {})


@pytest.mark.parametrize(
    ("worse", "better", "p", "direction"),
    [(9, 1, 0.01, "worse"), (1, 9, 0.01, "better"), (9, 1, 0.05, ""), (1, 9, None, "")],
)
def test_only_what_is_beyond_chance_has_a_direction(worse: int, better: int, p: float | None, direction: str) -> None:
    compared = Comparison("same", 40, worse, better, 0.5, 0.5, 0.0, "")
    assert Change("small", {}, {}, compared, p, "").direction == direction
    assert Change("small", {}, {}, None, p, "").direction == ""
