"""What can go wrong in `ncap`, as people and as scripts see it: one small tree, one table of exit codes.

An error says where it happened, what was found, and what to do. Nothing here prints or talks to AWS.
"""

from __future__ import annotations

from enum import IntEnum


class ExitCode(IntEnum):
    """How the command ended; `meaning` is the published sentence."""

    DONE = 0
    FAILED = 1
    USAGE = 2
    DENIED = 3
    NOT_FOUND = 4
    LIMIT = 5
    TIMED_OUT = 6
    NO_CLOUD = 7
    INTERRUPTED = 130

    @property
    def meaning(self) -> str:
        """One sentence for help texts and the docs."""
        return MEANINGS[self]


MEANINGS: dict[ExitCode, str] = {
    ExitCode.DONE: "Done, or there was nothing to do.",
    ExitCode.FAILED: "The job failed, or what was planned is not fully applied.",
    ExitCode.USAGE: "Yours to fix: wrong usage, a problem in a document, unusable input.",
    ExitCode.DENIED: "Credentials are missing or wrong, or a permission is missing.",
    ExitCode.NOT_FOUND: "What you named does not exist.",
    ExitCode.LIMIT: "Over a budget or a quota.",
    ExitCode.TIMED_OUT: "It did not end within the time you were ready to wait.",
    ExitCode.NO_CLOUD: "The local cloud is not running or cannot start.",
    ExitCode.INTERRUPTED: "Interrupted with Ctrl-C.",
}
"""The one table of exit codes; help texts and documentation are rendered from it."""


class NcapError(Exception):
    """An end of the command that a person can act on.

    `where` names the document, stack, object or call; `what` the finding; `hint` what to do next, a sentence or a
    command. The exit code belongs to the class.
    """

    exit_code = ExitCode.FAILED

    def __init__(self, what: str, *, where: str = "", hint: str = "") -> None:
        super().__init__(f"{where}: {what}" if where else what)
        self.where = where
        self.what = what
        self.hint = hint


class UsageError(NcapError):
    """The command line, a document or a file needs to be changed by the user."""

    exit_code = ExitCode.USAGE


class ProjectError(UsageError):
    """There is no project here, or it has no such document."""


class DocumentProblemsError(UsageError):
    """Documents have problems; `problems` holds each as a sentence with its place."""

    def __init__(self, problems: tuple[str, ...]) -> None:
        count = "one problem" if len(problems) == 1 else f"{len(problems)} problems"
        lines = "\n  ".join(problems)
        super().__init__(f"{count}\n  {lines}", where="documents", hint="Mend them; nothing was changed.")
        self.problems = problems


class AccessError(NcapError):
    """Credentials are missing, expired or refused, or an IAM permission is missing."""

    exit_code = ExitCode.DENIED


class NotFoundError(NcapError):
    """A named thing does not exist."""

    exit_code = ExitCode.NOT_FOUND


class LimitError(NcapError):
    """A budget or a quota stands in the way."""

    exit_code = ExitCode.LIMIT


class WaitTimeoutError(NcapError):
    """The awaited state did not come in time."""

    exit_code = ExitCode.TIMED_OUT


class CloudError(NcapError):
    """The local cloud is not running, or cannot start."""

    exit_code = ExitCode.NO_CLOUD


class ApplyError(NcapError):
    """A stack operation ended before everything was applied."""


class AwsError(NcapError):
    """AWS refused a call for a reason that is none of the above; `code` is AWS's own."""

    def __init__(self, what: str, *, code: str, where: str = "", hint: str = "") -> None:
        super().__init__(what, where=where, hint=hint)
        self.code = code


class AlreadyExistsError(AwsError):
    """A conditional write found something already there."""
