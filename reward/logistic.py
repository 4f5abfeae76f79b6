"""The logistic head: one weight for each dimension of a frozen encoder's embedding.

A Bradley-Terry model (1952) over differences of embeddings, P(chosen better) = sigmoid(w · (e_chosen - e_rejected)),
fitted by scikit-learn's logistic regression without an intercept. With few pairs it is as good as fine-tuning, and
it costs a fraction.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from reward.errors import RewardModelError
from reward.splitting import folds

STRENGTHS = (1.0, 10.0, 100.0, 1000.0)
"""Inverse strengths of the L2 penalty (scikit-learn's C) that are tried: embeddings have length 1."""
_FOLDS = 4


@dataclass(frozen=True)
class Head:
    """A fitted head.

    Attributes:
        weight: Shape (dimensions,).
        strength: The penalty's inverse strength that cross-validation chose.
    """

    weight: NDArray[np.float64]
    strength: float


def fit(chosen: NDArray[np.float64], rejected: NDArray[np.float64], records: Sequence[str], seed: int) -> Head:
    """Fit a head.

    Args:
        chosen: Embeddings of the better texts, shape (pairs, dimensions).
        rejected: Embeddings of the others, the same shape.
        records: The record of each pair; the penalty is chosen by cross-validation that keeps records together.
        seed: For the folds.
    """
    differences = chosen - rejected
    strength = STRENGTHS[0] if len(set(records)) < 2 * _FOLDS else _strength(differences, records, seed)
    return Head(_weight(differences, strength), strength)


def _strength(differences: NDArray[np.float64], records: Sequence[str], seed: int) -> float:
    """Return the penalty under which held-out records are the most probable."""
    loss = dict.fromkeys(STRENGTHS, 0.0)
    for _, held in folds(records, _FOLDS, seed):
        inside = np.isin(np.asarray(records), held)
        for strength in STRENGTHS:
            margins = differences[inside] @ _weight(differences[~inside], strength)
            loss[strength] += float(np.logaddexp(0, -margins).sum())
    return min(STRENGTHS, key=lambda strength: loss[strength])


def _weight(differences: NDArray[np.float64], strength: float) -> NDArray[np.float64]:
    from sklearn.linear_model import LogisticRegression

    both = np.vstack([differences, -differences])
    labels = np.repeat([1, 0], len(differences))
    model = LogisticRegression(C=strength, fit_intercept=False, max_iter=1000)
    return np.asarray(model.fit(both, labels).coef_[0], dtype=np.float64)


def save(head: Head, path: Path) -> None:
    """Write a head as safetensors."""
    from safetensors.numpy import save_file

    path.parent.mkdir(parents=True, exist_ok=True)
    save_file({"weight": head.weight}, path, metadata={"strength": str(head.strength)})


def load(path: Path) -> Head:
    """Read a head.

    Raises:
        RewardModelError: It cannot be read.
    """
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="numpy") as file:
            strength = float((file.metadata() or {})["strength"])
            weight: Any = file.get_tensor("weight")
    except (OSError, SafetensorError, KeyError, ValueError) as error:
        raise RewardModelError(f"{path}: cannot read the logistic head: {error}") from None
    return Head(np.asarray(weight, dtype=np.float64), strength)
