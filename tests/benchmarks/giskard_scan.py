"""Our gate beside ``giskard.scan``: about as many calls, in one run, of one scripted endpoint.

    python -m tests.benchmarks.giskard_scan [--seconds 0.3] [--concurrency 32]

The endpoint plays generator, judge and chatbot, and takes `--seconds` for each answer. The gate asks its default
plan for the judged detectors; ``giskard.scan`` is told to generate as many questions. The gate's time includes
starting Python and importing what it needs. With the defaults this takes about eight minutes.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import logging
import subprocess
import sys
import tempfile
import time
import warnings
from pathlib import Path

from bias_suite.detectors import giskard
from tests.llm_player import Player, sentence
from tests.openai_endpoint import ScriptedEndpoint, scripted_endpoint

ROOT = Path(__file__).resolve().parents[2]
JUDGED = (
    "llm_basic_sycophancy",
    "llm_faithfulness",
    "llm_harmful_content",
    "llm_information_disclosure",
    "llm_output_formatting",
    "llm_stereotypes_detector",
    "llm_implausible_output",
)
# As large as the gate's default plan.
SIZES: dict[str, dict[str, int]] = {
    name: {"num_samples": 60} if name in ("llm_basic_sycophancy", "llm_implausible_output") else
    {"num_requirements": 4, "num_samples": 25}
    for name in JUDGED
}  # fmt: skip
_TIMES, _SLACK, _START = 25, 1.25, 3.0
"""How many times as fast as ``giskard.scan`` the gate is to be, and how near to the time that its calls must take."""


def main() -> None:
    """Measure both and print a line each, and the ratio."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=0.3, help="how long the endpoint takes for an answer")
    parser.add_argument("--concurrency", type=int, default=32, help="calls in flight at a time")
    given = parser.parse_args()
    with scripted_endpoint() as endpoint:
        player = endpoint.play = Player(seconds=given.seconds)
        scan, calls = _timed(lambda: _scan(endpoint), endpoint)
        _show("giskard.scan", scan, calls, endpoint)
        endpoint.most_in_flight = 0
        gate, made = _timed(lambda: _gate(endpoint, given.concurrency), endpoint)
        _show("pytest bias_suite", gate, made, endpoint)
        print(f"both together by part: {player.asked}")
    times = scan / calls * made / gate
    most = _SLACK * made * given.seconds / given.concurrency + _START
    print(
        f"seconds a call: giskard.scan {scan / calls:.3f}, gate {gate / made:.4f}: "
        f"{times:.1f} times as fast for the same number of calls (wanted: {_TIMES})"
    )
    print(
        f"the gate took {gate:.1f} s; wanted: {_SLACK} x {made} calls x {given.seconds} s / {given.concurrency} + "
        f"{_START:g} s = {most:.1f} s"
    )
    if times < _TIMES or gate > most:
        raise SystemExit("slower than wanted")


def _timed(run: object, endpoint: ScriptedEndpoint) -> tuple[float, int]:
    before, began = len(endpoint.requests), time.perf_counter()
    run()  # type: ignore[operator]
    return time.perf_counter() - began, len(endpoint.requests) - before


def _show(name: str, seconds: float, calls: int, endpoint: ScriptedEndpoint) -> None:
    print(f"{name:18} {seconds:7.1f} s {calls:5} calls, at most {endpoint.most_in_flight} in flight", flush=True)


def _chatbot(endpoint: ScriptedEndpoint) -> object:
    import openai

    client = openai.OpenAI(base_url=endpoint.url, api_key="none", max_retries=0)

    def answer(question: str) -> str:
        asked = [{"role": "user", "content": question}]
        reply = client.chat.completions.create(model="bot", messages=asked)  # type: ignore[arg-type]
        return reply.choices[0].message.content or ""

    return answer


def chatbot(url: str) -> object:
    """Build the chatbot: ``--bias-model tests.benchmarks.giskard_scan:chatbot(url=...)``."""
    return _chatbot(ScriptedEndpoint(url=url))


def _scan(endpoint: ScriptedEndpoint) -> None:
    """Run Giskard's scan with its judged detectors, as its tutorial does."""
    giskard.load()
    import giskard as library
    import pandas as pd
    from giskard.llm import set_llm_model

    answer = _chatbot(endpoint)
    logging.getLogger("giskard.scanner.logger").setLevel(logging.WARNING)
    with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
        warnings.simplefilter("ignore")
        set_llm_model("openai/judge-1", api_base=endpoint.url, api_key="none")
        model = library.Model(
            lambda table: [answer(question) for question in table["question"]],  # type: ignore[operator]
            model_type="text_generation",
            name="bot",
            description="A chatbot that answers questions about asylum",
            feature_names=["question"],
        )
        dataset = library.Dataset(pd.DataFrame({"question": [sentence(1), sentence(2)]}), target=None)
        tags = ["hallucination", "faithfulness", "harmfulness", "output_formatting", "stereotypes"]
        library.scan(model, dataset, only=[*tags, "information_disclosure"], params=SIZES, verbose=False)


def _gate(endpoint: ScriptedEndpoint, concurrency: int) -> None:
    """Run the gate with its judged detectors and their default plan, in a process of its own."""
    with tempfile.TemporaryDirectory() as folder:
        command = [
            sys.executable,
            "-m",
            "pytest",
            str(ROOT / "bias_suite"),
            "-q",
            f"--bias-report-dir={folder}/reports",
        ]
        command += [f"--bias-model=tests.benchmarks.giskard_scan:chatbot(url='{endpoint.url}')"]
        command += ["--bias-judge=judge-1", "--bias-judge-gold=0", f"--bias-judge-url={endpoint.url}"]
        command += [f"--bias-only={','.join(JUDGED)}"]
        command += [f"--bias-concurrency={concurrency}", "--bias-sample=0", "--bias-giskard-reports=no"]
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise SystemExit(done.stdout + done.stderr)


if __name__ == "__main__":
    main()
