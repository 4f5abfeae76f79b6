"""What can go wrong in `reward`, with a message of one line.

RewardError
├── AnnotationError   annotations cannot be read or written, or there are none
└── PairError         no preference pairs can be made of them
"""

from __future__ import annotations

from bias_suite.errors import BiasSuiteError


class RewardError(BiasSuiteError):
    """Root of the errors that `reward` raises on purpose."""


class AnnotationError(RewardError):
    """Annotations cannot be read or written, or there are none."""


class PairError(RewardError):
    """No preference pairs can be made."""
