"""The drawing and templating libraries are loaded by what draws, not by ``import airctl`` or a help text."""

from __future__ import annotations

import subprocess
import sys

import pytest

LATE = ("matplotlib", "jinja2")


def loaded_by(code: str) -> set[str]:
    """Which of ``LATE`` a fresh interpreter has after ``code``."""
    told = f"{code}\nimport sys; print(*[name for name in {LATE!r} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", told], capture_output=True, text=True, check=True)
    return set(done.stdout.split())


@pytest.mark.parametrize(
    "code",
    [
        "import airctl, airctl.cli, airctl.reporting, airctl.commands.report, airctl.reporting.charts",
        "import airctl.reporting.counts_page",
        "import airctl.cli, airctl.cli.measuring, airctl.cli.data, airctl.cli.training, airctl.cli.finding",
    ],
)
def test_importing_airctl_loads_neither(code: str) -> None:
    """A person who asks for help does not wait for a library that draws."""
    assert loaded_by(code) == set()


def test_the_check_sees_what_is_loaded() -> None:
    """Negative control: a chart does load matplotlib."""
    code = "from airctl.reporting import charts; charts.confusion([[1]])"
    assert loaded_by(code) == {"matplotlib"}
