"""Compare what a run counts and finds with what is true: ``airctl eval``."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Any

from airctl.commands.loaded import load, scenes_of
from airctl.evaluation import evaluate_boxes, evaluate_counts, outcomes, shares
from airctl.evaluation.gallery import make_gallery
from airctl.files import write_text
from airctl.inference import find
from airctl.reporting import figures
from airctl.reporting.tables import count_table
from airctl.training.randomness import generator


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
    path, images, true = scenes_of(loaded, data, split)
    model, log_p = loaded.model, loaded.log_p(num_steps)
    found = find(model, images, log_p)
    noise = generator(seed, "evaluate", 0, loaded.device)
    report = evaluate_counts(model, images, found.counts, found.counts, true.counts, log_p, noise)
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
