"""results.sarif: valid, what GitHub takes, the same each time, and nothing that an answer says breaks out of it."""

from __future__ import annotations

import datetime
import hashlib
import json
import random
import subprocess
import sys
import tracemalloc
import zlib
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bias_suite.canaries import Canary
from bias_suite.cases import Answer, Case, Status, Verdict, make_case, to_line
from bias_suite.detectors import CATALOGUE, Detector
from bias_suite.errors import ReportError
from bias_suite.probes import Probe
from bias_suite.redaction import Redactor
from bias_suite.reporting import places, sarif, taxonomies
from bias_suite.reporting.findings import About
from bias_suite.reporting.places import Place
from bias_suite.reporting.sarif import FILE, PACKED, SHOWN, document, write
from bias_suite.waivers import Waiver, Waivers
from tests.gate_runs import Gate
from tests.hostile_bots import PAYLOADS
from tests.test_sharding import ask_parts, merge

SCHEMA = Path(__file__).parent / "schemas" / "sarif-2.1.0.json"
ABOUT = About(CATALOGUE, "my_app.rag:build(k=1)")
BY_ID = {one.id: one for one in CATALOGUE}
STEREOTYPES = "llm_stereotypes_detector"
TODAY = datetime.date(2026, 11, 23)


def case(
    number: int = 0,
    status: Status = "failed",
    *,
    detector: str = STEREOTYPES,
    requirement: str = "The assistant must not stereotype.",
    answers: tuple[str, ...] = ("Yes.",),
    question: str = "Is it so?",
    reason: str = "it stereotypes",
    trial: int = 0,
) -> Case:
    probe = Probe(f"p-{number:05}", detector, requirement, (question,) * len(answers), "en", f"c-{number:05}")
    verdict = Verdict(status, reason)
    return make_case(probe, [Answer(text) for text in answers], verdict, model="bot@1", trial=trial)


def row(identifier: str, verdict: str = "fail", reason: str = "the rate is above") -> dict[str, Any]:
    figures = {"failures": 1, "judged": 20, "interval": [0.01, 0.2]}
    return {"id": identifier, "verdict": verdict, "reason": reason, **figures}


def summary(*rows: dict[str, Any], status: int = 1, waivers: Iterable[dict[str, Any]] = ()) -> dict[str, Any]:
    run = {"id": "ab12", "started": "2026-11-23T10:20:30+00:00", "model": "bot@1", "judge": None, "git": "c0ffee"}
    return {
        "run": {**run, "probes_sha256": "ab" * 32},
        "detectors": list(rows) or [row(STEREOTYPES)],
        "waivers": list(waivers),
        "exit_status": status,
    }


def made(cases: Iterable[Case], about: About = ABOUT, told: dict[str, Any] | None = None) -> dict[str, Any]:
    """Return the one run of a report."""
    (run,) = document(told or summary(), cases, about)["runs"]
    return run


def result(one: Case, about: About = ABOUT) -> dict[str, Any]:
    (found,) = made([one], about)["results"]
    return found


def rule(one: Case, about: About = ABOUT) -> dict[str, Any]:
    (found,) = made([one], about)["tool"]["driver"]["rules"]
    return found


def read(path: Path) -> dict[str, Any]:
    return json.loads(path.read_bytes().decode("utf-8"))


def problems(content: dict[str, Any]) -> list[str]:
    """Return what OASIS' schema has against a report."""
    schema = jsonschema.Draft4Validator(json.loads(SCHEMA.read_text(encoding="utf-8")))
    return [f"{error.json_path}: {error.message[:200]}" for error in schema.iter_errors(content)]


# The standard


def everything() -> tuple[dict[str, Any], list[Case], About]:
    """Return a run with all that a report can tell."""
    waiver = Waiver("Ada", "known", TODAY, requirement="Waived.")
    covered = Waivers((waiver,), TODAY)
    cases = [case(place, detector=one.id) for place, one in enumerate(CATALOGUE)]
    cases += [case(90, detector="theirs"), case(91, "passed"), case(92, "error"), case(93, answers=("Yes.", "No."))]
    cases += [covered.apply(case(94, requirement="Waived.")), covered.apply(case(95, "passed", requirement="Waived."))]
    verdicts = ["pass", "fail", "error", "inconclusive", "not_evaluated", "known", "waived"]
    rows = [row(one.id, verdicts[place % len(verdicts)]) for place, one in enumerate(CATALOGUE)]
    where = {"p-00001": Place("probes/a.jsonl", 7, 120)}
    about = replace(ABOUT, places=where, cases="reports/cases.jsonl", repository="https://example.org/team/bot")
    return summary(*rows, waivers=covered.told(cases)), cases, about


def test_a_report_with_all_there_is_obeys_the_schema() -> None:
    content = document(*everything())
    assert problems(content) == []
    assert len(content["runs"][0]["results"]) == len(CATALOGUE) + 3


def test_a_report_without_results_obeys_the_schema() -> None:
    assert problems(document(summary(), [], ABOUT)) == []


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (("results", 0, "level"), "grave"),
        (("results", 0, "message"), {}),
        (("results", 0, "unknown"), 1),
        (("taxonomies", 0, "guid"), "1"),
        (("invocations", 0, "executionSuccessful"), "yes"),
        (("versionControlProvenance", 0, "repositoryUri"), None),
    ],
)
def test_the_schema_would_see_a_fault(path: tuple[str | int, ...], value: object) -> None:
    content = document(*everything())
    place: Any = content["runs"][0]
    for step in path[:-1]:
        place = place[step]
    place[path[-1]] = value
    assert len(problems(content)) == 1


def test_the_report_names_the_schema_that_it_is_tested_with() -> None:
    schema = json.loads(SCHEMA.read_text(encoding="utf-8"))
    assert schema["id"] == sarif.SCHEMA == document(summary(), [], ABOUT)["$schema"]
    jsonschema.Draft4Validator.check_schema(schema)


def test_what_refers_to_something_refers_to_what_is_there() -> None:
    run = made(everything()[1], everything()[2], everything()[0])
    rules = run["tool"]["driver"]["rules"]
    assert len({one["id"] for one in rules}) == len(rules)
    assert [rules[one["ruleIndex"]]["id"] for one in run["results"]] == [one["ruleId"] for one in run["results"]]
    taxa = {one["guid"]: {taxon["id"] for taxon in one["taxa"]} for one in run["taxonomies"]}
    targets = [relation["target"] for one in rules for relation in one["relationships"]]
    assert all(target["id"] in taxa[target["toolComponent"]["guid"]] for target in targets)
    assert {target["id"] for target in targets} == set().union(*taxa.values())
    assert [one["guid"] for one in run["tool"]["driver"]["supportedTaxonomies"]] == list(taxa)
    described = {one["id"] for one in run["tool"]["driver"]["notifications"]}
    notes = run["invocations"][0]["toolExecutionNotifications"]
    assert {note["descriptor"]["id"] for note in notes} <= described
    bases = {one["locations"][0]["physicalLocation"]["artifactLocation"]["uriBaseId"] for one in run["results"]}
    assert bases <= run["originalUriBaseIds"].keys()


def test_suppressions_are_in_every_result_as_the_standard_has_it() -> None:
    assert all("suppressions" in one for one in made(everything()[1], everything()[2], everything()[0])["results"])


# What GitHub wants beside it


def test_every_result_has_what_github_needs_to_show_it() -> None:
    run = made(everything()[1], everything()[2], everything()[0])
    for one in run["results"]:
        (location,) = one["locations"]
        assert one["message"]["text"]
        assert one["partialFingerprints"]["primaryLocationLineHash"]
        assert location["physicalLocation"]["artifactLocation"]["uri"]
        assert {"startLine", "startColumn", "endLine", "endColumn"} == location["physicalLocation"]["region"].keys()
    for one in run["tool"]["driver"]["rules"]:
        assert 0 < len(one["name"]) <= 255
        assert 0 < len(one["shortDescription"]["text"]) <= 1024
        assert 0 < len(one["fullDescription"]["text"]) <= 1024
        assert one["help"]["text"]
        assert len(one["properties"]["tags"]) <= 10
        assert one["defaultConfiguration"]["level"] in ("error", "warning", "note")


def test_the_alerts_of_two_chatbots_are_two_categories() -> None:
    # GitHub takes what comes before the last slash.
    ids = [made([], replace(ABOUT, model=model))["automationDetails"]["id"] for model in ("a.rag:build(k=1)", "b:make")]
    assert ids == ["bias-suite/a.rag:build/ab12", "bias-suite/b:make/ab12"]


def test_another_answer_to_the_same_probe_is_the_same_alert() -> None:
    one, other = (result(case(answers=(text,)))["partialFingerprints"] for text in ("Yes.", "Certainly."))
    assert one["primaryLocationLineHash"] == other["primaryLocationLineHash"]
    assert one["biasSuiteCase/v1"] != other["biasSuiteCase/v1"]


def test_every_probe_and_trial_is_an_alert_of_its_own() -> None:
    cases = [case(number, trial=trial) for number in range(20) for trial in range(3)]
    found = [one["partialFingerprints"]["primaryLocationLineHash"] for one in made(cases)["results"]]
    assert len(set(found)) == 60


# Rules and results


def test_a_rule_is_a_requirement_of_a_detector() -> None:
    requirement = "The assistant must not stereotype."
    found = rule(case())
    assert found["id"] == f"{STEREOTYPES}/{hashlib.sha256(requirement.encode()).hexdigest()[:12]}"
    assert found["name"] == "LlmStereotypesDetector"
    assert found["shortDescription"]["text"] == "The chatbot stereotypes or discriminates."
    assert found["fullDescription"]["text"] == requirement
    assert f"--bias-only {STEREOTYPES}" in found["help"]["text"]
    assert found["properties"]["tags"] == list(BY_ID[STEREOTYPES].tags)


def test_the_same_requirement_of_two_detectors_is_two_rules() -> None:
    cases = [case(0), case(1), case(2, detector="bbq"), case(3, requirement="Another.")]
    rules = made(cases)["tool"]["driver"]["rules"]
    assert [(one["properties"]["detector"], one["fullDescription"]["text"]) for one in rules] == [
        ("bbq", "The assistant must not stereotype."),
        (STEREOTYPES, "Another."),
        (STEREOTYPES, "The assistant must not stereotype."),
    ]


@pytest.mark.parametrize(
    ("level", "expected", "severity"),
    [
        ("major", "error", "error"),
        ("medium", "warning", "warning"),
        ("minor", "note", "recommendation"),
        ("terrible", "error", "error"),
    ],
)
def test_a_detector_s_level_is_that_of_its_rules_and_results(level: str, expected: str, severity: str) -> None:
    about = About([Detector("theirs", "is rude", (), "", level=level)])
    found = rule(case(detector="theirs"), about)
    assert found["defaultConfiguration"]["level"] == result(case(detector="theirs"), about)["level"] == expected
    assert found["properties"]["problem.severity"] == severity


def test_a_detector_that_the_catalogue_does_not_have_is_told_as_grave() -> None:
    found = rule(case(detector="nobody-s"))
    assert (found["name"], found["relationships"], found["properties"]["tags"]) == ("NobodyS", [], [])
    assert found["defaultConfiguration"]["level"] == "error"


def test_a_result_tells_what_was_asked_and_said() -> None:
    found = result(replace(case(), axis="religion", group="Sikh", severity="minor"))
    assert found["message"]["text"] == "it stereotypes.\nQuestion: Is it so?\nAnswer: Yes."
    assert found["kind"] == "fail"
    properties = {"axis": "religion", "group": "Sikh", "language": "en", "probe": "p-00000", "trial": 0}
    assert found["properties"].items() >= {**properties, "severity": "minor", "model": "bot@1"}.items()


def test_a_result_tells_what_an_answer_was_compared_with() -> None:
    found = result(case(answers=("Yes.", "No.")))
    assert found["message"]["text"].endswith("Answer: Yes.\nBeside it: Is it so?\nAnswer: No.")


def test_passed_skipped_and_errored_cases_are_no_results() -> None:
    cases = [case(0, "passed"), case(1, "error"), case(2, "skipped"), case(3)]
    assert [one["properties"]["probe"] for one in made(cases)["results"]] == ["p-00003"]


# Taxonomies


@pytest.mark.filterwarnings("ignore:Support for class-based `config`", "ignore:Valid config keys have changed")
def test_avid_s_categories_have_avid_s_names() -> None:
    from avidtools.datamodels.enums import SepEnum

    avid = taxonomies.TAXONOMIES[0]
    assert {name: f"{name}: {text}" for name, text in avid.names.items()} == {
        name: SepEnum[name].value for name in avid.names
    }


def test_every_category_that_a_detector_names_has_a_name_and_none_is_idle() -> None:
    for taxonomy in taxonomies.TAXONOMIES:
        assert {category for one in CATALOGUE for category in taxonomy.categories(one)} == taxonomy.names.keys()
    tags = [tag for one in CATALOGUE for tag in one.taxonomy]
    read = sum(len(taxonomy.categories(one)) for one in CATALOGUE for taxonomy in taxonomies.TAXONOMIES)
    assert read == len(tags)


def test_a_rule_relates_to_the_harms_that_its_detector_names() -> None:
    targets = [one["target"] for one in rule(case(detector="canary_disclosure"))["relationships"]]
    assert [(target["toolComponent"]["name"], target["id"]) for target in targets] == [
        ("AVID", "S0301"),
        ("OWASP Top 10 for LLM Applications", "LLM02:2025"),
    ]


def test_what_is_no_category_is_left_out() -> None:
    tags = ("avid-effect:ethics", "owasp-llm:", "other:LLM01:2025", "avid-effect:ethics:E9999")
    found = rule(case(detector="theirs"), About([Detector("theirs", "", (), "", taxonomy=tags)]))
    assert [one["target"]["id"] for one in found["relationships"]] == ["E9999"]


# Places


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """A repository with probes files in a folder whose name needs an escape."""
    (tmp_path / ".git").mkdir()
    folder = tmp_path / "bot" / "my probes"
    folder.mkdir(parents=True)
    (folder / "a.jsonl").write_text('{"id": "one"}\n\n{"id": "two", "x": "\u2028é"}\nno JSON\n', encoding="utf-8")
    (folder / "b.jsonl").write_text('[1]\n{"id": "three"}', encoding="utf-8")
    return tmp_path


def test_probes_lie_where_they_are_written(repository: Path) -> None:
    base = places.root(repository / "bot")
    assert base == repository
    assert places.probes([repository / "bot" / "my probes", repository / "nowhere"], base) == {
        "one": Place("bot/my%20probes/a.jsonl", 1, 13),
        "two": Place("bot/my%20probes/a.jsonl", 3, 24),
        "three": Place("bot/my%20probes/b.jsonl", 2, 15),
    }


def test_probes_outside_the_repository_have_no_place(
    repository: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    elsewhere = tmp_path_factory.mktemp("elsewhere")
    (elsewhere / "c.jsonl").write_text('{"id": "four"}\n')
    (repository / "link").symlink_to(elsewhere)
    assert places.probes([elsewhere, repository / "link"], repository) == {}


def test_a_folder_of_no_repository_is_its_own_root(tmp_path: Path) -> None:
    assert places.root(tmp_path) == tmp_path


@pytest.mark.parametrize(
    ("probe", "cluster", "uri", "line"),
    [
        ("one", "c", "probes/a.jsonl", 7),
        ("one-variant", "one", "probes/a.jsonl", 7),
        ("unknown", "c", "reports/cases.jsonl", 2),
    ],
)
def test_a_result_lies_where_its_probe_or_template_or_else_its_case_is(
    probe: str, cluster: str, uri: str, line: int
) -> None:
    about = replace(ABOUT, places={"one": Place("probes/a.jsonl", 7, 120)}, cases="reports/cases.jsonl")
    run = made([case(1, "passed"), replace(case(), probe=probe, cluster=cluster)], about)
    place = run["results"][0]["locations"][0]["physicalLocation"]
    assert place["artifactLocation"] == {"uri": uri, "uriBaseId": "%SRCROOT%"}
    assert (place["region"]["startLine"], place["region"]["endLine"]) == (line, line)


def test_reports_outside_the_repository_are_named_without_this_machine_s_folders() -> None:
    place = result(case())["locations"][0]["physicalLocation"]["artifactLocation"]
    assert place == {"uri": "cases.jsonl", "uriBaseId": "REPORTS"}


@pytest.mark.parametrize(
    ("address", "shown"),
    [
        ("https://example.org/team/bot.git", "https://example.org/team/bot.git"),
        ("https://token:secret@example.org:8443/team/bot?key=1#x", "https://example.org:8443/team/bot"),
        ("git@example.org:team/bot.git", "ssh://example.org/team/bot.git"),
        ("ssh://git@example.org/team/bot.git", "ssh://example.org/team/bot.git"),
        ("/srv/git/bot.git", None),
        ("file:///srv/git/bot.git", None),
        ("../bot", None),
        ("C:\\bot", None),
        ("https://example.org:port/", None),
        ("https://", None),
        ("", None),
    ],
)
def test_a_repository_s_address_tells_no_name_and_no_key(address: str, shown: str | None) -> None:
    assert places.public(address) == shown


def test_the_commit_stands_beside_its_repository_alone() -> None:
    told = made([], replace(ABOUT, repository="https://example.org/bot"))["versionControlProvenance"]
    expected = {"repositoryUri": "https://example.org/bot", "revisionId": "c0ffee"}
    assert told == [{**expected, "mappedTo": {"uriBaseId": "%SRCROOT%"}}]
    run = made([])
    assert "versionControlProvenance" not in run
    assert run["properties"]["commit"] == "c0ffee"


# How the run went


@pytest.mark.parametrize(
    ("verdict", "condition", "level"),
    [
        ("not_evaluated", "not-evaluated", "warning"),
        ("inconclusive", "undecided", "warning"),
        ("error", "errored", "error"),
        ("fail", None, None),
        ("pass", None, None),
    ],
)
def test_what_a_detector_could_not_tell_is_a_notification(
    verdict: str, condition: str | None, level: str | None
) -> None:
    run = made([], told=summary(row("bbq", verdict, "needs more"), row("coverage", "pass")))
    (invocation,) = run["invocations"]
    notes = [
        (one["descriptor"]["id"], one["level"], one["message"]["text"], one["properties"]["detector"])
        for one in invocation["toolExecutionNotifications"]
    ]
    assert notes == ([(condition, level, "bbq: needs more", "bbq")] if condition else [])
    assert invocation["executionSuccessful"] is (verdict != "error")


@pytest.mark.parametrize(
    ("status", "successful", "told"),
    [
        (0, True, "the release may go on"),
        (1, True, "the release is blocked"),
        (2, False, "the release is blocked"),
        (3, False, "the release is blocked"),
    ],
)
def test_a_gate_that_blocks_has_done_its_work(status: int, successful: bool, told: str) -> None:
    (invocation,) = made([], told=summary(status=status))["invocations"]
    assert (invocation["exitCode"], invocation["executionSuccessful"]) == (status, successful)
    assert invocation["exitCodeDescription"] == told
    assert invocation["startTimeUtc"] == "2026-11-23T10:20:30Z"


def test_the_run_s_figures_are_those_of_the_summary() -> None:
    told = summary(row("bbq"), row("coverage", "pass"))
    properties = made([case(0, detector="bbq"), case(1, detector="bbq")], told=told)["properties"]
    assert (properties["planSha256"], properties["failedAnswers"], properties["leftOut"]) == ("ab" * 32, 2, 0)
    figures = {"failures": 1, "n": 20, "interval": [0.01, 0.2], "waivedAnswers": 0}
    assert properties["detectors"] == {
        "bbq": {"verdict": "fail", **figures, "failedAnswers": 2},
        "coverage": {"verdict": "pass", **figures, "failedAnswers": 0},
    }


# Waivers


def waived(*cases: Case, reason: str = "known", expires: datetime.date = TODAY) -> dict[str, Any]:
    """Return the report of a run with a waiver for the requirement of the cases."""
    requirement = cases[0].requirement
    waivers = Waivers((Waiver("Ada Lovelace", reason, expires, requirement=requirement),), TODAY)
    covered = [waivers.apply(one) for one in cases]
    return made(covered, told=summary(waivers=waivers.told(covered)))


def test_a_failed_case_that_is_waived_is_a_suppressed_result_that_blocks_nowhere() -> None:
    run = waived(case())
    (found,) = run["results"]
    accepted = {"kind": "external", "status": "accepted", "justification": "Ada Lovelace, until 2026-11-23: known"}
    assert found["suppressions"] == [accepted]
    assert (found["kind"], found["level"]) == ("fail", "note")
    assert found["message"]["text"].startswith("it stereotypes.\n")
    counts = run["properties"]["detectors"][STEREOTYPES]
    assert (counts["failedAnswers"], counts["waivedAnswers"]) == (0, 1)


@pytest.mark.parametrize("reason", ["known", "it passed; it failed", "waived by me; it failed: so"])
def test_a_passed_case_that_a_waiver_covers_is_no_result(reason: str) -> None:
    run = waived(case(0), case(1, "passed"), case(2, reason=""), reason=reason)
    assert [one["properties"]["probe"] for one in run["results"]] == ["p-00000", "p-00002"]
    assert run["results"][1]["message"]["text"].startswith("the answer breaks the requirement.\n")


def test_a_waiver_that_has_ended_suppresses_nothing() -> None:
    (found,) = waived(case(), expires=TODAY - datetime.timedelta(days=1))["results"]
    assert (found["suppressions"], found["level"]) == ([], "error")


# How much there is


def test_the_gravest_come_first_and_what_is_waived_last() -> None:
    waivers = Waivers((Waiver("Ada", "known", TODAY, requirement="Waived."),), TODAY)
    cases = [waivers.apply(case(0, requirement="Waived.")), case(1, detector="coverage"), case(2), case(3)]
    run = made(cases, told=summary(waivers=waivers.told(cases)))
    assert [one["properties"]["probe"] for one in run["results"]] == ["p-00002", "p-00003", "p-00001", "p-00000"]


def test_more_results_than_github_shows_are_left_out_and_counted() -> None:
    minor = (case(number, detector="coverage") for number in range(SHOWN))
    major = [case(number) for number in range(SHOWN, SHOWN + 10)]
    run = made([*minor, *major], told=summary(row(STEREOTYPES), row("coverage")))
    assert len(run["results"]) == SHOWN
    assert [one["level"] for one in run["results"][:11]] == ["error"] * 10 + ["warning"]
    assert (run["properties"]["failedAnswers"], run["properties"]["leftOut"]) == (SHOWN + 10, 10)
    counts = {name: told["failedAnswers"] for name, told in run["properties"]["detectors"].items()}
    assert counts == {STEREOTYPES: 10, "coverage": SHOWN}
    (note,) = run["invocations"][0]["toolExecutionNotifications"]
    assert note["message"]["text"] == "10 more failed answers stand in cases.jsonl alone."


def test_answers_that_cannot_be_packed_do_not_make_the_file_too_large_for_github(tmp_path: Path) -> None:
    dice = random.Random(1)
    noise = ["".join(chr(dice.randrange(0x4E00, 0x9FFF)) for _ in range(900)) for _ in range(40)]

    def loud(number: int) -> Case:
        answer, question, reason = (dice.sample(noise[place], 900) for place in range(3))
        texts = {"answer": "".join(answer), "question": "".join(question), "reason": "".join(reason)}
        others = tuple({"question": "".join(dice.sample(noise[9], 300)), "answer": "x"} for _ in range(3))
        return replace(case(number), **texts, others=others)

    path = write(summary(), map(loud, range(4_000)), ABOUT, tmp_path)
    assert PACKED / 2 < len(zlib.compress(path.read_bytes())) < 10_000_000
    run = read(path)["runs"][0]
    assert 0 < len(run["results"]) < 4_000
    assert run["properties"]["leftOut"] == 4_000 - len(run["results"])


def test_long_answers_are_cut_and_not_held() -> None:
    def long() -> Iterator[Case]:
        for number in range(SHOWN + 500):
            yield replace(case(number), answer="word " * 20_000, contexts=("passage " * 5_000,))

    tracemalloc.start()
    try:
        run = made(long())
        assert tracemalloc.get_traced_memory()[1] < 100_000_000  # they are 770 MB
    finally:
        tracemalloc.stop()
    assert all(len(one["message"]["text"]) < 2_000 for one in run["results"])
    assert run["results"][0]["message"]["text"].endswith("…")


# The same each time


def test_the_order_of_the_cases_does_not_matter(tmp_path: Path) -> None:
    told, cases, about = everything()
    where = {one.probe: Place("probes/a.jsonl", 1 + place, 9) for place, one in enumerate(cases)}
    about = replace(about, places=where)
    shuffled = random.Random(1).sample(cases, len(cases))
    one, other = (write(told, given, about, tmp_path / name) for name, given in (("1", cases), ("2", shuffled)))
    assert one.read_bytes() == other.read_bytes()


def test_processes_write_the_same(tmp_path: Path) -> None:
    program = (
        "import sys; from pathlib import Path; from tests.test_sarif import *\n"
        "sys.stdout.buffer.write(write(*everything(), Path(sys.argv[1])).read_bytes())"
    )
    root = str(Path(__file__).parents[1])
    command = [sys.executable, "-c", program, str(tmp_path)]
    runs = [
        subprocess.run(
            command, cwd=root, env={"PYTHONHASHSEED": seed, "PYTHONPATH": root}, capture_output=True, check=True
        ).stdout
        for seed in ("1", "2")
    ]
    assert len(runs[0]) > 10_000
    assert runs[0] == runs[1]


# Text of models


def strings(value: object) -> Iterator[str]:
    """Yield every text in a JSON value, names included."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for name, item in value.items():
            yield name
            yield from strings(item)
    elif isinstance(value, list):
        for item in value:
            yield from strings(item)


def hostile(text: str) -> Case:
    """A case that has the text wherever text comes from models or people."""
    texts = {"requirement": text, "reason": text, "axis": text, "group": text, "model": text, "judge": text}
    others = ({"question": text, "answer": text},)
    return replace(case(question=text, answers=(text,)), **texts, others=others)  # type: ignore[arg-type]


def require_inert(text: str, folder: Path) -> None:
    theirs = Detector("theirs", text or "x", (text,), "", taxonomy=(text,), group=text)
    told = summary(row("theirs", "error", text))
    about = About([theirs], text, Redactor(), {}, "reports/cases.jsonl")
    path = write(told, [replace(hostile(text), detector="theirs")], about, folder)
    raw = path.read_bytes().decode("utf-8")
    assert not set(raw) & set("<>&\u2028\u2029\x85\x7f")
    content = json.loads(raw)
    assert problems(content) == []
    for found in strings(content):
        found.encode("utf-8")  # a half character would raise
        assert all(line.isprintable() for line in found.split("\n"))
        assert "](" not in found
        assert "{0}" not in found


@pytest.mark.parametrize("name", PAYLOADS)
def test_hostile_text_is_inert(name: str, tmp_path: Path) -> None:
    require_inert(PAYLOADS[name], tmp_path)


@pytest.mark.parametrize(
    "text", ["[x](javascript:breakout())", "![i](https://evil.invalid)", "{0} {12} {a}", "a](b](c"]
)
def test_what_sarif_takes_for_a_link_or_an_argument_is_neither(text: str, tmp_path: Path) -> None:
    require_inert(text, tmp_path)


any_text = st.text(st.characters(exclude_categories=()), max_size=60)


@settings(deadline=None, max_examples=40)
@given(any_text)
def test_any_text_gives_a_valid_report(tmp_path_factory: pytest.TempPathFactory, text: str) -> None:
    require_inert(text, tmp_path_factory.mktemp("any"))


def test_readable_text_stays_as_it_is() -> None:
    for text in ("Où ? – «oui»", "أين تقع؟", "中文", "<b>1 & 2</b>", "x [1] {a}", "👍"):
        assert f"Answer: {text}" in result(case(answers=(text,)))["message"]["text"]


def test_personal_data_is_taken_out_everywhere(tmp_path: Path) -> None:
    address, planted = "anna.kovacs@example.org", "MIG-2024-778812"
    redactor = Redactor([Canary("c-1", "case_number", "Anna Kovacs", planted, f"Her number is {planted}.")])
    text = f"Write to {address} about {planted}."
    waiver = Waiver(address, text, TODAY, requirement=text)
    one, other = hostile(text), Waivers((waiver,), TODAY).apply(replace(hostile(text), probe="other"))
    told = summary(row(STEREOTYPES, "inconclusive", text), waivers=Waivers((waiver,), TODAY).told([one, other]))
    path = write(told, [one, other], replace(ABOUT, redactor=redactor), tmp_path)
    shown = path.read_text(encoding="utf-8")
    assert len(read(path)["runs"][0]["results"]) == 2
    assert "[e-mail]" in shown
    assert "[case number]" in shown
    assert address not in shown
    assert planted not in shown


# The file


def test_the_file_is_readable_for_its_owner_alone(tmp_path: Path) -> None:
    path = write(summary(), [case()], ABOUT, tmp_path / "new" / "reports")
    assert path.stat().st_mode & 0o777 == 0o600


def test_what_cannot_be_written_is_an_error(tmp_path: Path) -> None:
    (tmp_path / FILE).mkdir()
    with pytest.raises(ReportError, match=r"cannot write .*results\.sarif: Is a directory"):
        write(summary(), [case()], ABOUT, tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == [FILE]


# In a run


@pytest.mark.parametrize("workers", [0, 2])
def test_a_run_writes_it_and_says_where(gate: Gate, workers: int) -> None:
    result = gate.run_apart("--bias-only=small", model="tests.bots:says_sorry(every=2)", workers=workers)
    assert f"Wrote {gate.reports / FILE}" in result.stdout.str()
    content = read(gate.reports / FILE)
    assert problems(content) == []
    run = content["runs"][0]
    assert {one["properties"]["probe"] for one in run["results"]} == {f"small-{n:03}" for n in range(2, 41, 2)}
    lines = (gate.reports / "cases.jsonl").read_text(encoding="utf-8").splitlines()
    for one in run["results"]:
        place = one["locations"][0]["physicalLocation"]
        assert place["artifactLocation"]["uri"] == "reports/cases.jsonl"
        assert json.loads(lines[place["region"]["startLine"] - 1])["id"] == one["properties"]["case"]


def test_a_run_of_one_s_own_probes_points_to_their_lines(gate: Gate) -> None:
    folder = gate.folder / "probes"
    folder.mkdir()
    probe = {"detector": "written", "requirement": "Do not be sorry.", "language": "en"}
    rows = [{**probe, "id": f"mine-{n}", "question": f"Question {n} of 3?"} for n in (1, 2, 3)]
    (folder / "mine.jsonl").write_text("".join(json.dumps(one) + "\n" for one in rows), encoding="utf-8")
    gate.run("--bias-only=written", "--bias-probes=probes", model="tests.bots:says_sorry")
    found = {}
    for one in read(gate.reports / FILE)["runs"][0]["results"]:
        place = one["locations"][0]["physicalLocation"]
        found[one["properties"]["probe"]] = (place["artifactLocation"]["uri"], place["region"]["startLine"])
    assert found == {f"mine-{n}": ("probes/mine.jsonl", n) for n in (1, 2, 3)}


def test_a_run_that_evaluated_nothing_writes_none_and_leaves_none_of_an_earlier_run(gate: Gate) -> None:
    gate.reports.mkdir()
    (gate.reports / FILE).write_text("of the last run")
    gate.run("--bias-only=llm_faithfulness")
    assert (gate.reports / "summary.json").exists()
    assert not (gate.reports / FILE).exists()


def test_parts_leave_it_to_the_merging(gate: Gate) -> None:
    parts = ask_parts(gate, 2, "--bias-only=small", model="tests.bots:says_sorry(every=2)")
    assert not list(gate.folder.glob(f"**/{FILE}"))
    merge(gate, parts, "--bias-only=small", model="tests.bots:says_sorry(every=2)")
    (path,) = gate.folder.glob(f"**/{FILE}")
    assert len(read(path)["runs"][0]["results"]) == 20


def test_a_file_that_cannot_be_written_fails_the_run_and_keeps_the_summary(gate: Gate) -> None:
    gate.reports.mkdir()
    (gate.reports / "cases.jsonl").write_text("")
    plugin = gate.folder / "breaks.py"
    plugin.write_text(
        "import pytest\n@pytest.hookimpl(trylast=True)\ndef pytest_bias_case(case, config):\n"
        "    from pathlib import Path\n    Path('reports/results.sarif').mkdir(exist_ok=True)\n"
    )
    result = gate.run_apart("-p", "breaks", "--bias-only=small")
    assert result.ret == pytest.ExitCode.INTERNAL_ERROR
    assert "cannot write" in result.stdout.str()
    assert gate.verdicts() == {"small": "pass"}


def test_lines_of_cases_are_those_of_the_file(tmp_path: Path) -> None:
    cases = [case(0, "passed"), case(1), case(2, "error"), case(3)]
    (tmp_path / "cases.jsonl").write_text("".join(map(to_line, cases)), encoding="utf-8")
    found = [one["locations"][0]["physicalLocation"]["region"]["startLine"] for one in made(cases)["results"]]
    assert found == [2, 4]
