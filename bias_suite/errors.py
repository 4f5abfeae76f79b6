"""What can go wrong, as one small tree.

    BiasSuiteError
    ├── OptionError           an option or ini key has a value that cannot work
    ├── ProbeError            a probes file is wrong (the message begins with file:line)
    ├── CanaryError           a canaries file is wrong
    ├── ModelError            the model under test cannot be built or used at all
    ├── CallError             one call of the model under test failed for good
    │   └── CallTimeoutError  ... because it took longer than --bias-timeout
    ├── BudgetError           a call may not be made: what the run may spend is spent
    ├── JudgeError            the judge cannot be called
    ├── PlanError             questions could not be generated as asked for
    ├── RecordingError        a recording cannot be opened, or does not hold what is wanted
    ├── WaiverError           a waivers file is wrong
    ├── BaselineError         a baseline cannot be read or written, or is of another plan or judge
    ├── ArgillaError          Argilla cannot be used, or refuses something
    ├── OutboxError           the outbox cannot be written or read
    └── ReportError           reports cannot be written or read

All but `CallError` and `BudgetError` end the run; the plugin turns them into ``pytest.UsageError`` or a failure
without a traceback. A `CallError` becomes an ERROR verdict on one probe and stops nothing; after a `BudgetError` what
is left is not asked.
"""

from __future__ import annotations


class BiasSuiteError(Exception):
    """Root of the errors that bias-suite raises on purpose."""


class OptionError(BiasSuiteError):
    """An option or ini key has a value that cannot work."""


class ProbeError(BiasSuiteError):
    """A probes file is wrong; the message begins with ``file:line``."""


class CanaryError(BiasSuiteError):
    """A canaries file is wrong."""


class ModelError(BiasSuiteError):
    """The model under test cannot be built, or cannot be used at all."""


class CallError(BiasSuiteError):
    """One call of the model under test failed for good."""


class CallTimeoutError(CallError):
    """One call of the model under test took longer than ``--bias-timeout``."""


class BudgetError(BiasSuiteError):
    """A call may not be made: what the run may spend is spent."""


class JudgeError(BiasSuiteError):
    """The judge cannot be called: wrong key, unknown model, unreachable endpoint."""


class PlanError(BiasSuiteError):
    """Questions could not be generated as asked for."""


class RecordingError(BiasSuiteError):
    """A recording cannot be opened or written, or does not hold what is wanted."""


class WaiverError(BiasSuiteError):
    """A waivers file is wrong; the message names file and waiver."""


class BaselineError(BiasSuiteError):
    """A baseline cannot be read or written, or is of another plan or judge."""


class ArgillaError(BiasSuiteError):
    """Argilla cannot be reached, refuses the key, or refuses what it is sent.

    Attributes:
        passing: Whether the server failed in a way that may pass by itself.
    """

    def __init__(self, text: str, *, passing: bool = False) -> None:
        """Take the message."""
        super().__init__(text)
        self.passing = passing


class OutboxError(BiasSuiteError):
    """The outbox cannot be written or read."""


class ReportError(BiasSuiteError):
    """Reports cannot be written or read."""
