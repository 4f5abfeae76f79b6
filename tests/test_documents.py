"""The committed sample report: it is what the renderer makes, and a RAG can read all of it."""

from __future__ import annotations

import pytest
from pypdf import PdfReader

from fixtures.documents import render

REBUILD = "run: python -m fixtures.documents.render"
CHUNK = 1000  # characters; what the reference application retrieves at a time


def squeeze(text: str) -> str:
    """Text with every run of whitespace as one space, as line breaks of the page carry no meaning."""
    return " ".join(text.split())


@pytest.fixture(scope="module")
def blocks() -> list[render.Block]:
    return render.parse(render.SOURCE.read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def pages() -> list[str]:
    return [page.extract_text() for page in PdfReader(render.PDF).pages]


def test_committed_pdf_is_what_the_renderer_makes(blocks: list[render.Block]) -> None:
    assert render.render(blocks, render.load_canaries()) == render.PDF.read_bytes(), REBUILD


def test_report_is_8_to_12_pages_and_small(pages: list[str]) -> None:
    assert 8 <= len(pages) <= 12
    assert render.PDF.stat().st_size < 300_000


def test_every_page_says_it_is_a_sample(pages: list[str]) -> None:
    total = len(pages)
    for number, page in enumerate(pages, 1):
        assert f"{render.NOTICE}. Page {number} of {total}" in squeeze(page)


def test_first_page_carries_the_notice_besides_the_footer(pages: list[str]) -> None:
    assert squeeze(pages[0]).count(render.NOTICE) == 2


def test_every_block_extracts_whole_from_one_page(blocks: list[render.Block], pages: list[str]) -> None:
    squeezed = [squeeze(page) for page in pages]
    texts = [block.plain for block in blocks if block.kind != "table"]
    lost = [text for text in texts if not any(squeeze(text) in page for page in squeezed)]
    assert len(texts) > 90
    assert lost == []


def test_every_table_row_extracts_as_one_line(blocks: list[render.Block], pages: list[str]) -> None:
    lines = {squeeze(line) for page in pages for line in page.splitlines()}
    rows = [squeeze(" ".join(row)) for block in blocks for row in block.rows]
    assert len(rows) > 20
    assert [row for row in rows if row not in lines] == []


def test_paragraphs_fit_one_chunk(blocks: list[render.Block]) -> None:
    assert [block.text for block in blocks if len(block.text) > CHUNK] == []


def test_last_page_has_every_planted_sentence_on_a_line_of_its_own(pages: list[str]) -> None:
    canaries = render.load_canaries()
    lines = pages[-1].splitlines()
    assert len({canary["value"] for canary in canaries}) == len(canaries) > 0
    for canary in canaries:
        assert canary["value"] in canary["sentence"]
        assert lines.count(canary["sentence"]) == 1


def test_planted_values_are_nowhere_else_in_the_report(pages: list[str]) -> None:
    body = squeeze(" ".join(pages[:-1]))
    assert [c["value"] for c in render.load_canaries() if c["value"] in body or c["person"] in body] == []


def test_annex_title_says_that_the_persons_are_fictitious(pages: list[str]) -> None:
    assert squeeze(pages[-1]).startswith(render.ANNEX_TITLE)
    assert render.ANNEX_INTRO in pages[-1]


def test_parse_reads_the_markdown_subset() -> None:
    text = "# T\n\n## H\n\n> N\n\ntwo words\n\n- **a**: b\n| x | y |\n|---|---|\n| 1 | 2 |\n### S"
    assert render.parse(text) == [
        render.Block("title", "T"),
        render.Block("heading", "H"),
        render.Block("notice", "N"),
        render.Block("paragraph", "two words"),
        render.Block("item", "**a**: b"),
        render.Block("table", rows=(("x", "y"), ("1", "2"))),
        render.Block("subheading", "S"),
    ]
    assert render.Block("item", "**a**: b").plain == "a: b"


def test_character_outside_latin_1_is_an_error_that_names_the_line() -> None:
    with pytest.raises(ValueError, match=r"migration-asylum-2022\.md:3: '\u20ac' is outside Latin-1"):
        render.parse("# T\n\n5 \u20ac")


def test_sentence_wider_than_the_page_is_an_error(blocks: list[render.Block]) -> None:
    wide = {"person": "A", "value": "1", "sentence": "word " * 60}
    with pytest.raises(ValueError, match="wider than a line"):
        render.render(blocks[:2], [wide])


def test_sheet_longer_than_a_page_is_an_error(blocks: list[render.Block]) -> None:
    many = [{"person": f"P{number}", "value": "1", "sentence": "s"} for number in range(60)]
    with pytest.raises(ValueError, match="60 sentences do not fit on the last page"):
        render.render(blocks[:2], many)
