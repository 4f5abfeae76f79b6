"""What commands print: figures as JSON, or lines and tables for people."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable, Iterator, Sequence
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

AsJson = Annotated[bool, typer.Option("--json", help="Print the figures as JSON.")]


def tell(figures: dict[str, Any], said: Sequence[Any], *, as_json: bool) -> None:
    """Print figures as one line of JSON, or what they say: lines of text, and rich's tables."""
    if as_json:
        typer.echo(json.dumps(figures))
        return
    console = Console()
    for one in said:
        if isinstance(one, str):
            console.print(one, highlight=False, markup=False, soft_wrap=True)
        else:
            console.print(one)


@contextlib.contextmanager
def progress(*, shown: bool = True) -> Iterator[Callable[[str, int, int | None], None]]:
    """Give something that shows progress on standard error, so that what is printed stays clean.

    It is called with what is being done, the steps done, and all steps as far as they are known. What is not a
    terminal is shown nothing.
    """
    console = Console(stderr=True)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console, disable=not (shown and console.is_terminal)) as bars:
        tasks: dict[str, Any] = {}

        def note(name: str, done: int, steps: int | None) -> None:
            if name not in tasks:
                tasks[name] = bars.add_task(name, total=steps)
            bars.update(tasks[name], completed=done, total=steps)

        yield note
