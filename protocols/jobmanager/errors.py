"""What can go wrong, by who has to act. Says nothing about how a user is told; that is the manager's."""

from __future__ import annotations

from dataclasses import dataclass

Value = str | int | bool | None | list["Value"] | tuple["Value", ...] | dict[str, "Value"]
"""What a ledger row may hold."""
NO_ANSWER = "NoAnswer"
"""The code of an AwsError when AWS did not answer at all."""


class JobManagerError(Exception):
    """Anything this package raises on purpose; reaching Lambda, it means: deliver the event again."""


class SettingsError(JobManagerError):
    """The function's environment lacks a variable; the operator deploys the stack again."""


class VersionError(JobManagerError):
    """A version document cannot be read as contract section 3 says."""


class AwsError(JobManagerError):
    """AWS refused a call. Carries the operation, AWS's own code and its sentence."""

    def __init__(self, operation: str, code: str, message: str) -> None:
        super().__init__(f"{operation}: {code}: {message}")
        self.operation = operation
        self.code = code
        self.message = message


class MissingError(AwsError):
    """The object or parameter asked for does not exist."""


class TakenError(AwsError):
    """A conditional write found that somebody had written before."""


@dataclass(frozen=True)
class CancelledBy:
    """Why one write of a transaction was refused, and the row it met, where AWS tells."""

    code: str
    row: dict[str, Value] | None

    @property
    def is_condition(self) -> bool:
        """Whether this write's own condition failed."""
        return self.code == "ConditionalCheckFailed"


class TransactionError(AwsError):
    """A transaction changed nothing, because a condition of it failed. Reasons are in the order of the writes."""

    def __init__(self, operation: str, code: str, message: str, reasons: tuple[CancelledBy, ...]) -> None:
        super().__init__(operation, code, message)
        self.reasons = reasons

    def failed(self, position: int) -> bool:
        """Whether the condition of the write at this position was among those that failed."""
        return position < len(self.reasons) and self.reasons[position].is_condition
