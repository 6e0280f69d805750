"""One command on several processes of this machine, as torch's own torchrun starts them: ``airctl train --devices``.

The processes look for modules where this one does, in the same order, and not in the current folder unless this one
does. They lead sessions of their own, so that Ctrl-C reaches each of them once, from torchrun.
"""

from __future__ import annotations

import logging
import sys
from collections.abc import Sequence

from airctl.errors import ConfigError

_PATIENCE = 600  # seconds that processes asked to stop may take for their step and for saving
_PROGRAM = "import sys; sys.path[:] = {path!r}; from airctl.cli import main; main()"


def run_together(devices: int, arguments: Sequence[str]) -> int:
    """Run ``airctl`` with ``arguments`` in so many processes, and return its exit code: that of the first to fail."""
    try:
        from torch.distributed.elastic.multiprocessing.api import SignalException
        from torch.distributed.elastic.multiprocessing.errors import ChildFailedError
        from torch.distributed.run import parse_args, run
    except ImportError as error:
        raise ConfigError(f"devices={devices}: this torch has no torchrun ({error})", "devices") from error
    logging.getLogger("torch.distributed").setLevel(logging.CRITICAL)
    program = [sys.executable, "-P", "-c", _PROGRAM.format(path=sys.path)]
    asked = parse_args(["--standalone", f"--nproc-per-node={devices}", "--no-python", "--", *program, *arguments])
    asked.shutdown_timeout = _PATIENCE
    try:
        run(asked)
    except SignalException as stopped:
        return 128 + int(stopped.sigval)
    except ChildFailedError as failed:
        code = failed.get_first_failure()[1].exitcode
        return code if code >= 0 else 128 - code
    return 0
