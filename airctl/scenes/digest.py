"""The sha256 of arrays: over the dtype, the shape and the values of each, which may come in blocks."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable

import numpy as np


class ArraysDigest:
    """One sha256 over several arrays, fed one after the other and each from its first row to its last."""

    def __init__(self) -> None:
        self._digest = hashlib.sha256()

    def begin(self, dtype: np.dtype, shape: tuple[int, ...]) -> None:
        """The values of an array of this dtype and shape follow."""
        self._digest.update(f"{dtype.str}{shape}".encode())

    def add(self, values: np.ndarray) -> None:
        """Some rows of the array that was begun."""
        self._digest.update(np.ascontiguousarray(values).reshape(-1).view(np.uint8).data)

    def add_all(self, dtype: np.dtype, shape: tuple[int, ...], blocks: Iterable[np.ndarray]) -> None:
        """An array that comes in ``blocks``."""
        self.begin(dtype, shape)
        for block in blocks:
            self.add(block)

    def hexdigest(self) -> str:
        """The sha256 of all that was fed."""
        return self._digest.hexdigest()


def sha256_of_arrays(*arrays: np.ndarray) -> str:
    """One sha256 over the dtypes, shapes and values of arrays."""
    digest = ArraysDigest()
    for array in arrays:
        digest.add_all(array.dtype, array.shape, [array])
    return digest.hexdigest()
