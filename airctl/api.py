"""What the commands do, as functions: a run folder or a data file in, numbers out, results kept in the run folder."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from airctl import scenes
from airctl.config import Config
from airctl.errors import ConfigError
from airctl.evaluation import evaluate_boxes, evaluate_counts, find, fit_baselines, outcomes, shares
from airctl.evaluation import measure_variance as measure
from airctl.evaluation.effort import CROWDED, USUAL
from airctl.evaluation.refine import explanations
from airctl.evaluation.variance import parameter_groups
from airctl.files import atomic_path, write_text
from airctl.model import AIR, boxes, truncated_geometric
from airctl.objectives import ESTIMATORS, estimator, require_known
from airctl.reporting import figures
from airctl.reporting.charts import variance_charts
from airctl.reporting.dataset import dataset_picture
from airctl.reporting.gallery import make_gallery
from airctl.reporting.page import RunReport, report_page
from airctl.reporting.pictures import scene_grid
from airctl.reporting.records import as_written
from airctl.reporting.tables import count_table
from airctl.reporting.variance import variance_table
from airctl.training import Learner, RunFolder, pick_device
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
PICTURED = 16  # scenes in a picture


class Loaded:
    """A trained model with the config it was trained by and the checkpoint it comes from."""

    def __init__(self, run: Path, checkpoint: str = "last", device: str = "auto") -> None:
        self.folder = RunFolder(run)
        self.config: Config = self.folder.config()
        self.device = pick_device(device)
        self.path = checkpoints.resolve(self.folder.checkpoints, checkpoint)
        self.learner = Learner.build(self.config, self.device)
        self.step: int = checkpoints.load(self.path, self.learner.modules)["step"]

    @property
    def model(self) -> AIR:
        """The model, on ``device``."""
        return self.learner.model

    def log_p(self, num_steps: int | None = None) -> Tensor:
        """The count prior at the end of its annealing, log p(n) [N + 1]."""
        return truncated_geometric(self.config.prior.count, num_steps or self.config.model.num_steps)


def load(run: Path | str, checkpoint: str = "last", device: str = "auto") -> Loaded:
    """Load checkpoint ``last``, ``best`` or a step of a run; every byte is checked against its manifest first."""
    return Loaded(Path(run), checkpoint, device)


def evaluate(
    run: Path | str,
    *,
    data: Path | None = None,
    split: str = "test",
    checkpoint: str = "last",
    num_steps: int | None = None,
    crowded: bool = False,
    min_accuracy: float = 0.0,
    seed: int = 0,
    device: str = "auto",
) -> dict[str, Any]:
    """Count the scenes of ``split`` of ``data`` (by default the run's own file); write eval.json and eval.md.

    From the same pass come gallery.json (scenes of every outcome) and pictures in figures/.

    ``num_steps`` lets the model take more steps than in training; ``crowded`` looks longer and doubts less, for scenes
    of three objects or more that overlap; ``accurate_enough`` of the result tells whether ``min_accuracy`` was reached.
    """
    loaded = load(run, checkpoint, device)
    path, images, true = _scenes_for(loaded, data, split)
    model, log_p = loaded.model, loaded.log_p(num_steps)
    found = find(model, images, log_p, CROWDED if crowded else USUAL)
    noise = generator(seed, "evaluate", 0, loaded.device)
    report = evaluate_counts(model, images, found.counts, found.amortised, true.counts, log_p, noise)
    named = outcomes(found, true.images, true.boxes)
    result = {"run": str(run), "data": str(path), "split": split, "step": loaded.step, "seed": seed}
    result |= {"num_steps": len(log_p) - 1, "crowded": crowded, **asdict(report)}
    result |= {**asdict(evaluate_boxes(found, true.boxes)), "outcomes": shares(named)}
    result["accurate_enough"] = report.count_accuracy >= min_accuracy
    gallery = make_gallery(model, found, true, named, log_p, generator(seed, "gallery", 0, loaded.device))
    figures.save(figures.gallery_figures(result, gallery), loaded.folder.figures)
    loaded.folder.write_json("gallery.json", {"step": loaded.step, **gallery})
    loaded.folder.write_json("eval.json", result)
    write_text(loaded.folder.path / "eval.md", count_table(result) + "\n")
    return result


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
            for name, picture in variance_charts(result).items():
                with atomic_path(folder.figures / f"{name}.png") as part:
                    picture.save(part, format="PNG")
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
    images = _scenes_for(loaded, None, "train")[1]
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
        "parameters": {name: sum(p.numel() for p in group) for name, group in parameter_groups(model).items()},
        "estimators": {name: asdict(report) for name, report in reports.items()},
    }


def report(
    runs: Path | str | Sequence[Path | str], *, out: Path | None = None, data: Path | None = None, device: str = "auto"
) -> Path:
    """One HTML page for a run (by default its report.html), or for several side by side; returns its path.

    A run that is not evaluated yet is evaluated first, on the test scenes of ``data`` or of its own file.
    """
    paths = [Path(runs)] if isinstance(runs, Path | str) else [Path(run) for run in runs]
    if not paths:
        raise ConfigError("a report needs at least one run: name its folder")
    if len(paths) > 1 and out is None:
        raise ConfigError("a report of several runs belongs to none of them: say with --out where to write it")
    found = [_run_report(path, data, device) for path in paths]
    names = [path.resolve().name for path in paths]
    if len(set(names)) < len(names):
        found = [replace(run, name=run.path) for run in found]
    out = out or paths[0] / "report.html"
    with as_written(", ".join(map(str, paths))):
        page = report_page(found)
    write_text(out, page)
    return out


def _run_report(path: Path, data: Path | None, device: str) -> RunReport:
    folder = RunFolder(path).require()
    results = folder.read_results("eval.json"), folder.read_results("gallery.json")
    whole = all(results) and "count_accuracy_amortised" in results[0]
    if not whole or results[0].get("step") != results[1].get("step"):
        evaluate(path, data=data, device=device)
        results = folder.read_json("eval.json"), folder.read_json("gallery.json")
    return RunReport(
        name=path.resolve().name,
        path=str(path),
        config=folder.config(),
        command=folder.command(),
        environment=folder.read_results("environment.json"),
        data=folder.data(),
        metrics=folder.read_metrics(),
        frames=folder.read_frames(),
        result=results[0],
        gallery=results[1],
        variance=folder.read_results("variance.json") or None,
    )


def draw_run(run: Path | str, *, data: Path | None = None, checkpoint: str = "last", out: Path | None = None) -> Path:
    """A PNG of the first test scenes with their reconstructions and the boxes in step order; returns its path."""
    loaded = load(run, checkpoint)
    _, images, held_out = _scenes_for(loaded, data, "test")
    shown = images[:PICTURED]
    rollout, terms, _ = next(explanations(loaded.model, shown, loaded.log_p()))
    found = terms.log_q.argmax(1)
    canvases = rollout.canvases[torch.arange(len(shown)), found]
    edges = boxes(rollout.z_where, shown.shape[-1]).cpu().numpy()
    picture = scene_grid(
        shown.cpu().numpy() / 255,
        canvases.cpu().numpy(),
        [edge[:n] for edge, n in zip(edges, found.tolist(), strict=True)],
        held_out.counts[:PICTURED],
    )
    out = out or loaded.folder.figures / f"scenes_step_{loaded.step:08d}.png"
    with atomic_path(out) as part:
        picture.save(part, format="PNG")
    return out


def draw_data(data: Path | str, *, split: str = "train", out: Path | None = None) -> Path:
    """A PNG of a data file, its path returned: the first scenes with true boxes, and counts and pixels of them all."""
    found = scenes.read_split(Path(data), split)
    shown, counts = found.images[:PICTURED] / 255, found.counts[:PICTURED].tolist()
    if not counts:
        raise ConfigError(f"{data} has no scenes in its {split} split: name another --split or file")
    true = [edges[:n] for edges, n in zip(found.boxes, counts, strict=False)]
    picture = dataset_picture(shown, true, scenes.statistics(found))
    out = out or Path(data).with_suffix(".png")
    with atomic_path(out) as part:
        picture.save(part, format="PNG")
    return out


def _scenes_for(loaded: Loaded, data: Path | None, split: str) -> tuple[Path, Tensor, scenes.SceneSplit]:
    """The path, the images uint8 [S, D, D] on the model's device and all else of a split, checked to fit the model."""
    path = data or Path(loaded.folder.data()["path"])
    found = scenes.read_split(path, split)
    side = loaded.config.model.canvas
    if found.images.shape[1:] != (side, side):
        height, width = found.images.shape[1:]
        raise ConfigError(f"{path} has scenes of {width}x{height} pixels, but the run was trained on {side}x{side}")
    if not len(found.images):
        raise ConfigError(f"{path} has no scenes in its {split} split: name another --split or file")
    return path, torch.from_numpy(found.images).to(loaded.device), found


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
