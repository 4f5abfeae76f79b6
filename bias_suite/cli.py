"""``bias-suite``: the commands around the gate. ``power`` and ``doctor`` take pytest's options and read its ini."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import pytest
import typer

from bias_suite import canaries as planted
from bias_suite import options
from bias_suite.errors import ArgillaError, BiasSuiteError, OptionError, OutboxError, RecordingError
from bias_suite.imports import reach
from bias_suite.reporting.text import message

if TYPE_CHECKING:
    from bias_suite.options import Settings
    from bias_suite.recordings import Recording

app = typer.Typer(no_args_is_help=True, add_completion=False, help="Commands around `pytest bias_suite`.")
_PYTEST_OPTIONS = {"allow_extra_args": True, "ignore_unknown_options": True}


def main() -> None:
    """Run the command line."""
    try:
        app()
    except BiasSuiteError as error:
        typer.echo(f"ERROR: {message(error)}", err=True)
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


@app.command(context_settings=_PYTEST_OPTIONS)
def plan(
    context: typer.Context,
    judge: Annotated[str | None, typer.Option(help="LLM that writes, by litellm's name; else --bias-judge.")] = None,
    judge_url: Annotated[str | None, typer.Option(help="OpenAI-compatible endpoint that serves it.")] = None,
    detector: Annotated[list[str] | None, typer.Option(help="Only this one; may be given again.")] = None,
    requirements: Annotated[int, typer.Option(min=1, help="Requirements a detector.")] = 5,
    per_requirement: Annotated[int, typer.Option(min=1, help="Questions a requirement.")] = 25,
    samples: Annotated[int, typer.Option(min=1, help="Pairs (sycophancy) and questions (implausible).")] = 60,
    language: Annotated[
        str, typer.Option(help="Language codes; questions are spread over them.")
    ] = "en,fr,de,es,pl,ar",
    description: Annotated[str | None, typer.Option(help="What the chatbot is for; else the model's own.")] = None,
    out: Annotated[Path, typer.Option(help="Folder for the *.jsonl files.")] = Path("probes"),
    seed: Annotated[int, typer.Option(help="Of the generator.")] = 1729,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask before spending.")] = False,
) -> None:
    """Have an LLM write questions for the judged detectors, with Giskard's generators, into files to review.

    Takes pytest's options: bias-suite plan --judge openai/gpt-4o --bias-model my_app.rag:build
    """
    from rich.console import Console

    from bias_suite import ordering, planning
    from bias_suite.judge import configured

    def run(settings: Settings) -> int:
        chosen = _with_generator(settings, judge, judge_url)
        generator = configured(chosen)
        if generator is None:
            raise OptionError("--judge MODEL must name the LLM that writes the questions")
        order = planning.Order(
            description=ordering.describe(chosen, description),
            detectors=planning.chosen(detector or ()),
            requirements=requirements,
            per_requirement=per_requirement,
            samples=samples,
            languages=planning.languages(language),
            seed=seed,
        )
        console = Console()
        ordering.require_writable(out)
        ordering.announce(order, generator.chat, console)
        if not yes and not typer.confirm("Go on?"):
            return 1
        return ordering.run(order, generator, chosen.concurrency, out, console)

    _with_settings(context, run)


def _with_generator(settings: Settings, model: str | None, url: str | None) -> Settings:
    """Return the settings with the LLM that ``--judge`` and ``--judge-url`` name, or that of ``--bias-judge``.

    Raises:
        OptionError: ``--judge-url`` is no URL.
    """
    if model is None and url is None:
        return settings
    try:
        at = options.url(url) if url else None
    except ValueError as error:
        raise OptionError(f"--judge-url {url!r}: {error}") from None
    # A model named here is not at the address that the ini names for another.
    return replace(settings, judge=model or settings.judge, judge_url=at, judge_key=options.endpoint_key(at))


@app.command(context_settings=_PYTEST_OPTIONS)
def push(
    context: typer.Context,
    outbox: Annotated[Path | None, typer.Option(help="Folder; else `outbox` in the report folder.")] = None,
) -> None:
    """Send the cases that wait in the outbox to Argilla; what has arrived is not sent again.

    Takes pytest's options: bias-suite push --bias-argilla-url http://127.0.0.1:6900
    """
    from bias_suite import redaction
    from bias_suite.reporting.summary import commit
    from bias_suite.sinks import delivery

    def run(settings: Settings) -> int:
        try:
            return delivery.push(settings, redaction.of(settings).case, outbox, commit(Path.cwd()))
        except (ArgillaError, OutboxError) as error:
            typer.echo(f"ERROR: {message(error)}", err=True)
            return 1

    _with_settings(context, run)


@app.command(context_settings=_PYTEST_OPTIONS)
def verdicts(
    context: typer.Context,
    waivers: Annotated[Path | None, typer.Option(help="Write waivers for what people found acceptable.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the figures as JSON.")] = False,
) -> None:
    """Say how often people's verdicts in Argilla agree with the gate's.

    Takes pytest's options: bias-suite verdicts --bias-argilla-url http://127.0.0.1:6900
    """
    from bias_suite import verdicts as said

    _with_settings(context, lambda settings: said.show(settings, waivers, as_json=as_json))


@app.command(context_settings=_PYTEST_OPTIONS)
def merge(context: typer.Context) -> None:
    """Bring the parts of a run (--bias-shard) together: merge DIR... [OPTIONS]. Nobody is asked.

    Each DIR is the report folder of a part. Takes pytest's options, those that the parts were run with:
    bias-suite merge shard-1 shard-2 --bias-report-dir reports
    """
    import itertools

    folders = tuple(Path(name) for name in itertools.takewhile(lambda name: not name.startswith("-"), context.args))
    given = ["--pyargs", "-p", "bias_suite.plugin", *context.args[len(folders) :], "bias_suite"]
    raise typer.Exit(int(pytest.main(given, plugins=[_Merging(folders)])))


class _Merging:
    """A pytest plugin that tells the session where the parts of the run are."""

    def __init__(self, folders: tuple[Path, ...]) -> None:
        self._folders = folders

    @pytest.hookimpl(tryfirst=True)
    def pytest_configure(self, config: pytest.Config) -> None:
        from bias_suite.session import FOLDERS

        config.stash[FOLDERS] = tuple(config.invocation_params.dir / folder for folder in self._folders)
        if hasattr(config.option, "dist"):  # an ini may ask for workers of xdist, who know nothing of the parts
            config.option.dist, config.option.tx = "no", []


_baseline = typer.Typer(help="The run that later ones are held to (--bias-baseline).", no_args_is_help=True)
app.add_typer(_baseline, name="baseline")
_Folder = Annotated[Path, typer.Argument(help="Report folder of a run.")]


@_baseline.command(context_settings=_PYTEST_OPTIONS)
def accept(context: typer.Context, folder: _Folder) -> None:
    """Accept what a run has shown: writes --bias-baseline (baseline.json where none is named), to be committed.

    Takes pytest's options: bias-suite baseline accept reports --bias-baseline baseline.json
    """
    from bias_suite import accepting

    _with_settings(context, lambda settings: accepting.run(settings, folder))


@app.command(context_settings=_PYTEST_OPTIONS)
def compare(
    context: typer.Context,
    before: Annotated[Path, typer.Argument(metavar="A", help="Report folder of a run.")],
    after: Annotated[Path, typer.Argument(metavar="B", help="Report folder of another.")],
    html: Annotated[Path | None, typer.Option(help="Write it as a page, too, with the probes that differ.")] = None,
) -> None:
    """Say what changed from one run to another, with paired tests: which of two models, or prompts, is better.

    Takes pytest's options: bias-suite compare reports-before reports-after --bias-probes probes
    """
    from rich.console import Console

    from bias_suite import comparing, evaluation, redaction
    from bias_suite import plan as plans
    from bias_suite.reporting import compared

    def run(settings: Settings) -> int:
        plan = plans.load(settings)
        first, second = (comparing.read(folder, plan.rules) for folder in (before, after))
        held_to = {detector.id: evaluation.rules_of(detector, settings) for detector in plan.detectors}
        found = comparing.changes(first, second, plan.detectors, held_to)
        compared.show(first, second, found, Console(highlight=False))
        if html is not None:
            from bias_suite.reporting import compared_page

            compared_page.write(html, first, second, found, plan.detectors, redaction.of(settings).case)
            typer.echo(f"Wrote {html}")
        return 0

    _with_settings(context, run)


@app.command(context_settings=_PYTEST_OPTIONS)
def report(context: typer.Context, folder: _Folder) -> None:
    """Make index.html again, from summary.json and cases.jsonl of a run.

    Takes pytest's options: bias-suite report reports --bias-redact no
    """
    from bias_suite import plan as plans
    from bias_suite import redaction
    from bias_suite.reporting import html
    from bias_suite.reporting import summary as summaries

    def run(settings: Settings) -> int:
        told = summaries.read(folder)
        path = html.write(told, folder, plans.load(settings).detectors, redaction.of(settings).case)
        typer.echo(f"Wrote {path}")
        return 0

    _with_settings(context, run)


@app.command(name="judge-check", context_settings=_PYTEST_OPTIONS)
def judge_check(
    context: typer.Context,
    judge: Annotated[str | None, typer.Option(help="The judge, by litellm's name; else --bias-judge.")] = None,
    judge_url: Annotated[str | None, typer.Option(help="OpenAI-compatible endpoint that serves it.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the figures as JSON.")] = False,
) -> None:
    """Measure a judge on all gold judgements, and on people's verdicts in Argilla where there are any.

    Exit status 1 where it is not to be trusted. Takes pytest's options: bias-suite judge-check --judge openai/gpt-4o
    """
    from bias_suite import judge_check as checking
    from bias_suite.judge import configured

    def run(settings: Settings) -> int:
        chosen = _with_generator(settings, judge, judge_url)
        asked = configured(chosen)
        if asked is None:
            raise OptionError("--judge MODEL must name the judge")
        return checking.show(asked, chosen, as_json=as_json)

    _with_settings(context, run)


_recordings = typer.Typer(help="Look into the recordings that --bias-record makes.", no_args_is_help=True)
app.add_typer(_recordings, name="recordings")
_File = Annotated[Path, typer.Argument(help="A recording.")]


@_recordings.command()
def show(
    file: _File,
    probe: Annotated[str | None, typer.Option(help="Show what was asked and answered for this probe.")] = None,
) -> None:
    """Say whose answers a recording holds, of which version and when; or those of one probe."""
    from bias_suite.reporting import recorded

    _with_recording(file, lambda opened: recorded.show(opened, probe), replays=True)


@_recordings.command()
def prune(
    file: _File,
    before: Annotated[str | None, typer.Option(help="Remove what was recorded before this date, 2026-01-31.")] = None,
    version: Annotated[str | None, typer.Option(help="Remove what this version of model or judge said.")] = None,
) -> None:
    """Remove entries from a recording."""
    from bias_suite.reporting import recorded

    _with_recording(file, lambda opened: recorded.prune(opened, before, version), replays=False)


@_recordings.command()
def export(file: _File) -> None:
    """Write a recording's entries to standard output, a JSON object a line."""
    from bias_suite.reporting import recorded

    _with_recording(file, recorded.export, replays=True)


def _with_recording(file: Path, run: Callable[[Recording], None], *, replays: bool) -> None:
    from bias_suite.recordings import Recording

    try:
        if not file.is_file():
            raise RecordingError(f"{file}: no such recording")
        opened = Recording(file, replays=replays)
        try:
            run(opened)
        finally:
            opened.close()
    except BiasSuiteError as error:
        typer.echo(f"ERROR: {message(error)}", err=True)
        raise typer.Exit(2) from None


def _with_settings(context: typer.Context, run: Callable[[Settings], int]) -> None:
    """Let pytest read its command line and ini, and run a command with the settings instead of tests."""
    # -s: a command may ask, and pytest would have taken standard input away.
    status = pytest.main(["-s", "-p", "bias_suite.plugin", *context.args], plugins=[_Command(run)])
    raise typer.Exit(int(status))


class _Command:
    """A pytest plugin that runs a command in place of the session."""

    def __init__(self, run: Callable[[Settings], int]) -> None:
        self._run = run

    @pytest.hookimpl(tryfirst=True)
    def pytest_cmdline_main(self, config: pytest.Config) -> int:
        try:
            reach(config.rootpath)
            return self._run(options.read_settings(config))
        except BiasSuiteError as error:
            raise pytest.UsageError(message(error)) from None
