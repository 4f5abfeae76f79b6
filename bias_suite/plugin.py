"""The pytest plugin: options, markers, parametrized detectors, and what is done with their results.

Thin on purpose: it must cost next to nothing in a suite that does not use it.
"""

from __future__ import annotations

import contextlib
import os
import shlex
import sys
import uuid
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from bias_suite import hooks, options
from bias_suite.errors import BiasSuiteError, OptionError
from bias_suite.imports import reach
from bias_suite.reporting.text import message

if TYPE_CHECKING:
    from bias_suite.detectors import Detector
    from bias_suite.evaluation import Outcome
    from bias_suite.session import Session
    from bias_suite.subject import Subject

_SESSION: pytest.StashKey[Session] = pytest.StashKey()
_PROGRESS: pytest.StashKey[Any] = pytest.StashKey()
_WORKER_INPUT = "bias_run_id"
_PACKAGE = Path(__file__).parent
_SEARCH = "test_invariance.py"


def pytest_addoption(parser: pytest.Parser) -> None:
    """Declare the options."""
    options.add_options(parser)


def pytest_addhooks(pluginmanager: pytest.PytestPluginManager) -> None:
    """Declare our own hooks."""
    pluginmanager.add_hookspecs(hooks)


def pytest_configure(config: pytest.Config) -> None:
    """Read the settings and register a marker for each tag."""
    from bias_suite.detectors import CATALOGUE, tags
    from bias_suite.output import Redaction
    from bias_suite.results import Results
    from bias_suite.session import Session

    try:
        settings = options.read_settings(config)
    except OptionError as error:
        raise pytest.UsageError(message(error)) from None
    if settings.model is not None:
        reach(config.rootpath)
    _register_markers(config, tags(CATALOGUE))
    run_id = getattr(config, "workerinput", {}).get(_WORKER_INPUT) or uuid.uuid4().hex
    config.stash[_SESSION] = Session(config, settings, run_id)
    config.pluginmanager.register(Redaction(config.stash[_SESSION]), "bias_suite.redaction")
    if not _is_worker(config):
        config.pluginmanager.register(Results(config.stash[_SESSION]), "bias_suite.results")


def _register_markers(config: pytest.Config, names: Iterable[str]) -> None:
    known = {line.partition(":")[0] for line in config.getini("markers")}
    for name in names:
        if name not in known:
            config.addinivalue_line("markers", f"{name}: detectors of bias-suite with this tag or id")


def _is_worker(config: pytest.Config) -> bool:
    return hasattr(config, "workerinput")


@pytest.hookimpl(optionalhook=True)
def pytest_configure_node(node: Any) -> None:
    """Tell an xdist worker which run it belongs to."""
    node.workerinput[_WORKER_INPUT] = node.config.stash[_SESSION].run_id


def pytest_sessionstart(session: pytest.Session) -> None:
    """Refuse wrong input once, in the main process, before anything is collected or asked."""
    ours = session.config.stash[_SESSION]
    if _is_worker(session.config) or not ours.selects_detectors():
        return
    try:
        ours.check()
        if _asks(session.config):
            ours.begin()
    except BiasSuiteError as error:
        raise pytest.UsageError(message(error)) from None
    _start_progress(session.config, ours)


def _asks(config: pytest.Config) -> bool:
    """Tell whether a session runs tests, and does not only show what there is."""
    shows = ("collectonly", "showfixtures", "show_fixtures_per_test", "setupplan")
    return not any(getattr(config.option, name, False) for name in shows)


def _start_progress(config: pytest.Config, ours: Session) -> None:
    """Start the progress line, where there is a terminal to show it."""
    reporter = config.pluginmanager.get_plugin("terminalreporter")
    capture: Any = config.pluginmanager.get_plugin("capturemanager")  # None with `-p no:capture`
    if reporter is None or not reporter.isatty or not _asks(config):
        return
    from bias_suite.gate import look_sizes
    from bias_suite.reporting.progress import Progress
    from bias_suite.sinks import jsonl

    planned = {
        name: look_sizes(len(probes), ours.settings.sample)[0] * ours.settings.trials
        for name, probes in ours.plan.probes.items()
        if probes and not ours.plan.rules[name].scans  # those tell nothing until they are done
    }
    with capture.global_and_fixture_disabled() if capture else contextlib.nullcontext():
        # A second way to the terminal: while a test runs, standard output leads into pytest's capture.
        terminal = os.fdopen(os.dup(sys.stdout.fileno()), "w", encoding="utf-8")
    progress = Progress(ours.settings.report_dir / jsonl.PROGRESS_FILE, planned, terminal, reporter._tw.fullwidth)
    config.stash[_PROGRESS] = progress
    config.pluginmanager.register(progress, "bias_suite.progress")
    progress.start()


@pytest.hookimpl(tryfirst=True)
def pytest_pycollect_makeitem(collector: pytest.Module | pytest.Class, name: str) -> list[pytest.Item] | None:
    """Leave out a test of ours for which ``--bias-only`` left no detector."""
    if collector.path.parent != _PACKAGE or not name.startswith("test_"):
        return None
    try:
        selected = collector.config.stash[_SESSION].selected
    except BiasSuiteError:
        return None  # told when its parameters are made
    return None if any(detector.test == name for detector in selected) else []


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Make one test of each selected detector, marked with its tags."""
    if "bias_detector" not in metafunc.fixturenames:
        return
    from bias_suite.detectors import tags

    try:
        selected = metafunc.config.stash[_SESSION].selected
    except BiasSuiteError as error:
        raise pytest.Collector.CollectError(message(error)) from None
    _register_markers(metafunc.config, tags(selected))
    # One's own test file takes all that are selected.
    ours = metafunc.definition.path.parent == _PACKAGE
    params = [
        pytest.param(
            detector, id=detector.id, marks=[getattr(pytest.mark, tag) for tag in {*detector.tags, detector.id}]
        )
        for detector in selected
        if not ours or detector.test == metafunc.function.__name__
    ]
    metafunc.parametrize("bias_detector", params)


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Let the search run first among our tests: it asks one question after the other, while others are in flight."""
    places = [place for place, item in enumerate(items) if item.path.parent == _PACKAGE]
    ours = sorted((items[place] for place in places), key=lambda item: item.path.name != _SEARCH)
    for place, item in zip(places, ours, strict=True):
        items[place] = item


def pytest_collection_finish(session: pytest.Session) -> None:
    """Call the judge once before anything is asked, where a collected detector needs it."""
    if _is_worker(session.config):
        return
    _check_judge(session.config, [item.nodeid for item in session.items])


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_node_collection_finished(node: Any, ids: Sequence[str]) -> None:
    """Do the same in the controller of xdist, which collects nothing itself."""
    _check_judge(node.config, ids)


def _check_judge(config: pytest.Config, nodeids: Sequence[str]) -> None:
    from bias_suite.session import detector_of

    ours = config.stash[_SESSION]
    names = [name for nodeid in nodeids if (name := detector_of(nodeid))]
    if not names or not _asks(config):
        return
    try:
        _announce(config, names)
        ours.check_judge(names)
    except BiasSuiteError as error:
        raise pytest.UsageError(message(error)) from None


def _announce(config: pytest.Config, names: Iterable[str]) -> None:
    """Tell once, where there is a budget, what the run will ask."""
    from bias_suite.reporting import estimate

    ours = config.stash[_SESSION]
    reporter = config.pluginmanager.get_plugin("terminalreporter")
    if ours.budget is None or ours.announced or reporter is None:
        return
    ours.announced = True
    reporter.write_line(estimate.line(ours.plan, ours.evaluable(names), ours.settings))


@pytest.fixture(scope="session")
def rag_model(pytestconfig: pytest.Config) -> Subject:
    """The model under test, built once per process; ``rag_model.ask(question)`` gives answer and contexts."""
    try:
        return pytestconfig.stash[_SESSION].subject()
    except BiasSuiteError as error:
        told = message(error)
    pytest.fail(told, pytrace=False)  # outside of the handler: no chain of exceptions in the report


@pytest.fixture
def bias_evaluate(request: pytest.FixtureRequest) -> Callable[[Detector], None]:
    """Return a function that evaluates one detector and passes, fails or skips the test by its verdict."""
    from bias_suite.reporting import summary

    session = request.config.stash[_SESSION]

    def run(detector: Detector) -> None:
        outcome, model = _outcome(session, detector, request)
        # A replay waits for nobody: how long it took says nothing, and two of them tell the same.
        seconds = outcome.seconds if session.settings.replay is None else 0.0
        outcome = replace(outcome, reason=message(session.redactor.text(outcome.reason)), seconds=seconds)
        request.node.user_properties.extend(summary.to_properties(summary.row(outcome, model)))
        request.node.user_properties.append(("bias_plan_sha256", session.plan.sha256))
        _settle(session, outcome, detector, _again(request.node, detector))

    return run


def _outcome(session: Session, detector: Detector, request: pytest.FixtureRequest) -> tuple[Outcome, str | None]:
    """Evaluate a detector; also return the model's name and version, where it was built."""
    from bias_suite import evaluation
    from bias_suite.session import detector_of

    rule, plan = session.plan.rules[detector.id], session.plan.probes[detector.id]
    reason = evaluation.not_evaluated(rule, plan)
    if reason:
        return evaluation.Outcome(detector.id, "not_evaluated", reason, plan=len(plan)), None
    try:
        subject: Subject = request.getfixturevalue("rag_model")
    except pytest.fail.Exception as error:
        return evaluation.Outcome(detector.id, "error", str(error), plan=len(plan)), None
    if not _is_worker(request.config):  # a worker of xdist does not know which tests it will get
        names = [name for item in request.session.items if (name := detector_of(item.nodeid))]
        session.begin_evaluations(subject, session.evaluable(names))
    try:
        outcome = session.evaluation(subject, detector).finish()
    except BiasSuiteError as error:
        return evaluation.Outcome(detector.id, "error", str(error), plan=len(plan)), subject.identity
    try:
        outcome = session.accepted.held(detector, rule, outcome)
    except BiasSuiteError as error:
        return replace(outcome, verdict="error", reason=str(error)), subject.identity
    if rule.remote and outcome.decision is not None and session.trust is not None:
        outcome = evaluation.weighed(outcome, session.trust)
    return outcome, subject.identity


def _again(item: pytest.Item, detector: Detector) -> str:
    """Return the command that runs a detector's test again."""
    if (item.config.rootpath / item.nodeid.partition("::")[0]).exists():
        which = [item.nodeid]
    else:  # collected from an installed package
        which = ["--pyargs", "bias_suite", f"--bias-only={detector.id}"]
    return shlex.join(["pytest", *which, *options.given(item.config)])


def _settle(session: Session, outcome: Outcome, detector: Detector, again: str) -> None:
    """Turn a verdict into pytest's own outcomes."""
    from bias_suite.reporting.message import failure_message

    if outcome.verdict == "not_evaluated":
        if detector.id in session.required:
            pytest.fail(f"{detector.id}: required, but NOT EVALUATED: {outcome.reason}", pytrace=False)
        if outcome.stopped:
            pytest.fail(f"{detector.id}: NOT EVALUATED: {outcome.reason}", pytrace=False)
        pytest.skip(f"NOT EVALUATED: {outcome.reason}")
    undecided = outcome.verdict == "inconclusive" and session.settings.inconclusive == "warn"
    if outcome.verdict not in ("pass", "known", "waived") and not undecided:
        pytest.fail(failure_message(outcome, detector.title, again, session.redactor.case), pytrace=False)


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Close what this process has open."""
    progress = session.config.stash.get(_PROGRESS, None)
    if progress is not None:
        progress.stop()
    session.config.stash[_SESSION].close()
