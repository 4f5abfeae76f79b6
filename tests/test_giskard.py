"""Our detector under ``giskard.scan``: registered once, finds leaks, and shows them in Giskard's report."""

from __future__ import annotations

import os
import subprocess
import sys
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from bias_suite.detectors import CATALOGUE, giskard
from tests import bots

ROOT = Path(__file__).resolve().parents[1]
CANARIES = str(ROOT / "fixtures" / "documents" / "canaries.json")


@pytest.fixture(scope="module", autouse=True)
def loaded() -> None:
    giskard.load()


@pytest.fixture
def registry() -> Any:
    from giskard.scanner.registry import DetectorRegistry

    giskard.register()
    return DetectorRegistry


def scan(bot: Callable[[str], str], canaries: str = CANARIES) -> Any:
    """Scan a bot for leaks, as a user of Giskard would."""
    import giskard as library
    import pandas as pd

    with warnings.catch_warnings():
        # Giskard's wrapper and scan use names that pandas 3 and pydantic 2 are about to drop.
        warnings.simplefilter("ignore")
        model = library.Model(
            model=lambda table: [bot(question) for question in table["question"]],
            model_type="text_generation",
            name="bot",
            description="answers questions on migration and asylum",
            feature_names=["question"],
        )
        # A data set of one's own: without it Giskard would have an LLM write one.
        asked = library.Dataset(pd.DataFrame({"question": ["Who may stay?", "Where do I apply?"]}), target=None)
        return library.scan(
            model,
            asked,
            only=["canary"],
            params={"canary_disclosure": {"canaries": canaries}},
            raise_exceptions=True,
            verbose=False,
        )


def test_loading_switches_analytics_and_downloads_off() -> None:
    program = (
        "import os; from bias_suite.detectors import giskard; giskard.load(); "
        "from giskard.utils.analytics_collector import analytics; import litellm; "
        "print(os.environ['GSK_DISABLE_ANALYTICS'], os.environ['LITELLM_LOCAL_MODEL_COST_MAP'])"
    )
    environment = {**os.environ, "GSK_DISABLE_ANALYTICS": "False", "PYTHONPATH": str(ROOT)}
    run = subprocess.run(
        [sys.executable, "-W", "error", "-c", program], env=environment, capture_output=True, text=True, check=False
    )
    assert run.stdout.splitlines()[-1:] == ["True True"], run.stderr[-2000:]


def test_our_detector_is_registered_under_its_id_and_tags(registry: Any) -> None:
    assert registry.get_detector_classes()["canary_disclosure"] is giskard.CanaryScan
    ours = next(detector for detector in CATALOGUE if detector.id == "canary_disclosure")
    assert registry._tags["canary_disclosure"] == set(ours.tags)


@pytest.mark.parametrize("tag", ["canary", "privacy", "information_disclosure", "text_generation"])
def test_giskard_finds_it_by_tag(registry: Any, tag: str) -> None:
    assert "canary_disclosure" in registry.get_detector_classes([tag])


def test_registering_again_changes_nothing(registry: Any) -> None:
    before = dict(registry.get_detector_classes())
    giskard.register()
    assert registry.get_detector_classes() == before


def test_registering_keeps_what_somebody_registered_under_the_id(registry: Any) -> None:
    class Theirs:
        pass

    ours, tags = registry.get_detector_classes()["canary_disclosure"], set(registry._tags["canary_disclosure"])
    registry.register("canary_disclosure", Theirs, ["canary"])
    try:
        giskard.register()
        assert registry.get_detector_classes()["canary_disclosure"] is Theirs
    finally:
        registry.register("canary_disclosure", ours, tags)


@pytest.fixture(scope="module")
def leaking_report() -> Any:
    giskard.register()
    return scan(bots.leaks_canaries())


def test_a_scan_finds_the_leaks(leaking_report: Any) -> None:
    (issue,) = leaking_report.issues
    assert issue.is_major
    assert issue.group.name == "Sensitive Information Disclosure"
    assert issue.taxonomy == ["avid-effect:security:S0301"]
    assert issue.meta["deviation"] == f"{issue.meta['metric_value']}/151 answers leak"
    assert issue.meta["metric_value"] > 130


def test_each_leak_is_an_example_that_names_the_value_by_id(leaking_report: Any) -> None:
    (issue,) = leaking_report.issues
    examples = issue.examples(n=1000)
    assert len(examples) == issue.meta["metric_value"]
    assert list(examples.columns) == ["User prompt", "Agent response", "Leaked"]
    assert examples["Leaked"].str.contains("noor-al-sabbagh").any()
    assert examples["Agent response"].str.contains("Phone number of Noor Al-Sabbagh").any()


def test_leaks_are_shown_in_giskard_s_web_page(leaking_report: Any) -> None:
    page = leaking_report.to_html()
    assert "planted in its documents" in page
    assert "answers leak" in page


def test_leaks_are_in_giskard_s_json(leaking_report: Any) -> None:
    # Issues under a name that is not among the detectors' are left out, and the export looks clean.
    assert "planted in its documents" in leaking_report.to_json()


def test_leaks_are_in_giskard_s_table(leaking_report: Any) -> None:
    assert len(leaking_report.to_dataframe()) == 1


def test_a_scan_of_a_bot_that_refuses_finds_none() -> None:
    giskard.register()
    report = scan(bots.always_refuses())
    assert report.issues == []
    assert report.to_html()


def test_braces_in_an_answer_do_not_break_the_page(registry: Any) -> None:
    leak = "{0} {person} {{}} +44 7700 900597 }{"
    assert "planted in its documents" in scan(lambda question: leak).to_html()


def test_a_missing_set_is_told(registry: Any, tmp_path: Path) -> None:
    from bias_suite.errors import CanaryError

    with pytest.raises(CanaryError, match="cannot read the canaries file"):
        scan(bots.always_refuses(), str(tmp_path / "none.json"))
