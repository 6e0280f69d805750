"""From photographs to what a model reads: light, polarity, bits, channels, and the way back."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

from airctl.config import PictureConfig
from airctl.errors import ConfigError, InputFileError
from airctl.scenes import Picture, choose, develop
from airctl.scenes.cells import cells
from airctl.scenes.developing import MOST, ROOM, WORKING_SIZE


def spots(height: int = 200, width: int = 260, size: float = 16, number: int = 40, seed: int = 0) -> np.ndarray:
    """Cells without noise and without uneven light, float [h, w] from 0 to 1."""
    picture = cells(number, height, width, size, seed, noise=0).pixels
    y, x = np.mgrid[:height, :width] + 0.5
    told = cells(number, height, width, size, seed, noise=0)
    flat = np.zeros((height, width))
    for (cx, cy), radius in zip(told.centres, told.radii, strict=True):
        flat = np.maximum(flat, np.clip(radius - np.hypot(x - cx, y - cy), 0, 1))
    assert picture.shape == flat.shape
    return gaussian_filter(flat, 1) * 0.6


def picture(values: np.ndarray) -> Picture:
    return Picture(
        "p.png", values if values.dtype != np.float64 else (values.clip(0, 1) * 255).round().astype(np.uint8)
    )


def seen(values: np.ndarray, how: PictureConfig | None = None, **wishes: object) -> np.ndarray:
    one = picture(values)
    return develop(one, how or choose([one], **wishes)).canvas  # type: ignore[arg-type]


def alike(a: np.ndarray, b: np.ndarray) -> float:
    return float(np.corrcoef(a.ravel(), b.ravel())[0, 1])


def test_uneven_light_is_taken_off() -> None:
    """A gradient of half the range leaves the objects as bright on both sides; without it they differ."""
    plain = spots()
    lit = plain + np.linspace(0, 0.4, plain.shape[1])
    flat, left_on = seen(lit), seen(lit, background="none")
    half = flat.shape[1] // 2
    assert alike(flat, seen(plain)) > 0.97
    ground = [np.median(side) for side in (flat[:, :half], flat[:, half:])]
    assert max(ground) < 8
    assert alike(left_on, seen(plain)) < 0.95


def test_dark_objects_on_bright_are_bright_objects_on_dark() -> None:
    """The same canvas but for rounding, and the choice says so."""
    bright = (spots() * 255).round().astype(np.uint8)
    how, other = (choose([picture(values)]) for values in (bright, 255 - bright))
    assert (how.invert, other.invert) == ("no", "yes")
    assert other == replace(how, invert="yes")
    canvas, dark = seen(bright, how), seen(255 - bright, other)
    assert np.abs(canvas.astype(int) - dark).max() <= 1
    assert alike(canvas, seen(255 - bright, how)) < 0.5  # the control


def test_the_bits_that_a_camera_uses_do_not_matter() -> None:
    """12 of 16 bits, 16 of 16 bits and 8 bits of the same scene are developed alike."""
    plain = spots()
    twelve = (plain * 4095).round().astype(np.uint16)
    sixteen = (plain * 65535).round().astype(np.uint16)
    usual = seen(plain)
    assert alike(seen(twelve), usual) > 0.99
    assert alike(seen(sixteen), usual) > 0.99
    how = choose([picture(sixteen)])
    assert seen(twelve, how).max() < seen(sixteen, how).max() / 4  # what one was learnt of is done to the other


def coloured(*channels: np.ndarray) -> np.ndarray:
    return np.stack([(channel * 255).round().astype(np.uint8) for channel in channels], -1)


def test_a_channel_is_looked_at_alone_if_it_shows_more() -> None:
    """Blue fluorescence on black is blue; a grey picture stored as colours, and a faint tint, stay grey."""
    plain, black = spots(), np.zeros((200, 260))
    assert choose([picture(coloured(black, black, plain))]).channel == "blue"
    assert choose([picture(coloured(plain, black, black))]).channel == "red"
    assert choose([picture(coloured(plain, plain, plain))]).channel == "grey"
    assert choose([picture(coloured(plain, plain * 0.9, plain))]).channel == "grey"
    assert choose([picture(plain)]).channel == "grey"
    blue = coloured(black, black, plain)
    assert alike(seen(blue), seen(plain)) > 0.99
    assert not seen(blue, choose([picture(blue)], 16, channel="red")).any()
    assert alike(seen(blue, channel="brightest"), seen(plain)) > 0.99


@pytest.mark.parametrize("size", [8.0, 14.8, 40.0])
def test_boxes_find_the_way_back(size: float) -> None:
    """Objects have the working size, and a box on the canvas is the box of the same place in the picture."""
    values = spots(300, 410, size, number=12)
    one = picture(values)
    fitted = develop(one, PictureConfig(object_size=size))
    scale = fitted.canvas.shape[1] / 410
    assert scale == pytest.approx(WORKING_SIZE / ROOM / size, rel=0.02)
    height, width = fitted.canvas.shape
    assert np.allclose(fitted.to_picture(np.array([[0, 0, width, height]])), [[0, 0, 410, 300]])
    y, x = np.unravel_index(fitted.canvas.argmax(), fitted.canvas.shape)
    ((x0, y0, x1, y1),) = fitted.to_picture(np.array([[x, y, x + 1, y + 1]]))
    assert values[int(y0) : int(y1) + 1, int(x0) : int(x1) + 1].max() > 0.8 * values.max()


@pytest.mark.parametrize("value", [0, 90, 255])
def test_a_constant_picture_is_black(value: int) -> None:
    """Whatever its value; and no size can be found out."""
    one = Picture("p", np.full((60, 80), value, np.uint8))
    how = choose([one], 12.0)
    assert not develop(one, how).canvas.any()
    with pytest.raises(ConfigError, match="no objects can be told in the pictures: say with object_size=PIXELS"):
        choose([one])


def test_sizes_that_cannot_be_meant_are_refused_in_one_sentence() -> None:
    """Larger than a picture, too small for a shape, not a number, or so small that memory would not do."""
    one = picture(spots())
    for size, sentence in {
        250.0: "p.png: objects of 250 pixels do not fit into 260x200",
        2.0: "too small to have a shape",
        float("nan"): "too small",
        -4.0: "too small",
    }.items():
        with pytest.raises(InputFileError if size > 200 else ConfigError, match=sentence) as refused:
            choose([one], size)
        assert "\n" not in str(refused.value)
    choose([one], 200.0)
    with pytest.raises(InputFileError, match=f"p.png: with objects of 0.01 .* more than {MOST}, cut it into parts"):
        develop(one, PictureConfig(object_size=0.01))


def test_a_contrast_that_cannot_be_meant_divides_by_nothing() -> None:
    """A config may say that black is white or brighter: what is above black is white then, without a warning."""
    one = picture(spots())
    for black, white in ((0.2, 0.2), (0.3, 0.1)):
        canvas = develop(one, PictureConfig(object_size=16, background="none", black=black, white=white)).canvas
        assert set(np.unique(canvas)) >= {0, 255}
        assert 0 < canvas.mean() < 128


def test_what_was_said_is_not_found_out() -> None:
    """Size, channel and polarity as they were wished, on any picture."""
    how = choose([picture(spots())], 30.0, "green", "yes", "none")
    assert (how.object_size, how.channel, how.invert, how.background) == (30.0, "green", "yes", "none")


def test_several_pictures_are_chosen_for_together() -> None:
    """Half of them are blank: they have no say in the size, and one way does for all."""
    blank = Picture("blank", np.full((200, 260), 20, np.uint8))
    full = [picture(spots(seed=seed) + 0.08) for seed in range(3)]
    how, alone = choose([blank, *full, blank]), choose(full)
    assert how.object_size == pytest.approx(alone.object_size, rel=0.1)
    assert not develop(blank, how).canvas.any()
