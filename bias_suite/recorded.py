"""The model under test with a recording behind it: read first, and asked for what the recording does not hold."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, field, fields
from typing import Any

from bias_suite import recordings
from bias_suite.errors import CallError
from bias_suite.recordings import Entry, Model, Recording
from bias_suite.subject import NOBODY, Origin, Reply, Subject


@dataclass(frozen=True)
class RecordedSubject(Subject):
    """A model whose answers are read from a recording, and stored there where it is asked."""

    recording: Recording = field(kw_only=True, repr=False)

    def ask(self, question: str, timeout: float = 60.0, options: Sequence[str] = (), origin: Origin = NOBODY) -> Reply:
        """Ask as `Subject.ask` does, or take what is recorded.

        Raises:
            CallError: Only recorded answers are wanted, and this one was not recorded.
        """
        found = self.recorded(question, options, origin)
        if found is not None:
            return found
        began = time.monotonic()
        reply = super().ask(question, timeout, options, origin)
        answered = {
            "answer": reply.answer,
            "contexts": list(reply.contexts),
            "seconds": round(time.monotonic() - began, 3),
        }
        asked = self._asked(question, options, origin)
        entry = Entry("model", self.name, self.version or "", origin.probe, asked, answered)
        return _reply(self.recording.keep(entry), recorded=False)

    def recorded(self, question: str, options: Sequence[str], origin: Origin) -> Reply | None:
        """Return the recorded answer to a question; None where it is to be asked.

        Raises:
            CallError: Only recorded answers are wanted, and this one was not recorded; the message says what has
                changed.
        """
        asked = self._asked(question, options, origin)
        found = self.recording.find("model", asked, None if self.recording.replays else self.version or "")
        if found is not None:
            return _reply(found, recorded=True)
        if self.recording.replays:
            raise CallError(self._missing(asked, origin))
        return None

    def _asked(self, question: str, options: Sequence[str], origin: Origin) -> dict[str, Any]:
        return {
            "model": self.name,
            "version": self.version or "",
            "question": question,
            "options": list(options),
            "trial": origin.trial,
        }

    def _missing(self, asked: dict[str, Any], origin: Origin) -> str:
        found = recordings.difference(asked, self.recording.entries("model", origin.probe))
        what = found or "nothing was ever recorded for it"
        return f"{self.recording.path} has no answer for probe {origin.probe}: {what}; record again"


def _reply(entry: Entry, *, recorded: bool) -> Reply:
    told = entry.reply
    return Reply(told["answer"], tuple(told["contexts"]), recorded=recorded, seconds=told["seconds"])


def recorded(subject: Subject, spec: str, recording: Recording) -> Subject:
    """Return a model whose answers are stored in a recording, and taken from it where they are there.

    Args:
        subject: The model.
        spec: What it was built from, ``--bias-model``.
        recording: The recording.
    """
    recording.note_model(Model(spec, subject.name, subject.version or "", subject.description))
    given = {one.name: getattr(subject, one.name) for one in fields(Subject)}
    return RecordedSubject(**given, recording=recording)


def replayed(spec: str, recording: Recording) -> Subject:
    """Return the model as it was recorded, without building it.

    Raises:
        RecordingError: The recording holds no answers of it.
    """
    known = recording.model(spec)
    return RecordedSubject(
        model=None,
        name=known.name,
        version=known.version or None,
        description=known.description,
        recording=recording,
    )
