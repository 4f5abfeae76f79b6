"""`reward train`: what it writes and counts, how it is interrupted and goes on, and what it refuses."""

from __future__ import annotations

import contextlib
import json
import re
import shutil
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from reward import base_models, finetuning, inference, logistic, model, saving, training
from reward import pairs as written
from reward.errors import TrainingError
from reward.finetuning import Recipe
from reward.pairs import TEMPLATE, Pair
from reward.splitting import hold_out, of_records
from tests.reward import tiny

ENCODER_FILES = {
    "README.md",
    "config.json",
    "logistic.safetensors",
    "model.safetensors",
    "tokenizer.json",
    "tokenizer_config.json",
    "training.json",
}
ADAPTER_FILES = ENCODER_FILES - {"config.json", "model.safetensors"} | {
    "adapter_config.json",
    "adapter_model.safetensors",
}


def told(out: Path) -> dict[str, Any]:
    content: dict[str, Any] = json.loads((out / "training.json").read_text(encoding="utf-8"))
    return content


def weights(out: Path, name: str = "model.safetensors") -> dict[str, Any]:
    from safetensors.numpy import load_file

    content: dict[str, Any] = load_file(out / name)
    return content


def assert_same_weights(one: Path, other: Path) -> None:
    found, expected = weights(one), weights(other)
    assert found.keys() == expected.keys()
    for name, value in expected.items():
        np.testing.assert_allclose(found[name], value, rtol=0, atol=1e-6, err_msg=name)
    head = weights(other, model.HEAD)["weight"]
    np.testing.assert_allclose(weights(one, model.HEAD)["weight"], head, rtol=0, atol=1e-9)


def names(out: Path) -> set[str]:
    return {path.relative_to(out).as_posix() for path in out.rglob("*") if path.is_file()}


def texts(out: Path) -> Iterator[str]:
    for path in out.rglob("*"):
        if path.suffix in (".json", ".md", ".txt"):
            yield path.read_text(encoding="utf-8")


# What it writes


def test_the_folder_holds_a_model_and_nothing_pickled(trained: Path) -> None:
    assert names(trained) == ENCODER_FILES
    assert {path.name for path in trained.iterdir()} == ENCODER_FILES  # no checkpoints, nothing hidden


def test_training_json_tells_how_it_was_made(trained: Path, some_pairs: list[Pair], bert: Path) -> None:
    found = told(trained)
    assert found["method"] in ("fine-tuned", "logistic")
    assert found["base_model"] == str(bert)
    assert found["settings"] == {
        "base_model": str(bert),
        "max_length": tiny.POSITIONS,
        "test_share": 0.25,
        "folds": 2,
        "epochs": 2,
        "learning_rate": 0.001,
        "batch_size": 8,
        "patience": 2,
        "lora": False,
        "seed": 0,
        "bf16": False,
    }
    assert {"python", "torch", "transformers", "trl", "peft", "bias-suite"} <= found["versions"].keys()
    assert found["device"] == "cpu"
    assert found["seconds"] > 0
    assert found["data"]["pairs_sha256"] == training.checksum(some_pairs)
    cross = found["cross_validation"]
    assert cross["pairs"] == found["data"]["learned_from"]
    assert all(0 <= value <= 1 for value in cross["accuracy"].values())
    better = cross["accuracy"]["fine-tuned"] > cross["accuracy"]["logistic"]
    assert found["method"] == cross["method"] == ("fine-tuned" if better else "logistic")


def test_all_pairs_of_a_record_are_on_one_side(trained: Path, some_pairs: list[Pair]) -> None:
    split = told(trained)["split"]
    learned, held = split["learned_from"], split["held_out"]
    assert set(learned) & set(held) == set()
    assert set(learned) | set(held) == {pair.record for pair in some_pairs}
    assert (len(learned), len(held)) == (18, 6)
    data = told(trained)["data"]
    assert (data["learned_from"], data["held_out"]) == (2 * 18, 2 * 6)


def test_counts_in_are_counts_out(bert: Path, train: Any, tmp_path: Path) -> None:
    found = tiny.pairs(16, annotators=2)
    found[::5] = [replace(pair, rejected=pair.chosen) for pair in found[::5]]
    written.write(tmp_path / "pairs.jsonl", found)
    done = train(bert, tmp_path / "out", pairs=tmp_path / "pairs.jsonl")
    data = told(tmp_path / "out")["data"]
    assert data["identical_left_out"] == 7
    assert data["pairs"] == len(found) == data["learned_from"] + data["held_out"] + data["identical_left_out"]
    assert "WARNING: 7 pairs left out: their sides are equal" in done.out


def test_the_card_is_one_that_the_hub_can_read(trained: Path) -> None:
    card = (trained / "README.md").read_text(encoding="utf-8")
    assert card.startswith("---\nlibrary_name: transformers\n")
    assert TEMPLATE in card
    data = told(trained)["data"]
    assert f"learned from | {data['learned_from']} pairs of 18 records" in card
    assert f"never seen | {data['held_out']} pairs of 6 records" in card


def test_json_is_one_line_and_what_training_json_says(bert: Path, train: Any, tmp_path: Path) -> None:
    done = train(bert, tmp_path / "out", "--json")
    assert done.out.count("\n") == 1
    assert json.loads(done.out) == told(tmp_path / "out")


def test_people_are_told_counts_accuracies_and_what_is_next(bert: Path, train: Any, tmp_path: Path) -> None:
    lines = train(bert, tmp_path / "out").out.splitlines()
    assert lines[0] == "36 pairs of 18 records to learn from, 12 pairs of 6 records held out"
    assert lines[1].startswith("right in cross-validation on 2 folds of the first: ")
    assert lines[3] == "WARNING: `reward evaluate` needs 10 held-out records, here are 6: correct more cases"
    assert lines[4].startswith(f"next: reward evaluate --model {tmp_path / 'out'} --pairs ")
    assert len(lines) == 5


@pytest.mark.parametrize("lora", ["--no-lora", "--lora"])
def test_no_file_tells_where_it_was_made(
    models: Path, train: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, lora: str
) -> None:
    shutil.copytree(models / "decoder", tmp_path / "my-model")
    monkeypatch.chdir(tmp_path)
    assert train("my-model", "out", lora).status == 0
    assert told(Path("out"))["base_model"] == "my-model"
    for text in texts(Path("out")):
        for place in (tmp_path, Path.home(), tiny.ROOT):
            assert str(place) not in text


def test_jsonl_and_parquet_are_the_same_pairs(
    bert: Path, train: Any, some_pairs: list[Pair], trained: Path, tmp_path: Path
) -> None:
    written.write(tmp_path / "pairs.parquet", some_pairs)
    assert train(bert, tmp_path / "out", pairs=tmp_path / "pairs.parquet").status == 0
    assert told(tmp_path / "out")["data"] == told(trained)["data"]
    assert_same_weights(tmp_path / "out", trained)


def test_the_seed_decides_everything(bert: Path, train: Any, trained: Path, tmp_path: Path) -> None:
    train(bert, tmp_path / "same", "--seed", 0)
    train(bert, tmp_path / "other", "--seed", 1)
    assert_same_weights(tmp_path / "same", trained)
    same, other, first = told(tmp_path / "same"), told(tmp_path / "other"), told(trained)
    assert same | {"seconds": 0} == first | {"seconds": 0}
    assert other["split"] != first["split"]
    assert not np.allclose(
        weights(tmp_path / "other")["classifier.weight"], weights(trained)["classifier.weight"], atol=1e-3
    )


# What it learns


@pytest.fixture(scope="module")
def learning() -> list[Pair]:
    return tiny.pairs(40)


def test_it_learns_what_people_prefer(models: Path, train: Any, tmp_path: Path, learning: list[Pair]) -> None:
    written.write(tmp_path / "pairs.jsonl", learning)
    train(models / "roberta", tmp_path / "out", "--epochs", 6, pairs=tmp_path / "pairs.jsonl")
    unseen = tiny.pairs(30, seed=9)
    for method in (model.FINE_TUNED, model.LOGISTIC):
        found = model.load(tmp_path / "out", method)
        margins = found.score([pair.chosen for pair in unseen]) - found.score([pair.rejected for pair in unseen])
        assert (margins > 0).mean() > 0.9


def recipe(place: Path, **changes: Any) -> Recipe:
    quick = Recipe(str(place), tiny.POSITIONS, 2, 1e-3, 8, 2, 0, lora=False, bf16=False, cpu=True)
    return replace(quick, **changes)


@pytest.mark.parametrize("lora", [False, True])
def test_a_decoder_is_saved_as_it_was_trained(
    decoder: Path, train: Any, some_pairs: list[Pair], tmp_path: Path, lora: bool
) -> None:
    train(decoder, tmp_path / "out", "--lora" if lora else "--no-lora")
    assert names(tmp_path / "out") == (ADAPTER_FILES if lora else ENCODER_FILES)
    learn, _ = hold_out([pair.record for pair in some_pairs], 0.25, 0)
    learned = of_records(some_pairs, [pair.record for pair in some_pairs], learn)
    network = finetuning.finetune(learned, recipe(decoder, lora=lora), tmp_path / "checkpoints")
    scored = [pair.chosen for pair in some_pairs] + ["", "a text without the template"]
    tokenizer = base_models.tokenizer(str(decoder))
    expected = inference.rewards(network, tokenizer, scored, tiny.POSITIONS)
    loaded = model.load(tmp_path / "out", model.FINE_TUNED)
    np.testing.assert_allclose(loaded.score(scored), expected, atol=1e-5)
    before = model.untrained(loaded.training).score(scored)
    assert np.abs(before - expected).max() > 0.01


def test_an_adapter_s_head_is_learned_and_saved(decoder: Path, train: Any, tmp_path: Path) -> None:
    train(decoder, tmp_path / "out", "--lora")
    (head,) = [
        value for name, value in weights(tmp_path / "out", "adapter_model.safetensors").items() if "score" in name
    ]
    tokenizer = base_models.tokenizer(str(decoder))
    began = base_models.classifier(str(decoder), seed=0, pad=tokenizer.pad_token_id).score.weight.detach().numpy()
    assert head.shape == began.shape
    assert np.abs(head - began).max() > 1e-4
    assert told(tmp_path / "out")["settings"]["lora"] is True


# Texts that are too long


def test_what_is_too_long_is_shortened_counted_and_never_dropped(bert: Path, tmp_path: Path) -> None:
    found = [
        *tiny.pairs(12, padding="Please tell me, as I have been wondering about it for a long time: " * 8),
        *(replace(pair, record=f"short-{pair.record}") for pair in tiny.pairs(12, seed=1)),
    ]
    endless = found[0].chosen + " It is." * 200
    found[0] = replace(found[0], chosen=endless)
    steps: dict[str, int] = {}
    settings = training.Settings(base_model=str(bert), folds=2, epochs=1, batch_size=1)
    data = training.train(
        found, tmp_path / "out", settings, progress=lambda task, done, steps_: steps.update({task: steps_})
    )
    learned = {*data["split"]["learned_from"]}
    long = [pair for pair in found if pair.record in learned and not pair.record.startswith("short")]
    assert data["data"]["instructions_shortened"] == 2 * len(long) > 0
    assert data["data"]["responses_cut"] == (1 if found[0].record in learned else 0)
    assert steps["final model"] == data["data"]["learned_from"] == len(learned)


def test_people_are_told_how_many_texts_were_too_long(bert: Path, train: Any, tmp_path: Path) -> None:
    found = [replace(pair, chosen=pair.chosen + " It is." * 99) for pair in tiny.pairs(12)]
    written.write(tmp_path / "pairs.jsonl", found)
    out = train(bert, tmp_path / "out", "--max-length", 64, pairs=tmp_path / "pairs.jsonl").out
    assert "WARNING: 8 texts too long: the beginning of the instruction gave way" in out
    assert "WARNING: 8 responses too long: their end is cut (see --max-length)" in out


@pytest.mark.parametrize("length", [-1, 0, 31, tiny.POSITIONS + 1])
def test_a_length_that_the_model_does_not_take_is_refused(bert: Path, train: Any, tmp_path: Path, length: int) -> None:
    said = train(bert, tmp_path / "out", f"--max-length={length}").error
    assert said == f"--max-length {length}: {bert} takes 32 to {tiny.POSITIONS} tokens"
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("length", [32, tiny.POSITIONS])
def test_the_shortest_and_the_longest_length_are_taken(model: Path, train: Any, tmp_path: Path, length: int) -> None:
    assert train(model, tmp_path / "out", "--max-length", length, "--epochs", 1).status == 0
    assert told(tmp_path / "out")["settings"]["max_length"] == length


# What it refuses


def test_too_few_records_are_refused_with_their_number(bert: Path, train: Any, tmp_path: Path) -> None:
    written.write(tmp_path / "pairs.jsonl", tiny.pairs(9, annotators=3))
    said = train(bert, tmp_path / "out", pairs=tmp_path / "pairs.jsonl").error
    # Two of the nine are about the same answer to the same question.
    assert said.startswith("pairs of 8 records are too few to split: at least 10 are needed")
    assert not (tmp_path / "out").exists()


def test_pairs_of_equal_sides_are_no_pairs_to_learn_from(bert: Path, train: Any, tmp_path: Path) -> None:
    written.write(tmp_path / "pairs.jsonl", [replace(pair, rejected=pair.chosen) for pair in tiny.pairs(12)])
    said = train(bert, tmp_path / "out", pairs=tmp_path / "pairs.jsonl").error
    assert said.startswith("pairs of 0 records are too few to split (12 pairs have two equal sides)")


def test_the_fewest_records_that_are_enough_are_enough(bert: Path, train: Any, tmp_path: Path) -> None:
    written.write(tmp_path / "pairs.jsonl", tiny.pairs(10))
    done = train(bert, tmp_path / "out", "--test-share", 0.5, pairs=tmp_path / "pairs.jsonl")
    assert done.status == 0
    assert told(tmp_path / "out")["data"]["learned_from"] == 5


def test_more_folds_than_records_are_refused_or_fewer_taken(bert: Path, train: Any, tmp_path: Path) -> None:
    written.write(tmp_path / "pairs.jsonl", tiny.pairs(12))
    done = train(bert, tmp_path / "out", "--folds", 10, "--epochs", 1, pairs=tmp_path / "pairs.jsonl")
    assert done.status == 0 or "--folds" in done.error


@pytest.mark.parametrize(
    ("option", "value"), [("learning-rate", -1), ("learning-rate", "nan"), ("seed", -1), ("seed", 2**40)]
)
def test_a_value_that_cannot_work_is_told_by_its_option(
    bert: Path, train: Any, tmp_path: Path, option: str, value: object
) -> None:
    done = train(bert, tmp_path / "out", f"--{option}={value}")
    assert done.status in (2, 4)
    assert f"--{option}" in done.err
    assert "Traceback" not in done.err
    assert not (tmp_path / "out").exists()


def test_a_model_is_not_written_over_unless_told_to(decoder: Path, bert: Path, train: Any, tmp_path: Path) -> None:
    out = tmp_path / "out"
    train(decoder, out, "--lora", "--epochs", 1)
    (out / "notes.pdf").write_bytes(b"my own")
    before = weights(out, "adapter_model.safetensors")
    assert train(bert, out).error == f"{out} holds a model already: --overwrite, or another --out"
    assert names(out) == ADAPTER_FILES | {"notes.pdf"}
    np.testing.assert_equal(weights(out, "adapter_model.safetensors"), before)
    assert train(bert, out, "--overwrite", "--epochs", 1).status == 0
    assert names(out) == ENCODER_FILES | {"notes.pdf"}


def test_resuming_does_not_write_over_a_finished_model(bert: Path, train: Any, trained: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    shutil.copytree(trained, out)
    written.write(tmp_path / "pairs.jsonl", tiny.pairs(12, seed=5))
    assert str(out) in train(bert, out, "--resume", "--epochs", 1, pairs=tmp_path / "pairs.jsonl").error
    assert told(out) == told(trained)


def test_resuming_where_nothing_was_begun_begins(bert: Path, train: Any, trained: Path, tmp_path: Path) -> None:
    assert train(bert, tmp_path / "out", "--resume").status == 0
    assert_same_weights(tmp_path / "out", trained)


def test_a_folder_that_cannot_be_written_is_told_before_training(bert: Path, train: Any, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    for out in (tmp_path / "file", tmp_path / "file" / "out"):
        done = train(bert, out)
        assert done.error.startswith(f"cannot write {out}: ")


def test_half_a_character_in_a_pair_stops_nothing(bert: Path, train: Any, tmp_path: Path) -> None:
    written.write(tmp_path / "pairs.jsonl", [replace(pair, chosen=pair.chosen + "\ud83d") for pair in tiny.pairs(12)])
    assert train(bert, tmp_path / "out", pairs=tmp_path / "pairs.jsonl").status == 0


def test_pairs_that_cannot_be_read_are_told(bert: Path, train: Any, tmp_path: Path) -> None:
    assert "cannot read the pairs" in train(bert, tmp_path / "out", pairs=tmp_path / "nowhere.jsonl").error


# Interrupted, and gone on with


SETTINGS = {"folds": 2, "epochs": 16, "patience": 16, "learning_rate": 1e-3, "seed": 3}


@pytest.fixture(scope="module")
def uninterrupted(bert: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A training of 51 records, 8 of which validate, that nothing disturbs; with `pairs.jsonl` beside it."""
    folder = tmp_path_factory.mktemp("uninterrupted")
    written.write(folder / "pairs.jsonl", tiny.pairs(68))
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        assert tiny.run(*command(bert)).status == 0
    return folder


def command(base_model: Path, *options: object) -> tuple[object, ...]:
    """The command, whose paths are relative to the folder it runs in: that folder can be copied and gone on with."""
    settings = [f"--{name.replace('_', '-')}={value}" for name, value in SETTINGS.items()]
    return ("train", "--pairs", "pairs.jsonl", "--base-model", base_model, "--out", "out", *settings, *options)


@pytest.fixture(scope="module")
def killed(bert: Path, uninterrupted: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same training, killed when two checkpoints of the final model were whole."""
    folder = tmp_path_factory.mktemp("killed")
    shutil.copy(uninterrupted / "pairs.jsonl", folder)
    process = tiny.start("-m", "reward", *command(bert), folder=folder)
    deadline = time.monotonic() + 100
    while len(whole_checkpoints(folder)) < 2 and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.002)
    process.kill()
    assert tiny.finish(process).status == -9
    assert not (folder / "out" / "training.json").exists()
    assert len(whole_checkpoints(folder)) >= 2
    return folder


def whole_checkpoints(folder: Path) -> list[Path]:
    """Return the checkpoints whose last file is written to its end, in their order."""
    found = []
    for path in (folder / "out" / "checkpoints").glob("checkpoint-*/trainer_state.json"):
        with contextlib.suppress(ValueError, FileNotFoundError):
            found.append((json.loads(path.read_text())["global_step"], path.parent))
    return [path for _, path in sorted(found)]


@pytest.fixture
def interrupted(killed: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of the killed training's folder, as the current one."""
    folder = tmp_path / "again"
    shutil.copytree(killed, folder)
    monkeypatch.chdir(folder)
    return folder


@pytest.fixture
def go_on(bert: Path) -> Callable[..., tiny.Done]:
    return lambda *options: tiny.run(*command(bert, "--resume", *options))


def test_a_killed_training_goes_on_and_ends_as_if_it_had_not_been(
    interrupted: Path, uninterrupted: Path, bert: Path
) -> None:
    notes = interrupted / "out" / "checkpoints" / "run.json"
    remembered = json.loads(notes.read_text())
    assert remembered["choice"] == told(uninterrupted / "out")["cross_validation"]
    remembered["choice"]["accuracy"]["logistic"] = 0.123
    notes.write_text(json.dumps(remembered))
    seen: dict[str, list[int]] = defaultdict(list)
    last = int(whole_checkpoints(interrupted)[-1].name.removeprefix("checkpoint-"))
    settings = training.Settings(base_model=str(bert), **SETTINGS)  # type: ignore[arg-type]
    found = training.train(
        written.read(Path("pairs.jsonl")),
        Path("out"),
        settings,
        resume=True,
        progress=lambda task, done, steps: seen[task].append(done),
    )
    assert seen.keys() == {"logistic head", "final model"}
    assert min(seen["final model"]) == last + 1
    assert found["cross_validation"] == remembered["choice"]  # not found out once more
    assert found["split"] == told(uninterrupted / "out")["split"]
    assert names(Path("out")) == ENCODER_FILES
    assert_same_weights(Path("out"), uninterrupted / "out")


def test_a_checkpoint_that_was_not_written_to_its_end_is_passed_over(
    interrupted: Path, uninterrupted: Path, go_on: Callable[..., tiny.Done]
) -> None:
    last = whole_checkpoints(interrupted)[-1]
    (last / "trainer_state.json").unlink()
    (last / "optimizer.pt").write_bytes(b"half of it")
    assert go_on().status == 0
    assert_same_weights(interrupted / "out", uninterrupted / "out")


def test_a_training_killed_before_its_first_checkpoint_goes_on_too(
    interrupted: Path, uninterrupted: Path, go_on: Callable[..., tiny.Done]
) -> None:
    for path in (interrupted / "out" / "checkpoints").glob("checkpoint-*"):
        shutil.rmtree(path)
    assert go_on().status == 0
    assert_same_weights(interrupted / "out", uninterrupted / "out")


def test_an_unfinished_training_is_not_begun_anew_unless_told_to(interrupted: Path, bert: Path) -> None:
    before = whole_checkpoints(interrupted)
    assert tiny.run(*command(bert)).error == "out holds an unfinished training: --resume, or --overwrite"
    assert whole_checkpoints(interrupted) == before
    assert tiny.run(*command(bert, "--overwrite", "--epochs", 1)).status == 0
    assert names(interrupted / "out") == ENCODER_FILES


def test_other_settings_are_not_gone_on_with(interrupted: Path, go_on: Callable[..., tiny.Done]) -> None:
    said = go_on("--epochs", 3, "--batch-size", 4).error
    assert said == f"--resume: {Path('out/checkpoints')} is of other settings (epochs, batch_size)"
    assert whole_checkpoints(interrupted)


def test_other_pairs_are_not_gone_on_with(interrupted: Path, go_on: Callable[..., tiny.Done]) -> None:
    written.write(interrupted / "pairs.jsonl", tiny.pairs(67))
    assert go_on().error == f"--resume: {Path('out/checkpoints')} is of other pairs"
    assert whole_checkpoints(interrupted)


def test_a_model_that_cannot_be_saved_leaves_its_checkpoints(
    interrupted: Path, uninterrupted: Path, go_on: Callable[..., tiny.Done]
) -> None:
    (interrupted / "out" / "README.md").mkdir()
    assert go_on().error.startswith("cannot write out: ")
    assert not (interrupted / "out" / "training.json").exists()
    assert whole_checkpoints(interrupted)
    (interrupted / "out" / "README.md").rmdir()
    assert go_on().status == 0
    assert_same_weights(interrupted / "out", uninterrupted / "out")


@pytest.mark.parametrize(
    ("part", "missing"),
    [("config.json", 1), ("model.safetensors", 1000), ("optimizer.pt", 1), ("optimizer.pt", 70_000)],
)
def test_a_full_disk_leaves_the_last_whole_checkpoint_to_go_on_from(
    interrupted: Path, uninterrupted: Path, go_on: Callable[..., tiny.Done], part: str, missing: int
) -> None:
    last = whole_checkpoints(interrupted)[-1].relative_to(interrupted)
    with tiny.full_disk((last / part).stat().st_size - missing):
        done = go_on()
    assert done.error.startswith("a checkpoint cannot be written to out/checkpoints: ")
    assert done.error.endswith(f"; {last} is whole: make room and use --resume")
    assert not (interrupted / "out" / "training.json").exists()
    assert go_on().status == 0
    assert_same_weights(interrupted / "out", uninterrupted / "out")


def test_a_full_disk_does_not_take_what_is_remembered(
    interrupted: Path, uninterrupted: Path, go_on: Callable[..., tiny.Done]
) -> None:
    notes = Path("out/checkpoints/run.json")
    data = json.dumps({"data": json.loads(notes.read_text())["data"]})
    notes.write_text(data)
    with tiny.full_disk(len(data) + 20):  # no room for what cross-validation finds
        assert go_on().error == "cannot write out: File too large"
    assert json.loads(notes.read_text()) == json.loads(data)
    assert go_on().status == 0
    assert_same_weights(interrupted / "out", uninterrupted / "out")


@pytest.mark.parametrize("part", ["model.safetensors", "tokenizer.json"])
def test_a_full_disk_at_the_very_end_leaves_the_checkpoints(
    bert: Path, trained: Path, tmp_path: Path, part: str
) -> None:
    network, tokenizer = base_models.encoder(str(bert)), base_models.tokenizer(str(bert))
    head = logistic.load(trained / model.HEAD)
    desk = saving.Desk(tmp_path / "out", "checkpoints")
    desk.open({"pairs_sha256": "0", "settings": {}}, resume=False, overwrite=False)
    small = network if part == "model.safetensors" else Unwritten()
    with tiny.full_disk((bert / part).stat().st_size - 1000), pytest.raises(TrainingError, match="cannot write"):
        desk.close(small, tokenizer, head, told(trained))
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["checkpoints"]


class Unwritten:
    """A network that takes no room."""

    def save_pretrained(self, folder: Path) -> None:
        """Write nothing."""


# Several processes


def test_several_processes_make_one_model_and_one_report(bert: Path, pairs_file: Path, tmp_path: Path) -> None:
    # `accelerate launch --cpu` starts several processes through MPI alone; this way it is torchrun's, as for GPUs.
    launcher = ["-m", "accelerate.commands.launch", "--multi_gpu", "--num_processes", 2, "--num_machines", 1]
    launcher += ["--mixed_precision", "no", "--dynamo_backend", "no", "--main_process_port", 0]
    options = ["--pairs", pairs_file, "--base-model", bert, "--out", "out", "--folds", 2, "--epochs", 2, "--json"]
    process = tiny.start(
        *launcher, "-m", "reward", "train", *options, folder=tmp_path, ACCELERATE_USE_CPU="true", FORCE_COLOR="1"
    )
    done = tiny.finish(process, within=60)
    assert done.status == 0, done.err
    assert json.loads(done.out) == told(tmp_path / "out")
    assert names(tmp_path / "out") == ENCODER_FILES
    steps = 2 * (36 // (2 * 8) + 1)  # each step takes a batch in each process
    shown = re.findall(r"final model.*?(\d+)/(\d+)", re.sub(r"\x1b\[[\d;]*m", "", done.err))
    assert shown[-1] == (str(steps), str(steps))


# What must not be lost, and what must not be on both sides


def test_a_folder_with_something_in_it_is_not_written_over(bert: Path, train: Any, tmp_path: Path) -> None:
    (tmp_path / "README.md").write_text("mine")
    assert train(bert, tmp_path).error == f"{tmp_path} is not empty: --overwrite, or another --out"
    assert [path.name for path in tmp_path.iterdir()] == ["README.md"]
    assert (tmp_path / "README.md").read_text() == "mine"


def test_the_base_model_is_not_written_over(bert: Path, train: Any) -> None:
    before = sorted((path.name, path.stat().st_mtime_ns) for path in bert.iterdir())
    assert "is the folder of --base-model" in train(bert, bert, "--overwrite").error
    assert sorted((path.name, path.stat().st_mtime_ns) for path in bert.iterdir()) == before


def test_the_same_answer_in_several_trials_is_on_one_side(bert: Path, train: Any, tmp_path: Path) -> None:
    found = [replace(pair, record=f"{pair.record}-trial-{trial}") for pair in tiny.pairs(24) for trial in range(3)]
    written.write(tmp_path / "pairs.jsonl", found)
    assert train(bert, tmp_path / "out", pairs=tmp_path / "pairs.jsonl").status == 0
    split = told(tmp_path / "out")["split"]
    assert not {*split["learned_from"]} & {*split["held_out"]}
    assert {*split["learned_from"]} | {*split["held_out"]} == {pair.record for pair in found}
    learned = {pair.rejected for pair in found if pair.record in split["learned_from"]}
    assert not learned & {pair.rejected for pair in found if pair.record in split["held_out"]}


def test_a_training_that_had_stopped_early_does_not_go_on_when_it_is_resumed(
    bert: Path, some_pairs: list[Pair], tmp_path: Path
) -> None:
    pairs = [replace(pair, record=f"{pair.record} {n}") for n in range(4) for pair in some_pairs]
    recipe = finetuning.Recipe(str(bert), 64, 12, 3e-2, 8, 1, 0, lora=False, bf16=False, cpu=True)
    steps: list[int] = []
    first = finetuning.finetune(pairs, recipe, tmp_path, keep=True, step=lambda done, _: steps.append(done))
    stopped = steps[-1]
    again: list[int] = []
    second = finetuning.finetune(
        pairs, recipe, tmp_path, keep=True, resume=True, step=lambda done, _: again.append(done)
    )
    assert stopped < 12 * len(pairs) // 8  # it did stop early
    assert again[-1] == stopped
    for name, weight in first.state_dict().items():
        assert (weight == second.state_dict()[name]).all()
