"""A reward model is better only where it judges responses; what it may have learned instead is said."""

from __future__ import annotations

import hashlib
import math
import random
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from reward import evaluation, style
from reward.errors import PairError, RewardModelError
from reward.evaluation import Evaluation, examine
from reward.pairs import TEMPLATE, Pair, parts

WORDS = ("rent", "papers", "income", "proof", "origin", "tenant", "landlord", "equal", "ask", "law")


@dataclass(frozen=True)
class Says:
    """A reward model that is a rule on prompt and response."""

    rule: Callable[[str, str], float]

    def score(self, texts: Sequence[str]) -> NDArray[np.float64]:
        return np.array([self.rule(*parts(text)) for text in texts], dtype=np.float64)


def at_random(seed: int, levels: int = 2**32) -> Says:
    """Rewards that depend on the response, and mean nothing."""

    def rule(_: str, response: str) -> float:
        digest = hashlib.sha256(f"{seed} {response}".encode("utf-8", "replace")).digest()
        return int.from_bytes(digest[:4], "big") % levels / levels

    return Says(rule)


truth = Says(lambda _, response: float("fair" in response.split()))
longest = Says(lambda _, response: len(response))
shortest = Says(lambda _, response: -len(response))
constant = Says(lambda _prompt, _response: 1.5)
polite = Says(lambda prompt, _: float("please" in prompt))


def pair(
    number: int,
    chosen: str,
    rejected: str,
    *,
    instruction: str = "Who pays?",
    corrected: str | None = None,
    record: str | None = None,
    annotator: str = "ana",
    detector: str = "stereotypes",
    axis: str | None = "nationality",
) -> Pair:
    """A pair of one record, under one instruction unless it was corrected."""
    return Pair(
        record=record or f"r{number}",
        annotator=annotator,
        prompt=f"### Instruction: {instruction}\n",
        chosen=TEMPLATE.format(instruction=corrected or instruction, response=chosen),
        rejected=TEMPLATE.format(instruction=instruction, response=rejected),
        detector=detector,
        axis=axis,
    )


def words(number: int, count: int) -> str:
    return " ".join(random.Random(number).choices(WORDS, k=count))


def fair(count: int, **told: Any) -> list[Pair]:
    """Pairs whose chosen response says "fair", in turn the longer and the shorter of the two."""
    return [
        pair(n, f"fair {words(n, 8 if n % 2 else 4)} {n}", f"odd {words(-n, 4 if n % 2 else 8)} {n}", **told)
        for n in range(count)
    ]


def longer(count: int, more: int = 20) -> list[Pair]:
    """Pairs whose chosen response says "fair" and is the longer one."""
    return [pair(n, f"fair {words(n, 4 + n % more)} {'x' * 80}", f"odd {words(-n, 4)}") for n in range(count)]


def of_kind(found: Evaluation, kind: str) -> list[str]:
    return [warning for warning in found.warnings if warning.startswith(f"{kind}: ")]


def reason(found: Evaluation, said: str) -> bool:
    return any(said in one for one in found.reasons)


# The verdict


def test_a_model_that_knows_what_people_prefer_is_better() -> None:
    found = examine(truth, fair(40))
    assert (found.verdict, found.reasons, found.warnings) == ("better", (), ())
    assert found.accuracy == found.same_prompt
    assert (found.same_prompt.value, found.same_prompt.pairs, found.same_prompt.records) == (1.0, 40, 40)
    assert found.instruction_only is None
    assert found.baselines["length"].value == 0.5
    assert found.advantages["length"].value == 0.5


def test_a_model_that_knows_it_most_of_the_time_is_better() -> None:
    noise = at_random(0)

    def mostly(prompt: str, response: str) -> float:
        known = truth.rule(prompt, response)
        return known if noise.rule(prompt, response) > 0.2 else 1 - known

    found = examine(Says(mostly), fair(200))
    assert found.verdict == "better"
    assert 0.6 < found.same_prompt.value < 0.95


def test_a_model_at_random_is_seldom_better() -> None:
    better = [examine(at_random(seed), fair(60)).verdict == "better" for seed in range(60)]
    assert sum(better) <= 3


def test_a_model_at_random_is_told_that_it_may_be_chance() -> None:
    found = examine(at_random(1), fair(300))
    assert found.verdict == "not better"
    assert reason(found, "it may be no better than chance: 0.")
    assert reason(found, "it may be no better than the length of the responses")


def test_a_model_that_is_always_wrong_is_not_better() -> None:
    found = examine(Says(lambda prompt, response: -truth.rule(prompt, response)), fair(40))
    assert found.verdict == "not better"
    assert found.same_prompt.value == 0.0


def test_a_model_that_rewards_all_alike_is_not_better_and_told_so() -> None:
    found = examine(constant, fair(40))
    assert found.verdict == "not better"
    assert (found.same_prompt.value, found.same_prompt.ties) == (0.5, 40)
    assert reason(found, "all pairs are ties")
    assert found.length_correlation is None


def test_a_model_that_rewards_all_alike_is_not_told_that_the_responses_are() -> None:
    assert not reason(examine(constant, fair(40)), "the responses do not differ")


@pytest.mark.parametrize(("records", "verdict"), [(9, "not better"), (10, "better")])
def test_fewer_than_ten_records_show_nothing(records: int, verdict: str) -> None:
    found = examine(truth, [one for n in range(4) for one in renamed(fair(records), n)])
    assert (found.verdict, found.same_prompt.pairs) == (verdict, 4 * records)
    assert reason(found, "9 held-out records show nothing: at least 10 are needed") == (records == 9)


def renamed(pairs: Sequence[Pair], number: int) -> list[Pair]:
    """The same records' pairs by another annotator, who wrote something else."""
    return [
        replace(one, annotator=f"annotator {number}", chosen=f"{one.chosen} {number}", rejected=f"{one.rejected} 0")
        for one in pairs
    ]


def test_one_record_said_often_is_no_evidence() -> None:
    found = examine(truth, [pair(n, f"fair {n}", f"odd {n} x", record="r1", annotator=f"a{n}") for n in range(50)])
    assert (found.verdict, found.same_prompt.records, found.same_prompt.pairs) == ("not better", 1, 50)
    assert found.same_prompt.lower < 0.5
    assert reason(found, "1 held-out records show nothing")


def test_many_annotators_of_a_record_make_it_no_surer() -> None:
    noise = at_random(8)
    once = fair(30)
    found, often = (
        examine(noise, once),
        examine(noise, [replace(one, annotator=f"a{n}") for one in once for n in "xyz"]),
    )
    assert (often.same_prompt.lower, often.same_prompt.upper) == pytest.approx(
        (found.same_prompt.lower, found.same_prompt.upper)
    )
    assert asdict(often.advantages["length"]) == pytest.approx(asdict(found.advantages["length"]))


def test_one_record_said_often_among_a_few_is_no_evidence() -> None:
    many = [
        pair(n, f"fair {'x' * (20 * (n % 2))} {n}", f"odd {'x' * 10} {n}", record="r0", annotator=f"a{n}")
        for n in range(200)
    ]
    few = [one for n, one in enumerate(fair(16)) if n]
    assert examine(truth, many + few[:7] + wrong(few[7:])).verdict == "not better"


# Shortcut 1: the style of instructions


def tutorial(count: int, response: Callable[[int], tuple[str, str]]) -> list[Pair]:
    return [pair(n, *response(n), instruction=f"who {n}", corrected=f"please, who {n}") for n in range(count)]


def test_a_model_of_instructions_is_right_in_all_pairs_and_not_better() -> None:
    found = examine(polite, tutorial(40, lambda n: (f"same {n}", f"same {n}")))
    assert found.accuracy.value == 1.0
    assert found.same_prompt.ties == 40
    assert found.instruction_only is not None
    assert (found.instruction_only.value, found.instruction_only.pairs) == (1.0, 40)
    assert found.verdict == "not better"
    assert reason(found, "under the same instruction")
    assert reason(found, "all pairs are ties")
    (warning,) = of_kind(found, "INSTRUCTION")
    assert "right in 100 % of the pairs as they are, in 50 % under the same instruction, 100 % by the inst" in warning


def test_nor_is_it_where_responses_differ() -> None:
    found = examine(polite, tutorial(40, lambda n: (f"fair {n}", f"odd {n}")))
    assert (found.verdict, found.accuracy.value, found.same_prompt.value) == ("not better", 1.0, 0.5)
    assert reason(found, "ties")
    assert of_kind(found, "INSTRUCTION")


def test_instructions_that_help_a_model_at_random_do_not_make_it_better() -> None:
    noise = at_random(3)
    mixed = Says(lambda prompt, response: 10 * polite.rule(prompt, response) + noise.rule(prompt, response))
    found = examine(mixed, tutorial(60, lambda n: (f"fair {n} {'x' * (n % 2)}", f"odd {n}")))
    assert (found.verdict, found.accuracy.value) == ("not better", 1.0)
    assert reason(found, "it may be no better than chance")
    assert of_kind(found, "INSTRUCTION")


def test_a_model_that_judges_responses_of_the_tutorial_s_pairs_is_better() -> None:
    responses = {one.record: (parts(one.chosen)[1], parts(one.rejected)[1]) for one in fair(40)}
    found = examine(truth, tutorial(40, lambda n: responses[f"r{n}"]))
    assert (found.verdict, found.warnings) == ("better", ())
    assert found.instruction_only is not None
    assert (found.instruction_only.value, found.instruction_only.ties) == (0.5, 40)


def test_only_pairs_whose_instructions_differ_tell_of_the_instruction() -> None:
    found = examine(polite, fair(20) + tutorial(15, lambda n: (f"fair {n}", f"odd {n}")))
    assert found.instruction_only is not None
    assert (found.instruction_only.pairs, found.instruction_only.value) == (15, 1.0)


def test_texts_of_another_template_are_all_response() -> None:
    plain = [replace(one, chosen=parts(one.chosen)[1], rejected=parts(one.rejected)[1], prompt="") for one in fair(20)]
    found = examine(truth, plain)
    assert (found.verdict, found.instruction_only) == ("better", None)
    assert found.same_prompt == examine(truth, fair(20)).same_prompt


def test_the_sides_differ_in_nothing_but_the_response() -> None:
    class Spaces:
        def score(self, texts: Sequence[str]) -> NDArray[np.float64]:
            return np.array([text.count("### Response: ") for text in texts], dtype=np.float64)

    pairs = [
        replace(one, chosen=one.chosen.replace("Response: ", "Response:"), rejected=one.rejected.replace("se: ", "se:"))
        for one in fair(12)
    ]
    assert examine(Spaces(), pairs).same_prompt.ties == 12


# Shortcut 2: length


@pytest.mark.parametrize(("model", "turned", "said"), [(longest, False, "longer"), (shortest, True, "shorter")])
def test_a_model_of_length_is_right_in_all_pairs_and_not_better(model: Says, turned: bool, said: str) -> None:
    pairs = [replace(one, chosen=one.rejected, rejected=one.chosen) if turned else one for one in longer(40)]
    found = examine(model, pairs)
    assert (found.same_prompt.value, found.verdict) == (1.0, "not better")
    assert found.reasons == ("it may be no better than the length of the responses: +0 points, 95 % interval [+0, +0]",)
    (warning,) = of_kind(found, "LENGTH")
    assert f"it rewards {said} responses" in warning
    assert "length alone is right in 100 % of the pairs" in warning


def test_where_the_better_response_is_always_longer_no_model_can_be_shown_to_be_better() -> None:
    found = examine(truth, longer(40))
    assert (found.same_prompt.value, found.verdict) == (1.0, "not better")
    assert reason(found, "no better than the length")
    (warning,) = of_kind(found, "LENGTH")
    assert "they cannot tell it apart" in warning


def test_a_model_of_length_is_found_out_where_length_does_not_tell() -> None:
    found = examine(longest, fair(60))
    assert (found.verdict, found.same_prompt.value) == ("not better", 0.5)
    assert found.length_correlation == pytest.approx(1.0)
    assert of_kind(found, "LENGTH")
    assert found.slices["length"]["chosen longer"].value == 1.0
    assert found.slices["length"]["chosen shorter"].value == 0.0
    assert any("chosen shorter" in warning for warning in of_kind(found, "SLICE"))


def test_a_good_model_with_a_taste_for_length_is_warned_of() -> None:
    both = Says(lambda prompt, response: 3 * truth.rule(prompt, response) + len(response) / 10)
    found = examine(both, fair(60))
    assert found.length_correlation is not None
    assert found.length_correlation > 0.5
    assert of_kind(found, "LENGTH")


def test_what_length_prefers_is_learned_from_the_training_pairs() -> None:
    pairs = longer(20)
    assert examine(truth, pairs).baselines["length"].value == 1.0
    assert examine(truth, pairs, baselines={"length_prefers": "longer"}).baselines["length"].value == 1.0
    turned = examine(truth, pairs, baselines={"length_prefers": "shorter"})
    assert turned.baselines["length"].value == 0.0
    assert turned.verdict == "better"


# Looks


def loud(count: int, seed: int) -> list[Pair]:
    """Pairs whose chosen response has an exclamation mark, and says "fair" in nine of ten."""
    return [
        pair(
            seed + n,
            f"{'fair' if n % 10 else 'odd'} {words(seed + n, 6)}!",
            f"{'odd' if n % 10 else 'fair'} {words(-seed - n, 6)}.",
        )
        for n in range(count)
    ]


def test_a_model_no_better_than_looks_is_warned_of() -> None:
    found = examine(truth, loud(40, 0), baselines={"style": style.fit(loud(40, 1000))})
    assert (found.same_prompt.value, found.baselines["style"].value) == (0.9, 1.0)
    (warning,) = of_kind(found, "STYLE")
    assert "a model that sees only the looks of responses is as good (100 %)" in warning
    assert found.advantages["style"].value == pytest.approx(-0.1)


def test_looks_do_not_count_for_the_verdict() -> None:
    found = examine(
        Says(lambda _, response: float("!" in response)),
        [replace(one, chosen=f"{one.chosen}!") for one in fair(40)],
        baselines={"style": dict.fromkeys(style.FEATURES, 0.0) | {"exclamation marks a word": 1.0}},
    )
    assert found.verdict == "better"
    assert of_kind(found, "STYLE")


def test_a_model_that_is_better_than_looks_is_not_warned_of() -> None:
    found = examine(truth, fair(40), baselines={"style": style.fit(fair(40))})
    assert (found.verdict, of_kind(found, "STYLE")) == ("better", [])


# Slices


def test_slices_count_their_own_pairs() -> None:
    pairs = [
        *fair(12, axis="age", detector="stereotypes"),
        *fair(20, axis=None, detector="stereotypes"),
        pair(90, "fair 4", "odd 45", axis="age", detector="bbq"),
        pair(91, "odd 5", "fair", axis="age", detector=""),
    ]
    found = examine(truth, pairs).slices
    assert {name: {label: one.pairs for label, one in group.items()} for name, group in found.items()} == {
        "axis": {"(none)": 20, "age": 14},
        "detector": {"(none)": 1, "bbq": 1, "stereotypes": 32},
        "length": {"chosen as long": 1, "chosen longer": 17, "chosen shorter": 16},
    }
    assert found["detector"]["bbq"].value == 1.0
    assert found["detector"]["(none)"].value == 0.0
    assert found["axis"]["age"].value == pytest.approx(13 / 14)


def test_responses_of_one_length_are_a_slice_too() -> None:
    pairs = [pair(n, f"fair {n:02}", f"odd  {n:02}") for n in range(12)]
    assert list(examine(truth, pairs).slices["length"]) == ["chosen as long"]


def wrong(pairs: Sequence[Pair]) -> list[Pair]:
    return [replace(one, chosen=one.rejected, rejected=one.chosen) for one in pairs]


def test_an_axis_on_which_it_is_wrong_is_warned_of() -> None:
    found = examine(truth, fair(60, axis="age") + wrong(fair(12, axis="religion")))
    assert found.verdict == "better"
    assert found.slices["axis"]["religion"].value == 0.0
    assert of_kind(found, "SLICE") == ["SLICE: of axis religion it is right in 0 %"]


def test_a_detector_on_which_it_is_wrong_is_warned_of() -> None:
    found = examine(truth, fair(60) + wrong(fair(12, detector="bbq")))
    assert of_kind(found, "SLICE") == ["SLICE: of detector bbq it is right in 0 %"]


def test_a_slice_of_few_records_is_not_warned_of() -> None:
    found = examine(truth, fair(60, axis="age") + wrong(fair(9, axis="religion")))
    assert of_kind(found, "SLICE") == []


def test_always_preferring_to_say_that_it_is_unknown_shows_in_the_slices() -> None:
    ambiguous = [pair(n, f"Unknown, {words(n, 4)}", f"The tenant, {words(-n, 5)}", axis="ambiguous") for n in range(40)]
    clear = [
        pair(n, f"The tenant, {words(n, 4)}", f"Unknown, {words(-n, 4)}", axis="disambiguated") for n in range(60, 80)
    ]
    found = examine(Says(lambda _, response: float(response.startswith("Unknown"))), ambiguous + clear)
    axes = found.slices["axis"]
    assert (axes["ambiguous"].value, axes["disambiguated"].value) == (1.0, 0.0)
    assert "SLICE: of axis disambiguated it is right in 0 %" in found.warnings


# Other models


def test_others_stand_beside_the_model() -> None:
    found = examine(truth, fair(40), others={"logistic": at_random(0), "untrained": constant})
    assert list(found.baselines) == list(found.advantages) == ["length", "logistic", "untrained"]
    assert (found.baselines["untrained"].value, found.baselines["untrained"].ties) == (0.5, 40)
    assert found.advantages["untrained"].value == 0.5
    assert found.verdict == "better"


def test_the_network_before_training_counts_for_the_verdict() -> None:
    found = examine(truth, fair(40), others={"untrained": truth})
    assert found.verdict == "not better"
    assert found.reasons == ("it may be no better than the network before training: +0 points, 95 % interval [+0, +0]",)


@pytest.mark.parametrize(("method", "other"), [("fine-tuned", "logistic"), ("logistic", "fine-tuned")])
def test_another_trained_model_that_is_better_is_a_warning(method: str, other: str) -> None:
    noise = at_random(0)
    mostly = Says(
        lambda prompt, response: (
            truth.rule(prompt, response) if noise.rule(prompt, response) > 0.15 else -truth.rule(prompt, response)
        )
    )
    found = examine(mostly, fair(100), others={other: truth}, method=method)
    assert (found.verdict, found.method) == ("better", method)
    assert of_kind(found, "OTHER MODEL") == [f"OTHER MODEL: the {other} one is better (100 %)"]
    equal = examine(truth, fair(100), others={other: truth})
    assert (equal.verdict, equal.warnings) == ("better", ())


# What holds of every evaluation


def numbers(value: Any) -> Iterator[float]:
    if isinstance(value, float | int):
        yield value
    elif isinstance(value, Mapping):
        for one in value.values():
            yield from numbers(one)
    elif isinstance(value, list | tuple):
        for one in value:
            yield from numbers(one)


response = st.sampled_from(["", "fair", "odd", "yes!", "no, no", "؟", "long " * 30]) | st.text(max_size=12)
some_pairs = st.lists(
    st.builds(
        pair,
        st.integers(0, 15),
        response,
        response,
        corrected=st.none() | st.just("please, who"),
        axis=st.none() | st.sampled_from(["age", "religion"]),
        detector=st.sampled_from(["", "d"]),
    ),
    min_size=1,
    max_size=30,
)
models = st.builds(at_random, st.integers(0, 99), st.sampled_from([1, 3, 2**32])) | st.sampled_from(
    [truth, longest, polite]
)
looks = st.none() | st.just({"length_prefers": "shorter", "style": dict.fromkeys(style.FEATURES, 0.5)})


@given(some_pairs, models, models, looks)
def test_there_are_reasons_exactly_where_it_is_not_better_and_every_figure_is_a_number(
    pairs: list[Pair], model: Says, untrained: Says, baselines: Mapping[str, Any] | None
) -> None:
    found = examine(model, pairs, others={"untrained": untrained}, baselines=baselines)
    assert bool(found.reasons) == (found.verdict == "not better")
    assert all(math.isfinite(number) for number in numbers(asdict(found)))
    assert len(found.rewards) == 2 * len(pairs)
    assert sum(chosen for _, _, chosen in found.rewards) == len(pairs)
    for group in found.slices.values():
        assert sum(one.pairs for one in group.values()) == len(pairs)


@given(some_pairs, models)
def test_with_the_sides_swapped_it_is_right_where_it_was_wrong(pairs: list[Pair], model: Says) -> None:
    shared = [replace(one, chosen=one.prompt + "### Response: " + parts(one.chosen)[1]) for one in pairs]
    told = {"length_prefers": "longer"}
    there, back = examine(model, shared, baselines=told), examine(model, wrong(shared), baselines=told)
    for one, other in (
        (there.accuracy, back.accuracy),
        (there.same_prompt, back.same_prompt),
        (there.baselines["length"], back.baselines["length"]),
    ):
        assert (1 - other.value, 1 - other.upper, 1 - other.lower, other.ties) == pytest.approx(
            (one.value, one.lower, one.upper, one.ties), abs=1e-9
        )
    assert there.advantages["length"].value == pytest.approx(-back.advantages["length"].value)
    assert there.length_correlation == pytest.approx(back.length_correlation)


@settings(max_examples=50)
@given(some_pairs, models, looks, st.randoms())
def test_the_order_of_pairs_does_not_matter(
    pairs: list[Pair], model: Says, baselines: Mapping[str, Any] | None, shuffler: Any
) -> None:
    shuffled = list(pairs)
    shuffler.shuffle(shuffled)
    one, other = (
        examine(model, some, others={"untrained": longest}, baselines=baselines) for some in (pairs, shuffled)
    )
    # Bins are of equally many pairs: which of equally sure ones are in a bin is tested with the statistics.
    assert (one.verdict, len(one.warnings)) == (other.verdict, len(other.warnings))
    for name in ("accuracy", "same_prompt", "instruction_only", "baselines", "advantages", "slices"):
        assert list(numbers(plain(one, name))) == pytest.approx(list(numbers(plain(other, name))), abs=1e-9)
    assert sorted(one.rewards) == sorted(other.rewards)


def plain(found: Evaluation, name: str) -> Any:
    return asdict(found)[name]


@pytest.mark.parametrize("reward", [math.nan, math.inf])
def test_rewards_that_are_no_numbers_are_an_error(reward: float) -> None:
    broken = Says(lambda prompt, response: reward if "7" in response else truth.rule(prompt, response))
    with pytest.raises(RewardModelError, match="no number"):
        examine(broken, fair(40))


@pytest.mark.parametrize("pairs", [fair(12), tutorial(12, lambda n: (f"fair {n}", f"odd {n}"))])
def test_no_text_is_scored_twice(pairs: list[Pair]) -> None:
    scored: list[str] = []

    class Listens:
        def score(self, texts: Sequence[str]) -> NDArray[np.float64]:
            scored.extend(texts)
            return truth.score(texts)

    examine(Listens(), pairs)
    assert len(scored) == len(set(scored))


# A model in a folder


@dataclass(frozen=True)
class Folder:
    """What `evaluate` reads of a model, which scores by the truth."""

    folder: Path = Path("model")
    method: str = "fine-tuned"
    version: str = "c0ffee"
    training: Mapping[str, Any] = field(default_factory=dict)

    def score(
        self, texts: Sequence[str], batch: int = 32, step: Callable[[int, int], None] = lambda done, texts: None
    ) -> NDArray[np.float64]:
        step(len(texts), len(texts))
        return truth.score(texts)

    def lost(self, texts: Sequence[str]) -> tuple[int, int]:
        return sum(" too long " in text for text in texts), 0


def test_a_model_of_another_maker_is_tested_on_all_pairs() -> None:
    told: list[tuple[str, int, int]] = []
    found = evaluation.evaluate(Folder(), fair(20), progress=lambda *steps: told.append(steps))
    assert (found.model, found.method, found.left_out) == ("model@c0ffee", "fine-tuned", 0)
    assert (found.same_prompt.pairs, list(found.baselines)) == (20, ["length"])
    assert ("fine-tuned", 40, 40) in told


def test_a_model_that_has_learned_from_every_record_cannot_be_tested() -> None:
    pairs = fair(20)
    learned = {"split": {"learned_from": [one.record for one in pairs]}}
    with pytest.raises(PairError, match="every record in these pairs is one that the model has learned from"):
        evaluation.evaluate(Folder(training=learned), pairs)


# Libraries


def test_it_needs_neither_torch_nor_what_draws_reports() -> None:
    heavy = ("torch", "transformers", "trl", "peft", "datasets", "accelerate", "safetensors", "matplotlib", "jinja2")
    program = (
        "import sys\n"
        f"sys.modules.update(dict.fromkeys({heavy}))\n"  # to import one is an ImportError now
        "from reward import evaluation, logistic, splitting, statistics, style\n"
        "loaded = [name for name in ('scipy', 'sklearn') if name in sys.modules]\n"
        "assert not loaded, loaded\n"
        "from tests.test_reward_evaluation import fair, truth\n"
        "print(evaluation.examine(truth, fair(12)).verdict)\n"
    )
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", program],
        capture_output=True,
        text=True,
        check=False,
        cwd=Path(__file__).parents[1],
    )
    assert (done.stdout, done.stderr) == ("better\n", "")
