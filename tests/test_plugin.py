"""The plugin: one test a detector, selected, judged and reported as pytest's own tests are."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import sys
import tomllib
from collections import Counter
from pathlib import Path

import pytest

from bias_suite.detectors import CATALOGUE
from tests.gate_runs import CANARIES, PACKAGE, ROOT, Gate

BOTH_WAYS = pytest.mark.parametrize("workers", [0, 2], ids=["one_process", "two_workers"])
WITH_CANARIES = f"--bias-canaries={CANARIES}"


def output(result: pytest.RunResult) -> str:
    return result.stdout.str() + result.stderr.str()


def collected(result: pytest.RunResult) -> list[str]:
    """Return the ids in brackets that `--collect-only -q` lists."""
    return re.findall(r"::test_(?:detector|invariance)\[(\w+)\]$", result.stdout.str(), re.MULTILINE)


# Tests and how to choose among them


def test_there_is_one_test_a_detector_named_by_its_id(gate: Gate) -> None:
    result = gate.run("--collect-only", "-q", "-o", "bias_detectors=")
    assert sorted(collected(result)) == sorted(detector.id for detector in CATALOGUE)


@pytest.mark.parametrize(
    ("options", "ids"),
    [
        (["-m", "harmfulness"], ["llm_harmful_content"]),
        (["-m", "canary_disclosure"], ["canary_disclosure"]),
        (["-m", "prompt_injection and not robustness"], ["llm_prompt_injection"]),
        (["-k", "canary or small"], ["canary_disclosure", "small"]),
        (["--bias-only=small"], ["small"]),
        (["--bias-only=privacy"], ["canary_disclosure", "other", "written"]),
        (["--bias-only=other,small"], ["small", "other"]),
        (["--bias-only=robustness", "-k", "small"], ["small"]),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else None,
)
def test_detectors_are_chosen_by_tag_and_by_id(gate: Gate, options: list[str], ids: list[str]) -> None:
    assert collected(gate.run("--collect-only", "-q", "--strict-markers", *options)) == ids


def test_a_tag_of_a_detector_from_the_ini_is_a_marker_like_the_others(gate: Gate) -> None:
    options = ("-o", "bias_detectors=tests.detectors:OWN_TAG", "-m", "brand_new_tag", "--strict-markers")
    result = gate.run("--collect-only", "-q", *options)
    assert result.ret == pytest.ExitCode.OK, output(result)
    assert collected(result) == ["own_tag"]


@pytest.mark.parametrize("option", ["--bias-only", "--bias-require"])
@BOTH_WAYS
def test_an_unknown_tag_is_a_usage_error_that_lists_the_valid_ones(gate: Gate, option: str, workers: int) -> None:
    result = gate.run(f"{option}=unethical", workers=workers)
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    (line,) = [line for line in output(result).splitlines() if "unethical" in line]
    assert f"ERROR: {option}: unknown tag 'unethical'; tags are " in line
    for tag in ("harmfulness", "privacy", "canary_disclosure", "small"):
        assert tag in line.rpartition("tags are ")[2].split(", ")
    assert "Traceback" not in output(result)


def test_collecting_asks_nothing_builds_nothing_and_writes_nothing(gate: Gate) -> None:
    before = set(gate.folder.iterdir())
    result = gate.run("--collect-only", WITH_CANARIES, model="tests.bots:writes_down(path='asked.txt')")
    assert result.ret == pytest.ExitCode.OK
    assert set(gate.folder.iterdir()) == before


def test_collecting_loads_no_heavy_library(gate: Gate) -> None:
    heavy = ("giskard", "litellm", "langchain_core", "numpy", "scipy", "pandas", "torch", "openai", "httpx", "rich")
    gate.pytester.makepyfile(
        spy=f"import sys\n\ndef pytest_unconfigure():\n    print('LOADED', sorted(set({heavy!r}) & set(sys.modules)))\n"
    )
    result = gate.run_apart("--collect-only", "-q", WITH_CANARIES, "-p", "spy")
    assert result.ret == pytest.ExitCode.OK
    result.stdout.fnmatch_lines(["LOADED []"])


# Verdicts


@BOTH_WAYS
def test_a_bot_that_leaks_fails_canary_disclosure(gate: Gate, workers: int) -> None:
    options = (WITH_CANARIES, "--bias-only=canary_disclosure")
    result = gate.run(*options, model="tests.bots:leaks_canaries", workers=workers)
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    result.assert_outcomes(failed=1)
    assert gate.verdicts() == {"canary_disclosure": "fail"}
    assert gate.rows()["canary_disclosure"]["failures"] > 0


@BOTH_WAYS
def test_a_bot_that_always_refuses_passes_canary_disclosure(gate: Gate, workers: int) -> None:
    result = gate.run(WITH_CANARIES, "--bias-only=canary_disclosure", workers=workers)
    assert result.ret == pytest.ExitCode.OK
    result.assert_outcomes(passed=1)
    assert gate.verdicts() == {"canary_disclosure": "pass"}
    assert gate.rows()["canary_disclosure"]["judged"] == len(gate.cases()) >= 40


@BOTH_WAYS
def test_a_bot_that_raises_on_every_third_question_ends_in_error_with_the_other_cases_on_disk(
    gate: Gate, workers: int
) -> None:
    options = (WITH_CANARIES, "--bias-only=canary_disclosure,other")
    result = gate.run(*options, model="tests.bots:raises_every_third", workers=workers)
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    assert gate.verdicts() == {"canary_disclosure": "error", "other": "error"}
    for name, row in gate.rows().items():
        cases = Counter(case["verdict"] for case in gate.cases() if case["detector"] == name)
        assert cases == Counter({"passed": row["judged"], "error": row["errors"]})
        assert row["verdict"] == "not_evaluated" or 0.2 < row["errors"] / row["probes"] < 0.5
    reasons = {case["reason"] for case in gate.cases() if case["verdict"] == "error"}
    assert reasons == {"ValueError: cannot read the index"}


@pytest.mark.parametrize("model", ["asynchronous", "one_at_a_time"])
def test_async_models_and_models_for_one_call_at_a_time_are_evaluated(gate: Gate, model: str) -> None:
    assert gate.run("--bias-only=small", model=f"tests.bots:{model}").ret == pytest.ExitCode.OK
    assert gate.verdicts() == {"small": "pass"}


def test_a_model_that_answers_after_the_time_out_ends_in_error(gate: Gate) -> None:
    options = ("--bias-only=small", "--bias-timeout=0.4")
    result = gate.run(*options, model="tests.bots:waits(seconds=1.0, every=10)")
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    assert gate.verdicts() == {"small": "error"}
    reasons = Counter(case["reason"] for case in gate.cases() if case["verdict"] == "error")
    assert reasons == Counter({"no answer within 0.4 s (--bias-timeout)": 4})


def test_what_is_not_evaluated_is_skipped_with_its_reason(gate: Gate) -> None:
    result = gate.run("-rs", "--bias-only=small,harmfulness,canary_disclosure")
    assert result.ret == pytest.ExitCode.OK
    result.assert_outcomes(passed=1, skipped=2)
    result.stdout.fnmatch_lines_random(
        [
            "SKIPPED*NOT EVALUATED: needs a judge, and none is configured (--bias-judge)",
            "SKIPPED*NOT EVALUATED: no planted values are named:*--bias-canaries",
            "covers 1 of 19 detectors: 1 PASS",
            "*llm_harmful_content: needs a judge, and none is configured*",
        ]
    )


@pytest.mark.parametrize(
    ("required", "workers"), [("all", 0), ("all", 2), ("harmfulness", 0), ("llm_harmful_content", 0)]
)
def test_what_is_required_and_not_evaluated_fails(gate: Gate, required: str, workers: int) -> None:
    result = gate.run("--bias-only=small,harmfulness", f"--bias-require={required}", workers=workers)
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    result.assert_outcomes(passed=1, failed=1)
    result.stdout.fnmatch_lines(
        ["llm_harmful_content: required, but NOT EVALUATED: needs a judge, and none is configured (--bias-judge)"]
    )
    assert gate.summary()["exit_status"] == 1


@pytest.mark.parametrize("choice", ["--bias-only=small", "-k small", "-m small"])
def test_what_is_required_and_was_not_even_chosen_fails(gate: Gate, choice: str) -> None:
    result = gate.run(*choice.split(), "--bias-require=small,harmfulness")
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    result.stdout.fnmatch_lines(["*Required but not evaluated: llm_harmful_content (--bias-require)*"])
    assert gate.summary()["exit_status"] == 1


def test_what_is_required_and_evaluated_passes(gate: Gate) -> None:
    assert gate.run("--bias-only=small", "--bias-require=small").ret == pytest.ExitCode.OK


@pytest.mark.parametrize(("choice", "ret"), [("fail", 1), ("warn", 0)])
def test_an_inconclusive_detector_fails_unless_told_to_warn(gate: Gate, choice: str, ret: int) -> None:
    options = ("--bias-only=small", f"--bias-inconclusive={choice}")
    result = gate.run(*options, model="tests.bots:says_sorry(every=20)")
    assert result.ret == ret
    assert gate.verdicts() == {"small": "inconclusive"}
    assert gate.summary()["exit_status"] == ret
    result.stdout.fnmatch_lines(["covers 1 of 19 detectors: 1 INCONCLUSIVE"])


def test_an_error_is_never_only_a_warning(gate: Gate) -> None:
    options = ("--bias-only=other", "--bias-inconclusive=warn")
    assert gate.run(*options, model="tests.bots:raises_every_third").ret == pytest.ExitCode.TESTS_FAILED


# The model


def test_a_model_is_not_built_where_nothing_needs_it(gate: Gate) -> None:
    result = gate.run("--bias-only=harmfulness", model="tests.bots:writes_down(path='asked.txt')")
    result.assert_outcomes(skipped=1)
    assert not (gate.folder / "asked.txt").exists()


def test_a_model_is_built_once_for_all_detectors(gate: Gate) -> None:
    gate.run("--bias-only=small,other", model="tests.bots:writes_down(path='asked.txt')")
    assert (gate.folder / "asked.txt").read_text().split("\n").count("built") == 1


def test_the_model_may_be_any_module_on_pytests_pythonpath(gate: Gate) -> None:
    app = gate.folder / "src" / "my_app" / "rag.py"
    app.parent.mkdir(parents=True)
    app.write_text("def build(k):\n    return lambda question: 'x' * k\n", encoding="utf-8")
    result = gate.run_apart("--bias-only=small", "-o", f"pythonpath=src {ROOT}", model="my_app.rag:build(k=2)")
    assert result.ret == pytest.ExitCode.OK, output(result)
    assert {case["answer"] for case in gate.cases()} == {"xx"}
    assert gate.summary()["run"]["model"] == "my_app.rag:build(k=2)"


def test_the_model_may_lie_in_the_folder_that_pytest_runs_in(gate: Gate) -> None:
    (gate.folder / "app.py").write_text("def build():\n    return lambda question: 'no'\n", encoding="utf-8")
    (gate.folder / "tox.ini").unlink()
    # -P: as with the script `pytest`, the current folder is not on the path by itself.
    command = (sys.executable, "-P", "-m", "pytest", "-p", "bias_suite.plugin", "--pyargs", "bias_suite")
    result = gate.pytester.run(*command, "--bias-model=app:build", "--bias-only=prompt_injection", timeout=60)
    assert result.ret == pytest.ExitCode.OK, output(result)
    assert {case["answer"] for case in gate.cases()} == {"no"}


def test_the_model_under_test_is_a_fixture_for_ones_own_tests(gate: Gate) -> None:
    mine = gate.pytester.makepyfile(
        "def test_mine(rag_model):\n    assert 'migration' in rag_model.ask('What is it about?').answer\n"
    )
    gate.run(path=mine).assert_outcomes(passed=1)
    result = gate.run(path=mine, model=None)
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    result.stdout.fnmatch_lines(["*--bias-model MODULE:FACTORY (or the ini key bias_model) must name the model*"])
    assert "Traceback" not in output(result)


def test_ones_own_test_file_may_take_the_detectors(gate: Gate) -> None:
    mine = gate.pytester.makepyfile("def test_mine(bias_detector, bias_evaluate):\n    bias_evaluate(bias_detector)\n")
    gate.run("--bias-only=small", path=mine).assert_outcomes(passed=1)
    assert gate.verdicts() == {"small": "pass"}
    result = gate.run("--bias-only=unethical", path=mine)
    assert result.ret != pytest.ExitCode.OK
    assert "--bias-only: unknown tag 'unethical'" in output(result)
    assert "Traceback" not in output(result)
    assert "AttributeError" not in output(result)


# The same again


def asked(gate: Gate) -> Counter[tuple[str, str, int]]:
    return Counter((case["probe"], case["question"], case["trial"]) for case in gate.cases())


@pytest.mark.parametrize("sample", [0, 20])
def test_a_second_run_asks_the_very_same_questions(gate: Gate, sample: int) -> None:
    options = (WITH_CANARIES, "--bias-only=canary_disclosure,small,other", f"--bias-sample={sample}")
    gate.run(*options, model="tests.bots:echoes")
    first, fingerprint, identifiers = asked(gate), gate.summary()["run"]["probes_sha256"], _ids(gate)
    gate.run(*options, "--bias-concurrency=1", model="tests.bots:echoes")
    assert asked(gate) == first
    assert _ids(gate) == identifiers
    assert gate.summary()["run"]["probes_sha256"] == fingerprint


def _ids(gate: Gate) -> Counter[tuple[str, str]]:
    return Counter((case["id"], case["verdict"]) for case in gate.cases())


@pytest.mark.parametrize("model", ["echoes", "leaks_canaries", "raises_every_third", "says_sorry(every=9)"])
def test_workers_give_the_same_cases_and_verdicts_as_one_process(gate: Gate, model: str) -> None:
    options = (WITH_CANARIES, "--bias-only=canary_disclosure,small,other,harmfulness", "--bias-sample=30")
    one = gate.run(*options, model=f"tests.bots:{model}")
    identifiers, rows = _ids(gate), _without_times(gate)
    two = gate.run(*options, model=f"tests.bots:{model}", workers=2)
    assert max(Counter(identifiers).values()) == 1
    assert _ids(gate) == identifiers
    assert _without_times(gate) == rows
    assert two.ret == one.ret
    assert two.parseoutcomes() == one.parseoutcomes()


def _without_times(gate: Gate) -> list[dict[str, object]]:
    return [{name: value for name, value in row.items() if name != "seconds"} for row in gate.summary()["detectors"]]


# The message of a failed test


def test_a_failure_tells_figures_examples_and_how_to_run_it_again(gate: Gate) -> None:
    text = gate.run("--bias-only=small", model="tests.bots:says_sorry(every=2)").stdout.str()
    low, high = (f"{100 * bound:.1f} %" for bound in gate.rows()["small"]["interval"])
    assert "small (apologises): FAIL, the rate is above the tolerance of " in text
    assert f"failure rate 50.0 % [{low}, {high}], 20 of n = 40 probes" in text
    assert "worst requirement (20 of 20): The assistant must not apologise." in text
    failed = {(case["probe"], case["question"]) for case in gate.cases() if case["verdict"] == "failed"}
    shown = re.findall(r"^\d\. \[(small-\d+)\] (Question \d+ of 40\?)$", text, re.MULTILINE)
    assert len(shown) == 3
    assert set(shown) <= failed
    assert text.count("   answered: I am sorry.") == 3
    assert text.count("   because: the answer says 'sorry'") == 3
    assert "... and 17 more in cases.jsonl" in text
    assert "Traceback" not in text


def test_a_failure_shows_a_long_or_harmful_answer_cut_and_harmless(gate: Gate) -> None:
    gate.pytester.makepyfile(
        shouting="def build():\n    return lambda question: 'sorry ' + '\\x1b[2J\\u202e' + 'x' * 100_000\n"
    )
    text = gate.run("--bias-only=small", model="shouting:build").stdout.str()
    assert "\x1b" not in text
    assert "\u202e" not in text
    assert "(100,011 characters)" in text
    assert len(text) < 20_000


def test_an_error_shows_what_the_model_raised(gate: Gate) -> None:
    text = gate.run("--bias-only=other", model="tests.bots:raises_every_third").stdout.str()
    assert "other (apologises again): ERROR, " in text
    assert text.count("   error: ValueError: cannot read the index") == 3


@pytest.mark.parametrize("installed", [False, True], ids=["in_the_repository", "in_a_project_of_ones_own"])
def test_the_command_for_running_it_again_runs_just_that(gate: Gate, installed: bool) -> None:
    if not installed:
        shutil.copytree(PACKAGE, gate.folder / "bias_suite", ignore=shutil.ignore_patterns("__pycache__"))
    where = ["--pyargs", "bias_suite"] if installed else ["bias_suite"]
    plain = ["-p", "bias_suite.plugin", "-p", "no:cacheprovider"]
    plain += [] if installed else ["-o", f"pythonpath=. {ROOT}"]
    given = ("--bias-model=tests.bots:says_sorry", "--bias-limit=0.2", "--bias-only=small,other")
    first = gate.pytester.runpytest_subprocess(*plain, *where, *given)
    commands = re.findall(r"^Run just this again: pytest (.*)$", first.stdout.str(), re.MULTILINE)
    assert len(commands) == 2
    again = gate.pytester.runpytest_subprocess(*plain, *shlex.split(commands[0]))
    again.assert_outcomes(failed=1)
    assert gate.verdicts() == {"small": "fail"}
    assert gate.summary()["run"]["settings"]["limit"] == 0.2  # with the options of the run


# Our own hooks


@BOTH_WAYS
def test_every_case_and_the_summary_reach_a_conftest(gate: Gate, workers: int) -> None:
    gate.pytester.makeconftest(
        """
        def write(config, name, text):
            with (config.rootpath / name).open("a") as file:
                file.write(text + "\\n")

        def pytest_bias_case(case, config):
            write(config, "hook_cases.txt", case.id)

        def pytest_bias_run_finished(summary, report_dir, config):
            known = len((report_dir / "cases.jsonl").read_text().splitlines())
            write(config, "hook_finished.txt", f"{summary['exit_status']} {known} {hasattr(config, 'workerinput')}")
        """
    )
    options = ("--bias-only=small,other", str(gate.folder))
    result = gate.run(*options, model="tests.bots:says_sorry(every=3)", workers=workers)
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    received = (gate.folder / "hook_cases.txt").read_text().split()
    assert Counter(received) == Counter(case["id"] for case in gate.cases())
    assert (gate.folder / "hook_finished.txt").read_text() == "1 160 False\n"


def test_a_case_hook_that_fails_fails_the_test(gate: Gate) -> None:
    gate.pytester.makeconftest("def pytest_bias_case(case):\n    raise RuntimeError('Argilla is down')\n")
    result = gate.run("--bias-only=small", str(gate.folder))
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    assert "Argilla is down" in result.stdout.str()
    assert gate.verdicts() == {"small": "error"}


# In other people's suites


def test_the_plugin_is_registered_once_by_conftest_and_entry_point(gate: Gate, monkeypatch: pytest.MonkeyPatch) -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    points = project["entry-points"]["pytest11"]
    info = gate.folder / "site" / "bias_suite-0.1.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: bias-suite\nVersion: 0.1.0\n", encoding="utf-8")
    lines = "".join(f"{name} = {module}\n" for name, module in points.items())
    (info / "entry_points.txt").write_text(f"[pytest11]\n{lines}", encoding="utf-8")
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(info.parent), str(PACKAGE.parent)]))
    monkeypatch.delenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD")
    shutil.copy(ROOT / "conftest.py", gate.folder)
    gate.pytester.makepyfile(
        "def test_mine(pytestconfig):\n    assert pytestconfig.getoption('--bias-trials') is None\n"
    )
    result = gate.pytester.runpytest_subprocess("--trace-config")
    assert result.ret == pytest.ExitCode.OK, output(result)
    registered = [line for line in result.stdout.lines if re.match(r"\s+bias_suite\.plugin\s+:", line)]
    assert len(registered) == 1


SOMEBODY_ELSES = """
import pytest

@pytest.mark.parametrize("name", ["a", "canary_disclosure"])
def test_parametrized(name):
    assert name == "a"

def test_with_properties(record_property):
    record_property("bias_rate", 0.5)
    record_property("bias_verdict", "pass")

@pytest.mark.skip(reason="later")
def test_skipped(): pass
"""


@BOTH_WAYS
def test_a_suite_that_does_not_use_it_runs_unchanged(gate: Gate, workers: int) -> None:
    mine = gate.pytester.makepyfile(SOMEBODY_ELSES)
    before = set(gate.folder.iterdir())
    result = gate.run(path=mine, model=None, workers=workers)
    result.assert_outcomes(passed=2, failed=1, skipped=1)
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    assert not re.search(r"=+ bias-suite =+|covers \d+ of", output(result))
    assert "INTERNALERROR" not in output(result)
    assert {path for path in gate.folder.iterdir() if path.name != "__pycache__"} == before


def test_a_project_with_the_package_in_its_own_virtual_environment_runs_unchanged(
    gate: Gate, monkeypatch: pytest.MonkeyPatch
) -> None:
    environment = gate.folder / "project" / ".venv"
    site = environment / "lib" / "python3" / "site-packages"
    shutil.copytree(PACKAGE, site / "bias_suite", ignore=shutil.ignore_patterns("__pycache__"))
    (environment / "pyvenv.cfg").touch()
    (gate.folder / "project" / "pytest.ini").write_text("[pytest]\n", encoding="utf-8")
    (gate.folder / "project" / "test_mine.py").write_text("def test_mine(): pass\n", encoding="utf-8")
    monkeypatch.setenv("PYTHONPATH", str(site))
    monkeypatch.chdir(gate.folder / "project")
    for arguments in ([], ["."], ["test_mine.py"]):
        result = subprocess.run(
            [sys.executable, "-m", "pytest", "-p", "bias_suite.plugin", "-p", "no:cacheprovider", *arguments],
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert "1 passed" in result.stdout, result.stdout + result.stderr
        assert result.returncode == 0
        assert not re.search(r"=+ bias-suite =+|covers \d+ of", result.stdout)
    assert not Path("reports").exists()
