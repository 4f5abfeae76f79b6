"""A head survives its file, and what is no head is told in one line."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save_file

from reward import logistic
from reward.errors import RewardModelError
from reward.logistic import Head


def test_a_head_survives_its_file(tmp_path: Path) -> None:
    head = Head(np.random.default_rng(0).normal(size=384), 10.0)
    path = tmp_path / "new" / "logistic.safetensors"
    logistic.save(head, path)
    found = logistic.load(path)
    assert found.strength == head.strength
    assert found.weight.dtype == np.float64
    assert (found.weight == head.weight).all()


def test_a_fitted_head_survives_its_file(tmp_path: Path) -> None:
    rng = np.random.default_rng(1)
    chosen, rejected = rng.normal(size=(12, 5)), rng.normal(size=(12, 5))
    head = logistic.fit(chosen, rejected, [f"r{n}" for n in range(12)], seed=0)
    logistic.save(head, tmp_path / "head.safetensors")
    assert (logistic.load(tmp_path / "head.safetensors").weight == head.weight).all()


def nothing(path: Path) -> None:
    pass


def folder(path: Path) -> None:
    path.mkdir()


def garbage(path: Path) -> None:
    path.write_bytes(b"\x00\xff garbage\n" * 50)


def empty(path: Path) -> None:
    path.write_bytes(b"")


def cut(path: Path) -> None:
    logistic.save(Head(np.ones(384), 1.0), path)
    path.write_bytes(path.read_bytes()[:-100])


def other_tensors(path: Path) -> None:
    save_file({"score.weight": np.ones(3)}, path, metadata={"strength": "1.0"})


def no_metadata(path: Path) -> None:
    save_file({"weight": np.ones(3)}, path)


def no_number(path: Path) -> None:
    save_file({"weight": np.ones(3)}, path, metadata={"strength": "strong"})


@pytest.mark.parametrize("make", [nothing, folder, garbage, empty, cut, other_tensors, no_metadata, no_number])
def test_what_is_no_head_is_told_in_one_line(tmp_path: Path, make: Callable[[Path], None]) -> None:
    path = tmp_path / "logistic.safetensors"
    make(path)
    with pytest.raises(RewardModelError, match=r"cannot read the logistic head: \S") as caught:
        logistic.load(path)
    assert str(caught.value).startswith(str(path))
    assert "\n" not in str(caught.value)
