"""Detached signatures of exported models, as minisign makes them: FILE.minisig beside FILE.

Keys and signatures are those of the program minisign, which reads and writes the same files; the Ed25519 is that of
the package cryptography.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import cast

from airctl.errors import ConfigError, InputFileError
from airctl.files import is_regular, read_small, write_bytes
from airctl.training import exported, onnx_files

SUFFIX = ".minisig"
_MOST_KEY = 1 << 14  # bytes of a key or signature: minisign's own limit of a comment, and more


def signature_of(path: Path) -> Path:
    """Where the signature of a file is."""
    return path.with_name(path.name + SUFFIX)


def files_of(model: Path) -> list[Path]:
    """The files of an exported model that are signed: FILE.airctl itself, or the three of NAME.onnx; [] of a folder."""
    if model.suffix == onnx_files.SUFFIX and not is_regular(model):
        return list(onnx_files.paths(model).values())
    return [model] if model.suffix in (exported.SUFFIX, onnx_files.SUFFIX) else []


class Signer:
    """A secret key that has been read, decrypted if it is encrypted; ``password`` is then asked.

    ``InputFileError`` for what is no secret key or another password, ``ConfigError`` without the package.
    """

    def __init__(self, key: Path, password: Callable[[], str] = lambda: "") -> None:
        minisign = library()
        try:
            self.key = minisign.SecretKey.from_bytes(read_small(key, _MOST_KEY))
            if self.key.is_encrypted():
                self.key.decrypt(password())
        except minisign.Error as error:
            raise InputFileError(f"{key} is no secret key of minisign, or the password is another: {error}") from error

    def sign(self, path: Path) -> Path:
        """Write the signature of a file beside it, in the place of an older one; returns its path."""
        with open(path, "rb") as stream:
            signature = self.key.sign(stream)
        write_bytes(signature_of(path), bytes(signature) + b"\n")
        return signature_of(path)


def check(path: Path, key: Path) -> None:
    """Raise ``InputFileError`` unless ``path`` has beside it a signature by the owner of the public ``key``."""
    minisign = library()
    try:
        public = minisign.PublicKey.from_bytes(read_small(key, _MOST_KEY).rstrip())
    except minisign.Error as error:
        raise InputFileError(f"{key} is no public key of minisign: {error}") from error
    place = signature_of(path)
    if not is_regular(place):
        raise InputFileError(f"{path} is not signed: expected {place} beside it")
    try:
        signature = minisign.Signature.from_bytes(read_small(place, _MOST_KEY).rstrip())
        with open(path, "rb") as stream:
            public.verify(stream, signature)
    except (minisign.Error, OSError) as error:
        raise InputFileError(f"{path} is not signed by the owner of {key}: {error}") from error


def library() -> ModuleType:
    """The package py-minisign; ``ConfigError`` where it is not installed."""
    try:
        import minisign
    except ImportError as error:
        raise ConfigError("signatures need the package py-minisign: pip install 'airctl[signing]'") from error
    return cast(ModuleType, minisign)
