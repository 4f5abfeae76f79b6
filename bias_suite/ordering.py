"""``bias-suite plan``: what a plan will cost, its progress, and its files, which a person reviews."""

from __future__ import annotations

import difflib
import os
from collections.abc import Mapping, Sequence
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from bias_suite import planning, subject
from bias_suite.cases import encodable
from bias_suite.chat import Chat, Reply, price
from bias_suite.errors import OptionError, PlanError, ProbeError
from bias_suite.judge import Judge
from bias_suite.options import Settings
from bias_suite.planning import Order, Spending
from bias_suite.probes import Probe, read, to_line


def describe(settings: Settings, given: str | None) -> str:
    """Return what the chatbot is for: as given, or as the model under test says.

    Raises:
        OptionError: Neither says.
        ModelError: The model under test cannot be built.
    """
    if given:
        return given
    if settings.model:
        described = subject.build(settings.model).description
        if described != subject.UNTOLD:
            return described
    raise OptionError(
        "--description must say what the chatbot is for and whom it serves: the questions are written for it "
        "(or give the model under test an attribute `description`)"
    )


def announce(order: Order, chat: Chat, console: Console) -> None:
    """Print what an order will take."""
    about = planning.estimate(order)
    console.print(
        f"{len(order.detectors)} detectors, languages {', '.join(order.languages)}: about {about.calls} calls of "
        f"{chat.model}, {_tokens(about)}{_price(chat, about)}; more where replies have to be asked for again.",
        highlight=False,
    )


def _tokens(spent: Spending) -> str:
    return f"{spent.prompt_tokens:,} tokens sent and {spent.completion_tokens:,} received"


def _price(chat: Chat, spent: Spending) -> str:
    cost = price(chat.model, spent.prompt_tokens, spent.completion_tokens)
    return f", {cost:.2f} US dollars by litellm's table" if cost is not None else ", price not known"


def run(order: Order, generator: Judge, threads: int, out: Path, console: Console) -> int:
    """Generate an order, write its files; return 1 where a detector has no plan or a file differs.

    Raises:
        JudgeError: The generator cannot be called.
    """
    spent = Spending()
    spent.add(generator.check())
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console, transient=True) as progress:
        task = progress.add_task("asking", total=planning.estimate(order).calls)

        def note(reply: Reply) -> None:
            spent.add(reply)
            made = spent.calls - 1  # but for the one that checked the key
            progress.update(task, completed=made, total=max(made, progress.tasks[0].total or 0))

        found = planning.generate(order, generator.chat, threads, note)
    status = _settle(found, out, console)
    _say(console, f"Spent {spent.calls} calls, {_tokens(spent)}{_price(generator.chat, spent)}.")
    return status


def require_writable(out: Path) -> None:
    """Make the folder, before anything is spent.

    Raises:
        PlanError: It cannot be written.
    """
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise PlanError(f"cannot write to --out {out}: {error.strerror}") from None
    if not os.access(out, os.W_OK | os.X_OK):
        raise PlanError(f"cannot write to --out {out}: Permission denied")


def _settle(found: Mapping[str, Sequence[Probe] | PlanError], out: Path, console: Console) -> int:
    status = 0
    for detector, probes in found.items():
        try:
            if isinstance(probes, PlanError):
                raise probes
            status = max(status, _write(out / f"{detector}.jsonl", probes, console))
        except (PlanError, ProbeError) as error:
            _say(console, f"REFUSED {error}", "red")
            status = 1
    return status


def _write(path: Path, probes: Sequence[Probe], console: Console) -> int:
    """Write a new file; beside one that is there and differs, write another and show the difference."""
    text = encodable("".join(to_line(probe) for probe in probes))
    beside = path.with_name(path.name + ".new")
    try:
        beside.write_text(text, encoding="utf-8")
        if not path.exists():
            beside.rename(path)
            _say(console, f"Wrote {path}: {len(probes)} probes to review")
            return 0
    except OSError as error:
        raise PlanError(f"cannot write {path}: {error.strerror}") from None
    difference = _difference(read(path, {probe.detector for probe in probes}), probes)
    if not difference:
        beside.unlink()
        _say(console, f"{path} is unchanged: it has the same questions")
        return 0
    for line in difference:
        _say(console, line, _STYLES.get(line[0]))
    _say(
        console, f"{path} is there already and stays as it is; the new plan is {beside}. To take it: mv {beside} {path}"
    )
    return 1


def _say(console: Console, text: str, style: str | None = None) -> None:
    console.print(text, style=style, highlight=False, markup=False, soft_wrap=True)


_STYLES = {"+": "green", "-": "red"}


def _difference(before: Sequence[Probe], after: Sequence[Probe]) -> list[str]:
    """Return what two plans of a detector do not share, a line each, those taken out marked - and the new ones +."""
    old, new = ([f"[{p.language}] {' | '.join(p.questions)}" for p in plan] for plan in (before, after))
    return [line for line in difflib.unified_diff(old, new, lineterm="", n=0) if line[:2] not in ("--", "++", "@@")]
