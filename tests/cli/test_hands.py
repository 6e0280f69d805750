"""What users' hands expect: resume with nothing more to type, short names, and an error before the usage."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from small import settings

import airctl as library
from airctl import config


@pytest.fixture
def run(finished: Path, tmp_path: Path) -> Path:
    return shutil.copytree(finished, tmp_path / "run")


def test_resume_needs_no_more(airctl, data: Path, tmp_path: Path) -> None:
    """A run of twelve steps, begun with six and prolonged without data and config, has the bytes of one of twelve."""
    short, whole = tmp_path / "short", tmp_path / "whole"
    assert airctl("train", data, "--run", short, *settings(), "--steps", 12, "--threads", 1)[0] == 0
    shutil.copytree(short, whole)
    shutil.rmtree(short / "checkpoints/step_00000012")
    (short / "checkpoints/last").unlink()
    code, out, err = airctl("train", "--run", short, "--resume", "--threads", 1, "--json")
    assert code == 0
    assert "resumed at step" in err
    assert json.loads(out)["steps"] == 12
    weights = "checkpoints/step_00000012/model.safetensors"
    assert (short / weights).read_bytes() == (whole / weights).read_bytes()
    assert airctl("train", "--run", short, "--resume", "--steps", 13)[0] == 0, "more steps prolong it"


def test_a_conflict_names_the_key_and_both_values(airctl, run: Path, tmp_path: Path) -> None:
    """Another learning rate than the run's is refused, and the run stays as it was."""
    before = (run / "config.toml").read_bytes()
    code, out, err = airctl("train", "--run", run, "--resume", "--lr", 0.5)
    assert (code, out) == (2, "")
    assert "optimiser.lr is 0.002 there and 0.5 was asked for" in err
    assert (run / "config.toml").read_bytes() == before
    code, _, err = airctl("train", "--run", tmp_path / "none", "--resume")
    assert code == 2
    assert "holds no run to go on with: to start one, name the scene file" in err
    assert not (tmp_path / "none").exists()


def test_other_data_is_refused_with_both_sha256(airctl, run: Path, tmp_path: Path) -> None:
    """Resuming on another file, and on one that is gone."""
    library.generate(tmp_path / "o.h5", library.SceneSpec(train=120, test=1, seed=3), digits="font", say=lambda m: None)
    told = json.loads((run / "data.json").read_text())
    code, _, err = airctl("train", tmp_path / "o.h5", "--run", run, "--resume")
    assert code == 2
    assert f"its sha256 is {told['sha256']}, and this one's " in err
    (run / "data.json").write_text(json.dumps(told | {"path": str(tmp_path / "gone.h5")}))
    code, _, err = airctl("train", "--run", run, "--resume")
    assert code == 3
    assert f"is gone: name the scene file where it is now (expected sha256 {told['sha256']})" in err


def test_short_names_are_the_keys(airctl) -> None:
    """--lr, --batch and the estimator reinforce, after --set."""
    words = ["--set", "train.batch=5", "--lr", "3e-4", "--batch", 16, "--estimator", "reinforce"]
    code, out, _ = airctl("config", *words)
    assert code == 0
    values = config.settings(config.loads(out, "stdout"))
    assert (values["optimiser.lr"], values["train.batch"]) == (3e-4, 16)
    assert values["objective.estimator"] == "score-function"


def test_gpu_is_cuda(airctl, run: Path) -> None:
    """Without a GPU the same sentence, for either word."""
    import torch

    if torch.cuda.is_available():
        pytest.skip("this machine has a GPU")
    told = [airctl("eval", run, "--device", word) for word in ("gpu", "cuda")]
    assert told[0] == told[1]
    assert told[0][0] == 2
    assert "no GPU" in told[0][2]


@pytest.mark.parametrize(
    ("words", "first"),
    [
        (["train", "--rn", "x"], "Error: No such option '--rn'"),
        (["trian"], "Error: there is no command 'trian': did you mean 'train'?"),
        (["train", "--run", "x"], "Error: Missing argument 'DATA.h5'."),
        (["eval", "x", "--split", "tset"], "Error: Invalid value for '--split': there is no 'tset': did you mean"),
    ],
)
def test_a_usage_error_shows_the_error_first(airctl, words: list[str], first: str) -> None:
    """The first line is what is wrong, the usage follows."""
    code, out, err = airctl(*words)
    assert (code, out) == (2, "")
    assert err.replace('"', "'").startswith(first) or err.startswith(first.replace("'--rn'", "--rn")), err
    assert "Usage: airctl" in err.partition("\n")[2]


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["infer", "{run}", "{data}", "--fill", "2"], "--fill 2.0: expected more than 0 and at most 1"),
        (["variance-report", "{run}", "--batch", "4000"], "--batch 4000: "),
        (["sweep", "{data}", "--run", "{tmp}", "--seeds", "x"], "--seeds x: expected something like 0..9"),
        (["sweep", "{data}", "--run", "{tmp}", "--vary", "a"], "--vary a: expected KEY=VALUE"),
        (["generate-data", "{tmp}/o.h5", "--train", "0", "--test", "0"], "--train 0 and --test 0 ask for no scenes"),
        (["generate-data", "{data}", "--digits", "font"], "say --force to replace it"),
        (["train", "{data}", "--run", "{run}"], "say --resume to go on with it"),
        (["report", "{run}", "{run}"], "say with --out FILE where to write it"),
    ],
)
def test_library_errors_become_options(
    airctl, words: list[str], sentence: str, finished: Path, data: Path, tmp_path: Path
) -> None:
    """What the library says of an argument, the command line says of its option."""
    code, out, err = airctl(*(word.format(run=finished, data=data, tmp=tmp_path) for word in words))
    assert (code, out) == (2, "")
    assert sentence in err


def test_no_message_of_the_library_names_an_option() -> None:
    """No string outside the command line's own files has a word that begins with two dashes."""
    import ast
    import re

    package = Path(library.__file__).parent
    found = []
    for path in package.rglob("*.py"):
        if path.parent.name == "cli" or "page" in path.parts:
            continue
        tree = ast.parse(path.read_text(encoding="utf-8"))
        docs = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
        found += [
            f"{path.name}:{node.lineno}: {node.value!r}"
            for node in ast.walk(tree)
            if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in docs
            if re.search(r"(^|[\s'(])--[a-z]", node.value)
        ]
    assert [line for line in found if not line.startswith(("fetch.py", "together.py"))] == []  # npm, pip, torchrun


def test_everything_takes_paths_as_text(finished: Path, data: Path, tmp_path: Path) -> None:
    """Each function of the library, with str where a path belongs."""
    run = str(shutil.copytree(finished, tmp_path / "run"))
    assert library.train(None, run, resume=True).steps == 12
    assert library.evaluate(run, data=str(data)).scenes == 40
    assert library.info(run).kind == "run"
    assert library.info(str(data)).kind == "data"
    assert library.draw_run(run, out=str(tmp_path / "a.png")).exists()
    assert library.draw_data(str(data), out=str(tmp_path / "b.png")).exists()
    assert library.report(run, out=str(tmp_path / "r.html"), data=str(data)).exists()
    assert library.export(run, str(tmp_path / "m.airctl")).exists()
    assert next(iter(library.infer(run, [str(data)], out=str(tmp_path / "found")))).image
