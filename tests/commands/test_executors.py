"""The seam between a command and the machines that work for it, without any machine but this one."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from PIL import Image
from small import tiny

from airctl.commands.executors import executor
from airctl.commands.found_files import TABLES
from airctl.commands.infer import infer
from airctl.commands.infer_parts import infer_in_parts
from airctl.commands.processes import Processes
from airctl.commands.ray_cluster import RETRIES, RayCluster
from airctl.commands.shares import part_of
from airctl.commands.sweep import sweep
from airctl.commands.sweep_run import Job
from airctl.errors import AirctlError, ConfigError, InputFileError, RunInUseError
from airctl.results.sweep import SweepRun


class Here:
    """An executor that calls each piece in this process, the last one first, and loses those at ``lost``."""

    def __init__(self, lost: tuple[int, ...] = (), room: int = 3) -> None:
        self.lost, self.places = lost, room
        self.entered = 0

    def room(self) -> int:
        return self.places

    def __enter__(self):
        self.entered += 1
        return self

    def __exit__(self, *error: object) -> None:
        self.entered -= 1

    def carry_out(self, work, pieces, ended, look) -> None:
        assert self.entered == 1
        for place, piece in reversed(list(enumerate(pieces))):
            if look() is not None:
                return
            try:
                ended(place, AirctlError("its worker was lost") if place in self.lost else work(piece))
            except AirctlError as error:
                ended(place, error)


# --- which executor --------------------------------------------------------------------------------------------------


def test_on_says_where(monkeypatch: pytest.MonkeyPatch) -> None:
    """Processes by default, as many as cores allow; another name, and GPUs of this machine, are one sentence."""
    monkeypatch.setattr("os.cpu_count", lambda: 8)
    here = executor("local", cores=4)
    assert isinstance(here, Processes)
    assert here.room() == 2
    assert executor("local", jobs=5).room() == 5
    with pytest.raises(ConfigError, match=r"on=slurm: expected local, ray or ray://HOST:PORT"):
        executor("slurm")
    with pytest.raises(ConfigError, match="gpus=1: only a cluster hands out GPUs"):
        executor("local", gpus=1)


@pytest.mark.parametrize("command", ["sweep", "infer"])
def test_without_ray_one_sentence_says_what_to_install(
    command: str, airctl, data: Path, finished: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Before anything is written; exit code 2."""
    monkeypatch.setitem(sys.modules, "ray", None)
    out = tmp_path / "out"
    words = [data, "--run", out] if command == "sweep" else [finished, data, "--csv", "-o", out]
    code, told, err = airctl(command, *words, "--on", "ray")
    assert (code, told) == (2, "")
    assert err.splitlines() == [
        "airctl: --on ray needs the package ray: pip install 'airctl[ray]', or leave it out to work on this machine"
    ]
    assert not out.exists()


# --- a sweep ---------------------------------------------------------------------------------------------------------


def test_a_sweep_is_the_same_wherever_it_runs(data: Path, tmp_path: Path) -> None:
    """Rows in the order of the runs, not of their ends; progress over all of them; a lost one is named, and goes on."""
    progress: list[tuple[int, int]] = []
    here = Here(lost=(1,))
    result = sweep(
        data, tmp_path, tiny(), [0, 1], on=here, cores=1, on_progress=lambda *so_far: progress.append(so_far)
    )
    assert here.entered == 0
    assert [(row.run, row.status) for row in result.runs] == [("seed=0", "finished"), ("seed=1", "unfinished")]
    assert (result.unfinished, result.mean) == (["seed=1"], None)
    assert result.runs[1].reason == "its worker was lost"
    assert progress[0] == (0, 24)
    whole = sweep(data, tmp_path, tiny(), [0, 1], on=Here())
    assert [row.status for row in whole.runs] == ["finished", "finished"]
    assert whole.runs[0] == result.runs[0]


def test_a_run_says_how_far_it_is(finished: Path, data: Path, tmp_path: Path) -> None:
    """The last whole line of metrics.jsonl, also while half a line is being written; 0 where there is none."""
    job = Job(data, finished, tiny(), (), 0, "validation", "cpu", 1)
    assert job.steps_done() == 12
    run = tmp_path / "run"
    run.mkdir()
    job = Job(data, run, tiny(), (), 0, "validation", "cpu", 1)
    assert job.steps_done() == 0
    (run / "metrics.jsonl").write_text('{"step": 7, "elbo": 1.0}\n{"step": 8, "el')
    assert job.steps_done() == 7


@pytest.mark.parametrize(
    ("answer", "begun", "status"),
    [
        (ConfigError("train.batch: too large"), False, "failed"),
        (ConfigError("was started with another config"), True, "unfinished"),
        (RunInUseError("is being written"), True, "unfinished"),
        (AirctlError("its worker was lost"), False, "unfinished"),
    ],
)
def test_only_a_recipe_that_cannot_be_trained_has_failed(
    answer: AirctlError, begun: bool, status: str, data: Path, tmp_path: Path
) -> None:
    """What is lost, held or another's is unfinished."""
    if begun:
        (tmp_path / "config.toml").touch()
    row = Job(data, tmp_path, tiny(), (), 0, "validation", "cpu", 1).row(answer)
    assert (row.status, row.reason, row.accuracy) == (status, str(answer), 0.0 if status == "failed" else None)


# --- a cluster, without one ------------------------------------------------------------------------------------------


class LostError(Exception):
    """What Ray raises for a worker that is gone."""


class CancelledError(LostError):
    """What Ray raises for a task that was cancelled."""


class BugError(LostError):
    """What Ray raises for a task that raised."""

    cause = ZeroDivisionError("division by zero")


class FakeRay:
    """As much of Ray as is used: a task is called when it is waited for; ``events`` come before the answers."""

    exceptions = SimpleNamespace(RayError=LostError, TaskCancelledError=CancelledError, RayTaskError=BugError)

    def __init__(
        self, *events: Exception | AirctlError, machines: tuple[dict[str, float], ...] = ({"CPU": 2},)
    ) -> None:
        self.events, self.machines = list(events), machines
        self.inits: list[Any] = []
        self.options: dict[str, Any] = {}
        self.cancelled: list[Any] = []

    def is_initialized(self) -> bool:
        return False

    def init(self, address: str, **how: Any) -> None:
        assert not any(Path(how["runtime_env"]["working_dir"]).iterdir()), "the current folder is not on the path"
        self.inits.append(address)

    def shutdown(self) -> None:
        self.inits.append(None)

    def nodes(self) -> list[dict[str, Any]]:
        return [{"Alive": True, "Resources": machine} for machine in self.machines]

    def remote(self, **options: Any) -> Callable[[Any], Any]:
        self.options = options
        return lambda function: SimpleNamespace(remote=lambda *what: (function, what, object()))

    def wait(self, references: list[Any], timeout: float) -> tuple[list[Any], list[Any]]:
        return references[:1], references[1:]

    def get(self, reference: Any) -> Any:
        event = self.events.pop(0) if self.events else None
        if isinstance(event, LostError):
            raise event
        return event or reference[0](*reference[1])

    def cancel(self, reference: Any) -> None:
        self.cancelled.append(reference)


def doubled(piece: int) -> int:
    return 2 * piece


def on_fake(
    monkeypatch: pytest.MonkeyPatch, fake: FakeRay, pieces: list[int], look=lambda: None, **how: Any
) -> tuple[list[Any], list[str]]:
    """What came of ``pieces``, and what was said."""
    monkeypatch.setitem(sys.modules, "ray", fake)
    monkeypatch.setattr("airctl.commands.ray_cluster._PAUSE", 0)
    answers, said = dict[int, Any](), list[str]()
    with RayCluster("ray", how.get("jobs"), how.get("cores", 1), how.get("gpus", 0), said.append) as cluster:
        cluster.carry_out(doubled, pieces, answers.__setitem__, look)
    return [answers.get(place) for place in range(len(pieces))], said


def test_a_lost_piece_is_begun_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """And said so; also while the lost worker still holds the folder; not for ever."""
    fake = FakeRay(LostError(), RunInUseError("held"), RunInUseError("held"))
    assert on_fake(monkeypatch, fake, [1])[0] == [2]
    fake = FakeRay(LostError())
    answers, said = on_fake(monkeypatch, fake, [1, 2, 3], cores=2)
    assert answers == [2, 4, 6]
    assert said == ["piece 1 of 3: its worker was lost (LostError); it goes on elsewhere"]
    assert (fake.options["num_cpus"], fake.options["max_calls"], fake.inits) == (2, 1, ["local", None])
    answers, said = on_fake(monkeypatch, FakeRay(*(LostError() for _ in range(RETRIES + 1))), [1])
    assert (str(answers[0]), len(said)) == ("its worker was lost (LostError)", RETRIES)
    answers, said = on_fake(monkeypatch, FakeRay(RunInUseError("held by a person")), [1])
    assert (str(answers[0]), said) == ("held by a person", [])


def test_a_bug_looks_like_one(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """What the task printed is on stderr, and nothing is tried again."""
    answers, said = on_fake(monkeypatch, FakeRay(BugError("Traceback of the task")), [1])
    assert str(answers[0]) == "its task failed with ZeroDivisionError: division by zero"
    assert "Traceback of the task" in capsys.readouterr().err
    assert said == []


def test_a_stop_cancels_what_runs_and_begins_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """One signal, one cancelling; a task that is lost then is not begun again; so too after an error here."""
    looks = iter([None, None, None, *[15] * 100])
    fake = FakeRay(CancelledError(), LostError())
    answers, said = on_fake(monkeypatch, fake, [1, 2, 3], lambda: next(looks), jobs=2)
    assert len(fake.cancelled) == 1
    assert [str(answer) for answer in answers] == ["stopped", "its worker was lost (LostError)", "None"]
    assert said == []

    looks, fake = iter([None, None, None]), FakeRay()
    with pytest.raises(StopIteration):
        on_fake(monkeypatch, fake, [1, 2, 3], lambda: next(looks))
    assert (len(fake.cancelled), fake.inits) == (2, ["local", None])


def test_a_cluster_without_room_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    """On this machine it never comes; another cluster may grow."""
    with pytest.raises(ConfigError, match="does not have cores=1 and gpus=1"):
        on_fake(monkeypatch, FakeRay(), [1], gpus=1)
    monkeypatch.setenv("RAY_ADDRESS", "10.0.0.1:6379")
    fake = FakeRay(machines=({"CPU": 2}, {"CPU": 8, "GPU": 1}))
    assert on_fake(monkeypatch, fake, [1], gpus=2)[1] == [
        "no machine of the cluster has cores=1 and gpus=2 now: waiting until one comes"
    ]
    assert fake.inits[0] == "10.0.0.1:6379"
    assert on_fake(monkeypatch, fake, [1], gpus=0.5)[1] == []
    assert RayCluster("ray", None, 2, 0, print).room() == 5
    assert RayCluster("ray", None, 1, 0.5, print).room() == 2


# --- pictures in parts -----------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """A folder with a file of three pages and one that is no picture, a stack, and one of the files once more."""
    folder = tmp_path_factory.mktemp("pictures")
    rng = np.random.default_rng(0)
    (folder / "many").mkdir()
    for number in range(20):
        Image.fromarray(rng.integers(0, 256, (12, 12), np.uint8)).save(folder / f'many/{number:02d}", =.png')
    pages = [Image.fromarray(page) for page in rng.integers(0, 256, (3, 12, 12), np.uint8)]
    pages[0].save(folder / "many/07.tif", save_all=True, append_images=pages[1:])
    (folder / "many/bad.png").write_bytes(b"no picture")
    np.save(folder / "stack.npy", rng.integers(0, 256, (30, 12, 12), np.uint8))
    return [folder / "many", folder / "stack.npy", folder / "many/07.tif", folder / "stack.npy"]


@pytest.fixture(scope="module")
def one(finished: Path, pictures: list[Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tables of one process."""
    out = tmp_path_factory.mktemp("one") / "out"
    images = [found.image for found in infer(finished, pictures, out=out, formats=("csv",), refuse=lambda error: None)]
    assert len(images) == 20 + 3 + 30 + 3 + 30
    return out


def same(out: Path, one: Path) -> bool:
    return all((out / name).read_bytes() == (one / name).read_bytes() for name in TABLES)


def test_parts_make_the_tables_of_one_process(finished: Path, pictures: list[Path], one: Path, tmp_path: Path) -> None:
    """Byte for byte, whatever the number of parts; rows and the bad file are told; progress reaches the end."""
    for number in (1, 3, 7):
        out, rows, refused, seen = tmp_path / str(number), list[str](), list[str](), [0]
        result = infer_in_parts(
            finished, pictures, out, on=Here(room=number), refuse=lambda error, to=refused: to.append(str(error)),
            told=lambda row, to=rows: to.append(row[0]), on_progress=seen.append,
        )  # fmt: skip
        assert (result.unfinished, result.stopped_by) == ({}, None)
        assert same(out, one)
        assert len(rows) == seen[-1] == 86
        assert len(refused) == 1
    tables = [(out / f"parts/{i}-of-7/counts.csv").read_text().splitlines()[1:] for i in range(1, 8)]
    joined = [line for table in tables for line in table]
    assert joined != (one / "counts.csv").read_text().splitlines()[1:], "the control: parts are not simply joined"


def test_pages_of_a_file_stay_together(finished: Path, pictures: list[Path]) -> None:
    """Each page is in exactly one part, that of its file."""
    tif = pictures[2]
    parts = [[found.image for found in infer(finished, [tif], shard=(i, 3))] for i in (1, 2, 3)]
    assert parts[part_of(str(tif), 3) - 1] == [f"{tif}[{page}]" for page in range(3)]
    assert sum(map(len, parts)) == 3


def test_parts_that_were_lost_go_on(finished: Path, pictures: list[Path], tmp_path: Path) -> None:
    """A lost part is named and nothing is merged; with resume only what is missing is counted, in as many parts."""
    out, one, pictures = tmp_path / "out", tmp_path / "one", pictures[:2]
    list(infer(finished, pictures, out=one, formats=("csv",), refuse=lambda error: None))
    result = infer_in_parts(finished, pictures, out, on=Here(lost=(1,)), refuse=lambda error: None)
    assert result.unfinished == {"2-of-3": "its worker was lost"}
    assert not (out / "counts.csv").exists()
    table = out / "parts/1-of-3/counts.csv"
    table.write_bytes(table.read_bytes()[:-30])  # as a kill leaves it
    with pytest.raises(ConfigError, match="is there already: say force=True"):
        infer_in_parts(finished, pictures, out, on=Here())
    result = infer_in_parts(finished, pictures, out, on=Here(room=5), resume=True, refuse=lambda error: None)
    assert result.unfinished == {}
    assert same(out, one)
    assert len(list((out / "parts").iterdir())) == 3


def test_tables_that_are_not_of_these_pictures_are_refused(
    finished: Path, pictures: list[Path], one: Path, tmp_path: Path
) -> None:
    """Rows that have no place would be lost: one sentence, and the tables stay as they were."""
    out = tmp_path / "out"
    infer_in_parts(finished, pictures, out, on=Here(), refuse=lambda error: None)
    with pytest.raises(InputFileError, match="which is not where it was: name the same pictures again"):
        infer_in_parts(finished, pictures[1:], out, on=Here(), resume=True, refuse=lambda error: None)
    assert same(out, one)
    shutil.copytree(one, tmp_path / "alone")
    with pytest.raises(ConfigError, match="was begun by one process"):
        infer_in_parts(finished, pictures, tmp_path / "alone", on=Here(), resume=True)
    with pytest.raises(ConfigError, match="expected at most 400 parts"):
        infer_in_parts(finished, pictures, tmp_path / "b", on=Here(room=401))


def test_the_command_counts_in_processes(
    airctl, finished: Path, pictures: list[Path], one: Path, tmp_path: Path
) -> None:
    """--jobs: the numbers on stdout, the bad file on stderr, exit code 3; anything but --csv -o is refused."""
    out = tmp_path / "out"
    code, told, err = airctl("infer", finished, *pictures, "--csv", "-o", out, "--jobs", 2)
    assert (code, err.count("bad.png: cannot be read as a picture")) == (3, 1)
    objects = len((one / "objects.csv").read_text().splitlines()) - 1
    assert told == f"{objects} objects in 86 pictures\n"
    assert same(out, one)
    for words in (["--csv"], ["-o", out], ["--csv", "-o", out, "--shard", "1/2"], ["--csv", "-o", out, "--json"]):
        code, _, err = airctl("infer", finished, *pictures, *words, "--jobs", 2)
        assert code == 2
        assert "say --csv -o FOLDER alone" in err


def test_a_row_of_the_sweep_is_whatever_the_run_says(data: Path, tmp_path: Path) -> None:
    """What ``trained`` answers is not touched on its way."""
    row = SweepRun(run="r", settings=[], seed=0, status="finished", accuracy=0.5)
    assert Job(data, tmp_path, tiny(), (), 0, "test", "cpu", 1).row(row) is row
