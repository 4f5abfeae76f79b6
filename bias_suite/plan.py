"""The plan: which probes each detector asks, from the built-in files and the application's own."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from bias_suite import probes
from bias_suite.detectors import Detector, Rule, catalogue
from bias_suite.options import Settings
from bias_suite.probes import Probe

BUILT_IN = Path(__file__).parent / "probes"


@dataclass(frozen=True)
class Plan:
    """All probes of a run, frozen.

    Attributes:
        detectors: Every known detector.
        rules: Each detector's rule, by detector id.
        probes: Each detector's probes in the order in which they are asked, by detector id.
        sha256: Fingerprint of all probes.
    """

    detectors: tuple[Detector, ...]
    rules: Mapping[str, Rule]
    probes: Mapping[str, Sequence[Probe]]
    sha256: str


def load(settings: Settings) -> Plan:
    """Read the built-in probes and those of ``--bias-probes``, and let each detector complete its own.

    Raises:
        ProbeError: A probes file is wrong.
        CanaryError: The canaries file is wrong.
        OptionError: `bias_detectors` names something that is not a detector.
    """
    detectors = catalogue(settings)
    ids = {detector.id for detector in detectors}
    folders = [BUILT_IN] + ([settings.probes] if settings.probes else [])
    written: dict[str, list[Probe]] = defaultdict(list)
    for folder in folders:
        for probe in probes.read_folder(folder, ids):
            written[probe.detector].append(probe)
    rules = {detector.id: detector.rule(settings) for detector in detectors}
    plan = {
        detector.id: probes.ordered(rules[detector.id].probes(written[detector.asks or detector.id]))
        for detector in detectors
    }
    everything = [probe for part in plan.values() for probe in part]
    probes.require_unique(everything)
    return Plan(detectors, rules, plan, probes.fingerprint(everything))
