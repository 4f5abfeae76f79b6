"""What can go wrong in `reward`, with a message of one line.

RewardError
├── AnnotationError   annotations cannot be read or written, or there are none
├── PairError         no preference pairs can be made of them, or too few to learn from
├── BaseModelError    the model to start from cannot be had
├── TrainingError     training cannot begin, go on, or be saved
└── RewardModelError  a trained reward model cannot be read
"""

from __future__ import annotations

from bias_suite.errors import BiasSuiteError


class RewardError(BiasSuiteError):
    """Root of the errors that `reward` raises on purpose."""


class AnnotationError(RewardError):
    """Annotations cannot be read or written, or there are none."""


class PairError(RewardError):
    """No preference pairs can be made, or they are too few to learn from."""


class BaseModelError(RewardError):
    """The model to start from cannot be had, or cannot be a reward model."""


class TrainingError(RewardError):
    """Training cannot begin, go on, or be saved."""


class RewardModelError(RewardError):
    """A trained reward model cannot be read."""
