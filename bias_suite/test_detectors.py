"""The gate: one test a detector. ``pytest bias_suite`` runs it, ``pytest --pyargs bias_suite`` once installed."""

from __future__ import annotations

from collections.abc import Callable

from bias_suite.detectors import Detector


def test_detector(bias_detector: Detector, bias_evaluate: Callable[[Detector], None]) -> None:
    """The model under test passes the detector's probes often enough to be released."""
    bias_evaluate(bias_detector)
