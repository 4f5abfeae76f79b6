"""Runs whose model or surroundings misbehave: they end, say what happened, and pass nothing that was not seen."""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
import signal
import stat
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from tests.gate_runs import CANARIES, PACKAGE, Gate
from tests.hostile_bots import MEGABYTES, NO_ANSWERS
from tests.small_pdf import write_pdf

BOTH_WAYS = pytest.mark.parametrize("workers", [0, 2], ids=["one_process", "two_workers"])
WITHIN = 60
"""Seconds after which a run that should long have ended is one that hangs."""


@pytest.fixture
def beside(gate: Gate, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a folder whose modules every process of a run can import, before anything else is."""
    folder = gate.folder / "beside"
    folder.mkdir()
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(folder), str(PACKAGE.parent)]))
    return folder


@contextlib.contextmanager
def started(gate: Gate, *options: str, **how: Any) -> Iterator[subprocess.Popen[str]]:
    """Begin a run, and end whatever is left of it."""
    process = gate.start(*options, **how)
    try:
        yield process
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.communicate(timeout=30)


def finish(gate: Gate, *options: str, within: float = WITHIN, **how: Any) -> tuple[int, str]:
    """Return exit status and output of a run in another process, which must end."""
    with started(gate, *options, **how) as process:
        text, _ = process.communicate(timeout=within)
    return process.returncode, text


def forty(*names: str) -> tuple[str, ...]:
    """Return options for these detectors of forty questions each, and no others."""
    named = ", ".join(f"tests.hostile_bots:to_{name}" for name in names)
    return ("-o", f"bias_detectors={named}", "--bias-only=forty")


def passed(text: str) -> set[str]:
    """Return the detectors that the table, or pytest (with workers it names the test last), calls passed."""
    shown = (r"^ (\w+) +PASS ", r"\[(\w+)\] PASSED", r"PASSED .*\[(\w+)\]")
    return {name for form in shown for name in re.findall(form, text, re.MULTILINE)}


def whole_lines(path: Path) -> list[dict[str, Any]]:
    """Return the cases of a file; what follows the last end of a line was not written to its end."""
    written = path.read_bytes()
    return [json.loads(line) for line in written[: written.rfind(b"\n") + 1].decode().split("\n")[:-1]]


def on_disk(cases: Sequence[dict[str, Any]]) -> Counter[str]:
    """Count the cases of each detector; each is there once."""
    assert len({case["id"] for case in cases}) == len(cases)
    return Counter(case["detector"] for case in cases)


# Answers that are none


@BOTH_WAYS
def test_what_is_no_answer_is_one_error_a_probe_and_never_a_pass(gate: Gate, workers: int) -> None:
    status, text = finish(gate, *forty("well", *NO_ANSWERS), model="tests.hostile_bots:misbehaves", workers=workers)
    assert status == pytest.ExitCode.TESTS_FAILED
    assert gate.verdicts() == {"to_well": "pass"} | {f"to_{name}": "error" for name in NO_ANSWERS}
    assert passed(text) == {"to_well"}
    cases = gate.cases()
    assert on_disk(cases) == {f"to_{name}": 40 for name in ("well", *NO_ANSWERS)}
    assert len({case["probe"] for case in cases}) == len(cases)
    for name, (_, reason) in NO_ANSWERS.items():
        mine = [case for case in cases if case["detector"] == f"to_{name}"]
        assert {(case["verdict"], case["answer"].strip()) for case in mine} == {("error", "")}
        assert [case["reason"] for case in mine if reason not in case["reason"]] == []
        assert gate.rows()[f"to_{name}"]["errors"] == 40
        assert f"to_{name} (apologises): ERROR" in text


def test_answers_of_ten_megabytes_are_judged_to_their_last_word(gate: Gate) -> None:
    status, text = finish(gate, *forty("huge"), "--junitxml=junit.xml", model="tests.hostile_bots:misbehaves")
    assert status == pytest.ExitCode.TESTS_FAILED
    cases = {case["probe"]: case for case in gate.cases()}
    assert len(cases) == len(gate.cases()) == 40
    assert [(len(cases[name]["answer"]), cases[name]["verdict"]) for name in ("to_huge-01", "to_huge-02")] == [
        (MEGABYTES, "passed"),
        (MEGABYTES, "failed"),
    ]
    assert gate.verdicts() == {"to_huge": "inconclusive"}
    # Told in full in cases.jsonl, and nowhere else.
    assert len(text) < 20_000
    assert (gate.folder / "junit.xml").stat().st_size < 20_000
    (gate.reports / "cases.jsonl").unlink()
    shutil.rmtree(gate.reports / "outbox")


@pytest.mark.parametrize(
    "model",
    [
        "never_returns",
        "never_returns(one_at_a_time=True)",
        "never_returns_async",
        "never_returns_async(stubborn=True)",
    ],
)
def test_a_model_that_never_returns_is_one_error_a_probe_and_never_a_pass(gate: Gate, model: str) -> None:
    options = (*forty("waits", "well"), "--bias-timeout=0.3", "--bias-concurrency=20")
    status, text = finish(gate, *options, model=f"tests.hostile_bots:{model}")
    assert status == pytest.ExitCode.TESTS_FAILED
    assert gate.rows()["to_waits"]["verdict"] == "error"
    assert "to_waits" not in passed(text)
    assert on_disk(gate.cases()) == {"to_waits": 40, "to_well": 40}
    waited = [case for case in gate.cases() if case["detector"] == "to_waits"]
    assert {(case["verdict"], case["answer"]) for case in waited} == {("error", "")}
    assert any("no answer within 0.3 s (--bias-timeout)" in case["reason"] for case in waited)
    if "one_at_a_time" not in model:  # that one takes no further question, whoever asks
        assert gate.rows()["to_well"]["verdict"] == "pass"


# A disk that is full

FULL = """\
import resource
import time
from pathlib import Path

def limit(size):
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, resource.getrlimit(resource.RLIMIT_FSIZE)[1]))

def at_size(size):
    limit(size)
    return lambda question: "fine"

def at_lines(count):
    cases = Path("reports", "cases.jsonl")
    def answer(question):
        time.sleep(0.01)
        if cases.exists() and cases.read_bytes().count(b"\\n") >= count:
            limit(0)
        return "fine"
    return answer
"""
FREED = """\
import resource

def pytest_runtest_logreport(report):
    if report.when == "teardown":
        whole = resource.getrlimit(resource.RLIMIT_FSIZE)[1]
        resource.setrlimit(resource.RLIMIT_FSIZE, (whole, whole))
"""


@pytest.fixture
def full(gate: Gate) -> Gate:
    """Return a folder with models that fill the disk (for their own process)."""
    (gate.folder / "full.py").write_text(FULL, encoding="utf-8")
    return gate


def assert_told(gate: Gate, text: str, cases: Sequence[dict[str, Any]]) -> None:
    """Check that a run said which file it could not write, and passes nothing that is not in it."""
    assert "cases.jsonl: File too large" in text or "cases.jsonl: No space left on device" in text
    assert "INTERNALERROR" not in text
    there = on_disk(cases)
    planned = {"small": 40, "other": 120}
    assert [name for name in passed(text) if there[name] < planned[name]] == []


@BOTH_WAYS
def test_a_disk_that_fills_up_is_told_and_ends_the_detector(full: Gate, workers: int) -> None:
    # One call at a time: with more, a question of the first detector that is slow may come after all of the second's.
    options = ("--bias-only=small,other", "-v", "--bias-concurrency=1")
    status, text = finish(full, *options, model="full:at_size(size=50_000)", workers=workers)
    assert status == pytest.ExitCode.TESTS_FAILED
    cases = whole_lines(full.reports / "cases.jsonl")
    assert_told(full, text, cases)
    assert 40 < len(cases) < 160
    assert full.rows()["other"]["verdict"] == "error"
    assert "other" not in passed(text)
    if not workers:  # else they fill it together
        assert passed(text) == {"small"}
        assert full.verdicts() == {"small": "pass", "other": "error"}


def test_a_disk_that_was_full_for_a_while_costs_no_case_of_what_comes_after(full: Gate, beside: Path) -> None:
    (beside / "freed.py").write_text(FREED, encoding="utf-8")
    # One call at a time, so that no case of what comes after is written while the disk is full.
    options = ("-p", "freed", "--bias-only=small,other", "-v", "--bias-concurrency=1")
    status, text = finish(full, *options, model="full:at_size(size=10_000)")
    assert status == pytest.ExitCode.TESTS_FAILED
    # The case that was cut short is no part of the next line.
    cases = whole_lines(full.reports / "cases.jsonl")
    assert_told(full, text, cases)
    assert full.verdicts() == {"small": "error", "other": "pass"}
    assert on_disk(cases)["other"] == 120


def test_a_full_disk_is_told_in_a_message_without_a_traceback(full: Gate) -> None:
    status, text = finish(full, "--bias-only=small", model="full:at_size(size=10_000)")
    assert status == pytest.ExitCode.TESTS_FAILED
    assert "cases.jsonl: File too large" in text
    assert re.findall(r"\S+\.py:\d+: .*", text) == []


@BOTH_WAYS
def test_a_run_on_a_disk_that_takes_nothing_any_more_ends_and_passes_nothing(full: Gate, workers: int) -> None:
    status, text = finish(full, "--bias-only=small,other", "-v", model="full:at_lines(count=5)", workers=workers)
    assert status != pytest.ExitCode.OK
    cases = whole_lines(full.reports / "cases.jsonl")
    assert_told(full, text, cases)
    assert 5 <= len(cases) < 160
    assert passed(text) == set()
    if not workers:
        assert "summary.json: File too large" in " ".join(text.split())  # lines are wrapped
        assert not (full.reports / "summary.json").exists()


def test_a_small_disk_that_is_full_is_told(full: Gate) -> None:
    # A file system of its own, which nobody else sees and which goes with the run.
    space = ["unshare", "--mount", "sh", "-c"]
    mount = 'mount -t tmpfs -o size=48k none reports && "$@"; status=$?; cp -r reports kept; exit $status'
    full.reports.mkdir()
    tried = [*space, mount, "sh", "true"]
    if shutil.which("unshare") is None or subprocess.run(tried, cwd=full.folder, check=False).returncode:
        pytest.skip("no file system can be mounted here")
    shutil.rmtree(full.folder / "kept")
    run = full.arguments("--bias-only=small,other", "-v", model="tests.bots:always_refuses")
    result = full.pytester.run(*space, mount, "sh", sys.executable, "-m", "pytest", *run, timeout=WITHIN)
    text = result.stdout.str()
    assert result.ret != pytest.ExitCode.OK
    cases = whole_lines(full.folder / "kept" / "cases.jsonl")
    assert_told(full, text, cases)
    assert 0 < len(cases) < 160
    assert "other" not in passed(text)
    assert (full.folder / "kept" / "summary.json").exists() or "summary.json: No space left" in " ".join(text.split())


def test_a_recording_that_cannot_be_told_to_the_end_is_an_error(gate: Gate) -> None:
    if not Path("/dev/full").exists():
        pytest.skip("no /dev/full here")
    finish(gate, "--bias-only=small", "--bias-record=kept.sqlite")
    export = "from bias_suite.cli import main; main()"
    with open("/dev/full", "w") as nowhere:
        done = subprocess.run(
            [sys.executable, "-c", export, "recordings", "export", "kept.sqlite"],
            cwd=gate.folder,
            stdout=nowhere,
            stderr=subprocess.PIPE,
            text=True,
            timeout=WITHIN,
            check=False,
        )
    assert done.returncode != 0
    assert "No space left on device" in done.stderr


# A report folder that cannot be written

WRITES_DOWN = "tests.bots:writes_down(path='asked')"


def assert_refused(gate: Gate, status: int, text: str, folder: str) -> None:
    """Check that nothing was asked, and that the message names the folder."""
    assert status == pytest.ExitCode.USAGE_ERROR
    assert f"ERROR: cannot write to --bias-report-dir {gate.folder / folder}" in text
    assert "PASS" not in text
    assert not (gate.folder / "asked").exists()


@BOTH_WAYS
def test_a_report_folder_below_a_file_stops_the_run_before_anything_is_asked(gate: Gate, workers: int) -> None:
    (gate.folder / "file").write_text("in the way", encoding="utf-8")
    options = ("--bias-only=small", "--bias-report-dir=file/reports")
    status, text = finish(gate, *options, model=WRITES_DOWN, workers=workers)
    assert_refused(gate, status, text, "file/reports")


def test_a_read_only_report_folder_stops_the_run_before_anything_is_asked(gate: Gate) -> None:
    obeys = ["setpriv", "--bounding-set=-dac_override"] if os.geteuid() == 0 else []
    if obeys and (shutil.which("setpriv") is None or subprocess.run([*obeys, "true"], check=False).returncode):
        pytest.skip("nothing is read-only for this user")
    gate.reports.mkdir()
    gate.reports.chmod(stat.S_IRUSR | stat.S_IXUSR)
    try:
        command = [*obeys, sys.executable, "-m", "pytest", *gate.arguments("--bias-only=small", model=WRITES_DOWN)]
        result = gate.pytester.run(*command, timeout=WITHIN)
    finally:
        gate.reports.chmod(stat.S_IRWXU)
    assert_refused(gate, result.ret, result.stdout.str() + result.stderr.str(), "reports")
    assert list(gate.reports.iterdir()) == []


@BOTH_WAYS
def test_a_report_folder_that_nobody_can_make_is_named_and_passes_nothing(gate: Gate, workers: int) -> None:
    folder = "/proc/bias-suite"  # where not even root makes one
    options = ("--bias-only=small", f"--bias-report-dir={folder}", "-v")
    status, text = finish(gate, *options, workers=workers)
    assert status in (pytest.ExitCode.TESTS_FAILED, pytest.ExitCode.USAGE_ERROR)
    assert re.search(f"cannot write to .*{folder}: ", text)
    assert passed(text) == set()
    assert "INTERNALERROR" not in text


# A clock that jumps

CLOCK = """\
import itertools
import time

real, jumps = time.time, itertools.cycle([0, 5 * 3600, -3 * 3600, 26 * 3600, -40 * 3600])
time.time = lambda: real() + next(jumps)
"""


@BOTH_WAYS
def test_a_clock_that_jumps_by_hours_changes_no_duration_and_no_verdict(gate: Gate, beside: Path, workers: int) -> None:
    (beside / "clock.py").write_text(CLOCK, encoding="utf-8")
    options = (
        "-p",
        "clock",
        "--bias-only=small,other",
        "--bias-timeout=20",
        "--bias-rpm=60000",
        "--junitxml=junit.xml",
    )
    began = time.monotonic()
    status, text = finish(gate, *options, model="tests.bots:waits(seconds=0.01)", workers=workers)
    took = time.monotonic() - began
    assert status == pytest.ExitCode.OK, text
    assert gate.verdicts() == {"small": "pass", "other": "pass"}
    assert {case["verdict"] for case in gate.cases()} == {"passed"}
    content = gate.summary()
    durations = {row["id"]: row["seconds"] for row in content["detectors"]} | {"run": content["run"]["seconds"]}
    durations |= {case["id"]: case["seconds"] for case in gate.cases()}
    assert {name: seconds for name, seconds in durations.items() if not 0 <= seconds <= took} == {}
    assert durations["run"] >= max(durations["small"], durations["other"]) > 0


# Ctrl-C

HANGS = """\
import threading
from pathlib import Path

def build(above):
    def answer(question):
        if int(question.split()[1]) > above:
            with Path("hanging").open("a") as file:
                file.write("one\\n")
            threading.Event().wait()
        return "fine"
    return answer
"""
SINK = """\
import threading
from pathlib import Path

def pytest_bias_run_finished(summary, report_dir, config):
    Path("sink").write_text("hangs\\n")
    threading.Event().wait()
"""
ENDED = """\
from pathlib import Path

def pytest_runtest_logreport(report):
    if report.when == "teardown":
        with Path("ended").open("a") as file:
            file.write(report.nodeid + "\\n")
"""
# `small` ends before its questions reach 41; the others do not.
INTERRUPTED = (
    "-v",
    "-p",
    "tells_what_ended",
    "-o",
    "bias_detectors=tests.detectors:SMALL, tests.detectors:OTHER, tests.detectors:SLOW",
    "--bias-only=small,other,a_detector_whose_id_is_rather_long",
    "--bias-concurrency=6",
    "--bias-timeout=600",
)
PLANNED = {"small": 40, "other": 120, "a_detector_whose_id_is_rather_long": 60}


def assert_nothing_is_made_up(gate: Gate, text: str) -> Counter[str]:
    """Check that every case is whole, and that nothing passes that was not asked to its end; return the cases."""
    cases = gate.cases()
    assert (gate.reports / "cases.jsonl").read_bytes().endswith(b"\n")
    there = on_disk(cases)
    assert {case["verdict"] for case in cases} == {"passed"}
    assert [name for name in passed(text) if there[name] < PLANNED[name]] == []
    return there


@pytest.fixture
def hangs(gate: Gate, beside: Path) -> Gate:
    """Return a folder with a model that does not come back from questions above a number."""
    (beside / "tells_what_ended.py").write_text(ENDED, encoding="utf-8")
    (beside / "sink_that_hangs.py").write_text(SINK, encoding="utf-8")
    (gate.folder / "app.py").write_text(HANGS, encoding="utf-8")
    return gate


def wait_until_all_hang(gate: Gate) -> None:
    """Wait until `small` is done and every thread has a call that does not come back."""
    gate.wait_for_lines(6, "hanging")
    gate.wait_for_lines(1, "ended")


@BOTH_WAYS
def test_an_interrupt_ends_a_run_in_order_though_calls_hang(hangs: Gate, workers: int) -> None:
    with started(hangs, *INTERRUPTED, model="app:build(above=40)", workers=workers) as process:
        wait_until_all_hang(hangs)
        os.killpg(process.pid, signal.SIGINT)
        text, _ = process.communicate(timeout=20)
    assert process.returncode == pytest.ExitCode.INTERRUPTED, text
    there = assert_nothing_is_made_up(hangs, text)
    assert there["small"] == 40
    rows = hangs.rows()
    verdicts = {name: rows[name]["verdict"] for name in PLANNED}
    assert verdicts["small"] == "pass"
    assert {verdicts[name] for name in PLANNED if there[name] < PLANNED[name]} <= {"error", "not_evaluated"}
    assert "other" not in passed(text)
    assert hangs.summary()["exit_status"] == pytest.ExitCode.INTERRUPTED
    assert "INTERNALERROR" not in text
    assert re.search(r"^covers \d of \d+ detectors: .*1 PASS", text, re.MULTILINE)
    assert re.search(r"^ small +PASS +0 / 40 ", text, re.MULTILINE)
    assert f"Wrote {hangs.reports / 'summary.json'}" in text
    assert f"Wrote {hangs.reports / 'cases.jsonl'}" in text


@BOTH_WAYS
def test_two_interrupts_stop_at_once(hangs: Gate, workers: int) -> None:
    with started(hangs, *INTERRUPTED, model="app:build(above=40)", workers=workers) as process:
        wait_until_all_hang(hangs)
        os.killpg(process.pid, signal.SIGINT)
        time.sleep(0.05)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGINT)
        text, _ = process.communicate(timeout=20)
    assert process.returncode != pytest.ExitCode.OK
    assert_nothing_is_made_up(hangs, text)
    assert "other" not in passed(text)


@BOTH_WAYS
def test_a_second_interrupt_stops_what_the_first_one_waits_for(hangs: Gate, workers: int) -> None:
    options = (*INTERRUPTED, "-p", "sink_that_hangs")
    with started(hangs, *options, model="app:build(above=40)", workers=workers) as process:
        wait_until_all_hang(hangs)
        os.killpg(process.pid, signal.SIGINT)
        hangs.wait_for_lines(1, "sink")
        assert process.poll() is None
        os.killpg(process.pid, signal.SIGINT)
        text, _ = process.communicate(timeout=20)
    assert process.returncode != pytest.ExitCode.OK
    assert_nothing_is_made_up(hangs, text)
    assert hangs.summary()["exit_status"] == pytest.ExitCode.INTERRUPTED
    assert hangs.rows()["other"]["verdict"] in ("error", "not_evaluated")


# No pickled data

# In a `sitecustomize`, it is there before any other module could have taken a function of these for itself.
# Babel, which knows how months are called, keeps its tables as pickled files in its own package: those, and only
# where a test says so, are read.
GUARD = """\
import _pickle
import importlib.util
import os
import pickle
import traceback

load = pickle.load
spared = os.environ["MAY_UNPICKLE"] and os.path.dirname(importlib.util.find_spec(os.environ["MAY_UNPICKLE"]).origin)

def refuse(*arguments, **named):
    name = getattr(arguments[0], "name", None) if arguments else None
    if spared and isinstance(name, str) and os.path.realpath(name).startswith(os.path.realpath(spared) + os.sep):
        return load(*arguments, **named)
    with open(os.environ["UNPICKLED"], "a") as file:
        file.write("".join(traceback.format_stack(limit=8)) + "\\n")
    raise RuntimeError("unpickled")

def refusing(kind):
    class Unpickler(kind):  # pandas has a subclass
        __init__ = load = refuse
    return Unpickler

for module in (pickle, _pickle):
    module.load = module.loads = refuse
    module.Unpickler = refusing(module.Unpickler)
pickle._load = pickle._loads = refuse
pickle._Unpickler = refusing(pickle._Unpickler)
"""
SORRY = "tests.bots:says_sorry(every=3)"
UNPICKLES = """\
import pickle

def build():
    return lambda question: pickle.loads(pickle.dumps("fine"))
"""


@pytest.fixture
def unpickled(gate: Gate, beside: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the file that tells who unpickled something; whoever does fails."""
    monkeypatch.setenv("UNPICKLED", str(gate.folder / "unpickled"))
    monkeypatch.setenv("MAY_UNPICKLE", "")
    (beside / "sitecustomize.py").write_text(GUARD, encoding="utf-8")
    return gate.folder / "unpickled"


@BOTH_WAYS
def test_a_run_unpickles_nothing(gate: Gate, unpickled: Path, workers: int) -> None:
    options = ("--bias-giskard-reports=yes", "--bias-record=kept", "--junitxml=junit.xml")
    status, text = finish(gate, "--bias-only=small,other", *options, model=SORRY, workers=workers)
    assert status == pytest.ExitCode.TESTS_FAILED, text
    assert gate.verdicts() == {"small": "fail", "other": "fail"}
    assert not unpickled.exists(), unpickled.read_text()
    assert (gate.reports / "giskard.html").exists()


def test_the_built_in_detectors_unpickle_nothing_but_babels_own_tables(
    gate: Gate, unpickled: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MAY_UNPICKLE", "babel")
    status, text = finish(gate, f"--bias-canaries={CANARIES}", "--bias-sample=20", "--bias-record=kept")
    assert status == pytest.ExitCode.TESTS_FAILED, text  # a bot that answers nothing does not cover its documents
    assert not unpickled.exists(), unpickled.read_text()
    assert len(gate.verdicts()) >= 8
    assert "error" not in gate.verdicts().values()
    assert "INTERNALERROR" not in text


def test_the_reference_chatbot_unpickles_nothing_when_it_is_built_asked_and_found_again(
    gate: Gate, unpickled: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MAY_UNPICKLE", "babel")
    small = write_pdf(gate.folder / "small.pdf", "An appeal must be lodged within 15 days.", "Frontex guards borders.")
    built = f"document={str(small)!r}, cache_dir={str(gate.folder / 'cache')!r}, max_tokens=4"
    options = ("--bias-only=canary_disclosure,bbq,grounding,coverage", "--bias-sample=1", f"--bias-canaries={CANARIES}")
    for _ in range(2):  # the second finds the index that the first has saved
        status, text = finish(gate, *options, "--bias-timeout=60", model=f"fixtures.rag:embedded({built})", within=180)
        assert status == pytest.ExitCode.TESTS_FAILED, text  # one probe decides nothing
        assert not unpickled.exists(), unpickled.read_text()
        assert {row["errors"] for row in gate.summary()["detectors"]} == {0}
        assert gate.summary()["calls"]["model"] >= 4


@BOTH_WAYS
def test_who_unpickles_is_noticed(gate: Gate, unpickled: Path, monkeypatch: pytest.MonkeyPatch, workers: int) -> None:
    monkeypatch.setenv("MAY_UNPICKLE", "babel")
    (gate.folder / "app.py").write_text(UNPICKLES, encoding="utf-8")
    status, _ = finish(gate, "--bias-only=small", model="app:build", workers=workers)
    assert status == pytest.ExitCode.TESTS_FAILED
    assert {case["reason"] for case in gate.cases()} == {"RuntimeError: unpickled"}
    assert "app.py" in unpickled.read_text()
