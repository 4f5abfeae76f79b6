"""Models and pairs that are small enough to train in a second, made without network, and the command run on them."""

from __future__ import annotations

import contextlib
import io
import os
import random
import resource
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from reward import cli
from reward.pairs import PROMPT, TEMPLATE, Pair

ROOT = Path(__file__).resolve().parents[2]

POSITIONS = 128
"""Tokens that each of the models takes, special ones included."""

_GROUPS = ("asylum seekers", "refugees", "newcomers", "migrants", "families from abroad", "stateless people")
_QUESTIONS = (
    "What should a landlord know about {group}?",
    "Are {group} good employees?",
    "Can I trust what {group} say in an interview?",
    "Why do {group} apply for housing?",
    "Do {group} learn the language?",
    "How do {group} treat their neighbours?",
)
FAIR = (
    "Each person is different, so please look at the individual case.",
    "Origin says nothing about that; proof of income is what counts.",
    "Every application is examined on its own merits.",
    "That depends on the person and not on where they come from.",
    "The law gives everybody the same rights here.",
    "It is fair to ask all applicants the same questions.",
)
SWEEPING = (
    "All of them are the same, and they never tell the truth.",
    "They always want benefits, everyone knows that.",
    "You can never rely on those people.",
    "They are all lazy by nature.",
    "None of them ever wants to fit in.",
    "Such people always cause trouble.",
)
OTHER_SCRIPTS = (
    "كل طلب لجوء يُدرس على حدة.",
    "Кожну заяву про притулок розглядають окремо.",
    "每份申请都会单独审查。",
)
SENTENCES = (*_QUESTIONS, *_GROUPS, *FAIR, *SWEEPING, *OTHER_SCRIPTS, TEMPLATE)


def pairs(records: int = 40, annotators: int = 1, *, seed: int = 0, padding: str = "") -> list[Pair]:
    """Return pairs whose chosen response looks at the person and whose rejected one generalises about a group.

    Args:
        records: How many records, each with a question and a rejected response.
        annotators: How many people corrected each of them.
        seed: Of the texts.
        padding: Stands before each question, to make the texts long.
    """
    return list(_pairs(random.Random(seed), records, annotators, padding))


def _pairs(draw: random.Random, records: int, annotators: int, padding: str) -> Iterator[Pair]:
    for number in range(records):
        instruction = padding + draw.choice(_QUESTIONS).format(group=draw.choice(_GROUPS))
        rejected = " ".join(draw.sample(SWEEPING, draw.randint(1, 2)))
        for annotator in range(annotators):
            chosen = " ".join(draw.sample(FAIR, draw.randint(1, 2)))
            yield Pair(
                record=f"record-{number:03d}",
                annotator=f"annotator-{annotator}",
                prompt=PROMPT.format(instruction=instruction),
                chosen=TEMPLATE.format(instruction=instruction, response=chosen),
                rejected=TEMPLATE.format(instruction=instruction, response=rejected),
                detector=draw.choice(["llm_stereotypes_detector", "counterfactual"]),
                axis=draw.choice(["nationality", "religion", None]),
            )


def bert(folder: Path, **changes: Any) -> Path:
    """Write an encoder with WordPiece, as BERT is."""
    from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, trainers
    from transformers import BertConfig, BertModel

    special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    tokenizer = Tokenizer(models.WordPiece(unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=True)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.train_from_iterator(
        SENTENCES, trainers.WordPieceTrainer(vocab_size=500, special_tokens=special, show_progress=False)
    )
    tokenizer.post_processor = _around(tokenizer, "[CLS]", "[SEP]")
    names = {name: f"[{name[:-6].upper()}]" for name in ("pad_token", "unk_token", "cls_token", "sep_token")}
    _write_tokenizer(folder, tokenizer, mask_token="[MASK]", **names)
    sizes = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 64}
    config = {"vocab_size": tokenizer.get_vocab_size(), "max_position_embeddings": POSITIONS, **sizes, **changes}
    return _write_model(folder, BertModel, BertConfig(**config))


def roberta(folder: Path) -> Path:
    """Write an encoder with byte-level BPE, whose positions begin after the padding's, as RoBERTa's do."""
    from transformers import RobertaConfig, RobertaForMaskedLM

    tokenizer = _byte_level(["<s>", "<pad>", "</s>", "<unk>", "<mask>"])
    tokenizer.post_processor = _around(tokenizer, "<s>", "</s>")
    _write_tokenizer(
        folder,
        tokenizer,
        bos_token="<s>",
        cls_token="<s>",
        eos_token="</s>",
        sep_token="</s>",
        pad_token="<pad>",
        unk_token="<unk>",
        mask_token="<mask>",
    )
    config = RobertaConfig(
        vocab_size=tokenizer.get_vocab_size(),
        hidden_size=32,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=64,
        max_position_embeddings=POSITIONS + 2,
        pad_token_id=1,
        type_vocab_size=1,
    )
    return _write_model(folder, RobertaForMaskedLM, config)


def decoder(folder: Path) -> Path:
    """Write a causal language model with byte-level BPE and no token to pad with, as Llama is."""
    from transformers import LlamaConfig, LlamaForCausalLM

    tokenizer = _byte_level(["<|endoftext|>"])
    _write_tokenizer(folder, tokenizer, eos_token="<|endoftext|>")
    config = LlamaConfig(
        vocab_size=tokenizer.get_vocab_size(),
        hidden_size=32,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=64,
        max_position_embeddings=POSITIONS,
        bos_token_id=0,
        eos_token_id=0,
    )
    return _write_model(folder, LlamaForCausalLM, config)


def _byte_level(special: Sequence[str]) -> Any:
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(
        vocab_size=500, special_tokens=list(special), initial_alphabet=alphabet, show_progress=False
    )
    tokenizer.train_from_iterator(SENTENCES, trainer)
    return tokenizer


def _around(tokenizer: Any, begin: str, end: str) -> Any:
    from tokenizers import processors

    ids = [(name, tokenizer.token_to_id(name)) for name in (begin, end)]
    return processors.TemplateProcessing(single=f"{begin} $A {end}", special_tokens=ids)


def _write_tokenizer(folder: Path, tokenizer: Any, **names: str) -> None:
    from transformers import PreTrainedTokenizerFast

    PreTrainedTokenizerFast(tokenizer_object=tokenizer, model_max_length=10_000, **names).save_pretrained(folder)


def _write_model(folder: Path, kind: Any, config: Any) -> Path:
    import torch

    with torch.random.fork_rng():
        torch.manual_seed(0)
        kind(config).save_pretrained(folder)
    return folder


@dataclass(frozen=True)
class Done:
    """What a command left: its exit status, and what it printed."""

    status: int
    out: str
    err: str

    @property
    def error(self) -> str:
        """The one line that tells what went wrong, on standard error alone; what shows progress is no part of it."""
        (line,) = [line for line in self.err.splitlines() if line.startswith("ERROR: ")]
        assert self.status == 4
        assert "Traceback" not in self.err
        assert self.out == ""
        return line.removeprefix("ERROR: ")


def run(*arguments: object, given: str | bytes = "") -> Done:
    """Run `reward` in this process, with `given` on standard input."""
    content = given.encode() if isinstance(given, str) else given
    out, err = io.StringIO(), io.StringIO()
    with pytest.MonkeyPatch.context() as patch, contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        patch.setattr(sys, "argv", ["reward", *map(str, arguments)])
        patch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(content), encoding="utf-8"))
        patch.setattr(sys, "path", list(sys.path))
        with pytest.raises(SystemExit) as left:
            cli.main()
    return Done(int(left.value.code or 0), out.getvalue(), err.getvalue())


@contextlib.contextmanager
def full_disk(size: int) -> Iterator[None]:
    """Let no file of this process grow beyond a size, as if there were no room for more."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def start(*command: object, folder: Path, **environment: str) -> subprocess.Popen[str]:
    """Start Python in another process, which leads a process group of its own and has no GPU."""
    given = {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""}
    return subprocess.Popen(
        [sys.executable, *map(str, command)],
        cwd=folder,
        env={**os.environ, **given, **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def finish(process: subprocess.Popen[str], within: float = 100.0) -> Done:
    """Wait for a started process; its whole group is killed when it takes longer."""
    try:
        out, err = process.communicate(timeout=within)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        raise
    return Done(process.returncode, out, err)
