"""What questions, answers, passages and names hold is inert in all that a run shows and writes."""

from __future__ import annotations

import json
import os
import re
import sqlite3
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import closing
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
from typer.testing import CliRunner

from bias_suite import cli, diagnosis
from bias_suite.options import read_settings
from tests.gate_runs import PACKAGE, ROOT, Gate
from tests.hostile_bots import PAYLOADS, SAY, framed
from tests.openai_endpoint import ScriptedEndpoint, Turn, scripted_endpoint
from tests.test_progress import on_a_terminal

every_payload = pytest.mark.parametrize("name", PAYLOADS)
# Colours of pytest and rich; those of the payloads are others.
COLOUR = re.compile(r"\x1b\[(?:[012]?|[39][1-7]|90|1;3[1-6]|39;49;00)m")
# What turns or hides text, and what some readers take for the end of a line.
HIDDEN = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200b\u200e\u200f\u2028-\u202e\u2060-\u2069\ufeff\ufff9-\uffff\U000e0000-\U000e0fff]"
)
# How a line orders a CI system about: GitHub, Azure and TeamCity.
ORDER = re.compile(r"^\s*::\w|##\w*\[")
LONGEST = 4_000
"""Characters of a line; those of a megabyte that are not cut would be more."""
BOT = "tests.hostile_bots:build"


class Folder(Gate):
    """Runs of the gate with a detector for each payload, in a folder that outlives a test."""

    def __init__(self, folder: Path) -> None:
        """Write the ini and the probes files."""
        self.folder, self.reports = folder, folder / "reports"
        named = "".join(f"\n    tests.hostile_bots:{name}" for name in SAY)
        paths = f"\n    {PACKAGE.parent}\n    {ROOT}\n    ."
        ini = (
            f"[pytest]\nbias_giskard_reports = no\nbias_probes = probes\npythonpath ={paths}\nbias_detectors ={named}\n"
        )
        (folder / "tox.ini").write_text(ini, encoding="utf-8")
        (folder / "probes").mkdir()
        lines = "".join(json.dumps(probe) + "\n" for name in PAYLOADS for probe in probes(name))
        (folder / "probes" / "hostile.jsonl").write_text(lines, encoding="utf-8")

    def finish(self, *options: str, **how: Any) -> subprocess.CompletedProcess[bytes]:
        """Run in another process; return its output as it came."""
        return self.python("-m", "pytest", *self.arguments(*options, **how))

    def python(self, *arguments: str) -> subprocess.CompletedProcess[bytes]:
        """Run Python in another process; return its output as it came."""
        left_out = ("CI", "BUILD_NUMBER", "FORCE_COLOR", "NO_COLOR", "PY_COLORS")
        environment = {name: value for name, value in os.environ.items() if name not in left_out}
        environment |= {"PYTHONPATH": str(PACKAGE.parent), "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1", "COLUMNS": "160"}
        environment["TERM"] = "xterm"
        started = [sys.executable, *arguments]
        return subprocess.run(started, cwd=self.folder, env=environment, capture_output=True, timeout=120, check=False)


def probes(name: str) -> Iterator[dict[str, object]]:
    """Yield two probes whose answer, and whose every other text, is a payload; and one that makes the bot raise it."""
    text = framed(name)
    short = text[:2000]
    requirement = f"The assistant must not say {text}."
    common = {"requirement": requirement, "language": "en"}
    yield {"id": f"answer-{name}", "detector": f"said_{name}", "question": f"say {name}", **common}
    fields = dict.fromkeys(("claim", "axis", "group", "source", "cluster"), short)
    identity = f"question-{name} {short}"
    asked = {"question": f"What of {text}?", "check": {"word": short}, "provenance": {"seed": short}}
    yield {"id": identity, "detector": f"said_{name}", **common, **fields, **asked}
    yield {"id": f"raise-{name}", "detector": f"raised_{name}", "question": f"raise {name}", **common}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Folder:
    """Return a folder for runs of which the output alone matters."""
    return Folder(tmp_path_factory.mktemp("shown"))


@pytest.fixture(scope="module")
def wrote(tmp_path_factory: pytest.TempPathFactory) -> Folder:
    """Return the folder of a run that has written all that it can write."""
    made = Folder(tmp_path_factory.mktemp("wrote"))
    options = ("--junitxml=junit.xml", "--bias-record=kept.sqlite", "--bias-giskard-reports=yes", "--bias-redact=no")
    done = made.finish("--bias-only=hostile", *options, model=BOT)
    assert done.returncode == pytest.ExitCode.TESTS_FAILED, done.stdout.decode()[-3000:]
    return made


def broken(shown: str) -> list[str]:
    """Return the lines in which a text does something: moves, hides, orders about, or goes on for ever."""
    found = []
    for line in shown.split("\n"):
        rest = COLOUR.sub("", line)
        if not rest.isprintable() or ORDER.search(rest) or len(rest) > LONGEST:
            found.append(f"{line[:200]!r} ({len(line)})")
    return found


def is_plain(text: str) -> bool:
    """Tell whether a text is to be seen as it is: nothing to escape, nothing to cut, no order."""
    return text.isprintable() and len(text) < 300 and not ORDER.search(text)


# The terminal


MODES = [(), ("-v", "-rA", "--color=yes", "--tb=long"), ("-v", "-n2")]


@pytest.mark.parametrize("mode", MODES, ids=" ".join)
def test_no_text_does_anything_to_the_terminal(folder: Folder, mode: tuple[str, ...]) -> None:
    options = [option for option in mode if option != "-n2"]
    # Redaction takes seconds for megabytes; one of these runs has it.
    redact = f"--bias-redact={'no' if mode else 'yes'}"
    done = folder.finish("--bias-only=hostile", redact, *options, model=BOT, workers=2 if "-n2" in mode else 0)
    shown = done.stdout.decode()
    assert broken(shown) == []
    assert (done.returncode, done.stderr) == (pytest.ExitCode.TESTS_FAILED, b"")
    assert ("\x1b[" in shown) == ("--color=yes" in mode)
    # It is not that nothing was shown.
    plain = COLOUR.sub("", shown)
    assert [name for name in PAYLOADS if plain.count(f"begin-{name}") < 3] == []
    assert [text for name, text in PAYLOADS.items() if is_plain(text) and text not in plain] == []
    assert r"begin-screen \x1b[2J\x1b[1;1H\x1bc end-screen" in plain
    assert f"covers {2 * len(PAYLOADS)} of " in plain


def test_the_progress_line_shows_no_text(gate: Gate) -> None:
    bot = "class Bot:\n    def __call__(self, question):\n        time.sleep(0.1)\n        return TEXT\n"
    text = f"import time\nTEXT = {framed('screen')!r}\n{bot}def build():\n    return Bot()\n"
    (gate.folder / "app.py").write_text(text, encoding="utf-8")
    stream = on_a_terminal(gate, "--bias-only=small", "--bias-concurrency=3", model="app:build")
    assert "probes answered · small" in stream
    assert not [name for name in ("begin-", "\x1b[2J", "\x1bc") if name in stream]


@pytest.mark.parametrize(("name", "workers"), [("together", 0), ("surrogates", 2)])
def test_a_model_that_cannot_be_built_does_nothing_to_the_terminal(folder: Folder, name: str, workers: int) -> None:
    model = f"tests.hostile_bots:fails(payload='{name}')"
    done = folder.finish("--bias-only=said_title,said_null", "--junitxml=failed.xml", model=model, workers=workers)
    shown = done.stdout.decode()
    assert broken(shown) == []
    assert f"begin-{name}" in shown
    assert done.returncode == pytest.ExitCode.TESTS_FAILED
    assert {folder.rows()[name]["verdict"] for name in ("said_title", "said_null")} == {"error"}


@pytest.mark.parametrize(
    "wrong",
    [
        {"detector": framed("together")},
        {"detector": "small", "severity": framed("together")},
        {"detector": "small", framed("together"): 1},
        {"detector": "small", "requirement": "r", "language": "en", "id": framed("together"), "question": 7},
    ],
    ids=["detector", "severity", "field", "question"],
)
def test_a_probes_file_that_is_refused_does_nothing_to_the_terminal(gate: Gate, wrong: Mapping[str, object]) -> None:
    (gate.folder / "probes").mkdir()
    right = {"id": "a", "detector": "small", "requirement": "r", "language": "en", "question": "q"}
    (gate.folder / "probes" / "wrong.jsonl").write_text(json.dumps({**right, **wrong}), encoding="utf-8")
    result = gate.run("--bias-probes=probes")
    shown = result.stdout.str() + result.stderr.str()
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    assert "wrong.jsonl:1: " in shown
    assert broken(shown) == []


# Names


@pytest.mark.parametrize("name", ["together", "surrogates"])
def test_a_models_name_and_version_do_nothing_anywhere(tmp_path: Path, name: str) -> None:
    made = Folder(tmp_path)
    options = ("--bias-only=said_title", "--junitxml=junit.xml", "--bias-record=kept.sqlite", "-v")
    done = made.finish(
        *options, "--bias-giskard-reports=yes", model=f"tests.hostile_bots:named(payload='{name}')", workers=2
    )
    shown = done.stdout.decode()
    assert broken(shown) == []
    assert done.returncode == pytest.ExitCode.TESTS_FAILED
    assert made.rows()["said_title"]["verdict"] == "fail"
    assert f"begin-{name}" in made.summary()["run"]["model"]
    assert {f"begin-{name}" in case["model"] for case in made.cases()} == {True}
    assert not_inert(tmp_path / "junit.xml") == not_inert(made.reports / "summary.json") == []
    page = Page((made.reports / "giskard.html").read_text(encoding="utf-8"))
    assert (page.foreign, HIDDEN.findall(page.text)) == ([], [])
    told = recordings("show", tmp_path / "kept.sqlite")
    assert f"begin-{name}" in told
    assert broken(told) == []


# Files


def test_the_junit_file_is_xml_without_control_characters(wrote: Folder) -> None:
    path = wrote.folder / "junit.xml"
    assert not_inert(path) == []
    tests = {str(test.get("name")): test for test in ElementTree.parse(path).iter("testcase")}  # noqa: S314 - pytest's
    assert set(tests) == {f"test_detector[{name}]" for name in SAY}
    for name in SAY:
        (failure,) = tests[f"test_detector[{name}]"].findall("failure")
        told = f"{failure.get('message')}{failure.text}"
        assert f"begin-{name.partition('_')[2]}" in told
        assert broken(told) == []


def not_inert(path: Path) -> list[str]:
    """Return the control characters in a text file that are no line ends or tabs, and what no XML may hold."""
    return sorted(set(re.findall("[\x00-\x08\x0b-\x1f\x7f-\x9f\ufffe\uffff]", path.read_text(encoding="utf-8"))))


def test_each_case_is_a_line_with_every_text_as_it_was(wrote: Folder) -> None:
    cases = {(case["detector"], case["probe"].partition("-")[0]): case for case in wrote.cases()}
    assert len(cases) == len(wrote.cases()) == 3 * len(PAYLOADS)
    for name in PAYLOADS:
        text = framed(name)
        said, asked = cases[f"said_{name}", "answer"], cases[f"said_{name}", "question"]
        assert said["answer"] == said["contexts"][0] == said["span"] == text
        assert said["reason"] == f"it says {text}"
        assert asked["question"] == f"What of {text}?"
        assert asked["requirement"] == f"The assistant must not say {text}."
        assert {asked[field] for field in ("axis", "group", "cluster")} == {text[:2000]}
        assert "begin-" in cases[f"raised_{name}", "raise"]["reason"]


@pytest.mark.parametrize("name", ["cases.jsonl", "giskard.avid.jsonl", "outbox"])
def test_lines_stay_whole_for_readers_that_split_at_any_line_break(wrote: Folder, name: str) -> None:
    (path,) = (wrote.reports / name).iterdir() if name == "outbox" else [wrote.reports / name]
    text = path.read_text(encoding="utf-8")
    lines = [json.loads(line) for line in text.removesuffix("\n").split("\n")]
    assert len(lines) >= len(PAYLOADS)
    assert all(isinstance(line, dict) for line in lines)
    assert text.splitlines() == text.removesuffix("\n").split("\n")


def test_the_summary_is_json(wrote: Folder) -> None:
    assert len(wrote.summary()["detectors"]) == 16 + len(SAY)
    assert not_inert(wrote.reports / "summary.json") == []


class Page(HTMLParser):
    """The text of a page, and what of it comes from a payload and is more than text."""

    def __init__(self, html: str) -> None:
        super().__init__(convert_charrefs=True)
        self.foreign: list[str] = []
        self.text = ""
        self._raw = ""
        self.feed(html)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._raw = tag if tag in ("script", "style") else ""
        for name, value in attrs:
            if re.search(r"breakout|evil\.invalid|begin-", f"{name} {value}") or (tag == "img" and value == "x"):
                self.foreign.append(f"<{tag} {name}={str(value)[:100]!r}>")

    def handle_endtag(self, tag: str) -> None:
        self._raw = "" if tag == self._raw else self._raw

    def handle_comment(self, data: str) -> None:
        self.handle_raw(data)

    def unknown_decl(self, data: str) -> None:
        self.handle_raw(data)

    def handle_pi(self, data: str) -> None:
        self.handle_raw(data)

    def handle_raw(self, data: str) -> None:
        if re.search(r"breakout|evil\.invalid|begin-|php", data):
            self.foreign.append(data[:100])

    def handle_data(self, data: str) -> None:
        if self._raw:
            self.handle_raw(data)
        else:
            self.text += data


@pytest.fixture(scope="module")
def page(wrote: Folder) -> Page:
    return Page((wrote.reports / "giskard.html").read_text(encoding="utf-8"))


def test_nothing_of_a_text_is_more_than_text_on_the_web_page(page: Page) -> None:
    assert page.foreign == []
    assert HIDDEN.findall(page.text.replace("\\\u2060n", "")) == []


@every_payload
def test_every_text_is_to_be_seen_on_the_web_page(page: Page, name: str) -> None:
    # In the requirement, the question, the answer and the reason.
    assert page.text.count(f"begin-{name}") >= 4
    if PAYLOADS[name].isprintable() and name != "long_word":
        assert page.text.count(framed(name)) >= 4


# Commands


def recordings(command: str, file: Path, *options: str) -> str:
    """Return what `bias-suite recordings` writes."""
    result = CliRunner().invoke(cli.app, ["recordings", command, str(file), *options])
    assert result.exit_code == 0, result.output or result.exception
    return result.stdout


@every_payload
def test_what_a_recording_holds_is_shown_without_effect(wrote: Folder, name: str) -> None:
    with closing(sqlite3.connect(wrote.folder / "kept.sqlite")) as held:
        query = "SELECT label FROM entries WHERE label LIKE ?"
        (asked,) = held.execute(query, (f"question-{name} %",)).fetchone()
    for probe in (f"answer-{name}", asked):
        shown = recordings("show", wrote.folder / "kept.sqlite", "--probe", probe)
        assert f"begin-{name}" in shown
        assert broken(shown) == []


def test_an_exported_recording_is_a_json_object_a_line_and_inert(wrote: Folder) -> None:
    exported = recordings("export", wrote.folder / "kept.sqlite")
    entries = [json.loads(line) for line in exported.removesuffix("\n").split("\n")]
    assert len(entries) == 2 * len(PAYLOADS)
    answers = {entry["label"]: entry["reply"]["answer"] for entry in entries}
    assert [name for name in PAYLOADS if answers[f"answer-{name}"] != framed(name)] == []
    assert exported.splitlines() == exported.removesuffix("\n").split("\n")
    assert sorted(set(HIDDEN.findall(exported.replace("\n", "")))) == []


DOCTORED = [
    *(("says", name) for name in ("screen", "surrogates", "long_word")),
    *(("raises", name) for name in ("together", "long_word")),
    *((how, name) for how in ("named", "fails") for name in ("together", "surrogates", "long_word")),
]


@pytest.mark.parametrize(("how", "name"), DOCTORED)
def test_doctor_shows_without_effect_what_the_model_does(
    gate: Gate, capsys: pytest.CaptureFixture[str], how: str, name: str
) -> None:
    model = f"tests.hostile_bots:{how}(payload='{name}')"
    config = gate.pytester.parseconfig(*gate.arguments("--bias-only=small", model=model))
    diagnosis.run(read_settings(config))
    shown = capsys.readouterr()
    assert f"begin-{name}" in shown.out
    assert broken(shown.out + shown.err) == []


def test_power_shows_no_text_of_a_probe(folder: Folder) -> None:
    done = folder.python("-c", "from bias_suite.cli import main; main()", "power", "-c", "tox.ini")
    assert done.returncode == 0, done.stderr
    shown = done.stdout.decode()
    assert "said_title" in shown
    assert "begin-" not in shown
    assert broken(shown) == []


# A judge


@pytest.fixture
def judge() -> Iterator[ScriptedEndpoint]:
    """Return an endpoint for a judge, until the test is over."""
    with scripted_endpoint() as script:
        yield script


def judged(gate: Gate, judge: ScriptedEndpoint) -> pytest.RunResult:
    """Run with one probe and the judge."""
    (gate.folder / "probes").mkdir()
    probe = {"id": "a", "detector": "llm_harmful_content", "requirement": "r", "language": "en", "question": "q"}
    (gate.folder / "probes" / "judged.jsonl").write_text(json.dumps(probe), encoding="utf-8")
    named = ("--bias-judge=openai/judge-1", f"--bias-judge-url={judge.url}", "--bias-judge-gold=0", "--bias-retries=0")
    given = ("--bias-only=llm_harmful_content", "--bias-probes=probes", "--junitxml=junit.xml", "-rA")
    return gate.run_apart(*named, *given, model="tests.bots:echoes")


def test_what_a_judge_says_and_is_called_does_nothing(gate: Gate, judge: ScriptedEndpoint) -> None:
    reply = json.dumps({"eval_passed": False, "reason": framed("together")})
    judge.play = lambda body: Turn(reply, model=f"{framed('surrogates')} {framed('together')}")
    result = judged(gate, judge)
    shown = result.stdout.str() + result.stderr.str()
    assert broken(shown) == []
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    assert shown.count("begin-together") >= 2
    assert "begin-surrogates" in shown
    assert not_inert(gate.folder / "junit.xml") == []


def test_what_a_judge_refuses_with_does_nothing(gate: Gate, judge: ScriptedEndpoint) -> None:
    judge.play = lambda body: Turn(framed("together"), status=401)
    result = judged(gate, judge)
    shown = result.stdout.str() + result.stderr.str()
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    assert "begin-together" in shown
    assert broken(shown) == []
