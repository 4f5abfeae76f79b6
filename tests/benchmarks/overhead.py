"""What the harness itself costs: time of the CPU for each probe, memory, collection, its plugin where it is not used.

    python -m tests.benchmarks.overhead [--probes 10000,100000] [--repeats 5]

A chatbot that takes no time is asked by the whole gate: journal, cases, summary and all. What the same run takes with a
hundred probes is taken off, so that starting Python does not count. Figures of a repeated run are its least, since
whatever else the machine does only adds. With the defaults this takes about three minutes; it fails where a figure is
beyond `LIMITS`.
"""

from __future__ import annotations

import argparse
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
LIMITS = {"ms of the CPU a probe": 2.0, "MB": 500.0, "s of the CPU in another suite": 0.1, "times as long a probe": 2.0}
_FEW = 100
_NO_OPS = 500


@dataclass(frozen=True)
class Took:
    """What a command took: seconds on the clock, seconds of the CPU, and the most memory of a process, in MB."""

    wall: float
    cpu: float
    memory: float


def took(command: Sequence[str], folder: Path, **environment: str) -> Took:
    """Run a command to its end, with its children.

    Raises:
        SystemExit: It failed.
    """
    given = {**os.environ, "PYTHONPATH": str(ROOT), **environment}
    before, began = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    done = subprocess.run(command, cwd=folder, env=given, capture_output=True, text=True, check=False)
    wall, after = time.perf_counter() - began, resource.getrusage(resource.RUSAGE_CHILDREN)
    if done.returncode:
        raise SystemExit(done.stdout + done.stderr)
    noted = folder / "memory"
    peaks = [int(line.split()[1]) for line in noted.read_text(encoding="utf-8").splitlines()] if noted.exists() else [0]
    noted.unlink(missing_ok=True)
    return Took(wall, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime, max(peaks))


def least(several: Sequence[Took]) -> Took:
    """Return the least of each figure."""
    return Took(min(one.wall for one in several), min(one.cpu for one in several), min(one.memory for one in several))


def gate(folder: Path, probes: int, *options: str) -> Took:
    """Have the gate ask so many probes of a chatbot that takes no time."""
    command = [sys.executable, "-m", "pytest", str(ROOT / "bias_suite"), "-q", "-p", "no:cacheprovider"]
    command += ["-o", "bias_detectors=tests.benchmarks.many:MANY", "--bias-only=many", "--bias-sample=0"]
    command += ["--bias-model=tests.benchmarks.many:chatbot", f"--bias-report-dir={folder / 'reports'}"]
    command += ["--bias-giskard-reports=no", *options]
    return took(command, folder, BIAS_BENCH_PROBES=str(probes), BIAS_BENCH_MEMORY=str(folder / "memory"))


def unused(folder: Path, repeats: int) -> tuple[Took, Took]:
    """Run tests that do nothing, in a suite that has nothing to do with ours, without our plugin and with it."""
    tests = "".join(f"def test_{number}(): pass\n" for number in range(_NO_OPS))
    (folder / "test_no_ops.py").write_text(tests, encoding="utf-8")
    bare = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "test_no_ops.py"]
    plugin = {"PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}
    # In turns, so that a busy moment of the machine meets both.
    turns = [
        (took(bare, folder, **plugin), took([*bare, "-p", "bias_suite.plugin"], folder, **plugin))
        for _ in range(repeats)
    ]
    return least([without for without, _ in turns]), least([with_it for _, with_it in turns])


def main() -> None:
    """Measure, and print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--probes", default="10000,100000", help="sizes of the plan")
    parser.add_argument("--repeats", type=int, default=5, help="runs of what takes seconds")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "test_one.py").write_text("def test(): pass\n", encoding="utf-8")
        few = least([gate(folder, _FEW) for _ in range(given.repeats)])
        print("| what | figure |\n|---|---|")
        print(f"| start, {_FEW} probes and end | {few.wall:.1f} s, {few.cpu:.1f} s of the CPU, {few.memory:.0f} MB |")
        found = dict.fromkeys(LIMITS, 0.0)
        walls, sizes = [], [int(size) for size in given.probes.split(",")]
        for probes in sizes:
            many = gate(folder, probes)
            walls.append((many.wall - few.wall) / probes)
            each = (many.cpu - few.cpu) / (probes - _FEW)
            found["ms of the CPU a probe"] = max(found["ms of the CPU a probe"], 1000 * each)
            found["MB"] = max(found["MB"], many.memory)
            told = f"{many.wall:.1f} s, {1000 * each:.2f} ms of the CPU a probe, {many.memory:.0f} MB"
            print(f"| {probes:,} probes | {told} |", flush=True)
        size = min(sizes)
        workers = gate(folder, size, "-n", "2")
        print(
            f"| {size:,} probes, `-n 2` | {workers.wall:.1f} s, {workers.memory:.0f} MB the largest process |",
            flush=True,
        )
        kept = ("--bias-record", str(folder / "kept"))
        cold, warm = gate(folder, size, *kept), gate(folder, size, *kept)
        print(
            f"| {size:,} probes into a recording, and again from it | {cold.wall:.1f} s, {warm.wall:.1f} s |",
            flush=True,
        )
        # Without the plugins that other packages bring, of which some import for a second.
        alone = {"PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}
        bare = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-q", "--collect-only"]
        collect = [*bare, "-p", "bias_suite.plugin", "-c", os.devnull, "--bias-model=tests.benchmarks.many:chatbot"]
        collected = least([took([*collect, str(ROOT / "bias_suite")], folder, **alone) for _ in range(given.repeats)])
        nothing = least([took([*bare, "test_one.py"], folder, **alone) for _ in range(given.repeats)])
        print(f"| collecting the gate | {collected.cpu - nothing.cpu:.2f} s of the CPU more than collecting one test |")
        without, with_it = unused(folder, 2 * given.repeats)
        told = f"{with_it.cpu - without.cpu:.2f} s of the CPU more ({without.cpu:.2f} s without)"
        print(f"| its plugin in another suite, {_NO_OPS} tests that do nothing | {told} |")
        found["s of the CPU in another suite"] = with_it.cpu - without.cpu
        found["times as long a probe"] = max(walls) / min(walls)
    beyond = {name: figure for name, figure in found.items() if figure > LIMITS[name]}
    if beyond:
        raise SystemExit(f"beyond the limits: {beyond}")


if __name__ == "__main__":
    main()
