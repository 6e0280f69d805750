"""The command line: exit code, message and file; never a traceback."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import click
import h5py
import pytest
from small import settings

from airctl import cli
from airctl.cli.shell import Word
from airctl.scenes import read_attributes, told_size


def test_the_whole_way(airctl, tmp_path: Path) -> None:
    """generate-data, train, eval, variance-report and preview, each with one JSON object or a path on stdout."""
    data, folder = tmp_path / "scenes.h5", tmp_path / "run"
    code, out, _ = airctl("generate-data", data, "--digits", "font", "--train", 80, "--test", 20, "--json")
    assert code == 0
    assert json.loads(out)["train"]["scenes"] == 80
    code, out, _ = airctl("train", data, "--run", folder, *settings(), "--threads", 1, "--json")
    assert code == 0
    assert {"run", "steps", "seconds", "validation_accuracy"} <= json.loads(out).keys()
    code, out, _ = airctl("eval-count", folder, "--json")
    result = json.loads(out)
    assert code == 0
    wanted = "count_accuracy count_accuracy_sampled per_count_accuracy confusion elbo"
    assert {*wanted.split(), "scenes", "step"} <= result.keys()
    assert sum(map(sum, result["confusion"])) == result["scenes"] == 20
    kept = json.loads((folder / "eval-test.json").read_text())
    assert kept.pop("sha256")
    assert kept == result
    code, out, _ = airctl("variance", folder, "--samples", 6, "--batch", 4, "--fit-steps", 2, "--json")
    assert code == 0
    rows = json.loads(out)["estimators"]
    assert {"backprop", "score-function-likelihood", "score-function-neural", "report-2019", "exact"} == set(rows)
    keys = {"norm_variance", "total_variance", "bias", "bias_p_value", "seconds_per_sample"}
    assert all(keys <= row.keys() for row in rows.values())
    code, out, _ = airctl("preview", folder)
    assert code == 0
    assert Path(out.strip()).read_bytes().startswith(b"\x89PNG")


def test_eval_below_the_accuracy_asked_for_is_exit_7_after_the_result(airctl, finished: Path, tmp_path: Path) -> None:
    """--min-accuracy can gate a script, and the result is still printed and written."""
    copy = shutil.copytree(finished, tmp_path / "run")
    code, out, err = airctl("eval", copy, "--min-accuracy", "1.0", "--json")
    assert code == 7
    assert "below the 1.0000 asked for" in err
    assert json.loads(out)["accurate_enough"] is False


def test_nothing_of_a_file_reaches_the_terminal_as_a_command(airctl, finished: Path, tmp_path: Path) -> None:
    """Clear the screen, a title, a new line with a lie: info, eval and train show them escaped, and JSON as it does."""
    hostile = "\x1b[2J\x1b]0;owned\x07\r\nairctl: all is well\x9b31m"
    run = Path(shutil.copytree(finished, tmp_path / f"run{hostile}"))
    told = json.loads((run / "data.json").read_text())
    (run / "data.json").write_text(json.dumps({**told, "path": f"{told['path']}{hostile}"}))
    for words in (["info", run], ["eval", run], ["train", "--run", run, "--resume"], ["report", run], ["preview", run],
                  ["eval", run, "--data", told["path"]], ["report", run], ["preview", run, "--data", told["path"]],
                  ["info", run, "--json"], ["train", told["path"], "--run", run, "--resume"]):  # fmt: skip
        _, out, err = airctl(*words)
        assert all(c.isprintable() or c == "\n" for c in out + err), words
        assert "\nairctl: all is well" not in out + err
        assert "all is well" in out + err or words[0] == "eval", words


@pytest.mark.parametrize("closed", ["2>&-", "2>&- <&-"])
def test_a_closed_stream_is_no_traceback(closed: str, data: Path, tmp_path: Path) -> None:
    """The exit code stays that of the error or 0, nothing of a message is on stdout, and a file is whole."""
    told = f"cd {tmp_path}; {sys.executable} -P -c 'from airctl.cli import main; main()'"
    environment = {**os.environ, "PYTHONPATH": str(Path(cli.__file__).parents[2]), "PYTHONIOENCODING": "ascii"}

    def ended(words: str) -> tuple[int, bytes]:
        done = subprocess.run(f"{told} {words} {closed}", shell=True, env=environment, capture_output=True, check=False)
        return done.returncode, done.stdout

    assert ended("info nothing") == (3, b"")
    assert ended("generate-data a.h5 --digits font --train 8 --test 2")[0] == 0
    code, told_of_it = ended("info a.h5")
    assert code == 0
    assert told_of_it


MISTAKES = [
    (["trian"], 2, "did you mean 'train'?"),
    (["train", "{data}"], 2, "Missing option '--run'"),
    (["train", "{data}", "--run", "{tmp}/r", "--preset", "papr"], 2, "did you mean 'paper'?"),
    (["train", "{data}", "--run", "{tmp}/r", "--estimator", "exat"], 2, "did you mean 'exact'?"),
    (["train", "{data}", "--run", "{tmp}/r", "--set", "network.hiden=3"], 2, "did you mean 'network.hidden'?"),
    (["train", "{data}", "--run", "{tmp}/r", "--set", "network.hidden=x"], 2, "expected a whole number"),
    (["train", "{data}", "--run", "{tmp}/r", "--steps", "-1"], 2, "expected at least 0"),
    (["train", "{data}", "--run", "{tmp}/r", "--device", "cdua"], 2, "did you mean 'cuda'?"),
    (["train", "{data}", "--run", "{tmp}/r", "--sed", "1"], 2, "Did you mean '--seed'?"),
    (["infr", "{run}"], 2, "did you mean 'infer'?"),
    (["sweep", "{data}", "--run", "{tmp}/r", "--sedes", "1"], 2, "Did you mean '--seeds'?"),
    (["sweep", "{data}", "--run", "{tmp}/r", "--estimtor", "exact"], 2, "Did you mean '--estimator'?"),
    (["sweep", "{data}", "--run", "{tmp}/r", "--set", "network.hiden=3"], 2, "did you mean 'network.hidden'?"),
    (["sweep", "{data}", "--run", "{tmp}/r", "--preset", "papr"], 2, "did you mean 'paper'?"),
    (["info", "{tmp}/none"], 3, "no such file"),
    (["info", "{text}"], 3, "text.h5"),
    (["info", "{tmp}"], 2, "is not a run folder"),
    (["train", "{data}", "--run", "{run}"], 2, "already holds a run"),
    (["train", "{tmp}/none.h5", "--run", "{tmp}/r"], 3, "none.h5"),
    (["train", "{text}", "--run", "{tmp}/r"], 3, "text.h5"),
    (["train", "{cut}", "--run", "{tmp}/r"], 3, "cut.h5"),
    (["train", "{data}", "--run", "{tmp}/r", "--config", "{tmp}/none.toml"], 3, "none.toml"),
    (["eval", "{tmp}/none"], 2, "is not a run folder, an exported FILE.airctl, or"),
    (["eval", "{run}", "--checkpoint", "77"], 2, "has no checkpoint '77'"),
    (["eval", "{run}", "--data", "{text}"], 3, "text.h5"),
    (["eval", "{run}", "--split", "tset"], 2, "did you mean 'test'?"),
    (["eval", "{run}", "--chekpoint", "last"], 2, "Did you mean '--checkpoint'?"),
    (["variance-report", "{run}", "--estimators", "exact,vimco2"], 2, "did you mean 'vimco'?"),
    (["variance-report", "{run}", "--batch", "4000"], 2, "has only 120 training scenes"),
    (["preview", "{tmp}/none"], 2, "is not a run folder, an exported FILE.airctl, or"),
    (["generate-data", "{data}", "--digits", "font"], 2, "exists: say --force to replace it"),
    (["generate-data", "{tmp}/o.h5", "--digits", "font", "--preset", "pyr"], 2, "did you mean 'pyro'?"),
    (["generate-data", "{tmp}/o.h5", "--digits", "mnits"], 2, "did you mean 'mnist'?"),
    (["generate-data", "{tmp}/o.h5", "--digits", "font", "--canvas", "20"], 2, "canvas"),
    (["generate-data", "{tmp}/o.h5", "--digits", "font", "--canvas", "40", "--max-digits", "9"], 2, "fewer digits"),
    (
        ["generate-data", "{tmp}/o.h5", "--objects", "font", "--min-digits", "3"],
        2,
        "--min-digits 3 is more than --max-",
    ),
    (["generate-data", "{tmp}/o.h5", "--min-digits", "10"], 2, "--min-digits"),
    (["generate-data", "{tmp}/o.h5", "--scale", "nan"], 2, "--scale-mean nan is out of range"),
    (["generate-data", "{tmp}/o.h5", "--scale", "0"], 2, "--scale"),
    (["generate-data", "{tmp}/o.h5", "--scale-sd", "0.5"], 2, "--scale-sd 0.5 would draw scales of 0 and less"),
    (["generate-data", "{tmp}/o.h5", "--digits", "font", "--scale", "40"], 2, "vanish when scaled by 1/40"),
    (["generate-data", "{tmp}/o.h5", "--digits", "{idx}"], 3, "idx"),
    (["generate-data", "{tmp}/o.h5", "--digits", "{tmp}/nothing"], 2, "nothing"),
    (["generate-cells", "{tmp}", "--pictures", "1"], 2, "is not empty: say --force to replace"),
    (["generate-cells", "{text}"], 2, "text.h5 is no folder"),
    (["generate-cells", "{tmp}/c", "--cells", "many"], 2, "--cells many: expected something like 150 or 40..300"),
    (["generate-cells", "{tmp}/c", "--cells", "9..3"], 2, "--cells 9..3: expected the fewest first"),
    (["generate-cells", "{tmp}/c", "--cells", "9999"], 2, "9999 cells of 20 pixels do not fit a picture of 600 x 400"),
    (["generate-cells", "{tmp}/c", "--size", "600"], 2, "--size 600: expected WIDTHxHEIGHT"),
    (["generate-cells", "{tmp}/c", "--diameter", "0"], 2, "--diameter 0: expected 4 to"),
    (["generate-cells", "{tmp}/c", "--noise", "nan"], 2, "--noise nan: expected 0 to 1"),
    (["generate-cells", "{tmp}/c", "--dark", "soem"], 2, "did you mean 'some'?"),
    (["generate-cells", "{tmp}/c", "--bits", "12"], 2, "there is no '12'"),
    *[([command, "9" * 5000], 2, "no file can have the name '999") for command in ("info", "preview", "eval")],
]


@pytest.mark.parametrize(("arguments", "code", "sentence"), MISTAKES, ids=[" ".join(m[0])[:60] for m in MISTAKES])
def test_a_mistake_is_one_sentence_and_its_exit_code(
    arguments: list[str], code: int, sentence: str, airctl, data: Path, finished: Path, tmp_path: Path
) -> None:
    """Each mistake gives its code, a sentence that helps, an empty stdout, and leaves what was there as it was."""
    (tmp_path / "text.h5").write_text("not HDF5")
    (tmp_path / "cut.h5").write_bytes(data.read_bytes()[:3000])
    (tmp_path / "idx-images-idx3-ubyte").write_bytes(b"\0\0\x08\x04" + bytes(12))
    names = {
        "data": data,
        "tmp": tmp_path,
        "run": finished,
        "text": tmp_path / "text.h5",
        "cut": tmp_path / "cut.h5",
        "idx": tmp_path / "idx-images-idx3-ubyte",
    }
    before = data.read_bytes()
    got, out, err = airctl(*(word.format(**names) for word in arguments))
    assert (got, out) == (code, ""), err
    assert sentence in err
    assert data.read_bytes() == before
    assert not (tmp_path / "o.h5").exists()
    assert not (tmp_path / "c").exists()


@pytest.mark.parametrize("command", ["", *cli.airctl.commands])
def test_every_help_fits_a_screen_and_shows_an_example(command: str, airctl) -> None:
    """--help is at most 46 lines of 100 columns, 76 where pictures have many options; first come lines to copy."""
    code, out, _ = airctl(*command.split(), "--help")
    assert code == 0
    assert len(out.splitlines()) <= (76 if command in ("count", "infer") else 46)
    assert max(map(len, out.splitlines())) <= 100
    assert out.startswith(f"Example:\n  airctl {command}")


@pytest.mark.parametrize("command", ["", *cli.airctl.commands])
def test_every_command_option_and_choice_is_told(command: str, airctl) -> None:
    """Each option has a help of its own or a list of its choices."""
    group = cli.airctl.commands[command] if command else cli.airctl
    options = [p for p in group.params if isinstance(p, click.Option)]
    assert [o.name for o in options if not o.help and not isinstance(o.type, Word)] == []


def test_a_data_file_and_a_run_tell_what_they_are(airctl, data: Path, finished: Path) -> None:
    """info: the attributes, the counts and a histogram of every pixel; preset, steps, accuracy and data of a run."""
    told = json.loads(airctl("info", data, "--json")[1])
    assert (told["kind"], told["file_schema"], told["preset"], told["digits"]) == ("data", 1, "observations", "font")
    assert (sum(told["train"]["counts"]), sum(told["test"]["counts"])) == (120, 40)
    assert sum(told["test"]["pixel_histogram"]) == 40 * 50 * 50
    run = json.loads(airctl("info", finished, "--json")[1])
    assert (run["kind"], run["preset"], run["estimator"]) == ("run", "recurrent", "score-function-neural")
    assert (run["step"], run["finished"], run["data"]["path"]) == (12, True, str(data))
    assert {"network.hidden=16", "train.steps=12", "model.canvas=50"} <= set(run["changed"])
    assert "train.seed=0" not in run["changed"]  # as in the preset
    assert "120 scenes" in airctl("info", data)[1]
    assert "step 12 of 12, finished" in airctl("info", finished)[1]


def test_the_digits_asked_for_are_those_of_the_scenes(airctl, tmp_path: Path) -> None:
    """--objects is --digits, --scale is --scale-mean; info tells counts and sizes, and an older file has no size."""
    out, again = tmp_path / "s.h5", tmp_path / "again.h5"
    words = ["--train", 30, "--test", 9, "--min-digits", 2, "--max-digits", 3, "--canvas", 48, "--scale-sd", 0.05]
    made = json.loads(airctl("generate-data", out, "--objects", "font", "--scale", 2, *words, "--json")[1])
    assert airctl("generate-data", again, "--digits", "font", "--scale-mean", 2, *words)[0] == 0
    assert again.read_bytes() == out.read_bytes()
    assert made["object_size"] == told_size(read_attributes(out))
    assert 10 < made["object_size"] < 16
    assert made["train"]["counts"][:2] == [0, 0]
    told = json.loads(airctl("info", out, "--json")[1])
    assert [told[name] for name in ("min_digits", "max_digits", "object_size", "scale_mean", "scale_sd")] == [
        2, 3, made["object_size"], 2, 0.05
    ]  # fmt: skip
    assert f"{made['object_size']:.1f} pixels a side" in airctl("info", out)[1]
    with h5py.File(out, "r+") as file:
        del file.attrs["ink_size"]
    assert json.loads(airctl("info", out, "--json")[1])["object_size"] is None
    assert "pixels a side" not in airctl("info", out)[1]


def test_training_takes_the_size_of_objects_from_the_data(airctl, tmp_path: Path) -> None:
    """The config of a run has it from the true boxes: what a file of an older version has as well."""
    stored = tmp_path / "stored.h5"
    words = ["--digits", "font", "--train", 40, "--test", 2, "--canvas", 28, "--scale", 4, "--scale-sd", 0]
    assert airctl("generate-data", stored, *words)[0] == 0
    older = Path(shutil.copy(stored, tmp_path / "older.h5"))
    with h5py.File(older, "r+") as file:
        del file.attrs["ink_size"]
    sizes, small = [], ("--set", "train.validation=8")
    for data in (stored, older):
        run = tmp_path / data.stem
        code, _, err = airctl("train", data, "--run", run, "--steps", 1, "--batch", 4, *small)
        assert code == 0, err
        sizes.append(tomllib.loads((run / "config.toml").read_text())["model"]["object_size"])
    assert sizes[0] == sizes[1]
    assert 4 < sizes[1] < 10
