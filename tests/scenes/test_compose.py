"""The composer: both recipes call by call, laws of every scene, and no size that cannot be meant."""

from pathlib import Path

import numpy as np
import pytest

from airctl.errors import ConfigError
from airctl.scenes import Glyphs, SceneSpec, SceneSplit, compose_scenes, fetch, load_glyphs
from airctl.scenes import compose as composer
from airctl.scenes.compose import PRESETS, resize_bilinear, resize_nearest

from .conftest import make_glyphs

PRESET_NAMES = sorted(PRESETS)


def redraw(scenes: SceneSplit, images: np.ndarray, i: int, preset: str) -> list[np.ndarray]:
    """Each digit of scene ``i`` alone on its canvas, from the stored truth: found where its ink fits the box."""
    canvases = []
    for slot in range(scenes.counts[i]):
        side = int(28 / float(scenes.scales[i, slot]))
        pixels = PRESETS[preset].resize(images[scenes.digit_index[i, slot]], side, side)
        ink = np.argwhere(pixels > 0)
        canvas = np.zeros(scenes.images[i].shape, int)
        x0, y0, x1, y1 = scenes.boxes[i, slot]
        (top, left), (bottom, right) = ink.min(0), ink.max(0) + 1
        canvas[y0:y1, x0:x1] = pixels[top:bottom, left:right]
        canvases.append(canvas)
    return canvases


@pytest.mark.parametrize("preset", PRESET_NAMES)
@pytest.mark.parametrize("max_digits", [2, 4])
def test_a_scene_is_the_sum_of_its_digits(glyphs: Glyphs, preset: str, max_digits: int) -> None:
    """Labels, boxes, scales and indices are enough to draw each scene again; boxes are the ink's own, tight ones."""
    spec = SceneSpec(preset, train=40, test=10, max_digits=max_digits, canvas=60)
    for scenes, images, labels in zip(
        compose_scenes(spec, glyphs),
        (glyphs.train_images, glyphs.test_images),
        (glyphs.train_labels, glyphs.test_labels),
        strict=True,
    ):
        for i, count in enumerate(scenes.counts):
            total = sum(redraw(scenes, images, i, preset), np.zeros((60, 60), int))
            assert total.max() <= 255
            assert np.array_equal(total, scenes.images[i])
            assert np.array_equal(scenes.labels[i, :count], labels[scenes.digit_index[i, :count]])
            assert (scenes.labels[i, count:] == 255).all()
            assert (scenes.boxes[i, count:] == -1).all()
            assert (scenes.scales[i, count:] == 0).all()
            assert (scenes.digit_index[i, count:] == -1).all()


@pytest.mark.parametrize("preset", PRESET_NAMES)
def test_no_pixel_wraps_round(preset: str) -> None:
    """Solid white digits may touch nowhere: were they added in uint8, overlaps would look dark and pass."""
    solid = make_glyphs(np.full((4, 28, 28), 255, np.uint8), np.zeros(4, np.uint8), test=1)
    scenes, _ = compose_scenes(SceneSpec(preset, train=60, test=0, max_digits=2, canvas=60), solid)
    area = ((scenes.boxes[..., 2] - scenes.boxes[..., 0]) * (scenes.boxes[..., 3] - scenes.boxes[..., 1])).astype(int)
    area[scenes.labels == 255] = 0
    assert np.array_equal((scenes.images > 0).sum((1, 2)), area.sum(1))


def test_the_observations_recipe_call_by_call(glyphs: Glyphs) -> None:
    """A plain loop over the recipe of the docstring gives the same images from the same seed."""
    rng = np.random.RandomState(42)
    expected = []
    for n, images in ((15, glyphs.train_images), (5, glyphs.test_images)):
        for count in rng.randint(3, size=n):
            while True:
                canvas = np.zeros((50, 50))
                for _ in range(count):
                    digit = images[rng.randint(len(images))]
                    side = int(28 / (0.1 * rng.randn() + 1.3))
                    row, column = rng.randint(0, 50 - side), rng.randint(0, 50 - side)
                    canvas[row : row + side, column : column + side] += resize_bilinear(digit, side, side)
                if canvas.max() <= 255:
                    break
            expected.append(canvas)
    train, test = compose_scenes(SceneSpec(train=15, test=5), glyphs)
    assert np.array_equal(np.concatenate([train.images, test.images]), expected)


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


@pytest.mark.parametrize("preset", PRESET_NAMES)
def test_the_seed_decides_everything(glyphs: Glyphs, preset: str) -> None:
    """The same seed gives the same scenes, another seed others; None is the preset's own."""
    one, again, other = (
        compose_scenes(SceneSpec(preset, train=10, test=5, seed=seed), glyphs)[1].images
        for seed in (None, PRESETS[preset].seed, 7)
    )
    assert np.array_equal(one, again)
    assert not np.array_equal(one, other)


def test_counts_are_uniform(glyphs: Glyphs) -> None:
    """Each of 0..max within five standard errors of its share."""
    n = 1500
    for preset in PRESET_NAMES:
        counts = compose_scenes(SceneSpec(preset, train=n, test=0, max_digits=2, seed=1), glyphs)[0].counts
        share = np.bincount(counts, minlength=3) / n
        assert (abs(share - 1 / 3) < 5 * np.sqrt(2 / 9 / n)).all()


def test_no_digits_and_no_test_split_are_possible(glyphs: Glyphs) -> None:
    """max_digits 0 gives black scenes with one empty slot; test 0 gives no scenes."""
    train, test = compose_scenes(SceneSpec(train=5, test=0, max_digits=0), glyphs)
    assert not train.images.any()
    assert train.labels.shape == (5, 1)
    assert len(test.images) == 0


def test_progress_is_told_scene_by_scene(glyphs: Glyphs) -> None:
    """The steps add up to all scenes of both splits."""
    steps: list[int] = []
    compose_scenes(SceneSpec(train=7, test=3), glyphs, steps.append)
    assert sum(steps) == 10


def test_too_many_digits_stop_with_advice(glyphs: Glyphs, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nine digits on a small canvas end after a bounded number of tries."""
    monkeypatch.setattr(composer, "MAX_REDRAWS", 50)
    with pytest.raises(ConfigError, match=r"in 50 tries: use a larger canvas or fewer digits"):
        compose_scenes(SceneSpec(train=50, test=0, max_digits=9, canvas=40), glyphs)


def test_a_digit_that_cannot_fit_is_refused_before_any_work(glyphs: Glyphs) -> None:
    """A digit of mean scale is 21 pixels: a canvas of 21 is refused at once, without a single scene."""
    with pytest.raises(ConfigError, match=r"does not fit a canvas of 21 x 21: canvas=36"):
        compose_scenes(SceneSpec(train=5, canvas=21), glyphs, lambda n: pytest.fail("a scene was drawn"))


def test_a_digit_that_the_scale_makes_too_large_is_refused(glyphs: Glyphs) -> None:
    """On a canvas of 22 the mean fits, half of the drawn digits do not; the advised canvas has room for all."""
    with pytest.raises(ConfigError, match=r"canvas=36 or more has room"):
        compose_scenes(SceneSpec(train=50, test=0, canvas=22), glyphs)
    compose_scenes(SceneSpec(train=50, test=0, canvas=36, max_digits=1), glyphs)


def test_digits_that_vanish_are_refused() -> None:
    """One pixel, scaled down, is none."""
    dots = make_glyphs(np.full((4, 1, 1), 255, np.uint8), np.zeros(4, np.uint8), test=1)
    with pytest.raises(ConfigError, match="vanish"):
        compose_scenes(SceneSpec(train=5, test=0), dots)


def test_a_digit_whose_ink_vanishes_keeps_its_square(glyphs: Glyphs) -> None:
    """A blank digit still has a box, so that counts and boxes always agree."""
    blank = make_glyphs(np.zeros((4, 28, 28), np.uint8), np.zeros(4, np.uint8), test=1)
    scenes, _ = compose_scenes(SceneSpec(train=20, test=0, max_digits=1), blank)
    there = scenes.boxes[scenes.counts == 1, 0]
    assert (there[:, 2] - there[:, 0] == (28 / scenes.scales[scenes.counts == 1, 0]).astype(int)).all()


def test_a_split_without_digits_is_refused(glyphs: Glyphs) -> None:
    """Test scenes need test digits."""
    alone = make_glyphs(glyphs.train_images, glyphs.train_labels, test=0)
    with pytest.raises(ConfigError, match="no test digits for 3 test scenes"):
        compose_scenes(SceneSpec(train=5, test=3), alone)
    compose_scenes(SceneSpec(train=5, test=0), alone)


def test_digits_need_not_be_square() -> None:
    """Rows and columns are scaled and placed each by its own length."""
    tall = make_glyphs(np.full((4, 40, 10), 255, np.uint8), np.zeros(4, np.uint8), test=1)
    for preset in PRESET_NAMES:
        scenes, _ = compose_scenes(SceneSpec(preset, train=20, test=0, max_digits=1, canvas=60), tall)
        x0, y0, x1, y1 = scenes.boxes[scenes.counts == 1, 0].T
        scale = scenes.scales[scenes.counts == 1, 0].astype(float)
        assert np.array_equal(y1 - y0, (40 / scale).astype(int))
        assert np.array_equal(x1 - x0, (10 / scale).astype(int))


@pytest.mark.parametrize(
    "wrong",
    [
        {"preset": "pyre"},
        {"seed": -1},
        {"seed": 2**32},
        {"max_digits": 10},
        {"max_digits": -1},
        {"canvas": 1},
        {"canvas": 10**6},
        {"train": -1},
        {"test": -5},
        {"train": 0, "test": 0},
        {"train": 10**8},
    ],
)
def test_a_spec_that_cannot_be_meant_is_refused(wrong: dict) -> None:
    """Before any work, as a usage error."""
    with pytest.raises(ConfigError) as caught:
        SceneSpec(**wrong)
    assert caught.value.exit_code == 2


MNIST = Path("data/mnist")


@pytest.mark.slow
@pytest.mark.skipif(
    any(fetch.find_idx(MNIST, name) is None for name in fetch.MNIST_FILES), reason="needs MNIST in data/mnist"
)
def test_pyros_published_scenes_come_out_exactly() -> None:
    """The known sum and counts of Pyro's training set."""
    digits = load_glyphs("mnist", MNIST, 0, print)
    scenes, _ = compose_scenes(SceneSpec("pyro", train=60_000, test=0), digits)
    assert scenes.images.sum(dtype=np.int64) == 883114919
    assert np.bincount(scenes.counts).tolist() == [19909, 20054, 20037]
