"""A trained reward model: the folder that `reward train` writes, and texts to rewards.

    config.json, model.safetensors   the fine-tuned model, as transformers reads it; or adapter_config.json and
                                     adapter_model.safetensors where adapters were trained (LoRA)
    tokenizer.json, ...              its tokenizer
    logistic.safetensors             the logistic head for embeddings of the base model
    training.json                    which of the two scores, how they were made, and of which records
    README.md                        the model card

A folder without training.json is read as a model of another maker: a sequence classifier with one label.
"""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from reward import base_models, inference, logistic
from reward.errors import BaseModelError, RewardModelError
from reward.tokens import encode

Method = Literal["fine-tuned", "logistic"]
FINE_TUNED: Method = "fine-tuned"
LOGISTIC: Method = "logistic"
TRAINING = "training.json"
HEAD = "logistic.safetensors"
_LONGEST = 512


@dataclass(frozen=True)
class RewardModel:
    """Something that rewards texts.

    Attributes:
        folder: Where it is from.
        method: Which of the folder's two models this is.
        version: Fingerprint of the weights.
        max_length: Tokens of a text that are read.
        training: What training.json says; empty for a model of another maker.
    """

    folder: Path
    method: Method
    version: str
    max_length: int
    training: dict[str, Any]
    _network: Any = field(repr=False)
    _tokenizer: Any = field(repr=False)
    _head: logistic.Head | None = field(repr=False, default=None)
    _turn: threading.Lock = field(repr=False, default_factory=threading.Lock)

    def score(
        self, texts: Sequence[str], batch: int = inference.BATCH, step: inference.Step = inference.unwatched
    ) -> NDArray[np.float64]:
        """Return the reward of each text in the template, shape (texts,); higher is better, the unit is a log-odds.

        Args:
            texts: The texts; see `reward.pairs.TEMPLATE`.
            batch: How many at a time.
            step: Called with the texts done and all texts.
        """
        if not texts:
            return np.zeros(0)
        with self._turn:
            arguments = (self._network, self._tokenizer, texts, self.max_length, batch, step)
            if self._head is None:
                return inference.rewards(*arguments)
            # Not a matrix product, whose last digits depend on a text's place among the others.
            return np.asarray((inference.embeddings(*arguments) * self._head.weight).sum(1))

    def lost(self, texts: Sequence[str]) -> tuple[int, int]:
        """Return how many texts are too long and lose a part of the instruction, and how many of the response."""
        found = encode(self._tokenizer, list(dict.fromkeys(texts)), self.max_length)
        return found.shortened, found.cut


def load(folder: Path, method: Method | None = None) -> RewardModel:
    """Read a reward model.

    Args:
        folder: The folder.
        method: Which of its models; None is the one that training chose.

    Raises:
        RewardModelError: The folder cannot be read as a reward model.
        RewardError: The extra is not installed.
    """
    if not folder.is_dir():
        raise RewardModelError(f"{folder}: there is no such folder")
    base_models.quiet()
    training = read_training(folder)
    method = method or training.get("method", FINE_TUNED)
    try:
        return _logistic(folder, training) if method == LOGISTIC else _fine_tuned(folder, training)
    except BaseModelError as error:
        raise RewardModelError(str(error)) from None


def read_training(folder: Path) -> dict[str, Any]:
    """Return what a folder's training.json says; nothing where there is none.

    Raises:
        RewardModelError: It cannot be read.
    """
    path = folder / TRAINING
    try:
        told = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as error:
        raise RewardModelError(f"{path}: cannot read it: {error}") from None
    needed = {"method", "base_model", "settings", "split"}
    if not isinstance(told, dict) or not needed <= told.keys() or not {"max_length", "seed"} <= told["settings"].keys():
        raise RewardModelError(f"{path}: not written by `reward train`: it needs {', '.join(sorted(needed))}")
    return told


def untrained(training: dict[str, Any]) -> RewardModel:
    """Return the base model with the random head that training began with."""
    base_models.quiet()
    place = base_models.locate(training["base_model"])
    tokenizer = base_models.tokenizer(place)
    network = base_models.classifier(place, seed=training["settings"]["seed"], pad=tokenizer.pad_token_id)
    return RewardModel(
        Path(place), FINE_TUNED, "", training["settings"]["max_length"], {}, _on_device(network), tokenizer
    )


def _logistic(folder: Path, training: dict[str, Any]) -> RewardModel:
    head = logistic.load(folder / HEAD)
    place = base_models.locate(training["base_model"])
    tokenizer = base_models.tokenizer(place)
    encoder = _on_device(base_models.encoder(place))
    length = training["settings"]["max_length"]
    version = _fingerprint([folder / HEAD])
    return RewardModel(folder, LOGISTIC, version, length, training, encoder, tokenizer, head)


def _fine_tuned(folder: Path, training: dict[str, Any]) -> RewardModel:
    base_models.readable(folder, RewardModelError)
    tokenizer = base_models.tokenizer(str(folder))
    network = (
        _adapted(folder, training, tokenizer)
        if (folder / "adapter_config.json").is_file()
        else _whole(folder, tokenizer)
    )
    length = training["settings"]["max_length"] if training else min(_LONGEST, base_models.longest(str(folder)))
    weights = sorted(path for path in folder.glob("*.safetensors") if path.name != HEAD)
    return RewardModel(folder, FINE_TUNED, _fingerprint(weights), length, training, _on_device(network), tokenizer)


def _whole(folder: Path, tokenizer: Any) -> Any:
    return base_models.classifier(str(folder), seed=0, pad=tokenizer.pad_token_id, headless=False)


def _adapted(folder: Path, training: dict[str, Any], tokenizer: Any) -> Any:
    from peft import PeftModel

    if not training:
        raise RewardModelError(f"{folder}: an adapter without {TRAINING}, which names its base model")
    base = base_models.classifier(
        base_models.locate(training["base_model"]), seed=training["settings"]["seed"], pad=tokenizer.pad_token_id
    )
    try:
        return PeftModel.from_pretrained(base, str(folder))
    except (OSError, ValueError, RuntimeError, KeyError) as error:
        raise RewardModelError(f"{folder}: cannot read the adapter: {' '.join(str(error).split())}") from None


def _on_device(network: Any) -> Any:
    import torch

    return network.to("cuda" if torch.cuda.is_available() else "cpu").eval()


def _fingerprint(paths: Sequence[Path]) -> str:
    digest = hashlib.sha256()
    for path in paths:
        with path.open("rb") as file:
            digest.update(hashlib.file_digest(file, "sha256").digest())
    return digest.hexdigest()[:12]
