"""The commands about reward models: ``reward train``, ``evaluate``, ``score`` and ``rerank``."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterable
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.table import Table

from reward import base_models
from reward import pairs as written
from reward.errors import RewardError
from reward.telling import AsJson, progress, tell

_Pairs = Annotated[Path, typer.Option("--pairs", help="Preference pairs, from `reward pairs`.")]
_Model = Annotated[Path, typer.Option("--model", help="Folder of a reward model, from `reward train`.")]


def train(
    pairs: _Pairs = Path("pairs.jsonl"),
    out: Annotated[Path, typer.Option(help="Folder for the model.")] = Path("reward-model"),
    base_model: Annotated[
        str,
        typer.Option(help=f"Encoder or causal LM, a folder or hub name; `{base_models.EMBEDDED}` needs no network."),
    ] = base_models.DEFAULT,
    max_length: Annotated[int | None, typer.Option(help="Tokens of a text; the instruction gives way first.")] = None,
    test_share: Annotated[float, typer.Option(min=0.05, max=0.5, help="Share of records to hold out.")] = 0.25,
    folds: Annotated[int, typer.Option(min=2, help="Of the cross-validation that chooses the model.")] = 3,
    epochs: Annotated[int, typer.Option(min=1, help="Passes over the pairs, at most.")] = 4,
    learning_rate: Annotated[float, typer.Option(help="AdamW's.")] = 1e-4,
    batch_size: Annotated[int, typer.Option(min=1, help="Pairs a step and device.")] = 8,
    patience: Annotated[int, typer.Option(min=1, help="Epochs without progress until it stops.")] = 2,
    lora: Annotated[
        bool | None,
        typer.Option("--lora/--no-lora", help="Adapters or all weights; left out: adapters for a decoder on a GPU."),
    ] = None,
    seed: Annotated[int, typer.Option(help="Of everything random.")] = 0,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with an unfinished training.")] = False,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Write over what is in --out.")] = False,
    as_json: AsJson = False,
) -> None:
    """Train a reward model on pairs; some records are held out for `reward evaluate`."""
    found = written.read(pairs)
    base_models.quiet()
    import torch
    from accelerate import PartialState

    from reward import training

    settings = training.Settings(
        base_model, max_length, test_share, folds, epochs, learning_rate, batch_size, patience, lora, seed
    )
    main = PartialState(cpu=not torch.cuda.is_available()).is_main_process
    with progress(shown=main) as note:
        told = training.train(found, out, settings, resume=resume, overwrite=overwrite, progress=note)
    if not main:
        return
    accuracy = told["cross_validation"]["accuracy"]
    data = told["data"]
    lines = [
        f"{data['learned_from']} pairs of {len(told['split']['learned_from'])} records to learn from, "
        f"{data['held_out']} pairs of {len(told['split']['held_out'])} records held out",
        f"right in cross-validation on {told['cross_validation']['folds']} folds of the first: "
        f"{accuracy['fine-tuned']:.3f} fine-tuned, {accuracy['logistic']:.3f} logistic head",
        f"{told['method']} it is, in {out} ({told['seconds']:.0f} s, {told['device']})",
        *_too_few(told),
        f"next: reward evaluate --model {out} --pairs {pairs}",
    ]
    for count, what in (
        (data["identical_left_out"], "pairs left out: their sides are equal"),
        (data["instructions_shortened"], "texts too long: the beginning of the instruction gave way"),
        (data["responses_cut"], "responses too long: their end is cut (see --max-length)"),
    ):
        if count:
            lines.append(f"WARNING: {count} {what}")
    tell(told, lines, as_json=as_json)


def _too_few(told: dict[str, Any]) -> list[str]:
    from reward.findings import LEAST_RECORDS

    held = len(told["split"]["held_out"])
    if held >= LEAST_RECORDS:
        return []
    return [f"WARNING: `reward evaluate` needs {LEAST_RECORDS} held-out records, here are {held}: correct more cases"]


def evaluate(
    pairs: _Pairs = Path("pairs.jsonl"),
    folder: _Model = Path("reward-model"),
    report_dir: Annotated[Path, typer.Option(help="Where reward.html and reward.json go.")] = Path("reports"),
    as_json: AsJson = False,
) -> None:
    """Compare a reward model with baselines on held-out records; exit 1 where it is not better."""
    found = written.read(pairs)
    from reward import evaluation, model, reporting

    with progress() as note:
        result = evaluation.evaluate(model.load(folder), found, progress=note)
    reporting.write(result, report_dir)
    better = result.verdict == "better"
    lines = [
        _table(result),
        *(f"WARNING: {warning}" for warning in result.warnings),
        *(f"NOT BETTER: {reason}" for reason in result.reasons),
        f"{'BETTER THAN BASELINE' if better else 'NOT BETTER THAN BASELINE'} ({result.method}, "
        f"{result.same_prompt.pairs} held-out pairs of {result.same_prompt.records} records; "
        f"{report_dir / reporting.HTML})",
    ]
    tell(reporting.figures(result), lines, as_json=as_json)
    if not better:
        raise typer.Exit(1)


def _table(result: Any) -> Table:
    from reward.reporting import rows

    table = Table(title=f"Held-out pairwise accuracy, {result.model}", title_justify="left")
    for name in ("", "accuracy", "95 % interval", "pairs", "records", "ties"):
        table.add_column(name, justify="left" if not name else "right")
    for title, one in rows(result):
        interval = f"{one.lower:.3f} to {one.upper:.3f}"
        table.add_row(title, f"{one.value:.3f}", interval, str(one.pairs), str(one.records), str(one.ties))
    return table


def score(
    source: Annotated[Path | None, typer.Argument(help="File of texts, one a line; none is standard input.")] = None,
    folder: _Model = Path("reward-model"),
    batch: Annotated[int, typer.Option(min=1, help="Texts at a time.")] = 32,
    as_json: AsJson = False,
) -> None:
    """Print the reward of each text: lines of {"instruction": …, "response": …}, {"text": …}, or plain text."""
    from reward import model, scoring

    texts = list(scoring.texts(_lines(source)))
    scorer = model.load(folder)
    with progress() as note:
        rewards = scorer.score(texts, batch, lambda done, steps: note("texts", done, steps))
    shortened, cut = scorer.lost(texts)
    if shortened:
        typer.echo(f"WARNING: {shortened} texts lost a part of the instruction, {cut} of the response", err=True)
    if as_json:
        for text, reward in zip(texts, rewards, strict=True):
            tell({"reward": float(reward), "text": text}, [], as_json=True)
        return
    for reward in rewards:
        typer.echo(f"{reward:.6f}")


def rerank(
    spec: Annotated[str, typer.Option("--bias-model", help="MODULE:FACTORY of the chatbot, which needs `sample`.")],
    source: Annotated[Path | None, typer.Argument(help="Questions, one a line; none is standard input.")] = None,
    folder: _Model = Path("reward-model"),
    n: Annotated[int, typer.Option("-n", min=1, help="Candidates for each question.")] = 4,
    seed: Annotated[int, typer.Option(help="Of the draw.")] = 0,
    as_json: AsJson = False,
) -> None:
    """Answer questions with the best of N candidates; under the gate: --bias-model 'reward.scoring:best_of_n(...)'."""
    from reward import scoring

    sys.path.insert(0, "")  # as `python -m` has it: the factory's module lies where the command is run
    bot = scoring.best_of_n(model=spec, reward=str(folder), n=n, seed=seed)
    questions = [line for line in _lines(source) if line.strip()]
    with contextlib.closing(bot), progress() as note:
        for done, question in enumerate(questions):
            note("questions", done, len(questions))
            candidates = bot.candidates(question.rstrip("\r\n"))
            best = max(candidates, key=lambda candidate: candidate.reward)
            figures = {"question": question.strip(), "answer": best.text, "reward": best.reward}
            figures |= {"candidates": [asdict(candidate) for candidate in candidates]}
            tell(figures, [question.strip(), *(_line(one, one is best) for one in candidates)], as_json=as_json)


def _line(candidate: Any, best: bool) -> str:
    return f"{'*' if best else ' '} {candidate.reward:+.3f}  {' '.join(candidate.text.split())}"


def _lines(source: Path | None) -> Iterable[str]:
    try:
        text = sys.stdin.read() if source is None else source.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise RewardError(f"{source or 'standard input'}: cannot read it: {error}") from None
    return text.removeprefix("\ufeff").split("\n")
