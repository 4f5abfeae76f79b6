"""Where things lie: the repository, its address, and the line of each probe in it."""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote, urlsplit, urlunsplit

# git's "user@host:path"; one letter alone would be a drive.
_SCP = re.compile(r"(?:[^@/:\s]+@)?([^@/:\\\s]{2,}):(?!//)([^\\\s]+)")


@dataclass(frozen=True)
class Place:
    """A line of a file.

    Attributes:
        uri: The file's path from the root of the repository, as a relative URI.
        line: The line's number, from 1.
        width: Its characters.
    """

    uri: str
    line: int
    width: int


def root(folder: Path) -> Path:
    """Return the root of the repository that a folder belongs to; the folder itself where it belongs to none."""
    real = folder.resolve()
    return next((one for one in (real, *real.parents) if (one / ".git").exists()), real)


def uri(path: Path, base: Path) -> str | None:
    """Return a file's path from a folder as a relative URI; None where it does not lie below."""
    real = path.resolve()  # viewers do not follow symbolic links
    return quote(real.relative_to(base).as_posix()) if real.is_relative_to(base) else None


def probes(folders: Iterable[Path], base: Path) -> dict[str, Place]:
    """Return the line of each probe by its id, for the probes files that lie below a folder.

    A probe that a detector makes out of a line has an id of its own; the line's is then the probe's cluster.

    Args:
        folders: Those with probes files.
        base: The root of the repository.
    """
    found: dict[str, Place] = {}
    for folder in folders:
        for path in sorted(folder.glob("*.jsonl")):
            address = uri(path, base)
            if address is not None:
                found |= {name: Place(address, line, width) for name, line, width in _lines(path)}
    return found


def _lines(path: Path) -> Iterator[tuple[str, int, int]]:
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):  # it was there when the run began; a report does without
        return
    for number, line in enumerate(text.split("\n"), start=1):
        try:
            yield str(json.loads(line)["id"]), number, len(line)
        except (ValueError, TypeError, KeyError):
            continue


def repository(folder: Path) -> str | None:
    """Return the address of the repository that git calls ``origin``, without names and keys; None without one."""
    try:
        command = ["git", "config", "--get", "remote.origin.url"]
        result = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=10, check=False)
    except (OSError, subprocess.TimeoutExpired, UnicodeDecodeError):
        return None
    return public(result.stdout.strip())


def public(address: str) -> str | None:
    """Return the address of a repository as a URI that tells no name and no key; None for a path of this machine."""
    if scp := _SCP.fullmatch(address):
        return f"ssh://{scp[1]}/{quote(scp[2].lstrip('/'))}"
    try:
        parts = urlsplit(address)
        host = parts.hostname
        port = f":{parts.port}" if parts.port else ""
    except ValueError:
        return None
    if parts.scheme not in ("http", "https", "ssh", "git") or not host:
        return None
    return urlunsplit((parts.scheme, host + port, quote(parts.path), "", ""))
