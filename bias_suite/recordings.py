"""Recordings: what the model answered, the judge replied and a search began with, in one SQLite file.

They are for a run without model and judge. ``--bias-record FILE`` asks, and stores every answer at once; what the file
holds already is not asked again, where it is known to come from the same version. ``--bias-replay FILE`` asks nobody
and builds no model: what the file does not hold is an error of its probe, which says what has changed.

Entries are addressed by content: the model's name and version, the whole question with its options, and the trial; the
judge's name, the whole prompt, temperature and seed (each vote has its own); a detector that searches has there which
counterexamples it remembered when the run began (`bias_suite.examples`). A model that tells no version may have
changed since: its answers of another run are asked anew when recording, and a replay says that nobody can tell.

Many processes may write to one file: each entry is a transaction, and where two had the same question, both use the
answer that was stored first. The file holds what was asked and answered, as readable JSON in columns; secrets of the
environment are blotted out. It is a database and nothing in it is ever executed or unpickled.
"""

from __future__ import annotations

import datetime
import hashlib
import json
import sqlite3
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from bias_suite.cases import encodable
from bias_suite.errors import RecordingError

Kind = Literal["model", "judge", "search"]

_SCHEMA = 1
_BUSY_SECONDS = 60.0
_TABLES = """
CREATE TABLE IF NOT EXISTS entries (
    key TEXT PRIMARY KEY,      -- SHA-256 of kind and asked
    kind TEXT NOT NULL,        -- model, judge, or what a search remembered
    name TEXT NOT NULL,        -- of the model or judge
    version TEXT NOT NULL,     -- as it tells it; empty where it does not
    label TEXT NOT NULL,       -- the probe that asked first
    asked TEXT NOT NULL,       -- JSON
    reply TEXT NOT NULL,       -- JSON
    run TEXT NOT NULL,         -- the run that recorded it
    recorded TEXT NOT NULL     -- ISO 8601, UTC
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS by_label ON entries (kind, label);
CREATE TABLE IF NOT EXISTS models (
    spec TEXT PRIMARY KEY,     -- --bias-model
    name TEXT NOT NULL,
    version TEXT NOT NULL,
    description TEXT NOT NULL
) WITHOUT ROWID;
"""


@dataclass(frozen=True)
class Entry:
    """One answer or reply.

    Attributes:
        kind: ``model`` or ``judge``; ``search`` for what a search began with (`bias_suite.examples`).
        name: Of the model or judge.
        version: As it tells it; empty where it does not.
        label: The probe that asked first; empty for judges and searches.
        asked: The question and all that it depended on.
        reply: What was answered.
        run: Id of the run that recorded it.
        recorded: When, ISO 8601.
    """

    kind: Kind
    name: str
    version: str
    label: str
    asked: Mapping[str, Any]
    reply: Mapping[str, Any]
    run: str = ""
    recorded: str = ""


@dataclass(frozen=True)
class Model:
    """What is known of a recorded model under test: as its factory was named, and what it told of itself."""

    spec: str
    name: str
    version: str
    description: str


class Recording:
    """One file, for all threads of a process.

    Attributes:
        path: The file.
        replays: Whether it is only read, and nobody is asked.
    """

    def __init__(self, path: Path, *, replays: bool = False, run: str = "", secrets: tuple[str, ...] = ()) -> None:
        """Open a file; one that is recorded to is made where it is missing.

        Args:
            path: The file.
            replays: Only read.
            run: Id of the run that records.
            secrets: Texts that are blotted out of what is stored.

        Raises:
            RecordingError: It cannot be opened, or is no recording.
        """
        self.path, self.replays, self._run, self._secrets = path, replays, run, secrets
        self._lock = threading.Lock()
        if replays and not path.is_file():
            raise RecordingError(f"{path}: no such recording; make it with --bias-record {path}")
        try:
            if not replays:
                path.parent.mkdir(parents=True, exist_ok=True)
                path.touch(mode=0o600)  # it may hold personal data
            mode = "ro" if replays else "rw"
            self._database = sqlite3.connect(
                f"{path.resolve().as_uri()}?mode={mode}",
                uri=True,
                timeout=_BUSY_SECONDS,
                check_same_thread=False,
                isolation_level=None,
            )
            self._require_schema()
        except (OSError, sqlite3.Error) as error:
            raise RecordingError(
                f"{path}: not a recording that can be {'read' if replays else 'written'}: {error}"
            ) from None

    def _require_schema(self) -> None:
        if self._schema() != _SCHEMA and not self.replays:
            with self._transaction():  # of processes that open a new file together one makes the tables
                (tables,) = self._database.execute("SELECT count(*) FROM sqlite_master").fetchone()
                if self._schema() == 0 and tables == 0:
                    for statement in _TABLES.split(";\n"):
                        self._database.execute(statement)
                    self._database.execute(f"PRAGMA user_version = {_SCHEMA}")
        if (found := self._schema()) != _SCHEMA:
            raise RecordingError(f"{self.path}: not a recording of this version of bias-suite (schema {found})")

    def _schema(self) -> int:
        (found,) = self._database.execute("PRAGMA user_version").fetchone()
        return int(found)

    def replay_id(self, head: Mapping[str, Any]) -> str:
        """Return the id of a run that replays the file: the same each time.

        Args:
            head: What makes the run this one, as JSON holds it.
        """
        digest = hashlib.sha256(json.dumps(head, sort_keys=True).encode())
        for key, reply in self._database.execute("SELECT key, reply FROM entries ORDER BY key"):
            digest.update(f"{key}{reply}".encode())
        return digest.hexdigest()[:32]

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        """Write, alone among all processes."""
        with self._lock:
            self._database.execute("BEGIN IMMEDIATE")
            try:
                yield
            except BaseException:
                self._database.execute("ROLLBACK")
                raise
            self._database.execute("COMMIT")

    def close(self) -> None:
        """Close the file."""
        with self._lock:
            self._database.close()

    def model(self, spec: str) -> Model:
        """Return what is known of the model that a factory built when it was recorded.

        Raises:
            RecordingError: None of its answers were recorded.
        """
        rows = self._read("SELECT spec, name, version, description FROM models")
        known = {row[0]: Model(*row) for row in rows}
        if spec not in known:
            held = ", ".join(sorted(known)) or "no model's"
            raise RecordingError(
                f"{self.path}: holds no answers of --bias-model {spec}, but of {held}; record them first"
            )
        return known[spec]

    def note_model(self, model: Model) -> None:
        """Store what a model tells of itself."""
        values = (model.spec, model.name, model.version, model.description)
        with self._written(), self._transaction():
            self._database.execute("INSERT OR REPLACE INTO models VALUES (?, ?, ?, ?)", values)

    def find(self, kind: Kind, asked: Mapping[str, Any], version: str | None) -> Entry | None:
        """Return what was recorded for exactly this, where it may be used; else None.

        Args:
            kind: Who was asked.
            asked: What.
            version: The version that answers now; empty where it does not tell. An entry of another run is used if
                its version is the same and told. None takes any, as a replay does.
        """
        row = self._row(_key(kind, asked))
        if row is None or version is None or row.run == self._run:
            return row
        return row if version and row.version == version else None

    def keep(self, entry: Entry) -> Entry:
        """Store an entry and return the one to use: what another thread or process of this run stored first."""
        key = _key(entry.kind, entry.asked)
        now = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
        # What UTF-8 cannot hold, half a character, stands as its escape.
        shown = [encodable(self._blotted(json.dumps(part, ensure_ascii=False))) for part in (entry.asked, entry.reply)]
        label = entry.label.encode("utf-8", "replace").decode("utf-8")
        values = (key, entry.kind, entry.name, entry.version, label, *shown, self._run, now)
        with self._written(), self._transaction():
            first = self._selected(key)
            if first is not None and first.run == self._run:
                return first
            self._database.execute("INSERT OR REPLACE INTO entries VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)", values)
        return entry

    @contextmanager
    def _written(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.Error as error:
            raise RecordingError(f"{self.path}: cannot record: {error}") from None

    def entries(self, kind: Kind | None = None, label: str | None = None) -> Iterator[Entry]:
        """Yield the entries, by kind, name and probe; those of one kind or probe where given."""
        rows = self._read(
            f"SELECT {_COLUMNS} FROM entries WHERE kind = coalesce(?, kind) AND label = coalesce(?, label) "  # noqa: S608
            "ORDER BY kind, name, version, label, key",
            kind,
            label,
        )
        yield from map(_entry, rows)

    def prune(self, before: str | None = None, version: str | None = None) -> int:
        """Remove entries recorded before a date (ISO 8601), or of a version; return how many."""
        with self._written(), self._transaction():
            return self._database.execute(
                "DELETE FROM entries WHERE recorded < coalesce(?, '') OR version = ?", (before, version)
            ).rowcount

    def _row(self, key: str) -> Entry | None:
        with self._lock:
            return self._selected(key)

    def _selected(self, key: str) -> Entry | None:
        row = self._database.execute(f"SELECT {_COLUMNS} FROM entries WHERE key = ?", (key,)).fetchone()  # noqa: S608
        return None if row is None else _entry(row)

    def _read(self, query: str, *values: object) -> list[Any]:
        with self._lock:
            return self._database.execute(query, values).fetchall()

    def _blotted(self, text: str) -> str:
        for secret in self._secrets:
            text = text.replace(json.dumps(secret, ensure_ascii=False)[1:-1], "***")
        return text


_COLUMNS = "kind, name, version, label, asked, reply, run, recorded"


def _entry(row: tuple[Any, ...]) -> Entry:
    kind, name, version, label, asked, reply, run, recorded = row
    return Entry(kind, name, version, label, json.loads(asked), json.loads(reply), run, recorded)


def _key(kind: Kind, asked: Mapping[str, Any]) -> str:
    text = json.dumps([kind, asked], sort_keys=True, ensure_ascii=True)
    return hashlib.sha256(text.encode()).hexdigest()


def difference(asked: Mapping[str, Any], others: Iterator[Entry]) -> str:
    """Say what of a question was not so when a probe was recorded, by its most similar entry; empty where none is.

    Args:
        asked: What is asked now.
        others: What was recorded for the same probe.
    """
    best: tuple[int, str] | None = None
    for entry in others:
        names = [name for name in asked if asked[name] != entry.asked.get(name)]
        if best is None or len(names) < best[0]:
            told = ", ".join(f"{name} was {_short(entry.asked.get(name))}, is {_short(asked[name])}" for name in names)
            best = len(names), told
    return best[1] if best else ""


def _short(value: object) -> str:
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= 80 else text[:79] + "…"
