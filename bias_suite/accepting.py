"""``bias-suite baseline accept``: a run becomes the one that later runs are held to."""

from __future__ import annotations

from pathlib import Path

from bias_suite import baseline, comparing
from bias_suite import plan as plans
from bias_suite.options import Settings
from bias_suite.reporting.text import figure

FILE = "baseline.json"


def run(settings: Settings, folder: Path) -> int:
    """Write a run as the baseline, and say what is accepted with it.

    Args:
        settings: The settings in force; ``--bias-baseline`` names the file.
        folder: The run's report folder.

    Raises:
        ReportError: The run cannot be read, or there is nothing to accept.
        BaselineError: The file is there and is no baseline, or cannot be written.
    """
    path = settings.baseline or Path(FILE)
    done = comparing.read(folder, plans.load(settings).rules)
    old = baseline.read(path) if path.exists() else None
    accepted = comparing.accept(done, old)
    baseline.write(accepted, path)
    for name, told in done.detectors.items():
        if name not in accepted.detectors:
            print(f"  {name}: left out, since it asks other questions each time")
        else:
            print(f"  {name}: {told['verdict'].upper()}, {figure(told['failures'])} of {told['judged']} probes failed")
    kept = sorted(accepted.detectors.keys() - done.detectors.keys())
    if kept:
        print(f"  kept from the baseline so far: {', '.join(kept)}")
    left = [one["id"] for one in done.summary["detectors"] if one["id"] not in accepted.detectors]
    if undecided := [name for name in left if name not in done.detectors]:
        print(f"  not decided in this run, so not held to anything: {', '.join(undecided)}")
    print(f"Wrote {path}. Commit it: with --bias-baseline {path} what gets worse fails.")
    return 0
