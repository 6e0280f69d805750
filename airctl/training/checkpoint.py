"""Checkpoints: weights and optimiser state as safetensors, the rest as JSON, a manifest with every sha256.

A checkpoint is a folder ``step_00001000`` that appears by one rename, after all that it holds is on the disk, and that
goes by one. Nothing here unpickles. A damaged checkpoint is never loaded and never deleted: it is set aside under a
name that says so.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save as tensors_as_bytes
from torch import nn

from airctl.errors import ConfigError, InputFileError
from airctl.files import is_regular, make_folder, put, read_small, sha256_of, storage_errors, sync, write_text
from airctl.results.as_json import loads
from airctl.training.tensors import (
    Optimizers,
    holds_finite,
    load_optimizers,
    module_tensors,
    optimizer_tensors,
    read_some,
    read_tensors,
    require_finite,
)

TENSORS = ("model.safetensors", "optimizer.safetensors")
FILES = (*TENSORS, "state.json")
_MOST_JSON = 1 << 20  # bytes


def save(folder: Path, step: int, modules: nn.Module, optimizers: Optimizers, state: Mapping[str, Any]) -> Path:
    """Write checkpoint ``folder/step_XXXXXXXX`` whole or not at all, and return its path.

    One of the same step that is there is never touched before the new one is on the disk: if it holds the same bytes it
    stays, and if not it is set aside.
    """
    final = path_of(folder, step)
    part = _part(final)
    contents = {
        TENSORS[0]: tensors_as_bytes(module_tensors(modules)),
        TENSORS[1]: tensors_as_bytes(optimizer_tensors(modules, optimizers)),
        "state.json": _dumps({"step": step, **state}).encode(),
    }
    files = {name: {"bytes": len(b), "sha256": hashlib.sha256(b).hexdigest()} for name, b in contents.items()}
    with storage_errors(final):
        make_folder(folder)
        _remove(part)
        part.mkdir()
        for name, content in (contents | {"manifest.json": _dumps({"files": files}).encode()}).items():
            put(part / name, content)
        sync(part)
        if final.exists():
            if is_whole(final) and _read_json(final / "manifest.json") == {"files": files}:
                _remove(part)
                return final
            os.replace(final, _free_name(folder / f"replaced_{final.name}"))
        os.replace(part, final)
        sync(folder)
    return final


def load(checkpoint: Path, modules: nn.Module, optimizers: Optimizers = ()) -> dict[str, Any]:
    """Check ``checkpoint`` against its manifest, put it into ``modules`` (and ``optimizers``) and return its state.

    Raises ``InputFileError`` for anything missing, changed, of another shape or not finite; then nothing has been
    loaded.
    """
    verify(checkpoint)
    state = _read_state(checkpoint)
    wanted = module_tensors(modules)
    weights = read_tensors(checkpoint / TENSORS[0], sum(t.nbytes for t in wanted.values()), lambda stored: wanted)
    require_finite(weights, checkpoint / TENSORS[0])
    if optimizers:
        load_optimizers(modules, optimizers, checkpoint / TENSORS[1], fresh=state["step"] == 0)
    with torch.no_grad():
        for name, tensor in modules.state_dict().items():
            tensor.copy_(weights[name])
    return state


def load_model(checkpoint: Path, model: nn.Module) -> dict[str, Any]:
    """``load`` of the model alone: what an estimator has learnt is left where it is, whatever estimator that was."""
    verify(checkpoint)
    state, expected = _read_state(checkpoint), module_tensors(model)
    weights = read_some(checkpoint / TENSORS[0], {f"model.{name}": tensor for name, tensor in expected.items()})
    require_finite(weights, checkpoint / TENSORS[0])
    with torch.no_grad():
        for name, tensor in model.state_dict().items():  # not ``expected``, which copies what is not contiguous
            tensor.copy_(weights[f"model.{name}"])
    return state


def weights_sha256(checkpoint: Path) -> str:
    """The sha256 of the weights, as the manifest of a checkpoint that ``verify`` has passed says it."""
    return str(_read_json(checkpoint / "manifest.json")["files"][TENSORS[0]]["sha256"])


def verify(checkpoint: Path) -> None:
    """Raise ``InputFileError`` unless each file of ``checkpoint`` has the size and sha256 that its manifest says."""
    files = _read_json(checkpoint / "manifest.json").get("files")
    if not isinstance(files, dict) or set(files) != set(FILES):
        raise InputFileError(f"{checkpoint / 'manifest.json'} does not list {', '.join(FILES)}")
    for name in FILES:
        path, entry = checkpoint / name, files[name]
        if path.is_symlink() or not is_regular(path):
            raise InputFileError(f"{path} is missing: the checkpoint is damaged")
        try:
            if not isinstance(entry, dict) or entry.get("bytes") != path.stat().st_size:
                raise InputFileError(f"{path} has not the size that its manifest says: the checkpoint is damaged")
            if entry.get("sha256") != sha256_of(path):
                raise InputFileError(f"{path} has not the sha256 that its manifest says: the checkpoint is damaged")
        except OSError as error:
            raise InputFileError(f"{path} cannot be read ({error.strerror}): the checkpoint is damaged") from error


def steps(folder: Path) -> list[int]:
    """The steps of the checkpoints in ``folder``, rising; whether they are whole is not looked at."""
    if not folder.is_dir():
        return []
    return sorted(step for entry in folder.iterdir() if (step := _named(entry.name)) is not None)


def path_of(folder: Path, step: int) -> Path:
    """The path of the checkpoint of ``step``."""
    return folder / f"step_{step:08d}"


def step_of(checkpoint: Path) -> int:
    """The step that the name of a checkpoint says."""
    return int(checkpoint.name.removeprefix("step_"))


def newest_valid(folder: Path) -> tuple[Path | None, list[str]]:
    """The newest whole checkpoint of finite weights, and a sentence for each that was set aside on the way to it."""
    told: list[str] = []
    for step in reversed(steps(folder)):
        checkpoint = path_of(folder, step)
        try:
            verify(checkpoint)
            if not holds_finite(checkpoint / TENSORS[0]):
                raise InputFileError(f"{checkpoint / TENSORS[0]} holds weights that are not finite")
        except InputFileError as error:
            aside = _free_name(folder / f"damaged_{checkpoint.name}")
            with storage_errors(aside):
                os.replace(checkpoint, aside)
            told.append(f"{error}; it was set aside as {aside.name}")
        else:
            return checkpoint, told
    return None, told


def point(folder: Path, name: str, step: int) -> None:
    """Let ``folder/name`` (``last`` or ``best``) name the checkpoint of ``step``."""
    if _pointed(folder / name) != step:
        write_text(folder / name, f"{path_of(folder, step).name}\n")


def resolve(folder: Path, which: str) -> Path:
    """The path of checkpoint ``which``: ``last``, ``best`` or a step; ``ConfigError`` tells which there are."""
    known = steps(folder)
    if which in ("last", "best"):
        named = _pointed(folder / which)
        if named is not None and named in known:
            return path_of(folder, named)
        if which == "last" and known:
            return path_of(folder, known[-1])
    elif re.fullmatch(r"[0-9]{1,12}", which) and int(which) in known:
        return path_of(folder, int(which))
    there = f"there are last, best and the steps {', '.join(map(str, known))}" if known else "there are none yet"
    raise ConfigError(f"{folder} has no checkpoint {which!r}: {there}")


def prune(folder: Path, keep: Collection[int | None]) -> None:
    """Delete the checkpoints whose step is not in ``keep``, and what killed processes left half done.

    A checkpoint loses its name before it loses its first file, so that half of one never passes for one.
    """
    with storage_errors(folder):
        for step in set(steps(folder)).difference(keep):
            checkpoint = path_of(folder, step)
            _remove(_part(checkpoint))
            os.replace(checkpoint, _part(checkpoint))
        for rest in folder.glob("*.part"):
            _remove(rest)


def _part(path: Path) -> Path:
    return path.with_name(f"{path.name}.part")


def _remove(path: Path) -> None:
    """Delete a folder or a file if it is there, and of a link nothing but the link."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def is_whole(checkpoint: Path) -> bool:
    """Whether ``verify`` finds nothing."""
    try:
        verify(checkpoint)
    except InputFileError:
        return False
    return True


def _pointed(pointer: Path) -> int | None:
    """The step that ``last`` or ``best`` names; None for whatever is no such name."""
    try:
        return _named(read_small(pointer, 64).decode("ascii", "replace").rstrip())
    except InputFileError:
        return None


def _named(name: str) -> int | None:
    """The step of which ``name`` is the checkpoint; None for any other name, such as one with more zeros."""
    digits = re.fullmatch(r"step_([0-9]{8,12})", name)
    return int(digits[1]) if digits and path_of(Path(), int(digits[1])).name == name else None


def _free_name(path: Path) -> Path:
    number, free = 1, path
    while free.exists() or free.is_symlink():
        number, free = number + 1, path.with_name(f"{path.name}_{number}")
    return free


def _read_state(checkpoint: Path) -> dict[str, Any]:
    state = _read_json(checkpoint / "state.json")
    if type(state.get("step")) is not int or state["step"] != step_of(checkpoint):
        raise InputFileError(f"{checkpoint / 'state.json'} is not of the step that the folder's name says")
    return state


def _read_json(path: Path) -> dict[str, Any]:
    try:
        value = loads(read_small(path, _MOST_JSON))
    except (ValueError, RecursionError, InputFileError) as error:
        raise InputFileError(f"{path} cannot be read as JSON: the checkpoint is damaged ({error})") from error
    if not isinstance(value, dict):
        raise InputFileError(f"{path} does not hold a JSON object: the checkpoint is damaged")
    return value


def _dumps(value: Mapping[str, Any]) -> str:
    return json.dumps(value, indent=1, sort_keys=True) + "\n"
