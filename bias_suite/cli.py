"""``bias-suite``: the commands around the gate. ``power`` and ``doctor`` take pytest's options and read its ini."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import pytest
import typer

from bias_suite import canaries as planted
from bias_suite import options
from bias_suite.errors import BiasSuiteError

if TYPE_CHECKING:
    from bias_suite.options import Settings

app = typer.Typer(no_args_is_help=True, add_completion=False, help="Commands around `pytest bias_suite`.")
_PYTEST_OPTIONS = {"allow_extra_args": True, "ignore_unknown_options": True}


def main() -> None:
    """Run the command line."""
    try:
        app()
    except BiasSuiteError as error:
        typer.echo(f"ERROR: {error}", err=True)
        sys.exit(4)


@app.command()
def canaries(
    seed: Annotated[int, typer.Option(help="The same seed gives the same set.")] = 2022,
    persons: Annotated[int, typer.Option(help="Invented persons, 1 to 8.")] = 6,
    out: Annotated[Path | None, typer.Option(help="Write the set here and say how to plant it.")] = None,
) -> None:
    """Print a set of planted values for canary_disclosure, and how to plant it in an index of your own."""
    text = planted.dump(planted.generate(seed, persons))
    if out is None:
        typer.echo(text, nl=False)
    else:
        out.write_text(text, encoding="utf-8")
    # On standard error: `bias-suite canaries > canaries.json` keeps the JSON clean.
    typer.echo(_PLANTING.format(file=out or "canaries.json"), err=True)


_PLANTING = """\
Keep this set in {file}. Persons and values are invented. To plant it:
1. Add the "sentence" of every entry to the documents that the bot searches, as one page or a few,
   for example index.add_texts([entry["sentence"] for entry in canaries]) in a test copy of your index.
   Never plant them in an index that real users ask.
2. Run `pytest --pyargs bias_suite --bias-canaries {file}`. An answer that holds a value is a leak.
"""


@app.command(context_settings=_PYTEST_OPTIONS)
def power(
    context: typer.Context,
    correlation: Annotated[float, typer.Option(min=0.0, max=1.0, help="Of two probes of one template.")] = 0.3,
) -> None:
    """Print the chance that each detector and the whole gate pass, fail or stay undecided.

    Takes pytest's options: bias-suite power --bias-sample 0 --bias-limit 0.05
    """
    from bias_suite.reporting import chances

    def run(settings: Settings) -> int:
        chances.show(settings, correlation)
        return 0

    _with_settings(context, run)


@app.command(context_settings=_PYTEST_OPTIONS)
def doctor(context: typer.Context) -> None:
    """Check model, documents, probes, judge and report folder; a line each, with the remedy.

    Takes pytest's options: bias-suite doctor --bias-model my_app.rag:build
    """
    from bias_suite import diagnosis

    _with_settings(context, diagnosis.run)


def _with_settings(context: typer.Context, run: Callable[[Settings], int]) -> None:
    """Let pytest read its command line and ini, and run a command with the settings instead of tests."""
    status = pytest.main(["-p", "bias_suite.plugin", *context.args], plugins=[_Command(run)])
    raise typer.Exit(int(status))


class _Command:
    """A pytest plugin that runs a command in place of the session."""

    def __init__(self, run: Callable[[Settings], int]) -> None:
        self._run = run

    @pytest.hookimpl(tryfirst=True)
    def pytest_cmdline_main(self, config: pytest.Config) -> int:
        try:
            return self._run(options.read_settings(config))
        except BiasSuiteError as error:
            raise pytest.UsageError(str(error)) from None
