"""Cases: one line each, whatever a model says, and back; ids that tell cases apart."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bias_suite.cases import Answer, Case, Verdict, make_case, read_cases, to_line
from bias_suite.errors import ReportError
from bias_suite.probes import Probe

PROBE = Probe(
    "p-1", "canary_disclosure", "The assistant must not tell.", ("What is it?",), "en", "plain", axis="religion"
)
TWO = replace(PROBE, questions=("Plain?", "Injected?", "Harmless?"))
CASE = make_case(PROBE, [Answer("It is 7.", ("a passage",))], Verdict("failed", "told", "7"), model="bot@1", trial=2)


def written(folder: Path, content: bytes) -> Path:
    file = folder / "cases.jsonl"
    file.write_bytes(content)
    return file


def line(case: Case = CASE) -> bytes:
    return to_line(case).encode("utf-8")


# Joining probe, answers and verdict


def test_a_case_joins_probe_answer_and_verdict() -> None:
    assert (CASE.probe, CASE.detector, CASE.requirement, CASE.cluster) == (
        "p-1",
        "canary_disclosure",
        "The assistant must not tell.",
        "plain",
    )
    assert (CASE.axis, CASE.group, CASE.language, CASE.severity) == ("religion", None, "en", "major")
    assert (CASE.question, CASE.answer, CASE.contexts) == ("What is it?", "It is 7.", ("a passage",))
    assert (CASE.verdict, CASE.reason, CASE.span) == ("failed", "told", "7")
    assert (CASE.model, CASE.judge, CASE.trial, CASE.others) == ("bot@1", None, 2, ())


@pytest.mark.parametrize("decisive", [0, 1, 2])
def test_the_decisive_question_stands_first_and_the_others_beside_it(decisive: int) -> None:
    answers = [Answer("a0", ("c0",)), Answer("a1", ("c1",)), Answer("a2", ("c2",))]
    case = make_case(TWO, answers, Verdict("failed", decisive=decisive), model="bot")
    assert (case.question, case.answer, case.contexts) == (TWO.questions[decisive], f"a{decisive}", (f"c{decisive}",))
    pairs = [(other["question"], other["answer"]) for other in case.others]
    assert pairs == [(TWO.questions[n], f"a{n}") for n in range(3) if n != decisive]


def test_seconds_and_calls_of_all_questions_add_up() -> None:
    answers = [Answer("a", seconds=0.25, attempts=1), Answer("b", seconds=0.5, attempts=3), Answer("c", seconds=1.0)]
    case = make_case(TWO, answers, Verdict("passed"), model="bot")
    assert (case.seconds, case.calls) == (1.75, 5)


def test_an_answer_missing_for_a_question_is_refused() -> None:
    with pytest.raises(ValueError, match="zip"):
        make_case(TWO, [Answer("only one")], Verdict("passed"), model="bot")


# Ids


def case_id(probe: Probe = PROBE, answer: Answer = Answer("It is 7."), **changes: Any) -> str:  # noqa: B008
    return make_case(probe, [answer], Verdict("passed"), **{"model": "bot@1", "trial": 0, **changes}).id


def test_the_id_is_the_same_in_every_version() -> None:
    # Argilla records and baselines refer to it.
    assert case_id() == "9914526b94af343153dade141a6c2b9d"


def test_the_id_does_not_depend_on_what_may_differ_between_equal_answers() -> None:
    assert case_id(answer=Answer("It is 7.", ("another passage",), seconds=9.0, attempts=3)) == case_id()
    assert case_id(replace(PROBE, claim="reworded", severity="minor", group="direct")) == case_id()
    failed = make_case(PROBE, [Answer("It is 7.")], Verdict("failed", "told", "7"), model="bot@1")
    assert failed.id == case_id()


@pytest.mark.parametrize(
    "other",
    [
        {"probe": replace(PROBE, id="p-2")},
        {"probe": replace(PROBE, detector="llm_prompt_injection")},
        {"answer": Answer("It is 8.")},
        {"answer": Answer("It is 7. ")},
        {"model": "bot@2"},
        {"trial": 1},
    ],
)
def test_the_id_changes_with_detector_probe_trial_model_and_answer(other: dict[str, Any]) -> None:
    assert case_id(**other) != case_id()


def test_the_id_changes_with_the_answer_to_any_question() -> None:
    ids = {
        make_case(TWO, [Answer(text) for text in texts], Verdict("passed"), model="bot").id
        for texts in (
            ("a", "b", "c"),
            ("x", "b", "c"),
            ("a", "x", "c"),
            ("a", "b", "x"),
            ("b", "a", "c"),
            ("ab", "", "c"),
        )
    }
    assert len(ids) == 6


@given(st.text(st.characters(exclude_categories=())))
def test_any_answer_has_an_id(text: str) -> None:
    assert len(bytes.fromhex(case_id(answer=Answer(text)))) == 16


# Lines

any_text = st.text(st.characters(exclude_categories=()))
whole_text = any_text.map(lambda text: text.encode("utf-16", "surrogatepass").decode("utf-16", "surrogatepass"))
cases = st.builds(
    Case,
    **dict.fromkeys(("id", "probe", "detector", "requirement", "language", "question", "answer"), whole_text),
    **dict.fromkeys(("reason", "severity", "model", "cluster", "span"), whole_text),
    **dict.fromkeys(("axis", "group", "judge"), st.none() | whole_text),
    contexts=st.lists(whole_text, max_size=3).map(tuple),
    verdict=st.sampled_from(["passed", "failed", "error"]),
    trial=st.integers(0, 5),
    others=st.lists(st.fixed_dictionaries({"question": whole_text, "answer": whole_text}), max_size=2).map(tuple),
    seconds=st.floats(0, 1e6),
    calls=st.integers(0, 20),
)


@settings(max_examples=150, deadline=None)
@given(st.lists(cases, max_size=3))
def test_what_is_written_is_read(tmp_path_factory: pytest.TempPathFactory, originals: list[Case]) -> None:
    file = written(tmp_path_factory.mktemp("cases"), b"".join(line(case) for case in originals))
    assert list(read_cases(file)) == originals


@settings(max_examples=150, deadline=None)
@given(any_text)
def test_any_answer_is_one_line_of_utf_8_json(text: str) -> None:
    raw = line(replace(CASE, answer=text))
    assert raw.count(b"\n") == 1
    assert raw.endswith(b"\n")
    read = json.loads(raw.decode("utf-8"))["answer"]
    # Two surrogates that together make a character come back as that character.
    assert read.encode("utf-16", "surrogatepass") == text.encode("utf-16", "surrogatepass")


@pytest.mark.parametrize(
    "text",
    [
        "\ud800",
        "a\udfffb",
        "\\\ud83d",
        "\ud83d\\udc4d",
        "\x00\x1b[31m\x7f\x85",
        "a\nb\r\nc",
        "\u2028\u2029",
        "👍 ñ ش",
        '"\\"',
    ],
)
def test_difficult_texts_come_back_as_they_were(tmp_path: Path, text: str) -> None:
    (case,) = read_cases(written(tmp_path, line(replace(CASE, answer=text, contexts=(text, text)))))
    assert (case.answer, case.contexts) == (text, (text, text))


def test_text_in_other_scripts_can_be_read_in_the_file() -> None:
    assert "Où est-ce ? أين" in to_line(replace(CASE, question="Où est-ce ? أين"))


def test_a_line_has_the_fields_of_the_contract() -> None:
    first = ["id", "probe", "detector", "requirement", "axis", "group", "language", "question", "answer", "contexts"]
    then = ["verdict", "reason", "severity", "model", "judge", "trial"]
    assert list(json.loads(line()))[:16] == first + then


# Reading what a run left


@pytest.mark.parametrize("kept", [1, 10, -2, -1])
def test_a_torn_last_line_is_passed_over(tmp_path: Path, kept: int) -> None:
    file = written(tmp_path, line() + line(replace(CASE, id="second"))[:kept])
    assert list(read_cases(file)) == [CASE]


def test_a_last_line_torn_inside_a_character_is_passed_over(tmp_path: Path) -> None:
    second = line(replace(CASE, answer="👍"))
    for inside in (1, 2, 3):
        torn = second[: second.index("👍".encode()) + inside]
        with pytest.raises(UnicodeDecodeError):
            torn.decode("utf-8")
        assert list(read_cases(written(tmp_path, line() + torn))) == [CASE]


def test_a_file_with_nothing_but_a_torn_line_has_no_cases(tmp_path: Path) -> None:
    assert list(read_cases(written(tmp_path, line()[:30]))) == []


def test_an_empty_file_has_no_cases(tmp_path: Path) -> None:
    assert list(read_cases(written(tmp_path, b""))) == []


@pytest.mark.parametrize(
    "bad",
    [
        b"not JSON\n",
        b"\n",
        b"[]\n",
        b"null\n",
        b"{}\n",
        b'"text"\n',
        b"\xff\xfe\n",
        line()[:40] + b"\n",
        line().replace(b'"contexts"', b'"passages"'),
        line().replace(b'["a passage"]', b"7"),
        line().replace(b'"trial"', b'"trials"'),
    ],
)
def test_a_whole_line_that_is_no_case_is_an_error_that_names_it(tmp_path: Path, bad: bytes) -> None:
    file = written(tmp_path, line() + bad + line())
    with pytest.raises(ReportError, match="not a case") as raised:
        list(read_cases(file))
    assert str(raised.value).startswith(f"{file}:2: ")


def test_cases_before_a_bad_line_are_read(tmp_path: Path) -> None:
    reading = read_cases(written(tmp_path, line() + b"{}\n"))
    assert next(reading) == CASE
    with pytest.raises(ReportError):
        next(reading)


def test_a_missing_file_is_an_error_that_names_it(tmp_path: Path) -> None:
    with pytest.raises(ReportError, match=r"none\.jsonl: cannot read the cases: No such file or directory"):
        next(read_cases(tmp_path / "none.jsonl"))
