"""Training: hold records out, choose between two models inside the others, fit the final ones, save them.

The two are a fine-tuned model and a logistic head on the frozen base model's embeddings. Cross-validation among the
training records chooses; the held-out records serve `reward evaluate` alone.
"""

from __future__ import annotations

import hashlib
import json
import platform
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

from reward import base_models, finetuning, inference, logistic, saving, style
from reward.errors import PairError, TrainingError
from reward.finetuning import Recipe
from reward.model import FINE_TUNED, LOGISTIC, Method
from reward.pairs import Pair, together
from reward.splitting import folds, hold_out, of_records
from reward.tokens import encode

LEAST_RECORDS = 10
CHECKPOINTS = "checkpoints"
_SHORTEST = 32
_VERSIONS = ("bias-suite", "accelerate", "datasets", "peft", "scikit-learn", "torch", "transformers", "trl")

Progress = Callable[[str, int, int], None]
"""Called with what is being done, the steps done, and all steps."""


@dataclass(frozen=True)
class Settings:
    """What decides the outcome, beside the pairs.

    Attributes:
        base_model: As given to ``--base-model``.
        max_length: Tokens of a text; None is what the model takes, at most 512 (a decoder: 1,024).
        test_share: Share of the records that is held out.
        folds: Of the cross-validation.
        epochs: Passes over the pairs, at most.
        learning_rate: AdamW's.
        batch_size: Pairs a step and device.
        patience: Epochs without a lower validation loss after which training stops.
        lora: Whether adapters are trained instead of all weights; None is yes for a decoder on a GPU.
        seed: Of everything random.
    """

    base_model: str = base_models.DEFAULT
    max_length: int | None = None
    test_share: float = 0.25
    folds: int = 3
    epochs: int = 4
    learning_rate: float = 1e-4
    batch_size: int = 8
    patience: int = 2
    lora: bool | None = None
    seed: int = 0


def train(
    pairs: Sequence[Pair],
    out: Path,
    settings: Settings,
    *,
    resume: bool = False,
    overwrite: bool = False,
    progress: Progress = lambda task, done, steps: None,
) -> dict[str, Any]:
    """Train a reward model and write its folder.

    Args:
        pairs: All pairs; the records to hold out are taken from them.
        out: The folder to write (see `reward.model`).
        settings: How.
        resume: Go on with an unfinished training in `out`.
        overwrite: Write over a model, or begin an unfinished training anew.
        progress: Told how far the work is.

    Returns:
        What training.json says.

    Raises:
        RewardError: The pairs are too few, the base model cannot be had, or the folder cannot be written.
    """
    base_models.quiet()
    began = time.monotonic()
    usable, identical = _usable(pairs)
    joined = together(usable)
    learn, held = hold_out([pair.record for pair in joined], settings.test_share, settings.seed)
    if not 0 < settings.learning_rate < float("inf"):
        raise TrainingError(f"--learning-rate {settings.learning_rate:g} must be above 0")
    if not 0 <= settings.seed < 1 << 32:
        raise TrainingError(f"--seed {settings.seed} must be from 0 to 2**32 - 1")
    if settings.folds > len(learn):
        raise TrainingError(f"--folds {settings.folds}: there are {len(learn)} records to learn from")
    learning = of_records(joined, [pair.record for pair in joined], learn)
    recipe = _recipe(settings)
    if Path(recipe.base_model).is_dir() and out.resolve() == Path(recipe.base_model).resolve():
        raise TrainingError(f"--out {out} is the folder of --base-model: take another")
    data = {"pairs_sha256": checksum(pairs), "settings": asdict(settings)}
    desk = saving.Desk(out, CHECKPOINTS)
    desk.open(data, resume=resume, overwrite=overwrite)
    lost = _lost(learning, recipe)

    chosen = desk.remembered("choice") or desk.remember("choice", _choose(learning, settings, recipe, desk, progress))
    progress("logistic head", 0, 1)
    head = _head(learning, recipe)
    progress("logistic head", 1, 1)
    network = finetuning.finetune(
        learning,
        recipe,
        desk.checkpoints,
        resume=resume,
        keep=True,
        step=lambda done, steps: progress("final model", done, steps),
    )
    told = {
        "schema": 1,
        "method": chosen["method"],
        "base_model": settings.base_model,
        "cross_validation": chosen,
        "data": {
            "pairs": len(pairs),
            "identical_left_out": identical,
            "learned_from": len(learning),
            "held_out": len(usable) - len(learning),
            "pairs_sha256": data["pairs_sha256"],
        }
        | lost,
        "split": {
            "by": "record",
            "learned_from": _records(usable, joined, learn),
            "held_out": _records(usable, joined, held),
        },
        "settings": asdict(settings) | {"max_length": recipe.max_length, "lora": recipe.lora, "bf16": recipe.bf16},
        "baselines": {"length_prefers": style.prefers(learning), "style": style.fit(learning)},
        "versions": {"python": platform.python_version()} | {name: version(name) for name in _VERSIONS},
        "device": _device(recipe),
        "seconds": round(time.monotonic() - began, 1),
    }
    desk.close(network, base_models.tokenizer(recipe.base_model), head, told)
    return told


def checksum(pairs: Sequence[Pair]) -> str:
    """Return the SHA-256 of pairs, whatever file they are from."""
    lines = [json.dumps(asdict(pair), sort_keys=True) for pair in pairs]
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()


def _records(pairs: Sequence[Pair], joined: Sequence[Pair], wanted: Sequence[str]) -> list[str]:
    """Return the ids of the records that were joined under the wanted ones."""
    return sorted({pair.record for pair, one in zip(pairs, joined, strict=True) if one.record in set(wanted)})


def _usable(pairs: Sequence[Pair]) -> tuple[list[Pair], int]:
    usable = [pair for pair in pairs if pair.chosen != pair.rejected]
    records = len({pair.record for pair in together(usable)})
    if records < LEAST_RECORDS:
        same = f" ({len(pairs) - len(usable)} pairs have two equal sides)" if len(usable) < len(pairs) else ""
        raise PairError(
            f"pairs of {records} records are too few to split{same}: at least {LEAST_RECORDS} are needed to learn "
            "from some and test on others"
        )
    return usable, len(pairs) - len(usable)


def _recipe(settings: Settings) -> Recipe:
    import torch

    place = base_models.locate(settings.base_model)
    decoder = _is_decoder(place)
    fits = base_models.longest(place)
    length = min(fits, 1024 if decoder else 512) if settings.max_length is None else settings.max_length
    if not _SHORTEST <= length <= fits:
        raise TrainingError(f"--max-length {length}: {settings.base_model} takes {_SHORTEST} to {fits} tokens")
    gpu = torch.cuda.is_available()
    return Recipe(
        base_model=place,
        max_length=length,
        epochs=settings.epochs,
        learning_rate=settings.learning_rate,
        batch_size=settings.batch_size,
        patience=settings.patience,
        seed=settings.seed,
        lora=settings.lora if settings.lora is not None else gpu and decoder,
        bf16=gpu and torch.cuda.is_bf16_supported(including_emulation=False),
        cpu=not gpu,
    )


def _is_decoder(place: str) -> bool:
    from transformers.models.auto import modeling_auto

    kind = base_models.config(place).model_type
    causal, masked = modeling_auto.MODEL_FOR_CAUSAL_LM_MAPPING_NAMES, modeling_auto.MODEL_FOR_MASKED_LM_MAPPING_NAMES
    return kind in causal and kind not in masked  # BERT is in both


def _lost(pairs: Sequence[Pair], recipe: Recipe) -> dict[str, int]:
    """Return how many texts are too long for the model, and how many of these lose a part of the response."""
    texts = [text for pair in pairs for text in (pair.chosen, pair.rejected)]
    encoded = encode(base_models.tokenizer(recipe.base_model), texts, recipe.max_length)
    return {"instructions_shortened": encoded.shortened, "responses_cut": encoded.cut}


def _choose(
    pairs: Sequence[Pair], settings: Settings, recipe: Recipe, desk: saving.Desk, progress: Progress
) -> dict[str, Any]:
    """Return the accuracies of both models on records that they have not learned from, and the better one."""
    records = [pair.record for pair in pairs]
    chosen, rejected = _embeddings(pairs, recipe)
    tokenizer = base_models.tokenizer(recipe.base_model)
    right: dict[Method, float] = {FINE_TUNED: 0.0, LOGISTIC: 0.0}
    for number, (learn, held) in enumerate(folds(records, settings.folds, settings.seed), start=1):
        inside, outside = np.isin(records, learn), np.isin(records, held)
        head = logistic.fit(chosen[inside], rejected[inside], of_records(records, records, learn), settings.seed)
        right[LOGISTIC] += _right((chosen - rejected)[outside] @ head.weight)
        task = f"fold {number} of {settings.folds}"
        with desk.scratch() as folder:
            network = finetuning.finetune(
                of_records(pairs, records, learn),
                recipe,
                folder,
                step=lambda done, steps, task=task: progress(task, done, steps),  # type: ignore[misc]
            )
        scored = of_records(pairs, records, held)
        texts = [pair.chosen for pair in scored] + [pair.rejected for pair in scored]
        rewards = inference.rewards(network, tokenizer, texts, recipe.max_length)
        del network  # before the next one is made
        right[FINE_TUNED] += _right(rewards[: len(scored)] - rewards[len(scored) :])
    accuracy = {method: count / len(pairs) for method, count in right.items()}
    # Of two equally good ones the simpler.
    method = FINE_TUNED if accuracy[FINE_TUNED] > accuracy[LOGISTIC] else LOGISTIC
    return {"method": method, "folds": settings.folds, "pairs": len(pairs), "accuracy": accuracy}


def _right(margins: Any) -> float:
    return float(((np.sign(margins) + 1) / 2).sum())


def _embeddings(pairs: Sequence[Pair], recipe: Recipe) -> tuple[Any, Any]:
    texts = [pair.chosen for pair in pairs] + [pair.rejected for pair in pairs]
    encoder = base_models.encoder(recipe.base_model)
    if not recipe.cpu:
        encoder = encoder.to("cuda")
    vectors = inference.embeddings(encoder, base_models.tokenizer(recipe.base_model), texts, recipe.max_length)
    return vectors[: len(pairs)], vectors[len(pairs) :]


def _head(pairs: Sequence[Pair], recipe: Recipe) -> logistic.Head:
    chosen, rejected = _embeddings(pairs, recipe)
    return logistic.fit(chosen, rejected, [pair.record for pair in pairs], recipe.seed)


def _device(recipe: Recipe) -> str:
    import torch

    return "cpu" if recipe.cpu else torch.cuda.get_device_name()
