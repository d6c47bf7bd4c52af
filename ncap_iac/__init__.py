"""The `ncap` command and its Python API: every effect an operator's or user's machine has."""

__version__ = "0.1.0"
