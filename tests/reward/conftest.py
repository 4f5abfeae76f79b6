"""Fixtures of the tests that train and score: tiny models, and one that is trained."""

from __future__ import annotations

import gc
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from reward import base_models
from reward import pairs as written
from reward.pairs import Pair
from tests.reward import tiny


@pytest.fixture(scope="session", autouse=True)
def libraries() -> None:
    """Import what trains, and make it quick for models this small."""
    base_models.quiet()
    import torch

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # what libraries think of each other when they are imported
        import peft  # noqa: F401
        import sklearn.linear_model  # noqa: F401
        from trl import RewardTrainer  # noqa: F401
    torch.set_num_threads(1)
    # The trainer collects garbage after each training: it need not look through the libraries.
    gc.collect()
    gc.freeze()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Let PEFT's use of a name that transformers gives up be: it is its own affair."""
    for item in items:
        if "tests/reward/" in item.path.as_posix():
            item.add_marker(
                pytest.mark.filterwarnings("ignore:.is_gradient_checkpointing. is deprecated:FutureWarning")
            )


@pytest.fixture(scope="session")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder that holds the tiny models: `bert`, `roberta` and `decoder`."""
    folder = tmp_path_factory.mktemp("models")
    for make in (tiny.bert, tiny.roberta, tiny.decoder):
        make(folder / make.__name__)
    return folder


@pytest.fixture(scope="session", params=["bert", "roberta", "decoder"])
def model(models: Path, request: pytest.FixtureRequest) -> Path:
    """Return each of the tiny models in turn."""
    folder: Path = models / request.param
    return folder


@pytest.fixture(scope="session")
def bert(models: Path) -> Path:
    """Return a tiny encoder."""
    return models / "bert"


@pytest.fixture(scope="session")
def decoder(models: Path) -> Path:
    """Return a tiny causal language model."""
    return models / "decoder"


@pytest.fixture(scope="session")
def some_pairs() -> list[Pair]:
    """Return the pairs of `pairs_file`."""
    return tiny.pairs(24, annotators=2)


@pytest.fixture(scope="session")
def pairs_file(tmp_path_factory: pytest.TempPathFactory, some_pairs: list[Pair]) -> Path:
    """Return a file of pairs of 24 records, by two people each."""
    path = tmp_path_factory.mktemp("pairs") / "pairs.jsonl"
    written.write(path, some_pairs)
    return path


@pytest.fixture(scope="session")
def train(pairs_file: Path) -> Callable[..., tiny.Done]:
    """Return `reward train`, quick and on a few pairs unless told otherwise."""

    def command(base_model: object, out: object, *options: object, pairs: object = pairs_file) -> tiny.Done:
        quick = ("--folds", 2, "--epochs", 2, "--learning-rate", 1e-3)
        return tiny.run("train", "--pairs", pairs, "--base-model", base_model, "--out", out, *quick, *options)

    return command


@pytest.fixture(scope="session")
def trained(bert: Path, train: Callable[..., Any], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of a trained model: read it, and do not write there."""
    out = tmp_path_factory.mktemp("trained") / "reward-model"
    done = train(bert, out)
    assert done.status == 0, done.err
    return out
