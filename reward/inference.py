"""Texts through a transformers model, a batch at a time, the longest first so that little is padded."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from reward.tokens import encode

BATCH = 32

Step = Callable[[int, int], None]
"""Called with the texts done and all texts."""


def unwatched(done: int, texts: int) -> None:
    """Do nothing."""


def rewards(
    model: Any, tokenizer: Any, texts: Sequence[str], max_length: int, batch: int = BATCH, step: Step = unwatched
) -> NDArray[np.float64]:
    """Return the reward of each text, shape (texts,)."""
    return _run(model, tokenizer, texts, max_length, batch, step, lambda output, mask: output.logits[:, :1])[:, 0]


def embeddings(
    encoder: Any, tokenizer: Any, texts: Sequence[str], max_length: int, batch: int = BATCH, step: Step = unwatched
) -> NDArray[np.float64]:
    """Return the mean of each text's token vectors, scaled to length 1; shape (texts, dimensions)."""

    def mean(output: Any, mask: Any) -> Any:
        import torch

        weight = mask.unsqueeze(-1).to(output.last_hidden_state.dtype)
        total = (output.last_hidden_state * weight).sum(1) / weight.sum(1)
        return torch.nn.functional.normalize(total, dim=1)

    return _run(encoder, tokenizer, texts, max_length, batch, step, mean)


def _run(
    model: Any,
    tokenizer: Any,
    texts: Sequence[str],
    max_length: int,
    batch: int,
    step: Step,
    of: Callable[[Any, Any], Any],
) -> NDArray[np.float64]:
    import torch

    # Equal texts get equal rewards: what a batch pads changes the last digits.
    distinct = list(dict.fromkeys(texts))
    ids = encode(tokenizer, distinct, max_length).ids
    order = sorted(range(len(ids)), key=lambda index: -len(ids[index]))
    found: dict[str, NDArray[np.float64]] = {}
    model.eval()
    for begin in range(0, len(order), batch):
        chosen = order[begin : begin + batch]
        width = max(len(ids[index]) for index in chosen)
        tokens = torch.full((len(chosen), width), int(tokenizer.pad_token_id))
        mask = torch.zeros((len(chosen), width), dtype=torch.long)
        for row, index in enumerate(chosen):
            tokens[row, : len(ids[index])] = torch.tensor(ids[index])
            mask[row, : len(ids[index])] = 1
        with torch.inference_mode():
            mask = mask.to(model.device)
            output = model(input_ids=tokens.to(model.device), attention_mask=mask)
            values = of(output, mask).double().cpu().numpy()
        for index, value in zip(chosen, values, strict=True):
            found[distinct[index]] = value
        step(min(begin + batch, len(order)), len(order))
    return np.stack([found[text] for text in texts])
