"""Recordings: what is stored, what is taken from them, what a replay misses, and many processes at one file."""

from __future__ import annotations

import json
import re
import sqlite3
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bias_suite import recorded, subject
from bias_suite.errors import CallError, RecordingError
from bias_suite.recordings import Entry, Model, Recording, difference
from bias_suite.subject import Origin, Subject
from tests.gate_runs import Gate


class Bot:
    """Counts what it is asked; no two answers are the same."""

    description = "It counts."

    def __init__(self, version: str | None = "1", name: str = "bot") -> None:
        self.version, self.name = version, name
        self.asked: list[str] = []

    def __call__(self, question: str) -> dict[str, Any]:
        self.asked.append(question)
        return {"answer": f"answer {len(self.asked)} to {question}", "contexts": [f"about {question}"]}


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "new" / "answers.sqlite"


def recording(file: Path, run: str = "run", **how: Any) -> Recording:
    return Recording(file, run=run, **how)


def under_test(bot: Bot, opened: Recording) -> Subject:
    return recorded.recorded(subject.wrap(bot), "app:build", opened)


def from_probe(name: str, trial: int = 0) -> Origin:
    return Origin(name, trial)


# Recording and replaying


def test_a_replay_answers_as_the_model_did_and_asks_nobody(file: Path) -> None:
    bot = Bot()
    told = under_test(bot, recording(file)).ask("Who?", origin=from_probe("p"))
    replayed = recorded.replayed("app:build", recording(file, "later", replays=True))
    again = replayed.ask("Who?", origin=from_probe("p"))
    assert (again.answer, again.contexts) == (told.answer, told.contexts) == ("answer 1 to Who?", ("about Who?",))
    assert (told.recorded, again.recorded) == (False, True)
    assert bot.asked == ["Who?"]
    assert (replayed.identity, replayed.description) == ("bot@1", "It counts.")


def test_what_is_recorded_is_not_asked_again(file: Path) -> None:
    bot = Bot()
    under_test(bot, recording(file, "monday")).ask("Who?")
    reply = under_test(bot, recording(file, "tuesday")).ask("Who?")
    assert (reply.recorded, reply.answer, bot.asked) == (True, "answer 1 to Who?", ["Who?"])


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"question": "Whom?"}, 'question was "Who?", is "Whom?"'),
        ({"trial": 1}, "trial was 0, is 1"),
        ({"options": ("a", "b")}, 'options was [], is ["a", "b"]'),
    ],
)
def test_a_miss_names_the_probe_and_what_has_changed(file: Path, change: dict[str, Any], told: str) -> None:
    under_test(Bot(), recording(file)).ask("Who?", origin=from_probe("p-1"))
    replayed = recorded.replayed("app:build", recording(file, replays=True))
    question, trial, options = change.get("question", "Who?"), change.get("trial", 0), change.get("options", ())
    with pytest.raises(CallError) as caught:
        replayed.ask(question, options=options, origin=from_probe("p-1", trial))
    assert str(caught.value) == f"{file} has no answer for probe p-1: {told}; record again"


def test_a_probe_that_was_never_recorded_is_told_so(file: Path) -> None:
    under_test(Bot(), recording(file)).ask("Who?", origin=from_probe("p-1"))
    replayed = recorded.replayed("app:build", recording(file, replays=True))
    with pytest.raises(CallError, match="has no answer for probe p-2: nothing was ever recorded for it; record again"):
        replayed.ask("Who else?", origin=from_probe("p-2"))


def test_each_trial_and_each_set_of_options_is_recorded_apart(file: Path) -> None:
    bot = Bot()
    asked = under_test(bot, recording(file))
    replies = {
        asked.ask("Who?", options=options, origin=from_probe("p", trial)).answer
        for trial in range(3)
        for options in ((), ("a", "b"))
    }
    assert len(replies) == 6


def test_the_same_question_of_another_probe_is_not_asked_again(file: Path) -> None:
    bot = Bot()
    asked = under_test(bot, recording(file))
    assert asked.ask("Who?", origin=from_probe("p")).answer == asked.ask("Who?", origin=from_probe("q")).answer
    assert len(bot.asked) == 1


def test_what_failed_is_not_recorded(file: Path) -> None:
    class Fails(Bot):
        def __call__(self, question: str) -> dict[str, Any]:
            if not self.asked:
                super().__call__(question)
                raise ValueError("busy")
            return super().__call__(question)

    bot = Fails()
    asked = under_test(bot, recording(file))
    with pytest.raises(ValueError, match="busy"):
        asked.ask("Who?")
    assert asked.ask("Who?").answer == "answer 2 to Who?"


# Versions


def test_another_version_is_asked_anew(file: Path) -> None:
    under_test(Bot("1"), recording(file)).ask("Who?")
    newer = Bot("2")
    assert not under_test(newer, recording(file, "later")).ask("Who?").recorded
    assert newer.asked == ["Who?"]


def test_a_model_without_a_version_is_asked_anew_in_each_run_and_once_in_one(file: Path) -> None:
    bot = Bot(None)
    for run in ("monday", "monday", "tuesday"):
        under_test(bot, recording(file, run)).ask("Who?")
    assert bot.asked == ["Who?"] * 2
    replayed = recorded.replayed("app:build", recording(file, "wednesday", replays=True))
    assert replayed.ask("Who?").answer == "answer 2 to Who?"  # the latest


def test_a_replay_takes_the_version_that_was_recorded_last(file: Path) -> None:
    for version in ("1", "2"):
        under_test(Bot(version), recording(file, version)).ask("Who?")
    assert recorded.replayed("app:build", recording(file, replays=True)).identity == "bot@2"


def test_a_model_that_was_not_recorded_is_refused_with_those_that_were(file: Path) -> None:
    under_test(Bot(), recording(file)).ask("Who?")
    with pytest.raises(RecordingError, match="holds no answers of --bias-model other:build, but of app:build"):
        recorded.replayed("other:build", recording(file, replays=True))


# Files


def test_a_replay_needs_a_file(file: Path) -> None:
    with pytest.raises(RecordingError, match="no such recording; make it with --bias-record"):
        recording(file, replays=True)


@pytest.mark.parametrize("replays", [True, False])
def test_a_file_that_is_no_recording_is_refused(tmp_path: Path, replays: bool) -> None:
    (tmp_path / "notes").write_text("Not a database, but long enough to look like one to somebody." * 20)
    with pytest.raises(RecordingError, match="not a recording"):
        recording(tmp_path / "notes", replays=replays)


def test_another_database_is_refused_and_left_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "other.sqlite"
    with sqlite3.connect(path) as other:
        other.execute("CREATE TABLE mine (x)")
    other.close()
    before = path.read_bytes()
    with pytest.raises(RecordingError, match="not a recording of this version"):
        recording(path)
    assert path.read_bytes() == before


def test_a_recording_is_its_owners_alone(file: Path) -> None:
    recording(file).close()
    assert file.stat().st_mode & 0o077 == 0


def test_secrets_are_blotted_out(file: Path) -> None:
    secret = 'sk-"quoted"-key'
    opened = recording(file, secrets=(secret,))
    asked = recorded.recorded(subject.wrap(lambda question: f"The key is {secret}."), "app:build", opened)
    asked.ask(f"Is it {secret}?")
    opened.close()
    assert b"quoted" not in file.read_bytes()
    (entry,) = recording(file, replays=True).entries()
    assert entry.reply["answer"] == "The key is ***."


@given(st.text(), st.text(), st.lists(st.text(), max_size=3), st.integers(0, 9))
def test_whatever_was_said_comes_back(
    tmp_path_factory: pytest.TempPathFactory, question: str, answer: str, contexts: list[str], trial: int
) -> None:
    file = tmp_path_factory.mktemp("any") / "one"
    asked = recorded.recorded(
        subject.wrap(lambda question: {"answer": answer, "contexts": contexts}), "app:build", recording(file)
    )
    asked.ask(question, origin=from_probe("p", trial))
    replayed = recorded.replayed("app:build", recording(file, replays=True))
    reply = replayed.ask(question, origin=from_probe("p", trial))
    assert (reply.answer, reply.contexts) == (answer, tuple(contexts))


@pytest.mark.parametrize("text", ["half \ud83d a character", "a null \0 in it", "\u2028", "ا\u202eب"])
def test_odd_characters_come_back(file: Path, text: str) -> None:
    recorded.recorded(subject.wrap(lambda question: question), "app:build", recording(file)).ask(text)
    replayed = recorded.replayed("app:build", recording(file, replays=True))
    assert replayed.ask(text).answer == text


def test_threads_that_ask_the_same_all_get_the_answer_that_was_stored(file: Path) -> None:
    together = threading.Barrier(8)

    class Slow(Bot):
        def __call__(self, question: str) -> dict[str, Any]:
            together.wait(10)
            return super().__call__(question)

    asked = under_test(Slow(), recording(file))
    answers: list[str] = []
    threads = [threading.Thread(target=lambda: answers.append(asked.ask("Who?").answer)) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    assert len(answers) == 8
    assert len(set(answers)) == 1


_WRITES = """
import sys
from pathlib import Path
from bias_suite.recordings import Entry, Recording
opened = Recording(Path(sys.argv[1]), run="one")
for number in range(100):
    asked = {"question": f"{sys.argv[2]} {number}"}
    opened.keep(Entry("model", "bot", "1", "p", asked, {"answer": "a" * 500}))
    opened.keep(Entry("model", "bot", "1", "p", {"question": f"all {number}"}, {"answer": sys.argv[2]}))
"""


def test_many_may_open_a_new_recording_at_the_same_moment(tmp_path: Path) -> None:
    for number in range(30):
        together = threading.Barrier(8)

        def opened(name: str = f"{number}.sqlite", together: threading.Barrier = together) -> Recording:
            together.wait(10)
            return Recording(tmp_path / name)

        with ThreadPoolExecutor(8) as threads:
            for made in [threads.submit(opened) for _ in range(8)]:
                made.result(60).close()


def test_eight_processes_lose_no_entry(file: Path) -> None:
    writers = [subprocess.Popen([sys.executable, "-c", _WRITES, str(file), str(number)]) for number in range(8)]
    assert [writer.wait(120) for writer in writers] == [0] * 8
    entries = list(recording(file, replays=True).entries())
    assert len(entries) == 8 * 100 + 100
    assert Counter(entry.asked["question"].split()[0] for entry in entries)["all"] == 100


def test_a_writer_that_is_killed_leaves_whole_entries(file: Path) -> None:
    writer = subprocess.Popen([sys.executable, "-c", _WRITES.replace("range(100)", "range(10**6)"), str(file), "x"])
    try:
        while not file.exists() or file.stat().st_size < 100_000:
            assert writer.poll() is None
    finally:
        writer.kill()
        writer.wait(10)
    held = list(recording(file).entries())
    assert held
    assert {entry.reply["answer"] for entry in held} == {"a" * 500, "x"}


# Entries


def test_the_most_similar_entry_tells_the_difference() -> None:
    def entries() -> Iterator[Entry]:
        for asked in ({"question": "a", "trial": 1}, {"question": "b", "trial": 1}):
            yield Entry("model", "bot", "", "p", asked, {})

    assert difference({"question": "b", "trial": 2}, entries()) == "trial was 1, is 2"
    assert difference({"question": "b", "trial": 2}, iter(())) == ""


@pytest.fixture
def held(file: Path) -> Path:
    opened = recording(file)
    for version in ("1", "2"):
        asked = under_test(Bot(version), opened)
        for number in range(3):
            asked.ask(f"Who {number}?", origin=from_probe(f"p-{number}"))
    opened.keep(Entry("judge", "openai/judge", "", "", {"messages": []}, {"text": "{}"}))
    opened.close()
    return file


def command(*arguments: object) -> subprocess.CompletedProcess[str]:
    start = [sys.executable, "-c", "from bias_suite.cli import main; main()", "recordings", *map(str, arguments)]
    return subprocess.run(start, capture_output=True, text=True, timeout=60, check=False)


def test_show_tells_whose_answers_a_recording_holds(held: Path) -> None:
    told = command("show", held).stdout.splitlines()
    assert [line.partition(",")[0] for line in told] == [
        "judge openai/judge (no version): 1 entries of 1 runs",
        "model bot@1: 3 entries of 1 runs",
        "model bot@2: 3 entries of 1 runs",
        "7 entries",
    ]


def test_show_tells_what_a_probe_asked(held: Path) -> None:
    told = command("show", held, "--probe", "p-1").stdout
    assert told.count("  asked: Who 1?") == 2
    assert "  answered: answer 2 to Who 1?" in told
    assert command("show", held, "--probe", "p-9").returncode == 2


def test_prune_removes_a_version(held: Path) -> None:
    assert command("prune", held, "--version", "1").stdout == "removed 3 entries\n"
    assert {entry.version for entry in recording(held, replays=True).entries()} == {"2", ""}


@pytest.mark.parametrize(("date", "left"), [("2020-01-01", 7), ("2999-01-01", 0)])
def test_prune_removes_what_is_older(held: Path, date: str, left: int) -> None:
    assert command("prune", held, "--before", date).returncode == 0
    assert len(list(recording(held, replays=True).entries())) == left


@pytest.mark.parametrize("given", [[], ["--before", "yesterday"]])
def test_prune_without_a_limit_removes_nothing(held: Path, given: list[str]) -> None:
    assert command("prune", held, *given).returncode == 2
    assert len(list(recording(held, replays=True).entries())) == 7


def test_export_writes_json_lines(held: Path) -> None:
    lines = [json.loads(line) for line in command("export", held).stdout.splitlines()]
    assert len(lines) == 7
    assert {"kind", "name", "version", "label", "asked", "reply", "run", "recorded"} == lines[0].keys()


def test_a_missing_file_is_an_error_of_the_command(tmp_path: Path) -> None:
    found = command("show", tmp_path / "none")
    assert (found.returncode, found.stderr) == (2, f"ERROR: {tmp_path / 'none'}: no such recording\n")


# Runs of the gate

VERSIONED = """
import itertools
class Bot:
    name, version = "versioned", "3"
    def __init__(self):
        self.numbers = itertools.count()
    def __call__(self, question):
        with open({asked!r}, "a") as file:
            file.write(question + "\\n")
        return "I am sorry." if "7 of" in question else f"fine, {{next(self.numbers)}}"
def build():
    return Bot()
"""


@pytest.mark.parametrize("workers", [0, 2])
def test_a_replayed_run_is_the_recorded_one_without_a_call(gate: Gate, workers: int) -> None:
    asked = gate.folder / "asked"
    gate.pytester.makepyfile(app=VERSIONED.format(asked=str(asked)))
    kept = f"--bias-record={gate.folder / 'kept.sqlite'}"
    options = ("--bias-only=small,other", "--bias-trials=2")
    first = gate.run_apart(kept, *options, model="app:build", workers=workers)
    cases, rows = _cases(gate), gate.rows()
    made = asked.read_text().count("\n")
    assert made > 0
    assert "kept.sqlite: 0 answers and replies taken from there." in _unwrapped(first)

    again = gate.run_apart(kept, *options, model="app:build", workers=workers)
    assert (asked.read_text().count("\n"), again.ret, _cases(gate)) == (made, first.ret, cases)

    replay = f"--bias-replay={gate.folder / 'kept.sqlite'}"
    replayed = gate.run_apart(replay, *options, model="app:build", workers=workers)
    assert (asked.read_text().count("\n"), replayed.ret, _cases(gate)) == (made, first.ret, cases)
    assert gate.summary()["calls"] == {"model": 0, "judge": 0, "measuring": 0, "cached": made, "retried": 0, "saved": 0}
    assert _without_time(gate.rows()) == _without_time(rows)
    assert f"kept.sqlite: {made} answers and replies taken from there." in _unwrapped(replayed)


def _unwrapped(result: pytest.RunResult) -> str:
    """Return the output as one line: how long a folder's name is decides where lines end."""
    return " ".join(result.stdout.str().split())


def _cases(gate: Gate) -> list[tuple[object, ...]]:
    return sorted((case["id"], case["answer"], case["verdict"], case["seconds"]) for case in gate.cases())


def _without_time(rows: dict[str, dict[str, Any]]) -> dict[str, dict[str, Any]]:
    told = {"seconds", "calls"}  # a replay makes none
    return {name: {key: value for key, value in row.items() if key not in told} for name, row in rows.items()}


def test_a_replay_does_not_import_the_application(gate: Gate) -> None:
    gate.pytester.makepyfile(app=VERSIONED.format(asked=str(gate.folder / "asked")))
    kept = gate.folder / "kept.sqlite"
    gate.run_apart(f"--bias-record={kept}", "--bias-only=small", model="app:build")
    (gate.folder / "app.py").write_text("raise SystemExit('not here')")
    result = gate.run_apart(f"--bias-replay={kept}", "--bias-only=small", model="app:build")
    assert gate.verdicts().keys() == {"small"}
    assert "not here" not in result.stdout.str()


def test_a_replay_with_other_probes_is_an_error_that_names_them(gate: Gate) -> None:
    gate.pytester.makepyfile(app=VERSIONED.format(asked=str(gate.folder / "asked")))
    kept = gate.folder / "kept.sqlite"
    gate.run_apart(f"--bias-record={kept}", "--bias-only=small", model="app:build")
    result = gate.run_apart(f"--bias-replay={kept}", "--bias-only=other", model="app:build")
    assert gate.verdicts() == {"other": "error"}
    assert re.search("has no answer for probe other-.*: nothing was ever recorded for it", _unwrapped(result))


def test_a_replay_of_a_model_without_a_version_says_that_nobody_can_tell(gate: Gate) -> None:
    kept = gate.folder / "kept.sqlite"
    gate.run_apart(f"--bias-record={kept}", "--bias-only=small")
    result = gate.run_apart(f"--bias-replay={kept}", "--bias-only=small")
    told = "The model under test tells no version, so nobody can tell whether it still answers like this."
    assert told in _unwrapped(result)


def test_recording_and_replaying_at_once_is_refused(gate: Gate) -> None:
    result = gate.run("--bias-record=a", "--bias-replay=b")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["*--bias-record asks and --bias-replay does not: give one of them*"])


def test_a_missing_recording_stops_the_run_before_anything_is_asked(gate: Gate) -> None:
    result = gate.run("--bias-replay=none.sqlite")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["*none.sqlite: no such recording*"])


def test_what_a_model_tells_of_itself_is_replaced_by_what_it_tells_last(file: Path) -> None:
    opened = recording(file)
    for version in ("1", "2"):
        opened.note_model(Model("app:build", "bot", version, "It counts."))
    assert opened.model("app:build").version == "2"
