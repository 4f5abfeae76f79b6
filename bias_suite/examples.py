"""The counterexamples that Hypothesis remembers from run to run, recorded: a replay searches as the recorded run did.

A search tries first what its database (the folder ``.hypothesis``) remembers. A recording holds what that was; a replay
begins with the same, whatever the folder holds where it runs, and leaves the folder alone.
"""

from __future__ import annotations

from collections.abc import Iterable

from hypothesis.database import ExampleDatabase, InMemoryExampleDatabase

from bias_suite.recorded import RecordedSubject
from bias_suite.recordings import Entry


class RecordedExamples(ExampleDatabase):
    """A database of which a recording holds what it was when a run first read it."""

    def __init__(self, subject: RecordedSubject, database: ExampleDatabase | None) -> None:
        """Take a model with its recording, and the database of this machine; None is one that remembers nothing."""
        super().__init__()
        self._subject = subject
        remembers = None if subject.recording.replays else database
        self._inner: ExampleDatabase = remembers or InMemoryExampleDatabase()
        self._met: set[bytes] = set()

    def fetch(self, key: bytes) -> Iterable[bytes]:
        """Return the examples under a key; the first time, those of the recorded run, or into the recording."""
        if key not in self._met:
            self._met.add(key)
            self._meet(key)
        return list(self._inner.fetch(key))

    def _meet(self, key: bytes) -> None:
        subject, recording = self._subject, self._subject.recording
        asked = {"model": subject.name, "version": subject.version or "", "key": key.hex()}
        if not recording.replays:
            found = {"examples": sorted(example.hex() for example in self._inner.fetch(key))}
            recording.keep(Entry("search", subject.name, subject.version or "", "", asked, found))
        elif (entry := recording.find("search", asked, None)) is not None:
            for example in entry.reply["examples"]:
                self._inner.save(key, bytes.fromhex(example))

    def save(self, key: bytes, value: bytes) -> None:
        """Remember an example."""
        self._inner.save(key, value)

    def delete(self, key: bytes, value: bytes) -> None:
        """Forget an example."""
        self._inner.delete(key, value)
