"""On a Ray cluster of two machines, both of them this one: what is lost goes on, and all is as on one machine.

``pip install 'airctl[ray]'``, then ``python -m pytest -m ray``: each Ray that is started takes half a minute.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from filelock import FileLock
from PIL import Image
from small import tiny

from airctl import config

pytest.importorskip("ray")
pytestmark = [pytest.mark.ray, pytest.mark.filterwarnings("default")]
ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def cluster() -> Iterator[object]:
    """A head and one machine more, of one core each."""
    from ray.cluster_utils import Cluster

    made = Cluster(initialize_head=True, head_node_args={"num_cpus": 1})
    made.add_node(num_cpus=1)
    yield made
    made.shutdown()


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """A current folder that is full of modules which nobody may import."""
    folder = tmp_path / "place"
    folder.mkdir()
    for name in ("airctl", "click", "torch", "numpy", "h5py", "sitecustomize"):
        (folder / f"{name}.py").write_text(f"open({str(tmp_path / 'planted')!r}, 'w').close()")
    return folder


@pytest.fixture
def recipe(tmp_path: Path) -> Path:
    """A config of 100 small steps that can go on from each fifth."""
    path = tmp_path / "recipe.toml"
    settings = ("train.steps=100", "train.validate_every=50", "train.checkpoint_every=5", "optimiser.lr=0.01")
    path.write_text(config.dumps(tiny(*settings)))
    return path


def started(folder: Path, address: str, *words: object) -> subprocess.Popen[str]:
    """The command line in ``folder``, as it is installed or as it is here."""
    code = f"import sys; sys.path.insert(0, {str(ROOT)!r}); from airctl.cli import main; main()"
    return subprocess.Popen(
        [sys.executable, "-P", "-c", code, *map(str, words)], cwd=folder, text=True, stdout=subprocess.PIPE,
        stderr=subprocess.PIPE, env=os.environ | {"RAY_ADDRESS": address, "PYTHONPATH": str(ROOT)},
    )  # fmt: skip


def until(condition, process: subprocess.Popen[str] | None = None) -> None:
    while not condition():
        assert process is None or process.poll() is None, process.communicate()
        time.sleep(0.1)


def holder(run: Path) -> int | None:
    """The process that trains a run and has saved some of its steps."""
    try:
        saved = any(int(path.name[5:]) > 0 for path in (run / "checkpoints").glob("step_????????"))
        return int((run / ".holder").read_text().split()[1]) if saved else None
    except (OSError, IndexError):
        return None


def parent(pid: int) -> int:
    return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])


def test_a_sweep_survives_the_loss_of_a_machine(cluster, recipe: Path, data: Path, place: Path, tmp_path: Path) -> None:
    """Six runs; a machine is killed under a run that has saved; its run goes on, and the table is the local one."""
    words = ["sweep", data, "--seeds", "0..5", "--config", recipe, "--json"]
    runs = [tmp_path / "far" / f"seed={seed}" for seed in range(6)]
    process = started(place, cluster.address, *words, "--run", "../far", "--on", "ray")
    (lost,) = cluster.worker_nodes
    raylet = lost.all_processes["raylet"][0].process.pid

    def there() -> Path | None:
        return next((run for run in runs if (pid := holder(run)) and parent(pid) == raylet), None)

    until(there, process)
    run, pid = there(), holder(there())
    cluster.remove_node(lost, allow_graceful=False)
    until(lambda: not Path(f"/proc/{pid}").exists(), process)
    out, err = process.communicate()
    cluster.add_node(num_cpus=1)
    assert process.returncode == 0, err
    assert "its worker was lost" in err
    steps = [json.loads(line)["step"] for line in (run / "metrics.jsonl").read_text().splitlines()]
    assert steps == sorted(set(steps)), "it went on, and measured nothing twice"
    assert not (tmp_path / "planted").exists()
    here = started(tmp_path, "", *words, "--run", tmp_path / "near")
    told, err = here.communicate()
    assert here.returncode == 0, err
    near, far = json.loads(told), json.loads(out)
    assert near["runs"] == far["runs"]
    tables, metrics = (
        [[path.read_bytes() for path in sorted((tmp_path / name).glob(what))] for name in ("far", "near")]
        for what in ("sweep.md", "seed=*/metrics.jsonl")
    )
    assert tables[0] == tables[1]
    assert metrics[0] == metrics[1], "each ELBO of each run, that of the lost one too"
    assert len(set(metrics[0])) == 6


@pytest.mark.parametrize("signum", [signal.SIGINT, signal.SIGTERM])
def test_a_stopped_sweep_leaves_nothing_running(
    signum, cluster, recipe: Path, data: Path, place: Path, tmp_path: Path
) -> None:
    """Its runs save and end, their processes too; what is unfinished is named; the exit code is the signal's."""
    run = tmp_path / "far"
    words = ["sweep", data, "--run", run, "--seeds", "0..3", "--config", recipe, "--steps", 1_000_000, "--json"]
    process = started(place, cluster.address, *words, "--on", "ray")
    until(lambda: all(holder(run / f"seed={seed}") for seed in (0, 1)), process)
    pids = [holder(run / f"seed={seed}") for seed in (0, 1)]
    process.send_signal(signum)
    out, err = process.communicate()
    assert process.returncode == 128 + signum, err
    told = json.loads(out)
    assert told["unfinished"] == [f"seed={seed}" for seed in range(4)]
    assert [row["reason"][:13] for row in told["runs"][:2]] == ["stopped after"] * 2
    until(lambda: not any(Path(f"/proc/{pid}").exists() for pid in pids))
    for seed in (0, 1):
        FileLock(run / f"seed={seed}/.lock").acquire(timeout=0)


def test_a_killed_sweep_leaves_nothing_running(cluster, recipe: Path, data: Path, place: Path, tmp_path: Path) -> None:
    """SIGKILL of the one who asked: the cluster ends the tasks."""
    run = tmp_path / "far"
    words = ["sweep", data, "--run", run, "--seeds", "0", "--config", recipe, "--steps", 1_000_000]
    process = started(place, cluster.address, *words, "--on", "ray")
    until(lambda: holder(run / "seed=0"), process)
    pid = holder(run / "seed=0")
    process.kill()
    process.communicate()
    until(lambda: not Path(f"/proc/{pid}").exists())


def test_pictures_are_counted_as_by_one_process(cluster, finished: Path, place: Path, tmp_path: Path) -> None:
    """A folder and a stack, line by line; the file that is no picture is told once."""
    rng = np.random.default_rng(0)
    (place / "many").mkdir()
    for number, pixels in enumerate(rng.integers(0, 256, (150, 12, 12), np.uint8)):
        Image.fromarray(pixels).save(place / f"many/{number:03d}.png")
    (place / "many/bad.png").write_bytes(b"no picture")
    np.save(place / "stack.npy", rng.integers(0, 256, (30, 12, 12), np.uint8))
    words = ["infer", finished, "many", "stack.npy", "--csv", "-o"]
    told = []
    for name, more in (("one", []), ("far", ["--on", "ray", "--jobs", 3])):
        process = started(place, cluster.address, *words, name, *more)
        out, err = process.communicate()
        assert process.returncode == 3, err
        assert err.count("many/bad.png: cannot be read as a picture") == 1
        told.append(out.splitlines()[-1])
    assert told[0] == told[1]
    for table in ("counts.csv", "objects.csv"):
        one, far = ((place / name / table).read_bytes() for name in ("one", "far"))
        assert one == far
        assert one.count(b"\n") > 100 or table == "objects.csv"
    assert not (tmp_path / "planted").exists()
