"""What is wrong with an input of a user, in one sentence: where, what, what to do."""


class InputError(ValueError):
    """A file or an option cannot be used."""
