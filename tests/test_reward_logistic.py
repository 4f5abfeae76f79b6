"""The logistic head finds the direction that people prefer, and a record that it has seen earns it nothing."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from reward import logistic

Floats = NDArray[np.float64]
DIMENSIONS = 32


def directions(count: int, seed: int, dimensions: int = DIMENSIONS) -> Floats:
    """Draw vectors of length 1."""
    drawn = np.random.default_rng(seed).normal(size=(count, dimensions))
    return drawn / np.linalg.norm(drawn, axis=1, keepdims=True)


def planted(count: int, strength: float, seed: int) -> tuple[Floats, Floats, Floats]:
    """Draw embeddings of which the chosen one is further along a direction, and that direction."""
    rng = np.random.default_rng(seed)
    (direction,) = directions(1, 100)
    one, other = directions(count, 2 * seed), directions(count, 2 * seed + 1)
    better = rng.random(count) < 1 / (1 + np.exp(np.clip(-strength * (one - other) @ direction, -700, 700)))
    return np.where(better[:, None], one, other), np.where(better[:, None], other, one), direction


def names(count: int) -> list[str]:
    return [f"r{n}" for n in range(count)]


def test_a_planted_direction_is_found() -> None:
    chosen, rejected, direction = planted(600, 30.0, seed=1)
    head = logistic.fit(chosen, rejected, names(600), seed=0)
    assert head.weight.shape == (DIMENSIONS,)
    assert head.weight @ direction / np.linalg.norm(head.weight) > 0.95
    chosen, rejected, _ = planted(400, 30.0, seed=2)
    assert ((chosen - rejected) @ head.weight > 0).mean() > 0.9


def test_what_is_turned_round_is_learned_the_other_way() -> None:
    chosen, rejected, _ = planted(100, 30.0, seed=1)
    there, back = (logistic.fit(a, b, names(100), seed=0) for a, b in ((chosen, rejected), (rejected, chosen)))
    assert there.strength == back.strength
    assert there.weight == pytest.approx(-back.weight, abs=1e-3)


def test_the_clearer_the_preference_the_weaker_the_penalty() -> None:
    strengths = []
    for clear in (0.0, 20.0, 1000.0):
        chosen, rejected, _ = planted(300, clear, seed=3)
        strengths.append(logistic.fit(chosen, rejected, names(300), seed=0).strength)
    assert strengths[0] == logistic.STRENGTHS[0]
    assert strengths[0] < strengths[1] < strengths[2]


def test_remembering_a_record_is_not_rewarded() -> None:
    # Six corrections of each of 40 answers, near to each other, and no preference that the answers share: what is
    # learned of one correction is right about the other five, and about no other record.
    differences = np.repeat(directions(40, 5, dimensions=200), 6, axis=0) + 0.1 * directions(240, 6, dimensions=200)
    nothing = np.zeros_like(differences)
    apart = logistic.fit(differences, nothing, names(240), seed=0)
    together = logistic.fit(differences, nothing, [f"r{n // 6}" for n in range(240)], seed=0)
    assert apart.strength == logistic.STRENGTHS[-1]
    assert together.strength == logistic.STRENGTHS[0]


@pytest.mark.parametrize("records", [1, 2, 7])
def test_of_few_records_the_strongest_penalty_is_taken(records: int) -> None:
    chosen, rejected, _ = planted(50, 1000.0, seed=3)
    head = logistic.fit(chosen, rejected, [f"r{n % records}" for n in range(50)], seed=0)
    assert head.strength == logistic.STRENGTHS[0]
    assert np.isfinite(head.weight).all()


def test_one_pair_is_enough_for_a_head() -> None:
    chosen, rejected, _ = planted(1, 1.0, seed=3)
    head = logistic.fit(chosen, rejected, ["r1"], seed=0)
    assert ((chosen - rejected) @ head.weight > 0).all()


def test_the_same_seed_gives_the_same_head() -> None:
    chosen, rejected, _ = planted(60, 8.0, seed=4)
    one, other = (logistic.fit(chosen, rejected, names(60), seed=3) for _ in range(2))
    assert one.strength == other.strength
    assert (one.weight == other.weight).all()


def test_embeddings_that_do_not_differ_give_no_preference() -> None:
    chosen, _, _ = planted(20, 1.0, seed=4)
    head = logistic.fit(chosen, chosen, names(20), seed=0)
    assert not head.weight.any()
