"""The folder of a training: checkpoints while it lasts, the model when it is done; whole or not at all.

With several processes (``accelerate launch``) only the main one writes.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from bias_suite import files
from reward import finetuning, logistic
from reward.errors import TrainingError
from reward.model import HEAD, TRAINING
from reward.model_card import write_card

_RUN = "run.json"
_SAVING = ".saving-"
# What another kind of model left would be read in place of the new one.
_STALE = (
    "config.json",
    "adapter_config.json",
    "adapter_model.safetensors",
    "model.safetensors",
    "model-*-of-*.safetensors",
    "model.safetensors.index.json",
)


class Desk:
    """Where a training is worked on.

    Attributes:
        checkpoints: The folder of its checkpoints.
    """

    def __init__(self, out: Path, checkpoints: str) -> None:
        """Take the folder of the model and the name of the one for checkpoints inside it."""
        import torch
        from accelerate import PartialState
        from accelerate.utils import DistributedType

        self._out = out
        self._state = PartialState(cpu=not torch.cuda.is_available())
        self.checkpoints = out / checkpoints
        sharded = any(os.environ.get(name) == "true" for name in ("ACCELERATE_USE_FSDP", "ACCELERATE_USE_DEEPSPEED"))
        plain = (DistributedType.NO, DistributedType.MULTI_GPU, DistributedType.MULTI_CPU)
        if sharded or self._state.distributed_type not in plain:
            raise TrainingError("only plain data parallelism is supported, as in: accelerate launch --multi_gpu")

    def open(self, data: dict[str, Any], *, resume: bool, overwrite: bool) -> None:
        """Make the folder ready.

        Args:
            data: What a training must have in common with the one it resumes.
            resume: Go on with what is there.
            overwrite: Write over it.

        Raises:
            TrainingError: Something is there already, or is of another training, or the folder cannot be written.
        """
        told = json.loads(json.dumps(data))
        there = self.remembered("data")
        if resume and there is not None and there != told:
            raise TrainingError(f"--resume: {self.checkpoints} is of other {_difference(there, told)}")
        if there is None and self.checkpoints.exists():
            raise TrainingError(f"{self.checkpoints} is not of a training: take another --out")
        if there is None and not overwrite and self._out.is_dir() and any(self._out.iterdir()):
            what = "holds a model already" if (self._out / TRAINING).exists() else "is not empty"
            raise TrainingError(f"{self._out} {what}: --overwrite, or another --out")
        if there is not None and not resume and not overwrite:
            raise TrainingError(f"{self._out} holds an unfinished training: --resume, or --overwrite")
        self._state.wait_for_everyone()  # all have looked before one writes
        if self._state.is_main_process:
            with _told(self._out):
                if not resume and self.checkpoints.exists():
                    shutil.rmtree(self.checkpoints)
                self.checkpoints.mkdir(parents=True, exist_ok=True)
                for left in self._out.glob(f"{_SAVING}*"):  # by a run that was killed
                    shutil.rmtree(left)
        self.remember("data", told)

    def remembered(self, name: str) -> Any:
        """Return what an unfinished training has found out already; None where it has not."""
        try:
            return json.loads((self.checkpoints / _RUN).read_text(encoding="utf-8")).get(name)
        except (OSError, ValueError):
            return None

    def remember(self, name: str, value: Any) -> Any:
        """Keep something that is costly to find out, for `--resume`; return it."""
        if self._state.is_main_process:
            path = self.checkpoints / _RUN
            try:
                found = json.loads(path.read_text(encoding="utf-8"))
            except (OSError, ValueError):
                found = {}
            with _told(self._out):
                files.write(path, json.dumps(found | {name: value}))
        self._state.wait_for_everyone()
        return value

    @contextlib.contextmanager
    def scratch(self) -> Iterator[Path]:
        """Give a folder for checkpoints that nobody needs afterwards, the same one to all processes."""
        folder = self.checkpoints / "fold"
        try:
            yield folder
        except BaseException:
            # Without waiting: the others may never come here, and the launcher ends them.
            if self._state.is_main_process:
                finetuning.forget(folder)
            raise
        self._state.wait_for_everyone()
        if self._state.is_main_process:
            finetuning.forget(folder)
        self._state.wait_for_everyone()

    def close(self, network: Any, tokenizer: Any, head: logistic.Head, told: dict[str, Any]) -> None:
        """Write the model and let go of the checkpoints.

        Raises:
            TrainingError: It cannot be written; the checkpoints are still there.
        """
        if self._state.is_main_process:
            with _told(self._out), tempfile.TemporaryDirectory(dir=self._out, prefix=_SAVING) as name:
                made = Path(name)
                _anonymous(network, told["base_model"])
                # PEFT would ask the hub whether the base model's vocabulary has grown.
                network.save_pretrained(made, **({"save_embedding_layers": False} if _is_adapter(network) else {}))
                tokenizer.save_pretrained(made)
                logistic.save(head, made / HEAD)
                write_card(made / "README.md", told)
                (made / TRAINING).write_text(json.dumps(told, indent=2) + "\n", encoding="utf-8")
                (self._out / TRAINING).unlink(missing_ok=True)
                for pattern in _STALE:
                    for old in self._out.glob(pattern):
                        old.unlink()
                # training.json last: a folder that has one is whole.
                for path in sorted(made.iterdir(), key=lambda path: path.name == TRAINING):
                    path.replace(self._out / path.name)
            finetuning.forget(self.checkpoints)
        self._state.wait_for_everyone()


def _is_adapter(network: Any) -> bool:
    return hasattr(network, "peft_config")


def _anonymous(network: Any, name: str) -> None:
    """Name the base model as the user did: its folder on this machine is nobody's business."""
    for adapter in getattr(network, "peft_config", {}).values():
        adapter.base_model_name_or_path = name


def _difference(there: dict[str, Any], now: dict[str, Any]) -> str:
    if there["pairs_sha256"] != now["pairs_sha256"]:
        return "pairs"
    changed = [name for name, value in now["settings"].items() if there["settings"].get(name) != value]
    return f"settings ({', '.join(changed)})"


@contextlib.contextmanager
def _told(out: Path) -> Iterator[None]:
    try:
        yield
    except Exception as error:
        if not finetuning.is_about_writing(error):
            raise
        raise TrainingError(f"cannot write {out}: {getattr(error, 'strerror', None) or error}") from None
