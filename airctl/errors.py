"""What can go wrong for a user: each error is one sentence and carries the exit code of the command line.

A sentence says what was read, what was expected and what to do. Programming errors stay ordinary exceptions.
It speaks of arguments, as Python names them (``samples=2: expected at least 4``), and ``arguments`` lists those names:
the command line writes its own options in their place. What a signal stopped exits with 128 +
its number (``airctl/cli``).
"""

from __future__ import annotations


class AirctlError(Exception):
    """Any failure that a user can act on (exit code 1)."""

    exit_code = 1
    said = False  # whether another process of the same job has told the person

    def __init__(self, sentence: str, *arguments: str) -> None:
        super().__init__(sentence)
        self.sentence = sentence
        self.arguments = arguments  # names that the sentence writes as name=value

    def __reduce__(self) -> tuple[type[AirctlError], tuple[str, ...]]:
        return type(self), (self.sentence, *self.arguments)  # a child process sends its error to its parent


class ConfigError(AirctlError):
    """A value, key or combination that cannot be meant (exit code 2)."""

    exit_code = 2


class PlaceError(ConfigError):
    """A place where one cannot write, whatever is to be written there (exit code 2)."""


class InputFileError(AirctlError):
    """A file that is missing, damaged, foreign or not to be trusted (exit code 3)."""

    exit_code = 3


class RunInUseError(AirctlError):
    """Another process writes into this run folder (exit code 4)."""

    exit_code = 4


class NotFiniteError(AirctlError):
    """The loss or its gradient would not stay finite (exit code 5)."""

    exit_code = 5


class StorageError(AirctlError):
    """The disk is full, failing or read-only (exit code 6)."""

    exit_code = 6


class AccuracyMissedError(AirctlError):
    """The accuracy that an evaluation had to reach was not reached (exit code 7)."""

    exit_code = 7


class UnlikeError(AirctlError):
    """A picture is unlike those that the model has learnt from, or a limit was reached (exit code 8)."""

    exit_code = 8


class GroupError(AirctlError):
    """Another process of a job of several has ended (exit code 1)."""
