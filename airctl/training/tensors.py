"""Modules and optimisers as named tensors, and such tensors from safetensors files, each checked by name and shape."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file
from torch import Tensor, nn

from airctl.errors import InputFileError

Optimizers = Sequence[torch.optim.Optimizer]
_MOST_HEADER = 1 << 20  # bytes that a safetensors file holds beside its numbers


def module_tensors(modules: nn.Module) -> dict[str, Tensor]:
    """Parameters and buffers by their names, contiguous as a file needs them."""
    return {name: tensor.detach().contiguous() for name, tensor in modules.state_dict().items()}


def optimizer_tensors(modules: nn.Module, optimizers: Optimizers) -> dict[str, Tensor]:
    """What optimisers keep of each parameter, as "NAME:KEY", such as "model.decoder.0.weight:exp_avg"."""
    names: dict[Tensor, str] = {parameter: name for name, parameter in modules.named_parameters()}
    return {
        f"{names[parameter]}:{key}": value.detach().contiguous()
        for optimizer in optimizers
        for parameter, entries in optimizer.state.items()
        for key, value in entries.items()
    }


def read_tensors(
    path: Path, most: int, expected: Callable[[Collection[str]], Mapping[str, Tensor]]
) -> dict[str, Tensor]:
    """The tensors of a file of no more than ``most`` bytes of numbers, if they are those ``expected`` of its names.

    Raises ``InputFileError`` for one that is missing, too many or of another shape or type, as ``read_some`` does.
    """
    if path.stat().st_size > _MOST_HEADER + most:
        raise InputFileError(f"{path} does not fit the run's config: it is larger than its tensors")
    try:
        tensors = {_current_name(name): tensor for name, tensor in load_file(path).items()}
    except (OSError, SafetensorError, ValueError, KeyError) as error:
        raise InputFileError(f"{path} cannot be read as safetensors: {error}") from error
    found = {name: (tensor.dtype, tensor.shape) for name, tensor in tensors.items()}
    wanted = {name: (tensor.dtype, tensor.shape) for name, tensor in expected(tensors.keys()).items()}
    if found != wanted:
        wrong = sorted(n for n in found.keys() | wanted.keys() if found.get(n) != wanted.get(n))
        raise InputFileError(f"{path} does not fit the run's config: {wrong[0]!r} is missing or of another shape")
    return tensors


def read_some(path: Path, expected: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The tensors of ``expected`` from a file that may hold others."""
    found: dict[str, Tensor] = {}
    try:
        with safe_open(path, framework="pt") as file:
            held = {_current_name(name): name for name in file.keys()}  # noqa: SIM118  # it is no mapping
            for name, tensor in expected.items():
                stored = held.get(name, "")
                if not stored or tuple(file.get_slice(stored).get_shape()) != tuple(tensor.shape):
                    raise InputFileError(
                        f"{path} does not fit the run's config: {name!r} is missing or of another shape"
                    )
                found[name] = file.get_tensor(stored)
    except (OSError, SafetensorError, ValueError, KeyError) as error:
        raise InputFileError(f"{path} cannot be read as safetensors: {error}") from error
    wrong = [name for name, tensor in expected.items() if found[name].dtype != tensor.dtype]
    if wrong:
        raise InputFileError(f"{path} does not fit the run's config: {wrong[0]!r} is of another type")
    return found


def load_optimizers(modules: nn.Module, optimizers: Optimizers, path: Path, fresh: bool) -> None:
    """The state of the parameters that have had a gradient: Adam's moments and step count, Muon's momentum.

    From a file of ``optimizer_tensors``; a ``fresh`` optimiser has taken no step and has none. Raises
    ``InputFileError`` for anything else; then nothing has been loaded.
    """
    parameters = dict(modules.named_parameters())
    owner = {p: optimizer for optimizer in optimizers for group in optimizer.param_groups for p in group["params"]}

    def entries(name: str) -> dict[str, Tensor]:
        parameter = parameters[name]
        if isinstance(owner[parameter], torch.optim.Muon):
            return {f"{name}:momentum_buffer": parameter}
        moments = {f"{name}:{key}": parameter for key in ("exp_avg", "exp_avg_sq")}
        return {f"{name}:step": torch.zeros((), dtype=torch.float32)} | moments

    def expected(stored: Collection[str]) -> dict[str, Tensor]:
        taught = [] if fresh else [name for name in parameters if set(entries(name)) & set(stored)]
        if not fresh and not taught:
            raise InputFileError(f"{path} holds no optimiser state, which every step leaves: the checkpoint is damaged")
        return {key: like for name in taught for key, like in entries(name).items()}

    tensors = read_tensors(path, 2 * sum(p.nbytes for p in parameters.values()), expected)
    for optimizer in optimizers:
        optimizer.state.clear()
    for name, tensor in tensors.items():
        parameter_name, _, key = name.rpartition(":")
        parameter = parameters[parameter_name]
        like = parameter if key != "step" else tensor  # in the memory format that the parameter has
        owner[parameter].state[parameter][key] = torch.empty_like(like, device=parameter.device).copy_(tensor)


def require_finite(tensors: Mapping[str, Tensor], path: Path) -> None:
    """Raise ``InputFileError`` for a weight that is not finite: such a model answers, but it says nothing."""
    for name, tensor in tensors.items():
        if tensor.is_floating_point() and not name.endswith(_UNKNOWN_YET) and not torch.isfinite(tensor).all():
            raise InputFileError(
                f"{path} holds {name!r}, which is not finite: choose another checkpoint or train again"
            )


def holds_finite(path: Path) -> bool:
    """Whether no tensor of a file has such a value; a file that cannot be read is not what is asked about."""
    try:
        with safe_open(path, framework="pt") as file:
            for name in file.keys():  # noqa: SIM118  # it is no mapping
                require_finite({name: file.get_tensor(name)}, path)
    except (OSError, SafetensorError, ValueError, KeyError):
        return True
    except InputFileError:
        return False
    return True


_UNKNOWN_YET = "network.usual"  # what proposals learn at the end of a training: NaN before it

# What the parameters of older versions are called now, by the beginning of their names.
_RENAMED = {
    "model.embedding.": "model.network.embedding.",
    "model.cell.": "model.network.cell.",
    "model.predict.": "model.network.predict.",
    "model.where_head.": "model.network.where.head.",
    "model.present_head.": "model.network.present.",
    "model.encoder.0.": "model.encoder.layers.0.",
    "model.encoder.2.": "model.what.head.",
}


def _current_name(name: str) -> str:
    for old, new in _RENAMED.items():
        if name.startswith(old):
            return new + name.removeprefix(old)
    return name
