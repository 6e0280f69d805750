"""Digits: each source gives what it says, never one digit on both sides, and strangers' files are not believed."""

import gzip
import hashlib
import io
import warnings
import zipfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from airctl.errors import AirctlError, ConfigError, InputFileError
from airctl.scenes import Glyphs, fetch, glyphs, load_glyphs, sources
from airctl.scenes.blobs import draw_blobs
from airctl.scenes.font import draw_digits

from .test_idx import idx_bytes


def load(digits: object, folder: Path = Path("nowhere"), seed: int = 0) -> Glyphs:
    return load_glyphs(str(digits), folder, seed, lambda message: None)


def share_a_digit(found: Glyphs) -> bool:
    train = {image.tobytes() for image in found.train_images}
    return any(image.tobytes() in train for image in found.test_images)


def noise(n: int, side: int = 8, seed: int = 0) -> np.ndarray:
    return np.random.RandomState(seed).randint(0, 256, (n, side, side)).astype(np.uint8)


def put_idx(folder: Path, part: str, images: np.ndarray, labels: np.ndarray | None) -> None:
    (folder / f"{part}-images-idx3-ubyte").write_bytes(idx_bytes(images))
    if labels is not None:
        (folder / f"{part}-labels-idx1-ubyte").write_bytes(idx_bytes(labels))


# --- font ------------------------------------------------------------------------------------------------------------


def test_font_digits_are_like_mnist() -> None:
    """28 x 28, bright on black, inside the middle 20 x 20, smooth edges, labels in turn, all different."""
    images, labels = draw_digits(200, seed=1)
    assert images.shape == (200, 28, 28)
    assert labels.tolist() == [i % 10 for i in range(200)]
    assert images[:, 4:24, 4:24].sum() == images.sum()
    assert (images.max((1, 2)) > 200).all()
    assert ((images > 0) & (images < 255)).any((1, 2)).all()
    assert len({image.tobytes() for image in images}) == 200


def test_font_digits_follow_from_the_seed() -> None:
    """The same seed draws the same digits, another seed others."""
    assert np.array_equal(draw_digits(20, 5)[0], draw_digits(20, 5)[0])
    assert not np.array_equal(draw_digits(20, 5)[0], draw_digits(20, 6)[0])


def test_font_never_shares_a_digit_between_train_and_test(monkeypatch: pytest.MonkeyPatch) -> None:
    """Sizes as announced, and the sets are disjoint by content."""
    monkeypatch.setattr(glyphs, "FONT_TRAIN", 100)
    monkeypatch.setattr(glyphs, "FONT_TEST", 50)
    found = load("font")
    assert (len(found.train_images), len(found.test_images), found.source) == (100, 50, "font")
    assert not share_a_digit(found)


# --- blobs -----------------------------------------------------------------------------------------------------------


def test_blobs_fill_the_middle_of_their_glyphs() -> None:
    """28 x 28, black at the border, 13 to 26 pixels long, smooth edges, one label, all different."""
    images, labels = draw_blobs(200, seed=1)
    assert images.shape == (200, 28, 28)
    assert labels.tolist() == [0] * 200
    assert images[:, 1:27, 1:27].sum() == images.sum()
    lengths = [max(np.ptp(np.nonzero(image)[axis]) + 1 for axis in (0, 1)) for image in images]
    assert 13 <= min(lengths) < 17
    assert 24 < max(lengths) <= 26
    assert (images.max((1, 2)) > 150).all()
    assert ((images > 0) & (images < 100)).any((1, 2)).all()
    assert len({image.tobytes() for image in images}) == 200


def test_blobs_follow_from_the_seed() -> None:
    """The same seed draws the same blobs, as ever; another seed others."""
    drawn = draw_blobs(20, 5)[0]
    assert (
        hashlib.sha256(drawn.tobytes()).hexdigest()
        == "b07468caa00408295d74c9f84bfe4b9af318b3dc199ac2cc0945b035724542cd"
    )
    assert not np.array_equal(drawn, draw_blobs(20, 6)[0])


def test_blobs_never_share_one_between_train_and_test(monkeypatch: pytest.MonkeyPatch) -> None:
    """Sizes as announced, and the sets are disjoint by content."""
    monkeypatch.setattr(glyphs, "BLOBS_TRAIN", 100)
    monkeypatch.setattr(glyphs, "BLOBS_TEST", 50)
    found = load("blobs")
    assert (len(found.train_images), len(found.test_images), found.source) == (100, 50, "blobs")
    assert not share_a_digit(found)


# --- MNIST -----------------------------------------------------------------------------------------------------------


def test_other_digits_do_not_pass_for_mnist(tmp_path: Path) -> None:
    """Valid IDX files under MNIST's names with other content are refused with the advice to pass the folder."""
    for part in ("train", "t10k"):
        put_idx(tmp_path, part, noise(3), np.zeros(3))
    with pytest.raises(InputFileError, match="pass the folder or file as digits=PATH"):
        load("mnist", tmp_path)


def test_mnist_is_read_from_its_four_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Training and test digits stay where MNIST put them."""
    put_idx(tmp_path, "train", noise(5), np.arange(5))
    put_idx(tmp_path, "t10k", noise(3, seed=1), np.arange(3))
    known = {name: (glyphs.sha256_of(tmp_path / name), 0) for name in fetch.MNIST_FILES}
    monkeypatch.setattr(fetch, "MNIST_FILES", known)
    monkeypatch.setattr(glyphs, "MNIST_FILES", known)
    found = load("mnist", tmp_path)
    assert np.array_equal(found.train_images, noise(5))
    assert found.test_labels.tolist() == [0, 1, 2]


def test_mnist_5k_is_split_by_class(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """400 digits of each class to train, the last 100 to test."""
    rows = np.zeros((5000, 785), np.uint8)
    rows[:, -1] = np.arange(5000) % 10
    rows[:, 0], rows[:, 1] = np.arange(5000) // 256, np.arange(5000) % 256  # so that no two are equal
    text = io.BytesIO()
    np.savetxt(text, rows, fmt="%d", delimiter=",")
    path = tmp_path / fetch.MNIST_5K_NAME
    path.write_bytes(gzip.compress(text.getvalue(), 1))
    with pytest.raises(InputFileError, match="another sha256"):
        load("mnist-5k", tmp_path)
    monkeypatch.setattr(glyphs, "MNIST_5K_SHA256", glyphs.sha256_of(path))
    found = load("mnist-5k", tmp_path)
    assert np.bincount(found.train_labels).tolist() == [400] * 10
    assert np.bincount(found.test_labels).tolist() == [100] * 10
    assert not share_a_digit(found)


# --- a user's own ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("digits", ["mnits", "no/such/file", "x" * 5000, "zero\0byte"])
def test_an_unknown_name_is_a_usage_error(digits: str) -> None:
    """A misspelt source names the nearest there is, or all of them."""
    with pytest.raises(ConfigError, match=r"did you mean 'mnist'|known are blobs, font, mnist, mnist-5k"):
        load(digits)


def test_a_folder_of_idx_files_keeps_its_own_split(tmp_path: Path) -> None:
    """What is a training digit too is left out of the test digits, and said."""
    put_idx(tmp_path, "train", noise(5), np.arange(5))
    put_idx(tmp_path, "t10k", np.concatenate([noise(1), noise(2, seed=1)]), np.arange(3))
    said: list[str] = []
    found = load_glyphs(str(tmp_path), tmp_path, 0, said.append)
    assert (len(found.train_images), found.test_labels.tolist()) == (5, [1, 2])
    assert "1 test digits are training digits too" in said[0]


def test_one_idx_file_is_split_by_the_seed(tmp_path: Path) -> None:
    """5/6 to 1/6, labels from the file beside it, another seed another split, copies on one side."""
    images = np.concatenate([noise(60), noise(60)])
    put_idx(tmp_path, "train", images, np.arange(120) % 60)
    found = load(tmp_path / "train-images-idx3-ubyte")
    assert (len(found.train_images), len(found.test_images)) == (100, 20)
    assert not share_a_digit(found)
    assert all(
        np.array_equal(images[label], image) for image, label in zip(found.test_images, found.test_labels, strict=True)
    )
    assert found.sha256 == load(tmp_path / "train-images-idx3-ubyte").sha256 == load(tmp_path).sha256
    assert found.sha256 != load(tmp_path / "train-images-idx3-ubyte", seed=1).sha256


def test_an_idx_file_without_labels_is_labelled_0(tmp_path: Path) -> None:
    """Labels are not needed."""
    put_idx(tmp_path, "train", noise(6), None)
    assert set(load(tmp_path / "train-images-idx3-ubyte").train_labels) == {0}


def test_labels_must_fit_their_images(tmp_path: Path) -> None:
    """Another number of labels, and the label 255, which means padding, are refused."""
    for labels in (np.arange(5), np.full(6, 255)):
        put_idx(tmp_path, "train", noise(6), labels)
        with pytest.raises(InputFileError, match="labels"):
            load(tmp_path)


def test_an_npz_is_read(tmp_path: Path) -> None:
    """Images with labels of any integer type, compressed or not, Fortran order included."""
    for save in (np.savez, np.savez_compressed):
        save(tmp_path / "d.npz", images=np.asfortranarray(noise(12)), labels=np.arange(12, dtype=np.int64))
        found = load(tmp_path / "d.npz")
        order = np.argsort(np.concatenate([found.train_labels, found.test_labels]))
        assert np.array_equal(np.concatenate([found.train_images, found.test_images])[order], noise(12))
        assert (len(found.test_images), found.source) == (2, "d.npz")


def npz(**members: bytes) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in members.items():
            archive.writestr(f"{name}.npy", data)
    return buffer.getvalue()


def npy(array: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, array)
    return buffer.getvalue()


PICKLED = npy(np.zeros(3, np.uint8)).replace(b"'|u1'", b"'|O' ") + b"cposix\nsystem\n"


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"PK\x03\x04 nonsense",
        npz(other=npy(noise(2))),
        npz(images=b"no array"),
        npz(images=npy(noise(2).astype(float))),
        npz(images=npy(noise(2)[0])),
        npz(images=npy(noise(2))[:-1]),
        npz(images=npy(noise(2)).replace(b"(2, 8, 8)", b"(9999999999, 8, 8)")),
        npz(images=npy(noise(2)).replace(b"(2, 8, 8)", b"(-2,-8,8)")),
        npz(images=npy(noise(2)).replace(b"(2, 8, 8)", b"__import__")),
        npz(images=npy(noise(2)).replace(b"\x93NUMPY\x01", b"\x93NUMPY\x03")),
        npz(images=PICKLED),
        npz(images=npy(noise(2)), labels=npy(np.zeros(3, np.uint8))),
        npz(images=npy(noise(2)), labels=npy(np.zeros(2))),
        npz(images=npy(noise(0))),
    ],
)
def test_a_hostile_npz_is_refused(tmp_path: Path, data: bytes) -> None:
    """Foreign, damaged, lying and pickled arrays are one sentence that names the file."""
    (tmp_path / "d.npz").write_bytes(data)
    with pytest.raises(InputFileError, match=r"d\.npz: "):
        load(tmp_path / "d.npz")


def test_an_npz_bomb_is_not_unpacked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A member that declares more than the limit is refused by its declaration."""
    monkeypatch.setattr("airctl.scenes.npy.MAX_BYTES", 10**5)
    (tmp_path / "d.npz").write_bytes(npz(images=bytes(10**6)))
    with pytest.raises(InputFileError, match="expected at most 100000"):
        load(tmp_path / "d.npz")


def save_picture(path: Path, array: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(array).save(path)


def test_pictures_of_one_size_keep_it(tmp_path: Path) -> None:
    """Pixels unchanged, sorted by name, label 0; other files and hidden ones are passed over."""
    for i, image in enumerate(noise(6, side=9)):
        save_picture(tmp_path / f"{i}.png", image)
    (tmp_path / "notes.txt").write_text("no picture")
    images, labels = sources.read_pictures(tmp_path)
    assert np.array_equal(images, noise(6, side=9))
    assert labels.tolist() == [0] * 6


@pytest.mark.parametrize(("names", "expected"), [(["3", "12"], [12, 3]), (["b", "12"], [0, 1])])
def test_sub_folders_are_labels(tmp_path: Path, names: list[str], expected: list[int]) -> None:
    """By their number where all names are numbers, else by their place."""
    for name in names:
        save_picture(tmp_path / name / "x.png", noise(1)[0])
    assert sources.read_pictures(tmp_path)[1].tolist() == expected


def test_pictures_of_many_sizes_are_fitted(tmp_path: Path) -> None:
    """Into 28 x 28 with their aspect kept and black round them; transparent pixels are black; colour becomes grey."""
    save_picture(tmp_path / "a.png", np.full((56, 28), 255, np.uint8))
    save_picture(tmp_path / "b.png", np.full((10, 10, 3), 255, np.uint8))
    transparent = np.full((28, 28, 4), 255, np.uint8)
    transparent[:, :, 3] = 0
    save_picture(tmp_path / "c.png", transparent)
    images, _ = sources.read_pictures(tmp_path)
    assert images.shape == (3, 28, 28)
    assert (images[0][:, 7:21] == 255).all()
    assert images[0].sum() == 28 * 14 * 255
    assert (images[1] == 255).all()
    assert not images[2].any()


def test_bad_pictures_are_refused(tmp_path: Path) -> None:
    """No picture at all, a text called .png, a cut one, 16 bits, and a bomb that declares a thousand million pixels."""
    with pytest.raises(InputFileError, match="no pictures in it"):
        load(tmp_path)
    save_picture(tmp_path / "good.png", noise(1, side=64)[0])
    good = (tmp_path / "good.png").read_bytes()
    Image.fromarray(np.zeros((4, 4), np.uint16)).save(tmp_path / "sixteen.tif")
    sixteen = (tmp_path / "sixteen.tif").read_bytes()
    (tmp_path / "sixteen.tif").unlink()
    bomb = b"P5 40000 30000 255\n"
    for name, data in (("x.png", b"text"), ("x.png", good[: len(good) // 2]), ("x.tif", sixteen), ("x.pgm", bomb)):
        (tmp_path / name).write_bytes(data)
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            with pytest.raises(InputFileError, match=r"x\.\w+: "):
                load(tmp_path)
        (tmp_path / name).unlink()
    assert isinstance(load(tmp_path), Glyphs)  # the control: without them the folder is good


def test_every_failure_is_an_error_of_ours(tmp_path: Path) -> None:
    """A folder that may not be read is a sentence too."""
    put_idx(tmp_path, "train", noise(6), None)
    put_idx(tmp_path, "t10k", noise(6, side=9), None)
    with pytest.raises(AirctlError, match="expected one"):
        load(tmp_path)
