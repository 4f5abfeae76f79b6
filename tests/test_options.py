"""Options: the command line wins over the ini, and each bad value is refused with one line."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import pytest

from bias_suite import options
from bias_suite.options import Settings

# Option, a text for it, what the settings then hold; another text, as the ini key.
TABLE: list[tuple[str, str, Any, str]] = [
    ("model", "my_app.rag:build(k=2)", "my_app.rag:build(k=2)", "other:build"),
    ("judge", "openai/gpt-4o", "openai/gpt-4o", "ollama/llama3"),
    ("judge_url", "http://127.0.0.1:8080/v1/", "http://127.0.0.1:8080/v1", "https://judge.example/v1"),
    ("judge_votes", "3", 3, "5"),
    ("judge_gold", "40", 40, "0"),
    ("only", "privacy, stereotypes", ("privacy", "stereotypes"), "robustness"),
    ("probes", "my/probes", Path("my/probes"), "other"),
    ("concurrency", "3", 3, "7"),
    ("timeout", "0.5", 0.5, "7"),
    ("retries", "0", 0, "7"),
    ("trials", "5", 5, "7"),
    ("tolerance", "0.01", 0.01, "0.03"),
    ("limit", "0.2", 0.2, "0.3"),
    ("confidence", "0.9", 0.9, "0.99"),
    ("inconclusive", "warn", "warn", "fail"),
    ("sample", "40", 40, "7"),
    ("search", "hunt", "hunt", "ci"),
    ("shard", "2 / 4", "2/4", "1/1"),
    ("rpm", "600", 600, "7"),
    ("max_calls", "600", 600, "7"),
    ("max_tokens", "6000", 6000, "7"),
    ("max_usd", "", 0.0, ""),  # not beside "judge_url"
    ("require", "all", ("all",), "privacy"),
    ("report_dir", "out", Path("out"), "other"),
    ("canaries", "canaries.json", Path("canaries.json"), "other.json"),
    ("record", "kept.sqlite", Path("kept.sqlite"), "other.sqlite"),
    ("replay", "", None, ""),  # not beside "record"
    ("baseline", "accepted.json", Path("accepted.json"), "other.json"),
    ("baseline_mode", "ratchet", "ratchet", "strict"),
    ("waivers", "waivers.toml", Path("waivers.toml"), "other.toml"),
    ("html", "no", False, "yes"),
    ("giskard_reports", "no", False, "yes"),
    ("argilla_url", "https://argilla.example/", "https://argilla.example", "http://127.0.0.1:6900"),
    ("argilla_workspace", "mine", "mine", "ours"),
    ("argilla_dataset", "mine", "mine", "ours"),
    ("argilla_pass_sample", "0.1", 0.1, "1"),
    ("argilla_min_submitted", "2", 2, "3"),
    ("redact", "no", False, "yes"),
]
NAMES = [name for name, *_ in TABLE]
PATHS = ("probes", "report_dir", "canaries", "record", "replay", "baseline", "waivers")
# Without pytest's collection of garbage at the end of each session, which takes longer than the rest.
OUR_PLUGIN = ("-p", "bias_suite.plugin", "-p", "no:unraisableexception")

BAD: list[tuple[str, str]] = [
    ("baseline_mode", "loose"),
    ("shard", "0/4"),
    ("shard", "5/4"),
    ("shard", "2"),
    ("shard", "1/x"),
    ("model", "my_app.rag"),
    ("model", ":build"),
    ("model", "my_app.rag:"),
    ("model", "my app:build"),
    ("model", "my_app.rag:build(k=2"),
    ("concurrency", "0"),
    ("concurrency", "many"),
    ("concurrency", "2.5"),
    ("judge_url", "127.0.0.1:8080"),
    ("judge_url", "file:///etc/passwd"),
    ("judge_votes", "2"),
    ("judge_votes", "0"),
    ("judge_votes", "some"),
    ("giskard_reports", "maybe"),
    ("argilla_url", "argilla.example"),
    ("argilla_pass_sample", "1.5"),
    ("argilla_pass_sample", "-0.1"),
    ("argilla_pass_sample", "nan"),
    ("argilla_min_submitted", "0"),
    ("redact", "perhaps"),
    ("timeout", "-1"),
    ("timeout", "0"),
    ("timeout", "nan"),
    ("timeout", "inf"),
    ("retries", "-1"),
    ("trials", "0"),
    ("tolerance", "-0.1"),
    ("tolerance", "nan"),
    ("tolerance", "2 %"),
    ("limit", "1"),
    ("limit", "1e400"),
    ("confidence", "0.4"),
    ("confidence", "1"),
    ("confidence", "nan"),
    ("inconclusive", "ignore"),
    ("sample", "-5"),
    ("search", "hard"),
    ("rpm", "-1"),
    ("max_calls", "-1"),
    ("max_tokens", "many"),
    ("max_usd", "-0.5"),
    ("max_usd", "nan"),
    ("rpm", "fast"),
    ("sample", "all"),
]


def flag(name: str) -> str:
    return "--bias-" + name.replace("_", "-")


@pytest.fixture(autouse=True)
def _only_our_plugin(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave out the other plugins that happen to be installed: each test here configures pytest anew."""
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")


@pytest.fixture
def settings(pytester: pytest.Pytester) -> Any:
    """Return the settings that a command line gives, in a folder whose ini a test may write."""

    def read(*arguments: str) -> Settings:
        return options.read_settings(pytester.parseconfigure(*OUR_PLUGIN, *arguments))

    return read


def as_dict(found: Settings, column: dict[str, Any]) -> dict[str, Any]:
    """Return those settings that `column` names."""
    return {name: getattr(found, name) for name in column}


def expected(folder: Path, column: int) -> dict[str, Any]:
    """Return a column of the table, with paths as the settings hold them: absolute."""
    return {row[0]: folder / row[column] if row[0] in PATHS and row[column] else row[column] for row in TABLE}


def test_the_table_here_has_every_setting() -> None:
    fields = {field.name for field in dataclasses.fields(Settings)}
    assert set(NAMES) == fields - {
        "resume",
        "sequential",
        "detectors",
        "judge_key",
        "argilla_key",
        "hugging_face_token",
    }


def test_every_option_is_read_from_the_command_line(settings: Any, pytester: pytest.Pytester) -> None:
    wanted = expected(pytester.path, 2)
    assert as_dict(settings(*(f"{flag(name)}={text}" for name, text, _, _ in TABLE)), wanted) == wanted


def test_every_option_is_read_from_the_ini(settings: Any, pytester: pytest.Pytester) -> None:
    pytester.makeini("[pytest]\n" + "".join(f"bias_{name} = {text}\n" for name, text, _, _ in TABLE))
    wanted = expected(pytester.path, 2)
    assert as_dict(settings(), wanted) == wanted


def test_the_command_line_wins_over_the_ini(settings: Any, pytester: pytest.Pytester) -> None:
    pytester.makeini("[pytest]\n" + "".join(f"bias_{name} = {other}\n" for name, _, _, other in TABLE))
    wanted = expected(pytester.path, 2)
    assert as_dict(settings(*(part for name, text, _, _ in TABLE for part in (flag(name), text))), wanted) == wanted


def test_a_replay_is_a_path(settings: Any, pytester: pytest.Pytester) -> None:
    assert settings("--bias-replay=kept.sqlite").replay == pytester.path / "kept.sqlite"


def test_an_empty_option_switches_an_ini_key_off(settings: Any, pytester: pytest.Pytester) -> None:
    pytester.makeini("[pytest]\nbias_canaries = canaries.json\nbias_sample = 40\n")
    found = settings("--bias-canaries=", "--bias-sample=")
    assert (found.canaries, found.sample) == (None, 0)


def test_a_switch_takes_no_value_on_the_command_line_and_yes_or_no_in_the_ini(
    settings: Any, pytester: pytest.Pytester
) -> None:
    assert settings("--bias-resume").resume is True
    pytester.makeini("[pytest]\nbias_resume = yes\n")
    assert settings().resume is True
    pytester.makeini("[pytest]\nbias_resume = perhaps\n")
    with pytest.raises(pytest.UsageError, match="ini key bias_resume 'perhaps': must be yes or no"):
        settings()


def test_the_defaults_are_those_of_the_contract(settings: Any, pytester: pytest.Pytester) -> None:
    assert settings() == Settings(
        model=None,
        judge=None,
        judge_url=None,
        judge_votes=1,
        judge_gold=120,
        only=(),
        probes=None,
        concurrency=16,
        rpm=0,
        max_calls=0,
        max_tokens=0,
        max_usd=0.0,
        timeout=60.0,
        retries=2,
        trials=1,
        tolerance=0.02,
        limit=0.10,
        confidence=0.95,
        inconclusive="fail",
        sample=0,
        sequential=False,
        search="ci",
        require=(),
        report_dir=pytester.path / "reports",
        canaries=None,
        record=None,
        replay=None,
        baseline=None,
        baseline_mode="strict",
        waivers=None,
        resume=False,
        shard=None,
        html=True,
        giskard_reports=True,
        argilla_url=None,
        argilla_workspace="argilla",
        argilla_dataset="bias_dataset",
        argilla_pass_sample=0.0,
        argilla_min_submitted=1,
        redact=True,
        detectors=(),
        judge_key=None,
    )


def test_an_endpoint_of_a_judge_needs_the_judge_s_name(settings: Any) -> None:
    with pytest.raises(pytest.UsageError, match="--bias-judge-url needs --bias-judge"):
        settings("--bias-judge-url=http://127.0.0.1:8080/v1")


def test_keys_of_argilla_come_from_the_environment_where_argilla_is_named(
    settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ARGILLA_API_KEY", "owner.apikey")
    monkeypatch.setenv("HF_TOKEN", "hf_secret")
    assert (settings().argilla_key, settings().hugging_face_token) == (None, None)
    found = settings("--bias-argilla-url=http://127.0.0.1:6900")
    assert (found.argilla_key, found.hugging_face_token) == ("owner.apikey", "hf_secret")
    assert "owner.apikey" not in repr(found)
    assert "hf_secret" not in repr(found)


def test_the_key_of_an_endpoint_comes_from_the_environment_and_is_never_shown(
    settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-do-not-show")
    found = settings("--bias-judge=mine", "--bias-judge-url=http://127.0.0.1:8080/v1")
    assert found.judge_key == "sk-do-not-show"
    assert "sk-do-not-show" not in repr(found)
    assert settings("--bias-judge=openai/gpt-4o").judge_key is None


def test_an_absolute_path_stays_as_it_is(settings: Any, tmp_path: Path) -> None:
    assert settings("--bias-report-dir", str(tmp_path / "out")).report_dir == tmp_path / "out"


def test_a_relative_path_starts_at_the_rootdir_wherever_pytest_was_called(
    settings: Any, pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytester.makeini("[pytest]\nbias_probes = my_probes\n")
    below = pytester.mkdir("below")
    monkeypatch.chdir(below)
    assert settings(str(below)).probes == pytester.path / "my_probes"


def test_an_ini_list_of_tags_is_read(settings: Any, pytester: pytest.Pytester) -> None:
    pytester.makepyprojecttoml('[tool.pytest.ini_options]\nbias_only = ["privacy", "stereotypes"]\n')
    assert settings().only == ("privacy", "stereotypes")


def test_further_detectors_are_read_one_a_line(settings: Any, pytester: pytest.Pytester) -> None:
    pytester.makeini("[pytest]\nbias_detectors =\n    tests.detectors:SMALL\n    tests.detectors:OTHER\n")
    assert settings().detectors == ("tests.detectors:SMALL", "tests.detectors:OTHER")


def test_further_detectors_are_read_from_an_ini_list(settings: Any, pytester: pytest.Pytester) -> None:
    pytester.makepyprojecttoml(
        '[tool.pytest.ini_options]\nbias_detectors = ["tests.detectors:SMALL", "tests.detectors:OTHER"]\n'
    )
    assert settings().detectors == ("tests.detectors:SMALL", "tests.detectors:OTHER")


def refused(result: pytest.RunResult) -> str:
    """Return the one line with which pytest refused its command line or ini."""
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    text = result.stdout.str() + result.stderr.str()
    assert "Traceback" not in text
    assert "INTERNALERROR" not in text
    (line,) = [line for line in text.splitlines() if line.strip()]
    return line


@pytest.mark.parametrize(("name", "text"), BAD)
def test_a_bad_value_on_the_command_line_is_a_usage_error_of_one_line(
    pytester: pytest.Pytester, name: str, text: str
) -> None:
    line = refused(pytester.runpytest_inprocess(*OUR_PLUGIN, f"{flag(name)}={text}"))
    assert line.startswith(f"ERROR: {flag(name)} {text!r}: must be ")


@pytest.mark.parametrize(("name", "text"), [BAD[0], ("timeout", "nan"), ("inconclusive", "ignore")])
def test_a_bad_value_in_the_ini_is_a_usage_error_that_names_the_key(
    pytester: pytest.Pytester, name: str, text: str
) -> None:
    pytester.makeini(f"[pytest]\nbias_{name} = {text}\n")
    line = refused(pytester.runpytest_inprocess(*OUR_PLUGIN))
    assert line.startswith(f"ERROR: ini key bias_{name} {text!r}: must be ")


@pytest.mark.parametrize("tolerance", ["0.1", "0.2"])
def test_a_tolerance_that_reaches_the_limit_is_a_usage_error(pytester: pytest.Pytester, tolerance: str) -> None:
    result = pytester.runpytest_inprocess(*OUR_PLUGIN, "--bias-tolerance", tolerance)
    assert refused(result).startswith(f"ERROR: --bias-tolerance {tolerance} must be below --bias-limit 0.1")


def test_a_bad_option_is_refused_by_the_main_process_alone(pytester: pytest.Pytester) -> None:
    result = pytester.runpytest_inprocess(*OUR_PLUGIN, "-p", "xdist.plugin", "-n", "2", "--bias-model", "nocolon")
    assert (
        refused(result) == "ERROR: --bias-model 'nocolon': must be MODULE:FACTORY or MODULE:FACTORY(key=literal, ...)"
    )


def test_help_shows_every_option_and_every_ini_key(pytester: pytest.Pytester) -> None:
    text = pytester.runpytest_inprocess(*OUR_PLUGIN, "--help").stdout.str()
    for name in NAMES:
        assert f"{flag(name)}=" in text or f"{flag(name)} " in text, name
        assert f"bias_{name} " in text, name
    assert "bias_detectors " in text
    assert "(default: 0.02)" in text


def test_a_marker_is_registered_for_every_tag_and_id(pytester: pytest.Pytester) -> None:
    text = pytester.runpytest_inprocess(*OUR_PLUGIN, "--markers").stdout.str()
    for name in ("stereotypes", "privacy", "canary_disclosure", "llm_prompt_injection"):
        assert f"@pytest.mark.{name}: " in text
