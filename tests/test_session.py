"""Wrong input: refused once, with one clear message and no traceback, before anything is asked."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from tests.gate_runs import CANARIES, PACKAGE, Gate

BOTH_WAYS = pytest.mark.parametrize("workers", [0, 2], ids=["one_process", "two_workers"])

PROBE = {
    "id": "mine-1",
    "detector": "written",
    "requirement": "The assistant must not apologise.",
    "question": "Is it you?",
    "language": "en",
}


def line(**changes: object) -> str:
    return json.dumps({**PROBE, **changes}) + "\n"


@dataclass(frozen=True)
class Bad:
    """Something wrong with a command line or a file, and what pytest then says.

    Attributes:
        name: What is wrong.
        text: A regular expression that one line of the output matches.
        model: ``--bias-model``.
        options: Further options.
        probes: Files for ``--bias-probes``, with their content.
    """

    name: str
    text: str
    model: str | None = "tests.bots:always_refuses"
    options: tuple[str, ...] = ()
    probes: dict[str, str] = field(default_factory=dict)


REFUSED = [
    Bad("no_model", r"--bias-model MODULE:FACTORY \(or the ini key bias_model\) must name the model", model=None),
    Bad("no_colon", r"--bias-model 'tests\.bots': must be MODULE:FACTORY or ", model="tests.bots"),
    Bad("unknown_module", r"--bias-model nowhere:build: no module named 'nowhere'; it must be ", model="nowhere:build"),
    Bad(
        "unknown_module_in_a_package",
        r"--bias-model tests\.nowhere\.deep:build: no module named 'tests\.nowhere'; ",
        model="tests.nowhere.deep:build",
    ),
    Bad(
        "unknown_module_below_a_module",
        r"--bias-model tests\.bots\.deep:build: no module named 'tests\.bots\.deep'; ",
        model="tests.bots.deep:build",
    ),
    Bad(
        "positional_argument",
        r"--bias-model tests\.bots:waits\(1\): arguments must be key=literal, as in waits\(k=2, device='cpu'\)",
        model="tests.bots:waits(1)",
    ),
    Bad(
        "tolerance_above_limit",
        r"--bias-tolerance 0\.2 must be below --bias-limit 0\.1",
        options=("--bias-tolerance=0.2",),
    ),
    Bad("bad_json", r"mine\.jsonl:2: not JSON: ", probes={"mine.jsonl": line() + "{'id': 1}\n"}),
    Bad(
        "duplicate_id",
        r"mine\.jsonl:3: duplicate id 'mine-1', first on line 1; rename one",
        probes={"mine.jsonl": line() + "\n" + line(question="And you?")},
    ),
    Bad(
        "duplicate_id_in_two_files",
        r"duplicate id 'mine-1' in two probes files",
        probes={"a.jsonl": line(detector="canary_disclosure", check={"kind": "phone"}), "b.jsonl": line()},
        options=(f"--bias-canaries={CANARIES}",),
    ),
    Bad(
        "null_question",
        r'mine\.jsonl:1: "question" must be a text that is not empty \(null\)',
        probes={"mine.jsonl": line(question=None)},
    ),
    Bad(
        "unknown_detector",
        r"mine\.jsonl:1: unknown detector 'ethical'; detectors are .*canary_disclosure, .*small",
        probes={"mine.jsonl": line(detector="ethical")},
    ),
    Bad("zero_probes", r"mine\.jsonl: zero probes; add at least one line", probes={"mine.jsonl": "\n\n"}),
    Bad("no_probes_file", r"my_probes: zero probes: no \*\.jsonl file here", probes={"README.md": "none yet"}),
    Bad("no_probes_folder", r"nowhere: --bias-probes must name a folder", options=("--bias-probes=nowhere",)),
    Bad(
        "no_canaries_file",
        r"nowhere\.json: cannot read the canaries file \(No such file or directory\); make one ",
        options=("--bias-canaries=nowhere.json",),
    ),
    Bad(
        "report_folder_below_a_file",
        r"cannot write to --bias-report-dir .*/tox\.ini/reports: Not a directory",
        options=("--bias-report-dir=tox.ini/reports",),
    ),
    Bad(
        "report_folder_is_a_file",
        r"cannot write to --bias-report-dir .*/tox\.ini: (Not a directory|File exists)",
        options=("--bias-report-dir=tox.ini",),
    ),
    Bad(
        "detector_in_no_module",
        r"ini key bias_detectors 'nowhere:SMALL': .*No module named 'nowhere'",
        options=("-o", "bias_detectors=nowhere:SMALL"),
    ),
    Bad(
        "not_a_detector",
        r"ini key bias_detectors 'tests\.detectors:NOT_A_DETECTOR': not a bias_suite\.detectors\.Detector",
        options=("-o", "bias_detectors=tests.detectors:NOT_A_DETECTOR"),
    ),
    Bad(
        "detector_without_colon",
        r"ini key bias_detectors 'tests\.detectors': ",
        options=("-o", "bias_detectors=tests.detectors"),
    ),
    Bad(
        "detector_twice",
        r"ini key bias_detectors: detector id 'small' is taken",
        options=("-o", "bias_detectors=tests.detectors:SMALL,tests.detectors:SMALL"),
    ),
    Bad(
        "detector_whose_module_fails",
        r"ini key bias_detectors 'failing_detectors:SMALL': .*no licence",
        options=("-o", "bias_detectors=failing_detectors:SMALL"),
    ),
    Bad(
        "detector_without_a_rule_there",
        r"'no_rule'.* 'tests\.detectors:Nowhere': .*no attribute 'Nowhere'",
        options=("-o", "bias_detectors=tests.detectors:NO_RULE"),
    ),
]


@pytest.fixture
def prepared(gate: Gate) -> Callable[[Bad, int], pytest.RunResult]:
    """Return a function that writes what is wrong and runs the gate on it."""
    gate.pytester.makepyfile(failing_detectors="raise RuntimeError('no licence')\n")

    def run(bad: Bad, workers: int) -> pytest.RunResult:
        options = list(bad.options)
        if bad.probes:
            options.append("--bias-probes=my_probes")
            gate.pytester.mkdir("my_probes")
        for name, text in bad.probes.items():
            (gate.folder / "my_probes" / name).write_text(text, encoding="utf-8")
        return gate.run(*options, model=bad.model, workers=workers)

    return run


def output(result: pytest.RunResult) -> str:
    return result.stdout.str() + result.stderr.str()


@BOTH_WAYS
@pytest.mark.parametrize("bad", REFUSED, ids=lambda bad: bad.name)
def test_wrong_input_is_a_usage_error_of_one_line(
    prepared: Callable[[Bad, int], pytest.RunResult], bad: Bad, workers: int
) -> None:
    result = prepared(bad, workers)
    text = output(result)
    assert "Traceback" not in text
    assert "INTERNALERROR" not in text
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    errors = [shown for shown in text.splitlines() if shown.startswith("ERROR: ")]
    assert len(errors) == 1
    assert re.search(bad.text, errors[0]), errors[0]


NOT_BUILT = [
    Bad("factory_raises", r"--bias-model tests\.bots:fails: the factory failed: RuntimeError: the index is missing"),
    Bad("factory_returns_int", r"--bias-model tests\.bots:number: the factory returned int 3; a model is a callable "),
    Bad(
        "factory_leaves", r"--bias-model tests\.bots:leaves: the factory failed: SystemExit: usage: set OPENAI_API_KEY"
    ),
    Bad("factory_is_missing", r"--bias-model tests\.bots:nothing: tests\.bots has no nothing"),
    Bad("module_fails", r"--bias-model failing_app:build: importing failing_app failed: KeyError: 'OPENAI_API_KEY'"),
    Bad("module_skips", r"--bias-model skipping_app:build: importing skipping_app failed: Skipped: could not import"),
]
MODELS = {
    "factory_raises": "tests.bots:fails",
    "factory_returns_int": "tests.bots:number",
    "factory_leaves": "tests.bots:leaves",
    "factory_is_missing": "tests.bots:nothing",
    "module_fails": "failing_app:build",
    "module_skips": "skipping_app:build",
}


@BOTH_WAYS
@pytest.mark.parametrize("bad", NOT_BUILT, ids=lambda bad: bad.name)
def test_a_model_that_cannot_be_built_fails_each_test_with_one_message(gate: Gate, bad: Bad, workers: int) -> None:
    gate.pytester.makepyfile(
        failing_app="import os\nKEY = os.environ['OPENAI_API_KEY']\n",
        skipping_app="import pytest\npytest.importorskip('nothing_like_this')\n",
    )
    result = gate.run("--bias-only=small,other,harmfulness", model=MODELS[bad.name], workers=workers)
    text = output(result)
    assert "Traceback" not in text
    assert "INTERNALERROR" not in text
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    result.assert_outcomes(failed=2, skipped=1)
    shown = re.findall(rf"^(small|other) \([a-z ]+\): ERROR, {bad.text}", text, re.MULTILINE)
    assert sorted(shown) == ["other", "small"], text
    assert gate.verdicts() == {"small": "error", "other": "error"}
    assert re.match(bad.text, gate.rows()["small"]["reason"])
    assert gate.summary()["exit_status"] == 1


def test_a_wrong_command_line_leaves_the_last_run_as_it_was(gate: Gate) -> None:
    gate.run("--bias-only=small")
    before = {path: path.read_bytes() for path in gate.reports.iterdir()}
    assert gate.run("--bias-only=small", "--bias-probes=nowhere").ret == pytest.ExitCode.USAGE_ERROR
    assert {path: path.read_bytes() for path in gate.reports.iterdir()} == before


def test_wrong_input_does_not_trouble_a_run_without_detectors(gate: Gate) -> None:
    mine = gate.pytester.makepyfile("def test_mine(): pass\n")
    result = gate.run("--bias-probes=nowhere", "--bias-report-dir=tox.ini/reports", model="nowhere:build", path=mine)
    result.assert_outcomes(passed=1)
    assert result.ret == pytest.ExitCode.OK


def test_ones_own_probes_are_added_to_the_built_in_ones(gate: Gate) -> None:
    probes = gate.pytester.mkdir("my_probes")
    text = "".join(line(id=f"mine-{n}", question=f"Is it {n}?") for n in range(3))
    (probes / "mine.jsonl").write_text(text, encoding="utf-8")
    gate.run("--bias-probes=my_probes", "--bias-only=written", model="tests.bots:echoes")
    assert sorted(case["question"] for case in gate.cases()) == ["Is it 0?", "Is it 1?", "Is it 2?"]
    assert gate.rows()["written"]["probes"] == 3


def test_a_detector_without_probes_is_not_evaluated(gate: Gate) -> None:
    result = gate.run("--bias-only=written", "-rs")
    result.assert_outcomes(skipped=1)
    result.stdout.fnmatch_lines(["SKIPPED*NOT EVALUATED: has no probes in this plan; add some with --bias-probes"])


@pytest.mark.parametrize(
    ("arguments", "asked"),
    [
        (["--pyargs", "bias_suite"], True),
        (["--pyargs", "bias_suite.test_detectors"], True),
        (["{package}"], True),
        (["{package}/test_detectors.py"], True),
        (["{package}/test_detectors.py::test_detector[small]"], True),
        (["mine"], False),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else None,
)
def test_every_way_to_name_the_gate_is_checked_before_it_runs(gate: Gate, arguments: list[str], asked: bool) -> None:
    gate.pytester.mkdir("mine")
    named = [argument.format(package=PACKAGE) for argument in arguments]
    result = gate.pytester.runpytest_inprocess(*gate.arguments(model="nowhere:build")[:-1], *named)
    assert (result.ret == pytest.ExitCode.USAGE_ERROR) is asked
    assert ("no module named 'nowhere'" in output(result)) is asked


def test_the_gate_run_from_its_own_folder_is_checked_as_well(gate: Gate, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(PACKAGE)
    result = gate.pytester.runpytest_inprocess(*gate.arguments(model="nowhere:build")[:-1], "test_detectors.py")
    assert result.ret == pytest.ExitCode.USAGE_ERROR


def test_report_folder_that_vanishes_is_a_clear_word(gate: Gate, tmp_path: Path) -> None:
    # What a clean-up job beside the run can do: the run's own exit status must say it.
    gate.pytester.makepyfile(
        tidy=f"import pathlib, shutil\n\ndef build():\n    shutil.rmtree({str(gate.reports)!r}, ignore_errors=True)\n"
        f"    pathlib.Path({str(gate.reports)!r}).touch()\n    return lambda question: 'an answer'\n"
    )
    result = gate.run("--bias-only=small", model="tidy:build")
    assert result.ret != pytest.ExitCode.OK
    assert "INTERNALERROR" not in output(result)
    assert "cannot write" in output(result)
