"""What a run may spend: calls, tokens, US dollars; counted for all processes of a run together.

Every call is entered in a ledger before it is made, and what it used after that. The ledger is a file of records of one
size to which each process appends: an append is one write, so no two are mixed, and where one's own record lies in the
file says how many calls came before it. So a limit of N calls is N calls, whatever number of processes asks.

Tokens and dollars are known only when a reply is there, so the calls in flight when a limit is reached still end. Known
are those of the judge; of the model under test, the tokens that it tells (see `bias_suite.subject`).
"""

from __future__ import annotations

import os
import struct
import threading
from dataclasses import dataclass
from pathlib import Path

from bias_suite.errors import BudgetError, ReportError

FILE = ".spent"
_RECORD = struct.Struct("<iiq")
_MICRO = 1_000_000


@dataclass(frozen=True)
class Limits:
    """What may be spent; 0 is without limit.

    Attributes:
        calls: Calls of model and judge, repeats included.
        tokens: Tokens sent and received.
        usd: US dollars, by litellm's prices.
    """

    calls: int = 0
    tokens: int = 0
    usd: float = 0.0

    def __bool__(self) -> bool:
        return bool(self.calls or self.tokens or self.usd)


@dataclass
class Spent:
    """What was spent, as far as it is known."""

    calls: int = 0
    tokens: int = 0
    usd: float = 0.0


class Budget:
    """The budget of one run, for all threads of a process."""

    def __init__(self, path: Path, limits: Limits) -> None:
        """Open the ledger; it is made where it is missing.

        Raises:
            ReportError: It cannot be written.
        """
        self._limits = limits
        self._spent = Spent()
        self._read = 0
        self._lock = threading.Lock()
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o600)
        except OSError as error:
            raise ReportError(f"cannot write {path}: {error.strerror}") from None

    def take(self) -> None:
        """Enter a call that is about to be made.

        Raises:
            BudgetError: It may not be made; the message names the limit.
        """
        with self._lock:
            end = self._enter(calls=1)
            self._catch_up(end)
            told = self._exceeded()
            if told:
                self._enter(calls=-1)
                raise BudgetError(told)

    def use(self, tokens: int, usd: float = 0.0) -> None:
        """Enter what a call has used."""
        if tokens or usd:
            with self._lock:
                self._enter(tokens=tokens, usd=usd)

    def close(self) -> None:
        """Close the ledger."""
        os.close(self._file)

    def _enter(self, calls: int = 0, tokens: int = 0, usd: float = 0.0) -> int:
        """Append a record; return where it ends."""
        os.write(self._file, _RECORD.pack(calls, tokens, round(usd * _MICRO)))
        return os.lseek(self._file, 0, os.SEEK_CUR)

    def _catch_up(self, end: int) -> None:
        """Add up what was entered until there, by whichever process."""
        for calls, tokens, micro in _RECORD.iter_unpack(os.pread(self._file, end - self._read, self._read)):
            self._spent.calls += calls
            self._spent.tokens += tokens
            self._spent.usd += micro / _MICRO
        self._read = end

    def _exceeded(self) -> str | None:
        limits, spent = self._limits, self._spent
        if limits.calls and spent.calls > limits.calls:
            return f"the budget of {limits.calls:,} calls is spent (--bias-max-calls)"
        if limits.tokens and spent.tokens >= limits.tokens:
            return f"the budget of {limits.tokens:,} tokens is spent (--bias-max-tokens)"
        if limits.usd and spent.usd >= limits.usd:
            return f"the budget of {limits.usd:g} US dollars is spent (--bias-max-usd)"
        return None
