"""A trained model as one small file, or as ONNX: ``airctl export``."""

from __future__ import annotations

from pathlib import Path

from airctl.commands.loaded import load
from airctl.commands.output_paths import require_free
from airctl.training import exported, onnx_files
from airctl.training.signed import Signer


def export(
    run: Path | str, out: Path | str, *, checkpoint: str = "last", force: bool = False, sign: Signer | None = None
) -> Path:
    """Write the model of a run to ``out``, a FILE.airctl that every command reads in the run's place; returns its path.

    It holds weights, config and origin, and nothing of the optimiser. Of the scene file it has name and sha256, of the
    machine no path. An exported ``run`` is written anew with the same weights. A file that exists is replaced only by
    ``force``. With a ``sign`` of ``airctl.training.signed.Signer`` its signature is written beside it.
    """
    out = Path(out)
    require_free([out], force)
    loaded = load(run, checkpoint, "cpu")
    name, sha256 = loaded.run.resolve().name, loaded.weights_sha256
    if not loaded.is_run:
        header = exported.read_header(loaded.path)
        name, sha256 = header.run, header.checkpoint_sha256
    exported.write(out, name, loaded.step, loaded.config, loaded.data, sha256, loaded.model, force)
    if sign is not None:
        sign.sign(out)
    return out


def export_onnx(
    run: Path | str, out: Path | str, *, checkpoint: str = "last", force: bool = False, sign: Signer | None = None
) -> list[Path]:
    """Write the model of a run as ONNX for ``out`` = NAME.onnx; returns the paths of the three files.

    NAME.map.onnx, NAME.encoder.onnx and NAME.decoder.onnx, each with all that a count needs in its metadata
    (docs/onnx.md). They are compared with the model by onnxruntime first: ``AirctlError``, with nothing written, if one
    differs by more than 1e-4. ``ConfigError`` without the packages of ``airctl[onnx]``, for a recurrent network, and
    for files that exist unless ``force`` replaces them. ``sign`` is as in ``export``.
    """
    out = Path(out)
    onnx_files.require(out)  # before anything is loaded
    require_free(onnx_files.paths(out).values(), force)
    loaded = load(run, checkpoint, "cpu")
    paths = onnx_files.write(out, loaded.model, loaded.weights_sha256, loaded.step, loaded.data.sha256, force)
    if sign is not None:
        for path in paths:
            sign.sign(path)
    return paths
