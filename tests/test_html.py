"""index.html: it tells what summary.json tells, holds the cases that fit, and nothing that was said breaks out."""

from __future__ import annotations

import json
import os
import random
import re
import subprocess
import sys
import tracemalloc
from collections.abc import Iterator
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from bias_suite.cases import Answer, Case, Judging, Verdict, make_case, to_line
from bias_suite.probes import Probe
from bias_suite.reporting import embedded, html
from bias_suite.reporting.summary import Row, document
from tests.gate_runs import Gate
from tests.hostile_bots import PAYLOADS, TOGETHER

RUN: dict[str, Any] = {
    "id": "r1",
    "started": "2026-11-01T08:30:00+00:00",
    "seconds": 71.5,
    "model": "bot@1",
    "judge": None,
    "probes_sha256": "0123456789abcdef" * 4,
    "git": "f" * 40,
    "settings": {"tolerance": 0.02, "limit": 0.1, "confidence": 0.95, "sample": 0, "trials": 1},
    "baseline": None,
    "python": "3.11.7",
}
MEASURES = [
    {
        "name": "refusal",
        "part": part,
        "value": value,
        "lower": round(value - 0.05, 2),
        "upper": round(value + 0.05, 2),
        "n": n,
        "signed": True,
    }
    for part, value, n in [
        ("", 0.1, 80),
        ("religion", 0.2, 40),
        ("religion: Muslims", 0.3, 20),
        ("religion: Jews", 0.1, 20),
    ]
]
# Beside these, a share that says nothing about a difference, however high.
MEASURES += [
    {"name": "accuracy", "part": part, "value": 1.0, "lower": 0.9, "upper": 1.0, "n": 40, "signed": False}
    for part in ("", "religion", "age")
]
ROWS = [
    Row("grounding", "fail", "the rate is above", 40, 40, 40, 8, 0, 0.2, 0.1, 0.33, 3.0, 40),
    Row(
        "counterfactual", "fail", "groups are treated differently", 80, 80, 80, 9, 0, 0.1, 0.05, 0.15, 9.0, 320,
        measures=json.dumps(MEASURES),
    ),
    Row("llm_faithfulness", "not_evaluated", "needs a judge"),
]  # fmt: skip


def case(number: int = 1, verdict: str = "failed", said: str = "No.", **probe: Any) -> Case:
    given = Probe(
        f"p{number:05d}",
        "grounding",
        "The assistant must not invent.",
        (f"Question {number}?", "And beside it?"),
        "en",
        f"t{number}",
        axis="religion",
        group="Muslims",
    )
    found = Verdict(verdict, f"because of {said}", said[:5])  # type: ignore[arg-type]
    answers = [Answer(said, ("a passage", said)), Answer("Yes.")]
    return make_case(replace(given, **probe), answers, found, model="bot@1")


def summary(**changes: Any) -> dict[str, Any]:
    return {**document({**RUN, **changes}, ROWS, {}, 1), "waivers": []}


def page(*cases: Case, told: dict[str, Any] | None = None) -> str:
    return "".join(html.render(told or summary(), lambda: cases))


class Parsed(HTMLParser):
    """A page, as a browser's parser splits it."""

    def __init__(self, text: str) -> None:
        """Read the text."""
        super().__init__(convert_charrefs=True)
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.scripts: dict[str | None, str] = {}
        self.text = ""
        self._script: str | bool | None = False
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        self.tags.append((tag, given))
        self.text += " "
        if tag in ("script", "style"):
            self._script = given.get("id", tag)
            self.scripts[self._script] = ""  # type: ignore[index]

    def handle_endtag(self, tag: str) -> None:
        if tag in ("script", "style"):
            self._script = False

    def handle_data(self, data: str) -> None:
        if self._script is False:
            self.text += data
        else:
            self.scripts[self._script] += data  # type: ignore[index]


def cases_of(text: str) -> list[dict[str, Any]]:
    """Return the cases that a page holds, with their shared texts."""
    data = json.loads(Parsed(text).scripts["data"])
    return [
        {
            **one,
            "requirement": data["texts"][one["requirement"]],
            "contexts": [data["texts"][place] for place in one["contexts"]],
        }
        for one in data["cases"]
    ]


# What it tells


def test_the_verdict_stands_on_top() -> None:
    text = Parsed(page()).text
    assert "The release is blocked" in text
    assert "2 of 3 detectors were evaluated" in " ".join(text.split())
    assert "Exit status 1: tests failed." in " ".join(text.split())
    assert "The release may go on" in Parsed(page(told={**summary(), "exit_status": 0})).text


def test_each_detector_has_its_figures_and_a_chart_in_words() -> None:
    text = page()
    plain = " ".join(Parsed(text).text.split())
    assert "8 / 40" in plain
    assert "10.0 to 33.0 %" in plain
    assert "+5.0 to +15.0 %" in plain
    assert '<title id="bar-0-title">grounding: failure rate</title>' in text
    assert "20.0 %, bounds 10.0 to 33.0 %; tolerance 2 %, limit 10 %" in text
    assert "Muslims: 30.0 %, from 25.0 to 35.0 %, n = 20" in text
    assert "needs a judge" in plain


def test_only_differences_between_groups_are_drawn_as_such() -> None:
    text = page(case())
    assert "counterfactual: refusal by religion" in text
    assert "counterfactual: accuracy" not in text


def test_ids_are_unique_and_what_refers_to_one_finds_it() -> None:
    text = page(case())
    tags = Parsed(text).tags
    ids = [given["id"] for _, given in tags if "id" in given]
    assert len(ids) == len(set(ids))
    wanted = {name for _, given in tags for name in (given.get("aria-labelledby") or "").split()}
    wanted |= {(given.get("xlink:href") or given.get("href") or "#main")[1:].partition("=")[0] for _, given in tags}
    assert {name for name in wanted if name not in ids} <= {"verdict"}  # what the script reads


def test_what_it_took_to_measure_the_judge_is_told_within_the_whole() -> None:
    took = Judging("judge-1", calls=120, retried=2, prompt_tokens=90_000, completion_tokens=1_200)
    rows = [Row("llm_harmful_content", "pass", "", calls=40, judge_calls=41, judge_prompt_tokens=10_000)]
    told = document(RUN, rows, {}, 0, lambda sent, received: (sent + received) / 1e6, measuring=took)
    text = page(told=told)
    assert "40 of the model, 161 of the judge (120 of them to measure it); 2 of them repeats" in text
    assert "100,000 sent, 1,200 received" in text
    assert "US$ 0.1012" in text
    plain = document(RUN, rows, {}, 0)
    assert "to measure it" not in page(told=plain)
    del plain["calls"]["measuring"]  # of an earlier version
    assert "41 of the judge; " in page(told=plain)


def test_what_the_judge_is_worth_is_told() -> None:
    rate = {"k": 30, "n": 33, "interval": [0.76, 0.97]}
    gold = {"sensitivity": rate, "specificity": rate, "errors": {**rate, "k": 0}, "doubt": "it misses too much"}
    judge = {"model": "openai/j", "identities": ["j@2"], "votes": 3, "temperature": 0, "seed": 1, "gold": gold}
    text = " ".join(Parsed(page(told=summary(judge=judge))).text.split())
    assert "openai/j (j@2), 3 votes on each answer" in text
    assert "it finds 30 of 33 (76.0 to 97.0 %) of the violations" in text
    assert "Not to be trusted: it misses too much" in text
    assert "It was not measured" in Parsed(page(told=summary(judge={**judge, "gold": None}))).text
    assert "No LLM judged" in Parsed(page()).text


def test_waivers_and_baseline_are_told() -> None:
    waiver = {"case": None, "requirement": "Be kind.", "detector": "grounding", "owner": "Ada", "reason": "known"}
    told = summary(baseline={"mode": "ratchet", "id": "b", "started": RUN["started"], "model": "bot", "git": "a" * 40})
    told["waivers"] = [{**waiver, "expires": "2026-01-31", "ended": True, "cases": 3}]
    told["detectors"][0]["baseline"] = {"status": "regression", "common": 40, "worse": 6, "better": 1}
    text = " ".join(Parsed(page(told=told)).text.split())
    assert "Compared with the accepted run of 2026-11-01 08:30 UTC, commit aaaaaaaaaaaa (ratchet)" in text
    assert "regression 40 6 worse, 1 better" in text
    assert "Be kind. grounding Ada known 2026-01-31 ended: its cases count again 3" in text


def test_a_run_in_which_nothing_was_evaluated_has_a_page_that_says_so() -> None:
    told = document(RUN, [Row("grounding", "not_evaluated", "was not run")], {}, 0)
    text = " ".join(Parsed(page(told=told)).text.split())
    assert "0 of 1 detectors were evaluated: none." in text
    assert "0 answers were judged: none." in text


# The cases


def test_a_case_is_there_with_all_that_was_said() -> None:
    (one,) = cases_of(page(case()))
    assert one["verdict"] == "failed"
    assert (one["question"], one["answer"], one["reason"], one["span"]) == (
        "Question 1?",
        "No.",
        "because of No.",
        "No.",
    )
    assert one["others"] == [{"question": "And beside it?", "answer": "Yes."}]
    assert one["contexts"] == ["a passage", "No."]
    assert (one["axis"], one["group"], one["language"]) == ("religion", "Muslims", "en")
    assert one["requirement"] == "The assistant must not invent."


def test_the_order_of_cases_and_the_time_change_nothing() -> None:
    cases = [case(number, "failed" if number % 7 == 0 else "passed") for number in range(60)]
    first = page(*cases)
    random.Random(3).shuffle(cases)
    assert page(*cases) == first
    found = cases_of(first)
    assert [one["verdict"] for one in found] == ["failed"] * 9 + ["passed"] * 51
    assert [one["probe"] for one in found[:9]] == sorted(one["probe"] for one in found[:9])


def test_two_processes_make_the_same_page(tmp_path: Path) -> None:
    (tmp_path / "summary.json").write_text(json.dumps(summary()), encoding="utf-8")
    (tmp_path / "cases.jsonl").write_text("".join(to_line(case(n)) for n in range(5)), encoding="utf-8")
    command = "import sys; from pathlib import Path; from bias_suite.reporting import html, summary; "
    command += "f = Path(sys.argv[1]); html.write(summary.read(f), f)"
    pages = []
    for seed in ("1", "2"):
        environment = {**os.environ, "PYTHONHASHSEED": seed, "TZ": "Asia/Tokyo" if seed == "1" else "UTC"}
        subprocess.run([sys.executable, "-c", command, str(tmp_path)], check=True, env=environment, timeout=60)
        pages.append((tmp_path / "index.html").read_bytes())
    assert pages[0] == pages[1]
    assert (tmp_path / "index.html").stat().st_mode & 0o077 == 0


@pytest.mark.parametrize("name", [*PAYLOADS, "together"])
def test_what_was_said_is_data_and_nothing_else(name: str) -> None:
    said = PAYLOADS.get(name, TOGETHER)
    told = summary(model=said)
    told["detectors"][0]["reason"] = said
    text = page(case(said=said, group=said, axis=said, requirement=said, questions=(said, said)), told=told)
    plain, hostile = Parsed(page(case())), Parsed(text)
    # The same elements as the tame page has, with the same attributes.
    assert [tag for tag, _ in hostile.tags] == [tag for tag, _ in plain.tags]
    assert not re.search(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ud800-\udfff]", text)
    assert text.encode("utf-8")
    assert len(cases_of(text)) == 1
    assert set(hostile.scripts) == {"style", "data", "script"}


def test_the_script_and_style_are_those_that_the_policy_allows() -> None:
    import base64
    import hashlib

    found = Parsed(page(case()))
    policy = next(given["content"] or "" for tag, given in found.tags if tag == "meta" and "http-equiv" in given)
    assert policy.startswith("default-src 'none'; ")
    for name, kind in (("style", "style-src"), ("script", "script-src")):
        digest = base64.b64encode(hashlib.sha256(found.scripts[name].encode()).digest()).decode()
        assert f"{kind} 'sha256-{digest}'" in policy
    assert not [given for _, given in found.tags if "style" in given or any(name.startswith("on") for name in given)]
    assert not re.findall(r"(?:src|href)=[\"']?(?:https?:)?//", page(case()))


def test_long_texts_are_cut_and_the_page_says_where_the_whole_is() -> None:
    (one,) = cases_of(page(case(said="x" * 1_000_000)))
    assert len(one["answer"]) < 4_100
    assert "1,000,000 characters, whole in cases.jsonl" in one["answer"]


def test_what_does_not_fit_is_counted_and_failures_come_first() -> None:
    cases = [case(number, "failed" if number % 10 == 0 else "passed") for number in range(500)]
    chosen = embedded.choose(lambda: cases, lambda one: one, most=100)
    assert chosen.shown == {"failed": 50, "passed": 50}
    assert chosen.counts == {"failed": 50, "passed": 450}
    small = embedded.choose(lambda: cases, lambda one: one, room=10_000)
    assert set(small.shown) == {"failed"}
    assert len("".join(small).encode()) <= 11_000


def many(number: int) -> Iterator[Case]:
    for place in range(number):
        yield case(place, "failed" if place % 20 == 0 else "passed", said=f"An answer of usual length, {place}. " * 20)


def test_ten_thousand_cases_fit_into_fifteen_megabytes() -> None:
    text = "".join(html.render(summary(), lambda: many(10_000)))
    assert len(text.encode()) < 15_000_000
    assert len(cases_of(text)) > 5_000
    assert "10,000 answers were judged: 500 failed, 9,500 passed." in " ".join(Parsed(text).text.split())


def test_cases_that_are_not_shown_are_not_held() -> None:
    tracemalloc.start()
    try:
        for _ in html.render(summary(), lambda: many(20_000)):
            pass
        _, most = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert most < 200_000_000


# The command, and whole runs


def test_a_run_writes_the_page_and_names_it_first(gate: Gate) -> None:
    result = gate.run("--bias-only=small", "--bias-html=yes", model="tests.bots:says_sorry(every=4)")
    text = (gate.reports / "index.html").read_text(encoding="utf-8")
    assert [one["verdict"] for one in cases_of(text)].count("failed") == 10
    wrote = [line for line in result.stdout.lines if line.startswith("Wrote ")]
    assert wrote[0].endswith("index.html")


def test_a_part_of_a_run_writes_none(gate: Gate) -> None:
    gate.run("--bias-only=small", "--bias-html=yes", "--bias-shard=1/2")
    assert not (gate.reports / "index.html").exists()


def test_personal_data_is_redacted(gate: Gate) -> None:
    (gate.folder / "app.py").write_text(
        "def build():\n    return lambda question: 'sorry, write to ada.lovelace@mail.example.org'\n", encoding="utf-8"
    )
    gate.run("--bias-only=small", "--bias-html=yes", model="app:build")
    assert "ada.lovelace" in (gate.reports / "cases.jsonl").read_text(encoding="utf-8")
    assert "ada.lovelace" not in (gate.reports / "index.html").read_text(encoding="utf-8")


def report(gate: Gate, *options: str) -> tuple[int, str]:
    command = [sys.executable, "-c", "from bias_suite.cli import main; main()", "report", "reports", *options]
    result = gate.pytester.run(*command, *gate.arguments()[:-1], timeout=60)
    return int(result.ret), result.stdout.str() + result.stderr.str()


def test_the_command_makes_the_same_page_again(gate: Gate) -> None:
    gate.run("--bias-only=small", "--bias-html=yes", model="tests.bots:says_sorry(every=4)")
    path = gate.reports / "index.html"
    before = path.read_bytes()
    path.unlink()
    status, text = report(gate)
    assert (status, path.read_bytes() == before) == (0, True), text


@pytest.mark.parametrize(
    ("content", "message"),
    [(None, "No such file"), ("{", "is no summary"), ("{}", "is no summary of schema 1")],
)
def test_the_command_says_what_is_wrong(gate: Gate, content: str | None, message: str) -> None:
    gate.reports.mkdir()
    if content is not None:
        (gate.reports / "summary.json").write_text(content, encoding="utf-8")
    status, text = report(gate)
    assert status == pytest.ExitCode.USAGE_ERROR
    assert message in " ".join(text.split())
    assert "Traceback" not in text
