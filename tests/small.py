"""What the tests of whole commands share: a training of a second, and the command line as a shell sees it."""

from __future__ import annotations

import pytest

from airctl import cli, config

TINY = (
    "network.hidden=16",
    "model.what=5",
    "network.predict_hidden=12",
    "model.glimpse_hidden=12",
    "model.glimpse=10",
    "objective.baseline_hidden=8",
    "train.batch=8",
    "train.validation=40",
    "train.validate_every=4",
    "train.checkpoint_every=5",
    "train.steps=12",
)


CROPS = (
    "model.glimpse=8",
    "model.what=4",
    "model.glimpse_hidden=16",
    "model.num_steps=4",
    "network.dense=1",
    "objective.paste=4",
    "train.batch=8",
    "train.validation=300",
    "train.validate_every=4",
    "train.checkpoint_every=3",
    "train.steps=6",
)


def crops(*settings: str) -> config.Config:
    """A config that trains on crops of pictures in seconds."""
    return config.override(config.preset("fast"), [*CROPS, *settings])


def tiny(*settings: str, preset: str = "recurrent") -> config.Config:
    """A config that trains in a second."""
    return config.override(config.preset(preset), [*TINY, *settings])


def settings() -> list[str]:
    """``TINY`` as words of the command line."""
    return [word for setting in TINY for word in ("--set", setting)]


def run_command(
    arguments: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> tuple[int, str, str]:
    """What a shell would see: exit code, stdout, stderr."""
    monkeypatch.setattr("sys.argv", ["airctl", *arguments])
    with pytest.raises(SystemExit) as ended:
        cli.main()
    out, err = capsys.readouterr()
    assert "Traceback" not in err
    return int(ended.value.code or 0), out, err
