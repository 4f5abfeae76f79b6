"""From text in the template to tokens that fit the model: the instruction gives way, nothing is dropped in silence.

TRL drops rows over `max_length` without a word, and plain truncation cuts what is to be judged, the response. Here
the beginning of the instruction gives way, and only a response that fills the model by itself loses its end. What a
text becomes depends on that text alone, so a response is scored as it was learned.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from reward.pairs import INSTRUCTION_MARKER, RESPONSE_MARKER


@dataclass(frozen=True)
class Encoded:
    """Texts as token ids.

    Attributes:
        ids: For each text its token ids, special tokens included, at most `max_length` of them.
        shortened: How many texts lost a part of the instruction.
        cut: How many of these lost the end of the response as well.
    """

    ids: list[list[int]]
    shortened: int
    cut: int


def encode(tokenizer: Any, texts: Sequence[str], max_length: int) -> Encoded:
    """Return the token ids of texts in the template; a text without it counts as a response.

    Args:
        tokenizer: A fast tokenizer of transformers'.
        texts: The texts.
        max_length: Tokens that the model takes, special ones included.
    """
    if not texts:
        return Encoded([], 0, 0)
    told = tokenizer(
        [text.encode(errors="replace").decode() for text in texts],  # no lone surrogates; each is one character
        truncation=False,
        return_offsets_mapping=True,
        return_special_tokens_mask=True,
        verbose=False,
    )
    rows, shortened, cut = [], 0, 0
    for text, ids, offsets, special in zip(
        texts, told["input_ids"], told["offset_mapping"], told["special_tokens_mask"], strict=True
    ):
        places: list[tuple[int, int] | None] = [
            None if mark else (begin, end) for (begin, end), mark in zip(offsets, special, strict=True)
        ]
        row = list(ids)
        eos = tokenizer.eos_token_id
        if eos is not None and (eos != tokenizer.pad_token_id or not row) and not (special and special[-1]):
            # Decoders judge by the last token that is no padding: so it is the same one for every text.
            row.append(eos)
            places.append(None)
        excess = len(row) - max_length
        if excess > 0:
            dropped, lost = _dropped(text, places, excess)
            row = [token for index, token in enumerate(row) if index not in dropped]
            shortened += 1
            cut += lost
        rows.append(row)
    return Encoded(rows, shortened, cut)


def _dropped(text: str, places: Sequence[tuple[int, int] | None], excess: int) -> tuple[set[int], bool]:
    """Return the tokens that give way, and whether some of the response are among them."""
    begin, end = _instruction(text)
    inside = [index for index, place in enumerate(places) if place and begin <= place[0] and place[1] <= end]
    dropped = set(inside[:excess])
    missing = excess - len(dropped)
    if not missing:
        return dropped, False
    rest = [index for index, place in enumerate(places) if place and index not in dropped]
    return dropped | set(rest[-missing:]), True


def _instruction(text: str) -> tuple[int, int]:
    """Return where the instruction of a text in the template begins and ends, in characters."""
    end = text.find(f"\n{RESPONSE_MARKER}")
    if not text.startswith(INSTRUCTION_MARKER) or end < 0:
        return 0, 0
    return len(INSTRUCTION_MARKER), end
