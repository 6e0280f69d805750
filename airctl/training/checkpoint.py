"""Checkpoints: weights and optimiser state as safetensors, the rest as JSON, a manifest with every sha256.

A checkpoint is a folder ``step_00001000`` that appears by one rename, after all that it holds is on the disk. Nothing
here unpickles. A damaged checkpoint is never loaded and never deleted: it is set aside under a name that says so.
"""

from __future__ import annotations

import json
import os
import re
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from airctl.errors import ConfigError, InputFileError
from airctl.files import sha256_of, storage_errors, sync, write_text

TENSORS = ("model.safetensors", "optimizer.safetensors")
FILES = (*TENSORS, "state.json")
_SMALL = 1 << 20  # no JSON of a checkpoint is larger


def save(
    folder: Path, step: int, modules: nn.Module, optimizer: torch.optim.Optimizer, state: Mapping[str, Any]
) -> Path:
    """Write checkpoint ``folder/step_XXXXXXXX`` whole or not at all, and return its path.

    A checkpoint of the same step is replaced: it holds the same bytes unless it was damaged.
    """
    final = folder / f"step_{step:08d}"
    part = folder / f"{final.name}.part"
    with storage_errors(final):
        shutil.rmtree(part, ignore_errors=True)
        part.mkdir(parents=True)
        save_file(_tensors(modules), part / TENSORS[0])
        save_file(_optimizer_tensors(modules, optimizer), part / TENSORS[1])
        (part / "state.json").write_text(_dumps({"step": step, **state}), encoding="utf-8")
        manifest = {name: {"bytes": (part / name).stat().st_size, "sha256": sha256_of(part / name)} for name in FILES}
        for name in FILES:
            sync(part / name)
        (part / "manifest.json").write_text(_dumps({"files": manifest}), encoding="utf-8")
        sync(part / "manifest.json")
        sync(part)
        if final.exists():
            shutil.rmtree(final)
        os.replace(part, final)
        sync(folder)
    return final


def load(checkpoint: Path, modules: nn.Module, optimizer: torch.optim.Optimizer | None = None) -> dict[str, Any]:
    """Check ``checkpoint`` against its manifest, put it into ``modules`` (and ``optimizer``) and return its state.

    Raises ``InputFileError`` for anything missing, changed or of another shape; then nothing has been loaded.
    """
    verify(checkpoint)
    state = _read_json(checkpoint / "state.json")
    if type(state.get("step")) is not int:
        raise InputFileError(f"{checkpoint / 'state.json'} does not say its step")
    weights = _read_tensors(checkpoint / TENSORS[0], _tensors(modules))
    if optimizer is not None:
        _load_optimizer(modules, optimizer, checkpoint / TENSORS[1], fresh=state["step"] == 0)
    with torch.no_grad():
        for name, tensor in _tensors(modules).items():
            tensor.copy_(weights[name])
    return state


def verify(checkpoint: Path) -> None:
    """Raise ``InputFileError`` unless each file of ``checkpoint`` has the size and sha256 that its manifest says."""
    files = _read_json(checkpoint / "manifest.json").get("files")
    if not isinstance(files, dict) or set(files) != set(FILES):
        raise InputFileError(f"{checkpoint / 'manifest.json'} does not list {', '.join(FILES)}")
    for name in FILES:
        path, entry = checkpoint / name, files[name]
        if path.is_symlink() or not path.is_file():
            raise InputFileError(f"{path} is missing: the checkpoint is damaged")
        if not isinstance(entry, dict) or entry.get("bytes") != path.stat().st_size:
            raise InputFileError(f"{path} has not the size that its manifest says: the checkpoint is damaged")
        if entry.get("sha256") != sha256_of(path):
            raise InputFileError(f"{path} has not the sha256 that its manifest says: the checkpoint is damaged")


def steps(folder: Path) -> list[int]:
    """The steps of the checkpoints in ``folder``, rising; whether they are whole is not looked at."""
    if not folder.is_dir():
        return []
    return sorted(int(m[1]) for entry in folder.iterdir() if (m := re.fullmatch(r"step_(\d{8,12})", entry.name)))


def path_of(folder: Path, step: int) -> Path:
    """The path of the checkpoint of ``step``."""
    return folder / f"step_{step:08d}"


def step_of(checkpoint: Path) -> int:
    """The step that the name of a checkpoint says."""
    return int(checkpoint.name.removeprefix("step_"))


def newest_valid(folder: Path) -> tuple[Path | None, list[str]]:
    """The newest whole checkpoint, and a sentence for each damaged one that was set aside on the way to it."""
    told: list[str] = []
    for step in reversed(steps(folder)):
        checkpoint = path_of(folder, step)
        try:
            verify(checkpoint)
        except InputFileError as error:
            aside = _free_name(folder / f"damaged_{checkpoint.name}")
            os.replace(checkpoint, aside)
            told.append(f"{error}; it was set aside as {aside.name}")
        else:
            return checkpoint, told
    return None, told


def point(folder: Path, name: str, step: int) -> None:
    """Let ``folder/name`` (``last`` or ``best``) name the checkpoint of ``step``."""
    write_text(folder / name, f"{path_of(folder, step).name}\n")


def resolve(folder: Path, which: str) -> Path:
    """The path of checkpoint ``which``: ``last``, ``best`` or a step; ``ConfigError`` tells which there are."""
    known = steps(folder)
    if which in ("last", "best"):
        try:
            with open(folder / which, encoding="utf-8") as pointer:
                named = re.fullmatch(r"step_(\d{8,12})", pointer.read(64).strip())
        except (OSError, UnicodeDecodeError):
            named = None
        if named and int(named[1]) in known:
            return path_of(folder, int(named[1]))
        if which == "last" and known:
            return path_of(folder, known[-1])
    elif re.fullmatch(r"[0-9]{1,12}", which) and int(which) in known:
        return path_of(folder, int(which))
    there = f"there are last, best and the steps {', '.join(map(str, known))}" if known else "there are none yet"
    raise ConfigError(f"{folder} has no checkpoint {which!r}: {there}")


def prune(folder: Path, keep: set[int]) -> None:
    """Delete the checkpoints whose step is not in ``keep``."""
    for step in steps(folder):
        if step not in keep:
            shutil.rmtree(path_of(folder, step), ignore_errors=True)


def _free_name(path: Path) -> Path:
    number, free = 1, path
    while free.exists():
        number, free = number + 1, path.with_name(f"{path.name}_{number}")
    return free


def _tensors(modules: nn.Module) -> dict[str, Tensor]:
    return {name: tensor.detach() for name, tensor in modules.state_dict().items()}


def _optimizer_tensors(modules: nn.Module, optimizer: torch.optim.Optimizer) -> dict[str, Tensor]:
    names: dict[Tensor, str] = {parameter: name for name, parameter in modules.named_parameters()}
    return {
        f"{names[parameter]}:{key}": value.detach()
        for parameter, entries in optimizer.state.items()
        for key, value in entries.items()
    }


def _load_optimizer(modules: nn.Module, optimizer: torch.optim.Optimizer, path: Path, fresh: bool) -> None:
    """Adam's moments and step count of every parameter; before the first step (``fresh``) there are none."""
    parameters = dict(modules.named_parameters())
    expected: dict[str, Tensor] = {}
    for name, parameter in {} if fresh else parameters.items():
        expected[f"{name}:step"] = torch.zeros((), dtype=torch.float32)
        expected[f"{name}:exp_avg"] = expected[f"{name}:exp_avg_sq"] = parameter
    tensors = _read_tensors(path, expected)
    optimizer.state.clear()
    for name, tensor in tensors.items():
        parameter_name, _, key = name.rpartition(":")
        parameter = parameters[parameter_name]
        optimizer.state[parameter][key] = tensor.to(parameter.device)


def _read_tensors(path: Path, expected: Mapping[str, Tensor]) -> dict[str, Tensor]:
    try:
        tensors: dict[str, Tensor] = load_file(path)
    except (OSError, SafetensorError, ValueError, KeyError) as error:
        raise InputFileError(f"{path} cannot be read as safetensors: {error}") from error
    found = {name: (tensor.dtype, tensor.shape) for name, tensor in tensors.items()}
    wanted = {name: (tensor.dtype, tensor.shape) for name, tensor in expected.items()}
    if found != wanted:
        wrong = sorted(n for n in found.keys() | wanted.keys() if found.get(n) != wanted.get(n))
        raise InputFileError(f"{path} does not fit the run's config: {wrong[0]!r} is missing or of another shape")
    return tensors


def _read_json(path: Path) -> dict[str, Any]:
    try:
        with open(path, "rb") as stream:
            text = stream.read(_SMALL + 1)
        if len(text) > _SMALL:
            raise InputFileError(f"{path} is too large: expected a short JSON file")
        value = json.loads(text)
    except (OSError, ValueError, RecursionError) as error:
        raise InputFileError(f"{path} cannot be read as JSON: the checkpoint is damaged ({error})") from error
    if not isinstance(value, dict):
        raise InputFileError(f"{path} does not hold a JSON object: the checkpoint is damaged")
    return value


def _dumps(value: Mapping[str, Any]) -> str:
    return json.dumps(value, indent=1, sort_keys=True) + "\n"
