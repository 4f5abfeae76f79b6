"""Figures about a reward model, from rewards alone; pairs of one record are not independent.

The interval of an accuracy is Wilson's with an effective sample size (Korn and Graubard 1998; Franco, Little, Louis
and Slud 2019): n_eff = p(1 - p) / v, where v is the variance clustered by record (Miller 2024), made smaller by
(z/t)² for few records, or for one that has most of the pairs. Where all pairs are right or all wrong, n_eff is the
number of records. The variance is the jackknife's over records.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

CONFIDENCE = 0.95
_LEAST_BIN = 15


@dataclass(frozen=True)
class Estimate:
    """A share of pairs with its 95 % interval.

    Attributes:
        value: The share, 0 to 1; a tie counts half.
        lower: Of the interval.
        upper: Of the interval.
        pairs: How many pairs.
        records: Of how many records.
        ties: Pairs with equal rewards.
    """

    value: float
    lower: float
    upper: float
    pairs: int
    records: int
    ties: int = 0


@dataclass(frozen=True)
class Difference:
    """By how much one accuracy is over another on the same pairs, with the 95 % interval clustered by record."""

    value: float
    lower: float
    upper: float


@dataclass(frozen=True)
class Bin:
    """Pairs of about the same confidence."""

    confidence: float
    accuracy: float
    pairs: int


def correctness(margins: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return 1, 0.5 (a tie) or 0 for each margin reward_chosen - reward_rejected; shape (pairs,)."""
    return np.asarray((np.sign(margins) + 1) / 2, dtype=np.float64)


def estimate(margins: NDArray[np.float64], records: Sequence[str]) -> Estimate:
    """Return the pairwise accuracy.

    Args:
        margins: reward_chosen - reward_rejected, shape (pairs,), at least one.
        records: The record of each pair.
    """
    from scipy.stats import norm, t

    right = correctness(margins)
    share, count, groups = float(right.mean()), len(right), len(set(records))
    variance = _variance(right, records)
    effective = min(float(count), share * (1 - share) / variance) if variance > 0 else float(groups)
    z = float(norm.ppf((1 + CONFIDENCE) / 2))
    if groups > 1:
        effective *= (z / float(t.ppf((1 + CONFIDENCE) / 2, _freedom(records)))) ** 2
    middle = (share + z**2 / (2 * effective)) / (1 + z**2 / effective)
    half = z * np.sqrt(share * (1 - share) / effective + z**2 / (4 * effective**2)) / (1 + z**2 / effective)
    ties = int((margins == 0).sum())
    return Estimate(share, max(0.0, middle - half), min(1.0, middle + half), count, groups, ties)


def advantage(margins: NDArray[np.float64], other: NDArray[np.float64], records: Sequence[str]) -> Difference:
    """Return how much more often `margins` are right than `other`, on the same pairs."""
    from scipy.stats import t

    difference = correctness(margins) - correctness(other)
    groups = len(set(records))
    mean = float(difference.mean())
    if groups < 2:
        return Difference(mean, -1.0, 1.0)
    half = float(t.ppf((1 + CONFIDENCE) / 2, _freedom(records))) * float(np.sqrt(_variance(difference, records)))
    return Difference(mean, max(-1.0, mean - half), min(1.0, mean + half))


def _variance(values: NDArray[np.float64], records: Sequence[str]) -> float:
    """Return the variance of the mean: the jackknife's, leaving out one record at a time."""
    _, codes, sizes = np.unique(np.asarray(records), return_inverse=True, return_counts=True)
    groups = len(sizes)
    if groups < 2:
        return 0.0
    without = (values.sum() - np.bincount(codes, values)) / (len(values) - sizes)
    return float(((without - without.mean()) ** 2).sum() * (groups - 1) / groups)


def _freedom(records: Sequence[str]) -> float:
    """Return the degrees of freedom: one less than the records, as many as if all had as many pairs (Kish 1965)."""
    _, sizes = np.unique(np.asarray(records), return_counts=True)
    return max(1.0, float(sizes.sum() ** 2 / (sizes.astype(float) ** 2).sum()) - 1)


def correlation(a: NDArray[np.float64], b: NDArray[np.float64]) -> float | None:
    """Return Spearman's rank correlation; None where one of the two never varies."""
    from scipy.stats import spearmanr

    if len(a) < 3 or np.ptp(a) == 0 or np.ptp(b) == 0:
        return None
    return float(spearmanr(a, b).statistic)


def calibration(margins: NDArray[np.float64], most: int = 10) -> tuple[float, list[Bin]]:
    """Return the expected calibration error (Naeini et al. 2015) and its bins, of equal numbers of pairs.

    A pair's confidence is sigmoid(|margin|), the probability that the model gives to its own preference.

    Args:
        margins: reward_chosen - reward_rejected, shape (pairs,).
        most: Bins at most; fewer where they would hold less than 15 pairs.
    """
    confidence = 1 / (1 + np.exp(-np.abs(np.clip(margins, -500, 500))))
    right = correctness(margins)
    order = np.argsort(confidence, kind="stable")
    bins = [
        Bin(float(confidence[part].mean()), float(right[part].mean()), len(part))
        for part in _parted(order, confidence, most)
    ]
    error = sum(one.pairs * abs(one.accuracy - one.confidence) for one in bins) / len(margins)
    return float(error), bins


def _parted(order: NDArray[np.int_], confidence: NDArray[np.float64], most: int) -> list[NDArray[np.int_]]:
    """Return about equal parts of an order by confidence; what is equally sure is in one part, whatever its order."""
    starts = [0]
    for part in np.array_split(order, max(1, min(most, len(order) // _LEAST_BIN)))[:-1]:
        start = max(starts[-1], 0) + len(part)
        while start < len(order) and confidence[order[start]] == confidence[order[start - 1]]:
            start += 1
        if len(order) - start >= _LEAST_BIN:
            starts.append(start)
    return np.split(order, starts[1:])
