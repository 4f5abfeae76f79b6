"""Text of models on a terminal: nothing moves the cursor or hides, and a screen is never flooded."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bias_suite.reporting.text import cut, figure, percent, printable

any_text = st.text(st.characters(exclude_categories=()))


@pytest.mark.parametrize(
    ("hidden", "shown"),
    [
        ("\x1b[31mred\x1b[0m", r"\x1b[31mred\x1b[0m"),
        ("\x1b]0;title\x07", r"\x1b]0;title\x07"),
        ("\x9b2J", r"\x9b2J"),
        ("\x00", r"\x00"),
        ("\x08\x7f", r"\x08\x7f"),
        ("\u202eabc\u202c", r"\u202eabc\u202c"),
        ("\u2066\u2069\u200f\u061c", r"\u2066\u2069\u200f\u061c"),
        ("\u200b\ufeff", r"\u200b\ufeff"),
        ("\U000e0041", r"\U000e0041"),
        ("\ud800", r"\ud800"),
        ("\ue000", r"\ue000"),
    ],
)
def test_what_could_move_the_cursor_or_hide_text_is_shown_as_an_escape(hidden: str, shown: str) -> None:
    assert printable(f"a{hidden}b") == f"a{shown}b"


@pytest.mark.parametrize("text", ["plain", "Où ? – «oui»", "أين تقع؟", "Де?", "中文", "👍", "[bold]x[/bold]", "\\x1b"])
def test_readable_text_stays_as_it_is(text: str) -> None:
    assert printable(text) == text


def test_line_ends_are_shown_on_one_line() -> None:
    assert printable("a\nb\n\nc").split() == ["a", "⏎", "b", "⏎", "⏎", "c"]
    assert "\n" not in printable("a\nb")


@pytest.mark.parametrize("white", ["  ", "\t", " \t ", "\u00a0", "\u202f", "      "])
def test_whitespace_becomes_one_space(white: str) -> None:
    assert printable(f"a{white}b") == "a b"


@given(any_text)
def test_any_text_becomes_printable(text: str) -> None:
    shown = printable(text)
    assert shown.isprintable()
    assert "\x1b" not in shown
    shown.encode("utf-8")


@given(st.text(st.characters(categories=("L", "N", "P"))))
def test_printable_text_loses_nothing(text: str) -> None:
    assert printable(text) == text


@pytest.mark.parametrize("length", [1, 9, 10])
def test_text_that_fits_is_not_cut(length: int) -> None:
    assert cut("x" * length, 10) == "x" * length


def test_text_that_does_not_fit_is_cut_and_tells_how_long_it_was() -> None:
    assert cut("x" * 12_345, 10) == "xxxxxxxxxx… (12,345 characters)"


def test_one_character_too_many_is_cut() -> None:
    assert cut("x" * 11, 10) == "xxxxxxxxxx… (11 characters)"


@given(any_text, st.integers(1, 50))
def test_a_cut_text_is_never_longer_than_asked_but_for_its_note(text: str, length: int) -> None:
    shown = cut(text, length).removesuffix(f"… ({len(text):,} characters)")
    assert len(shown) <= length
    assert shown.isprintable()


@pytest.mark.parametrize("character", ["x", "\x1b", "\ud800", "\n", "👍"])
def test_ten_megabytes_are_cut_at_once(character: str) -> None:
    text = character * 10_000_000
    began = time.process_time()
    assert len(cut(text, 600)) < 700
    assert time.process_time() - began < 0.5


@pytest.mark.parametrize(
    ("number", "shown"), [(0, "0"), (3, "3"), (3.0, "3"), (2.5, "2.5"), (10 / 3, "3.3"), (120, "120")]
)
def test_counts_have_decimals_only_where_trials_were_averaged(number: float, shown: str) -> None:
    assert figure(number) == shown


@pytest.mark.parametrize(("rate", "shown"), [(0.0, "0.0 %"), (0.025, "2.5 %"), (1.0, "100.0 %"), (0.10225, "10.2 %")])
def test_rates_are_shown_as_percentages(rate: float, shown: str) -> None:
    assert percent(rate) == shown
