"""Command line and ini: one table of options, one frozen `Settings`. Nothing else reads configuration.

Every option ``--bias-NAME`` has an ini key ``bias_NAME``; the command line wins.
"""

from __future__ import annotations

import math
import os
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal
from urllib.parse import urlsplit

import pytest

from bias_suite.errors import OptionError

_FACTORY = re.compile(r"[A-Za-z_][\w.]*:[A-Za-z_]\w*(\(.*\))?", re.DOTALL)


@dataclass(frozen=True)
class Settings:
    """The settings of one run; the fields are the options of the same name, paths made absolute.

    Attributes:
        judge_key: Key for ``--bias-judge-url``, from the environment (``OPENAI_API_KEY``), never from an option.
        argilla_key: Key for ``--bias-argilla-url``, from the environment (``ARGILLA_API_KEY``).
        hugging_face_token: For an Argilla in a private Hugging Face Space, from the environment (``HF_TOKEN``).
        detectors: Further detectors that the ini names.
    """

    model: str | None
    judge: str | None
    judge_url: str | None
    judge_votes: int
    judge_gold: int
    only: tuple[str, ...]
    probes: Path | None
    concurrency: int
    rpm: float
    max_calls: int
    max_tokens: int
    max_usd: float
    timeout: float
    retries: int
    trials: int
    tolerance: float
    limit: float
    confidence: float
    inconclusive: str
    sample: int
    sequential: bool
    shard: str | None
    search: str
    require: tuple[str, ...]
    report_dir: Path
    canaries: Path | None
    record: Path | None
    replay: Path | None
    baseline: Path | None
    baseline_mode: str
    waivers: Path | None
    resume: bool
    html: bool
    giskard_reports: bool
    argilla_url: str | None
    argilla_workspace: str
    argilla_dataset: str
    argilla_pass_sample: float
    argilla_min_submitted: int
    redact: bool
    detectors: tuple[str, ...]
    judge_key: str | None = field(default=None, repr=False)
    argilla_key: str | None = field(default=None, repr=False)
    hugging_face_token: str | None = field(default=None, repr=False)


@dataclass(frozen=True)
class _Option:
    name: str
    metavar: str
    parse: Callable[[str], Any]
    default: Any
    help: str
    switch: bool = False

    @property
    def flag(self) -> str:
        return "--bias-" + self.name.replace("_", "-")


def _whole(minimum: int) -> Callable[[str], int]:
    def parse(text: str) -> int:
        value = int(text)
        if value < minimum:
            raise ValueError(f"must be at least {minimum}")
        return value

    return parse


def _seconds(text: str) -> float:
    value = float(text)
    if not (math.isfinite(value) and value > 0):
        raise ValueError("must be a positive number of seconds")
    return value


def _amount(text: str) -> float:
    value = float(text)
    if not (math.isfinite(value) and value >= 0):
        raise ValueError("must be an amount of at least 0")
    return value


def _share(text: str) -> float:
    value = float(text)
    if not 0 <= value < 1:
        raise ValueError("must be at least 0 and below 1")
    return value


def _part(text: str) -> float:
    value = float(text)
    if not 0 <= value <= 1:
        raise ValueError("must be between 0 and 1")
    return value


def _confidence(text: str) -> float:
    value = float(text)
    if not 0.5 <= value < 1:
        raise ValueError("must be at least 0.5 and below 1")
    return value


def _names(text: str) -> tuple[str, ...]:
    return tuple(name.strip() for name in re.split(r"[,\n]", text) if name.strip())


def _factory(text: str) -> str:
    if not _FACTORY.fullmatch(text):
        raise ValueError("must be MODULE:FACTORY or MODULE:FACTORY(key=literal, ...)")
    return text


def url(text: str) -> str:
    """Return a base URL without a slash at its end.

    Raises:
        ValueError: It is none.
    """
    parts = urlsplit(text)
    if parts.username or parts.password:
        raise ValueError("must hold no user or password: keys come from the environment")
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ValueError("must be a URL, such as http://127.0.0.1:8080/v1")
    return text.rstrip("/")


def _votes(text: str) -> int:
    value = int(text)
    if value < 1 or value % 2 == 0:
        raise ValueError("must be an odd number, so that there is a majority")
    return value


def _yes_or_no(text: str) -> bool:
    if text not in ("yes", "no"):
        raise ValueError("must be yes or no")
    return text == "yes"


def _effort(text: str) -> str:
    if text not in ("ci", "hunt"):
        raise ValueError("must be ci or hunt")
    return text


def _mode(text: str) -> str:
    if text not in ("strict", "ratchet"):
        raise ValueError("must be strict or ratchet")
    return text


def _shard(text: str) -> str:
    number, slash, of = (part.strip() for part in text.partition("/"))
    if not (slash and number.isdecimal() and of.isdecimal() and 1 <= int(number) <= int(of)):
        raise ValueError("must be a part and how many there are, such as 2/4")
    return f"{int(number)}/{int(of)}"


def _fail_or_warn(text: str) -> str:
    if text not in ("fail", "warn"):
        raise ValueError("must be fail or warn")
    return text


_OPTIONS = (
    _Option("model", "MODULE:FACTORY", _factory, None, "the model under test"),
    _Option("judge", "MODEL", str, None, "LLM that judges answers, by litellm's name, such as openai/gpt-4o"),
    _Option("judge_url", "URL", url, None, "OpenAI-compatible endpoint that serves the judge (key: OPENAI_API_KEY)"),
    _Option("judge_votes", "N", _votes, 1, "votes of the judge on each answer, an odd number; the majority decides"),
    _Option(
        "judge_gold", "N", _whole(0), 120, "gold judgements that the judge is measured with, once a version; 0: not"
    ),
    _Option("only", "TAG,...", _names, (), "run only detectors with one of these tags or ids"),
    _Option(
        "probes", "DIR", Path, None, "folder with the application's own probes (*.jsonl), added to the built-in ones"
    ),
    _Option(
        "concurrency", "N", _whole(1), 16, "calls in flight at a time, in all workers together, of model and judge each"
    ),
    _Option("rpm", "N", _whole(0), 0, "calls that may start in a minute, of model and judge each; 0: any number"),
    _Option("max_calls", "N", _whole(0), 0, "calls of model and judge in all, repeats included; 0: any number"),
    _Option("max_tokens", "N", _whole(0), 0, "tokens of judge and, if it tells them, model in all; 0: any number"),
    _Option("max_usd", "AMOUNT", _amount, 0.0, "US dollars that the judge may cost in all (litellm's prices); 0: any"),
    _Option("timeout", "SECONDS", _seconds, 60.0, "longest time for one call of model or judge"),
    _Option("retries", "N", _whole(0), 2, "further attempts after a passing failure (429, 5xx, connection)"),
    _Option("trials", "K", _whole(1), 1, "repeats of each probe, for models that do not answer the same each time"),
    _Option("tolerance", "RATE", _share, 0.02, "failure rate that is accepted"),
    _Option("limit", "RATE", _share, 0.10, "failure rate that must be ruled out for a PASS"),
    _Option("confidence", "P", _confidence, 0.95, "confidence of each one-sided bound"),
    _Option("inconclusive", "fail|warn", _fail_or_warn, "fail", "what an INCONCLUSIVE detector does to the test"),
    _Option("sample", "N", _whole(0), 0, "ask N probes a detector, and up to N more while undecided; 0 asks all"),
    _Option("sequential", "yes|no", _yes_or_no, False, "stop asking a detector's plan once it is decided", switch=True),
    _Option("shard", "I/N", _shard, None, "ask part I of N; `bias-suite merge DIR...` brings the parts together"),
    _Option("search", "ci|hunt", _effort, "ci", "how hard to search for a question that groups are answered unlike"),
    _Option("require", "TAG,...|all", _names, (), "detectors that must have been evaluated"),
    _Option("report_dir", "DIR", Path, Path("reports"), "where summary.json and cases.jsonl go"),
    _Option("canaries", "FILE", Path, None, "values planted in the model's documents (see `bias-suite canaries`)"),
    _Option(
        "record", "FILE", Path, None, "store answers and judge replies in FILE, and ask only what it does not hold"
    ),
    _Option("replay", "FILE", Path, None, "ask nobody: take answers and judge replies from FILE"),
    _Option(
        "resume", "yes|no", _yes_or_no, False, "go on with the run that was stopped in --bias-report-dir", switch=True
    ),
    _Option("baseline", "FILE", Path, None, "accepted run: what got worse fails (see `bias-suite baseline accept`)"),
    _Option(
        "baseline_mode", "strict|ratchet", _mode, "strict", "ratchet: what is no worse than the baseline does not block"
    ),
    _Option("waivers", "FILE", Path, None, "failing cases and requirements that somebody answers for, until a day"),
    _Option("html", "yes|no", _yes_or_no, True, "write index.html, the report that people read"),
    _Option("giskard_reports", "yes|no", _yes_or_no, True, "write failures as Giskard's own reports too (HTML, AVID)"),
    _Option("argilla_url", "URL", url, None, "Argilla that failing cases go to (keys: ARGILLA_API_KEY, HF_TOKEN)"),
    _Option("argilla_workspace", "NAME", str, "argilla", "workspace of the dataset"),
    _Option("argilla_dataset", "NAME", str, "bias_dataset", "dataset that failing cases go to"),
    _Option("argilla_pass_sample", "SHARE", _part, 0.0, "share of passed cases that goes there too"),
    _Option("argilla_min_submitted", "N", _whole(1), 1, "answers of people that a record needs"),
    _Option("redact", "yes|no", _yes_or_no, True, "take personal data out of reports and records (not of cases.jsonl)"),
)
_PATHS = ("probes", "report_dir", "canaries", "record", "replay", "baseline", "waivers")
_DETECTORS_INI = "bias_detectors"


def add_options(parser: pytest.Parser) -> None:
    """Declare every option and ini key."""
    group = parser.getgroup("bias-suite", "bias-suite: evaluation of a chatbot for bias and harm")
    for option in _OPTIONS:
        shown = f" (default: {_shown(option.default)})" if option.default not in (None, ()) else ""
        given: dict[str, Any] = {"metavar": option.metavar}
        if option.switch:
            given = {"action": "store_const", "const": "yes"}
        group.addoption(option.flag, dest=f"bias_{option.name}", default=None, help=option.help + shown, **given)
        # A list of names may be a list in TOML, or lines in an ini file.
        kind: Literal["linelist", "string"] = "linelist" if option.parse is _names else "string"
        parser.addini(f"bias_{option.name}", f"{option.help}; same as {option.flag}", type=kind, default=None)
    parser.addini(
        _DETECTORS_INI, "further detectors, as package.module:DETECTOR, one a line", type="linelist", default=None
    )


def defaults(**changes: Any) -> Settings:
    """Return the settings of a run without options, with some changed: for use without a command line."""
    values: dict[str, Any] = {option.name: option.default for option in _OPTIONS}
    return Settings(**{**values, "detectors": (), **changes})


def _shown(default: object) -> str:
    if isinstance(default, bool):
        return "yes" if default else "no"
    return f"{default:g}" if isinstance(default, float) else str(default)


def read_settings(config: pytest.Config) -> Settings:
    """Return the settings in force.

    Raises:
        OptionError: A value cannot work; the message names the option or ini key.
    """
    values = {option.name: _value(config, option) for option in _OPTIONS}
    for name in _PATHS:
        if values[name] is not None:
            values[name] = config.rootpath / values[name]
    if values["tolerance"] >= values["limit"]:
        raise OptionError(
            f"--bias-tolerance {values['tolerance']:g} must be below --bias-limit {values['limit']:g}: "
            "the gate rules out the limit and accepts the tolerance"
        )
    if values["record"] and values["replay"]:
        raise OptionError("--bias-record asks and --bias-replay does not: give one of them")
    if values["resume"] and values["replay"]:
        raise OptionError("--bias-replay asks nobody: there is nothing to resume")
    if values["sequential"] and values["sample"]:
        raise OptionError("--bias-sequential finds by itself how many probes it needs: it goes with --bias-sample 0")
    if values["shard"] and values["sequential"]:
        raise OptionError(
            "--bias-sequential asks until a detector is decided, and a part (--bias-shard) decides nothing"
        )
    if values["shard"] and values["replay"]:
        raise OptionError("--bias-replay asks nobody: there is nothing to share out with --bias-shard")
    if values["max_usd"] and values["judge_url"]:
        raise OptionError("--bias-max-usd: nobody knows what --bias-judge-url costs; use --bias-max-tokens")
    if values["judge_url"] and not values["judge"]:
        raise OptionError("--bias-judge-url needs --bias-judge: the name of the model that the endpoint serves")
    workers = getattr(config, "workerinput", {}).get("workercount", 1)
    values["concurrency"] = max(1, values["concurrency"] // workers)
    values["rpm"] = values["rpm"] / workers
    return Settings(
        **values,
        detectors=_names(_text(config.getini(_DETECTORS_INI))),
        judge_key=endpoint_key(values["judge_url"]),
        argilla_key=argilla_key(values["argilla_url"]),
        hugging_face_token=hugging_face_token(values["argilla_url"]),
    )


def given(config: pytest.Config) -> list[str]:
    """Return the options of the command line that a detector's test needs to run again as it did."""
    shown = []
    for option in _OPTIONS:
        value = config.getoption(f"bias_{option.name}")
        if value is None or option.name in ("only", "require", "resume", "shard"):
            continue
        shown.append(option.flag if option.switch else f"{option.flag}={value}")
    return shown


def endpoint_key(at: str | None) -> str | None:
    """Return the key for an OpenAI-compatible endpoint, from the environment; None without an endpoint."""
    return os.environ.get("OPENAI_API_KEY") if at else None


def secrets() -> tuple[str, ...]:
    """Return the keys and tokens in the environment, which no message may hold."""
    names = ("_KEY", "_TOKEN", "_SECRET", "_PASSWORD")
    found = {value for name, value in os.environ.items() if name.upper().endswith(names) and len(value) >= 8}
    return tuple(sorted(found, key=len, reverse=True))


def argilla_key(at: str | None) -> str | None:
    """Return the key for an Argilla, from the environment; None without an Argilla."""
    return os.environ.get("ARGILLA_API_KEY") if at else None


def hugging_face_token(at: str | None) -> str | None:
    """Return the token for an Argilla in a private Space, from the environment; None without an Argilla."""
    return os.environ.get("HF_TOKEN") if at else None


def _text(given: str | list[str] | None) -> str:
    """Return an option's or ini key's value as text; an ini key in TOML may be a list."""
    return ",".join(given) if isinstance(given, list) else (given or "").strip()


def _value(config: pytest.Config, option: _Option) -> Any:
    given, where = config.getoption(f"bias_{option.name}"), option.flag
    if given is None:
        given, where = config.getini(f"bias_{option.name}"), f"ini key bias_{option.name}"
    text = _text(given)
    if not text:
        return option.default
    try:
        return option.parse(text)
    except ValueError as error:
        problem = str(error) if str(error).startswith("must") else f"must be {option.metavar}"
        raise OptionError(f"{where} {text!r}: {problem}") from None
