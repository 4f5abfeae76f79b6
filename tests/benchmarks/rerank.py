"""Does the loop help? The gate's failure rate of the embedded bot before and after re-ranking by a reward model.

    python -m tests.benchmarks.rerank [--questions 170] [--tested 170] [--draws 4] [--n 4]

The detector is `same_language` (see `fixtures.languages`), which needs no judge; the questions are the plan's own, in
twelve languages, a quarter of them English. Their clusters are split in two. On one half the bot answers by
drawing at temperature 0.8, two scripted people correct what failed, and a reward model learns from that. On the other
half the gate then asks a single draw, and the best of N draws, about the same questions: the rates are of clusters
that gave no training record, and paired. Takes about an hour on two cores.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from bias_suite import probes
from bias_suite.cases import Case, read_cases
from bias_suite.detectors import CATALOGUE
from bias_suite.probes import Probe
from fixtures.languages import REQUIREMENT, SAME_LANGUAGE
from reward import annotations, pairs
from reward.annotations import Annotation
from tests.annotators import BRIEF, EXPLAINING, correction

ROOT = Path(__file__).resolve().parents[2]
PLAN = ROOT / "fixtures" / "probes"
MAX_TOKENS = 32


class Draw:
    """The embedded bot, answering with one draw at temperature 0.8 instead of its most probable words."""

    def __init__(self, seed: int) -> None:
        """Start the bot."""
        from fixtures.rag import embedded

        self._bot = embedded(max_tokens=MAX_TOKENS)
        self._seed = seed
        self.name, self.version = "one draw of the embedded bot", f"{self._bot.version}-draw-{seed}"
        self.sample, self.contexts = self._bot.sample, self._bot.contexts

    def __call__(self, question: str) -> dict[str, Any]:
        """Answer with the first of the draws that `sample` would give."""
        return {"answer": self.sample(question, 1, self._seed)[0], "contexts": self.contexts(question)}


def draw(seed: int = 0) -> Draw:
    """Build the bot under test."""
    return Draw(seed)


@dataclass(frozen=True)
class Comparison:
    """Two runs on the same probes.

    Attributes:
        probes: Probes that both answered.
        before: How many of them failed in the first.
        after: How many of them failed in the second.
        mended: Failed in the first alone.
        broken: Failed in the second alone.
        p: Of McNemar's exact test: how probable so uneven a change is where nothing changes.
    """

    probes: int
    before: int
    after: int
    mended: int
    broken: int
    p: float


def compare(before: Sequence[Case], after: Sequence[Case]) -> Comparison:
    """Compare two runs, probe by probe; what one of them could not answer is left out."""
    from scipy.stats import binomtest

    first, second = (
        {case.probe: case.verdict == "failed" for case in run if case.verdict != "error"} for run in (before, after)
    )
    both = sorted(first.keys() & second.keys())
    mended = sum(first[probe] and not second[probe] for probe in both)
    broken = sum(second[probe] and not first[probe] for probe in both)
    p = float(binomtest(mended, mended + broken).pvalue) if mended + broken else 1.0
    return Comparison(
        len(both), sum(first[probe] for probe in both), sum(second[probe] for probe in both), mended, broken, p
    )


def questions(count: int, tested: int) -> tuple[list[Probe], list[Probe]]:
    """Return `count` questions to learn from and `tested` to test on, as far as there are; no cluster is in both."""
    plan = probes.read_folder(PLAN, {detector.id for detector in CATALOGUE})
    asked: dict[str, Probe] = {}
    for probe in sorted(plan, key=lambda probe: _mixed(probe.id)):
        asked.setdefault(
            probe.questions[0],
            replace(
                probe,
                detector=SAME_LANGUAGE.id,
                requirement=REQUIREMENT,
                questions=probe.questions[:1],
                axis="language",
                group=probe.language,
                check={},
            ),
        )
    other = [probe for probe in asked.values() if probe.language != "en"]
    english = [probe for probe in asked.values() if probe.language == "en"][: len(other) // 3]
    halves: tuple[list[Probe], list[Probe]] = ([], [])
    for probe in sorted([*other, *english], key=lambda probe: _mixed(f"again {probe.id}")):
        side = int(_mixed(probe.cluster), 16) % 2
        if len(halves[side]) < (count, tested)[side]:
            halves[side].append(probe)
    return halves


def _mixed(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def ask(model: str, asked: Sequence[Probe], folder: Path, *options: str) -> list[Case]:
    """Run the gate on the questions, with further options; return the cases."""
    plan = folder / "plan"
    plan.mkdir(parents=True)
    (plan / "same_language.jsonl").write_text("".join(map(probes.to_line, asked)), encoding="utf-8")
    command = [
        sys.executable,
        "-m",
        "pytest",
        "bias_suite",
        "-q",
        "-o",
        "bias_detectors=fixtures.languages:SAME_LANGUAGE",
    ]
    command += [f"--bias-model={model}", f"--bias-probes={plan}", f"--bias-only={SAME_LANGUAGE.id}", "--bias-sample=0"]
    command += [f"--bias-report-dir={folder}", "-p", "no:cacheprovider", *options]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    if done.returncode not in (0, 1):
        raise SystemExit(f"{' '.join(command)}\n{done.stdout}\n{done.stderr}")
    return list(read_cases(folder / "cases.jsonl"))


def corrected(cases: Sequence[Case]) -> Iterator[Annotation]:
    """Yield what the two people write about the failed cases."""
    for case in cases:
        if case.verdict == "failed":
            for person in (BRIEF, EXPLAINING):
                yield Annotation(
                    record=case.id,
                    annotator=person,
                    status=annotations.SUBMITTED,
                    instruction=case.question,
                    response=case.answer,
                    new_response=correction(person, case.language, case.id),
                    verdict="biased",
                    detector=case.detector,
                    axis=case.axis,
                )


def learn(cases: Sequence[Case], folder: Path) -> dict[str, Any]:
    """Train a reward model on corrections of the failed cases; return what `reward evaluate` says of it."""
    made = pairs.make(list(corrected(cases)))
    pairs.write(folder / "pairs.jsonl", made.pairs)
    options = ["--pairs", str(folder / "pairs.jsonl")]
    reward("train", *options, "--out", str(folder / "model"), "--base-model", "embedded", "--max-length", "256")
    return reward("evaluate", *options, "--model", str(folder / "model"), "--report-dir", str(folder))


def reward(*arguments: str) -> dict[str, Any]:
    """Run the `reward` command with --json; return its figures, also where a model is not better."""
    command = [sys.executable, "-m", "reward", *arguments, "--json"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    if done.returncode not in (0, 1):
        raise SystemExit(f"{' '.join(command)}\n{done.stderr}")
    told: dict[str, Any] = json.loads(done.stdout)
    return told


def measure(
    count: int, tested: int, draws: int, n: int, folder: Path
) -> tuple[dict[str, Any], dict[str, Comparison], int]:
    """Return what `reward evaluate` says, the comparisons by language, and how many cases were corrected."""
    learning, testing = questions(count, tested)
    drawn = [
        case
        for seed in range(draws)
        for case in ask(f"tests.benchmarks.rerank:draw(seed={seed + 1000})", learning, folder / f"draw-{seed}")
    ]
    told = learn(drawn, folder)
    before = ask("tests.benchmarks.rerank:draw(seed=0)", testing, folder / "before")
    model = f'reward.scoring:best_of_n(model="tests.benchmarks.rerank:draw", n={n}, reward="{folder / "model"}")'
    after = ask(model, testing, folder / "after")
    seen = {case.cluster for case in drawn}
    if seen & {case.cluster for case in after}:
        raise SystemExit("a cluster is on both sides")
    sides: dict[str, tuple[list[Case], list[Case]]] = {"all": (before, after)}
    for name, english in (("English", True), ("other languages", False)):
        sides[name] = tuple([case for case in run if (case.language == "en") == english] for run in (before, after))  # type: ignore[assignment]
    return told, {name: compare(*side) for name, side in sides.items()}, sum(case.verdict == "failed" for case in drawn)


def interval(failures: int, count: int) -> str:
    """Return a rate with its exact 95 % interval (Clopper-Pearson)."""
    from scipy.stats import binomtest

    bounds = binomtest(failures, count).proportion_ci(method="exact")
    return f"{failures}/{count} = {100 * failures / count:.0f} % [{100 * bounds.low:.0f}, {100 * bounds.high:.0f}]"


def main() -> None:
    """Run the benchmark and print its table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--questions", type=int, default=170, help="to learn from")
    parser.add_argument("--tested", type=int, default=170, help="questions to test on")
    parser.add_argument("--draws", type=int, default=4)
    parser.add_argument("--n", type=int, default=4)
    given = parser.parse_args()
    began = time.monotonic()
    with tempfile.TemporaryDirectory() as name:
        told, compared, corrections = measure(given.questions, given.tested, given.draws, given.n, Path(name))
    same = told["same_prompt"]
    print(
        f"corrected cases: {corrections}; reward model ({told['method']}): {told['verdict']} than the baselines, "
        f"{same['value']:.3f} [{same['lower']:.3f}, {same['upper']:.3f}] of {same['pairs']} held-out pairs"
    )
    for warning in told["warnings"]:
        print(f"  warning: {warning}")
    print(f"| clusters that gave no record | one draw | best of {given.n} | mended | broken | p (McNemar, exact) |")
    print("|---|---|---|---|---|---|")
    for name, one in compared.items():
        if one.probes:
            cells = (name, interval(one.before, one.probes), interval(one.after, one.probes), one.mended, one.broken)
            print(f"| {' | '.join(map(str, cells))} | {one.p:.2g} |")
    print(f"{time.monotonic() - began:.0f} s")


if __name__ == "__main__":
    main()
