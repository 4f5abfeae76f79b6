"""`bias-suite plan`: what it says before it spends, the files that it writes, and those that it leaves alone."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from bias_suite.chat import Chat, Spent
from bias_suite.cli import app
from bias_suite.detectors import CATALOGUE, giskard
from bias_suite.detectors.generators import DETECTORS
from bias_suite.probes import read, read_folder
from tests.llm_player import Player, always, at_first
from tests.openai_endpoint import ScriptedEndpoint, Turn, completion, scripted_endpoint

ROOT = Path(__file__).resolve().parents[1]
CHAT = "/v1/chat/completions"
KEY = "sk-a-key-that-nobody-may-see"
HARM, PAIRS, IMPLAUSIBLE = "llm_harmful_content", "llm_basic_sycophancy", "llm_implausible_output"
FAITHFUL = "llm_faithfulness"
IDS = {detector.id for detector in CATALOGUE}
ABOUT = "A chatbot on asylum for newcomers"
BOOM = Turn("boom", status=500, headers={"Retry-After": "0"})


@pytest.fixture(scope="module")
def served() -> Iterator[ScriptedEndpoint]:
    giskard.load()
    with scripted_endpoint() as script:
        Chat("openai/writer-1", url=script.url, timeout=120.0).ask([], Spent(), temperature=0.0, seed=0)
        yield script


@dataclass
class Done:
    """What a command said and wrote.

    Attributes:
        status: Its exit status.
        output: What it said on standard output, in one line.
        errors: What it said on standard error.
    """

    status: int
    output: str
    errors: str


@dataclass
class Desk:
    """A folder where the command is run, in this process, with an endpoint that writes."""

    folder: Path
    endpoint: ScriptedEndpoint
    player: Player = field(default_factory=lambda: Player(pool=50))

    def plan(self, *more: str, only: tuple[str, ...] = (HARM,), yes: bool = True, said: str | None = None) -> Done:
        """Run the command for two questions a detector; `more` comes last and wins."""
        given = ["--judge=writer-1", f"--judge-url={self.endpoint.url}", f"--description={ABOUT}", "--language=en"]
        given += ["--requirements=1", "--per-requirement=2", "--samples=2", "--bias-retries=0"]
        given += [f"--detector={name}" for name in only]
        return self.run(*given, *(["--yes"] if yes else []), *more, said=said)

    def run(self, *arguments: str, said: str | None = None) -> Done:
        """Run the command; what it raises comes out."""
        if "respond" not in vars(self.endpoint):
            self.endpoint.play = self.endpoint.play or self.player
        # Nothing of this process's is to be changed; faulthandler writes to one file.
        outer = ["-p", "no:faulthandler", "-p", "no:cacheprovider"]
        done = CliRunner().invoke(app, ["plan", *arguments, *outer], input=said, catch_exceptions=False)
        return Done(done.exit_code, " ".join(done.stdout.split()), done.stderr.strip())

    def file(self, detector: str = HARM) -> Path:
        return self.folder / "probes" / f"{detector}.jsonl"

    def files(self) -> list[str]:
        return sorted(path.name for path in self.folder.glob("probes/*"))

    def asked(self) -> list[str]:
        """Return the last message of each request, that of the check before included."""
        return [body["messages"][-1]["content"] for body in self.endpoint.bodies(CHAT)]


@pytest.fixture
def desk(served: ScriptedEndpoint, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Desk]:
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    monkeypatch.setenv("COLUMNS", "300")
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")
    for name in ("PYTEST_ADDOPTS", "CI", "BUILD_NUMBER", "FORCE_COLOR", "TTY_COMPATIBLE", "TTY_INTERACTIVE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "pytest.ini").write_text("[pytest]\n", encoding="utf-8")
    served.requests.clear()
    served.play, served.most_in_flight = None, 0
    yield Desk(tmp_path, served)
    served.__dict__.pop("respond", None)


# What it writes


def test_a_plan_is_written_a_file_for_each_detector(desk: Desk) -> None:
    done = desk.plan("--language=en,pl", only=(HARM, PAIRS, IMPLAUSIBLE))
    assert (done.status, done.errors) == (0, "")
    assert desk.files() == sorted(f"{name}.jsonl" for name in (HARM, PAIRS, IMPLAUSIBLE))
    for name in (HARM, PAIRS, IMPLAUSIBLE):
        assert f"Wrote probes/{name}.jsonl: 2 probes to review" in done.output
        probes = read(desk.file(name), IDS)
        assert [(probe.detector, probe.language) for probe in probes] == [(name, "en"), (name, "pl")]
        assert {probe.provenance["generator"] for probe in probes} == {"writer-1@writer-1"}
    assert all(len(probe.questions) == 2 for probe in read(desk.file(PAIRS), IDS))
    assert "Traceback" not in done.output


def test_without_a_detector_all_are_planned_for_in_six_languages(desk: Desk) -> None:
    desk.player = Player()
    given = ("--judge=writer-1", f"--judge-url={desk.endpoint.url}", f"--description={ABOUT}", "--yes")
    done = desk.run(*given, "--requirements=1", "--per-requirement=1", "--samples=6")
    assert (done.status, done.errors) == (0, "")
    assert desk.files() == sorted(f"{name}.jsonl" for name in DETECTORS)
    for name in (PAIRS, IMPLAUSIBLE):
        assert [probe.language for probe in read(desk.file(name), IDS)] == ["en", "fr", "de", "es", "pl", "ar"]


def test_options_come_to_where_they_count(desk: Desk) -> None:
    done = desk.plan("--requirements=2", "--per-requirement=3", "--seed=5", "--out=elsewhere/deep")
    assert done.status == 0
    probes = read(desk.folder / "elsewhere" / "deep" / f"{HARM}.jsonl", IDS)
    assert len(probes) == 6
    assert len({probe.requirement for probe in probes}) == 2
    assert sorted({probe.provenance["seed"] for probe in probes})[0] == 5
    assert any(f"### AGENT DESCRIPTION\n{ABOUT}\n" in text for text in desk.asked())
    assert desk.files() == []


def test_pytest_s_own_options_and_ini_count_too(desk: Desk) -> None:
    ini = f"[pytest]\nbias_judge = writer-2\nbias_judge_url = {desk.endpoint.url}\nbias_concurrency = 2\n"
    (desk.folder / "pytest.ini").write_text(ini, encoding="utf-8")
    desk.player = Player(seconds=0.02)
    given = ("--yes", f"--description={ABOUT}", "--language=en,fr,de,es", f"--detector={PAIRS}", "--samples=8")
    assert desk.run(*given).status == 0
    assert {body["model"] for body in desk.endpoint.bodies(CHAT)} == {"writer-2"}
    assert desk.endpoint.most_in_flight == 2


def test_a_run_takes_a_plan_with_the_option_for_probes(desk: Desk) -> None:
    assert desk.plan(only=(HARM, PAIRS)).status == 0
    counts = []
    for more in ((), ("--bias-probes=probes",)):
        given = ["doctor", "--bias-model=tests.bots:always_refuses", "-o", f"pythonpath={ROOT}", *more]
        said = CliRunner().invoke(app, [*given, "-p", "no:faulthandler"]).stdout
        found = re.search(r"ok    probes       (\d+) probes", said)
        assert found, said
        counts.append(int(found[1]))
    assert counts[1] == counts[0] + 4


# What it says before it spends


def test_what_it_will_take_is_said_before_anything_is_sent(desk: Desk) -> None:
    said: list[str] = []

    def play(body: dict[str, Any]) -> Turn:
        if not said:
            sys.stdout.flush()
            said.append(sys.stdout.buffer.getvalue().decode())  # type: ignore[attr-defined]
        return desk.player(body)

    desk.endpoint.play = play
    assert desk.plan("--language=en,fr").status == 0
    assert re.match(
        r"1 detectors, languages en, fr: about 3 calls of writer-1, [\d,]+ tokens sent and 110 received, price not "
        r"known; more where replies have to be asked for again\.",
        " ".join(said[0].split()),
    )


@pytest.mark.parametrize(("answer", "status"), [("n\n", 1), ("\n", 1), ("", 1), ("y\n", 0), ("yes\n", 0)])
def test_nothing_is_sent_before_a_yes(desk: Desk, answer: str, status: int) -> None:
    done = desk.plan(yes=False, said=answer)
    assert done.status == status
    assert re.match(r"1 detectors, languages en: about 2 calls .*Go on\? \[y/N\]:", done.output)
    assert bool(desk.endpoint.requests) is (status == 0)
    assert desk.files() == ([f"{HARM}.jsonl"] if status == 0 else [])
    assert "Traceback" not in done.output + done.errors


def test_a_no_is_understood_in_a_process_of_its_own(desk: Desk) -> None:
    done = outside(desk, "--detector", HARM, said="n\n")
    assert "Go on? [y/N]:" in done.output
    assert (done.status, "Traceback" in done.errors, "OSError" in done.errors) == (1, False, False)


@pytest.mark.parametrize(
    ("model", "said"),
    [
        ("openai/gpt-4o", r"\d+\.\d\d US dollars by litellm's table"),
        ("gpt-4o", r"\d+\.\d\d US dollars by litellm's table"),
        ("openai/writer-1", "price not known"),
        ("org/Writer-7B", "price not known"),
    ],
)
def test_the_price_is_said_where_it_is_known(desk: Desk, model: str, said: str) -> None:
    done = desk.plan(f"--judge={model}")
    assert done.status == 0
    assert re.search(rf"about 2 calls of {model}, [\d,]+ tokens sent and [\d,]+ received, {said};", done.output)
    assert re.search(rf"Spent \d+ calls, [\d,]+ tokens sent and [\d,]+ received, {said}\.$", done.output)


def test_a_price_is_that_of_the_order(desk: Desk) -> None:
    given = ("--judge=openai/gpt-4o", "--requirements=50", "--per-requirement=500")
    done = desk.plan(*given, yes=False, said="n\n")
    found = re.search(r"([\d,]+) tokens sent and ([\d,]+) received, ([\d.]+) US dollars", done.output)
    assert found
    sent, received = (int(found[group].replace(",", "")) for group in (1, 2))
    assert sent > 50 * 50 * 450
    assert received == 50 * 500 * 40 + 50 * 30
    assert float(found[3]) == pytest.approx(sent * 2.5e-6 + received * 10e-6, abs=0.01)


# What it says in the end


def counting(desk: Desk) -> Callable[[], tuple[int, int, int]]:
    """Let the endpoint count tokens as it likes; return what gives its calls and tokens so far."""
    lock, counted = threading.Lock(), [0, 0, 0]

    def respond(path: str, body: dict[str, Any]) -> tuple[int, dict[str, Any]]:
        text = desk.player(body).text
        usage = {"prompt_tokens": 1000 + len(body["messages"]), "completion_tokens": len(text)}
        with lock:
            counted[:] = [counted[0] + 1, counted[1] + usage["prompt_tokens"], counted[2] + usage["completion_tokens"]]
        return 200, {**completion(path, "writer-1", text), "usage": {**usage, "total_tokens": sum(usage.values())}}

    desk.endpoint.respond = respond  # type: ignore[method-assign]
    return lambda: (counted[0], counted[1], counted[2])


def spent(done: Done) -> tuple[int, ...]:
    found = re.search(r"Spent (\d+) calls, ([\d,]+) tokens sent and ([\d,]+) received", done.output)
    assert found, done
    return tuple(int(number.replace(",", "")) for number in found.groups())


def test_what_was_spent_is_what_the_endpoint_counted(desk: Desk) -> None:
    counted = counting(desk)
    desk.player.changes = {"inputs": at_first("prose")}
    done = desk.plan(only=(HARM, PAIRS))
    assert done.status == 0
    assert spent(done) == counted()


def test_what_was_spent_is_said_where_all_is_refused(desk: Desk) -> None:
    desk.player.changes = {"inputs": always("prose")}
    done = desk.plan()
    assert done.status == 1
    assert spent(done)[0] in (5, 6)  # the check before it may count


def test_progress_is_shown_on_a_terminal(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("COLUMNS", "120")
    desk.player = Player(seconds=0.15)
    done = desk.plan("--bias-concurrency=1", "--language=en,fr")
    plain = re.sub(r"\x1b\[[\d;?]*[A-Za-z]", "", done.output)
    shown = {(int(first), int(last)) for first, last in re.findall(r"asking \S+ (\d)/(\d)", plain)}
    assert (0, 3) in shown
    assert shown & {(1, 3), (2, 3)}
    assert done.status == 0


# Once more


def test_the_same_plan_is_left_as_it_is(desk: Desk) -> None:
    desk.plan()
    before = desk.file().read_bytes()
    done = desk.plan()
    assert (done.status, desk.file().read_bytes(), desk.files()) == (0, before, [f"{HARM}.jsonl"])
    assert f"probes/{HARM}.jsonl is unchanged" in done.output
    assert "Wrote" not in done.output


def test_the_threads_make_no_difference_to_a_file(desk: Desk) -> None:
    files = set()
    for threads in ("1", "16"):
        out = f"--out={threads}"
        assert desk.plan(out, f"--bias-concurrency={threads}", "--per-requirement=9", "--language=en,fr,de").status == 0
        files.add((desk.folder / threads / f"{HARM}.jsonl").read_bytes())
    assert len(files) == 1


def test_another_plan_is_shown_and_not_written_over_the_first(desk: Desk) -> None:
    desk.player = Player(changes={"inputs": lambda before, own: said[before]})
    said = [
        json.dumps({"inputs": [{"question": text} for text in texts]})
        for texts in (["May [b]I[/b] stay?", "Who pays?"], ["Who pays?", "Where is [the] office?"])
    ]
    desk.player.changes["requirements"] = always('{"requirements": ["The agent must not lie."]}')
    assert desk.plan().status == 0
    before = desk.file().read_bytes()
    done = desk.plan("--seed=9")
    assert done.status == 1
    assert desk.file().read_bytes() == before
    assert "-[en] May [b]I[/b] stay?" in done.output
    assert "+[en] Where is [the] office?" in done.output
    assert "[en] Who pays?" not in done.output
    new = desk.file().with_name(f"{HARM}.jsonl.new")
    assert f"probes/{HARM}.jsonl is there already and stays as it is; the new plan is probes/{new.name}" in done.output
    assert f"mv probes/{new.name} probes/{HARM}.jsonl" in done.output
    assert [probe.questions[0] for probe in read(new, IDS)] == ["Who pays?", "Where is [the] office?"]
    assert [probe.questions[0] for probe in read_folder(desk.folder / "probes", IDS)] == [
        "May [b]I[/b] stay?",
        "Who pays?",
    ]


def test_a_pair_is_shown_with_both_questions(desk: Desk) -> None:
    desk.plan(only=(PAIRS,))
    first = read(desk.file(PAIRS), IDS)
    done = desk.plan("--seed=3", only=(PAIRS,))
    second = read(desk.file(PAIRS).with_name(f"{PAIRS}.jsonl.new"), IDS)
    assert not {probe.questions for probe in first} & {probe.questions for probe in second}
    for sign, probes in (("-", first), ("+", second)):
        for probe in probes:
            assert f"{sign}[en] {' | '.join(probe.questions)}" in done.output


def test_what_a_person_changed_stays_and_is_shown(desk: Desk) -> None:
    desk.plan("--per-requirement=3")
    first, second, third = desk.file().read_text(encoding="utf-8").splitlines()
    own = {**json.loads(second), "question": "Is this one of mine?"}
    edited = f"{json.dumps(own)}\n\n{third}\n"
    desk.file().write_text(edited, encoding="utf-8")
    done = desk.plan("--per-requirement=3")
    assert done.status == 1
    assert desk.file().read_text(encoding="utf-8") == edited
    assert "-[en] Is this one of mine?" in done.output
    for line in (first, second):
        assert f"+[en] {json.loads(line)['question']}" in done.output
    assert json.loads(third)["question"] not in done.output


def test_a_file_beside_it_is_written_anew(desk: Desk) -> None:
    for seed in (1, 2, 3):
        desk.plan(f"--seed={seed}")
    beside = read(desk.file().with_name(f"{HARM}.jsonl.new"), IDS)
    assert {probe.provenance["seed"] for probe in beside} == {3}
    assert {probe.provenance["seed"] for probe in read(desk.file(), IDS)} == {1}


# Refusals


def test_a_refused_detector_gets_no_file_and_the_others_get_theirs(desk: Desk) -> None:
    desk.player.changes = {"pairs": always("prose"), "breaker": always("N")}
    done = desk.plan(only=(FAITHFUL, PAIRS, HARM, IMPLAUSIBLE))
    assert done.status == 1
    assert desk.files() == [f"{HARM}.jsonl", f"{IMPLAUSIBLE}.jsonl"]
    assert done.output.count("REFUSED") == 2
    assert f"REFUSED {FAITHFUL}: by its description the chatbot has no such task" in done.output
    assert re.search(rf"REFUSED {PAIRS}: 0 of 2 questions in 'en' for '.+' after 4 rounds; thrown away: ", done.output)


def test_a_refused_detector_leaves_an_earlier_file_as_it_is(desk: Desk) -> None:
    desk.plan()
    before = desk.file().read_bytes()
    desk.player.changes = {"inputs": always("prose")}
    assert desk.plan().status == 1
    assert (desk.file().read_bytes(), desk.files()) == (before, [f"{HARM}.jsonl"])


def test_a_refusal_is_shown_as_it_is(desk: Desk) -> None:
    desk.player.changes = {
        "requirements": always('{"requirements": ["The [bold]agent[/bold] must [/] not {lie}."]}'),
        "inputs": always('{"inputs": []}'),
    }
    done = desk.plan()
    assert "0 of 2 questions in 'en' for 'The [bold]agent[/bold] must [/] not {lie}.' after 4 rounds" in done.output
    assert done.status == 1


@pytest.mark.parametrize(
    ("fault", "said"),
    [
        (BOOM, "boom"),
        (Turn("slow down", status=429, headers={"Retry-After": "0"}), "HTTP 429: slow down"),
        (Turn(reset=True), "Connection error"),
        (Turn(seconds=3.0), "--bias-timeout"),
    ],
    ids=["500", "429", "reset", "hang"],
)
def test_a_fault_of_one_detector_is_a_refusal(desk: Desk, fault: Turn, said: str) -> None:
    desk.player.changes = {"pairs": always(replace(fault))}
    done = desk.plan("--bias-timeout=1.2", only=(PAIRS, HARM))
    assert (done.status, done.errors) == (1, "")
    assert re.search(rf"REFUSED {PAIRS}: .*", done.output)
    if fault.seconds == 0:  # whose time-out it is, litellm's or ours, is a matter of chance
        assert said in done.output
    assert desk.files() == [f"{HARM}.jsonl"]


# A generator that cannot be called at all


def test_a_wrong_key_stops_at_once_with_one_message(desk: Desk) -> None:
    desk.endpoint.play = lambda body: Turn("Incorrect API key provided.", status=401)
    done = desk.plan("--bias-retries=2", only=DETECTORS)
    assert (done.status, len(desk.endpoint.requests), desk.files()) == (4, 1, [])
    assert done.errors.startswith("ERROR: ")
    assert "HTTP 401: Incorrect API key provided. (check the key in the environment" in done.errors
    assert done.errors.count("401") == 1
    assert "Traceback" not in done.output + done.errors


@pytest.mark.parametrize(
    ("fault", "requests"),
    [(Turn("which model?", status=404), 1), (BOOM, 2), (Turn(reset=True), 2), (Turn(seconds=3.0), 2)],
    ids=["404", "500", "reset", "hang"],
)
def test_an_endpoint_that_fails_stops_the_command(desk: Desk, fault: Turn, requests: int) -> None:
    desk.endpoint.play = lambda body: fault
    timeout = "--bias-timeout=0.4" if fault.seconds else "--bias-timeout=5"
    done = desk.plan("--bias-retries=1", timeout)
    assert (done.status, len(desk.endpoint.requests), desk.files()) == (4, requests, [])
    assert done.errors.startswith("ERROR: ")


def test_nobody_listening_stops_the_command(desk: Desk) -> None:
    with scripted_endpoint() as gone:
        pass
    done = desk.plan(f"--judge-url={gone.url}")
    assert done.status == 4
    assert f"at {gone.url}: " in done.errors
    assert "Connection error" in done.errors


# Wrong use


@pytest.mark.parametrize("name", ["llm_nonsense", "llm_prompt_injection", "stereotypes"])
def test_an_unknown_detector_is_refused_with_those_that_are_known(desk: Desk, name: str) -> None:
    done = desk.plan(only=(HARM, name))
    assert (done.status, desk.endpoint.requests) == (4, [])
    assert done.errors.startswith(f"ERROR: --detector {name}: ")
    assert all(known in done.errors for known in DETECTORS)


def test_without_a_judge_nothing_can_be_planned(desk: Desk) -> None:
    done = desk.run(f"--description={ABOUT}", "--yes")
    assert (done.status, desk.endpoint.requests) == (4, [])
    assert done.errors == "ERROR: --judge MODEL must name the LLM that writes the questions"


MODEL = """\
def build(text=None):
    def answer(question):
        return "Yes."
    if text is not None:
        answer.description = text
    return answer
"""


@pytest.mark.parametrize("model", [(), ("--bias-model=app_of_the_plan:build",)], ids=["no_model", "untold"])
def test_without_a_description_nothing_can_be_planned(desk: Desk, model: tuple[str, ...]) -> None:
    (desk.folder / "app_of_the_plan.py").write_text(MODEL, encoding="utf-8")
    done = desk.plan("--description=", "-o", "pythonpath=.", *model)
    assert (done.status, desk.endpoint.requests) == (4, [])
    assert done.errors.startswith("ERROR: --description must say what the chatbot is for")


def test_the_model_under_test_says_what_it_is_for(desk: Desk) -> None:
    (desk.folder / "app_of_the_plan.py").write_text(MODEL, encoding="utf-8")
    model = "--bias-model=app_of_the_plan:build(text='Tells {newcomers} of the law.')"
    assert desk.plan("--description=", "-o", "pythonpath=.", model).status == 0
    about = [text for text in desk.asked() if "### AGENT DESCRIPTION" in text]
    assert len(about) == 2
    assert all("### AGENT DESCRIPTION\nTells {newcomers} of the law.\n" in text for text in about)


def test_what_is_given_goes_before_what_the_model_says(desk: Desk) -> None:
    assert desk.plan("--bias-model=nowhere:build").status == 0
    assert any(f"### AGENT DESCRIPTION\n{ABOUT}\n" in text for text in desk.asked())


def test_a_model_that_cannot_be_built_is_told(desk: Desk) -> None:
    done = desk.plan("--description=", "--bias-model=nowhere_at_all:build")
    assert (done.status, desk.endpoint.requests) == (4, [])
    assert done.errors.startswith("ERROR: --bias-model nowhere_at_all:build: ")


@pytest.mark.parametrize(
    ("argument", "status"),
    [
        ("--requirements=0", 2),
        ("--per-requirement=-1", 2),
        ("--samples=none", 2),
        ("--seed=x", 2),
        ("--bias-concurrency=0", 4),
        ("--bias-timeout=never", 4),
        ("--nonsense", 4),
    ],
)
def test_wrong_options_are_refused(desk: Desk, argument: str, status: int) -> None:
    done = desk.plan(argument)
    assert (done.status, desk.endpoint.requests, desk.files()) == (status, [], [])
    assert argument.partition("=")[0] in done.errors
    assert "Traceback" not in done.errors


def test_a_wrong_address_is_refused(desk: Desk) -> None:
    done = desk.plan("--judge-url=nonsense")
    assert (done.status, desk.endpoint.requests) == (4, [])
    assert done.errors.startswith("ERROR: --judge-url")


@pytest.mark.parametrize("given", ["", ",", " , "])
def test_no_language_is_refused(desk: Desk, given: str) -> None:
    done = desk.plan(f"--language={given}")
    assert (done.status, desk.endpoint.requests, desk.files()) == (4, [], [])


# Files that cannot be read or written


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("not JSON\n", f"{HARM}.jsonl:1: not JSON"),
        ("", f"{HARM}.jsonl: zero probes"),
        ('{"id": "one", "detector": "llm_harmful_content"}\n', f'{HARM}.jsonl:1: "requirement" must be a text'),
        (
            '\n{"id": "one", "detector": "nonsense", "requirement": "r", "language": "en"}',
            "unknown detector 'nonsense'",
        ),
        ("[]", f"{HARM}.jsonl:1: a probe is a JSON object"),
    ],
    ids=["no_json", "empty", "no_requirement", "other_detector", "list"],
)
def test_a_broken_file_that_is_there_is_an_error_and_stays(desk: Desk, content: str, said: str) -> None:
    desk.file().parent.mkdir()
    desk.file().write_text(content, encoding="utf-8")
    done = desk.plan()
    assert done.status == 1
    assert "REFUSED " in done.output
    assert said in done.output
    assert desk.file().read_text(encoding="utf-8") == content


def test_a_folder_in_the_place_of_a_file_is_an_error(desk: Desk) -> None:
    desk.file().mkdir(parents=True)
    done = desk.plan()
    assert done.status == 1
    assert "REFUSED " in done.output
    assert f"probes/{HARM}.jsonl" in done.output


def test_a_folder_that_cannot_be_written_is_an_error(desk: Desk) -> None:
    done = desk.plan("--out=pytest.ini")
    assert done.status == 4
    assert done.errors.startswith("ERROR: cannot write to --out pytest.ini: ")


def test_a_folder_that_cannot_be_written_costs_nothing(desk: Desk) -> None:
    desk.plan("--out=pytest.ini")
    assert desk.endpoint.requests == []


def test_a_file_that_is_no_utf_8_is_an_error(desk: Desk) -> None:
    desk.file().parent.mkdir()
    desk.file().write_bytes('{"question": "Où ?"}\n'.encode("latin-1"))
    done = desk.plan()
    assert done.status == 1
    assert f"probes/{HARM}.jsonl: " in done.output


def test_a_broken_file_does_not_cost_the_other_plans(desk: Desk) -> None:
    desk.file().parent.mkdir()
    desk.file().write_text("not JSON\n", encoding="utf-8")
    done = desk.plan(only=(HARM, PAIRS))
    assert done.status != 0
    assert f"{PAIRS}.jsonl" in desk.files()
    assert "Spent " in done.output


def test_paths_are_shown_as_they_are(desk: Desk) -> None:
    done = desk.plan("--out=plan[draft]")
    assert (desk.folder / "plan[draft]" / f"{HARM}.jsonl").exists()
    assert f"Wrote plan[draft]/{HARM}.jsonl: 2 probes" in done.output


# The key


def test_the_key_is_sent_and_never_shown(desk: Desk) -> None:
    given = ("--bias-judge=writer-1", f"--bias-judge-url={desk.endpoint.url}")
    desk.player.changes = {"pairs": always(Turn("no", status=403))}
    done = desk.plan(*given, only=(HARM, PAIRS))
    assert {headers["Authorization"] for _, _, headers in desk.endpoint.requests} == {f"Bearer {KEY}"}
    assert done.status == 1
    assert KEY not in done.output + done.errors
    assert KEY not in desk.file().read_text(encoding="utf-8")
    assert KEY not in json.dumps([body for _, body, _ in desk.endpoint.requests])


def test_the_key_is_sent_where_the_address_is_the_command_s_own(desk: Desk) -> None:
    assert desk.plan().status == 0
    assert {headers["Authorization"] for _, _, headers in desk.endpoint.requests} == {f"Bearer {KEY}"}


@pytest.mark.parametrize("status", [400, 401, 403, 404, 429, 500])
def test_the_key_is_in_no_message(desk: Desk, status: int) -> None:
    desk.endpoint.play = lambda body: Turn("no", status=status, headers={"Retry-After": "0"})
    done = desk.plan("--bias-judge=writer-1", f"--bias-judge-url={desk.endpoint.url}")
    assert done.status == 4
    assert KEY not in done.output + done.errors


def test_the_key_is_in_no_message_even_where_the_endpoint_repeats_it(desk: Desk) -> None:
    desk.endpoint.play = lambda body: Turn(f"Incorrect API key provided: {KEY}.", status=401)
    done = desk.plan("--bias-judge=writer-1", f"--bias-judge-url={desk.endpoint.url}")
    assert done.status == 4
    assert KEY not in done.errors


# In a process of its own


def outside(desk: Desk, *arguments: str, said: str = "") -> Done:
    """Run the command as a user does."""
    desk.endpoint.play = desk.endpoint.play or desk.player
    command = [sys.executable, "-c", "from bias_suite.cli import main; main()", "plan", "--judge=writer-1"]
    command += [f"--judge-url={desk.endpoint.url}", f"--description={ABOUT}", "--language=en", "--requirements=1"]
    command += ["--per-requirement=2", "--samples=2", *arguments]
    environment = {"PYTHONPATH": str(ROOT), "PATH": "/usr/bin:/bin", "HOME": str(desk.folder), "COLUMNS": "200"}
    done = subprocess.run(
        command, cwd=desk.folder, env=environment, input=said, capture_output=True, text=True, timeout=120, check=False
    )
    return Done(done.returncode, " ".join(done.stdout.split()), done.stderr)


def test_in_a_process_of_its_own_nothing_else_is_printed(desk: Desk) -> None:
    done = outside(desk, "--detector", PAIRS, "--yes")
    assert (done.status, done.errors) == (0, "")
    assert re.fullmatch(
        rf"1 detectors, languages en: about 1 calls of writer-1, .* asked for again\. "
        rf"Wrote probes/{PAIRS}.jsonl: 2 probes to review Spent \d calls, .*, price not known\.",
        done.output,
    )
    assert desk.files() == [f"{PAIRS}.jsonl"]
    assert len(read(desk.file(PAIRS), IDS)) == 2
