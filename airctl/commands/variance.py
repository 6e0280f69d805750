"""Measure gradient estimators on a run, over its checkpoints: ``airctl variance-report``."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path

import torch
from torch import Tensor

from airctl.commands.estimators import known_estimators
from airctl.commands.loaded import Loaded, Warn, load, place_of, scenes_of
from airctl.errors import ConfigError
from airctl.files import is_regular, write_text
from airctl.group import current
from airctl.inference import Images
from airctl.laboratory import fit_baselines
from airctl.laboratory import measure_variance as measure
from airctl.objectives import Estimator, estimator
from airctl.reporting.figures import save
from airctl.reporting.variance_charts import variance_charts
from airctl.reporting.variance_tables import variance_table
from airctl.results.as_json import to_json
from airctl.results.table_1 import ROWS, TABLE_1, THETA, Table1Row
from airctl.results.variance import VarianceAtStep, VarianceReport
from airctl.training import RunFolder
from airctl.training import checkpoint as checkpoints
from airctl.training.randomness import SceneOrder, generator
from airctl.training.signals import StopRequest


@dataclass(frozen=True)
class _Asked:
    """What is measured, at every checkpoint alike."""

    estimators: Sequence[str]
    samples: int
    batch: int
    fit_steps: int
    seed: int
    data: Path | str | None
    warn: Warn
    on_fit: Callable[[int], None]
    on_sample: Callable[[int, int], None]


def measure_variance(
    run: Path | str,
    *,
    samples: int = 1000,
    estimators: Sequence[str] = TABLE_1,
    batch: int = 64,
    data: Path | str | None = None,
    checkpoint: str = "last",
    checkpoints: Sequence[str] = (),
    fit_steps: int = 1000,
    seed: int = 0,
    device: str = "auto",
    table_1: bool = False,
    on_checkpoint: Callable[[int], None] = lambda step: None,
    on_fit: Callable[[int], None] = lambda step: None,
    on_sample: Callable[[int, int], None] = lambda done, of: None,
    warn: Warn = lambda message: None,
) -> VarianceReport:
    """Measure gradient estimators on one batch of the training scenes of ``data``, by default those of the run.

    ``checkpoints`` (steps, "all", or none for ``checkpoint`` alone) are measured one by one on that same batch; step 0
    is the untrained model. The result has the table of the latest of them, and of each in ``checkpoints``. It is
    written to variance.json, variance.md and figures/variance*.png of the run after each checkpoint. Stopped by Ctrl-C
    or SIGTERM it keeps what it has, and says so in ``stopped_by``.

    Estimators pass two at a time, so what is stopped early has figures of some and not of others: ``left_out`` names
    these. ``on_sample(done, of)`` counts roll-outs.

    "all" among ``estimators`` is every one there is. A baseline that the run itself trained is used as it is; any other
    is first fitted on the frozen model for ``fit_steps`` batches that leave the measured one out. ``table_1`` adds
    Table 1 of Drelich 2019, its figures beside ours. Under torchrun the processes share the estimators.
    """
    if samples < 4:
        raise ConfigError(f"samples={samples}: expected at least 4, half to find a bias and half to test it", "samples")
    asked = _Asked(known_estimators(estimators), samples, batch, fit_steps, seed, data, warn, on_fit, on_sample)
    result: VarianceReport | None = None
    group = current()
    with StopRequest() as stop:
        for which in group.told(lambda: _checkpoints(Path(run), checkpoints or [checkpoint])):
            with group.leader_first():
                loaded = load(run, which, device)
            on_checkpoint(loaded.step)
            try:
                sha256, found = _measure(loaded, asked, stop)
            except KeyboardInterrupt:  # before two samples of this checkpoint
                if result is None:
                    raise
                break
            before = result.checkpoints if result is not None else []
            result = VarianceReport(
                **{field.name: getattr(found, field.name) for field in fields(found)},
                run=str(run),
                data_sha256=sha256,
                seed=seed,
                fit_steps=fit_steps,
                checkpoints=[*before, found],
                stopped_by=(stopped_by := group.highest(stop.signum or 0) or None),
                table_1=_table_1(found) if table_1 else None,
            )
            if loaded.is_run and group.leads:
                _keep(loaded.folder, result)
            if stopped_by is not None:
                break
    assert result is not None
    return result


def _keep(folder: RunFolder, result: VarianceReport) -> None:
    """Write the result, its table and its charts."""
    told = to_json(result)
    folder.write_json("variance.json", told)
    write_text(folder.path / "variance.md", variance_table(told) + "\n")
    save(variance_charts(told), folder.figures)


def _table_1(found: VarianceAtStep) -> list[Table1Row]:
    """Its rows, each with our figures of the parameters it is of."""

    def measured(asked: Table1Row) -> Table1Row:
        if (ours := found.estimators.get(asked.estimator)) is None:
            return asked
        if asked.parameters == THETA:
            theta = ours.groups["theta"]
            return replace(asked, norm_variance=theta.norm_variance, norm_variance_error=theta.norm_variance_error)
        return replace(
            asked,
            norm_variance=ours.inference_norm_variance,
            norm_variance_error=ours.inference_norm_variance_error,
            z_pres_norm_variance=ours.groups["z_pres"].norm_variance,
        )

    return [measured(row) for row in ROWS]


def _checkpoints(run: Path, names: Sequence[str]) -> list[str]:
    """The steps that ``names`` mean, rising, each once; ``ConfigError`` tells which there are."""
    if is_regular(place_of(run)):  # an exported model is one checkpoint
        return ["last"] if list(names) == ["all"] else list(names)
    folder = RunFolder(run).require()
    every = checkpoints.steps(folder.checkpoints) if "all" in names else []
    paths = [checkpoints.resolve(folder.checkpoints, name) for name in names if name != "all"]
    found = sorted({*every, *map(checkpoints.step_of, paths)})
    if not found:
        checkpoints.resolve(folder.checkpoints, "last")  # says that there are none yet
    return [str(step) for step in found]


def _measure(loaded: Loaded, asked: _Asked, stop: StopRequest) -> tuple[str, VarianceAtStep]:
    """The sha256 of the data, and the estimators at one checkpoint, after fitting the baselines the run has not."""
    config, model, batch = loaded.config, loaded.model, asked.batch
    with current().leader_first():
        shown = scenes_of(loaded, asked.data, "train", asked.warn)
        if len(shown.images) < 2 * batch:
            raise ConfigError(f"batch={batch}: {shown.path} has only {len(shown.images)} training scenes", "batch")
    measured, rest = shown.images[:batch].all().float() / 255, shown.images[batch:]
    chosen, fitted = _estimators(loaded, asked)
    if fitted:
        batches = _batches(rest, config.train.batch, asked.fit_steps, asked.seed, asked.on_fit, stop)
        make = _generators(asked.seed, "fit", loaded.device)
        fit_baselines(model, [chosen[name] for name in fitted], batches, loaded.log_p(), asked.fit_steps, make)
    make, stopped = _generators(asked.seed, "variance", loaded.device), lambda: stop.signum is not None
    log_p, group = loaded.log_p(), current()
    reports = measure(model, chosen, measured, log_p, asked.samples, make, asked.on_sample, stopped, group)
    return shown.sha256, VarianceAtStep(
        step=loaded.step,
        weights_sha256=loaded.weights_sha256,
        samples=min(report.samples for report in reports.values()),
        samples_asked=asked.samples,
        left_out=[name for name in asked.estimators if name not in reports],
        batch=batch,
        fitted=fitted,
        parameters={name: sum(p.numel() for p in group) for name, group in model.parameter_groups().items()},
        estimators=reports,
    )


def _estimators(loaded: Loaded, asked: _Asked) -> tuple[dict[str, Estimator], list[str]]:
    """The estimators to measure, and the names of those whose baseline the run has not trained."""
    chosen, fitted = {}, []
    for name in asked.estimators:
        if name == loaded.config.objective.estimator and loaded.is_run:
            chosen[name] = loaded.learner.estimator
            continue
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(asked.seed)
            chosen[name] = estimator(name, loaded.config)
        chosen[name].modules.to(loaded.device)
        if chosen[name].modules.state_dict():
            fitted.append(name)
    return chosen, fitted


def _batches(
    images: Images, batch: int, steps: int, seed: int, on_step: Callable[[int], None], stop: StopRequest
) -> Iterator[Tensor]:
    order = SceneOrder(seed, len(images), min(batch, len(images)))
    for step in range(steps):
        if stop.signum is not None:
            return
        yield images.batch(order.at(step)).float() / 255
        on_step(step + 1)


def _generators(seed: int, purpose: str, device: torch.device) -> Callable[[str, int], torch.Generator]:
    return lambda name, step: generator(seed, f"{purpose}/{name}", step, device)
