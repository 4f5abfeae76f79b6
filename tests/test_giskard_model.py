"""Giskard's wrapper: answers, and the round trip to disk without pickle."""

from __future__ import annotations

import importlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NoReturn

import pytest

from fixtures import rag
from fixtures.errors import IndexFormatError
from tests.openai_endpoint import ScriptedEndpoint, scripted_endpoint
from tests.small_pdf import write_pdf


@pytest.fixture(scope="module")
def wrapper() -> Any:
    """The module under test; not imported above, since collecting tests must not load Giskard."""
    return importlib.import_module("fixtures.giskard_model")


@pytest.fixture(scope="module")
def questions(wrapper: Any) -> Any:
    frame = importlib.import_module("pandas").DataFrame
    return frame({"question": ["Who applied for asylum?", "How many crossings were detected?"]}, dtype="object")


@pytest.fixture
def endpoint() -> Iterator[ScriptedEndpoint]:
    with scripted_endpoint() as script:
        yield script


@pytest.fixture
def model(wrapper: Any, endpoint: ScriptedEndpoint, tmp_path: Path) -> Any:
    document = write_pdf(
        tmp_path / "report.pdf",
        "The largest groups that applied for asylum were Syrians and Afghans. " * 5,
        "About 330,000 irregular crossings of the external borders were detected. " * 5,
    )
    chain = rag.embedded(
        document=str(document),
        base_url=endpoint.url,
        model="scripted",
        embedding_model="scripted-embedding",
        cache_dir=str(tmp_path / "cache"),
    )
    return wrapper.giskard_model(chain)


@pytest.fixture
def no_pickle(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever reads or writes a pickle fails."""

    def refuse(*_: Any, **__: Any) -> NoReturn:
        raise AssertionError("pickle was used")

    for name in ("pickle", "cloudpickle", "cloudpickle.cloudpickle"):
        module = importlib.import_module(name)
        for function in ("load", "loads", "dump", "dumps", "Pickler", "Unpickler"):
            monkeypatch.setattr(module, function, refuse, raising=False)


def test_the_wrapper_is_handed_out_by_the_module_of_the_factories(wrapper: Any) -> None:
    assert rag.FAISSRAGModel is wrapper.FAISSRAGModel
    assert rag.reference_dataset is wrapper.reference_dataset
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = rag.nothing


def test_questions_are_answered_in_order(model: Any, questions: Any, endpoint: ScriptedEndpoint) -> None:
    assert model.model_predict(questions) == ["A scripted answer."] * 2
    prompts = {body["messages"][0]["content"] for body in endpoint.bodies("/v1/chat/completions")}
    assert any("Syrians" in prompt and "Who applied for asylum?" in prompt for prompt in prompts)


def test_giskard_predicts_on_the_reference_questions(model: Any, wrapper: Any) -> None:
    dataset = rag.reference_dataset()

    assert dataset.df["question"].tolist() == list(wrapper.REFERENCE_QUESTIONS)
    assert len(set(wrapper.REFERENCE_QUESTIONS)) == 6
    assert list(model.predict(dataset).prediction) == ["A scripted answer."] * 6


def test_the_round_trip_gives_the_same_model_and_no_pickle(
    model: Any, questions: Any, tmp_path: Path, no_pickle: None
) -> None:
    model.save(tmp_path / "saved")
    loaded = rag.FAISSRAGModel.load(tmp_path / "saved")

    files = sorted(path.name for path in (tmp_path / "saved").iterdir())
    assert files == ["documents.json", "index.faiss", "manifest.json", "model.json"]
    assert loaded.model.version == model.model.version
    assert loaded.model.index.texts == model.model.index.texts
    assert (loaded.id, loaded.name, loaded.description) == (model.id, model.name, model.description)
    assert loaded.model_predict(questions) == model.model_predict(questions)
    for question in questions["question"]:
        assert loaded.model.invoke(question) == model.model.invoke(question)


def test_the_chain_alone_makes_the_round_trip_too(model: Any, tmp_path: Path, no_pickle: None) -> None:
    model.save_model(tmp_path / "chain")

    assert rag.FAISSRAGModel.load_model(tmp_path / "chain").version == model.model.version


def test_no_key_is_written(model: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-kept-out-of-files")

    model.save(tmp_path / "saved")

    assert not [path for path in (tmp_path / "saved").iterdir() if b"sk-kept-out-of-files" in path.read_bytes()]


@pytest.mark.parametrize("content", [None, "nonsense", "[]", "{}"])
def test_a_directory_without_a_model_is_one_clear_error(content: str | None, tmp_path: Path) -> None:
    if content is not None:
        (tmp_path / "model.json").write_text(content)

    with pytest.raises(IndexFormatError, match="no saved FAISSRAGModel in"):
        rag.FAISSRAGModel.load(tmp_path)


def test_giskard_takes_it_for_a_text_generation_model(model: Any) -> None:
    assert isinstance(model, importlib.import_module("giskard.models.base.model").BaseModel)
    assert model.is_text_generation
    assert model.feature_names == ["question"]
