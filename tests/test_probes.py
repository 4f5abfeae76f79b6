"""Probes files: reading, errors that name file and line, and the order in which probes are asked."""

from __future__ import annotations

import itertools
import json
import subprocess
import sys
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bias_suite.errors import ProbeError
from bias_suite.plan import BUILT_IN
from bias_suite.probes import Probe, fingerprint, ordered, read, read_folder, require_unique

ROOT = Path(__file__).resolve().parents[1]
DETECTORS = ("llm_prompt_injection", "llm_chars_injection", "canary_disclosure")
BUILT_INS = (*DETECTORS, "bbq", "counterfactual")
RECORD: dict[str, Any] = {
    "id": "one",
    "detector": "canary_disclosure",
    "requirement": "The assistant must not tell.",
    "question": "What is it?",
    "language": "en",
}
FULL: dict[str, Any] = RECORD | {
    "claim": "asks plainly",
    "axis": "nationality",
    "group": "direct",
    "cluster": "plain",
    "source": "tests",
    "severity": "minor",
    "check": {"kind": "phone", "numbers": [1, 2]},
}


def write(folder: Path, *records: object, name: str = "probes.jsonl") -> Path:
    file = folder / name
    lines = [record if isinstance(record, str) else json.dumps(record, ensure_ascii=False) for record in records]
    file.write_text("\n".join(lines), encoding="utf-8")
    return file


def without(name: str) -> dict[str, Any]:
    return {key: value for key, value in RECORD.items() if key != name}


# Reading


def test_a_line_with_all_fields_is_read(tmp_path: Path) -> None:
    (probe,) = read(write(tmp_path, FULL), DETECTORS)
    assert probe == Probe(
        id="one",
        detector="canary_disclosure",
        requirement="The assistant must not tell.",
        questions=("What is it?",),
        language="en",
        cluster="plain",
        claim="asks plainly",
        axis="nationality",
        group="direct",
        source="tests",
        severity="minor",
        check={"kind": "phone", "numbers": [1, 2]},
    )


def test_a_line_with_the_least_fields_is_a_cluster_of_its_own(tmp_path: Path) -> None:
    (probe,) = read(write(tmp_path, RECORD), DETECTORS)
    assert (probe.cluster, probe.severity, probe.source, probe.check) == ("one", "major", "bias-suite", {})
    assert (probe.claim, probe.axis, probe.group) == ("", None, None)


def test_null_in_an_optional_field_is_as_if_it_were_not_there(tmp_path: Path) -> None:
    optional = dict.fromkeys(("claim", "axis", "group", "cluster", "source", "severity"))
    assert read(write(tmp_path, RECORD | optional), DETECTORS) == read(write(tmp_path, RECORD), DETECTORS)


def test_several_questions_are_kept_in_order(tmp_path: Path) -> None:
    (probe,) = read(write(tmp_path, without("question") | {"questions": ["One?", "Two?", "One?"]}), DETECTORS)
    assert probe.questions == ("One?", "Two?", "One?")


def test_empty_lines_are_ignored_and_still_counted(tmp_path: Path) -> None:
    file = write(tmp_path, "", RECORD, "   ", "\t", RECORD | {"id": "two"}, "", "not JSON")
    with pytest.raises(ProbeError, match=r"probes\.jsonl:7: not JSON"):
        read(file, DETECTORS)
    assert [p.id for p in read(write(tmp_path, "", RECORD, " ", RECORD | {"id": "two"}, ""), DETECTORS)] == [
        "one",
        "two",
    ]


def test_windows_line_ends_are_read(tmp_path: Path) -> None:
    file = tmp_path / "probes.jsonl"
    file.write_bytes(f"{json.dumps(RECORD)}\r\n{json.dumps(RECORD | {'id': 'two'})}\r\n".encode())
    assert [probe.id for probe in read(file, DETECTORS)] == ["one", "two"]


@pytest.mark.parametrize("separator", ["\u2028", "\u2029", "\u0085", "\u001c", "\u000b", "\u000c"])
def test_what_other_tools_take_for_line_ends_stays_inside_a_question(tmp_path: Path, separator: str) -> None:
    question = f"First{separator}second?"
    record = RECORD | {"question": question}
    raw = write(tmp_path, json.dumps(record, ensure_ascii=separator < " "))
    (probe,) = read(raw, DETECTORS)
    assert probe.questions == (question,)


def test_control_characters_in_escapes_are_read(tmp_path: Path) -> None:
    (probe,) = read(write(tmp_path, RECORD | {"check": {"character": "\b"}, "question": "a\r\nb"}), DETECTORS)
    assert (probe.check, probe.questions) == ({"character": "\b"}, ("a\r\nb",))


texts = st.text(min_size=1).filter(str.strip)


@settings(max_examples=60)
@given(
    st.fixed_dictionaries(
        {
            "id": texts,
            "requirement": texts,
            "question": texts,
            "language": texts,
            "check": st.dictionaries(texts, st.none() | st.booleans() | st.integers() | st.text()),
        }
    )
)
def test_whatever_is_written_is_read(tmp_path_factory: pytest.TempPathFactory, record: dict[str, Any]) -> None:
    file = write(tmp_path_factory.mktemp("probes"), RECORD | record)
    (probe,) = read(file, DETECTORS)
    assert (probe.id, probe.requirement, probe.questions) == (
        record["id"],
        record["requirement"],
        (record["question"],),
    )
    assert (probe.language, probe.check) == (record["language"], record["check"])


# Errors name file and line


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("not JSON", "not JSON: Expecting value"),
        (json.dumps(RECORD)[:-1], "not JSON: Expecting ',' delimiter"),
        (json.dumps(RECORD) + json.dumps(RECORD), "not JSON: Extra data"),
        ('{"id": "a\tb"}', "not JSON: Invalid control character"),
        ("\ufeff" + json.dumps(RECORD), "not JSON: Unexpected UTF-8 BOM"),
        ([RECORD], "a probe is a JSON object, not list"),
        ("null", "a probe is a JSON object, not NoneType"),
        ('"text"', "a probe is a JSON object, not str"),
        (RECORD | {"question": None}, r'"question" must be a text that is not empty \(null\)'),
        (RECORD | {"question": ""}, r'"question" must be a text that is not empty \(""\)'),
        (RECORD | {"question": " \n"}, r'"question" must be a text that is not empty'),
        (RECORD | {"question": 7}, r'"question" must be a text that is not empty \(7\)'),
        (RECORD | {"question": ["a"]}, r'"question" must be a text that is not empty'),
        (RECORD | {"questions": ["a"]}, 'give either "question" or "questions"'),
        (without("question"), 'give either "question" or "questions"'),
        (without("question") | {"questions": []}, '"questions" must be a list with at least one text'),
        (without("question") | {"questions": "a"}, '"questions" must be a list with at least one text'),
        (without("question") | {"questions": None}, '"questions" must be a list with at least one text'),
        (without("question") | {"questions": ["a", None]}, r'"questions" must be a text that is not empty \(null\)'),
        (without("id"), r'"id" must be a text that is not empty \(missing\)'),
        (RECORD | {"id": 7}, r'"id" must be a text that is not empty \(7\)'),
        (without("detector"), r'"detector" must be a text that is not empty \(missing\)'),
        (without("requirement"), r'"requirement" must be a text that is not empty \(missing\)'),
        (without("language"), r'"language" must be a text that is not empty \(missing\)'),
        (RECORD | {"axis": ""}, r'"axis" must be a text that is not empty'),
        (RECORD | {"cluster": 3}, r'"cluster" must be a text that is not empty \(3\)'),
        (
            RECORD | {"detector": "llm_typo"},
            "unknown detector 'llm_typo'; detectors are canary_disclosure, llm_chars_injection, llm_prompt_injection",
        ),
        (RECORD | {"answer": "?"}, "unknown field 'answer'; fields are question, id, detector, requirement"),
        (RECORD | {"severity": "fatal"}, "severity 'fatal' is not one of minor, medium, major"),
        (RECORD | {"check": ["kind"]}, '"check" must be an object, not list'),
        (RECORD | {"check": None}, '"check" must be an object, not NoneType'),
        (RECORD | {"id": "first"}, "duplicate id 'first', first on line 1; rename one"),
    ],
)
def test_a_wrong_line_is_an_error_that_names_file_and_line(tmp_path: Path, line: object, message: str) -> None:
    file = write(tmp_path, RECORD | {"id": "first"}, RECORD | {"id": "second"}, "", line)
    with pytest.raises(ProbeError, match=message) as raised:
        read(file, DETECTORS)
    assert str(raised.value).startswith(f"{file}:4: ")
    assert "\n" not in str(raised.value)


def test_long_values_are_cut_in_messages(tmp_path: Path) -> None:
    with pytest.raises(ProbeError) as raised:
        read(write(tmp_path, RECORD | {"question": ["a" * 10_000]}), DETECTORS)
    assert len(str(raised.value)) < len(str(tmp_path)) + 200


@pytest.mark.parametrize("content", ["", "\n", "  \n\n"])
def test_a_file_without_probes_is_an_error(tmp_path: Path, content: str) -> None:
    with pytest.raises(ProbeError, match=r"probes\.jsonl: zero probes; add at least one line or remove the file"):
        read(write(tmp_path, content), DETECTORS)


def test_a_missing_file_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ProbeError, match=r"none\.jsonl: cannot read the probes file: .*No such file"):
        read(tmp_path / "none.jsonl", DETECTORS)


def test_a_file_that_is_not_utf_8_is_an_error(tmp_path: Path) -> None:
    file = tmp_path / "probes.jsonl"
    file.write_bytes(json.dumps(RECORD | {"question": "Où ?"}, ensure_ascii=False).encode("latin-1"))
    with pytest.raises(ProbeError, match=r"probes\.jsonl: cannot read the probes file: 'utf-8' codec can't decode"):
        read(file, DETECTORS)


# Folders


def test_a_folder_is_read_in_the_order_of_file_names(tmp_path: Path) -> None:
    write(tmp_path, RECORD | {"id": "later"}, name="b.jsonl")
    write(tmp_path, RECORD | {"id": "earlier"}, name="a.jsonl")
    write(tmp_path, "# notes", name="README.md")
    assert [probe.id for probe in read_folder(tmp_path, DETECTORS)] == ["earlier", "later"]


@pytest.mark.parametrize("name", ["missing", "file.jsonl"])
def test_what_is_no_folder_is_an_error_that_names_the_option(tmp_path: Path, name: str) -> None:
    write(tmp_path, RECORD, name="file.jsonl")
    with pytest.raises(ProbeError, match=rf"{name}: --bias-probes must name a folder with \*\.jsonl files"):
        read_folder(tmp_path / name, DETECTORS)


def test_a_folder_without_probes_files_is_an_error(tmp_path: Path) -> None:
    write(tmp_path, RECORD, name="probes.json")
    with pytest.raises(ProbeError, match=r"zero probes: no \*\.jsonl file here"):
        read_folder(tmp_path, DETECTORS)


def test_one_wrong_file_of_a_folder_is_an_error(tmp_path: Path) -> None:
    write(tmp_path, RECORD, name="a.jsonl")
    write(tmp_path, "", name="b.jsonl")
    with pytest.raises(ProbeError, match=r"b\.jsonl: zero probes"):
        read_folder(tmp_path, DETECTORS)


def test_an_id_in_two_files_is_an_error(tmp_path: Path) -> None:
    write(tmp_path, RECORD, name="a.jsonl")
    write(tmp_path, RECORD, name="b.jsonl")
    probes = read_folder(tmp_path, DETECTORS)
    with pytest.raises(ProbeError, match="duplicate id 'one' in two probes files of the plan; rename one"):
        require_unique(probes)


def test_different_ids_are_no_error(tmp_path: Path) -> None:
    probes = read(write(tmp_path, RECORD, RECORD | {"id": "two"}), DETECTORS)
    require_unique(probes)
    assert len(probes) == 2


def test_the_built_in_probes_are_read() -> None:
    assert {probe.detector for probe in read_folder(BUILT_IN, BUILT_INS)} == set(BUILT_INS)


# The order of asking


def probe(
    identifier: str, requirement: str = "r", axis: str | None = None, language: str = "en", cluster: str = ""
) -> Probe:
    return Probe(identifier, "canary_disclosure", requirement, ("?",), language, cluster or identifier, axis=axis)


plans = st.lists(
    st.builds(
        probe,
        st.text(max_size=4),
        st.sampled_from("rs"),
        st.sampled_from(["", "a", None]),
        st.sampled_from(["en", "fr"]),
        st.sampled_from("tuvw"),
    ),
    unique_by=lambda one: one.id,
    max_size=40,
)


def strata(probes: Sequence[Probe]) -> Counter[tuple[str, str, str]]:
    return Counter((one.requirement, one.axis or "", one.language) for one in probes)


@given(plans)
def test_ordering_keeps_every_probe(plan: list[Probe]) -> None:
    assert sorted(ordered(plan), key=lambda one: one.id) == sorted(plan, key=lambda one: one.id)


@given(plans, st.randoms(use_true_random=False))
def test_the_order_does_not_depend_on_the_order_of_files(plan: list[Probe], random: Any) -> None:
    shuffled = list(plan)
    random.shuffle(shuffled)
    assert ordered(shuffled) == ordered(plan)


@given(plans)
def test_every_prefix_is_in_proportion_to_the_plan(plan: list[Probe]) -> None:
    whole, asked = strata(plan), ordered(plan)
    for size in range(1, len(asked) + 1):
        part = strata(asked[:size])
        for stratum, members in whole.items():
            assert abs(part[stratum] - members * size / len(asked)) <= len(whole) + 1


# Not the files' stems as ids: those are names of detectors, by which the plugin finds crashed ones.
@pytest.mark.parametrize("file", sorted(BUILT_IN.glob("*.jsonl")), ids=lambda file: file.name)
def test_every_sample_of_the_built_in_plan_is_in_proportion(file: Path) -> None:
    plan = read(file, BUILT_INS)
    whole, asked = strata(plan), ordered(plan)
    off = {
        (size, stratum): difference
        for size in range(1, len(asked) + 1)
        for stratum, members in whole.items()
        if (difference := abs(strata(asked[:size])[stratum] - members * size / len(asked))) > 2
    }
    assert off == {}


@given(plans)
def test_each_cluster_of_a_stratum_is_asked_before_any_is_asked_again(plan: list[Probe]) -> None:
    by_stratum: dict[tuple[str, str, str], list[str]] = defaultdict(list)
    for one in ordered(plan):
        by_stratum[one.requirement, one.axis or "", one.language].append(one.cluster)
    for clusters in by_stratum.values():
        rounds = [clusters[:position].count(cluster) for position, cluster in enumerate(clusters)]
        assert rounds == sorted(rounds)


def test_a_sample_spreads_over_clusters() -> None:
    plan = [probe(f"{cluster}{number}", cluster=cluster) for cluster in "abcdefgh" for number in range(10)]
    assert Counter(one.cluster for one in ordered(plan)[:16]) == dict.fromkeys("abcdefgh", 2)


def test_the_order_is_not_that_of_the_file() -> None:
    plan = [probe(f"{number:03d}") for number in range(40)]
    assert ordered(plan) != plan


@pytest.mark.parametrize("seed", ["1", "2"])
def test_the_order_is_the_same_in_every_process(seed: str) -> None:
    program = (
        "from bias_suite.probes import Probe, ordered; "
        "names = [str(number) for number in range(30)]; "
        "plan = [Probe(name, 'd', 'r' * (len(name)), ('?',), 'en', name) for name in names]; "
        "print(*(one.id for one in ordered(plan)))"
    )
    environment = {"PYTHONHASHSEED": seed, "PYTHONPATH": str(ROOT)}
    run = subprocess.run([sys.executable, "-c", program], env=environment, capture_output=True, text=True, check=True)
    plan = [probe(str(number), "r" * len(str(number))) for number in range(30)]
    assert run.stdout.split() == [one.id for one in ordered(plan)]


def test_adding_a_probe_moves_few_others() -> None:
    plan = [probe(f"{number:03d}") for number in range(100)]
    before = [one.id for one in ordered(plan)]
    after = [one.id for one in ordered([*plan, probe("new")]) if one.id != "new"]
    assert after == before


@given(st.text(st.characters(exclude_categories=())))
def test_any_id_can_be_ordered(identifier: str) -> None:
    plan = [probe(identifier), probe("other" + identifier)]
    assert len(ordered(plan)) == 2


# The fingerprint


@given(plans, st.randoms(use_true_random=False))
def test_the_fingerprint_does_not_depend_on_the_order(plan: list[Probe], random: Any) -> None:
    shuffled = list(plan)
    random.shuffle(shuffled)
    assert fingerprint(shuffled) == fingerprint(plan)


@pytest.mark.parametrize("name", sorted(Probe.__dataclass_fields__))
def test_the_fingerprint_changes_with_any_field(name: str) -> None:
    base = probe("one")
    changed: Any = {"questions": ("!",), "check": {"kind": "phone"}}.get(name, "changed")
    assert fingerprint([replace(base, **{name: changed}), probe("two")]) != fingerprint([base, probe("two")])


def test_the_fingerprint_changes_with_a_probe_more_or_less() -> None:
    prints = [fingerprint(plan) for plan in ([], [probe("one")], [probe("one"), probe("two")])]
    assert all(one != other for one, other in itertools.combinations(prints, 2))


def test_a_text_split_over_two_questions_is_another_plan() -> None:
    one = replace(probe("one"), questions=("a, b",))
    assert fingerprint([one]) != fingerprint([replace(one, questions=("a", "b"))])


def test_the_fingerprint_is_a_sha_256() -> None:
    assert len(bytes.fromhex(fingerprint([probe("one")]))) == 32


@given(st.text(st.characters(exclude_categories=())))
def test_any_text_has_a_fingerprint(text: str) -> None:
    assert fingerprint([probe(text)]) == fingerprint([probe(text)])
