"""Signatures of exported models: made and checked here and by minisign alike; a model that is not signed is refused."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path
from shutil import copy, which

import minisign
import pytest

import airctl as library
from airctl.errors import ConfigError, InputFileError
from airctl.training import signed

Airctl = Callable[..., tuple[int, str, str]]


@pytest.fixture
def keys(tmp_path: Path) -> dict[str, Path]:
    """Files of two pairs of keys: mine and mine.pub, other and other.pub."""
    files = {}
    for name in ("mine", "other"):
        pair = minisign.KeyPair.generate()
        for suffix, key in (("", pair.secret_key), (".pub", pair.public_key)):
            files[name + suffix] = tmp_path / (name + suffix)
            files[name + suffix].write_bytes(bytes(key) + b"\n")
    return files


@pytest.fixture
def model(finished: Path, keys: dict[str, Path], tmp_path: Path, airctl: Airctl) -> Path:
    path = tmp_path / "m.airctl"
    assert airctl("export", finished, "-o", path, "--sign", keys["mine"])[:2] == (0, f"{path}\n")
    return path


def test_only_the_owners_own_file_is_loaded(
    model: Path, keys: dict[str, Path], finished: Path, data: Path, airctl: Airctl
) -> None:
    """infer, load and verify with a key: as it was exported; and no other key, changed file, or missing signature."""
    assert library.load(model, key=keys["mine.pub"], device="cpu").step == 12
    assert airctl("infer", model, data, "--key", keys["mine.pub"])[0] == 0
    code, out, _ = airctl("verify", model, "--key", keys["mine.pub"])
    assert (code, f"signature of {model} (by {keys['mine.pub']})" in out) == (0, True)

    def refused(key: Path, why: str) -> None:
        with pytest.raises(InputFileError, match=why) as error:
            library.load(model, key=key, device="cpu")
        assert "\n" not in str(error.value)
        assert airctl("infer", model, data, "--key", key)[0] == 3
        assert airctl("verify", model, "--key", key)[0] == 3

    refused(keys["other.pub"], "not signed by the owner of")
    refused(keys["mine"], "no public key")
    whole, signature = model.read_bytes(), signed.signature_of(model).read_bytes()
    model.write_bytes(whole + b"\0")
    refused(keys["mine.pub"], "signature verification failed")
    model.write_bytes(whole)
    for damaged in (b"", b"x", signature.replace(b"timestamp", b"timestamq"), signature[:-20], signature * 2000):
        signed.signature_of(model).write_bytes(damaged)
        with pytest.raises(InputFileError):
            library.load(model, key=keys["mine.pub"], device="cpu")
    signed.signature_of(model).unlink()
    refused(keys["mine.pub"], "is not signed: expected")
    assert library.load(model, device="cpu").step == 12  # the control: without a key nothing is asked
    with pytest.raises(ConfigError, match="is no exported model, and nothing else is signed"):
        library.load(finished, key=keys["mine.pub"])


def test_an_encrypted_key_wants_its_password(finished: Path, keys: dict[str, Path], tmp_path: Path) -> None:
    """The right one signs; a wrong one, and a public key in its place, are refused before anything is written."""
    secret = minisign.SecretKey.from_bytes(keys["mine"].read_bytes())
    secret.encrypt("right", opslimit=32768, memlimit=1 << 20)
    keys["mine"].write_bytes(bytes(secret) + b"\n")
    with pytest.raises(InputFileError, match="password is another"):
        signed.Signer(keys["mine"], lambda: "wrong")
    with pytest.raises(InputFileError, match="no secret key"):
        signed.Signer(keys["mine.pub"])
    out = library.export(finished, tmp_path / "m.airctl", sign=signed.Signer(keys["mine"], lambda: "right"))
    signed.check(out, keys["mine.pub"])


@pytest.mark.skipif(which("minisign") is None, reason="needs the program minisign")
def test_the_program_minisign_agrees(model: Path, keys: dict[str, Path], tmp_path: Path) -> None:
    """It accepts our signature, and we its own, by a key that it has made; neither accepts another key."""

    def run(*words: object) -> int:
        return subprocess.run(["minisign", *map(str, words)], capture_output=True, check=False).returncode

    assert run("-V", "-p", keys["mine.pub"], "-m", model) == 0
    assert run("-V", "-p", keys["other.pub"], "-m", model) != 0
    secret, public, theirs = tmp_path / "theirs", tmp_path / "theirs.pub", copy(model, tmp_path / "theirs.airctl")
    assert run("-G", "-W", "-s", secret, "-p", public) == 0
    assert run("-S", "-s", secret, "-m", theirs) == 0
    signed.check(Path(theirs), public)
    with pytest.raises(InputFileError, match="not signed by the owner"):
        signed.check(Path(theirs), keys["mine.pub"])
