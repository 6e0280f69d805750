"""The composer: both recipes call by call, laws of every scene, and no digit or crowd that has no room."""

from dataclasses import fields, replace
from pathlib import Path

import numpy as np
import pytest

from airctl.errors import ConfigError
from airctl.scenes import PRESETS, Glyphs, SceneSpec, SceneSplit, compose_scenes, fetch, load_glyphs
from airctl.scenes import compose as composer
from airctl.scenes.compose import acceptance
from airctl.scenes.glyphs import sha256_of_arrays
from airctl.scenes.resize import resize_bilinear

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


@pytest.mark.parametrize(("least", "most", "mean", "sd"), [(0, 2, 1.3, 0.1), (3, 5, 2.0, 0.2)])
def test_the_observations_recipe_call_by_call(glyphs: Glyphs, least: int, most: int, mean: float, sd: float) -> None:
    """A plain loop over the recipe of the docstring gives the same images from the same seed.

    It adds all digits of a scene before it looks at one: giving a crowded scene up early must not change the stream.
    """
    rng = np.random.RandomState(42)
    expected, redrawn = [], 0
    for n, images in ((15, glyphs.train_images), (5, glyphs.test_images)):
        for count in rng.randint(least, most + 1, size=n):
            while True:
                canvas = np.zeros((50, 50))
                for _ in range(count):
                    digit = images[rng.randint(len(images))]
                    side = int(28 / (sd * rng.randn() + mean))
                    row, column = rng.randint(0, 50 - side), rng.randint(0, 50 - side)
                    canvas[row : row + side, column : column + side] += resize_bilinear(digit, side, side)
                if canvas.max() <= 255:
                    break
                redrawn += 1
            expected.append(canvas)
    assert redrawn
    spec = SceneSpec(train=15, test=5, min_digits=least, max_digits=most, scale_mean=mean, scale_sd=sd)
    train, test = compose_scenes(spec, glyphs)
    assert np.array_equal(np.concatenate([train.images, test.images]), expected)


@pytest.mark.parametrize("preset", PRESET_NAMES)
def test_the_seed_decides_everything(glyphs: Glyphs, preset: str) -> None:
    """The same seed gives the same scenes, another seed others; None is the preset's own."""
    one, again, other = (
        compose_scenes(SceneSpec(preset, train=10, test=5, seed=seed), glyphs)[1].images
        for seed in (None, PRESETS[preset].seed, 7)
    )
    assert np.array_equal(one, again)
    assert not np.array_equal(one, other)


def uniform_on(counts: np.ndarray, least: int, most: int) -> bool:
    """Each of least .. most within five standard errors of its share, and no other count."""
    share, p = np.bincount(counts, minlength=most + 1) / len(counts), 1 / (most - least + 1)
    near = abs(share[least:] - p) <= 5 * np.sqrt(p * (1 - p) / len(counts))
    return len(share) == most + 1 and not share[:least].any() and bool(near.all())


@pytest.mark.parametrize("preset", PRESET_NAMES)
@pytest.mark.parametrize(("least", "most"), [(0, 2), (1, 3), (2, 2)])
def test_counts_are_uniform(glyphs: Glyphs, preset: str, least: int, most: int) -> None:
    """On min_digits .. max_digits; counts from 0, or from one more, are told apart from them."""
    spec = SceneSpec(preset, train=1500, test=0, min_digits=least, max_digits=most, seed=1, scale_mean=2, canvas=60)
    counts = compose_scenes(spec, glyphs)[0].counts
    assert uniform_on(counts, least, most)
    assert not uniform_on(counts, least - 1 if least else 1, most)
    assert not uniform_on(counts, least, most + 1)


# Of the arrays of 40 train and 10 test scenes, from before counts had a minimum and digits another size.
RECORDED = {
    "observations": (
        "2e70d3f78e62b94251c07f9657382dec30f60bdddd0496c22ab7dc43679239f1",
        "15baf35d5d0f812bb76b433674a77d70835f83ef99e3166843fec0dd6673b284",
    ),
    "pyro": (
        "47f9547c02d5f1c3a57441cd837b0a2281138572e9ebc7fc1d7b709769fb11ef",
        "728ef1dbd7ef28812730dc59e771895c8a3e0f607c8a0040b67dcb566e53e9d7",
    ),
}


@pytest.mark.parametrize("preset", PRESET_NAMES)
def test_the_scenes_of_a_seed_are_those_of_earlier_versions(preset: str) -> None:
    """All six arrays of both splits by their recorded sha256; one digit more at least is the control."""
    rng = np.random.RandomState(0)
    images = np.zeros((12, 28, 28), np.uint8)
    images[:, 5:23, 6:22] = rng.randint(0, 256, (12, 18, 16))
    noise = make_glyphs(images, np.arange(12, dtype=np.uint8), test=4)

    def hashes(**settings: float) -> tuple[str, ...]:
        splits = compose_scenes(SceneSpec(preset, train=40, test=10, max_digits=3, canvas=60, **settings), noise)
        return tuple(sha256_of_arrays(*(getattr(s, f.name) for f in fields(s))) for s in splits)

    assert hashes() == hashes(min_digits=0, scale_mean=1.3, scale_sd=0.1) == RECORDED[preset]
    assert set(hashes(min_digits=1)).isdisjoint(RECORDED[preset])


@pytest.mark.parametrize("preset", PRESET_NAMES)
@pytest.mark.parametrize(("mean", "sd"), [(1.3, 0.1), (2.0, 0.1), (2.0, 0.3)])
def test_scales_have_the_mean_and_sd_asked_for(glyphs: Glyphs, preset: str, mean: float, sd: float) -> None:
    """Of one digit per scene, which is never drawn again; a tenth more is told apart, for either of the two."""
    n = 1000
    spec = SceneSpec(preset, train=n, test=0, min_digits=1, max_digits=1, scale_mean=mean, scale_sd=sd)
    scenes, _ = compose_scenes(spec, glyphs)
    scales = scenes.scales[:, 0].astype(float)
    for found, expected, error in ((scales.mean(), mean, sd / n**0.5), (scales.std(), sd, sd / (2 * n) ** 0.5)):
        assert abs(found - expected) < 4 * error
        assert not abs(found - 1.2 * expected) < 4 * error
    sides = (scenes.boxes[:, 0, 2:] - scenes.boxes[:, 0, :2]).max(1)
    assert (sides <= (28 / scales).astype(int)).all()


def test_scales_without_a_spread_give_one_size(glyphs: Glyphs) -> None:
    """scale_mean 2 and scale_sd 0: every digit is drawn into 14 x 14 pixels."""
    blank = make_glyphs(np.zeros((4, 28, 28), np.uint8), np.zeros(4, np.uint8), test=1)
    scenes, _ = compose_scenes(SceneSpec(train=20, test=0, min_digits=2, scale_mean=2, scale_sd=0), blank)
    assert (scenes.scales == 2).all()
    assert (scenes.boxes[..., 2:] - scenes.boxes[..., :2] == 14).all()


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


def test_the_rate_of_kept_scenes_is_the_true_one(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two solid squares are kept unless rows and columns both differ by less than a side: a finite sum.

    Within five standard errors; twice the rate is told apart.
    """
    monkeypatch.setattr(composer, "TRIALS_KEPT", 1000)
    solid = make_glyphs(np.full((4, 28, 28), 255, np.uint8), np.zeros(4, np.uint8), test=1)
    spec = SceneSpec(train=1, max_digits=2, canvas=24, scale_mean=2, scale_sd=0)
    assert acceptance(spec, solid) == (0, composer.MAX_REDRAWS)  # offsets of 0 to 9: they always overlap
    offsets = np.arange(40 - 14)
    true = 1 - (abs(offsets[:, None] - offsets) < 14).mean() ** 2
    kept, tried = acceptance(replace(spec, canvas=40), solid)
    error = np.sqrt(true * (1 - true) / tried)
    assert kept == 1000
    assert abs(kept / tried - true) < 5 * error
    assert not abs(kept / tried - 2 * true) < 5 * error


def test_a_hopeless_crowd_is_refused_before_any_work(glyphs: Glyphs, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nine digits of 21 pixels on 40 x 40 have no room; half as large, or on a larger canvas, they have."""
    monkeypatch.setattr(composer, "MAX_REDRAWS", 300)
    spec = SceneSpec(train=20, test=0, min_digits=9, max_digits=9, canvas=40)
    with pytest.raises(ConfigError, match=r"of 300 trial scenes of 9 digits .* 0 had no pixel over 255: use a larger"):
        compose_scenes(spec, glyphs, lambda n: pytest.fail("a scene was drawn"))
    for roomy in (replace(spec, scale_mean=4), replace(spec, canvas=200)):
        assert (compose_scenes(roomy, glyphs)[0].counts == 9).all()


def test_a_large_crowd_is_refused_where_a_small_one_is_not(glyphs: Glyphs, monkeypatch: pytest.MonkeyPatch) -> None:
    """What counts is how many scenes one expects to be given up: none of 2, but some of 4 million."""
    monkeypatch.setattr(composer, "MAX_REDRAWS", 14)
    spec = SceneSpec(train=2, test=0, min_digits=4, max_digits=4, canvas=60)
    assert len(compose_scenes(spec, glyphs)[0].counts) == 2
    with pytest.raises(ConfigError, match="trial scenes"):
        compose_scenes(replace(spec, train=4 * 10**6), glyphs, lambda n: pytest.fail("a scene was drawn"))


def test_too_many_digits_stop_with_advice(glyphs: Glyphs, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the trial was too hopeful, a scene ends after a bounded number of tries all the same."""
    monkeypatch.setattr(composer, "MAX_REDRAWS", 50)
    monkeypatch.setattr(composer, "acceptance", lambda spec, glyphs: (1, 1))
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
