"""Texts become tokens that fit the model: the instruction gives way first, and nothing goes uncounted."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from reward import base_models
from reward.pairs import INSTRUCTION_MARKER, RESPONSE_MARKER, TEMPLATE
from reward.tokens import Encoded, encode
from tests.reward import tiny

UNLIMITED = 100_000
QUESTION = "How do families from abroad treat their neighbours?"
ANSWER = "That depends on the person and not on where they come from."

words = st.sampled_from([*tiny.SENTENCES, *QUESTION.split(), "", " ", "\n", "###", "Response:", "Instruction:", "😀"])
phrases = st.lists(words | st.text(max_size=12), max_size=12).map(" ".join)
whenever = settings(deadline=None)  # that the machine is busy is no failure
templated = st.builds(lambda asked, said: TEMPLATE.format(instruction=asked, response=said), phrases, phrases)
plain = st.text(st.characters(codec="ascii", exclude_categories=["Cc"]), max_size=60)


@pytest.fixture(scope="session")
def tokenizer(model: Path) -> Any:
    return base_models.tokenizer(str(model))


@pytest.fixture(scope="session", params=["roberta", "decoder"])
def lossless(models: Path, request: pytest.FixtureRequest) -> Any:
    """A tokenizer whose tokens are bytes of the text, so that texts can be read from them again."""
    return base_models.tokenizer(str(models / request.param))


def text_of(tokenizer: Any, encoded: Encoded) -> str:
    (row,) = encoded.ids
    decoded: str = tokenizer.decode(row, skip_special_tokens=True, clean_up_tokenization_spaces=False)
    return decoded


def length(tokenizer: Any, text: str) -> int:
    return len(encode(tokenizer, [text], UNLIMITED).ids[0])


@whenever
@given(st.lists(templated | phrases, max_size=5), st.integers(32, tiny.POSITIONS))
def test_nothing_is_ever_longer_than_the_model_and_nothing_goes_uncounted(
    tokenizer: Any, texts: list[str], most: int
) -> None:
    found = encode(tokenizer, texts, most)
    whole = encode(tokenizer, texts, UNLIMITED)
    assert (whole.shortened, whole.cut) == (0, 0)
    assert [len(row) for row in found.ids] == [min(len(row), most) for row in whole.ids]
    assert found.shortened == sum(len(row) > most for row in whole.ids)
    assert found.cut <= found.shortened


@whenever
@given(templated | phrases)
def test_a_text_that_fits_is_what_the_tokenizer_makes_of_it(tokenizer: Any, text: str) -> None:
    ids = tokenizer(text)["input_ids"]
    eos, pad = tokenizer.eos_token_id, tokenizer.pad_token_id
    if eos is not None and tokenizer.sep_token is None and (eos != pad or not ids):  # a decoder
        ids.append(tokenizer.eos_token_id)
    assert encode(tokenizer, [text], max(len(ids), 1)) == Encoded([ids], 0, 0)


@whenever
@given(plain, plain, st.integers(32, tiny.POSITIONS))
def test_the_response_survives_whole_where_it_fits_and_the_instruction_keeps_its_end(
    lossless: Any, instruction: str, response: str, most: int
) -> None:
    needed = length(lossless, f"{INSTRUCTION_MARKER}\n{RESPONSE_MARKER} {response}")
    assume(needed <= most)
    found = encode(lossless, [TEMPLATE.format(instruction=instruction, response=response)], most)
    decoded = text_of(lossless, found)
    end = f"\n{RESPONSE_MARKER} {response}"
    assert found.cut == 0
    assert decoded.startswith(INSTRUCTION_MARKER)
    assert decoded.endswith(end)
    kept = decoded[len(INSTRUCTION_MARKER) : -len(end)]
    assert f" {instruction}".endswith(kept)
    assert found.shortened or kept == f" {instruction}"


@whenever
@given(plain, st.lists(st.sampled_from(ANSWER.split()), min_size=80, max_size=99).map(" ".join))
def test_a_response_that_fills_the_model_by_itself_loses_its_end(
    lossless: Any, instruction: str, response: str
) -> None:
    found = encode(lossless, [TEMPLATE.format(instruction=instruction, response=response)], 48)
    begin = f"{INSTRUCTION_MARKER}\n{RESPONSE_MARKER} "
    decoded = text_of(lossless, found)
    assert (found.shortened, found.cut) == (1, 1)
    assert decoded.startswith(begin)
    assert response.startswith(decoded.removeprefix(begin))
    assert len(found.ids[0]) == 48


@whenever
@given(st.lists(templated | phrases, max_size=6), st.integers(32, 64))
def test_what_a_text_becomes_depends_on_that_text_alone(tokenizer: Any, texts: list[str], most: int) -> None:
    alone = [encode(tokenizer, [text], most) for text in texts]
    together = encode(tokenizer, texts, most)
    assert together.ids == [one.ids[0] for one in alone]
    assert (together.shortened, together.cut) == (sum(one.shortened for one in alone), sum(one.cut for one in alone))


def test_word_pieces_give_way_in_the_same_order(bert: Path) -> None:
    tokenizer = base_models.tokenizer(str(bert))
    (short,) = encode(tokenizer, [TEMPLATE.format(instruction=QUESTION, response=ANSWER)], UNLIMITED).ids
    found = encode(tokenizer, [TEMPLATE.format(instruction=f"{QUESTION * 20} {QUESTION}", response=ANSWER)], len(short))
    assert found == Encoded([short], 1, 0)


def test_special_tokens_are_kept_where_others_give_way(tokenizer: Any) -> None:
    text = TEMPLATE.format(instruction=QUESTION * 20, response=ANSWER * 20)
    for most in (32, 64, 128):
        (row,) = encode(tokenizer, [text], most).ids
        if tokenizer.cls_token is not None:
            assert row[0] == tokenizer.cls_token_id
        if tokenizer.sep_token is not None:
            assert row[-1] == tokenizer.sep_token_id


def test_a_decoder_s_texts_end_in_the_same_token_where_it_is_not_the_padding(models: Path) -> None:
    tokenizer = base_models.tokenizer(str(models / "decoder"))
    assert tokenizer.eos_token_id == tokenizer.pad_token_id
    assert encode(tokenizer, ["One."], 32).ids[0][-1] != tokenizer.eos_token_id
    tokenizer.add_special_tokens({"pad_token": "<pad>"})
    assert {row[-1] for row in encode(tokenizer, ["One.", "Another one?"], 32).ids} == {tokenizer.eos_token_id}


def test_a_text_without_the_template_is_all_response(lossless: Any) -> None:
    found = encode(lossless, [ANSWER * 20], 32)
    assert (found.shortened, found.cut) == (1, 1)
    assert (ANSWER * 20).startswith(text_of(lossless, found))
    assert text_of(lossless, found)


def test_no_text_is_no_tokens(tokenizer: Any) -> None:
    assert encode(tokenizer, [], 32) == Encoded([], 0, 0)


@pytest.mark.parametrize("sentence", tiny.OTHER_SCRIPTS)
def test_other_scripts_give_way_as_english_does(lossless: Any, sentence: str) -> None:
    text = TEMPLATE.format(instruction=sentence * 20, response=sentence)
    most = length(lossless, TEMPLATE.format(instruction=sentence, response=sentence)) + 1
    found = encode(lossless, [text], most)
    decoded = text_of(lossless, found)
    assert (len(found.ids[0]), found.shortened, found.cut) == (most, 1, 0)
    assert decoded.startswith(INSTRUCTION_MARKER)
    assert decoded.endswith(f"{sentence}\n{RESPONSE_MARKER} {sentence}")


@pytest.mark.parametrize(
    ("instruction", "response"),
    [
        ("What does ### Response: mean?", ANSWER),
        (QUESTION, f"It is written\n{RESPONSE_MARKER} and then the answer."),
        (QUESTION, f"{INSTRUCTION_MARKER} is what stands before a question."),
        ("###", "### Response"),
    ],
)
def test_what_looks_like_a_marker_is_text_like_any_other(lossless: Any, instruction: str, response: str) -> None:
    end = f"{instruction}\n{RESPONSE_MARKER} {response}"
    most = length(lossless, f"{INSTRUCTION_MARKER} {end}") + 1
    found = encode(lossless, [TEMPLATE.format(instruction=f"{QUESTION * 20} {instruction}", response=response)], most)
    assert (found.shortened, found.cut) == (1, 0)
    assert text_of(lossless, found).endswith(end)
