"""Planning: as many questions as ordered, in Giskard's words, and what becomes of replies that hold something else."""

from __future__ import annotations

import hashlib
import itertools
import json
import logging
import re
import signal
import threading
import time
import unicodedata
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from bias_suite import plan, planning, similarity
from bias_suite.chat import Chat, Reply, Spent
from bias_suite.detectors import CATALOGUE, giskard, giskard_llm
from bias_suite.detectors.generators import BY_REQUIREMENT, DETECTORS, GENERAL
from bias_suite.errors import OptionError, PlanError
from bias_suite.options import defaults
from bias_suite.planning import Order, estimate, generate, near, normalised
from bias_suite.probes import SEVERITIES, Probe, read, to_line
from tests.llm_player import Player, always, at_first, sentence
from tests.openai_endpoint import ScriptedEndpoint, Turn, completion, scripted_endpoint

CHAT = "/v1/chat/completions"
KEY = "sk-a-key-that-nobody-may-see"
HARM, PAIRS, IMPLAUSIBLE = "llm_harmful_content", "llm_basic_sycophancy", "llm_implausible_output"
FAITHFUL, FORMAT = "llm_faithfulness", "llm_output_formatting"
IDS = {detector.id for detector in CATALOGUE}
ABOUT = "A chatbot that answers {questions} about asylum, with 100 % of its answers in HTML."
BOOM = Turn("boom", status=500, headers={"Retry-After": "0"})
PROSE = "Sure! Here are some questions: Is it true?"

needs_embeddings = pytest.mark.skipif(similarity.unavailable() is not None, reason=str(similarity.unavailable()))


HOW: dict[str, Any] = {"key": KEY, "timeout": 30.0, "retries": 0}


def warm(script: ScriptedEndpoint) -> None:
    """Call once: of the HTTP clients that threads make at a time litellm keeps one, and closes none of the others."""
    for how in (HOW | {"timeout": 120.0}, HOW):  # importing litellm takes a time
        Chat("openai/writer-1", url=script.url, **how).ask([], Spent(), temperature=0.0, seed=0)


@pytest.fixture(scope="module")
def served() -> Iterator[ScriptedEndpoint]:
    giskard.load()
    with scripted_endpoint() as script:
        warm(script)
        yield script


@pytest.fixture
def endpoint(served: ScriptedEndpoint) -> Iterator[ScriptedEndpoint]:
    """The endpoint of all these tests, which begins each of them anew."""
    served.requests.clear()
    served.play, served.most_in_flight = None, 0
    yield served
    served.__dict__.pop("respond", None)


def order(*detectors: str, **what: Any) -> Order:
    """Return an order of three questions, or pairs, in English."""
    ordered = {"requirements": 1, "per_requirement": 3, "samples": 3, "languages": ("en",), **what}
    return Order(ABOUT, detectors or (HARM,), **ordered)


def made(
    endpoint: ScriptedEndpoint,
    ordered: Order,
    player: Callable[[dict[str, Any]], Turn] | None = None,
    *,
    threads: int = 4,
    on_reply: Callable[[Reply], None] = lambda reply: None,
    **how: Any,
) -> dict[str, list[Probe] | PlanError]:
    endpoint.play = player or Player()
    return generate(ordered, Chat("openai/writer-1", url=endpoint.url, **HOW | how), threads, on_reply)


def probes(endpoint: ScriptedEndpoint, ordered: Order, *rest: Any, **how: Any) -> list[Probe]:
    """Return the probes of an order for one detector, which must not be refused."""
    (found,) = made(endpoint, ordered, *rest, **how).values()
    assert not isinstance(found, PlanError), found
    return found


def refusal(endpoint: ScriptedEndpoint, ordered: Order, *rest: Any, **how: Any) -> str:
    """Return why an order for one detector is refused, which it must be."""
    (found,) = made(endpoint, ordered, *rest, **how).values()
    assert isinstance(found, PlanError), found
    return str(found)


def asked(endpoint: ScriptedEndpoint, part: str = "inputs") -> list[dict[str, Any]]:
    """Return the requests for inputs (or pairs) or for requirements."""
    return [body for body in endpoint.bodies(CHAT) if f'    "{part}": [' in body["messages"][0]["content"]]


def told(body: dict[str, Any], heading: str) -> str:
    """Return what a request says under one of the headings of Giskard's prompts."""
    found = re.search(rf"### {heading}\n(.*?)\n(\n###|$)", body["messages"][-1]["content"], re.DOTALL)
    assert found, heading
    return found[1]


def number(body: dict[str, Any]) -> int:
    return int(told(body, r"NUM \w+"))


def questions(*texts: object) -> str:
    return json.dumps({"inputs": [{"question": text} for text in texts]})


def lines(found: dict[str, list[Probe] | PlanError]) -> bytes:
    return "".join(to_line(probe) for plan in found.values() for probe in plan).encode()


# As many as ordered


@pytest.fixture(scope="module")
def everything(served: ScriptedEndpoint) -> tuple[Order, dict[str, list[Probe]], list[dict[str, Any]]]:
    """An order for all detectors, what came of it, and the requests."""
    ordered = order(*DETECTORS, requirements=2, per_requirement=3, samples=3, languages=("en", "ar"))
    served.requests.clear()
    found = made(served, ordered, Player())
    assert [name for name, plan in found.items() if isinstance(plan, PlanError)] == []
    return ordered, found, served.bodies(CHAT)  # type: ignore[return-value]


def test_there_are_as_many_questions_as_ordered(everything: Any) -> None:
    _, found, _ = everything
    assert list(found) == list(DETECTORS)
    for name, made_for in found.items():
        counts = Counter((probe.requirement, probe.language) for probe in made_for)
        if name in BY_REQUIREMENT:
            # The odd question of the second requirement goes to the other language.
            assert sorted(counts.values()) == [1, 1, 2, 2]
            assert Counter(probe.language for probe in made_for) == {"en": 3, "ar": 3}
            assert len({probe.requirement for probe in made_for}) == 2
        else:
            assert counts == {(GENERAL[name], "en"): 2, (GENERAL[name], "ar"): 1}


def test_pairs_have_two_questions_and_all_others_one(everything: Any) -> None:
    _, found, _ = everything
    for name, made_for in found.items():
        assert {len(probe.questions) for probe in made_for} == {2 if name == PAIRS else 1}


def test_probes_say_what_they_are(everything: Any) -> None:
    _, found, _ = everything
    for name, made_for in found.items():
        level = next(detector.level for detector in CATALOGUE if detector.id == name)
        for probe in made_for:
            assert (probe.detector, probe.source, probe.severity) == (name, "giskard", level)
            assert (probe.cluster, probe.claim, probe.axis, probe.group, probe.check) == (probe.id, "", None, None, {})


def test_the_questions_are_those_that_were_said(everything: Any) -> None:
    _, found, _ = everything
    said = [question for made_for in found.values() for probe in made_for for question in probe.questions]
    requirements = 2 * len(BY_REQUIREMENT)  # each of which took a sentence as well
    assert set(said) <= {sentence(place) for place in range(len(said) + requirements)}
    assert len(set(said)) == len(said)


def test_a_plan_is_read_back_as_it_was_written(everything: Any, tmp_path: Path) -> None:
    _, found, _ = everything
    for name, made_for in found.items():
        path = tmp_path / f"{name}.jsonl"
        path.write_bytes(lines({name: made_for}))
        assert read(path, IDS) == made_for


def test_a_line_says_what_is_not_so_without_saying(everything: Any) -> None:
    _, found, _ = everything
    common = ["id", "detector", "requirement"]
    for name, made_for in found.items():
        asks = "questions" if name == PAIRS else "question"
        for line in lines({name: made_for}).decode().splitlines():
            assert list(json.loads(line)) == [*common, asks, "language", "source", "severity", "provenance"]


def test_a_plan_is_taken_by_a_run(everything: Any, tmp_path: Path) -> None:
    _, found, _ = everything
    for name, made_for in found.items():
        (tmp_path / f"{name}.jsonl").write_bytes(lines({name: made_for}))
    taken = plan.load(defaults(probes=tmp_path))
    for name, made_for in found.items():
        assert set(map(to_line, taken.probes[name])) == set(map(to_line, made_for))


def test_where_a_question_comes_from_stands_with_it(everything: Any) -> None:
    _, found, bodies = everything
    import giskard as library

    sent = {hashlib.sha256(json.dumps(body["messages"]).encode()).hexdigest(): body for body in bodies}
    assert len(sent) == len(bodies)
    for made_for in found.values():
        for probe in made_for:
            body = sent[probe.provenance["prompt_sha256"]]
            assert probe.provenance == {
                "generator": "openai/writer-1@writer-1",
                "seed": body["seed"],
                "giskard": library.__version__,
                "prompt_sha256": probe.provenance["prompt_sha256"],
            }
            assert told(body, "LANGUAGES") == probe.language
            if probe.detector in BY_REQUIREMENT:
                assert told(body, "REQUIREMENT") == probe.requirement


def test_the_generator_is_named_by_what_answered(endpoint: ScriptedEndpoint) -> None:
    player = Player()
    (probe,) = probes(
        endpoint, order(per_requirement=1), lambda body: replace(player(body), model="writer-1-2026-05-13")
    )
    assert probe.provenance["generator"] == "openai/writer-1@writer-1-2026-05-13"


def test_ids_are_unique(everything: Any) -> None:
    _, found, _ = everything
    ids = [probe.id for made_for in found.values() for probe in made_for]
    assert len(set(ids)) == len(ids)
    assert all(re.fullmatch(r"llm_\w+-[0-9a-f]{12}", identifier) for identifier in ids)


def test_the_same_question_has_the_same_id_wherever_it_stands(endpoint: ScriptedEndpoint) -> None:
    first = probes(endpoint, order(per_requirement=2), Player(changes={"inputs": always(questions("Why?", "How?"))}))
    turned = Player(changes={"inputs": always(questions("How?", "Why?"))})
    second = probes(endpoint, order(per_requirement=2, seed=5, languages=("pl",)), turned)
    assert [probe.id for probe in first] == [probe.id for probe in reversed(second)]
    assert first[0].id != first[1].id
    (third,) = probes(endpoint, order(IMPLAUSIBLE, samples=1), Player(changes={"inputs": always(questions("Why?"))}))
    assert third.id.removeprefix(IMPLAUSIBLE) != first[0].id.removeprefix(HARM)


@pytest.mark.parametrize(
    ("languages", "per_requirement", "counts"),
    [
        (("en",), 4, [{"en": 4}, {"en": 4}]),
        (("en", "fr"), 1, [{"en": 1}, {"fr": 1}]),
        (("en", "fr", "de"), 4, [{"en": 2, "fr": 1, "de": 1}, {"en": 1, "fr": 1, "de": 2}]),
        (("en", "fr", "de", "es"), 1, [{"en": 1}, {"es": 1}]),
    ],
)
def test_questions_are_spread_over_the_languages(
    endpoint: ScriptedEndpoint, languages: tuple[str, ...], per_requirement: int, counts: list[dict[str, int]]
) -> None:
    ordered = order(requirements=2, per_requirement=per_requirement, languages=languages)
    found: dict[str, Counter[str]] = {}
    for probe in probes(endpoint, ordered):
        found.setdefault(probe.requirement, Counter())[probe.language] += 1
    assert list(found.values()) == counts


def test_no_language_is_more_than_one_behind(endpoint: ScriptedEndpoint) -> None:
    found = probes(endpoint, order(requirements=2, per_requirement=2, languages=("en", "fr", "de", "es")))
    assert Counter(probe.language for probe in found) == {"en": 1, "fr": 1, "de": 1, "es": 1}


@pytest.mark.parametrize("detector", [HARM, PAIRS, IMPLAUSIBLE])
def test_no_call_asks_for_more_than_ten(endpoint: ScriptedEndpoint, detector: str) -> None:
    assert len(probes(endpoint, order(detector, per_requirement=23, samples=23))) == 23
    bodies = asked(endpoint)
    assert sorted(map(number, bodies)) == [3, 10, 10]
    assert len({body["seed"] for body in bodies}) == 3


def test_no_two_calls_for_the_same_thing_have_the_same_seed(endpoint: ScriptedEndpoint) -> None:
    ordered = order(requirements=2, per_requirement=11)
    player = Player(changes={"inputs": lambda before, own: own if before % 2 else questions()})
    made(endpoint, ordered, player)
    calls = [(body["seed"], body["messages"][-1]["content"]) for body in asked(endpoint)]
    assert len(calls) > 4
    assert len(set(calls)) == len(calls)


def test_another_seed_asks_with_other_seeds(endpoint: ScriptedEndpoint) -> None:
    seeds = []
    for seed in (1, 2):
        endpoint.requests.clear()
        probes(endpoint, order(seed=seed))
        seeds.append({body["seed"] for body in endpoint.bodies(CHAT)})
    assert seeds[0] & seeds[1] == set()


# Which detectors, and what it will take


def test_all_that_have_generators_are_planned_for_where_none_is_named() -> None:
    assert planning.chosen(()) == DETECTORS
    assert set(DETECTORS) == {detector.id for detector in CATALOGUE if ".judged:" in str(detector.make_rule)}


def test_those_that_are_named_are_planned_for_in_their_order() -> None:
    assert planning.chosen([PAIRS, HARM]) == (PAIRS, HARM)


@pytest.mark.parametrize("name", ["llm_nonsense", "llm_prompt_injection", "", "LLM_HARMFUL_CONTENT"])
def test_a_detector_without_a_generator_is_refused_with_those_that_have_one(name: str) -> None:
    with pytest.raises(OptionError) as raised:
        planning.chosen([HARM, name])
    assert str(raised.value).startswith(f"--detector {name}: ")
    assert all(known in str(raised.value) for known in DETECTORS)


def test_a_detector_that_is_named_twice_is_planned_for_once() -> None:
    assert planning.chosen([HARM, HARM]) == (HARM,)


@pytest.mark.parametrize("detector", DETECTORS)
def test_an_llm_that_says_what_it_is_asked_for_takes_as_many_calls_as_estimated(
    endpoint: ScriptedEndpoint, detector: str
) -> None:
    ordered = order(detector, requirements=2, per_requirement=12, samples=12, languages=("en", "fr"))
    probes(endpoint, ordered)
    assert len(endpoint.requests) == estimate(ordered).calls


def test_an_estimate_is_of_the_size_of_what_is_sent(endpoint: ScriptedEndpoint) -> None:
    ordered = order(HARM, PAIRS, IMPLAUSIBLE, requirements=2, per_requirement=11, samples=11)
    made(endpoint, ordered)
    sent = sum(len(message["content"]) for body in endpoint.bodies(CHAT) for message in body["messages"]) / 4
    assert 0.6 < estimate(ordered).prompt_tokens / sent < 1.6


def test_an_estimate_grows_with_the_order() -> None:
    small = estimate(order(*DETECTORS))
    for more in ({"requirements": 2}, {"per_requirement": 30}, {"samples": 30}, {"languages": ("en", "fr")}):
        larger = estimate(order(*DETECTORS, **more))
        assert larger.calls > small.calls
        assert larger.prompt_tokens > small.prompt_tokens
        assert larger.completion_tokens >= small.completion_tokens
    assert estimate(replace(order(), description="x" * 4000)).prompt_tokens > estimate(order()).prompt_tokens + 1900


def test_every_reply_is_heard_of(endpoint: ScriptedEndpoint) -> None:
    player, lock, served, heard = Player(), threading.Lock(), [0, 0], [0, 0]

    def respond(path: str, body: dict[str, Any]) -> tuple[int, dict[str, Any]]:
        turn = player(body)
        with lock:
            usage = {"prompt_tokens": 100 + len(endpoint.requests), "completion_tokens": len(turn.text)}
            served[:] = [served[0] + usage["prompt_tokens"], served[1] + usage["completion_tokens"]]
        usage["total_tokens"] = sum(usage.values())
        return 200, {**completion(path, "writer-1", turn.text), "usage": usage}

    def hear(reply: Reply) -> None:
        with lock:
            heard[:] = [heard[0] + reply.prompt_tokens, heard[1] + reply.completion_tokens]
            texts.append(reply.text)

    texts: list[str] = []
    endpoint.respond = respond  # type: ignore[method-assign]
    player.changes = {"inputs": at_first(PROSE), "breaker": always("N"), "requirements": at_first("[]")}
    chat = Chat("openai/writer-1", url=endpoint.url, **HOW)
    generate(order(HARM, FAITHFUL, PAIRS), chat, 4, hear)
    assert heard == served
    assert len(texts) == len(endpoint.requests) == 6  # two for requirements, two for inputs, pairs, and the breaker
    assert PROSE in texts


# In Giskard's words


@pytest.mark.parametrize("detector", DETECTORS)
def test_giskard_s_own_detector_would_ask_the_same(endpoint: ScriptedEndpoint, detector: str) -> None:
    found = probes(endpoint, order(detector, languages=("fr",)))
    ours = endpoint.bodies(CHAT)
    endpoint.requests.clear()
    endpoint.play = Player()
    theirs = giskards(endpoint, detector)
    if detector in (FAITHFUL, FORMAT):  # whose first question is the same up to a word before the description
        assert ours[0]["messages"][0] == theirs[0]["messages"][0]
        assert ours[0]["messages"][1]["content"].endswith(f"escription: {ABOUT}")
        ours, theirs = ours[1:], theirs[1:]
    assert ours == theirs
    assert len(ours) == (2 if detector in BY_REQUIREMENT else 1)
    assert len(found) == 3


def giskards(endpoint: ScriptedEndpoint, detector: str) -> list[dict[str, Any]]:
    """Return what Giskard's detector asks, until it asks the model under test."""
    from giskard.scanner.registry import DetectorRegistry

    class AskedError(Exception):
        pass

    def predict(*_: object) -> None:
        raise AskedError

    what = {"name": "chatbot", "description": ABOUT, "feature_names": ["question"]}
    model = SimpleNamespace(**what, meta=SimpleNamespace(**what), predict=predict)
    dataset = SimpleNamespace(extract_languages=lambda columns: ["fr"], column_types=None)
    cls = DetectorRegistry.get_detector_classes()[detector]
    theirs = cls(num_samples=3, **({"num_requirements": 1} if detector in BY_REQUIREMENT else {}))
    chat = Chat("openai/writer-1", url=endpoint.url, **HOW)
    with giskard_llm.default_client(chat), pytest.raises(AskedError):
        theirs.run(model, dataset)
    # It keeps the answer to its first question, Y or N, to one token.
    return [{key: value for key, value in body.items() if key != "max_tokens"} for body in endpoint.bodies(CHAT)]


def test_a_request_names_what_is_wanted(endpoint: ScriptedEndpoint) -> None:
    made(endpoint, order("llm_stereotypes_detector", requirements=2, per_requirement=4, languages=("pl", "ar")))
    (first,) = asked(endpoint, "requirements")
    assert told(first, "NUM REQUIREMENTS") == "2"
    category = told(first, "CATEGORY")
    assert category.startswith("Issue category: Stereotypes & Discrimination\n")
    others = asked(endpoint)
    wanted = Counter((told(body, "REQUIREMENT"), told(body, "LANGUAGES"), number(body)) for body in others)
    requirements = {f"The agent must not {sentence(place)}" for place in (0, 1)}
    assert wanted == {(requirement, language, 2): 1 for requirement in requirements for language in ("pl", "ar")}
    assert {told(body, "CATEGORY") for body in others} == {category}
    assert {told(body, "AGENT DESCRIPTION") for body in (first, *others)} == {ABOUT}
    assert {told(body, "INPUT FORMAT EXAMPLE") for body in others} == {'{"question": "..."}'}
    assert {body["response_format"]["type"] for body in (first, *others)} == {"json_object"}


def test_each_detector_asks_about_an_issue_of_its_own(everything: Any) -> None:
    _, _, bodies = everything
    categories = [told(body, "CATEGORY") for body in bodies if "### CATEGORY" in body["messages"][-1]["content"]]
    assert len(set(categories)) == len(BY_REQUIREMENT)


# The same plan again


def scattered(player: Player, seed: str) -> Callable[[dict[str, Any]], Turn]:
    """Let each request take a time of its own."""

    def play(body: dict[str, Any]) -> Turn:
        drawn = hashlib.sha256((seed + json.dumps(body)).encode()).digest()[0]
        return replace(player(body), seconds=drawn / 255 * 0.04)

    return play


def test_the_same_replies_make_the_same_plan_in_whatever_order_they_come(endpoint: ScriptedEndpoint) -> None:
    ordered = order(HARM, PAIRS, IMPLAUSIBLE, requirements=3, per_requirement=6, samples=8, languages=("en", "fr"))
    plans = set()
    for threads, seed in ((1, ""), (16, "a"), (16, "b"), (5, "c")):
        player = Player(pool=60)  # of which many requests get the same ones: who keeps them must not depend on time
        plans.add(lines(made(endpoint, ordered, scattered(player, seed), threads=threads)))
    assert player.asked["inputs"] > 3 * 2 + 2
    assert len(plans) == 1


@pytest.fixture(scope="module")
def apart() -> Iterator[ScriptedEndpoint]:
    """An endpoint where no requests of other tests, which were given up, are still in flight."""
    with scripted_endpoint() as script:
        warm(script)
        yield script


def together(player: Player, first: int, last: int) -> Callable[[dict[str, Any]], Turn]:
    """Answer the requests from one number to another when all of them are there: else they fail, each after a time."""
    barrier, numbers = threading.Barrier(last - first), itertools.count()

    def play(body: dict[str, Any]) -> Turn:
        turn = player(body)
        if first <= next(numbers) < last:
            barrier.wait(10)
        return turn

    return play


def test_questions_are_asked_for_at_the_same_time_and_not_more_than_allowed(apart: ScriptedEndpoint) -> None:
    ordered = order(requirements=4, per_requirement=4, languages=("en", "fr", "de", "es"))
    for threads in (8, 2):
        apart.most_in_flight = 0
        probes(apart, ordered, together(Player(seconds=0.01), 1, 1 + threads), threads=threads)
        assert apart.most_in_flight == threads


def test_requirements_of_all_detectors_are_asked_for_at_the_same_time(apart: ScriptedEndpoint) -> None:
    ordered = order(*BY_REQUIREMENT, per_requirement=1)
    found = made(apart, ordered, together(Player(), 0, len(BY_REQUIREMENT)), threads=len(BY_REQUIREMENT))
    assert all(len(made_for) == 1 for made_for in found.values())  # type: ignore[arg-type]


def test_what_is_missing_is_asked_for_at_the_same_time(apart: ScriptedEndpoint) -> None:
    player = Player(changes={"inputs": at_first(*[questions()] * 4)})
    ordered = order(requirements=2, per_requirement=2, languages=("en", "fr"))
    assert len(probes(apart, ordered, together(player, 5, 9), threads=4)) == 4


# Replies that hold no questions, or not those that were asked for

WORDS = ("How do I apply?", "Who pays for the shelter?", "May my family follow?")
BAD_INPUTS: dict[str, tuple[str, int, str]] = {
    "none": (questions(), 0, "nothing"),
    "null instead of a list": ('{"inputs": null}', 0, "nothing"),
    "another column": (
        json.dumps({"inputs": [{"query": text} for text in WORDS]}),
        0,
        "4 rows with query instead of question",
    ),
    "one column more": (
        json.dumps({"inputs": [{"question": text, "user": "Ali"} for text in WORDS]}),
        0,
        "4 rows with question, user instead of question",
    ),
    "another column in one row": (
        json.dumps({"inputs": [{"question": WORDS[0]}, {"query": WORDS[1]}]}),
        0,
        "4 rows with question, query instead of question",
    ),
    "column in other letters": ('{"inputs": [{"Question": "Why?"}]}', 0, "4 rows with Question instead of question"),
    "nulls": (questions(None, None, None), 0, "12 without a text"),
    "a null": (questions(WORDS[0], None, WORDS[1]), 2, "4 without a text, 6 duplicates"),
    "numbers": (questions(1, 2.5, 3), 0, "12 without a text"),
    "a number": (questions(WORDS[0], 7, WORDS[1]), 2, "4 without a text, 6 duplicates"),
    "no numbers": ('{"inputs": [{"question": NaN}, {"question": Infinity}]}', 0, "8 without a text"),
    "true and false": (questions(True, False), 0, "8 without a text"),
    "empty texts": (questions("", " ", "\n\t\u00a0"), 0, "12 without a text"),
    "signs": (questions("?!", "…", "🙂 -- ¿?"), 0, "12 without a text"),
    "empty rows": ('{"inputs": [{}, {}]}', 0, "4 rows with "),
    "duplicates": (questions(*WORDS[:1] * 3), 1, "11 duplicates"),
    "duplicates in other letters": (questions("Où est l'été ?", "OU EST L ETE", "où—est l’été!"), 1, "11 duplicates"),
    "duplicates in other forms": (
        questions("ﬁve pages²?", "five pages2", unicodedata.normalize("NFD", "FÍVE PAGES 2")),
        1,
        "11 duplicates",
    ),
    "prose": (PROSE, 0, "4 replies that could not be read (LLMGenerationError)"),
    "empty": ("", 0, "4 replies that could not be read (LLMGenerationError)"),
    "cut": (questions(*WORDS)[:-9], 0, "4 replies that could not be read (LLMGenerationError)"),
    "prose before it": (f"Here: {questions(*WORDS)}", 0, "4 replies that could not be read (LLMGenerationError)"),
    "list instead of object": (json.dumps(WORDS), 0, "4 replies that could not be read (TypeError)"),
    "another key": (
        questions(*WORDS).replace("inputs", "outputs"),
        0,
        "4 replies that could not be read (LLMGenerationError)",
    ),
    "list of texts": (json.dumps({"inputs": WORDS}), 0, "4 rows with 0 instead of question"),
    "text instead of a list": ('{"inputs": "Why?"}', 0, "4 replies that could not be read (ValueError)"),
    "object instead of a list": ('{"inputs": {"question": "W?"}}', 0, "4 replies that could not be read (ValueError)"),
    "lists in it": (questions([WORDS[0]]), 0, "4 replies that could not be read (TypeError)"),
    "objects in it": (questions({"text": WORDS[0]}), 0, "4 replies that could not be read (TypeError)"),
    "half a character": (questions("half: \ud83d"), 0, "4 replies that could not be read (UnicodeEncodeError)"),
    "without end": ("[" * 100_000, 0, "4 replies that could not be read (RecursionError)"),
    "number too long": (
        '{"inputs": [{"question": ' + "9" * 5000 + "}]}",
        0,
        "4 replies that could not be read (ValueError)",
    ),
}


@pytest.mark.parametrize(("reply", "kept", "thrown"), BAD_INPUTS.values(), ids=BAD_INPUTS)
def test_a_shortfall_is_refused_with_what_there_was(
    endpoint: ScriptedEndpoint, reply: str, kept: int, thrown: str
) -> None:
    player = Player(changes={"inputs": always(reply)})
    said = refusal(endpoint, order(), player)
    start = f"{HARM}: {kept} of 3 questions in 'en' for 'The agent must not {sentence(0)}' after 4 rounds; "
    assert said.startswith(f"{start}thrown away: {thrown}")
    assert player.asked == {"requirements": 1, "inputs": 4}


@pytest.mark.parametrize(("reply", "kept", "thrown"), BAD_INPUTS.values(), ids=BAD_INPUTS)
def test_what_is_missing_is_asked_for_again(endpoint: ScriptedEndpoint, reply: str, kept: int, thrown: str) -> None:
    found = probes(endpoint, order(), Player(changes={"inputs": at_first(reply)}))
    assert len(found) == 3
    assert all(planning.normalised(probe.questions[0]) for probe in found)
    assert [number(body) for body in asked(endpoint)] == [3, 3 - kept]


@needs_embeddings
def test_questions_in_other_words_are_thrown_away(endpoint: ScriptedEndpoint) -> None:
    again = (WORDS[0], "How can I apply?", "How should I apply?")
    said = refusal(endpoint, order(), Player(changes={"inputs": always(questions(*again))}))
    assert said.endswith(
        "1 of 3 questions in 'en' for 'The agent must not What about the border, border and border "
        "matter no. 0?' after 4 rounds; thrown away: 8 near-duplicates, 3 duplicates"
    )
    found = probes(endpoint, order(), Player(changes={"inputs": at_first(questions(*again))}))
    assert [probe.questions[0] for probe in found] == [again[0], sentence(4), sentence(5)]


@needs_embeddings
def test_questions_are_near_when_they_mean_the_same() -> None:
    def probe(*texts: str) -> Probe:
        return Probe("one", PAIRS, "The assistant must not.", texts, "en", "one")

    first = probe("How do I apply for asylum in France?", "And why?")
    assert near(probe("How can I apply for asylum in France?"), [probe("Who pays?"), first])
    assert not near(probe("Who pays for the shelter?"), [first])
    assert not near(probe("How do I apply for asylum in Germany?"), [first])
    assert not near(probe("Comment demander l'asile en France ?"), [first])
    assert not near(first, [])


def test_too_few_are_topped_up(endpoint: ScriptedEndpoint) -> None:
    player = Player(changes={"inputs": at_first(questions(WORDS[0]), questions(WORDS[1]))})
    found = probes(endpoint, order(), player)
    assert [probe.questions[0] for probe in found] == [*WORDS[:2], sentence(6)]
    first, second, third = asked(endpoint)
    assert [number(body) for body in (first, second, third)] == [3, 2, 1]
    assert len({body["seed"] for body in (first, second, third)}) == 3
    assert [probe.provenance["seed"] for probe in found] == [body["seed"] for body in (first, second, third)]


def test_more_than_asked_for_are_left_out(endpoint: ScriptedEndpoint) -> None:
    player = Player(changes={"inputs": always(questions(*(sentence(place) for place in range(5))))})
    assert [probe.questions[0] for probe in probes(endpoint, order(), player)] == [
        sentence(place) for place in (0, 1, 2)
    ]
    assert player.asked["inputs"] == 1


def test_what_one_call_has_too_many_another_has_too_few(endpoint: ScriptedEndpoint) -> None:
    # Ten and two are asked for; the first call says two, the other ten.
    def change(before: int, own: str) -> str:
        wanted = len(json.loads(own)["inputs"])
        return questions(*(sentence(100 * wanted + place) for place in range(12 - wanted)))

    found = probes(endpoint, order(per_requirement=12), Player(changes={"inputs": change}))
    assert len({probe.questions for probe in found}) == 12
    assert len(asked(endpoint)) == 2


def test_questions_may_be_in_a_code_fence(endpoint: ScriptedEndpoint) -> None:
    reply = f"```json\n{questions(*WORDS)}\n```"
    player = Player(changes={"inputs": always(reply), "requirements": always('```\n{"requirements": ["It must."]}```')})
    found = probes(endpoint, order(), player)
    assert [probe.questions[0] for probe in found] == list(WORDS)
    assert {probe.requirement for probe in found} == {"It must."}
    assert len(endpoint.requests) == 2


def test_questions_are_kept_as_they_are_but_for_space_around_them(endpoint: ScriptedEndpoint) -> None:
    texts = (" Line one\nline two?\u2028 ", 'كيف أقدم "طلب" اللجوء؟ \\ {0} %s', "[b]Zażółć[/b] gęślą jaźń 🙂\u0000x")
    found = probes(endpoint, order(), Player(changes={"inputs": always(questions(*texts))}))
    assert [probe.questions[0] for probe in found] == [text.strip() for text in texts]


def test_the_same_question_is_not_kept_for_another_requirement_or_language(endpoint: ScriptedEndpoint) -> None:
    ordered = order(requirements=2, per_requirement=2, languages=("en", "fr"))
    said = refusal(endpoint, ordered, Player(changes={"inputs": always(questions(WORDS[0]))}))
    assert "0 of 1 questions in 'fr'" in said
    assert said.endswith("thrown away: 4 duplicates")


def test_the_same_question_is_kept_for_another_detector(endpoint: ScriptedEndpoint) -> None:
    player = Player(changes={"inputs": always(questions(*WORDS))})
    found = made(endpoint, order(HARM, IMPLAUSIBLE), player)
    texts = {name: [probe.questions for probe in made_for] for name, made_for in found.items()}  # type: ignore[union-attr]
    assert texts == {name: [(text,) for text in WORDS] for name in (HARM, IMPLAUSIBLE)}


def test_a_reply_that_cannot_be_read_is_not_printed(endpoint: ScriptedEndpoint) -> None:
    printed: list[str] = []

    class Printed(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            printed.append(record.getMessage())

    handler = Printed()
    logging.getLogger("giskard").addHandler(handler)
    try:
        refusal(endpoint, order(), Player(changes={"inputs": always(PROSE)}))
    finally:
        logging.getLogger("giskard").removeHandler(handler)
    assert printed == []


# Pairs


def pairs(*rows: tuple[object, object]) -> str:
    return json.dumps(
        {"inputs": [{"input_1": {"question": first}, "input_2": {"question": second}} for first, second in rows]}
    )


BAD_PAIRS: dict[str, tuple[str, int, str]] = {
    "none": ('{"inputs": []}', 0, "nothing"),
    "a side missing": (
        json.dumps({"inputs": [{"input_1": {"question": "Why?"}}]}),
        0,
        "4 replies that could not be read (KeyError)",
    ),
    "a side empty": (json.dumps({"inputs": [{"input_1": {"question": "Why?"}, "input_2": {}}]}), 0, "4 rows with "),
    "a side null": (json.dumps({"inputs": [{"input_1": {"question": "Why?"}, "input_2": None}]}), 0, "4 rows with "),
    "sides of one pair empty": (
        json.dumps({"inputs": [*json.loads(pairs(WORDS[:2]))["inputs"], {"input_1": {}, "input_2": {}}]}),
        1,
        "4 without a text, 3 duplicates",
    ),
    "a side without a text": (pairs((WORDS[0], None), (None, WORDS[1]), ("", WORDS[2])), 0, "12 without a text"),
    "a side of signs": (pairs((WORDS[0], "?"), ("…", WORDS[1])), 0, "8 without a text"),
    "texts instead of sides": (json.dumps({"inputs": [{"input_1": "Why?", "input_2": "How?"}]}), 0, "4 rows with 0"),
    "another column": (pairs(WORDS[:2]).replace("question", "query"), 0, "4 rows with query instead of question"),
    "another column at one side": (
        json.dumps({"inputs": [{"input_1": {"question": "Why?"}, "input_2": {"query": "How?"}}]}),
        0,
        "4 rows with query instead of question",
    ),
    "plain questions": (questions(*WORDS), 0, "4 replies that could not be read (KeyError)"),
    "two equal sides": (pairs((WORDS[0], WORDS[0]), (WORDS[1], WORDS[1].upper())), 0, "8 duplicates"),
    "sides exchanged": (pairs(WORDS[:2], WORDS[1::-1]), 1, "7 duplicates"),
    "a side of another pair": (pairs(WORDS[:2], (WORDS[2], WORDS[1])), 1, "7 duplicates"),
    "prose": (PROSE, 0, "4 replies that could not be read (LLMGenerationError)"),
    "list of texts": (json.dumps({"inputs": WORDS}), 0, "4 replies that could not be read (TypeError)"),
}


@pytest.mark.parametrize(("reply", "kept", "thrown"), BAD_PAIRS.values(), ids=BAD_PAIRS)
def test_a_shortfall_of_pairs_is_refused_with_what_there_was(
    endpoint: ScriptedEndpoint, reply: str, kept: int, thrown: str
) -> None:
    player = Player(changes={"pairs": always(reply)})
    said = refusal(endpoint, order(PAIRS), player)
    start = f"{PAIRS}: {kept} of 3 questions in 'en' for {GENERAL[PAIRS]!r} after 4 rounds; thrown away: {thrown}"
    assert said.startswith(start)
    assert player.asked == {"pairs": 4}


@pytest.mark.parametrize(("reply", "kept", "thrown"), BAD_PAIRS.values(), ids=BAD_PAIRS)
def test_pairs_that_are_missing_are_asked_for_again(
    endpoint: ScriptedEndpoint, reply: str, kept: int, thrown: str
) -> None:
    found = probes(endpoint, order(PAIRS), Player(changes={"pairs": at_first(reply)}))
    assert len(found) == 3
    assert len({normalised(text) for probe in found for text in probe.questions}) == 6
    assert [number(body) for body in asked(endpoint)] == [3, 3 - kept]


# Requirements

GOOD = ("The agent must be polite.", "The agent must not lie.")
UNREAD = "; the reply holds no list of requirements"


def requirements(*texts: object) -> str:
    return json.dumps({"requirements": texts})


BAD_REQUIREMENTS: dict[str, tuple[str, int, str]] = {
    "none": (requirements(), 0, ""),
    "null instead of a list": ('{"requirements": null}', 0, f"{UNREAD} (TypeError)"),
    "too few": (requirements(GOOD[0]), 1, ""),
    "the same again": (requirements(GOOD[0], "THE AGENT must be: polite", GOOD[0]), 1, ""),
    "nulls": (requirements(None, None), 0, ""),
    "a null": (requirements(GOOD[0], None), 1, ""),
    "empty texts": (requirements("", " \n"), 0, ""),
    "empty objects": (requirements({}, {}), 0, f"{UNREAD} (IndexError)"),
    "another key": (requirements(*GOOD).replace("requirements", "rules"), 0, f"{UNREAD} (LLMGenerationError)"),
    "prose": (PROSE, 0, f"{UNREAD} (LLMGenerationError)"),
    "empty": ("", 0, f"{UNREAD} (LLMGenerationError)"),
    "cut": (requirements(*GOOD)[:-5], 0, f"{UNREAD} (LLMGenerationError)"),
    "list instead of object": (json.dumps(GOOD), 0, f"{UNREAD} (TypeError)"),
    "without end": ("[" * 100_000, 0, f"{UNREAD} (RecursionError)"),
    "number too long": ("9" * 5000, 0, f"{UNREAD} (ValueError)"),
}
# Each of these is taken for two requirements or more, or ends everything with another error.
TAKEN_REQUIREMENTS: dict[str, str] = {
    "numbers": requirements(1, 2),
    "true and false": requirements(True, False),
    "lists": requirements([GOOD[0]], [GOOD[1]]),
    "signs": requirements("...", GOOD[0]),
    "text instead of a list": json.dumps({"requirements": GOOD[0]}),
    "object instead of a list": json.dumps({"requirements": {"1": GOOD[0], "2": GOOD[1]}}),
    "objects with null": requirements({"requirement": None}, {"requirement": None}),
    "objects with numbers": requirements({"requirement": 1}, {"text": 2}),
}


@pytest.mark.parametrize(("reply", "count", "problem"), BAD_REQUIREMENTS.values(), ids=BAD_REQUIREMENTS)
def test_too_few_requirements_are_refused(endpoint: ScriptedEndpoint, reply: str, count: int, problem: str) -> None:
    player = Player(changes={"requirements": always(reply)})
    said = refusal(endpoint, order(requirements=2), player)
    assert said == f"{HARM}: {count} of 2 requirements after 4 rounds{problem}"
    assert player.asked == {"requirements": 4}


@pytest.mark.parametrize(("reply", "count", "problem"), BAD_REQUIREMENTS.values(), ids=BAD_REQUIREMENTS)
def test_requirements_that_are_missing_are_asked_for_again(
    endpoint: ScriptedEndpoint, reply: str, count: int, problem: str
) -> None:
    player = Player(changes={"requirements": at_first(reply)})
    found = probes(endpoint, order(requirements=2, per_requirement=1), player)
    own = [f"The agent must not {sentence(place)}" for place in (2, 3)]  # two were not said in the first place
    assert [probe.requirement for probe in found] == [GOOD[0], *own][1 - count : 3 - count]
    assert len({body["seed"] for body in asked(endpoint, "requirements")}) == 2


@pytest.mark.parametrize(
    "reply",
    [
        pytest.param(
            reply,
            id=name,
        )
        for name, reply in TAKEN_REQUIREMENTS.items()
    ],
)
def test_what_is_no_list_of_texts_holds_no_requirements(endpoint: ScriptedEndpoint, reply: str) -> None:
    said = refusal(endpoint, order(requirements=2), Player(changes={"requirements": always(reply)}))
    assert re.match(rf"{HARM}: [01] of 2 requirements after 4 rounds", said)


def test_requirements_may_be_objects_and_more_than_asked_for(endpoint: ScriptedEndpoint) -> None:
    reply = requirements({"requirement": f" {GOOD[0]} "}, {"text": GOOD[1]}, "The agent must not shout.")
    player = Player(changes={"requirements": always(reply)})
    found = probes(endpoint, order(requirements=2, per_requirement=1), player)
    assert [probe.requirement for probe in found] == list(GOOD)
    assert player.asked["requirements"] == 1


# Detectors that do not apply


@pytest.mark.parametrize("detector", [FAITHFUL, FORMAT])
@pytest.mark.parametrize("said", ["N", "no", "No, it answers questions.", "", "I am not sure. Yes?", "Yellow"])
def test_a_detector_that_does_not_apply_is_refused_with_the_reason(
    endpoint: ScriptedEndpoint, detector: str, said: str
) -> None:
    player = Player(changes={"breaker": always(said)})
    why = refusal(endpoint, order(detector), player)
    assert why.startswith(
        f"{detector}: by its description the chatbot has no such task (the generator answers {said!r})"
    )
    assert "--description" in why
    assert player.asked == {"breaker": 1}


@pytest.mark.parametrize("said", ["Y", "y", "Yes.", " **Y**", '"Y"', "yes, it summarizes"])
def test_a_detector_that_applies_is_planned_for(endpoint: ScriptedEndpoint, said: str) -> None:
    assert len(probes(endpoint, order(FAITHFUL), Player(changes={"breaker": always(said)}))) == 3


def test_only_two_detectors_ask_whether_they_apply(everything: Any) -> None:
    _, _, bodies = everything
    assert sum("Answer Y or N" in body["messages"][0]["content"] for body in bodies) == 2


# Faults of the endpoint


TOO_FAST = Turn("slow down", status=429, headers={"Retry-After": "0"})
RESET, HANGS = Turn(reset=True), Turn(seconds=3.0)
NO_KEY, NO_MODEL = Turn("wrong key", status=401), Turn("which model?", status=404)


@pytest.mark.parametrize(
    ("part", "fault"),
    [
        ("requirements", BOOM),
        ("breaker", BOOM),
        ("inputs", BOOM),
        ("inputs", TOO_FAST),
        ("inputs", RESET),
        ("inputs", HANGS),
    ],
    ids=["requirements_500", "breaker_500", "500", "429", "reset", "hang"],
)
def test_a_fault_that_passes_is_tried_again(endpoint: ScriptedEndpoint, part: str, fault: Turn) -> None:
    player = Player(changes={part: at_first(fault)})
    timeout = 1.2 if fault is HANGS else 30.0
    assert len(probes(endpoint, order(FAITHFUL), player, retries=1, timeout=timeout)) == 3
    assert sum(player.asked.values()) == 4


def test_a_retry_after_is_heeded(endpoint: ScriptedEndpoint) -> None:
    slow = Turn("slow down", status=429, headers={"Retry-After": "0.8"})
    began = time.monotonic()
    probes(endpoint, order(), Player(changes={"inputs": at_first(slow)}), retries=1)
    assert time.monotonic() - began >= 0.8


@pytest.mark.parametrize(
    ("part", "fault", "said", "tries"),
    [
        ("requirements", BOOM, "boom", 2),
        ("breaker", BOOM, "boom", 2),
        ("inputs", BOOM, "boom", 2),
        ("inputs", TOO_FAST, "HTTP 429: slow down", 2),
        ("inputs", RESET, "Connection error", 2),
        ("inputs", HANGS, ", 2 times", 2),
        ("inputs", NO_KEY, "HTTP 401: wrong key (check the key in the environment", 1),
        ("requirements", NO_MODEL, "HTTP 404: which model? (the endpoint does not know this model", 1),
    ],
    ids=["requirements_500", "breaker_500", "500", "429", "reset", "hang", "401", "404"],
)
def test_a_fault_that_stays_is_a_refusal(
    endpoint: ScriptedEndpoint, part: str, fault: Turn, said: str, tries: int
) -> None:
    player = Player(changes={part: always(fault)})
    why = refusal(endpoint, order(FAITHFUL), player, retries=1, timeout=0.5 if fault is HANGS else 30.0)
    assert why.startswith(f"{FAITHFUL}: ")
    assert said in why
    assert KEY not in why
    assert player.asked[part] == tries


def test_a_fault_stops_no_other_detector(endpoint: ScriptedEndpoint) -> None:
    player = Player(changes={"pairs": always(BOOM)})
    found = made(endpoint, order(HARM, PAIRS, IMPLAUSIBLE), player)
    assert re.fullmatch(rf"{PAIRS}: .*boom", str(found[PAIRS]))
    assert [len(found[name]) for name in (HARM, IMPLAUSIBLE)] == [3, 3]  # type: ignore[arg-type]


def test_a_detector_with_a_fault_is_not_asked_about_in_further_rounds(endpoint: ScriptedEndpoint) -> None:
    player = Player(changes={"inputs": at_first(BOOM, questions(), questions())})
    refusal(endpoint, order(requirements=3), player, threads=1)
    assert player.asked["inputs"] == 3


def test_an_interruption_ends_the_spending(endpoint: ScriptedEndpoint) -> None:
    def interrupt(before: int, own: str) -> str:
        if before == 1:
            signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGINT)
        return own

    player = Player(seconds=0.02, changes={"inputs": interrupt})
    with pytest.raises(KeyboardInterrupt):
        made(endpoint, order(requirements=8, per_requirement=1), player, threads=1)
    assert player.asked["inputs"] <= 3


def test_without_anybody_listening_all_are_refused() -> None:
    with scripted_endpoint() as gone:
        pass
    found = made(gone, order(HARM, PAIRS), timeout=5.0)
    assert all("Connection error" in str(refused) for refused in found.values())


# Texts


@example("\U0001d56c")
@example("\u1082")
@given(st.text())
def test_what_is_normalised_stays(text: str) -> None:
    folded = normalised(text)
    assert normalised(folded) == folded
    assert all(character.isalnum() or unicodedata.category(character)[0] == "M" for character in folded)
    assert folded == "" or any(character.isalnum() for character in folded)


SIGNS = st.text("?!.,;:-–—…«»\"'()[] \t\n\u00a0\u200b\u0301", max_size=4)


@given(st.lists(st.tuples(st.text("abcxyzäéñßœжя٣9عㄱ", max_size=4), SIGNS), max_size=5), st.randoms())
def test_case_space_and_signs_make_no_difference(pieces: list[tuple[str, str]], chance: Any) -> None:
    plain = "".join(word for word, _ in pieces)
    signed = "".join(chance.choice((str.upper, str.lower, str.title))(word) + signs for word, signs in pieces)
    assert normalised(signed) == normalised(plain)


@example("\U0001d56c", "NFKC")
@given(st.text(), st.sampled_from(["NFC", "NFD", "NFKC", "NFKD"]))
def test_the_form_of_characters_makes_no_difference(text: str, form: Any) -> None:
    assert normalised(unicodedata.normalize(form, text)) == normalised(text)


@pytest.mark.parametrize(
    ("first", "second"), [("Is it 5 %?", "Is it 6 %?"), ("Can I?", "Can we?"), ("من أنت؟", "من أنا؟"), ("żal", "bal")]
)
def test_other_letters_and_digits_make_a_difference(first: str, second: str) -> None:
    assert normalised(first) != normalised(second)


PRINTABLE = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=20).filter(str.strip)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | PRINTABLE,
    lambda values: st.lists(values, max_size=2) | st.dictionaries(PRINTABLE, values, max_size=2),
    max_leaves=4,
)
OBJECTS = st.dictionaries(PRINTABLE, JSON, max_size=3)
PROBES = st.builds(
    Probe,
    id=PRINTABLE,
    detector=st.sampled_from(sorted(IDS)),
    requirement=PRINTABLE,
    questions=st.lists(PRINTABLE, min_size=1, max_size=3).map(tuple),
    language=PRINTABLE,
    cluster=PRINTABLE,
    claim=st.just("") | PRINTABLE,
    axis=st.none() | PRINTABLE,
    group=st.none() | PRINTABLE,
    source=PRINTABLE,
    severity=st.sampled_from(SEVERITIES),
    check=OBJECTS,
    provenance=OBJECTS,
)


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("probes") / "probes.jsonl"


@settings(deadline=None)  # the time of a disk
@given(written=st.lists(PROBES, min_size=1, max_size=4, unique_by=lambda probe: probe.id), alone=st.booleans())
def test_any_probes_are_read_as_they_were_written(file: Path, written: list[Probe], alone: bool) -> None:
    if alone:
        written = [replace(probe, cluster=probe.id) for probe in written]
    file.write_text("".join(map(to_line, written)), encoding="utf-8")
    assert read(file, IDS) == written
    assert all(to_line(probe).count("\n") == 1 for probe in written)


def test_a_change_sees_how_often_a_part_was_played() -> None:
    seen: list[int] = []

    def change(before: int, own: str) -> str:
        seen.append(before)
        return own

    player = Player(changes={"chatbot": change})
    for _ in range(3):
        player({"messages": [{"role": "user", "content": "Hello"}]})
    assert seen == [0, 1, 2]
