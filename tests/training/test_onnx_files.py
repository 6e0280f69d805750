"""ONNX files: onnxruntime gives what torch gives, on any size, and a graph that does not is never written."""

from __future__ import annotations

import copy
import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from torch import nn

from airctl.config import override, preset
from airctl.errors import AirctlError, ConfigError
from airctl.files import write_together
from airctl.model import AIR
from airctl.model.posteriors import loc_and_sd
from airctl.training import onnx_files

onnxruntime = pytest.importorskip("onnxruntime")
pytest.importorskip("onnx")

SETTINGS = (
    "model.canvas=30",
    "model.object_size=9.5",
    "model.num_steps=4",
    "network.dense=2",
    "model.glimpse=7",
    "model.what=6",
    "model.glimpse_hidden=9",
)


@pytest.fixture(scope="module")
def model() -> AIR:
    """A model with weights that make every output depend on every input."""
    torch.manual_seed(0)
    model = AIR(override(preset("fast"), SETTINGS))
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
    return model


@pytest.fixture(scope="module")
def written(model: AIR, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    out = tmp_path_factory.mktemp("onnx") / "m.onnx"
    assert onnx_files.write(out, model, "f" * 64, 12) == list(onnx_files.paths(out).values())
    return onnx_files.paths(out)


def session(path: Path) -> onnxruntime.InferenceSession:
    return onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])


@pytest.mark.parametrize("shape", [(3, 30, 30), (1, 31, 29), (2, 33, 58), (1, 100, 26)])
def test_the_graphs_give_what_a_pass_of_the_model_gives(
    model: AIR, written: dict[str, Path], shape: tuple[int, int, int]
) -> None:
    """Poses, logits, q(z_what) and drawn objects of all that a pass proposes, to 1e-4; sides even and odd."""
    canvas = torch.rand(shape, generator=torch.Generator().manual_seed(1))
    noise = model.mean_noise(len(canvas))
    with torch.no_grad():
        objects = model(canvas, noise)
        cells = model.network.choose(model.network.map(canvas).logits, noise)

    logits, loc, sd = map(torch.from_numpy, session(written["map"]).run(None, {"picture": canvas[:, None].numpy()}))
    assert logits.shape[1:] == tuple((side + 1) // 2 for side in shape[1:])
    close(logits.flatten(1).gather(1, cells), objects.logits)
    for ours, theirs in zip((loc, sd), loc_and_sd(objects.q_where), strict=True):
        close(ours.flatten(1, 2).gather(1, cells[..., None].expand(-1, -1, 3)), theirs)

    for scene in range(len(canvas)):
        told = session(written["encoder"]).run(None, {"glimpses": objects.glimpses[scene].numpy()})
        for ours, theirs in zip(map(torch.from_numpy, told), loc_and_sd(objects.q_what), strict=True):
            close(ours, theirs[scene])
        (drawn,) = session(written["decoder"]).run(None, {"z_what": objects.z_what[scene].numpy()})
        close(torch.from_numpy(drawn), objects.drawn[scene])


def close(ours: torch.Tensor, theirs: torch.Tensor) -> None:
    torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-4)


def test_each_file_says_which_graph_of_which_weights_it_is_and_how_it_is_read(
    model: AIR, written: dict[str, Path]
) -> None:
    """The metadata, against config and model; all but the graph's name and its sha256 is the same in the three."""
    told = {name: session(path).get_modelmeta().custom_metadata_map for name, path in written.items()}
    assert {name: of.pop("graph") for name, of in told.items()} == {name: name for name in written}
    assert len({of.pop("sha256") for of in told.values()}) == 3
    assert told["map"] == told["encoder"] == told["decoder"]
    texts = {key: told["map"].pop(key) for key in ("airctl", "weights_sha256")}
    assert texts["weights_sha256"] == "f" * 64
    meta = {key: json.loads(value) for key, value in told["map"].items()}
    assert (meta["step"], meta["canvas"], meta["object_size"], meta["glimpse"], meta["what"]) == (12, 30, 9.5, 7, 6)
    assert (meta["objects"], meta["maxima"], meta["dense"], meta["radius"]) == (6, 4, 2, 1)
    assert (meta["likelihood_sd"], meta["reading_temperature"]) == (0.3, 10.0)
    sides = meta["usual_side"] * meta["spread"] ** torch.tanh(torch.tensor([-1.0, 0.0, 2.0]))
    close(sides, model.poses.side(torch.tensor([[-1.0, 0, 0], [0.0, 0, 0], [2.0, 0, 0]])))
    assert meta["window"] == model.poses.window
    close(torch.tensor(meta["log_count_prior"]).exp(), model.count(6).exp().float())


@pytest.mark.parametrize("name", ["map", "encoder", "decoder"])
@pytest.mark.parametrize("change", [1e-2, float("nan")])
def test_a_graph_that_differs_from_the_model_is_not_written(
    model: AIR, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, change: float
) -> None:
    """A weight of one graph is another, or no number: one sentence, and no file, not of the other graphs either."""
    traced = onnx_files._traced

    def changed(graph: onnx_files.Graph, told: dict[str, object]) -> bytes:
        if told["graph"] == name:
            module: nn.Module = copy.deepcopy(graph.module)
            with torch.no_grad():
                list(module.parameters())[-1].add_(change)
            graph = onnx_files.Graph(module, graph.inputs, graph.outputs, graph.examples)
        return traced(graph, told)

    monkeypatch.setattr(onnx_files, "_traced", changed)
    with pytest.raises(AirctlError, match=f"the ONNX graph of the {name} differs from the model by"):
        onnx_files.write(tmp_path / "m.onnx", model, "f" * 64, 12)
    assert list(tmp_path.iterdir()) == []


def test_a_recurrent_network_is_refused(tmp_path: Path) -> None:
    """One sentence that says what is expected."""
    model = AIR(override(preset("recurrent"), ["model.canvas=30"]))
    with pytest.raises(ConfigError, match=r"network.kind=recurrent cannot be written as ONNX, expected .*preset fast"):
        onnx_files.write(tmp_path / "m.onnx", model, "f" * 64, 12)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("package", ["onnx", "onnxruntime"])
def test_a_missing_package_is_named_with_its_extra(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, package: str
) -> None:
    """Where either is not installed."""
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(ConfigError, match=r"needs the packages onnx and onnxruntime: pip install 'airctl\[onnx\]'"):
        onnx_files.require(tmp_path / "m.onnx")


def test_airctl_loads_neither_package_until_it_is_asked_for_onnx() -> None:
    """They are an extra; the control is that the check itself loads them."""
    code = (
        "import sys; from pathlib import Path; import airctl.cli, airctl\n"
        "from airctl.training import onnx_files\n"
        "loaded = lambda: sorted({'onnx', 'onnxruntime'} & set(sys.modules))\n"
        "before = loaded(); onnx_files.require(Path('m.onnx')); print(before, loaded())"
    )
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ended.stdout == "[] ['onnx', 'onnxruntime']\n"


def test_files_that_belong_together_are_all_written_or_none(tmp_path: Path) -> None:
    """A folder in the place of the last one: the first stays what it was, and no part is left."""
    first, last = tmp_path / "a", tmp_path / "b"
    write_together({first: b"old"})
    last.mkdir()
    with pytest.raises(ConfigError, match="no ordinary file"):
        write_together({first: b"new", last: b"new"})
    assert first.read_bytes() == b"old"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a", "b"]
    last.rmdir()
    write_together({first: b"new", last: b"too"})
    assert (first.read_bytes(), last.read_bytes()) == (b"new", b"too")
