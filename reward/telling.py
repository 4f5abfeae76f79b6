"""What commands print: figures as JSON, or lines and tables for people."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Annotated, Any

import typer
from rich.console import Console

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
