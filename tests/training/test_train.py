"""Training: it goes on where it stopped to the last byte, and says what it cannot do."""

from __future__ import annotations

import json
import os
import shutil
import signal
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from small import tiny

import airctl
from airctl.commands.train import fit_to_data, train
from airctl.errors import ConfigError, InputFileError, NotFiniteError, RunInUseError
from airctl.files import sha256_of
from airctl.results.records import choose, pixels
from airctl.scenes import read_split
from airctl.training import Learner, Progress, RunFolder, TrainResult, exported, memory, session, training_step
from airctl.training import checkpoint as checkpoints
from airctl.training.frames import due
from airctl.training.tensors import holds_finite

ESTIMATORS = ("exact", "score-function-neural", "score-function-average", "report-2019")


def contents(run: Path) -> dict[str, bytes]:
    """The bytes that must not depend on stops: the last checkpoint, the metrics and the pictures over training."""
    last = checkpoints.resolve(run / "checkpoints", "last")
    files = {name: (last / name).read_bytes() for name in checkpoints.FILES}
    files |= {path.name: path.read_bytes() for path in [*run.glob("frames/*"), *run.glob("figures/*")]}
    return files | {name: (run / name).read_bytes() for name in ("metrics.jsonl", "metrics.csv")}


def train_until(step: int, data: Path, run: Path, **options: object) -> TrainResult:
    """Train, and be sent SIGTERM in step ``step``."""

    def stop(progress: Progress) -> None:
        if progress.step == step:
            os.kill(os.getpid(), signal.SIGTERM)

    return train(data, run, tiny(), threads=1, on_progress=stop, **options)


RECIPES = [("recurrent", name) for name in ESTIMATORS] + [("fast", "marginal"), ("fast", "score-function-neural")]


@pytest.mark.parametrize(("preset", "name"), RECIPES)
def test_stopped_and_resumed_is_the_run_that_was_not(preset: str, name: str, data: Path, tmp_path: Path) -> None:
    """Three stops change no byte of weights, optimisers, state and metrics, with either network, lessons and memory."""
    config = tiny(f"objective.estimator={name}", "objective.paste_from=0", preset=preset)
    train(data, tmp_path / "whole", config, threads=1)

    def stop(progress: Progress) -> None:
        if progress.step in (3, 5, 10):
            os.kill(os.getpid(), signal.SIGTERM)

    for _ in range(4):
        train(data, tmp_path / "parts", config, threads=1, resume=True, on_progress=stop)
    assert contents(tmp_path / "parts") == contents(tmp_path / "whole")


def test_another_seed_is_another_run(data: Path, tmp_path: Path) -> None:
    """The control of the test above: its comparison can tell runs apart."""
    for seed in (0, 1):
        train(data, tmp_path / str(seed), tiny(f"train.seed={seed}"), threads=1)
    assert contents(tmp_path / "0") != contents(tmp_path / "1")


def test_a_signal_finishes_the_step_and_saves(data: Path, tmp_path: Path) -> None:
    """SIGTERM in step 7 leaves a whole checkpoint of step 7, and is told."""
    result = train_until(7, data, tmp_path / "run")
    assert (result.steps, result.stopped_by) == (7, signal.SIGTERM)
    assert checkpoints.resolve(tmp_path / "run/checkpoints", "last").name == "step_00000007"


def test_a_damaged_checkpoint_is_set_aside_and_the_one_before_it_used(data: Path, tmp_path: Path) -> None:
    """One flipped bit in the newest weights: the run falls back, says so, keeps the evidence, ends the same."""
    train(data, tmp_path / "whole", tiny(), threads=1)
    train_until(7, data, tmp_path / "run")
    weights = tmp_path / "run/checkpoints/step_00000007/model.safetensors"
    damaged = bytearray(weights.read_bytes())
    damaged[-5] ^= 1
    weights.write_bytes(damaged)
    told: list[str] = []
    train(data, tmp_path / "run", tiny(), threads=1, resume=True, say=told.append)
    assert any("set aside as damaged_step_00000007" in line for line in told)
    assert (tmp_path / "run/checkpoints/damaged_step_00000007/model.safetensors").read_bytes() == damaged
    assert contents(tmp_path / "run") == contents(tmp_path / "whole")


def test_a_run_in_the_folder_is_not_overwritten(data: Path, finished: Path) -> None:
    """Without --resume a folder that holds a run is refused."""
    with pytest.raises(ConfigError, match="already holds a run: say resume=True"):
        train(data, finished, tiny(), threads=1)


@pytest.mark.parametrize(("settings", "message"), [(["network.hidden=17"], "another config"), ([], "another file")])
def test_resume_wants_the_same_config_and_data(
    settings: list[str], message: str, data: Path, finished: Path, tmp_path: Path
) -> None:
    """A run goes on only with what it was started with."""
    other = shutil.copy(data, tmp_path / "other.h5")
    with open(other, "ab") as stream:
        stream.write(b"\0")
    config = tiny("objective.estimator=score-function-neural", *settings)
    with pytest.raises(ConfigError, match=message):
        train(Path(other), finished, config, threads=1, resume=True)


def test_one_writer_a_run(data: Path, tmp_path: Path) -> None:
    """While one process holds the folder, the next is refused and told who holds it."""
    with RunFolder(tmp_path).lock(), pytest.raises(RunInUseError, match=f"process {os.getpid()} on "):
        train(data, tmp_path, tiny(), threads=1)


def test_a_loss_that_is_not_finite_is_met_with_smaller_steps_and_then_told(data: Path, tmp_path: Path) -> None:
    """A learning rate that breaks all ends after three halvings, names the term, and keeps a whole checkpoint."""
    told: list[str] = []
    with pytest.raises(NotFiniteError, match=r"not finite at step \d+, with a learning rate 8 times smaller too"):
        train(data, tmp_path, tiny("optimiser.lr=1e30"), threads=1, say=told.append)
    assert sum("half the learning rate" in line for line in told) == session.RETRIES
    checkpoints.verify(checkpoints.resolve(tmp_path / "checkpoints", "last"))


def test_too_few_scenes_are_told(data: Path, tmp_path: Path) -> None:
    """A batch that the training scenes do not fill is refused with advice."""
    with pytest.raises(ConfigError, match="do not fill one batch"):
        train(data, tmp_path, tiny("train.batch=4096"), threads=1)


@pytest.mark.parametrize("setting", ["train.batch=4096", "train.validation=500", "model.num_steps=64"])
def test_a_refused_start_leaves_no_run(setting: str, data: Path, tmp_path: Path, monkeypatch) -> None:
    """The corrected command starts in the same folder as if nothing had been asked before."""
    with monkeypatch.context() as changed:
        if setting.startswith("model"):
            changed.setattr(memory, "half_of_the_memory", lambda: 5e5)
        with pytest.raises(ConfigError):
            train(data, tmp_path, tiny(setting), threads=1)
    assert {path.name for path in tmp_path.iterdir()} <= {".lock"}
    assert train(data, tmp_path, tiny("train.steps=1"), threads=1).steps == 1


def test_weights_that_a_step_spoils_reach_no_checkpoint(data: Path, tmp_path: Path, monkeypatch) -> None:
    """A step after which a weight is not finite is taken back, with half the learning rate."""
    told: list[str] = []
    taken = training_step

    def spoils(learner, config, images, step, slowdown, *rest):
        surrogate = taken(learner, config, images, step, slowdown, *rest)
        if step == 7 and slowdown == 1:
            with torch.no_grad():
                next(iter(learner.modules.parameters())).view(-1)[0] = float("inf")
        return surrogate

    monkeypatch.setattr(session, "training_step", spoils)
    assert train(data, tmp_path, tiny(), threads=1, say=told.append).steps == 12
    assert any("the weights are not finite at step 7: going back" in line for line in told)
    for step in checkpoints.steps(tmp_path / "checkpoints"):
        assert holds_finite(checkpoints.path_of(tmp_path / "checkpoints", step) / checkpoints.TENSORS[0])


def spoil(checkpoint: Path) -> None:
    """NaN among the weights, and a manifest that fits."""
    path = checkpoint / checkpoints.TENSORS[0]
    tensors = load_file(path)
    next(tensors[name] for name in tensors if name.startswith("model.decoder")).view(-1)[0] = float("nan")
    save_file(tensors, path)
    told = json.loads((checkpoint / "manifest.json").read_text())
    told["files"][path.name] = {"bytes": path.stat().st_size, "sha256": sha256_of(path)}
    (checkpoint / "manifest.json").write_text(json.dumps(told))


def test_weights_that_are_not_finite_are_not_loaded(data: Path, tmp_path: Path) -> None:
    """load and an exported model refuse them; a resumed run says so, and ends as it did from the checkpoint before."""
    train(data, tmp_path / "a", tiny(preset="fast"), threads=1)
    expected, last = contents(tmp_path / "a"), checkpoints.resolve(tmp_path / "a/checkpoints", "last")
    spoil(last)
    with pytest.raises(InputFileError, match="is not finite"):
        airctl.load(tmp_path / "a", device="cpu")
    told: list[str] = []
    train(data, tmp_path / "a", tiny(preset="fast"), resume=True, threads=1, say=told.append)
    assert any("not finite; it was set aside as damaged_step_00000012" in line for line in told)
    assert any("resumed at step 10" in line for line in told)
    assert contents(tmp_path / "a") == expected
    assert airctl.load(tmp_path / "a", "10", device="cpu").step == 10  # NaN in what is usual is no fault


def test_an_exported_model_of_such_weights_is_refused(data: Path, finished: Path, tmp_path: Path, monkeypatch) -> None:
    """Whoever made it gave it a sha256 that fits."""
    loaded = airctl.load(finished, device="cpu")
    with torch.no_grad():
        next(loaded.model.decoder.parameters()).view(-1)[0] = float("inf")
    path = tmp_path / "a.airctl"
    exported.write(path, "a", 12, loaded.config, loaded.data, loaded.weights_sha256, loaded.model)
    with pytest.raises(InputFileError, match="is not finite"):
        airctl.load(path, device="cpu")


def test_a_checkpoint_deleted_while_it_is_read_is_not_called_damaged(
    data: Path, finished: Path, tmp_path: Path, monkeypatch
) -> None:
    """``last`` is read again, and of a step it is told which there are."""
    run = Path(shutil.copytree(finished, tmp_path / "run"))
    load_model, folder = checkpoints.load_model, run / "checkpoints"

    def pruned(checkpoint, model):
        if checkpoint.name == "step_00000012":
            checkpoints.prune(folder, {0, 5, 10})
        return load_model(checkpoint, model)

    monkeypatch.setattr(checkpoints, "load_model", pruned)
    assert airctl.load(run, device="cpu").step == 10
    shutil.copytree(finished / "checkpoints/step_00000012", folder / "step_00000012")
    with pytest.raises(ConfigError, match="12"):
        airctl.load(run, "12", device="cpu")


def test_metrics_survive_a_torn_last_line(data: Path, tmp_path: Path) -> None:
    """Half a line, as a kill can leave it, is passed over and then cut off."""
    train_until(10, data, tmp_path / "run")
    train(data, tmp_path / "whole", tiny(), threads=1)
    with open(tmp_path / "run/metrics.jsonl", "a") as stream:
        stream.write('{"step": 11, "el')
    train(data, tmp_path / "run", tiny(), threads=1, resume=True)
    assert contents(tmp_path / "run") == contents(tmp_path / "whole")


def test_old_checkpoints_go_and_the_chosen_ones_stay(data: Path, tmp_path: Path) -> None:
    """The first, the last k, the best and every n-th checkpoint are kept."""
    train(data, tmp_path, tiny("train.keep_last=1", "train.checkpoint_every=1", "train.keep_every=4"), threads=1)
    best = checkpoints.step_of(checkpoints.resolve(tmp_path / "checkpoints", "best"))
    assert set(checkpoints.steps(tmp_path / "checkpoints")) == {0, 4, 8, 12, best}


def test_a_step_lowers_the_loss_it_was_taken_on(data: Path) -> None:
    """Fifty steps on one batch raise its ELBO: the sign of the surrogate is right."""
    images = torch.from_numpy(read_split(data, "train").images[:8])
    config = fit_to_data(tiny("optimiser.lr=0.003", "train.steps=50"), (8, 50, 50))
    learner = Learner.build(config, torch.device("cpu"))
    elbos = [training_step(learner, config, images, step).elbo.mean().item() for step in range(50)]
    assert elbos[-1] > elbos[0] + 10


def test_frames_show_the_same_scenes_from_first_step_to_last(data: Path, finished: Path) -> None:
    """Frames of steps 0, 10 and 12 show the same scenes with different reconstructions; none of them is trained on."""
    frames = RunFolder(finished).read_frames()
    assert [frame["step"] for frame in frames] == [0, 10, 12]
    shown = [[row["image"] for row in frame["scenes"]] for frame in frames]
    assert shown[0] == shown[1] == shown[2]
    assert frames[0]["scenes"] != frames[2]["scenes"]
    held_out = read_split(data, "train").images[-40:] / 255
    for row in frames[0]["scenes"]:
        distance = np.abs(held_out - pixels(row["image"])).max((1, 2))
        assert (distance == 0).any()


def test_frames_lie_as_close_at_the_start_as_at_the_end() -> None:
    """Steps 0, 10, 20, 30, 50, 70, 100, ...: the report's 1k, 10k and 200k are among them, 23 in all."""
    steps = [step for step in range(200_001) if due(step)]
    assert steps[:8] == [0, 10, 20, 30, 50, 70, 100, 200]
    assert {1_000, 10_000, 200_000} <= set(steps)
    assert len(steps) == 23


@pytest.mark.parametrize("text", ["{", "{}", '{"step": 0, "scenes": [{}]}', '{"step": 0, "scenes": 3}'])
def test_a_frame_that_is_none_is_told(text: str, data: Path, finished: Path, tmp_path: Path) -> None:
    """The pictures at the end of a training are refused in one sentence; what was trained is there all the same."""
    run = Path(shutil.copytree(finished, tmp_path / "run"))
    (run / "frames/step_00000000.json").write_text(text)
    config = tiny("objective.estimator=score-function-neural")
    with pytest.raises(InputFileError, match=r"frames|cannot be read as JSON"):
        train(data, run, config, threads=1, resume=True)
    assert checkpoints.resolve(run / "checkpoints", "last").name == "step_00000012"


def test_watched_scenes_have_every_count_and_one_empty_canvas() -> None:
    """Each count takes its turn; scenes without objects are not shown again and again."""
    counts = [0, 0, 0, 1, 1, 1, 2, 1, 2, 2, 1, 2, 0, 1]
    assert sorted(counts[i] for i in choose(counts)) == [0, 1, 1, 1, 1, 2, 2, 2]
    assert choose([2]) == [0]
    assert choose([0] * 5) == [0]


def test_metrics_csv_holds_the_lines_of_metrics_jsonl(finished: Path) -> None:
    """The table and the log say the same."""
    rows = [json.loads(line) for line in (finished / "metrics.jsonl").read_text().splitlines()]
    table = [line.split(",") for line in (finished / "metrics.csv").read_text().splitlines()]
    assert [float(line[1]) for line in table[1:]] == [row["elbo"] for row in rows]
