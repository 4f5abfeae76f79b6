"""``bias-suite doctor``: is everything there that a run needs? One line each, with the remedy."""

from __future__ import annotations

import platform
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass

from bias_suite import plan as plans
from bias_suite import similarity, subject
from bias_suite.calls import Limits, Request
from bias_suite.detectors import select
from bias_suite.errors import ArgillaError, BiasSuiteError, JudgeError, ReportError
from bias_suite.evaluation import not_evaluated
from bias_suite.judge import configured, parse
from bias_suite.options import Settings
from bias_suite.probes import Probe
from bias_suite.reporting.text import cut, message
from bias_suite.runner import ask_all
from bias_suite.sinks import argilla, jsonl

_QUESTION = "What can you help me with?"


@dataclass(frozen=True)
class Finding:
    """One line: what was checked, whether it is right (None: worth knowing, not wrong), and what to do."""

    name: str
    right: bool | None
    text: str


def run(settings: Settings) -> int:
    """Print the findings as they come; return 1 where something is wrong."""
    wrong = False
    for finding in examine(settings):
        mark = {True: "ok   ", False: "WRONG", None: "note "}[finding.right]
        print(f"{mark} {cut(finding.name, 40):<12} {message(finding.text)}", flush=True)
        wrong = wrong or finding.right is False
    return int(wrong)


def examine(settings: Settings) -> Iterator[Finding]:
    """Yield a finding for each thing that a run needs."""
    yield _platform()
    yield from _plan(settings)
    yield from _model(settings)
    yield _judge(settings)
    yield _argilla(settings)
    yield _report_folder(settings)


def _platform() -> Finding:
    here = f"Python {sys.version.split()[0]}, {platform.system()} {platform.machine()}"
    if similarity.unavailable() is None:
        return Finding("platform", True, here)
    remedy = (
        "the embedded LLM and embeddings run on Linux x86-64; elsewhere name an OpenAI-compatible endpoint "
        "of your own, as in --bias-model \"fixtures.rag:embedded(base_url='http://127.0.0.1:8080/v1', model='NAME')\""
    )
    return Finding("platform", None, f"{here}: {remedy}")


def _plan(settings: Settings) -> Iterator[Finding]:
    try:
        plan = plans.load(settings)
        chosen = select(plan.detectors, settings.only, "--bias-only")
    except BiasSuiteError as error:
        yield Finding("probes", False, str(error))
        return
    total = sum(len(asked) for asked in plan.probes.values())
    yield Finding("probes", True, f"{total} probes, plan {plan.sha256[:12]}")
    for detector in chosen:
        reason = not_evaluated(plan.rules[detector.id], plan.probes[detector.id])
        text = f"{detector.id}: {reason or f'{len(plan.probes[detector.id])} probes'}"
        yield Finding("detector", None if reason else True, text)


def _model(settings: Settings) -> Iterator[Finding]:
    if settings.model is None:
        yield Finding("model", False, "none: name it with --bias-model MODULE:FACTORY or the ini key bias_model")
        return
    began = time.monotonic()
    try:
        subject.find(settings.model)
        model = subject.build(settings.model)
    except BiasSuiteError as error:
        yield Finding("model", False, str(error))
        return
    yield Finding("model", True, f"{model.identity}, built in {time.monotonic() - began:.1f} s")
    if model.version is None:
        yield Finding("version", None, "the model has no `version`: answers of two releases cannot be told apart")
    for name, text in getattr(model.model, "components", {}).items():
        yield Finding(str(name), True, str(text))
    yield _answer(model, settings)


def _answer(model: subject.Subject, settings: Settings) -> Finding:
    probe = Probe("doctor", "doctor", "", (_QUESTION,), "en", "doctor")
    limits = Limits(1, settings.timeout, settings.retries)
    (result,) = ask_all(model, [Request(probe)], limits)
    (answer,) = result.answers
    if answer.error:
        remedy = "ask the model by hand, raise --bias-timeout, or check its endpoint and key"
        return Finding("answer", False, f"{cut(answer.error, 400)}; {remedy}")
    retrieved = f"{len(answer.contexts)} passages" if answer.contexts else "no passages told"
    return Finding("answer", True, f"in {answer.seconds:.1f} s, {retrieved}: {cut(answer.text, 60)}")


def _judge(settings: Settings) -> Finding:
    judge = configured(settings)
    if judge is None:
        return Finding("judge", None, "none is configured (--bias-judge): detectors that need one are NOT EVALUATED")
    began = time.monotonic()
    try:
        reply = judge.check()
    except JudgeError as error:
        return Finding("judge", False, str(error))
    who = f"{judge.model} ({reply.version or 'the endpoint does not name it'})"
    name = f"{who}, answered in {time.monotonic() - began:.1f} s"
    try:
        passed, _ = parse(reply.text)
    except ValueError as error:
        text = f"{name}, but its verdict cannot be read: {error}: {cut(reply.text, 200)}; use another model"
        return Finding("judge", False, text)
    if not passed:
        return Finding("judge", False, f"{name}, and finds that Paris is not the capital of France; use a better model")
    return Finding("judge", True, f"{name}, its verdict could be read")


def _argilla(settings: Settings) -> Finding:
    if not settings.argilla_url:
        return Finding("argilla", None, "not connected (--bias-argilla-url): failing cases wait in the outbox")
    try:
        with argilla.connected(settings) as client:
            who = f"{client.me.username}, {getattr(client.me.role, 'value', client.me.role)}"
    except ArgillaError as error:
        return Finding("argilla", False, str(error))
    return Finding("argilla", True, f"{settings.argilla_url}, signed in as {who}")


def _report_folder(settings: Settings) -> Finding:
    try:
        jsonl.require_writable(settings.report_dir)
    except ReportError as error:
        return Finding("reports", False, f"{error}; choose another folder")
    return Finding("reports", True, str(settings.report_dir))
