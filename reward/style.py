"""How far the looks of a response give it away: its length, and a model that sees nothing but its surface.

Corrections that people type differ from a bot's answers in more than what they say. A reward model that is no better
than these baselines has learned the looks.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from reward.pairs import Pair, parts

FEATURES = (
    "characters (log)",
    "words (log)",
    "sentences (log)",
    "letters a word",
    "commas a word",
    "question marks a word",
    "exclamation marks a word",
    "quotation marks a word",
    "digits a word",
    "capital letters a word",
    "line breaks a word",
)


def lengths(texts: Sequence[str]) -> NDArray[np.float64]:
    """Return the length of each text's response in characters, shape (texts,)."""
    return np.array([len(parts(text)[1]) for text in texts], dtype=np.float64)


def prefers(pairs: Sequence[Pair]) -> str:
    """Return ``longer`` or ``shorter``: which response the chosen one is in more of the pairs."""
    longer = np.sign(lengths([pair.chosen for pair in pairs]) - lengths([pair.rejected for pair in pairs]))
    return "longer" if longer.sum() >= 0 else "shorter"


def fit(pairs: Sequence[Pair]) -> dict[str, float]:
    """Return a weight for each of `FEATURES`: a logistic regression on differences of surface features."""
    from sklearn.linear_model import LogisticRegression

    differences = _features([pair.chosen for pair in pairs]) - _features([pair.rejected for pair in pairs])
    scale = np.sqrt((differences**2).mean(0))
    scale[scale == 0] = 1.0
    both = np.vstack([differences, -differences]) / scale
    model = LogisticRegression(C=1.0, fit_intercept=False, max_iter=1000)
    weights = model.fit(both, np.repeat([1, 0], len(differences))).coef_[0] / scale
    return {name: float(weight) for name, weight in zip(FEATURES, weights, strict=True)}


def scores(weights: Mapping[str, float], texts: Sequence[str]) -> NDArray[np.float64]:
    """Return what a fitted surface model gives each text, shape (texts,)."""
    return np.asarray(_features(texts) @ np.array([weights[name] for name in FEATURES]))


def _features(texts: Sequence[str]) -> NDArray[np.float64]:
    """Return the surface features of responses, shape (texts, features); none depends on the language's words."""
    return np.array([_of(parts(text)[1]) for text in texts], dtype=np.float64).reshape(len(texts), len(FEATURES))


def _of(response: str) -> list[float]:
    words = response.split()
    count = max(1, len(words))
    sentences = len(re.findall(r"[.!?…。؟]+(?:\s|$)", response))
    signs = (
        sum(map(len, words)),
        sum(response.count(sign) for sign in ",،、"),
        sum(response.count(sign) for sign in "?؟"),
        response.count("!"),
        sum(response.count(sign) for sign in "\"'“”«»„’"),
        sum(map(str.isdigit, response)),
        sum(map(str.isupper, response)),
        response.count("\n"),
    )
    return [
        float(np.log1p(len(response))),
        float(np.log1p(len(words))),
        float(np.log1p(sentences)),
        *(sign / count for sign in signs),
    ]
