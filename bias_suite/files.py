"""Files and lines that are whole or not there: a reader sees the old one or the new one, even after a kill."""

from __future__ import annotations

import contextlib
import fcntl
import os
from collections.abc import Iterable
from pathlib import Path


def write(path: Path, text: str | Iterable[str], *, private: bool = False, sync: bool = False) -> None:
    """Write a file in one piece, in UTF-8; its folder is made where it is missing.

    Args:
        path: The file.
        text: What it holds.
        private: Whether its owner alone may read it: answers may hold personal data.
        sync: Whether it must have reached the disk.

    Raises:
        OSError: It cannot be written; what was there is still there.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with open(temporary, "w", encoding="utf-8", newline="\n", opener=_private if private else None) as file:
            file.writelines([text] if isinstance(text, str) else text)
            if sync:
                file.flush()
                os.fsync(file.fileno())
        temporary.replace(path)
    finally:
        with contextlib.suppress(OSError):
            temporary.unlink()


def append(file: int, line: bytes) -> None:
    """Append to a file that several processes append to; what a full disk cut short is taken back.

    Args:
        file: Its descriptor, opened for appending.
        line: What is appended.

    Raises:
        OSError: The disk is full or gone; the file is as it was.
    """
    fcntl.flock(file, fcntl.LOCK_EX)
    try:
        before, written = os.fstat(file).st_size, 0
        try:
            while written < len(line):  # a full disk or a signal can cut a write short
                written += os.write(file, line[written:])
        except OSError:
            with contextlib.suppress(OSError):
                os.ftruncate(file, before)
            raise
    finally:
        fcntl.flock(file, fcntl.LOCK_UN)


def _private(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)
