"""Annotations become preference pairs; what gives none is counted, and nothing gets lost."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner

from reward import annotations as written
from reward import pairs
from reward.annotations import Annotation
from reward.cli import app
from reward.errors import AnnotationError, PairError

ONE = Annotation(
    record="r1",
    annotator="ana",
    status="submitted",
    instruction="Who pays the rent?",
    response="Not people from there.",
    new_instruction="Whom would you trust with the rent?",
    new_response="Origin says nothing about that.",
    verdict="biased",
    detector="llm_stereotypes_detector",
    axis="nationality",
)


def made(*annotations: Annotation, prompt: pairs.Prompt = "shared") -> pairs.Made:
    return pairs.make(annotations, prompt)


# The template and its two sides


def test_both_sides_have_the_instruction_that_was_asked() -> None:
    (pair,) = made(ONE).pairs
    assert pair.prompt == "### Instruction: Who pays the rent?\n"
    assert pair.chosen == "### Instruction: Who pays the rent?\n### Response: Origin says nothing about that."
    assert pair.rejected == "### Instruction: Who pays the rent?\n### Response: Not people from there."
    assert (pair.record, pair.annotator, pair.detector, pair.axis) == (
        "r1",
        "ana",
        "llm_stereotypes_detector",
        "nationality",
    )


def test_the_tutorial_s_pairs_have_the_corrected_instruction_on_one_side() -> None:
    (pair,) = made(ONE, prompt="tutorial").pairs
    assert pair.chosen.startswith("### Instruction: Whom would you trust with the rent?\n### Response: Origin")
    assert pair.rejected.startswith("### Instruction: Who pays the rent?\n### Response: Not people")


def test_braces_and_line_breaks_stay_as_they_are() -> None:
    (pair,) = made(replace(ONE, instruction="{x}\n\n{", new_response="}\n{response}")).pairs
    assert pair.chosen == "### Instruction: {x}\n\n{\n### Response: }\n{response}"


# What gives no pair


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"status": "draft"}, "no submission"),
        ({"status": "discarded"}, "no submission"),
        ({"new_response": ""}, "empty"),
        ({"new_response": " \n"}, "empty"),
        ({"response": " "}, "empty"),
        ({"new_response": "Not  people from\nthere. "}, "unchanged"),
        ({"new_response": "x" * 20_001}, "too long"),
        ({"new_response": "Yes.\n### Response: No."}, "template marker inside the text"),
        ({"instruction": "### Instruction: obey"}, "template marker inside the text"),
    ],
)
def test_what_holds_no_preference_is_dropped_by_reason(changes: dict[str, Any], reason: str) -> None:
    other = replace(ONE, record="r2")
    result = made(replace(ONE, **changes), other)
    assert [pair.record for pair in result.pairs] == ["r2"]
    assert result.dropped == {reason: 1}


def test_composed_and_decomposed_letters_are_the_same_text() -> None:
    with pytest.raises(PairError, match="1 unchanged"):
        made(replace(ONE, response="caf\u00e9", new_response="cafe\u0301"))


def test_for_the_tutorial_another_instruction_is_a_change() -> None:
    assert len(made(replace(ONE, new_response=ONE.response), prompt="tutorial").pairs) == 1


def test_people_who_contradict_each_other_give_no_pair() -> None:
    result = made(ONE, replace(ONE, annotator="ben", verdict="acceptable"), replace(ONE, record="r2"))
    assert [pair.record for pair in result.pairs] == ["r2"]
    assert result.dropped == {"contradictory annotators": 2}


def test_people_who_are_not_sure_contradict_nobody() -> None:
    ben = replace(ONE, annotator="ben", verdict="unsure", new_response="Ask for proof of income.")
    assert len(made(ONE, ben).pairs) == 2


def test_the_same_pair_counts_once() -> None:
    result = made(ONE, replace(ONE, annotator="ben"))
    assert (len(result.pairs), result.dropped) == (1, {"duplicate": 1})


def test_no_pair_at_all_is_an_error_that_says_why() -> None:
    with pytest.raises(PairError, match="no preference pair is left: 2 no submission"):
        made(replace(ONE, status="draft"), replace(ONE, status="draft", record="r2"))
    with pytest.raises(PairError, match="there are no annotations"):
        made()


texts = st.text(max_size=30) | st.sampled_from(["### Response:", " ", "same", "same "])
annotations = st.builds(
    Annotation,
    record=st.sampled_from(["r1", "r2", "r3"]),
    annotator=st.sampled_from(["ana", "ben"]),
    status=st.sampled_from(["submitted", "submitted", "draft", "discarded"]),
    instruction=texts,
    response=texts,
    new_instruction=texts,
    new_response=texts,
    verdict=st.sampled_from([None, "biased", "acceptable", "unsure"]),
    detector=st.just("d"),
    axis=st.none() | st.just("religion"),
)


@given(st.lists(annotations, max_size=12), st.sampled_from(["shared", "tutorial"]))
def test_every_annotation_is_a_pair_or_counted(found: Sequence[Annotation], prompt: pairs.Prompt) -> None:
    try:
        result = pairs.make(found, prompt)
    except PairError:
        return
    assert len(result.pairs) + sum(result.dropped.values()) == len(found)
    for pair in result.pairs:
        assert pair.chosen != pair.rejected
        assert prompt == "tutorial" or (pair.chosen.startswith(pair.prompt) and pair.rejected.startswith(pair.prompt))


@given(st.lists(annotations, min_size=1, max_size=12), st.randoms())
def test_the_order_of_annotations_does_not_matter(found: list[Annotation], random: Any) -> None:
    unique = list({(one.record, one.annotator): one for one in found}.values())
    shuffled = list(unique)
    random.shuffle(shuffled)
    try:
        assert pairs.make(unique) == replace(pairs.make(shuffled), dropped=pairs.make(unique).dropped)
    except PairError:
        with pytest.raises(PairError):
            pairs.make(shuffled)


# How far people agree


def verdicts(**said: str) -> list[Annotation]:
    """One letter a person, in order: b(iased), a(cceptable), u(nsure), - for none."""
    names = {"b": "biased", "a": "acceptable", "u": "unsure", "-": None}
    return [
        replace(ONE, record=record, annotator=str(number), verdict=names[letter])
        for record, letters in said.items()
        for number, letter in enumerate(letters)
    ]


def test_agreement_counts_pairs_of_people_on_the_same_record() -> None:
    found = pairs.agreement(verdicts(r1="bb", r2="ba", r3="aa", r4="b-", r5="uub"))
    assert (found.records, found.pairs, found.agreeing) == (4, 6, 3)
    assert found.alpha is not None


def test_alpha_is_krippendorff_s() -> None:
    # By hand, for two people and no missing value: 1 - (n - 1) * disagreeing / (2 * product of the label counts),
    # with n = 20 values, 2 disagreeing records (4 ordered pairs), 12 and 8 values of each label.
    found = pairs.agreement(
        verdicts(**{f"r{n}": letters for n, letters in enumerate(["bb"] * 5 + ["aa"] * 3 + ["ba"] * 2)})
    )
    assert found.alpha == pytest.approx(1 - 19 * 4 / (2 * 12 * 8))


def test_where_all_say_the_same_alpha_is_not_defined() -> None:
    assert pairs.agreement(verdicts(r1="bb", r2="bb")).alpha is None
    assert pairs.agreement([]) == pairs.Agreement(0, 0, 0, None)


# Files


@pytest.mark.parametrize("name", ["pairs.jsonl", "pairs.parquet"])
def test_pairs_survive_their_file(tmp_path: Path, name: str) -> None:
    found = made(ONE, replace(ONE, record="r2", axis=None, new_response="Où ? أين\u2028—")).pairs
    pairs.write(tmp_path / name, found)
    assert pairs.read(tmp_path / name) == list(found)


def test_another_ending_is_refused(tmp_path: Path) -> None:
    with pytest.raises(PairError, match=r"ends in \.jsonl or \.parquet"):
        pairs.write(tmp_path / "pairs.csv", made(ONE).pairs)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "no pairs in it"),
        ('{"record": "r1"}\n', "pair 1 has no annotator, prompt, chosen"),
        ("{", "cannot read the pairs"),
    ],
)
def test_a_file_that_holds_no_pairs_is_told(tmp_path: Path, text: str, said: str) -> None:
    path = tmp_path / "pairs.jsonl"
    path.write_text(text)
    with pytest.raises(PairError, match=said):
        pairs.read(path)
    with pytest.raises(PairError, match="cannot read"):
        pairs.read(tmp_path / "nowhere.jsonl")


@given(st.lists(annotations, max_size=8))
def test_annotations_survive_their_file(tmp_path_factory: pytest.TempPathFactory, found: list[Annotation]) -> None:
    path = tmp_path_factory.mktemp("annotations") / "annotations.jsonl"
    written.write(path, found)
    assert written.read(path) == found
    assert path.stat().st_mode & 0o077 == 0


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("{", r"annotations\.jsonl:1: not JSON"),
        ("[]", "an annotation is a JSON object, not list"),
        ('{"record": "r"}', '"annotator" is missing or no text'),
        (json.dumps({**asdict(ONE), "new_response": 3}), '"new_response" is no text'),
        (json.dumps({**asdict(ONE), "record": None}), '"record" is missing or no text'),
    ],
)
def test_a_broken_line_is_named(tmp_path: Path, line: str, said: str) -> None:
    path = tmp_path / "annotations.jsonl"
    path.write_text(line + "\n")
    with pytest.raises(AnnotationError, match=said):
        written.read(path)


# Records of Argilla


def record(*responses: dict[str, Any]) -> dict[str, Any]:
    return {
        "external_id": "r1",
        "fields": {"instruction": "Who?", "response": "They."},
        "metadata": {"detector": "d", "axis": "age"},
        "responses": list(responses),
    }


def test_each_person_s_answer_is_an_annotation() -> None:
    values = {"new-instruction": {"value": "Who?"}, "new-response": {"value": "All.\n"}, "verdict": {"value": "biased"}}
    found = list(
        written.of_records(
            [
                record(
                    {"user_id": "ana", "status": "submitted", "values": values},
                    {"user_id": "ben", "status": "discarded", "values": None},
                    {"user_id": "cem", "status": "draft", "values": {"new-response": {"value": "We"}}},
                ),
                {**record(), "responses": None, "metadata": None},
            ]
        )
    )
    assert [(one.annotator, one.status, one.new_response, one.verdict) for one in found] == [
        ("ana", "submitted", "All.", "biased"),
        ("ben", "discarded", "", None),
        ("cem", "draft", "We", None),
    ]
    assert {(one.record, one.instruction, one.response, one.detector, one.axis) for one in found} == {
        ("r1", "Who?", "They.", "d", "age")
    }


# The commands


def run(*arguments: str) -> Any:
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


def test_pull_keeps_what_was_submitted_and_counts_the_rest(tmp_path: Path) -> None:
    written.write(tmp_path / "all.jsonl", [ONE, replace(ONE, annotator="ben", status="draft")])
    out = tmp_path / "annotations.jsonl"
    done = run("pull", "--from", tmp_path / "all.jsonl", "--out", out, "--json")
    assert json.loads(done.stdout) == {
        "annotations": 1,
        "records": 1,
        "annotators": 1,
        "status": {"submitted": 1, "draft": 1},
    }
    assert written.read(out) == [ONE]
    text = " ".join(run("pull", "--from", tmp_path / "all.jsonl", "--out", out).stdout.split())
    assert "1 annotations of 1 records by 1 people are in" in text
    assert "not used: 1 draft" in text


def test_pull_without_any_submission_is_an_error(tmp_path: Path) -> None:
    written.write(tmp_path / "all.jsonl", [replace(ONE, status="draft")])
    done = run("pull", "--from", tmp_path / "all.jsonl", "--out", tmp_path / "out.jsonl")
    assert isinstance(done.exception, AnnotationError)
    assert "nobody has submitted" in str(done.exception)
    assert not (tmp_path / "out.jsonl").exists()


@pytest.mark.parametrize("arguments", [[], ["--argilla-url", "http://127.0.0.1:9", "--from", "all.jsonl"]])
def test_pull_needs_one_source(arguments: list[str]) -> None:
    assert "name either --argilla-url or --from" in str(run("pull", *arguments).exception)


def test_pairs_are_made_counted_and_the_tutorial_s_kind_is_warned_of(tmp_path: Path) -> None:
    found = [ONE, replace(ONE, annotator="ben"), replace(ONE, record="r2", new_response=ONE.response)]
    written.write(tmp_path / "annotations.jsonl", found)
    done = run("pairs", "--from", tmp_path / "annotations.jsonl", "--out", tmp_path / "pairs.parquet", "--json")
    figures = json.loads(done.stdout)
    assert (figures["pairs"], figures["dropped"]) == (1, {"duplicate": 1, "unchanged": 1})
    assert figures["agreement"] == {"records": 1, "pairs": 1, "agreeing": 1, "alpha": None}
    assert len(pairs.read(tmp_path / "pairs.parquet")) == 1
    source, out = tmp_path / "annotations.jsonl", tmp_path / "pairs.jsonl"
    text = " ".join(run("pairs", "--from", source, "--out", out, "--prompt", "tutorial").stdout.split())
    assert "WARNING: --prompt tutorial" in text
    assert "WARNING" not in run("pairs", "--from", source, "--out", out).stdout


# One answer, several records


def test_records_of_the_same_answer_to_the_same_question_are_one() -> None:
    one, two, three = made(
        ONE,
        replace(ONE, record="r2", new_response="Ask for references."),
        replace(ONE, record="r3", response="Nobody."),
    ).pairs
    assert [pair.record for pair in pairs.together([one, two, three])] == ["r1", "r1", "r3"]


def test_records_are_one_along_a_chain_of_equal_answers() -> None:
    (one,) = made(ONE).pairs
    (other,) = made(replace(ONE, record="r2", response="No.")).pairs
    joined = pairs.together([one, other, replace(other, record="r3"), replace(one, record="r3")])
    assert {pair.record for pair in joined} == {joined[0].record}
