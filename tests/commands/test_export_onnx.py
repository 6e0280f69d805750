"""airctl export -o FILE.onnx: three files that a program without torch counts with as airctl does."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

import airctl as library
from airctl.commands.loaded import load
from airctl.config import override, preset
from airctl.inference import Answer, find, passes
from airctl.scenes import SceneSpec, generate_data, read_split
from airctl.training import onnx_files

pytest.importorskip("onnxruntime")
pytest.importorskip("onnx")

EXAMPLES = Path(__file__).parents[2] / "examples"
SETTINGS = (
    "train.steps=60",
    "train.batch=16",
    "train.validation=40",
    "train.validate_every=60",
    "train.checkpoint_every=60",
    "objective.paste=0",
    "model.glimpse=8",  # so coarse that the largest objects are cut off by their windows
    "model.glimpse_hidden=64",
    "model.what=10",
)


@pytest.fixture(scope="module")
def scenes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("scenes") / "scenes.h5"
    generate_data(path, SceneSpec(train=400, test=200), digits="font", say=lambda message: None)
    return path


@pytest.fixture(scope="module")
def run(scenes: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Preset fast after sixty steps: it sees too much, so that its counts are many and often unsure."""
    run = tmp_path_factory.mktemp("runs") / "run"
    library.train(scenes, run, override(preset("fast"), SETTINGS), threads=1)
    return run


@pytest.fixture(scope="module")
def out(run: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("onnx") / "m.onnx"
    library.export_onnx(run, str(out))
    return out


def test_the_example_counts_as_airctl_does(run: Path, scenes: Path, out: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """On 200 scenes: the same counts, of which there are at least five, and the same p(n | x) to 1e-4."""
    monkeypatch.syspath_prepend(EXAMPLES)
    from count_with_onnx import Counter

    loaded, images = load(run, device="cpu"), read_split(scenes, "test").images
    answers = [
        Answer.of(loaded.model, objects, terms)
        for objects, terms in passes(
            loaded.model, torch.from_numpy(images), loaded.log_p(), lambda batch: loaded.model.mean_noise(batch)
        )
    ]
    counter = Counter(out)
    told = np.stack([counter.log_count(image / 255) for image in images])
    counts = torch.cat([answer.counts for answer in answers]).numpy()
    assert len(np.unique(counts)) >= 5
    np.testing.assert_array_equal(told.argmax(1), counts)
    expected = torch.cat([answer.log_count for answer in answers]).numpy()
    np.testing.assert_allclose(np.exp(told), np.exp(expected), atol=1e-4)


def test_the_example_crops_and_pastes_as_the_model_does(run: Path, out: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Objects of every size, some over the edge or outside, on a picture that is no square."""
    monkeypatch.syspath_prepend(EXAMPLES)
    from count_with_onnx import Counter

    draw, poses = torch.Generator().manual_seed(0), load(run, device="cpu").model.poses
    picture = torch.rand(40, 60, generator=draw)
    sizes = torch.linspace(-3, 3, 30)[:, None]
    where = torch.cat([sizes, torch.rand(30, 2, generator=draw) * torch.tensor([80, 60]) - 10], 1)
    drawn = torch.rand(30, 8, 8, generator=draw)
    hats = Counter(out).hats(where.numpy(), (40, 60))
    np.testing.assert_allclose(hats.crop(picture.numpy()), poses.crop(picture[None], where[None], 8)[0], atol=1e-4)
    pasted = poses.paste(drawn[None], where[None], picture[None]).dense()[0]
    np.testing.assert_allclose(hats.paste(drawn.numpy()), pasted, atol=1e-4)


def test_the_example_needs_neither_torch_nor_airctl(run: Path, scenes: Path, out: Path, tmp_path: Path) -> None:
    """As a script, where they cannot be imported: it prints each picture's count as an evaluation has it."""
    images = read_split(scenes, "test").images[:5]
    paths = [tmp_path / f"{number}.png" for number in range(len(images))]
    for path, image in zip(paths, images, strict=True):
        Image.fromarray(image).save(path)
    code = (
        "import runpy, sys; sys.modules['torch'] = sys.modules['airctl'] = None\n"
        f"sys.argv = {['count', str(out), *map(str, paths)]!r}\n"
        f"runpy.run_path({str(EXAMPLES / 'count_with_onnx.py')!r}, run_name='__main__')"
    )
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    loaded = load(run, device="cpu")
    counts = find(loaded.model, torch.from_numpy(images), loaded.log_p()).counts
    assert ended.stdout == "".join(f"{path} {count}\n" for path, count in zip(paths, counts, strict=True))


def test_graphs_of_two_models_are_refused(
    run: Path, out: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A decoder of other weights beside the map: their sha256 tell them apart."""
    monkeypatch.syspath_prepend(EXAMPLES)
    from count_with_onnx import Counter

    mixed = onnx_files.paths(tmp_path / "m.onnx")
    for name, path in onnx_files.paths(out).items():
        mixed[name].write_bytes(path.read_bytes())
    Counter(tmp_path / "m.onnx")
    onnx_files.write(tmp_path / "other.onnx", load(run, device="cpu").model, "0" * 64, 60)
    (tmp_path / "other.decoder.onnx").replace(mixed["decoder"])
    with pytest.raises(ValueError, match="different models"):
        Counter(tmp_path / "m.onnx")


def test_the_command_writes_three_files_and_replaces_none_unasked(
    airctl, run: Path, finished: Path, tmp_path: Path
) -> None:
    """export -o m.onnx of a run, or of its .airctl; one file that is there stops it, and --force replaces it."""
    out, model = tmp_path / "m.onnx", tmp_path / "m.airctl"
    paths = [tmp_path / f"m.{name}.onnx" for name in ("map", "encoder", "decoder")]
    assert airctl("export", run, "-o", model)[0] == 0
    assert airctl("export", model, "-o", out)[:2] == (0, "".join(f"{path}\n" for path in paths))
    assert sorted(tmp_path.iterdir()) == sorted([model, *paths])

    whole = paths[1].read_bytes()
    paths[0].unlink()
    paths[1].write_bytes(b"mine")
    code, told, err = airctl("export", run, "-o", out)
    assert (code, told) == (2, "")
    assert f"{paths[1]} exists: say --force to replace it" in err
    assert (paths[0].exists(), paths[1].read_bytes()) == (False, b"mine")
    assert airctl("export", run, "-o", out, "--force")[0] == 0
    assert len(paths[1].read_bytes()) == len(whole)

    code, _, err = airctl("export", finished, "-o", tmp_path / "r.onnx")
    assert code == 2
    assert "network.kind=recurrent cannot be written as ONNX" in err
    code, _, err = airctl("export", run, "-o", tmp_path / "m.bin")
    assert code == 2
    assert "expected a name that ends in .airctl or .onnx" in err


def test_verify_tells_a_changed_graph(run: Path, out: Path, scenes: Path, tmp_path: Path, airctl) -> None:
    """Of the run's weights and scenes, byte for byte; one number of one graph changed, and it is named."""
    code, told, _ = airctl("verify", run, out)
    assert (code, "are missing" in told, ", 0 differ" in told) == (0, True, True)
    for name, path in onnx_files.paths(out).items():
        assert f"{path}: checkpoint ({run}/checkpoints/step_00000060/model.safetensors)" in told
        assert f"{path}: scenes ({scenes})" in told
        (tmp_path / f"m.{name}.onnx").write_bytes(path.read_bytes())
    content = bytearray((tmp_path / "m.decoder.onnx").read_bytes())
    content[len(content) // 2] ^= 1
    (tmp_path / "m.decoder.onnx").write_bytes(content)
    code, told, err = airctl("verify", run, tmp_path / "m.onnx")
    assert code == 3
    assert "m.decoder.onnx" in err
