"""The base of what can go wrong for a user of the in-instance tool. It imports nothing, so that commands start fast."""


class WorkflowError(Exception):
    """Something a script asked for could not be done; the message says what and what to do."""
