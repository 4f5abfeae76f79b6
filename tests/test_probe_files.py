"""The probes files themselves: checks that hold for every plan, and those for prompt injections.

They read the files with the standard library's ``json`` alone, so that they judge the content and not the
loader (`bias_suite.probes` has its own tests).
"""

from __future__ import annotations

import itertools
import json
import re
import unicodedata
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[1]
FILES = sorted(path for folder in ("bias_suite/probes", "fixtures/probes") for path in (ROOT / folder).glob("*.jsonl"))
NAMES = [str(path.relative_to(ROOT)) for path in FILES]
INJECTIONS = ROOT / "bias_suite" / "probes" / "llm_prompt_injection.jsonl"

REQUIRED_KEYS = ("id", "detector", "requirement", "claim", "language", "cluster", "group", "source")
KEBAB_CASE = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*")
# ISO 639-1.
_EUROPEAN_UNION = "bg cs da de el en es et fi fr ga hr hu it lt lv mt nl pl pt ro sk sl sv"
_OTHERS = "am ar be ca eu fa hi is ka ku nb no ps ru so sq sr sw ti tr uk ur vi zh"
LANGUAGES = frozenset(f"{_EUROPEAN_UNION} {_OTHERS}".split())
MOST_ALIKE = 0.8

Row = dict[str, Any]


def rows(path: Path) -> list[Row]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").split("\n") if line.strip()]


def questions(row: Row) -> list[str]:
    if row["detector"] == "bbq":  # a template: what it asks about stands in its parts
        return [row["check"][part] for part in ("ambiguous", "disambiguated", "negative", "non_negative")]
    return list(row["questions"]) if "questions" in row else [row["question"]]


def words(text: str) -> list[str]:
    """The words of a text; case and punctuation do not count."""
    return re.findall(r"\w+", unicodedata.normalize("NFC", text).casefold().replace("_", " "))


def squeezed(text: str) -> str:
    """Letters and digits only: the strictest reading of "stands in the question"."""
    return "".join(words(text))


def expected(row: Row) -> list[str]:
    return list(row.get("check", {}).get("expected_strings", []))


def masked(row: Row) -> frozenset[str]:
    """The words of a probe's questions without what a copy would change: its digits and its markers."""
    markers = {word for text in expected(row) for word in words(text)}
    asked = (word for question in questions(row) for word in words(question))
    return frozenset("*" if word in markers else re.sub(r"\d+", "#", word) for word in asked)


def likeness(one: frozenset[str], other: frozenset[str]) -> float:
    """Jaccard index of two sets of words: |A and B| / |A or B|."""
    return len(one & other) / len(one | other) if one | other else 1.0


def near_duplicates(probes: list[Row], *, within_clusters: bool) -> list[tuple[str, str, float]]:
    sets = [(row, masked(row)) for row in probes]
    return [
        (row["id"], other["id"], round(likeness(bag, other_bag), 2))
        for (row, bag), (other, other_bag) in itertools.combinations(sets, 2)
        if (within_clusters or row["cluster"] != other["cluster"]) and likeness(bag, other_bag) >= MOST_ALIKE
    ]


def test_there_are_probes_files() -> None:
    assert INJECTIONS in FILES


@pytest.mark.parametrize("path", FILES, ids=NAMES)
def test_every_probe_has_the_required_keys_as_texts(path: Path) -> None:
    for row in rows(path):
        for key in REQUIRED_KEYS:
            assert isinstance(row.get(key), str), (row.get("id"), key)
            assert row[key].strip(), (row["id"], key)
        assert ("question" in row) != ("questions" in row), row["id"]
        assert all(isinstance(text, str) and text.strip() for text in questions(row)), row["id"]
        assert isinstance(row.get("check", {}), dict), row["id"]


@pytest.mark.parametrize("path", FILES, ids=NAMES)
def test_ids_are_kebab_case(path: Path) -> None:
    assert [row["id"] for row in rows(path) if not KEBAB_CASE.fullmatch(row["id"])] == []


@pytest.mark.parametrize("path", FILES, ids=NAMES)
def test_languages_are_known_codes(path: Path) -> None:
    assert {row["language"] for row in rows(path)} <= LANGUAGES


def test_ids_are_unique_over_all_files() -> None:
    counts = Counter(row["id"] for path in FILES for row in rows(path))
    assert [name for name, count in counts.items() if count > 1] == []


def test_no_detector_is_asked_the_same_question_twice() -> None:
    counts = Counter((row["detector"], *map(squeezed, questions(row))) for path in FILES for row in rows(path))
    assert [key for key, count in counts.items() if count > 1] == []


@pytest.mark.parametrize("path", FILES, ids=NAMES)
def test_probes_of_different_clusters_are_not_near_duplicates(path: Path) -> None:
    # Within a cluster copies are the point (templates); between clusters they would count as evidence twice.
    assert near_duplicates(rows(path), within_clusters=False) == []


def test_a_copy_with_another_marker_and_number_is_a_near_duplicate() -> None:
    row = {
        "detector": "d",
        "question": "On page 3, join FOO to BAR now, please.",
        "check": {"expected_strings": ["foo-bar"]},
    }
    copy = {
        "detector": "d",
        "question": "On page 47 join BAZ to QUX, please!",
        "check": {"expected_strings": ["baz-qux"]},
    }
    other = {"detector": "d", "question": "When do you open on page 3?", "check": {}}
    assert likeness(masked(row), masked(copy)) >= MOST_ALIKE
    assert likeness(masked(row), masked(other)) < MOST_ALIKE


# Prompt injections: judged by expected strings alone, so the strings have to be beyond doubt.


@pytest.fixture(scope="module")
def injections() -> list[Row]:
    return rows(INJECTIONS)


def test_injections_are_many_and_independent(injections: list[Row]) -> None:
    assert len(injections) >= 80
    assert len({row["cluster"] for row in injections}) >= 70
    assert near_duplicates(injections, within_clusters=True) == []


def test_each_injection_requirement_has_enough_probes(injections: list[Row]) -> None:
    counts = Counter(row["requirement"] for row in injections)
    assert 5 <= len(counts) <= 6
    assert min(counts.values()) >= 12
    assert all(requirement.startswith("The assistant must not ") for requirement in counts)


def test_injection_techniques_are_evenly_spread(injections: list[Row]) -> None:
    counts = Counter(row["group"] for row in injections)
    assert max(counts.values()) <= 2 * min(counts.values())


def test_injections_are_multilingual(injections: list[Row]) -> None:
    assert sum(row["language"] != "en" for row in injections) / len(injections) >= 0.35


def test_an_answer_that_quotes_the_question_is_no_hit(injections: list[Row]) -> None:
    quoted = [
        (row["id"], text) for row in injections for text in expected(row) if squeezed(text) in squeezed(row["question"])
    ]
    assert quoted == []


def test_expected_strings_are_not_found_by_accident(injections: list[Row]) -> None:
    assert [(row["id"], text) for row in injections for text in expected(row) if len(squeezed(text)) < 6] == []


def test_no_two_injections_share_a_marker(injections: list[Row]) -> None:
    markers = Counter(text for row in injections for text in {squeezed(text) for text in expected(row)})
    assert [text for text, count in markers.items() if count > 1] == []


def test_injection_checks_match_any_variant_in_any_case(injections: list[Row]) -> None:
    # word_matching stays off: Giskard 2.19 lower-cases the expected string but searches the raw answer, so
    # together with case_sensitive=false it misses every capital letter.
    for row in injections:
        flags = {key: value for key, value in row["check"].items() if key != "expected_strings"}
        assert expected(row), row["id"]
        assert all(isinstance(text, str) for text in expected(row)), row["id"]
        assert flags == {
            "all_expected_strings_must_be_found": False,
            "case_sensitive": False,
            "word_matching": False,
        }, row["id"]


def test_injections_link_to_reserved_hosts_only(injections: list[Row]) -> None:
    hosts = {host for row in injections for host in re.findall(r"https?://([\w-]+(?:\.[\w-]+)+)", row["question"])}
    assert hosts
    assert all(re.search(r"(^|\.)(example\.(org|com)|invalid)$", host) for host in hosts)
