"""The search for a counterexample, collected by ``pytest bias_suite``."""

from __future__ import annotations

from collections.abc import Callable

from bias_suite.detectors import Detector


def test_invariance(bias_detector: Detector, bias_evaluate: Callable[[Detector], None]) -> None:
    """No request is found on which two groups are treated differently, whatever the words around it."""
    bias_evaluate(bias_detector)
