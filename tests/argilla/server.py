"""A real Argilla server for the tests: one for a session, also under pytest-xdist, and gone with it.

What is under BIAS_ARGILLA_HOME stays for the next session, which would otherwise install the server again:

    venv/                the server's environment
    sessions/ID/home/    the home of a running session's server
    sessions/ID/lease    locked by each process of the session (see `fixtures.lease`), so that the last one is told
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import sys
import uuid
from collections.abc import Iterator
from pathlib import Path

import platformdirs

from fixtures import argilla, lease


def root() -> Path:
    """Return the folder that stays: by default inside the virtual environment that the tests run in."""
    if named := os.environ.get("BIAS_ARGILLA_HOME"):
        return Path(named).absolute()
    if sys.prefix != sys.base_prefix:
        return Path(sys.prefix, "argilla")
    return platformdirs.user_cache_path("bias-suite", appauthor=False) / "argilla"


def environment() -> Path:
    """Return the folder of the environment that all homes share."""
    return root() / "venv"


@contextlib.contextmanager
def deployment() -> Iterator[argilla.Deployment]:
    """Run the session's server."""
    sessions = root() / "sessions"
    sessions.mkdir(parents=True, exist_ok=True)
    for other in sessions.iterdir():  # one that was killed could not end its server
        with contextlib.suppress(FileNotFoundError):
            _leave(other, os.open(other / "lease", os.O_RDWR))
    session = sessions / (os.environ.get("PYTEST_XDIST_TESTRUNUID") or uuid.uuid4().hex)
    held = lease.take(session)
    try:
        yield argilla.up(session / "home", environment=environment())
    finally:
        _leave(session, held)


def _leave(session: Path, held: int) -> None:
    """Let go of a session; the last one takes the server down."""
    try:
        fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
        argilla.down(session / "home")
        shutil.rmtree(session / "home", ignore_errors=True)
    except BlockingIOError:
        return
    finally:
        os.close(held)
    lease.remove_unused(session)
