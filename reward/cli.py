"""``reward``: people's corrections become a reward model that improves the chatbot. Every command takes ``--json``."""

from __future__ import annotations

import sys

import typer

from bias_suite.errors import BiasSuiteError
from reward import annotation_commands, model_commands

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode="rich",
    help="People's corrections become a reward model: [bold]pull[/] them, make [bold]pairs[/], [bold]train[/], "
    "[bold]evaluate[/], [bold]score[/] answers, and [bold]rerank[/] the chatbot's.",
)
app.command()(annotation_commands.pull)
app.command(name="pairs")(annotation_commands.make_pairs)
app.command()(model_commands.train)
app.command()(model_commands.evaluate)
app.command()(model_commands.score)
app.command()(model_commands.rerank)


def main() -> None:
    """Run the command line: 0 done, 1 not better than the baselines, 4 wrong use or failure, told in one line."""
    try:
        app()
    except BiasSuiteError as error:
        _fail(str(error))
    except RuntimeError as error:
        if type(error).__name__ != "OutOfMemoryError":  # torch's, which may not be installed
            raise
        _fail("the GPU has no room: take a smaller --batch-size or --max-length, or --lora")


def _fail(message: str) -> None:
    typer.echo(f"ERROR: {message}", err=True)
    sys.exit(4)


if __name__ == "__main__":
    main()
