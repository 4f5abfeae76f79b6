"""``reports/summary.json``: the run in figures, for machines."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bias_suite import files
from bias_suite.cases import Judging, encodable
from bias_suite.errors import ReportError
from bias_suite.reporting.text import message

if TYPE_CHECKING:
    from bias_suite.evaluation import Outcome

FILE = "summary.json"
Price = Callable[[int, int], float | None]
"""Takes prompt and completion tokens; returns US dollars, or None where it does not know."""
SCHEMA = 1
_PARTS = {"run": dict, "detectors": list, "calls": dict, "tokens": dict, "exit_status": int}
# pytest carries these from a worker to the controller, and writes them into JUnit files as they are.
PREFIX = "bias_"

EVALUATED = ("fail", "error", "inconclusive", "known", "waived", "pass")
"""The verdicts of detectors that were evaluated, what blocks first."""


@dataclass(frozen=True)
class Row:
    """One detector's line of the summary.

    Attributes:
        id: The detector.
        verdict: The verdict on it.
        reason: What decided it.
        judged: n, the probes that count.
        probes: Probes asked.
        plan: Probes in the plan.
        failures: Probes that failed (averaged over trials).
        errors: Probes that errored (averaged over trials).
        rate: failures / n; None for n = 0.
        lower: One-sided lower bound of the rate; None for n = 0.
        upper: One-sided upper bound of the rate; None for n = 0.
        seconds: Wall time.
        calls: Calls of the model.
        retried: How many of them were repeats.
        recorded: Answers taken from a recording instead.
        saved: Calls of the model that were not needed (``--bias-sequential``).
        prompt_tokens: Tokens sent to the model, as far as it tells.
        completion_tokens: Tokens that it wrote, as far as it tells.
        model: Name and version of the model; None where it was not asked.
        judge: Name, version and prompt of the judge; None where no LLM judged.
        judge_calls: Calls of the judge.
        judge_retried: How many of them were repeats.
        judge_prompt_tokens: Tokens sent to the judge.
        judge_completion_tokens: Tokens that it wrote.
        judge_recorded: Its replies taken from a recording instead.
        split_votes: Answers on which the judge's votes disagreed.
        measures: What else was measured, as JSON: `gate.Measure` each.
        baseline: How it compares with the baseline, as JSON: `baseline.Comparison`; None where it does not.
    """

    id: str
    verdict: str
    reason: str
    judged: int = 0
    probes: int = 0
    plan: int = 0
    failures: float = 0
    errors: float = 0
    rate: float | None = None
    lower: float | None = None
    upper: float | None = None
    seconds: float = 0.0
    calls: int = 0
    retried: int = 0
    recorded: int = 0
    saved: int = 0
    prompt_tokens: int = 0
    completion_tokens: int = 0
    model: str | None = None
    judge: str | None = None
    judge_calls: int = 0
    judge_retried: int = 0
    judge_prompt_tokens: int = 0
    judge_completion_tokens: int = 0
    judge_recorded: int = 0
    split_votes: int = 0
    measures: str | None = None
    baseline: str | None = None

    @property
    def evaluated(self) -> bool:
        """Whether the detector was asked about the model, whatever came of it."""
        return self.verdict != "not_evaluated"


def row(outcome: Outcome, model: str | None = None) -> Row:
    """Return an outcome's line of the summary."""
    decision = outcome.decision
    if decision is None:
        return Row(
            outcome.detector,
            outcome.verdict,
            outcome.reason,
            plan=outcome.plan,
            failures=sum(case.verdict == "failed" for case in outcome.cases),
            calls=outcome.calls,
            recorded=outcome.recorded,
            prompt_tokens=outcome.tokens[0],
            completion_tokens=outcome.tokens[1],
            seconds=round(outcome.seconds, 3),
            model=model,
            **_judged(outcome.judging),
        )
    lower, upper = decision.interval or (None, None)
    return Row(
        id=outcome.detector,
        verdict=outcome.verdict,
        reason=outcome.reason,
        judged=decision.judged,
        probes=decision.probes,
        plan=outcome.plan,
        failures=_whole(decision.failures),
        errors=_whole(decision.errors),
        rate=decision.rate,
        lower=lower,
        upper=upper,
        seconds=round(outcome.seconds, 3),
        calls=outcome.calls,
        retried=outcome.retried,
        recorded=outcome.recorded,
        saved=outcome.saved,
        prompt_tokens=outcome.tokens[0],
        completion_tokens=outcome.tokens[1],
        model=model,
        measures=json.dumps([asdict(one) for one in decision.measures]) if decision.measures else None,
        baseline=json.dumps(asdict(outcome.baseline)) if outcome.baseline else None,
        **_judged(outcome.judging),
    )


def _judged(judging: Sequence[Judging]) -> dict[str, Any]:
    # More than one where the endpoint changed the model's version in the middle of the run.
    judges = sorted({one.judge for one in judging})
    return {
        "judge": ", ".join(judges) or None,
        "judge_calls": sum(one.calls for one in judging),
        "judge_retried": sum(one.retried for one in judging),
        "judge_prompt_tokens": sum(one.prompt_tokens for one in judging),
        "judge_completion_tokens": sum(one.completion_tokens for one in judging),
        "judge_recorded": sum(one.recorded for one in judging),
        "split_votes": sum(one.split for one in judging),
    }


def _whole(number: float) -> float:
    return int(number) if float(number).is_integer() else number


def to_properties(line: Row) -> list[tuple[str, object]]:
    """Return the row as pytest user properties, which xdist carries and JUnit files show."""
    # A judge's name is what its endpoint says it is.
    inert = replace(line, judge=None if line.judge is None else message(line.judge))
    return [(PREFIX + name, value) for name, value in vars(inert).items() if value is not None]


def from_properties(properties: Sequence[tuple[str, object]]) -> Row | None:
    """Return the row that a test report carries, or None."""
    given = {name.removeprefix(PREFIX): value for name, value in properties if name.startswith(PREFIX)}
    fields = {name: value for name, value in given.items() if name in Row.__dataclass_fields__}
    # Somebody else's tests may have properties of these names; a row of ours always has these three.
    return Row(**fields) if {"id", "verdict", "reason"} <= fields.keys() else None  # type: ignore[arg-type]


def document(
    run: Mapping[str, Any],
    rows: Sequence[Row],
    tags: Mapping[str, Sequence[str]],
    exit_status: int,
    price: Price | None = None,
    waivers: Sequence[Mapping[str, Any]] = (),
    measuring: Judging | None = None,
) -> dict[str, Any]:
    """Return ``summary.json``'s content.

    Args:
        run: The run's id, start (ISO 8601), seconds, model, judge, plan fingerprint, commit and settings.
        rows: Every detector of the catalogue.
        tags: Each detector's tags, by id.
        exit_status: pytest's exit status.
        price: Tells what tokens of the judge cost; None where nobody knows.
        waivers: The waivers in force or ended, with how many cases each covers.
        measuring: What it took to measure the judge: part of the run's calls, tokens and costs, and of no detector's.
    """
    spent = [*rows, Row("", "", "", **_judged([measuring]))] if measuring else rows
    return {
        "schema": SCHEMA,
        "run": dict(run),
        "detectors": [_detector(line, tags.get(line.id, ()), price) for line in rows],
        "calls": {
            "model": sum(line.calls for line in rows),
            "judge": sum(line.judge_calls for line in spent),
            "measuring": measuring.calls if measuring else 0,
            "cached": sum(line.recorded + line.judge_recorded for line in spent),
            "retried": sum(line.retried + line.judge_retried for line in spent),
            "saved": sum(line.saved for line in rows),
        },
        "tokens": _tokens(spent),
        "usd": _usd(spent, price),
        "waivers": [dict(one) for one in waivers],
        "exit_status": exit_status,
    }


def _tokens(rows: Sequence[Row]) -> dict[str, dict[str, int] | None]:
    """Return what model and judge used; None, not 0, where nobody counted."""
    model = sum(line.prompt_tokens for line in rows), sum(line.completion_tokens for line in rows)
    judge = sum(line.judge_prompt_tokens for line in rows), sum(line.judge_completion_tokens for line in rows)
    judged = any(line.judge_calls for line in rows)
    return {
        "model": {"prompt": model[0], "completion": model[1]} if any(model) else None,
        "judge": {"prompt": judge[0], "completion": judge[1]} if judged else None,
    }


def _usd(rows: Sequence[Row], price: Price | None) -> float | None:
    """Return what the judge's tokens cost; None where nobody knows."""
    prompt, completion = (
        sum(getattr(row, f"judge_{side}_tokens") for row in rows) for side in ("prompt", "completion")
    )
    cost = price(prompt, completion) if price and prompt + completion else None
    return None if cost is None else round(cost, 6)


def _detector(line: Row, tags: Sequence[str], price: Price | None) -> dict[str, Any]:
    return {
        "id": line.id,
        "tags": list(tags),
        "verdict": line.verdict,
        "probes": line.probes,
        "judged": line.judged,
        "plan": line.plan,
        "failures": line.failures,
        "errors": line.errors,
        "rate": line.rate,
        "interval": None if line.lower is None else [line.lower, line.upper],
        "reason": line.reason,
        "seconds": line.seconds,
        "judge": line.judge,
        "split_votes": line.split_votes,
        "calls": {"model": line.calls, "judge": line.judge_calls},
        "tokens": _tokens([line]),
        "usd": _usd([line], price),
        "measures": json.loads(line.measures) if line.measures else [],
        "baseline": json.loads(line.baseline) if line.baseline else None,
    }


def write(content: Mapping[str, Any], report_dir: Path) -> Path:
    """Write ``summary.json`` in one piece (a reader sees the old one or the new one).

    Raises:
        ReportError: It cannot be written.
    """
    path = report_dir / FILE
    text = encodable(json.dumps(content, indent=2, ensure_ascii=False)) + "\n"
    try:
        files.write(path, text)
    except OSError as error:
        raise ReportError(f"cannot write {path}: {error.strerror}") from None
    return path


def commit(folder: Path) -> str | None:
    """Return the git commit of a folder, or None where there is none."""
    try:
        result = subprocess.run(
            ["git", "rev-parse", "--verify", "--quiet", "HEAD"],
            cwd=folder,
            capture_output=True,
            text=True,
            timeout=10,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return result.stdout.strip() or None


def read(folder: Path) -> dict[str, Any]:
    """Return the summary of a run that has ended.

    Args:
        folder: Its report folder.

    Raises:
        ReportError: There is none, or it is of a part of a run.
    """
    path = folder / FILE
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ReportError(f"{path}: {error.strerror}; name the report folder of a run that has ended") from None
    except ValueError as error:
        raise ReportError(f"{path}: is no summary: {error}") from None
    if not isinstance(content, dict) or content.get("schema") != SCHEMA:
        raise ReportError(f"{path}: is no summary of schema {SCHEMA}")
    if wrong := [name for name, kind in _PARTS.items() if not isinstance(content.get(name), kind)]:
        raise ReportError(f"{path}: is no summary: {', '.join(wrong)} is missing or of another kind")
    if content["run"].get("shard"):
        raise ReportError(
            f"{folder}: is part {content['run']['shard']} of a run; `bias-suite merge` brings all together"
        )
    return content
