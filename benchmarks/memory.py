"""Peak memory of a fresh process that does some steps of one contender; ``against_pyro`` starts it.

On Linux it is VmHWM, the peak of this very program: ``ru_maxrss`` starts from the peak of the process that launched it.
"""

from __future__ import annotations

import resource
import subprocess
import sys
from pathlib import Path

import torch

from airctl.scenes import read_split
from benchmarks.steppers import CONTENDERS

NOTHING = "nothing"  # what the libraries and the scenes take, without any training


def peak_mib() -> float:
    """The peak resident memory of this process so far, in MiB."""
    status = Path("/proc/self/status")
    if status.exists():
        for line in status.read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) / 1024
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 2**20


def measure(name: str, data: Path, steps: int, threads: int) -> float:
    """Peak MiB of ``steps`` steps of the contender in a process of its own."""
    command = [sys.executable, "-m", "benchmarks.memory", name, str(data), str(steps), str(threads)]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True, cwd=Path(__file__).parents[1])
    return float(done.stdout)


def main(name: str, data: str, steps: str, threads: str) -> None:
    """Do the steps, print the peak."""
    torch.set_num_threads(int(threads))
    images = torch.from_numpy(read_split(Path(data), "train").images)
    if name != NOTHING:
        step = CONTENDERS[name](images)
        for _ in range(int(steps)):
            step()
    print(peak_mib())


if __name__ == "__main__":
    main(*sys.argv[1:])
