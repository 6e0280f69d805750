"""A compressed picture keeps its budget, and as much of itself as that allows."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image

from airctl.reporting.counts_page.compressed import as_image, packed


def noise(height: int, width: int, *channels: int) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (height, width, *channels), dtype=np.uint8)


def reopened(file: bytes) -> Image.Image:
    return Image.open(io.BytesIO(file))


@pytest.mark.parametrize("channels", [(), (3,)])
@pytest.mark.parametrize("most", [1_000, 5_000, 76_000])
def test_white_noise_keeps_to_the_bytes(channels: tuple[int, ...], most: int) -> None:
    """Nothing compresses worse; without a budget it is much more."""
    image = as_image(noise(600, 900, *channels))
    assert len(packed(image, 10**6, most)) <= most
    assert len(packed(image, 10**6, 10**9)) > 76_000


@pytest.mark.parametrize("shape", [(3000, 1000), (1000, 1000), (1, 70_000), (70_000, 1)])
def test_a_large_picture_keeps_to_the_pixels_and_its_shape(shape: tuple[int, int]) -> None:
    assert reopened(packed(as_image(np.zeros(shape, np.uint8)), 10**8, 10**6)).width > 0
    small = reopened(packed(as_image(np.zeros(shape, np.uint8)), 10_000, 10**6))
    assert small.width * small.height <= 10_000
    if min(shape) > 1:
        assert small.height / small.width == pytest.approx(shape[0] / shape[1], rel=0.02)


def test_what_fits_is_not_made_smaller_and_is_the_same_picture() -> None:
    """A smooth picture comes back within two grey levels; its mirror image does not."""
    y, x = np.mgrid[:90, :120]
    picture = (x + y).astype(np.uint8)
    back = np.asarray(reopened(packed(as_image(picture), 10**6, 10**6))).astype(int)
    assert back.shape == picture.shape
    assert abs(back - picture).max() <= 2
    assert abs(back[:, ::-1] - picture).max() > 50


def test_a_reconstruction_is_clipped_to_what_can_be_shown() -> None:
    values = as_image(np.array([[-1.0, 0.0, 0.5, 1.0, 7.0, np.nan]], np.float32))
    assert np.asarray(values).tolist() == [[0, 0, 128, 255, 255, 0]]


@pytest.mark.parametrize(
    "picture", [np.zeros(4, np.uint8), np.zeros((4, 4, 4), np.uint8), np.zeros((0, 4), np.uint8), np.zeros((4, 4), int)]
)
def test_what_is_no_picture_is_refused(picture: np.ndarray) -> None:
    with pytest.raises(ValueError, match="a picture"):
        as_image(picture)
