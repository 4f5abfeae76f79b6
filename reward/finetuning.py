"""Fine-tuning a model with one output, by TRL's RewardTrainer: loss -log sigmoid(reward_chosen - reward_rejected).

The trainer is given tokens, not texts: texts crash on encoders, and rows over `max_length` would be dropped.
"""

from __future__ import annotations

import json
import shutil
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from reward import base_models
from reward.errors import TrainingError
from reward.pairs import Pair
from reward.splitting import hold_out, of_records
from reward.tokens import encode

VALIDATION_SHARE = 0.15
LEAST_VALIDATION = 8
"""Records that early stopping needs to see: with fewer, all epochs are trained."""

Step = Callable[[int, int], None]
"""Called with the steps done and all steps."""


@dataclass(frozen=True)
class Recipe:
    """How a model is fine-tuned.

    Attributes:
        base_model: A folder or hub name, as `base_models.locate` returns it.
        max_length: Tokens of a text, special ones included.
        epochs: Passes over the pairs, at most.
        learning_rate: AdamW's, falling linearly.
        batch_size: Pairs a step and device.
        patience: Epochs without a lower validation loss after which training stops.
        seed: Of the head, the order of pairs, and the validation records.
        lora: Whether adapters are trained (Hu et al. 2021), with the head beside them, instead of all weights.
        bf16: Whether in bfloat16.
        cpu: Whether on the CPU even where there is a GPU.
    """

    base_model: str
    max_length: int
    epochs: int
    learning_rate: float
    batch_size: int
    patience: int
    seed: int
    lora: bool
    bf16: bool
    cpu: bool


def finetune(
    pairs: Sequence[Pair],
    recipe: Recipe,
    folder: Path,
    *,
    resume: bool = False,
    keep: bool = False,
    step: Step = lambda done, steps: None,
) -> Any:
    """Return a fine-tuned model: the one of the epoch with the lowest validation loss.

    Args:
        pairs: The pairs to learn from; some records of them serve as validation where there are enough.
        recipe: How.
        folder: For checkpoints.
        resume: Go on from the last whole checkpoint in `folder`.
        keep: Write checkpoints that can be resumed from, which are three times the size of a model.
        step: Told how far training is.

    Raises:
        TrainingError: A checkpoint cannot be written, or not be resumed from.
        BaseModelError: The base model cannot be read.
    """
    from trl import RewardTrainer

    tokenizer = base_models.tokenizer(recipe.base_model)
    learn, validate = _validation(pairs, recipe.seed)
    model = base_models.classifier(
        recipe.base_model, seed=recipe.seed, pad=tokenizer.pad_token_id, bf16=recipe.bf16 and recipe.lora
    )
    arguments = _arguments(recipe, folder, validated=bool(validate), keep=keep)
    last = last_checkpoint(folder) if resume else None
    if last and _stopped(last, recipe.patience):
        arguments.num_train_epochs = _state(last)["epoch"]  # nothing is left to train: the best epoch is loaded
    trainer = RewardTrainer(
        model=model,
        args=arguments,
        train_dataset=_rows(learn, tokenizer, recipe.max_length),
        eval_dataset=_rows(validate, tokenizer, recipe.max_length) if validate else None,
        processing_class=tokenizer,
        peft_config=_lora(model, recipe.seed) if recipe.lora else None,
        callbacks=_callbacks(recipe, step, validated=bool(validate)),
    )
    from transformers import PrinterCallback

    trainer.remove_callback(PrinterCallback)
    for parameter in trainer.model.parameters():
        if parameter.requires_grad:
            parameter.data = parameter.data.float()  # AdamW's small steps are lost in bfloat16
    try:
        trainer.train(resume_from_checkpoint=str(last) if last else None)
    except Exception as error:
        if not is_about_writing(error):
            raise
        survives = last_checkpoint(folder) if keep else None
        left = f"; {survives} is whole" if survives else ""
        raise TrainingError(
            f"a checkpoint cannot be written to {folder}: {error}{left}: make room and use --resume"
        ) from None
    step(trainer.state.global_step, trainer.state.global_step)  # also where it stopped early
    return trainer.accelerator.unwrap_model(trainer.model)


def last_checkpoint(folder: Path) -> Path | None:
    """Return the latest checkpoint that was written to its end; the trainer's state is written last."""
    whole = []
    for path in folder.glob("checkpoint-*"):
        try:
            _state(path)
            whole.append((int(path.name.partition("-")[2]), path))
        except (OSError, ValueError):
            continue
    return max(whole)[1] if whole else None


def _state(checkpoint: Path) -> dict[str, Any]:
    told: dict[str, Any] = json.loads((checkpoint / "trainer_state.json").read_text(encoding="utf-8"))
    return told


def _stopped(checkpoint: Path, patience: int) -> bool:
    """Whether training had stopped early at a checkpoint."""
    told = _state(checkpoint).get("stateful_callbacks", {}).get("EarlyStoppingCallback", {})
    return int(told.get("attributes", {}).get("early_stopping_patience_counter", 0)) >= patience


def forget(folder: Path) -> None:
    """Remove checkpoints."""
    shutil.rmtree(folder, ignore_errors=True)


def _validation(pairs: Sequence[Pair], seed: int) -> tuple[list[Pair], list[Pair]]:
    records = [pair.record for pair in pairs]
    learn, validate = hold_out(records, VALIDATION_SHARE, seed)
    if len(validate) < LEAST_VALIDATION:
        return list(pairs), []
    return of_records(pairs, records, learn), of_records(pairs, records, validate)


def _rows(pairs: Sequence[Pair], tokenizer: Any, max_length: int) -> Any:
    from datasets import Dataset

    return Dataset.from_dict(
        {
            "chosen_ids": encode(tokenizer, [pair.chosen for pair in pairs], max_length).ids,
            "rejected_ids": encode(tokenizer, [pair.rejected for pair in pairs], max_length).ids,
        }
    )


def _arguments(recipe: Recipe, folder: Path, *, validated: bool, keep: bool) -> Any:
    from trl import RewardConfig

    saving = "epoch" if keep or validated else "no"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)  # TRL's own use of a name that transformers gave up
        arguments = RewardConfig(
            output_dir=str(folder),
            num_train_epochs=recipe.epochs,
            learning_rate=recipe.learning_rate,
            per_device_train_batch_size=recipe.batch_size,
            per_device_eval_batch_size=recipe.batch_size,
            warmup_steps=0.1,  # a share of all steps
            seed=recipe.seed,
            max_length=recipe.max_length,
            pad_to_multiple_of=None,  # padding could pass the model's last position
            use_cpu=recipe.cpu,
            bf16=recipe.bf16,
            gradient_checkpointing=recipe.lora and not recipe.cpu,
            eval_strategy="epoch" if validated else "no",
            save_strategy=saving,
            save_total_limit=2,
            save_only_model=not keep,
            load_best_model_at_end=validated,
            metric_for_best_model="eval_loss" if validated else None,
            greater_is_better=False if validated else None,
            dataloader_pin_memory=not recipe.cpu,
            disable_tqdm=True,
            report_to="none",
            restore_callback_states_from_checkpoint=True,
            logging_steps=10_000,
        )
    if arguments.n_gpu > 1:  # one process takes one of them; several are accelerate's to share
        arguments._n_gpu = 1
    return arguments


def _lora(model: Any, seed: int) -> Any:
    from peft import LoraConfig, TaskType
    from transformers import set_seed

    set_seed(seed)
    return LoraConfig(
        task_type=TaskType.SEQ_CLS,
        r=16,
        lora_alpha=32,
        target_modules="all-linear",
        # Without it the head stays as random as it was, and is not saved either.
        modules_to_save=[
            name
            for name, part in model.named_children()
            if name != model.base_model_prefix and any(True for _ in part.parameters())
        ],
    )


def _callbacks(recipe: Recipe, step: Step, *, validated: bool) -> list[Any]:
    from transformers import EarlyStoppingCallback, TrainerCallback

    class _Progress(TrainerCallback):  # type: ignore[misc]  # transformers is not followed by mypy
        def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
            step(state.global_step, state.max_steps)

    stopping = [EarlyStoppingCallback(early_stopping_patience=recipe.patience)] if validated else []
    return [_Progress(), *stopping]


def is_about_writing(error: Exception) -> bool:
    """Whether an exception says that the disk is full: torch, safetensors and tokenizers have their own for it."""
    text = str(error)
    return isinstance(error, OSError) or any(
        sign in text
        for sign in (
            "No space left",
            "File too large",
            "os error",
            "PytorchStreamWriter",
            "unexpected pos",
            "iostream error",
        )
    )
