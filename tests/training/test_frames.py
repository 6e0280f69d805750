"""What one sees while it trains: a bar or plain lines, colours or none, TensorBoard, and a warning of a collapse."""

from __future__ import annotations

import fcntl
import os
import pty
import re
import struct
import subprocess
import sys
import termios
from pathlib import Path

import pytest
import torch
from small import settings, tiny

from airctl import config
from airctl.commands.train import train
from airctl.errors import ConfigError
from airctl.evaluation.collapse import ALWAYS, NEVER, CountState
from airctl.inference.passes import passes
from airctl.model import AIR, truncated_geometric
from airctl.scenes import read_split
from airctl.training import RunFolder

# --- the config ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("preset", [*config.PRESETS])
def test_the_printed_config_is_what_config_reads_back(preset: str, airctl, tmp_path: Path) -> None:
    """config -> file -> config gives the same bytes, with the preset, --set and the options of their own in it."""
    words = ["--preset", preset, "--set", "network.hidden=77", "--steps", 5, "--estimator", "rloo", "--seed", 3]
    code, out, err = airctl("config", *words)
    assert (code, err) == (0, "")
    (tmp_path / "mine.toml").write_text(out)
    assert airctl("config", "--config", tmp_path / "mine.toml")[1] == out
    wanted = config.override(config.preset(preset), ["network.hidden=77", "train.steps=5", "train.seed=3"])
    assert config.load(tmp_path / "mine.toml") == config.override(wanted, ["objective.estimator=rloo"])


def test_a_run_has_the_config_that_was_printed(airctl, data: Path, tmp_path: Path) -> None:
    """train --config of the printed file writes the same config.toml, but for the sizes that the data has."""
    (tmp_path / "mine.toml").write_text(airctl("config", *settings())[1])
    code, _, _ = airctl("train", data, "--run", tmp_path / "run", "--config", tmp_path / "mine.toml", "--steps", 1)
    assert code == 0
    found, printed = RunFolder(tmp_path / "run").config(), config.load(tmp_path / "mine.toml")
    size = f"model.object_size={found.model.object_size}"
    assert found == config.override(printed, ["train.steps=1", "model.canvas=50", size])


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["--preset", "fats"], "did you mean 'fast'?"),
        (["--set", "network.hiden=3"], "did you mean 'network.hidden'?"),
        (["--estimator", "scorefunction"], "did you mean 'score-function'?"),
        (["--sett", "network.hidden=3"], "Did you mean '--set'?"),
    ],
)
def test_config_checks_what_it_prints(words: list[str], sentence: str, airctl) -> None:
    """A misspelt name is exit 2 and the nearest right one."""
    code, out, err = airctl("config", *words)
    assert (code, out) == (2, "")
    assert sentence in err


# --- progress --------------------------------------------------------------------------------------------------------


def test_without_a_terminal_each_validation_is_a_plain_line(airctl, data: Path, tmp_path: Path) -> None:
    """Steps 4, 8, 12 of 12: ELBO, accuracy, pace and time left; no control characters; --json is silent."""
    code, _, err = airctl("train", data, "--run", tmp_path / "run", *settings())
    assert code == 0
    line = r"step (\d+)/12, ELBO -?[\d.]+, count accuracy [\d.]+%, [\d.]+ steps/s, \d\d:\d\d left"
    assert [match[1] for match in re.finditer(f"^{line}$", err, re.MULTILINE)] == ["4", "8", "12"]
    assert "\r" not in err
    assert "\x1b" not in err
    _, _, err = airctl("train", data, "--run", tmp_path / "other", *settings(), "--json")
    assert len(err.splitlines()) == 1  # where it writes


def on_a_terminal(arguments: list[str], **environment: str) -> str:
    """What a terminal of 100 columns is sent on stderr."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 30, 100, 0, 0))
    command = [sys.executable, "-m", "airctl", *map(str, arguments)]
    surroundings = {k: v for k, v in os.environ.items() if k != "NO_COLOR"} | {"TERM": "xterm", **environment}
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=theirs, env=surroundings)
    os.close(theirs)
    sent = b""
    while True:
        try:
            piece = os.read(ours, 1 << 16)
        except OSError:  # Linux says so at the end
            break
        if not piece:
            break
        sent += piece
    process.wait()
    os.close(ours)
    return sent.decode()


def test_on_a_terminal_there_is_a_live_bar(data: Path, tmp_path: Path) -> None:
    """One line that is drawn again: steps, pace, ELBO and accuracy."""
    shown = on_a_terminal(["train", data, "--run", tmp_path / "run", *settings()])
    assert "\r" in shown
    assert re.search(r"12/12 .*<00:00, .* steps.*ELBO -?[\d.]+, count accuracy [\d.]+%", shown)
    assert "step 4/12" not in shown


def test_no_color_is_respected(tmp_path: Path) -> None:
    """An error is red on a terminal, and plain with NO_COLOR or on a dumb one."""
    words = ["config", "--config", tmp_path / "none.toml"]
    assert "\x1b[31m" in on_a_terminal(words)
    assert "\x1b" not in on_a_terminal(words, NO_COLOR="1")
    assert "\x1b" not in on_a_terminal(words, TERM="dumb")


# --- TensorBoard -----------------------------------------------------------------------------------------------------


def test_tensorboard_without_its_package_is_one_sentence(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It says what to install, before anything is written."""
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", None)
    with pytest.raises(ConfigError, match=r"pip install 'airctl\[tensorboard\]'"):
        train(data, tmp_path / "run", tiny(), threads=1, tensorboard=True)
    assert not (tmp_path / "run").exists()


@pytest.mark.filterwarnings("ignore")
def test_tensorboard_holds_the_rows_of_the_metrics(data: Path, tmp_path: Path) -> None:
    """Each number of metrics.jsonl is a scalar of its step."""
    events = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    train(data, tmp_path / "run", tiny(), threads=1, tensorboard=True)
    found = events.EventAccumulator(str(tmp_path / "run/tensorboard")).Reload()
    rows = RunFolder(tmp_path / "run").read_metrics()
    assert rows
    for name in ("elbo", "validation_accuracy", "validation_elbo"):
        wanted = [(row["step"], pytest.approx(row[name])) for row in rows if name in row]
        assert [(event.step, event.value) for event in found.Scalars(name)] == wanted


# --- collapses -------------------------------------------------------------------------------------------------------

# A model whose z_pres is as good as fixed, however it is trained: the gradient of a saturated sigmoid is nothing.
BIAS = {NEVER: "network.present_bias=-40.0", ALWAYS: "network.present_bias=40.0", None: "network.present_bias=0.0"}


def state_of(data: Path, *changed: str) -> CountState:
    split = read_split(data, "train")
    chosen = config.override(tiny(*changed), ["model.canvas=50"])
    torch.manual_seed(0)
    model = AIR(chosen)
    log_p = truncated_geometric(chosen.count.probability, chosen.model.num_steps)
    chunks = passes(model, torch.from_numpy(split.images), log_p, model.mean_noise)
    return CountState.of(model, chunks, torch.from_numpy(split.counts).long())


@pytest.mark.parametrize("kind", BIAS)
def test_a_collapse_is_told_by_the_model_that_is_in_it(kind: str | None, data: Path) -> None:
    """Steps switched off, steps switched on, and a model that is undecided: each is what it is."""
    assert state_of(data, BIAS[kind]).collapse() == kind


def test_an_empty_canvas_is_worth_the_likelihood_of_black(data: Path) -> None:
    """``empty`` is the mean of log N(x; 0, sd) over the scenes, and the ELBO of a model that never attends is near."""
    found = state_of(data, BIAS[NEVER])
    images = torch.from_numpy(read_split(data, "train").images).double() / 255
    black = torch.distributions.Normal(0.0, 0.3).log_prob(images).sum((1, 2)).mean().item()
    assert found.empty == pytest.approx(black, abs=0.1)
    assert found.elbo == pytest.approx(black, abs=0.2)


def test_scenes_that_are_truly_empty_or_full_are_no_collapse(data: Path) -> None:
    """A model that is right is not warned of."""
    never, always = state_of(data, BIAS[NEVER]), state_of(data, BIAS[ALWAYS])
    values = never.__dict__ | {"accuracy": 1.0, "share_none": 1.0, "commonest": 1.0}
    assert CountState(**values).collapse() is None
    assert CountState(**(always.__dict__ | {"accuracy": 1.0, "commonest": 1.0})).collapse() is None


@pytest.mark.parametrize("kind", BIAS)
def test_training_warns_once_a_kind_and_with_advice(kind: str | None, data: Path, tmp_path: Path) -> None:
    """Six validations in the state give one warning, at the second after the annealing; an undecided model none."""
    told: list[str] = []
    chosen = tiny(BIAS[kind], "train.validate_every=2", "count.anneal_steps=3")
    train(data, tmp_path / "run", chosen, threads=1, warn=told.append)
    words = {
        NEVER: ("step 6: ", "attends to nothing", "count.start"),
        ALWAYS: ("step 6: ", "all 3 steps", "count.probability="),
    }
    assert len(told) == (kind is not None)
    assert all(word in told[0] for word in words.get(kind, ()))


def test_a_normal_beginning_is_not_warned_of(data: Path, tmp_path: Path) -> None:
    """While objects are still cheap, and in the first tenth of the steps, taking all of them is how learning starts."""
    told: list[str] = []
    for name, changed in {"a": "count.anneal_steps=12", "b": "train.steps=200"}.items():
        chosen = tiny(BIAS[ALWAYS], "count.anneal_steps=0", "train.validate_every=4", changed)

        def stop(progress: object) -> None:
            if getattr(progress, "step", 0) == 12:
                os.kill(os.getpid(), 15)

        train(data, tmp_path / name, chosen, threads=1, warn=told.append, on_progress=stop)
    assert told == []
