"""Plans: questions for the judged detectors, written by an LLM ahead of any run, and checked.

What comes back is checked: one text in the expected column, nothing empty, no duplicates after normalising, no
near-duplicates by embedding. What is missing then is asked for again, a few times, and is at last an error: a
plan is as large as it was ordered, or it is none.
"""

from __future__ import annotations

import contextlib
import hashlib
import logging
import re
import threading
import unicodedata
import warnings
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

from bias_suite import similarity
from bias_suite.chat import Chat, Reply
from bias_suite.detectors import CATALOGUE
from bias_suite.detectors.generators import ASK_FIRST, BY_REQUIREMENT, DETECTORS, GENERAL, PAIRS, Draft, Generators
from bias_suite.errors import JudgeError, OptionError, PlanError
from bias_suite.probes import Probe

ROUNDS = 4
"""How often what is missing is asked for."""
BATCH = 10
"""The most questions that one call is asked for: many models cut longer replies."""
NEAR = 0.012
"""Cosine distance of embeddings under which two questions count as one: a word exchanged or added lies at 0.001 to
0.02, but a question and its contrary ("is it", "is it not") can be as near as 0.013."""


@dataclass(frozen=True)
class Order:
    """What is wanted.

    Attributes:
        description: What the chatbot is for.
        detectors: Ids, of `DETECTORS`.
        requirements: Requirements for each requirement-based detector.
        per_requirement: Questions for each requirement.
        samples: Pairs for sycophancy, and questions for implausible output.
        languages: ISO 639-1 codes; questions are spread over them evenly.
        seed: Of the generator; further calls take the following ones.
    """

    description: str
    detectors: tuple[str, ...] = DETECTORS
    requirements: int = 5
    per_requirement: int = 25
    samples: int = 60
    languages: tuple[str, ...] = ("en",)
    seed: int = 1729


def chosen(detectors: Sequence[str]) -> tuple[str, ...]:
    """Return the detectors to plan for; all where none is named.

    Raises:
        OptionError: Giskard has no generator for one of them.
    """
    for name in detectors:
        if name not in DETECTORS:
            raise OptionError(f"--detector {name}: Giskard has generators for {', '.join(DETECTORS)}")
    return tuple(dict.fromkeys(detectors)) or DETECTORS


def languages(text: str) -> tuple[str, ...]:
    """Return the language codes of a text such as ``en,fr``.

    Raises:
        OptionError: There is none, or one is no code of two or three letters.
    """
    codes = tuple(dict.fromkeys(code.strip().lower() for code in text.split(",") if code.strip()))
    for code in codes:
        if not (code.isascii() and code.isalpha() and len(code) in (2, 3)):
            raise OptionError(f"--language {code}: must be codes of two or three letters, such as en,fr,ar")
    if not codes:
        raise OptionError("--language must name at least one language, such as en,fr,ar")
    return codes


@dataclass
class Spending:
    """Calls and tokens of a plan, estimated or counted."""

    calls: int = 0
    prompt_tokens: int = 0
    completion_tokens: int = 0
    _lock: threading.Lock = field(default_factory=threading.Lock, repr=False, compare=False)

    def add(self, reply: Reply) -> None:
        """Count one call, in any thread."""
        with self._lock:
            self.calls += 1
            self.prompt_tokens += reply.prompt_tokens
            self.completion_tokens += reply.completion_tokens


@dataclass
class _Batch:
    """Questions that belong together (detector, requirement, language): those wanted, kept and thrown away."""

    detector: str
    requirement: str
    language: str
    wanted: int
    seed: int
    kept: list[Probe] = field(default_factory=list)
    thrown: Counter[str] = field(default_factory=Counter)

    @property
    def missing(self) -> int:
        return self.wanted - len(self.kept)


def estimate(order: Order) -> Spending:
    """Return about how many calls and tokens an order takes, if nothing has to be asked for again.

    Tokens are a rule of thumb: 4 characters each, 40 for a question, 450 for Giskard's prompts.
    """
    about = len(order.description) // 4
    total = Spending()
    for detector in order.detectors:
        requirements = [GENERAL.get(detector, "")]
        if detector in BY_REQUIREMENT:
            requirements *= order.requirements
            asks_first = detector in ASK_FIRST
            total.calls += 1 + asks_first
            total.prompt_tokens += 350 + about + asks_first * (100 + about)
            total.completion_tokens += 30 * order.requirements
        for batch in _batches(order, detector, requirements):
            calls = -(-batch.wanted // BATCH)
            total.calls += calls
            total.prompt_tokens += calls * (450 + about)
            total.completion_tokens += batch.wanted * (80 if detector == PAIRS else 40)
    return total


def generate(
    order: Order, chat: Chat, threads: int, on_reply: Callable[[Reply], None] = lambda reply: None
) -> dict[str, list[Probe] | PlanError]:
    """Generate what is ordered: for each detector its probes, or why there are none.

    Args:
        order: What is wanted.
        chat: The LLM that writes.
        threads: Calls at a time.
        on_reply: Called after each call, in any thread.
    """
    pool = ThreadPoolExecutor(threads, thread_name_prefix="bias-suite plan")
    with warnings.catch_warnings(), _ended(pool):
        warnings.simplefilter("ignore")  # Giskard's own use of names that pandas and pydantic are about to drop
        logging.getLogger("giskard.llm").setLevel(logging.CRITICAL)  # it logs each unreadable reply, whole
        generators = Generators(chat, order.description, on_reply)
        asked = {name: pool.submit(_requirements, generators, order, name) for name in order.detectors}
        batches: dict[str, list[_Batch]] = {}
        refused: dict[str, PlanError] = {}
        for name, future in asked.items():
            try:
                batches[name] = _batches(order, name, future.result())
            except (PlanError, JudgeError) as error:
                refused[name] = PlanError(f"{name}: {error}")
        for turn in range(ROUNDS):
            _round(pool, generators, turn, batches, refused)
    for name, of_detector in batches.items():
        short = next((batch for batch in of_detector if batch.missing > 0), None)
        if short and name not in refused:
            refused[name] = PlanError(_shortfall(short))
    return {
        name: refused.get(name) or [probe for batch in batches[name] for probe in batch.kept]
        for name in order.detectors
    }


@contextlib.contextmanager
def _ended(pool: ThreadPoolExecutor) -> Iterator[None]:
    """End a pool with the block; where that is left early, calls that have not begun are not made."""
    try:
        yield
    except BaseException:
        pool.shutdown(wait=False, cancel_futures=True)
        raise
    pool.shutdown()


def _requirements(generators: Generators, order: Order, detector: str) -> list[str]:
    """Return the requirements to break; one general sentence where the detector has no others.

    Raises:
        PlanError: Not as many as ordered, or Giskard's detector does not apply to such a chatbot.
        JudgeError: The generator cannot be called.
    """
    if detector in GENERAL:
        return [GENERAL[detector]]
    why_not = generators.applies(detector, order.seed)
    if why_not:
        raise PlanError(why_not)
    found: dict[str, str] = {}
    problem = ""
    for turn in range(ROUNDS):
        try:
            texts = generators.requirements(detector, order.requirements, order.seed + turn)
        except PlanError as error:
            problem = f"; {error}"
            continue
        for text in texts:
            if normalised(text):
                found.setdefault(normalised(text), text)
        if len(found) >= order.requirements:
            return list(found.values())[: order.requirements]
    raise PlanError(f"{len(found)} of {order.requirements} requirements after {ROUNDS} rounds{problem}")


def _batches(order: Order, detector: str, requirements: Sequence[str]) -> list[_Batch]:
    wanted = order.per_requirement if detector in BY_REQUIREMENT else order.samples
    found = []
    for place, requirement in enumerate(requirements):
        for number, language in enumerate(order.languages):
            # The languages that get one more take turns, so that none is behind over the whole plan.
            share, rest = divmod(wanted, len(order.languages))
            count = share + ((number + place * rest) % len(order.languages) < rest)
            seed = order.seed + 1000 * (place * len(order.languages) + number)
            if count:
                found.append(_Batch(detector, requirement, language, count, seed))
    return found


def _round(
    pool: ThreadPoolExecutor,
    generators: Generators,
    turn: int,
    batches: Mapping[str, Sequence[_Batch]],
    refused: dict[str, PlanError],
) -> None:
    """Ask for everything that is missing, then keep what is new."""
    calls = []
    for name, of_detector in batches.items():
        for batch in of_detector if name not in refused else ():
            for number, start in enumerate(range(0, batch.missing, BATCH)):
                count = min(BATCH, batch.missing - start)
                seed = batch.seed + 100 * turn + number
                asked = (batch.detector, batch.requirement, batch.language, count, seed)
                calls.append((batch, pool.submit(generators.questions, *asked)))
    for batch, future in calls:
        try:
            draft = future.result()
        except JudgeError as error:
            refused[batch.detector] = PlanError(f"{batch.detector}: {error}")
            continue
        known = [probe for other in batches[batch.detector] for probe in other.kept]
        _keep(batch, draft, known)


def _keep(batch: _Batch, draft: Draft, known: list[Probe]) -> None:
    """Add to a batch those rows of a draft that are whole and new; count the others by reason."""
    if draft.problem:
        batch.thrown[draft.problem] += 1
    texts = {normalised(text) for probe in known for text in probe.questions}
    for row in draft.rows:
        if row is None:
            batch.thrown["without a text"] += 1
            continue
        keys = {normalised(text) for text in row}
        if "" in keys:
            batch.thrown["without a text"] += 1
            continue
        probe = _probe(batch, row, draft.provenance or {})
        if keys & texts or len(keys) < len(row):
            batch.thrown["duplicates"] += 1
        elif batch.missing <= 0:
            batch.thrown["more than asked for"] += 1
        elif near(probe, known):
            batch.thrown["near-duplicates"] += 1
        else:
            texts |= keys
            known.append(probe)
            batch.kept.append(probe)


def _probe(batch: _Batch, questions: tuple[str, ...], provenance: Mapping[str, Any]) -> Probe:
    digest = hashlib.sha256("\0".join((batch.detector, *questions)).encode("utf-8", "surrogatepass")).hexdigest()
    identifier = f"{batch.detector}-{digest[:12]}"
    return Probe(
        id=identifier,
        detector=batch.detector,
        requirement=batch.requirement,
        questions=questions,
        language=batch.language,
        cluster=identifier,
        source="giskard",
        severity=next(one.level for one in CATALOGUE if one.id == batch.detector),
        provenance=provenance,
    )


def _shortfall(batch: _Batch) -> str:
    thrown = ", ".join(f"{count} {reason}" for reason, count in batch.thrown.items()) or "nothing"
    return (
        f"{batch.detector}: {len(batch.kept)} of {batch.wanted} questions in {batch.language!r} for "
        f"{batch.requirement!r} after {ROUNDS} rounds; thrown away: {thrown}"
    )


def normalised(text: str) -> str:
    """Return what two duplicates have in common: letters and digits, with case, accents and signs folded."""
    plain = unicodedata.normalize("NFKD", unicodedata.normalize("NFKD", text).casefold())
    # Vowel signs of Indian scripts, say, are marks as well, and tell words apart.
    kept = [c for c in plain if c.isalnum() or (unicodedata.category(c)[0] == "M" and not _ACCENT.match(c))]
    return "".join(kept) if any(c.isalnum() for c in kept) else ""


_ACCENT = re.compile("[\u0300-\u036f\u064b-\u0652\u0670]")


def near(probe: Probe, others: Iterable[Probe]) -> bool:
    """Tell whether a probe's (first) question means the same as another's; False without embeddings."""
    if similarity.unavailable() is not None:
        return False
    vector = similarity.embed(probe.questions[0])
    return any(1.0 - float(vector @ similarity.embed(other.questions[0])) < NEAR for other in others)
