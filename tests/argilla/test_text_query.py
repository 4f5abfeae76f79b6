"""Text search as Argilla's users know it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fixtures.argilla.text_query import parse, words

TEXT = "She said that nurses are well-paid; 50% of the ÄRZTE agree."


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("nurses", True),
        ("NURSES said", True),
        ("nurse", False),
        ("nurse*", True),
        ("said nurse*", True),
        ("unsaid nurse*", False),
        ("ärzte", True),
        ("well-paid", True),
        ("paid-well", True),
        ('"well-paid"', True),
        ('"paid-well"', False),
        ('"nurses are', True),
        ('"are nurses"~2', False),
        ("nurses~1", True),
        ("-doctors", True),
        ("-nurses", False),
        ("--nurses", True),
        ("said -nurses", False),
        ('said -"are paid"', True),
        ("doctors | nurses", True),
        ("doctors + nurses", False),
        ("doctors | nurses lawyers", False),
        ("lawyers doctors | nurses", True),
        ("lawyers (doctors | nurses)", False),
        ("said -(doctors | lawyers)", True),
        ("said (doctors | nurses", True),
        ("said ) doctors", True),
        ("said %", True),
        (r"said\|that", True),
        ("%", False),
        ("", False),
        ("()", False),
        ("| nurses", True),
    ],
)
def test_a_query_finds_what_elasticsearch_would(query: str, found: bool) -> None:
    assert parse(query)([words(TEXT)]) is found


def test_words_may_be_in_different_fields_but_a_phrase_is_in_one() -> None:
    fields = [words("nurses are"), words("women")]
    assert parse("nurses women")(fields)
    assert not parse('"are women"')(fields)
    assert not parse("nurses -women")(fields)


def test_a_long_text_is_a_query() -> None:
    text = " ".join(f"word{number}" for number in range(5000))
    assert parse(text)([words(text)])
    assert not parse(text + " other")([words(text)])


@given(st.text(st.sampled_from('ab -+|()"*~1\\ä\n')), st.lists(st.text("abä \n-")))
def test_whatever_is_typed_gets_an_answer(query: str, fields: list[str]) -> None:
    assert parse(query)([words(field) for field in fields]) in (True, False)


@given(st.lists(st.text("abcäß", min_size=1), min_size=1))
def test_a_text_is_found_by_its_words_and_as_a_phrase(text: list[str]) -> None:
    found = [words(" ".join(text))]
    assert parse(" ".join(text))(found)
    assert parse(f'"{" ".join(text)}"')(found)
    assert not parse("-" + text[0])(found)
