"""The two resamplings of digits: each does what the program did with which published scenes were made."""

import numpy as np

from airctl.scenes.resize import resize_bilinear, resize_nearest


def test_nearest_is_that_of_old_pillow() -> None:
    """Source coordinates start at half a step and are truncated: 28 -> 4 takes pixels 3, 10, 17, 24."""
    ramp = np.arange(28, dtype=np.uint8)[None].repeat(28, 0)
    assert resize_nearest(ramp, 28, 4)[0].tolist() == [3, 10, 17, 24]
    assert np.array_equal(resize_nearest(ramp, 28, 28), ramp)


def test_bilinear_stretches_a_faint_digit() -> None:
    """A digit of 10..60 comes out as 0..255, and a blank one stays what it is."""
    faint = np.full((28, 28), 10, np.uint8)
    faint[8:20, 8:20] = 60
    resized = resize_bilinear(faint, 21, 21)
    assert (resized.min(), resized.max()) == (0, 255)
    assert not resize_bilinear(np.zeros((28, 28), np.uint8), 21, 21).any()
