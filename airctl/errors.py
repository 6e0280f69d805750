"""What can go wrong for a user: each error is one sentence and carries the exit code of the command line.

A sentence says what was read, what was expected and what to do. Programming errors stay ordinary exceptions.
"""


class AirctlError(Exception):
    """Any failure that a user can act on (exit code 1)."""

    exit_code = 1


class ConfigError(AirctlError):
    """A value, key or combination that cannot be meant (exit code 2)."""

    exit_code = 2


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
    """``eval --min-accuracy`` was not reached (exit code 7)."""

    exit_code = 7
