"""The command line: values -> config -> one call -> echo. Nothing else imports click.

stdout carries the result, stderr the progress bar and messages. Commands are listed in the order of these imports.
"""

from airctl.cli import counting, finding, data, training, measuring, verifying  # each adds its commands to the group  # isort: skip
from airctl.cli.shell import airctl, main

__all__ = ["airctl", "counting", "data", "finding", "main", "measuring", "training", "verifying"]
