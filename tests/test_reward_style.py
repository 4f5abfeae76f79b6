"""A model of looks finds what only looks tell, and nothing that words tell."""

from __future__ import annotations

import random
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from reward import style
from reward.pairs import TEMPLATE, Pair

WORDS = ("amber", "birch", "cedar", "delta", "ember", "flint", "grove", "heath", "ivory", "jetty")
ARABIC = ("كتاب", "شباك", "حديد", "طريق", "صغير", "كبير", "جميل", "قديم")


def pair(chosen: str, rejected: str, record: str = "r1", instruction: str = "Who pays?") -> Pair:
    return Pair(
        record=record,
        annotator="ana",
        prompt=f"### Instruction: {instruction}\n",
        chosen=TEMPLATE.format(instruction=instruction, response=chosen),
        rejected=TEMPLATE.format(instruction=instruction, response=rejected),
        detector="d",
        axis=None,
    )


def drawn(better: Callable[[list[str]], str], count: int, seed: int, words: tuple[str, ...] = WORDS) -> list[Pair]:
    """Pairs of random words, of which `better` writes the chosen ones, and the rejected ones have a space between."""
    rng = random.Random(seed)
    return [pair(better(rng.choices(words, k=6)), " ".join(rng.choices(words, k=6)), f"r{n}") for n in range(count)]


def right(weights: dict[str, float], pairs: list[Pair]) -> float:
    chosen = style.scores(weights, [one.chosen for one in pairs])
    rejected = style.scores(weights, [one.rejected for one in pairs])
    return float(((np.sign(chosen - rejected) + 1) / 2).mean())


# Length


def test_the_instruction_is_no_part_of_the_length() -> None:
    texts = [TEMPLATE.format(instruction="x" * 500, response=response) for response in ("", "no", "réponse")]
    assert style.lengths([*texts, "no template"]).tolist() == [0, 2, 7, 11]
    assert style.lengths([]).shape == (0,)


def test_which_length_is_preferred_is_what_more_of_the_pairs_say() -> None:
    longer, shorter = pair("a long answer", "short"), pair("short", "a very, very long answer")
    assert style.prefers([longer, longer, shorter]) == "longer"
    assert style.prefers([longer, shorter, shorter]) == "shorter"
    assert style.prefers([longer, shorter]) == "longer"
    assert style.prefers([pair("same", "size")]) == "longer"


def test_how_much_longer_does_not_matter() -> None:
    assert style.prefers([pair("x" * 9999, ""), pair("a", "bc"), pair("a", "bc")]) == "shorter"


# Looks


@pytest.mark.parametrize(
    ("better", "words"),
    [
        (", ".join, WORDS),
        (lambda words: " ".join(words) + "!", WORDS),
        (lambda words: " ".join(words) + "?", WORDS),
        ("\n".join, WORDS),
        (lambda words: " ".join(words).title(), WORDS),
        (lambda words: f"“{' '.join(words)}”", WORDS),
        (lambda words: " ".join(words) + " 2024", WORDS),
        (lambda words: ". ".join(words) + ".", WORDS),
        (lambda words: " ".join(words[:3]), WORDS),
        ("، ".join, ARABIC),
        (lambda words: " ".join(words) + "؟", ARABIC),
        (lambda words: "؟ ".join(words) + "؟", ARABIC),
        (lambda words: f"«{' '.join(words)}»", ARABIC),
        (lambda words: " ".join(words) + " ٢٠٢٤", ARABIC),
    ],
)
def test_a_style_of_the_chosen_responses_is_found(better: Callable[[list[str]], str], words: tuple[str, ...]) -> None:
    weights = style.fit(drawn(better, 40, seed=0, words=words))
    assert set(weights) == set(style.FEATURES)
    assert right(weights, drawn(better, 40, seed=1, words=words)) == 1.0


def test_a_style_of_the_rejected_responses_is_found_as_well() -> None:
    learned, new = (drawn(", ".join, 40, seed) for seed in (0, 1))
    turned = [pair(one.rejected.split("### Response: ")[1], one.chosen.split("### Response: ")[1]) for one in learned]
    assert right(style.fit(turned), new) == 0.0


@pytest.mark.parametrize("words", [WORDS, ARABIC])
def test_words_alone_tell_it_nothing(words: tuple[str, ...]) -> None:
    def better(chosen: list[str]) -> str:
        return " ".join([words[0], *chosen[1:]])

    weights = style.fit(drawn(better, 40, seed=0, words=words))
    assert right(weights, drawn(better, 40, seed=1, words=words)) == 0.5
    assert set(weights.values()) == {0.0}


def test_the_looks_of_the_instruction_tell_it_nothing() -> None:
    weights = style.fit(drawn(", ".join, 20, seed=0))
    plain, loud = (TEMPLATE.format(instruction=said, response="Yes, no.") for said in ("who", "WHO, 1, 2, 3!?\n"))
    assert style.scores(weights, [plain]) == style.scores(weights, [loud])


def test_a_single_pair_is_enough_for_weights() -> None:
    weights = style.fit([pair("Yes!", "no")])
    assert right(weights, [pair("Sure!", "yes")]) == 1.0


def test_the_same_pairs_give_the_same_weights() -> None:
    pairs = drawn(", ".join, 30, seed=3)
    assert style.fit(pairs) == style.fit(pairs)
    assert style.fit(pairs) == pytest.approx(style.fit(pairs[::-1]), abs=1e-5)


odd = st.text(max_size=80) | st.sampled_from(["", " ", "\n\n", "؟؟؟", "…", "\ud800", "\x00", "1" * 500, "\u2028"])


@given(st.lists(st.tuples(odd, odd), min_size=1, max_size=6))
def test_every_text_has_finite_looks(found: list[tuple[str, str]]) -> None:
    pairs = [pair(chosen, rejected) for chosen, rejected in found]
    weights = style.fit(pairs)
    texts = [text for one in pairs for text in (one.chosen, one.rejected)]
    assert np.isfinite(list(weights.values())).all()
    assert np.isfinite(style.scores(weights, texts)).all()
    assert style.scores(weights, []).shape == (0,)
