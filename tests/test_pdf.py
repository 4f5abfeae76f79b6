"""The document of the reference application: fetched once, checked, read."""

from __future__ import annotations

import hashlib
import logging
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from fixtures import pdf
from fixtures.errors import DocumentError
from tests.small_pdf import write_pdf

TEXT = "About 4 million people were registered for temporary protection."


class Website:
    """A web server whose pages are a dict; `hits` counts what was asked for."""

    def __init__(self) -> None:
        self.pages: dict[str, bytes] = {}
        self.hits: list[str] = []
        self.url = ""


@pytest.fixture
def website() -> Iterator[Website]:
    site = Website()

    class Requests(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            site.hits.append(self.path)
            if self.path == "/moved.pdf":
                self.send_response(302)
                self.send_header("Location", "/report.pdf")
                self.end_headers()
            elif self.path in site.pages:
                self.send_response(200)
                self.end_headers()
                self.wfile.write(site.pages[self.path])
            else:
                self.send_error(404)

        def log_message(self, *args: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Requests)
    site.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield site
    server.shutdown()
    server.server_close()
    thread.join()


def test_reading_gives_one_document_a_page_named_without_directory(tmp_path: Path) -> None:
    pages = pdf.read(write_pdf(tmp_path / "report.pdf", TEXT, "Second page."))

    assert [page.page_content.strip() for page in pages] == [TEXT, "Second page."]
    assert {page.metadata["source"] for page in pages} == {"report.pdf"}


def test_a_missing_file_is_one_clear_error(tmp_path: Path) -> None:
    with pytest.raises(DocumentError, match=r"cannot read the document .*nowhere\.pdf: No such file"):
        pdf.read(tmp_path / "nowhere.pdf")


def test_a_file_that_is_no_pdf_is_one_clear_error(tmp_path: Path) -> None:
    path = tmp_path / "page.pdf"
    path.write_text("<!DOCTYPE html><title>Not found</title>")

    with pytest.raises(DocumentError, match=r"page\.pdf is not a PDF: it begins with b'<!DOCTYPE html>"):
        pdf.read(path)


@pytest.mark.parametrize("rest", [b"", b"1.7\nnonsense", b"1.7\n1 0 obj\n<<>>\nendobj\nstartxref\n9\n%%EOF\n"])
def test_a_damaged_pdf_is_one_clear_error(tmp_path: Path, rest: bytes) -> None:
    path = tmp_path / "cut.pdf"
    path.write_bytes(b"%PDF-" + rest)

    with pytest.raises(DocumentError, match=r"cut\.pdf is a damaged PDF .*fetch it again, or repair it"):
        pdf.read(path)


@pytest.mark.parametrize("share", [0.3, 0.6, 0.9])
def test_a_pdf_cut_short_never_gives_a_traceback_of_the_reader(tmp_path: Path, share: float) -> None:
    whole = write_pdf(tmp_path / "whole.pdf", TEXT, TEXT).read_bytes()
    path = tmp_path / "cut.pdf"
    path.write_bytes(whole[: int(len(whole) * share)])

    with pytest.raises(DocumentError, match=r"cut\.pdf"):
        pdf.read(path)


def test_an_encrypted_pdf_is_one_clear_error(tmp_path: Path) -> None:
    path = write_pdf(tmp_path / "secret.pdf", TEXT, password="secret")

    with pytest.raises(DocumentError, match=r"secret\.pdf is encrypted: save it without a password"):
        pdf.read(path)


def test_a_pdf_that_only_restricts_what_may_be_done_with_it_is_read(tmp_path: Path) -> None:
    path = write_pdf(tmp_path / "restricted.pdf", TEXT, password="")

    assert pdf.read(path)[0].page_content.strip() == TEXT


def test_a_pdf_without_text_is_one_clear_error(tmp_path: Path) -> None:
    path = write_pdf(tmp_path / "scan.pdf", "", "")

    with pytest.raises(DocumentError, match=r"scan\.pdf has no text in its 2 pages: run text recognition"):
        pdf.read(path)


def test_a_download_happens_once_and_shows_its_checksum(
    website: Website, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    content = write_pdf(tmp_path / "report.pdf", TEXT).read_bytes()
    website.pages["/report.pdf"] = content
    url = f"{website.url}/report.pdf"

    with caplog.at_level(logging.INFO, "fixtures.pdf"):
        first = pdf.fetch(url, tmp_path / "cache")
        second = pdf.fetch(url, tmp_path / "cache")

    assert first == second
    assert first.read_bytes() == content
    assert website.hits == ["/report.pdf"]
    checksum = hashlib.sha256(content).hexdigest()
    assert [record.levelname for record in caplog.records if checksum in record.message] == ["WARNING", "INFO"]


def test_a_redirect_is_followed(website: Website, tmp_path: Path) -> None:
    website.pages["/report.pdf"] = write_pdf(tmp_path / "report.pdf", TEXT).read_bytes()

    assert pdf.read(pdf.fetch(f"{website.url}/moved.pdf", tmp_path / "cache"))


def test_a_document_that_changed_is_refused_where_its_checksum_is_named(website: Website, tmp_path: Path) -> None:
    website.pages["/report.pdf"] = write_pdf(tmp_path / "report.pdf", TEXT).read_bytes()

    with pytest.raises(DocumentError, match=r"has sha256 [0-9a-f]{64}, not 00ff: it was changed; delete .*\.pdf"):
        pdf.fetch(f"{website.url}/report.pdf", tmp_path / "cache", sha256="00ff")


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("http://127.0.0.1:9/report.pdf", "Connection refused"),
        ("http://host.invalid/report.pdf", "."),
        ("report.pdf", "missing an 'http"),
        ("ftp://example.org/report.pdf", "unsupported protocol"),
        ("http://[::1/report.pdf", "."),
    ],
)
def test_an_unreachable_url_is_one_clear_error(tmp_path: Path, url: str, reason: str) -> None:
    with pytest.raises(DocumentError) as caught:
        pdf.fetch(url, tmp_path / "cache")

    message = str(caught.value)
    assert message.startswith(f"cannot download {url} (")
    assert reason in message
    assert "pass document='FILE.pdf'" in message
    assert "\n" not in message


def test_an_http_error_is_one_clear_error(website: Website, tmp_path: Path) -> None:
    with pytest.raises(DocumentError, match=r"cannot download .*/gone\.pdf \(.*404"):
        pdf.fetch(f"{website.url}/gone.pdf", tmp_path / "cache")


def test_a_web_page_instead_of_a_pdf_is_not_kept(website: Website, tmp_path: Path) -> None:
    website.pages["/report.pdf"] = b"<!DOCTYPE html>maintenance"

    with pytest.raises(DocumentError, match=r"/report\.pdf is not a PDF: it begins with b'<!DOCTYPE html>"):
        pdf.fetch(f"{website.url}/report.pdf", tmp_path / "cache")
    assert not [path for path in (tmp_path / "cache").iterdir() if path.suffix in {".pdf", ".part"}]
