"""infer: a person's own pictures are counted as eval counts, and come back with boxes in their own pixels."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

import airctl as library
from airctl.commands.infer import infer
from airctl.inference import find
from airctl.scenes import read_split
from airctl.training import checkpoint


@pytest.fixture(scope="module")
def undecided(finished: Path, data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tiny run with a z_pres head that answers yes in half of the scenes, so that counts differ between scenes."""
    folder = shutil.copytree(finished, tmp_path_factory.mktemp("runs") / "undecided")
    loaded = library.load(folder)
    learner, images = loaded.learner, read_split(data, "test").images
    model, head = learner.model, learner.model.network.present
    with torch.no_grad():
        logits = model(torch.from_numpy(images) / 255, model.mean_noise(len(images))).logits[:, 0]
        centre = logits.median() - loaded.config.network.present_bias
        head.bias.copy_(1e3 * (head.bias - centre) - loaded.config.network.present_bias)
        head.weight *= 1e3
    state = json.loads((loaded.path / "state.json").read_text())
    step = state.pop("step")
    checkpoint.save(loaded.folder.checkpoints, step, learner.modules, learner.optimizers, state)
    return folder


def eval_counts(folder: Path, images: np.ndarray) -> list[int]:
    loaded = library.load(folder)
    return find(loaded.model, torch.from_numpy(images), loaded.log_p()).counts.tolist()


def save(folder: Path, images: np.ndarray) -> Path:
    folder.mkdir()
    for place, image in enumerate(images):
        Image.fromarray(image).save(folder / f"{place:03d}.png")
    return folder


def test_pictures_are_counted_as_eval_counts_the_scenes(undecided: Path, data: Path, tmp_path: Path) -> None:
    """A folder of PNGs, an .npy stack and the scene file itself: the same counts, in the same order."""
    images = read_split(data, "test").images
    wanted = eval_counts(undecided, images)
    assert len(set(wanted)) > 1  # else anything would pass
    np.save(tmp_path / "stack.npy", images)
    for source in (save(tmp_path / "folder", images), tmp_path / "stack.npy", data):
        assert [found.count for found in infer(undecided, [source])] == wanted


def test_enlarged_and_inverted_scenes_are_counted_alike(undecided: Path, data: Path, tmp_path: Path) -> None:
    """200 x 200 pixels, black on white: at least 97 % of the counts of the originals; unread inversion gives others."""
    images = read_split(data, "test").images
    large = np.stack(
        [255 - np.asarray(Image.fromarray(i).resize((200, 200), Image.Resampling.NEAREST)) for i in images]
    )
    wanted = eval_counts(undecided, images)
    folder = save(tmp_path / "large", large)
    assert np.mean([f.count == n for f, n in zip(infer(undecided, [folder]), wanted, strict=True)]) >= 0.97
    raw = library.Fitting(invert="no", background=0)
    assert np.mean([f.count == n for f, n in zip(infer(undecided, [folder], fitting=raw), wanted, strict=True)]) < 0.97


def test_boxes_scale_with_the_picture(undecided: Path, data: Path, tmp_path: Path) -> None:
    """The boxes of a picture four times as large, with a margin above, are four times as large and further down."""
    images = read_split(data, "test").images
    for name, pictures in {
        "a": images,
        "b": images.repeat(4, 1).repeat(4, 2),
        "c": np.pad(images, ((0, 0), (0, 0), (10, 10))),
    }.items():
        np.save(tmp_path / f"{name}.npy", pictures)
    plain, large = ([f.boxes for f in infer(undecided, [tmp_path / f"{n}.npy"])] for n in "ab")
    assert any(plain)
    for one, other in zip(plain, large, strict=True):
        assert [tuple(4 * edge for edge in box.box) for box in one] == [box.box for box in other]
        assert all(0 < box.probability <= 1 for box in one)
    for found in infer(undecided, [tmp_path / "c.npy"]):
        assert all(0 <= x0 < x1 <= 70 and 0 <= y0 < y1 <= 50 for x0, y0, x1, y1 in (b.box for b in found.boxes))


def test_what_is_found_adds_up(undecided: Path, data: Path) -> None:
    """q(n) sums to 1, the count is its mode, there are as many boxes and crops, the q(n >= i) fall."""
    for found in infer(undecided, [data]):
        assert sum(found.probabilities) == pytest.approx(1, abs=1e-5)
        assert int(np.argmax(found.probabilities)) == found.count == len(found.boxes) == len(found.crops())
        present = [box.probability for box in found.boxes]
        assert present == pytest.approx([sum(found.probabilities[i:]) for i in range(1, found.count + 1)], abs=1e-5)
        for box, crop in zip(found.boxes, found.crops(), strict=True):
            assert crop.shape[0] >= box.box[3] - box.box[1]


def test_the_command_prints_lines_and_writes_pictures(airctl, undecided: Path, data: Path, tmp_path: Path) -> None:
    """--json: an object a line; a table otherwise; -o: the picture, its crops, and what the model read and drew."""
    folder = save(tmp_path / "in", read_split(data, "test").images[:5])
    hostile = folder / "evil\x1b[31m\n.png"
    shutil.copy(folder / "000.png", hostile)
    code, out, err = airctl("infer", undecided, folder, "--json", "-o", tmp_path / "out")
    rows = [json.loads(line) for line in out.splitlines()]
    assert (code, err) == (0, "")
    assert [row["image"] for row in rows] == [*(str(folder / f"{i:03d}.png") for i in range(5)), str(hostile)]
    assert all(len(row["boxes"]) == row["count"] and row.keys() >= {"image", "count", "boxes"} for row in rows)
    names = sorted(path.name for path in (tmp_path / "out").iterdir())
    tables = ["counts.csv", "counts.html", "objects.csv", "origin.json"]
    assert [name for name in names if not name.endswith(".png")] == tables
    names = [name for name in names if name.endswith(".png")]
    assert len(names) == 2 * 6 + sum(row["count"] for row in rows)
    assert names[0] == "0001_000.png"
    assert all(name.isprintable() and (tmp_path / "out" / name).read_bytes()[:4] == b"\x89PNG" for name in names)
    code, out, _ = airctl("infer", undecided, folder)
    assert (code, len(out.splitlines())) == (0, 10)
    assert out.splitlines()[-1] == f"{sum(row['count'] for row in rows)} objects in 6 pictures"
    assert "\x1b" not in out


def test_a_bad_file_is_told_and_is_exit_3_after_the_others(airctl, undecided: Path, data: Path, tmp_path: Path) -> None:
    """The good pictures are on stdout, the bad one is a sentence on stderr."""
    folder = save(tmp_path / "in", read_split(data, "test").images[:2])
    (folder / "bad\x1b[31m.png").write_bytes(b"no picture")
    code, out, err = airctl("infer", undecided, folder, "--json")
    assert (code, len(out.splitlines()), len(err.splitlines())) == (3, 2, 1)
    assert r"bad\x1b[31m.png: cannot be read as a picture" in err
    assert airctl("infer", undecided, tmp_path / "none.png")[:2] == (3, "")


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["--invert", "atuo"], "did you mean 'auto'?"),
        (["--resample", "lanzcos"], "did you mean 'lanczos'?"),
        (["--fill", "2"], "--fill 2.0: expected more than 0 and at most 1"),
        (["--inverse", "yes"], "Did you mean '--invert'?"),
        (["--checkpoint", "9"], "has no checkpoint '9'"),
    ],
)
def test_a_misspelt_choice_is_answered_with_the_nearest(
    words: list[str],
    sentence: str,
    airctl,
    undecided: Path,
    data: Path,
) -> None:
    """Exit code 2 and a sentence that helps."""
    code, out, err = airctl("infer", undecided, data, *words)
    assert (code, out) == (2, "")
    assert sentence in err
