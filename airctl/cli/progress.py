"""How far a command is: a live bar on a terminal; of a training a plain line at each validation anywhere else."""

from __future__ import annotations

import sys
import time
from types import TracebackType
from typing import TYPE_CHECKING, Any

from tqdm import tqdm

from airctl.cli.shell import say

if TYPE_CHECKING:
    from airctl.training import Progress


class TrainingBar:
    """Called after each step; nothing is drawn before the first, so that a refusal stands alone, or if ``quiet``."""

    def __init__(self, quiet: bool) -> None:
        self.quiet = quiet
        self.live = sys.stderr.isatty()
        self.bar: tqdm[Any] | None = None
        self.first = (0, 0.0)  # the step before the first of this call, and when

    def __enter__(self) -> TrainingBar:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """End the bar; what is told next stands below it."""
        if self.bar is not None:
            self.bar.close()
            self.bar = None

    def __call__(self, progress: Progress) -> None:
        if self.quiet:
            return
        if not self.first[1]:
            self.first = (progress.step - 1, time.monotonic())
        accuracy = progress.validation_accuracy
        told = f"ELBO {progress.elbo:.1f}" + ("" if accuracy is None else f", count accuracy {accuracy:.2%}")
        if self.live:
            if self.bar is None:
                first, unit = self.first[0], " steps"
                self.bar = tqdm(total=progress.steps, initial=first, unit=unit, file=sys.stderr, dynamic_ncols=True)
            self.bar.set_postfix_str(told, refresh=False)
            self.bar.update(progress.step - self.bar.n)
        elif progress.milestone:
            say(f"step {progress.step}/{progress.steps}, {told}, {self._pace(progress)}")

    def _pace(self, progress: Progress) -> str:
        rate = (progress.step - self.first[0] - 1) / max(1e-9, time.monotonic() - self.first[1])
        if not rate:
            return "the first step"
        left = (progress.steps - progress.step) / rate
        return f"{rate:.1f} steps/s, {tqdm.format_interval(left)} left"


class CountBar:
    """Called with how much is done and how much there is (None: unknown): one bar over all, only on a terminal."""

    def __init__(self, unit: str, quiet: bool) -> None:
        self.unit, self.quiet = unit, quiet or not sys.stderr.isatty()
        self.bar: tqdm[Any] | None = None

    def __enter__(self) -> CountBar:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.bar is not None:
            self.bar.close()

    def __call__(self, done: int, total: int | None = None) -> None:
        if self.quiet:
            return
        if self.bar is None:
            self.bar = tqdm(total=total, initial=done, unit=self.unit, file=sys.stderr, dynamic_ncols=True)
        self.bar.update(done - self.bar.n)
