"""Who uses a shared server: the locks, without a server."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from fixtures import lease
from fixtures.errors import EndpointError


@pytest.fixture(autouse=True)
def own_temporary_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))


def test_runs_have_their_own_private_directories() -> None:
    first, second = lease.run_directory("one"), lease.run_directory("two")

    assert first != second
    assert first == lease.run_directory("one")
    assert first.parent.stat().st_mode & 0o777 == 0o700


def test_a_directory_open_to_others_is_refused(tmp_path: Path) -> None:
    root = tmp_path / f"bias-suite-{os.getuid()}"
    root.mkdir()
    root.chmod(0o755)

    with pytest.raises(EndpointError, match="not a private directory of this user: remove it, or set TMPDIR"):
        lease.run_directory("one")


def test_a_held_directory_stays_until_the_last_client_lets_go() -> None:
    home = lease.run_directory("one")
    first, second = lease.take(home), lease.take(home)

    assert not lease.remove_unused(home)
    os.close(first)
    assert not lease.remove_unused(home)
    os.close(second)
    assert lease.remove_unused(home)
    assert not home.exists()


def test_removing_what_is_gone_is_no_error() -> None:
    assert lease.remove_unused(lease.run_directory("one"))


def test_a_client_that_comes_after_removal_gets_a_fresh_directory() -> None:
    home = lease.run_directory("one")
    os.close(lease.take(home))
    lease.remove_unused(home)

    held = lease.take(home)

    assert (home / "lease").exists()
    os.close(held)


def test_directories_that_killed_servers_left_are_removed() -> None:
    left = lease.run_directory("killed")
    os.close(lease.take(left))
    (left / "server.log").write_text("last words")
    used = lease.run_directory("used")
    held = lease.take(used)

    lease.run_directory("new")

    assert not left.exists()
    assert used.exists()
    os.close(held)


def test_a_published_record_counts_only_while_its_publisher_lives() -> None:
    home = lease.run_directory("one")
    held = lease.take(home)
    assert lease.published(home) is None

    # A process of its own, since the lock ends with the process that published.
    publish = "import pathlib, sys; from fixtures import lease; lease.publish(pathlib.Path(sys.argv[1]), {'pid': 1})"
    publisher = subprocess.Popen(
        [sys.executable, "-c", f"{publish}; print(flush=True); sys.stdin.read()", str(home)],
        cwd=Path(__file__).parents[1],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    with publisher:
        assert publisher.stdout is not None
        publisher.stdout.readline()
        assert lease.published(home) == {"pid": 1}
        publisher.kill()

    assert lease.published(home) is None
    os.close(held)
