"""A trained model as one file, NAME.airctl: weights as safetensors, config and origin as JSON in their metadata.

Nothing of the training is in it, neither optimiser nor estimator. The JSON holds a sha256 over all the rest of the
file, which is checked before the model is used.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path, PurePath
from typing import Annotated

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save as tensors_as_bytes
from torch import Tensor, nn

from airctl import _version, config
from airctl.config import Config
from airctl.errors import ConfigError, InputFileError
from airctl.files import is_regular, write_bytes
from airctl.results.as_json import Is, from_json, loads, plain_value
from airctl.results.summary import DataOrigin
from airctl.results.units import Sha256, Steps
from airctl.training.tensors import require_finite

SUFFIX = ".airctl"
_KEY = "airctl"  # of the metadata
_MOST_HEADER = 1 << 20


@dataclass(frozen=True)
class Header:
    """What an exported model says of itself."""

    airctl: Annotated[str, Is("version that exported it")]
    run: Annotated[str, Is("name of the run")]
    step: Annotated[Steps, Is("of the checkpoint")]
    config: Annotated[str, Is("of the run, as TOML")]
    data: Annotated[DataOrigin, Is("what the model was trained on")]
    checkpoint_sha256: Annotated[Sha256, Is("of the checkpoint's weights")]
    sha256: Annotated[Sha256, Is("of all the rest of the file")] = ""

    def resolved(self, where: Path) -> Config:
        """The config of the run."""
        return config.loads(self.config, str(where))


def write(
    path: Path, run: str, step: int, resolved: Config, data: DataOrigin, sha256: str, model: nn.Module,
    force: bool = True,
) -> Header:  # fmt: skip
    """Write ``model`` to ``path``, all of it or nothing; ``sha256`` is that of the checkpoint it comes from.

    Of the path of ``data`` the file's name is written: the rest tells of a machine and its user.
    ``ConfigError`` for another suffix than .airctl, and for a file that is there, unless ``force`` replaces it.
    """
    if path.suffix != SUFFIX:
        raise ConfigError(f"out={path}: expected a name that ends in {SUFFIX}", "out")
    tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in model.state_dict().items()}
    data = replace(data, path=PurePath(data.path.replace("\\", "/")).name)
    header = Header(_version.__version__, run, step, config.dumps(resolved), data, sha256)
    header = replace(header, sha256=_digest(header, tensors))
    told = json.dumps({"schema": 1, **plain_value(asdict(header))})
    write_bytes(path, tensors_as_bytes(tensors, {_KEY: told}), force)
    return header


def read_header(path: Path) -> Header:
    """What the file says of itself, not yet checked against its sha256."""
    if not is_regular(path):
        raise InputFileError(f"{path}: no such file, expected a run folder or a model that 'airctl export' has made")
    try:
        with safe_open(path, framework="pt") as file:
            text = (file.metadata() or {}).get(_KEY, "")
        value = loads(text) if len(text) <= _MOST_HEADER else None
    except (OSError, SafetensorError, ValueError, RecursionError) as error:
        raise InputFileError(f"{path} is no model that 'airctl export' has made: {error}") from error
    if not isinstance(value, dict):
        raise InputFileError(f"{path} is no model that 'airctl export' has made: it has no description of airctl's")
    return from_json(Header, value, str(path))


def load(path: Path, header: Header, model: nn.Module) -> None:
    """Put the weights into ``model``.

    ``InputFileError``, with nothing loaded, for anything missing, changed or not finite.
    """
    expected = {name: tensor.detach() for name, tensor in model.state_dict().items()}
    if path.stat().st_size > 2 * _MOST_HEADER + sum(tensor.nbytes for tensor in expected.values()):
        raise InputFileError(f"{path} does not fit its config: it is larger than its weights")
    weights = _own_weights(path, header)
    kinds = [{name: (t.dtype, t.shape) for name, t in some.items()} for some in (weights, expected)]
    if kinds[0] != kinds[1]:
        raise InputFileError(f"{path} does not fit its config: its weights are those of another model")
    require_finite(weights, path)
    with torch.no_grad():
        for name, tensor in expected.items():
            tensor.copy_(weights[name])


def check(path: Path, header: Header) -> None:
    """Raise ``InputFileError`` unless the file has the sha256 that it says; no model is made."""
    _own_weights(path, header)


def _own_weights(path: Path, header: Header) -> dict[str, Tensor]:
    try:
        with safe_open(path, framework="pt") as file:
            weights = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118, it is no dict
    except (OSError, SafetensorError, ValueError) as error:
        raise InputFileError(f"{path} cannot be read as safetensors: {error}") from error
    _require_own(path, header, weights)
    return weights


def _require_own(path: Path, header: Header, weights: Mapping[str, Tensor]) -> None:
    if header.sha256 != _digest(header, weights):
        raise InputFileError(f"{path} has not the sha256 that it was written with: it is damaged, or was changed")


def _digest(header: Header, tensors: Mapping[str, Tensor]) -> str:
    """sha256 of the header (without its own) and of name, type, shape and bytes of each tensor, by rising name."""
    told = json.dumps({**plain_value(asdict(header)), "sha256": ""}, sort_keys=True)
    digest = hashlib.sha256(told.encode())
    for name in sorted(tensors):
        tensor = tensors[name]
        digest.update(f"\n{name} {tensor.dtype} {list(tensor.shape)}\n".encode())
        digest.update(tensor.contiguous().flatten().view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()
