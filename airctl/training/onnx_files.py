"""A trained model as ONNX, for programs without torch: map, glimpse encoder and decoder, a graph and a file each.

    map       picture [B, 1, H, W] in [0, 1] -> logits [B, h, w], loc and sd of q(z_where | x) [B, h, w, 3]
    encoder   glimpses [M, G, G]             -> loc and sd of q(z_what | x_att) [M, C]
    decoder   z_what [M, C]                  -> drawn [M, G, G]

h and w are half of H and W, rounded up. Between the graphs lie the choice of cells, crop, paste and the sum over
subsets: sums of a page (examples/count_with_onnx.py), whose numbers are in the metadata of each file.
"""

from __future__ import annotations

import hashlib
import json
import tempfile
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from airctl import _version
from airctl.errors import AirctlError, ConfigError, InputFileError
from airctl.files import read_small, write_together
from airctl.model import AIR, Gaussian
from airctl.model.poses import InPixels
from airctl.model.posteriors import loc_and_sd
from airctl.model.proposals import Proposals
from airctl.results.as_json import loads

if TYPE_CHECKING:
    import onnx

SUFFIX = ".onnx"
MOST_BYTES = 1 << 31  # of a file; protobuf reads no more
_BLANK = '""'  # the metadata's sha256 while that of the file is computed
TOLERANCE = 1e-4  # that onnxruntime may differ from torch: absolute, or relative where a number is above 1


class MapGraph(nn.Module):
    """q(z_pres | x) and q(z_where | x) of every cell, from a picture [B, 1, H, W]."""

    def __init__(self, network: Proposals) -> None:
        super().__init__()
        self.network = network

    def forward(self, picture: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        seen = self.network.map(picture[:, 0])
        batch, height, width = seen.logits.shape
        cells = torch.arange(height * width, device=picture.device).expand(batch, -1)
        loc, sd = loc_and_sd(self.network.where(seen, cells)[1])
        return seen.logits, loc.unflatten(1, (height, width)), sd.unflatten(1, (height, width))


class EncoderGraph(nn.Module):
    """q(z_what | x_att), from glimpses [M, G, G]."""

    def __init__(self, model: AIR) -> None:
        super().__init__()
        self.encoder, self.what = model.encoder, model.what

    def forward(self, glimpses: Tensor) -> tuple[Tensor, Tensor]:
        return loc_and_sd(self.what(self.encoder(glimpses)))


@dataclass(frozen=True)
class Graph:
    """What is written as one file."""

    module: nn.Module
    inputs: Mapping[str, Sequence[str]]  # the dimensions that are free, in their place; "" for one that is not
    outputs: Mapping[str, Sequence[str]]
    examples: Sequence[Tensor]  # of its one input: the first is traced, all are compared


def paths(out: Path) -> dict[str, Path]:
    """The files of NAME.onnx by their graphs: NAME.map.onnx, NAME.encoder.onnx and NAME.decoder.onnx."""
    return {name: out.with_suffix(f".{name}{SUFFIX}") for name in ("map", "encoder", "decoder")}


def require(out: Path, model: AIR | None = None) -> None:
    """Raise ``ConfigError`` for a name without the suffix, for missing packages, and for a ``model`` without a map."""
    if out.suffix != SUFFIX:
        raise ConfigError(f"out={out}: expected a name that ends in {SUFFIX}", "out")
    try:
        import onnx  # noqa: F401
        import onnxruntime  # noqa: F401
    except ImportError as error:
        raise ConfigError(
            f"out={out} needs the packages onnx and onnxruntime: pip install 'airctl[onnx]'", "out"
        ) from error
    if model is not None and not isinstance(model.network, Proposals):
        kind = model.config.network.kind
        raise ConfigError(
            f"out={out}: a model with network.kind={kind} cannot be written as ONNX, expected one with "
            "network.kind=proposals, such as preset fast trains",
            "out",
        )
    if model is not None and not (isinstance(model.likelihood, Gaussian) and model.config.posterior.what == "diagonal"):
        raise ConfigError(
            f"out={out}: only a model with a gaussian likelihood and posterior.what=diagonal can be written as ONNX: "
            "others cannot be counted with from three graphs",
            "out",
        )


def write(
    out: Path, model: AIR, weights_sha256: str, step: int, data_sha256: str | None = None, force: bool = True
) -> list[Path]:
    """Write the three files, all whole or none; returns their paths.

    ``weights_sha256`` is that of the checkpoint, ``data_sha256`` that of the scenes it was trained on. Raises
    ``ConfigError`` for files that are there, unless ``force`` replaces them, and
    ``AirctlError``, with nothing written, where onnxruntime gives other numbers than ``model`` for one of them.
    """
    require(out, model)
    told = {"airctl": _version.__version__, "weights_sha256": weights_sha256, "step": step, **reading(model)}
    told |= {"data_sha256": json.dumps(data_sha256)}
    contents = {}
    for name, graph in graphs(model).items():
        content = _traced(graph, {"graph": name, **told})
        if not (worst := difference(content, graph)) <= TOLERANCE:  # NaN as well
            raise AirctlError(
                f"the ONNX graph of the {name} differs from the model by {worst:.1e}, expected at most {TOLERANCE}: "
                "nothing was written, try the versions of torch and onnxruntime in constraints.txt"
            )
        contents[paths(out)[name]] = content
    write_together(contents, force)
    return list(contents)


def reading(model: AIR) -> dict[str, float | list[float]]:
    """What a count needs beside the graphs; lengths in pixels. docs/onnx.md explains each."""
    sizes, network, poses = model.config.model, model.network, model.poses
    assert isinstance(network, Proposals)
    assert isinstance(poses, InPixels)
    assert isinstance(model.likelihood, Gaussian)
    return {
        "canvas": sizes.canvas,
        "object_size": network.object_size,
        "usual_side": poses.usual,
        "spread": poses.spread,
        "window": poses.window,
        "glimpse": sizes.glimpse,
        "what": sizes.what,
        "objects": network.reading_size,
        "maxima": network.number,
        "dense": network.dense,
        "radius": network.radius,
        "likelihood_sd": float(model.likelihood.sd),
        "reading_temperature": network.temperature,
        "log_count_prior": model.count(network.reading_size).tolist(),
    }


def graphs(model: AIR) -> dict[str, Graph]:
    """The graphs by their names."""
    sizes, network = model.config.model, model.network
    assert isinstance(network, Proposals)
    draw = torch.Generator().manual_seed(0)
    side, glimpse = max(sizes.canvas, 8), sizes.glimpse
    pictures = [(2, side, side), (1, side + 1, side + 3), (1, 2 * side, side + 2)]  # odd sides have half a cell
    numbers = (network.reading_size, 1)
    cells = ("batch", "rows", "columns")
    return {
        "map": Graph(
            MapGraph(network),
            {"picture": ("batch", "", "height", "width")},
            {"logits": cells, "loc": cells, "sd": cells},
            [torch.rand(batch, 1, height, width, generator=draw) for batch, height, width in pictures],
        ),
        "encoder": Graph(
            EncoderGraph(model),
            {"glimpses": ("objects",)},
            {"loc": ("objects",), "sd": ("objects",)},
            [torch.rand(number, glimpse, glimpse, generator=draw) for number in numbers],
        ),
        "decoder": Graph(
            model.decoder,
            {"z_what": ("objects",)},
            {"drawn": ("objects",)},
            [torch.randn(number, sizes.what, generator=draw) for number in numbers],
        ),
    }


def difference(content: bytes, graph: Graph) -> float:
    """The largest difference of onnxruntime from torch over the examples, relative where a number is above 1."""
    import onnxruntime

    session = onnxruntime.InferenceSession(content, providers=["CPUExecutionProvider"])
    (name,), worst = graph.inputs, torch.zeros(())
    for example in graph.examples:
        with torch.no_grad():
            told = graph.module(example)
        expected = (told,) if isinstance(told, Tensor) else told
        for ours, theirs in zip(expected, session.run(None, {name: example.numpy()}), strict=True):
            apart = (torch.from_numpy(theirs) - ours).abs() / ours.abs().clamp(min=1)
            worst = torch.maximum(worst, apart.max())
    return float(worst)


def _traced(graph: Graph, told: Mapping[str, object]) -> bytes:
    """The bytes of an ONNX file with the metadata ``told``: text as it is, all else as JSON."""
    import onnx

    free = {
        name: {place: dimension for place, dimension in enumerate(dimensions) if dimension}
        for name, dimensions in [*graph.inputs.items(), *graph.outputs.items()]
    }
    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
        path = Path(folder) / f"graph{SUFFIX}"
        # By TorchScript: the newer exporter needs two more packages, and fails on a map whose sides are free.
        warnings.simplefilter("ignore")
        torch.onnx.export(
            graph.module,
            (graph.examples[0],),
            path,
            input_names=list(graph.inputs),
            output_names=list(graph.outputs),
            dynamic_axes=free,
            dynamo=False,
        )
        proto = onnx.load_model(path)
    proto.producer_name, proto.producer_version = "airctl", _version.__version__
    words = {key: value if isinstance(value, str) else json.dumps(value) for key, value in told.items()}
    onnx.helper.set_model_props(proto, {**words, "sha256": _BLANK})
    onnx.checker.check_model(proto)
    proto.metadata_props[-1].value = json.dumps(_seal_of(proto))
    content: bytes = proto.SerializeToString(deterministic=True)
    return content


def read_origin(path: Path) -> tuple[dict[str, Any], str]:
    """What one of the files says it was made of and is, unchecked, and the sha256 that its ``sha256`` should say.

    ``InputFileError`` for what is no such file, ``ConfigError`` without the package onnx.
    """
    try:
        import onnx
    except ImportError as error:
        raise ConfigError(f"{path} needs the package onnx: pip install 'airctl[onnx]'") from error
    from google.protobuf.message import DecodeError

    try:
        proto = onnx.ModelProto.FromString(read_small(path, MOST_BYTES))
    except DecodeError as error:
        raise InputFileError(f"{path} cannot be read as ONNX: {error}") from error
    told = {entry.key: entry.value for entry in proto.metadata_props}
    if "weights_sha256" not in told:
        raise InputFileError(f"{path} is no model that 'airctl export' has made: it has no metadata of airctl's")
    try:
        named = {key: loads(told[key]) for key in ("sha256", "data_sha256") if key in told}
    except (ValueError, RecursionError) as error:
        raise InputFileError(f"{path} has metadata that airctl has not written: {error}") from error
    return named | {"weights_sha256": told["weights_sha256"]}, _seal_of(proto)


def _seal_of(proto: onnx.ModelProto) -> str:
    """The sha256 of the file with an empty one in its metadata."""
    blank = type(proto).FromString(proto.SerializeToString(deterministic=True))
    for entry in blank.metadata_props:
        entry.value = _BLANK if entry.key == "sha256" else entry.value
    return hashlib.sha256(blank.SerializeToString(deterministic=True)).hexdigest()
