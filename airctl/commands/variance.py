"""Measure gradient estimators on a run, over its checkpoints: ``airctl variance-report``."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from airctl.commands.loaded import Loaded, load, scenes_of
from airctl.errors import ConfigError
from airctl.files import write_text
from airctl.laboratory import fit_baselines
from airctl.laboratory import measure_variance as measure
from airctl.objectives import ESTIMATORS, estimator, require_known
from airctl.reporting.charts import variance_charts
from airctl.reporting.figures import save
from airctl.reporting.variance import variance_table
from airctl.training import RunFolder
from airctl.training import checkpoint as checkpoints
from airctl.training.randomness import SceneOrder, generator
from airctl.training.signals import StopRequest

TABLE_1 = ("backprop", "score-function", "score-function-neural", "report-2019", "exact")
# Its Table 1, variance of the norm of the gradient, by the name that each of its rows has here.
REPORT_2019 = {
    "step": 160_000,
    "samples": 1000,
    "norm_variance": {"backprop": 5.83e-2, "score-function": 2.03e4, "report-2019": 6.47e2},
}


def measure_variance(
    run: Path | str,
    *,
    samples: int = 1000,
    estimators: Sequence[str] = TABLE_1,
    batch: int = 64,
    checkpoint: str = "last",
    checkpoints: Sequence[str] = (),
    fit_steps: int = 1000,
    seed: int = 0,
    device: str = "auto",
    against_report: bool = False,
    on_checkpoint: Callable[[int], None] = lambda step: None,
    on_fit: Callable[[int], None] = lambda step: None,
    on_sample: Callable[[int, int], None] = lambda done, of: None,
) -> dict[str, Any]:
    """Measure gradient estimators on one batch of the run's training scenes.

    ``checkpoints`` (steps, "all", or none for ``checkpoint`` alone) are measured one by one on that same batch; step 0
    is the untrained model. The result has the table of the latest of them, and of each under "checkpoints". It is
    written to variance.json, variance.md and figures/variance*.png, after each checkpoint. Stopped by Ctrl-C or SIGTERM
    it keeps what it has, and says so under "stopped_by".

    Estimators pass two at a time, so what is stopped early has figures of some and not of others: "left_out" names
    these. ``on_sample(done, of)`` counts roll-outs.

    "all" among ``estimators`` is every one there is. A baseline that the run itself trained is used as it is; any other
    is first fitted on the frozen model for ``fit_steps`` batches that leave the measured one out. ``against_report``
    sets the figures of the report's Table 1 beside ours.
    """
    names = known_estimators(estimators)
    if samples < 4:
        raise ConfigError(f"--samples {samples}: expected at least 4, half to find a bias and half to test it")
    folder = RunFolder(Path(run)).require()
    result: dict[str, Any] = {}
    with StopRequest() as stop:
        for which in _checkpoints(folder, checkpoints or [checkpoint]):
            loaded = load(run, which, device)
            on_checkpoint(loaded.step)
            try:
                found = _measure(loaded, names, samples, batch, fit_steps, seed, on_fit, on_sample, stop)
            except KeyboardInterrupt:  # before two samples of this checkpoint
                if not result:
                    raise
                break
            before = result.get("checkpoints", [])
            result = {"run": str(run), "seed": seed, "fit_steps": fit_steps, **found, "checkpoints": [*before, found]}
            result |= {"stopped_by": stop.signum} | ({"report_2019": REPORT_2019} if against_report else {})
            folder.write_json("variance.json", result)
            write_text(folder.path / "variance.md", variance_table(result) + "\n")
            save(variance_charts(result), folder.figures)
            if stop.signum is not None:
                break
    return result


def known_estimators(names: Sequence[str]) -> list[str]:
    """Those names, each once, and every estimator there is for "all"; ``ConfigError`` for one that there is not."""
    chosen = list(ESTIMATORS) if "all" in names else list(dict.fromkeys(names))
    for name in chosen:
        require_known(name)
    return chosen


def _checkpoints(folder: RunFolder, names: Sequence[str]) -> list[str]:
    """The steps that ``names`` mean, rising, each once; ``ConfigError`` tells which there are."""
    every = checkpoints.steps(folder.checkpoints) if "all" in names else []
    paths = [checkpoints.resolve(folder.checkpoints, name) for name in names if name != "all"]
    found = sorted({*every, *map(checkpoints.step_of, paths)})
    if not found:
        checkpoints.resolve(folder.checkpoints, "last")  # says that there are none yet
    return [str(step) for step in found]


def _measure(
    loaded: Loaded,
    estimators: Sequence[str],
    samples: int,
    batch: int,
    fit_steps: int,
    seed: int,
    on_fit: Callable[[int], None],
    on_sample: Callable[[int, int], None],
    stop: StopRequest,
) -> dict[str, Any]:
    """The estimators at one checkpoint, after fitting the baselines that the run has not trained."""
    config, model = loaded.config, loaded.model
    images = scenes_of(loaded, None, "train")[1]
    if len(images) < 2 * batch:
        raise ConfigError(f"--batch {batch}: the run's data has only {len(images)} training scenes")
    measured, rest = images[:batch].float() / 255, images[batch:]
    chosen, fitted = {}, []
    for name in estimators:
        if name == config.objective.estimator:
            chosen[name] = loaded.learner.estimator
            continue
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            chosen[name] = estimator(name, config)
        chosen[name].modules.to(loaded.device)
        if chosen[name].modules.state_dict():
            fitted.append(name)
    if fitted:
        batches = _batches(rest, config.train.batch, fit_steps, seed, on_fit, stop)
        make = _generators(seed, "fit", loaded.device)
        fit_baselines(model, [chosen[name] for name in fitted], batches, loaded.log_p(), fit_steps, make)
    make_generator = _generators(seed, "variance", loaded.device)
    reports = measure(
        model, chosen, measured, loaded.log_p(), samples, make_generator, on_sample, lambda: stop.signum is not None
    )
    return {
        "step": loaded.step,
        "samples": min(report.samples for report in reports.values()),
        "samples_asked": samples,
        "left_out": [name for name in estimators if name not in reports],
        "batch": batch,
        "fitted": fitted,
        "parameters": {name: sum(p.numel() for p in group) for name, group in model.parameter_groups().items()},
        "estimators": {name: asdict(report) for name, report in reports.items()},
    }


def _batches(
    images: Tensor, batch: int, steps: int, seed: int, on_step: Callable[[int], None], stop: StopRequest
) -> Iterator[Tensor]:
    order = SceneOrder(seed, len(images), min(batch, len(images)))
    for step in range(steps):
        if stop.signum is not None:
            return
        yield images[torch.from_numpy(order.at(step)).to(images.device)].float() / 255
        on_step(step + 1)


def _generators(seed: int, purpose: str, device: torch.device) -> Callable[[str, int], torch.Generator]:
    return lambda name, step: generator(seed, f"{purpose}/{name}", step, device)
