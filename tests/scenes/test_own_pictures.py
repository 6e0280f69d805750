"""A person's own pictures: fitted to a canvas and back, and never trusted."""

from __future__ import annotations

import io
import os
import struct
import tracemalloc
import zlib
from pathlib import Path

import h5py
import numpy as np
import pytest
from PIL import Image

from airctl.errors import ConfigError, InputFileError
from airctl.scenes import Fitting, Picture, fit, read_scenes
from airctl.scenes.picture_files import MAX_PIXELS


def scene(side: int = 50, seed: int = 0) -> np.ndarray:
    """Two smooth bright spots on black, uint8 [side, side], away from the border."""
    y, x = np.mgrid[:side, :side] / side
    centres = np.random.RandomState(seed).uniform(0.25, 0.75, (2, 2))
    spots = sum(np.exp(-((x - a) ** 2 + (y - b) ** 2) / 0.004) for a, b in centres)
    return np.clip(255 * spots, 0, 255).astype(np.uint8)


def save(path: Path, array: np.ndarray, **options: object) -> Path:
    Image.fromarray(array).save(path, **options)
    return path


def enlarged(array: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    return np.asarray(Image.fromarray(array).resize(size, Image.Resampling.BICUBIC))


def canvas(array: np.ndarray, side: int = 50, **how: object) -> np.ndarray:
    return fit(Picture("p", array), side, Fitting(**how)).canvas


# --- fitting ---------------------------------------------------------------------------------------------------------


def test_a_canvas_is_left_as_it_is() -> None:
    """A bright-on-black picture of the model's own size is read as eval reads it."""
    assert np.array_equal(canvas(scene()), scene())


@pytest.mark.parametrize("invert", [False, True])
def test_an_enlarged_scene_is_the_scene_again(invert: bool) -> None:
    """Four times as large, and dark on white or not: the canvas differs by rounding and a little blur."""
    large = enlarged(scene(), (200, 200))
    found = canvas(255 - large if invert else large)
    assert np.abs(found.astype(int) - scene()).max() < 20
    assert np.abs(found.astype(int) - (255 - scene())).max() > 200  # the control: it could be inverted


def test_inversion_is_controllable() -> None:
    """yes and no are obeyed whatever the background is; a dark background is left alone by auto."""
    assert np.array_equal(canvas(scene(), invert="no"), scene())
    assert np.array_equal(canvas(255 - scene(), invert="yes"), scene())
    assert canvas(255 - scene(), invert="no", background=0).min(initial=255) == (255 - scene()).min()


def test_grey_paper_becomes_black_and_ink_stays() -> None:
    """A background of 200 is taken off; --background 0 with --invert no leaves every value."""
    paper = (200 - scene() * (170 / 255)).astype(np.uint8)
    found = canvas(paper)
    assert np.median(found) == 0
    assert found.max() > 200
    assert np.array_equal(canvas(paper, background=0, invert="no"), paper)


@pytest.mark.parametrize(("size", "inner"), [((120, 60), (50, 25)), ((60, 120), (25, 50)), ((20, 10), (50, 25))])
def test_the_aspect_is_kept_and_boxes_find_the_way_back(size: tuple[int, int], inner: tuple[int, int]) -> None:
    """A picture is padded evenly; the box of all of it on the canvas is the box of all of it in its own pixels."""
    width, height = size
    fitted = fit(Picture("p", np.full((height, width), 255, np.uint8)), 50, Fitting(invert="no", background=0))
    ys, xs = np.nonzero(fitted.canvas)
    box = np.array([[xs.min(), ys.min(), xs.max() + 1, ys.max() + 1]])
    assert tuple(box[0, 2:] - box[0, :2]) == inner
    assert np.allclose(fitted.to_picture(box), [[0, 0, width, height]], atol=width / 50)
    assert fitted.to_picture(np.array([[-9, -9, 99, 99]])).tolist() == [[0, 0, width, height]]


def test_stretch_fill_and_resample_do_as_they_say() -> None:
    """stretch fills the canvas, fill leaves a margin, nearest makes no new values."""
    white = np.full((20, 40), 255, np.uint8)
    how = {"invert": "no", "background": 0}
    assert (canvas(white, fit="stretch", **how) == 255).all()
    assert (canvas(white, fill=0.5, **how) == 255).sum() == 25 * 12
    two = np.where(scene(200) > 99, 255, 0).astype(np.uint8)
    assert set(np.unique(canvas(two, resample="nearest"))) == {0, 255}
    assert len(np.unique(canvas(two, resample="lanczos"))) > 2


@pytest.mark.parametrize("how", [{"invert": "maybe"}, {"fit": "x"}, {"fill": 0.0}, {"fill": 1.5}, {"background": 256}])
def test_a_fitting_that_cannot_be_meant_is_a_config_error(how: dict[str, object]) -> None:
    """Each is refused before any picture is read."""
    with pytest.raises(ConfigError):
        Fitting(**how)


# --- reading ---------------------------------------------------------------------------------------------------------


def read(*names: object, **options: object) -> list[Picture]:
    return list(read_scenes([str(name) for name in names], **options))


def test_every_kind_of_file_gives_the_same_picture(tmp_path: Path) -> None:
    """PNG, TIFF, 16 bits, colour, palette, .npy, .npz, floats, HDF5 with and without chunks."""
    one = scene()
    save(tmp_path / "a.png", one)
    save(tmp_path / "b.tif", one)
    save(tmp_path / "c.png", np.stack([one] * 3, -1))
    save(tmp_path / "d.png", one.astype(np.uint16) * 257)
    Image.fromarray(one).convert("P").save(tmp_path / "e.gif")
    np.save(tmp_path / "f.npy", one[None])
    np.savez_compressed(tmp_path / "g.npz", images=(one / 255).astype(np.float32)[None])
    with h5py.File(tmp_path / "h.h5", "w") as file:
        file["images"] = one[None]
    with h5py.File(tmp_path / "i.hdf5", "w") as file:
        file.create_dataset("mine/pictures", data=np.stack([one] * 3, -1)[None], compression="gzip", chunks=True)
    pictures = read(*sorted(tmp_path.glob("[a-h].*"))) + read(tmp_path / "i.hdf5", dataset="mine/pictures")
    assert len(pictures) == 9
    for picture in pictures:
        assert np.abs(picture.channel("grey").astype(int) - one).max() <= 1, picture.name


def test_a_photograph_stands_upright_and_transparency_is_background(tmp_path: Path) -> None:
    """EXIF turns are applied; what is behind a dark drawing is white, behind a bright one black."""
    turned = Image.Exif()
    turned[0x0112] = 6  # to be turned by 90 degrees
    save(tmp_path / "a.jpg", np.zeros((10, 30), np.uint8), exif=turned)
    assert read(tmp_path / "a.jpg")[0].pixels.shape == (30, 10)
    for value, behind in ((0, 255), (255, 0)):
        drawing = np.zeros((8, 8, 4), np.uint8)
        drawing[2:4] = [value, value, value, 255]
        save(tmp_path / "b.png", drawing)
        grey = read(tmp_path / "b.png")[0].channel("grey")
        assert (grey[0, 0], grey[2, 2]) == (behind, value)


def test_folders_patterns_and_stacks_are_read_in_order(tmp_path: Path) -> None:
    """A folder's pictures by name, without hidden and other files; a pattern; the places of a stack."""
    for name in ("b.png", "a.PNG", ".hidden.png"):
        save(tmp_path / name, scene(), format="PNG")
    (tmp_path / "notes.txt").write_text("not a picture")
    np.save(tmp_path / "stack.npy", np.stack([scene(), scene(seed=1)]))
    names = [Path(p.name).name for p in read(tmp_path, tmp_path / "*.png", tmp_path / "stack.npy")]
    assert names == ["a.PNG", "b.png", "b.png", "stack.npy[0]", "stack.npy[1]"]


def test_one_bad_file_does_not_stop_the_others(tmp_path: Path) -> None:
    """With ``refuse`` the good pictures still come; without it the first bad file raises."""
    save(tmp_path / "a.png", scene())
    (tmp_path / "b.png").write_bytes(b"no picture")
    save(tmp_path / "c.png", scene())
    told: list[InputFileError] = []
    assert len(read(tmp_path, refuse=told.append)) == 2
    assert len(told) == 1
    assert "b.png" in str(told[0])
    with pytest.raises(InputFileError, match=r"b\.png"):
        read(tmp_path)


# --- strangers -------------------------------------------------------------------------------------------------------


def png(width: int, height: int, pixels: bytes = b"") -> bytes:
    """A grey PNG that declares this size and holds these bytes."""

    def piece(kind: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    content = piece(b"IHDR", header) + piece(b"IDAT", zlib.compress(pixels)) + piece(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + content


def encoded(kind: str) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(np.random.RandomState(0).randint(0, 256, (64, 64, 3)).astype(np.uint8)).save(buffer, kind)
    return buffer.getvalue()


def npy(header: str, values: bytes = b"") -> bytes:
    text = header.encode().ljust(117) + b"\n"
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(text)) + text + values


def pickled() -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, np.array([{"a": 1}], dtype=object), allow_pickle=True)
    return buffer.getvalue()


HOSTILE = {
    "empty.png": b"",
    "text.png": b"hello, I am a picture",
    "bomb.png": png(60_000, 60_000),
    "bomb2.png": png(2**31 - 1, 2**31 - 1),
    "over.png": png(8193, 8192),
    "lies.png": png(64, 64, b"\0" * 10),
    "cut.png": encoded("PNG")[:-3000],
    "cut.jpg": encoded("JPEG")[:1500],
    "cut.tif": encoded("TIFF")[:4000],
    "html.jpg": b"<html><svg onload=alert(1)></svg></html>",
    "eps.png": b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n",
    "cut.npy": npy("{'descr': '|u1', 'fortran_order': False, 'shape': (9, 9, 9), }", b"\0" * 700),
    "huge.npy": npy("{'descr': '|u1', 'fortran_order': False, 'shape': (99999999, 9999, 9999), }"),
    "minus.npy": npy("{'descr': '|u1', 'fortran_order': False, 'shape': (-1, 9, 9), }", b"\0" * 81),
    "code.npy": npy("__import__('os').system('true')"),
    "object.npy": pickled(),
    "line.npy": npy("{'descr': '|u1', 'fortran_order': False, 'shape': (9,), }", b"\0" * 9),
    "nan.npy": npy("{'descr': '<f4', 'fortran_order': False, 'shape': (1, 1, 1), }", struct.pack("<f", float("nan"))),
    "text.npz": b"PK\x03\x04 not a zip",
    "text.h5": b"\x89HDF\r\n\x1a\n and nothing",
}


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_file_is_refused_in_one_sentence_and_little_memory(name: str, tmp_path: Path) -> None:
    """Bombs, lying headers, cut and foreign files, pickles: an InputFileError that names the file."""
    (tmp_path / name).write_bytes(HOSTILE[name])
    tracemalloc.start()
    try:
        with pytest.raises(InputFileError, match=name) as refused:
            read(tmp_path / name)
        assert tracemalloc.get_traced_memory()[1] < 2**24
    finally:
        tracemalloc.stop()
    assert "\n" not in str(refused.value)


def test_the_builders_of_hostile_files_can_build_a_good_one(tmp_path: Path) -> None:
    """The control: with an honest header the same bytes are read, up to the limit of pixels."""
    (tmp_path / "a.png").write_bytes(png(4, 3, (b"\0" + bytes(range(4))) * 3))
    (tmp_path / "b.npy").write_bytes(npy("{'descr': '|u1', 'fortran_order': False, 'shape': (1, 2, 2), }", bytes(4)))
    (tmp_path / "c.jpg").write_bytes(encoded("JPEG"))
    assert [p.pixels.shape for p in read(*sorted(tmp_path.iterdir()))] == [(3, 4), (2, 2), (64, 64, 3)]
    assert MAX_PIXELS >= 8192 * 8192


def test_cut_anywhere_a_picture_is_refused_or_read_and_nothing_else(tmp_path: Path) -> None:
    """PNG, JPEG, TIFF, GIF, BMP and WebP cut or with one byte changed never raise anything but InputFileError."""
    random = np.random.RandomState(0)
    refused = 0
    for kind in ("PNG", "JPEG", "TIFF", "GIF", "BMP", "WEBP"):
        whole = encoded(kind)
        for place in random.randint(0, len(whole), 25).tolist():
            flipped = bytearray(whole)
            flipped[place] ^= 255
            for content in (whole[:place], bytes(flipped)):
                path = tmp_path / "x.png"
                path.write_bytes(content)
                refused += len(read(path, refuse=lambda error: None)) == 0
    assert 100 < refused < 300  # the changed bytes of a bitmap are pixels


def test_links_are_followed_if_named_and_refused_if_found(tmp_path: Path) -> None:
    """A stranger's folder cannot lead out of itself, by a folder's listing or a pattern; a person's own link may."""
    save(tmp_path / "secret.png", scene())
    folder = tmp_path / "folder"
    folder.mkdir()
    (folder / "link.png").symlink_to(tmp_path / "secret.png")
    (folder / "gone.png").symlink_to(tmp_path / "nowhere.png")
    assert len(read(folder / "link.png")) == 1
    for name in (folder, folder / "*.png"):
        told: list[InputFileError] = []
        assert read(name, refuse=told.append) == []
        assert len(told) == 2
    with pytest.raises(InputFileError, match="no such file"):
        read(folder / "gone.png")


@pytest.mark.parametrize("name", ["none.png", "none*.png", "empty", "nul\0.png", "x" * 5000 + ".png", "pipe.png"])
def test_a_name_without_a_picture_behind_it_is_refused(name: str, tmp_path: Path) -> None:
    """Absent files, patterns without a match, empty folders, impossible names, and a pipe that would block for ever."""
    (tmp_path / "empty").mkdir()
    os.mkfifo(tmp_path / "pipe.png")
    with pytest.raises(InputFileError):
        read(f"{tmp_path}/{name}")


def test_an_hdf5_stack_cannot_read_other_files_or_declare_terabytes(tmp_path: Path) -> None:
    """External storage, external and soft links, virtual datasets and sizes without values are all refused."""
    other = tmp_path / "other.bin"
    other.write_bytes(bytes(10_000))
    with h5py.File(tmp_path / "target.h5", "w") as file:
        file["images"] = np.zeros((2, 8, 8), np.uint8)

    def external(file: h5py.File) -> None:
        file.create_dataset("images", (2, 8, 8), np.uint8, external=[(str(other), 0, 128)])

    def link(file: h5py.File) -> None:
        file["images"] = h5py.ExternalLink(str(tmp_path / "target.h5"), "/images")

    def soft(file: h5py.File) -> None:
        file["real"], file["images"] = np.zeros((2, 8, 8), np.uint8), h5py.SoftLink("/real")

    def virtual(file: h5py.File) -> None:
        layout = h5py.VirtualLayout((2, 8, 8), np.uint8)
        layout[:] = h5py.VirtualSource(str(tmp_path / "target.h5"), "images", (2, 8, 8))
        file.create_virtual_dataset("images", layout)

    def huge(file: h5py.File) -> None:
        file.create_dataset("images", (10**7, 1000, 1000), np.uint8, chunks=(1, 1000, 1000))

    def promised(file: h5py.File) -> None:
        file.create_dataset("images", (1000, 1000), np.uint8)

    def words(file: h5py.File) -> None:
        file["images"] = ["a", "b"]

    def absent(file: h5py.File) -> None:
        file["pictures"] = np.zeros((2, 8, 8), np.uint8)

    for build in (external, link, soft, virtual, huge, promised, words, absent):
        path = tmp_path / f"{build.__name__}.h5"
        with h5py.File(path, "w") as file:
            build(file)
        with pytest.raises(InputFileError, match=build.__name__):
            read(path)
    assert len(read(tmp_path / "target.h5")) == len(read(tmp_path / "absent.h5", dataset="pictures")) == 2
