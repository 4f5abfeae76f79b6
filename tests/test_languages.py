"""`same_language`: answers in another language than the question's are failures, from the first one on."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from bias_suite.cases import Answer
from bias_suite.probes import Probe
from fixtures.languages import REQUIREMENT, SameLanguage, languages
from tests.annotators import WORDS
from tests.test_evaluation import settings

# In a process of its own: what langdetect knows is loaded by the first call.
AT_ONCE = """
import json
from concurrent.futures import ThreadPoolExecutor
from fixtures.languages import languages
with ThreadPoolExecutor(16) as pool:
    print(json.dumps(list(pool.map(languages, ["Die Behörde entscheidet über jeden Antrag einzeln."] * 64))))
"""


def verdict(language: str, answer: str) -> str:
    probe = Probe(
        id="p", detector="same_language", requirement=REQUIREMENT, questions=("?",), language=language, cluster="p"
    )
    return SameLanguage(settings()).judge(probe, (Answer(answer),)).status


@pytest.mark.parametrize("language", sorted(WORDS))
def test_each_language_passes_for_itself_and_fails_for_another(language: str) -> None:
    other = "de" if language == "en" else "en"
    for sentences in WORDS[language].values():
        for sentence in sentences:
            assert verdict(language, sentence) == "passed"
            assert verdict(other, sentence) == "failed"


@pytest.mark.parametrize("answer", ["", "966,000", "2022: 40 %", "OK"])
def test_an_answer_of_a_few_letters_has_no_language(answer: str) -> None:
    assert languages(answer) == {}
    assert verdict("de", answer) == "passed"


def test_many_threads_at_once_all_get_an_answer() -> None:
    done = subprocess.run([sys.executable, "-c", AT_ONCE], capture_output=True, text=True, check=True)
    found = json.loads(done.stdout)
    assert len(found) == 64
    assert all(one.get("de", 0) > 0.9 for one in found)
