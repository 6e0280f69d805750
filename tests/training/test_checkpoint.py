"""Checkpoints: no changed byte is loaded, and what is refused is told in one sentence."""

from __future__ import annotations

import json
import pickle
import shutil
from pathlib import Path

import numpy as np
import pytest

import airctl
from airctl.commands.train import train
from airctl.errors import ConfigError, InputFileError
from airctl.training import checkpoint as checkpoints


@pytest.fixture
def run(finished: Path, tmp_path: Path) -> Path:
    """A copy of the finished run that a test may damage."""
    return Path(shutil.copytree(finished, tmp_path / "run"))


def last(run: Path) -> Path:
    return checkpoints.resolve(run / "checkpoints", "last")


def test_a_whole_run_loads(run: Path) -> None:
    """The control of all that follows."""
    assert airctl.load(run).step == 12


@pytest.mark.parametrize("name", [*checkpoints.FILES, "manifest.json"])
def test_every_file_is_needed(name: str, run: Path) -> None:
    """A checkpoint that lacks a file is refused by that file's name."""
    (last(run) / name).unlink()
    with pytest.raises(InputFileError, match=name):
        airctl.load(run)


@pytest.mark.parametrize("name", checkpoints.FILES)
def test_truncation_is_seen(name: str, run: Path) -> None:
    """Cut anywhere, a file is refused."""
    path = last(run) / name
    whole = path.read_bytes()
    for size in np.linspace(0, len(whole) - 1, 15).astype(int):
        path.write_bytes(whole[:size])
        with pytest.raises(InputFileError, match="damaged"):
            airctl.load(run)


@pytest.mark.parametrize("name", [*checkpoints.FILES, "manifest.json"])
def test_a_flipped_bit_is_seen_or_changes_nothing(name: str, run: Path) -> None:
    """Any one bit: refused, or (white space of the manifest) loaded as it was."""
    path = last(run) / name
    whole = path.read_bytes()
    draw = np.random.default_rng(0)
    before = {k: v.clone() for k, v in airctl.load(run).learner.modules.state_dict().items()}
    refused = 0
    for _ in range(40):
        damaged = bytearray(whole)
        damaged[draw.integers(len(whole))] ^= 1 << draw.integers(8)
        path.write_bytes(damaged)
        try:
            loaded = airctl.load(run)
        except InputFileError:
            refused += 1
        else:
            assert name == "manifest.json"
            assert all(v.equal(before[k]) for k, v in loaded.learner.modules.state_dict().items())
    assert refused >= 30


class _Trap:
    """A pickle that leaves a mark when it is loaded."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> tuple[object, ...]:
        return (Path.touch, (self.mark,))


@pytest.mark.parametrize("name", checkpoints.FILES)
def test_a_pickle_is_refused_and_not_run(name: str, run: Path, tmp_path: Path) -> None:
    """Even with a manifest that vouches for it, a pickle is never unpickled."""
    mark = tmp_path / "mark"
    (last(run) / name).write_bytes(pickle.dumps(_Trap(mark)))
    _vouch(last(run))
    with pytest.raises(InputFileError, match=name):
        checkpoints.load(last(run), *_fresh(run))
    assert not mark.exists()
    pickle.loads((last(run) / name).read_bytes())  # the control: the trap works
    assert mark.exists()


def test_weights_of_another_shape_are_refused_and_nothing_is_loaded(run: Path) -> None:
    """A vouched-for checkpoint of another model does not fit, and the module stays as it was."""
    from safetensors.torch import load_file, save_file

    tensors = load_file(last(run) / "model.safetensors")
    name = sorted(tensors)[0]
    save_file(tensors | {name: tensors[name][:1].clone()}, last(run) / "model.safetensors")
    _vouch(last(run))
    modules, optimizer = _fresh(run)
    before = {k: v.clone() for k, v in modules.state_dict().items()}
    with pytest.raises(InputFileError, match="does not fit the run's config"):
        checkpoints.load(last(run), modules, optimizer)
    assert all(v.equal(before[k]) for k, v in modules.state_dict().items())


@pytest.mark.parametrize("which", ["bset", "13", "-1", "../../etc", "step_00000012", "99999999999999999999"])
def test_an_unknown_checkpoint_is_told_with_those_there_are(which: str, run: Path) -> None:
    """What is not there is a usage error that lists what is."""
    with pytest.raises(ConfigError, match=r"there are last, best and the steps 0, .*12"):
        airctl.load(run, which)


def _fresh(run: Path) -> tuple[object, object]:
    learner = airctl.training.Learner.build(airctl.load(run, "0").config, airctl.training.pick_device("cpu"))
    return learner.modules, learner.optimizers


def _vouch(checkpoint: Path) -> None:
    """Write a manifest that fits the files as they are, as a hostile author would."""
    files = {
        name: {"bytes": (checkpoint / name).stat().st_size, "sha256": checkpoints.sha256_of(checkpoint / name)}
        for name in checkpoints.FILES
    }
    (checkpoint / "manifest.json").write_text(json.dumps({"files": files}))


def test_a_checkpoint_of_the_same_step_is_kept_or_set_aside(run: Path) -> None:
    """Saved again with the same bytes it stays; with others, the old one is set aside under a name of its own."""
    folder, (modules, optimizer) = run / "checkpoints", _fresh(run)
    state = checkpoints.load(last(run), modules, optimizer)
    step = state.pop("step")
    before = (last(run) / "manifest.json").stat().st_ino
    checkpoints.save(folder, step, modules, optimizer, state)
    assert (last(run) / "manifest.json").stat().st_ino == before
    for retries in (1, 2):
        checkpoints.save(folder, step, modules, optimizer, state | {"retries": retries})
        assert checkpoints.load(last(run), modules, optimizer)["retries"] == retries
    assert len([path for path in folder.glob("replaced_step_*") if checkpoints.is_whole(path)]) == 2


def test_a_folder_with_more_zeros_is_no_checkpoint(run: Path) -> None:
    """step_000000000099 would be looked for as step_00000099; neither list nor pointer takes it for one."""
    shutil.copytree(last(run), run / "checkpoints/step_000000000099")
    assert checkpoints.steps(run / "checkpoints") == checkpoints.steps(last(run).parent)
    assert 99 not in checkpoints.steps(run / "checkpoints")
    (run / "checkpoints/last").write_text("step_000000000012\n")
    assert airctl.load(run).step == 12


@pytest.mark.parametrize(
    "values",
    [
        {"best_step": 13}, {"retries": 4}, {"validation_accuracy": None},
        {"best_accuracy": 0.0, "validation_accuracy": 1.0},
    ],
)  # fmt: skip
def test_values_that_no_run_has_had_are_refused(values: dict[str, object], run: Path, data: Path) -> None:
    """A best step that is not done yet, more retries than there are, an accuracy above the best."""
    path = last(run) / "state.json"
    told = json.loads(path.read_text())
    config = airctl.load(run).config
    path.write_text(json.dumps(told))
    _vouch(last(run))
    assert train(data, run, config, resume=True, threads=1).steps == 12  # the control
    path.write_text(json.dumps(told | values))
    _vouch(last(run))
    with pytest.raises(InputFileError, match="the checkpoint is damaged"):
        train(data, run, config, resume=True, threads=1)


def test_a_checkpoint_under_another_name_is_refused(run: Path) -> None:
    """A folder renamed to another step does not pass for that step."""
    last(run).rename(run / "checkpoints/step_00000013")
    with pytest.raises(InputFileError, match="not of the step that the folder's name says"):
        airctl.load(run, "13")


def test_tensors_larger_than_the_config_says_are_refused_unread(run: Path) -> None:
    """A vouched-for file with a megabyte more than its tensors is not loaded into memory."""
    with open(last(run) / "model.safetensors", "ab") as stream:
        stream.write(bytes((1 << 20) + 1))
    _vouch(last(run))
    with pytest.raises(InputFileError, match="file not fully covered"):
        airctl.load(run)
    with pytest.raises(InputFileError, match="larger than its tensors"):
        checkpoints.load(last(run), *_fresh(run))


@pytest.mark.parametrize(
    ("content", "message"),
    [("[]", "does not hold a JSON object"), ('{"files": {}}', "does not list"), (" " * (1 << 21), "too large")],
)
def test_a_manifest_of_another_form_is_refused(content: str, message: str, run: Path) -> None:
    """Each with its own sentence."""
    (last(run) / "manifest.json").write_text(content)
    with pytest.raises(InputFileError, match=message):
        airctl.load(run)
