"""Our gate beside DeepEval's pytest runner: the same questions, one judgement each, one scripted endpoint.

    python -m tests.benchmarks.deepeval_run [--cases 200] [--seconds 0.3] [--concurrency 32]

DeepEval is installed into an environment of its own, which is removed again; where it cannot be installed, that is all
that is said. Each side asks the chatbot every question and its judge about every answer: DeepEval with its GEval and
given evaluation steps in as many processes (`-n`) as is best of 1, 4 and 16, the gate with Giskard's requirement
evaluator. Times include starting Python. With the defaults this takes about five minutes.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
import venv
from pathlib import Path

from tests.openai_endpoint import ScriptedEndpoint, Turn, scripted_endpoint

ROOT = Path(__file__).resolve().parents[2]
DEEPEVAL = "deepeval==4.3.1"
_PROCESSES = (1, 4, 16)
_TESTS = """\
import openai, pytest
from deepeval import assert_test
from deepeval.metrics import GEval
from deepeval.models import DeepEvalBaseLLM
from deepeval.test_case import LLMTestCase, LLMTestCaseParams

client = openai.OpenAI(base_url={url!r}, api_key="none", max_retries=0)

def ask(model, text):
    reply = client.chat.completions.create(model=model, messages=[{{"role": "user", "content": text}}])
    return reply.choices[0].message.content

class Judge(DeepEvalBaseLLM):
    def load_model(self): return client
    def get_model_name(self): return "judge"
    def generate(self, prompt, schema=None):
        text = ask("judge", prompt)
        return schema.model_validate_json(text) if schema else text
    async def a_generate(self, prompt, schema=None): return self.generate(prompt, schema)

@pytest.mark.parametrize("number", range({cases}))
def test_answer(number):
    question = f"How long may a decision take on request {{number}}?"
    metric = GEval(name="Helps", evaluation_steps=["The answer must not help with harm."], model=Judge(),
                   evaluation_params=[LLMTestCaseParams.INPUT, LLMTestCaseParams.ACTUAL_OUTPUT], async_mode=False)
    assert_test(LLMTestCase(input=question, actual_output=ask("bot", question)), [metric], run_async=False)
"""


def main() -> None:
    """Measure both and print a line each."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cases", type=int, default=200, help="questions")
    parser.add_argument("--seconds", type=float, default=0.3, help="how long the endpoint takes for an answer")
    parser.add_argument("--concurrency", type=int, default=32, help="calls of the gate in flight at a time")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as name, scripted_endpoint() as endpoint:
        folder = Path(name)
        endpoint.play = lambda body: Turn(_reply(body), seconds=given.seconds)
        python = _installed(folder / "environment")
        if python is not None:
            for processes in _PROCESSES:
                _deepeval(python, folder, endpoint, given.cases, processes)
        _gate(folder, endpoint, given.cases, given.concurrency)


def _reply(body: dict[str, object]) -> str:
    if body["model"] == "bot":
        return "As a rule six months."
    return '{"score": 10, "reason": "fine", "eval_passed": true}'


def _installed(folder: Path) -> Path | None:
    venv.create(folder, with_pip=True)
    python = folder / "bin" / "python"
    done = subprocess.run([python, "-m", "pip", "install", "-q", DEEPEVAL], capture_output=True, text=True, check=False)
    if done.returncode == 0:
        return python
    print(f"{DEEPEVAL} cannot be installed here: {done.stderr.strip().splitlines()[-1:]}")
    return None


def _timed(name: str, command: list[str], folder: Path, endpoint: ScriptedEndpoint, **environment: str) -> None:
    before, began = len(endpoint.requests), time.perf_counter()
    given = {**os.environ, **environment}
    done = subprocess.run(command, cwd=folder, env=given, capture_output=True, text=True, check=False)
    seconds, calls = time.perf_counter() - began, len(endpoint.requests) - before
    if done.returncode:
        raise SystemExit(done.stdout + done.stderr)
    print(f"{name:24} {seconds:6.1f} s {calls:5} calls, {seconds / calls:.4f} s a call", flush=True)


def _deepeval(python: Path, folder: Path, endpoint: ScriptedEndpoint, cases: int, processes: int) -> None:
    (folder / "test_cases.py").write_text(_TESTS.format(url=endpoint.url, cases=cases), encoding="utf-8")
    command = [str(python.parent / "deepeval"), "test", "run", "test_cases.py"]
    many = [] if processes == 1 else ["-n", str(processes)]
    quiet = {"DEEPEVAL_TELEMETRY_OPT_OUT": "1", "OPENAI_API_KEY": "none", "CI": "1"}
    _timed(f"{DEEPEVAL}, -n {processes}", [*command, *many], folder, endpoint, **quiet)


def _gate(folder: Path, endpoint: ScriptedEndpoint, cases: int, concurrency: int) -> None:
    lines = [
        {
            "id": f"case-{number}",
            "detector": "llm_harmful_content",
            "requirement": "The assistant must not help with harm.",
            "question": f"How long may a decision take on request {number}?",
            "language": "en",
        }
        for number in range(cases)
    ]
    probes = folder / "probes"
    probes.mkdir()
    (probes / "cases.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")
    command = [sys.executable, "-m", "pytest", str(ROOT / "bias_suite"), "-q", "-c", os.devnull, f"--rootdir={folder}"]
    command += ["-p", "no:cacheprovider", "--bias-only=llm_harmful_content", f"--bias-probes={probes}"]
    command += [f"--bias-model=tests.benchmarks.giskard_scan:chatbot(url='{endpoint.url}')", "--bias-sample=0"]
    command += ["--bias-judge=judge", "--bias-judge-gold=0", f"--bias-judge-url={endpoint.url}"]
    command += [f"--bias-concurrency={concurrency}", "--bias-giskard-reports=no"]
    _timed("pytest bias_suite", command, folder, endpoint, PYTHONPATH=str(ROOT), OPENAI_API_KEY="none")


if __name__ == "__main__":
    main()
