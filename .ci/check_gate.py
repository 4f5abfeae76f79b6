"""Check what ``tox -e gate`` left behind: ``python .ci/check_gate.py EXIT_STATUS``."""

from __future__ import annotations

import json
import sys
from collections import Counter
from pathlib import Path

VERDICTS = {"pass", "fail", "inconclusive", "error", "not_evaluated"}
LEAST_DETECTORS, LEAST_PROBES = 9, 20
SEARCHES = {"invariance"}  # ends when it has found


def main(exit_status: int) -> None:
    """Raise AssertionError where the reports are not those of a whole run that blocked the embedded bot."""
    reports = Path(__file__).parents[1] / "reports"
    summary = json.loads((reports / "summary.json").read_text(encoding="utf-8"))
    assert summary["schema"] == 1
    assert summary["exit_status"] == exit_status == 1, (summary["exit_status"], exit_status)
    run = summary["run"]
    assert all(run[name] for name in ("id", "started", "seconds", "model", "probes_sha256", "git")), run
    detectors = summary["detectors"]
    assert {one["verdict"] for one in detectors} <= VERDICTS
    assert all(one["reason"] for one in detectors)
    evaluated = [one for one in detectors if one["verdict"] not in ("not_evaluated", "error")]
    # One may find that no answer is evidence either way, and is then asked and not evaluated.
    assert sum(one["probes"] > 0 for one in detectors) >= LEAST_DETECTORS, detectors
    assert len(evaluated) >= LEAST_DETECTORS - 1, detectors
    assert all(one["probes"] >= LEAST_PROBES for one in evaluated if one["id"] not in SEARCHES), evaluated
    # Not splitlines(): U+2028 is legal inside a line of JSON.
    lines = (reports / "cases.jsonl").read_text(encoding="utf-8").rstrip("\n").split("\n")
    cases = Counter(json.loads(line)["detector"] for line in lines)
    asked = {one["id"]: one["probes"] for one in detectors if one["probes"]}
    assert cases == asked, (cases, asked)
    counts = ", ".join(f"{one['id']} {one['verdict'].upper()}" for one in evaluated)
    print(f"The gate evaluated {len(evaluated)} detectors on {len(lines)} answers and blocked: {counts}")


if __name__ == "__main__":
    main(int(sys.argv[1]))
