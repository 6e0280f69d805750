"""generate-data: the summary is true, an existing file is safe, and mistakes come before the work."""

import hashlib
from pathlib import Path

import numpy as np
import pytest

from airctl.errors import AirctlError, ConfigError, InputFileError
from airctl.scenes import SceneSpec, generate, generate_data, glyphs, read_attributes, read_split, told_size

SPEC = SceneSpec(train=9, test=4)


@pytest.fixture(autouse=True)
def few_digits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(glyphs, "FONT_TRAIN", 30)
    monkeypatch.setattr(glyphs, "FONT_TEST", 10)


def make(out: Path, spec: SceneSpec = SPEC, **options: object) -> dict:
    return generate_data(out, spec, "font", say=lambda message: None, **options)


def test_the_summary_is_that_of_the_file(tmp_path: Path) -> None:
    """Path, sha256, the digits' source, and the counts of both splits."""
    out = tmp_path / "new folder" / "s.h5"
    summary = make(out)
    assert summary["sha256"] == hashlib.sha256(out.read_bytes()).hexdigest()
    assert (summary["path"], summary["digits"]["source"]) == (str(out), "font")
    assert summary["object_size"] == told_size(read_attributes(out))
    for split in ("train", "test"):
        scenes = read_split(out, split)
        assert summary[split] == {
            "scenes": len(scenes.images),
            "counts": np.bincount(scenes.counts, minlength=3).tolist(),
        }


def test_scenes_of_blobs_are_scenes_like_others(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Counts, one label, sizes, and boxes in which all ink lies, through the composer of digits."""
    monkeypatch.setattr(glyphs, "BLOBS_TRAIN", 30)
    monkeypatch.setattr(glyphs, "BLOBS_TEST", 10)
    out = tmp_path / "b.h5"
    spec = SceneSpec(train=30, test=4, max_digits=3, scale_mean=2.0)
    summary = generate_data(out, spec, "blobs", say=lambda message: None)
    assert summary["digits"]["source"] == read_attributes(out)["digits"] == "blobs"
    assert 9 < summary["object_size"] / 1.35 < 14  # of a glyph's 14 pixels, most are ink
    scenes = read_split(out, "train")
    assert set(scenes.counts) == {0, 1, 2, 3}
    for image, count, labels, boxes in zip(scenes.images, scenes.counts, scenes.labels, scenes.boxes, strict=True):
        assert labels.tolist() == [0] * count + [255] * (3 - count)
        outside = image.copy()
        for x0, y0, x1, y1 in boxes[:count]:
            assert image[y0:y1, x0:x1].max() > 150
            assert 5 <= min(x1 - x0, y1 - y0) <= max(x1 - x0, y1 - y0) <= 18
            outside[y0:y1, x0:x1] = 0
        assert not outside.any()


def test_the_source_of_the_digits_is_said(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    """On stderr, with or without a progress bar; stdout stays empty."""
    for i, bar in enumerate((False, True)):
        generate_data(tmp_path / f"{i}.h5", SPEC, "font", progress_bar=bar)
        captured = capsys.readouterr()
        assert captured.out == ""
        assert "digits: font, 30 to train, 10 to test" in captured.err
        assert ("13/13" in captured.err) == bar


def test_an_existing_file_needs_force(tmp_path: Path) -> None:
    """Without --force it stays, byte for byte, and no work is done; with it the new one takes its place."""
    out = tmp_path / "s.h5"
    out.write_bytes(b"precious")
    with pytest.raises(ConfigError, match="exists: say force=True"):
        make(out)
    assert out.read_bytes() == b"precious"
    make(out, force=True)
    assert len(read_split(out, "train").images) == 9


def test_force_replaces_only_when_the_new_file_is_complete(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever fails on the way, the old file is untouched."""
    out = tmp_path / "s.h5"
    out.write_bytes(b"precious")
    with pytest.raises(ConfigError, match="does not fit"):
        make(out, SceneSpec(train=9, test=4, canvas=20), force=True)
    with pytest.raises(InputFileError):
        generate_data(out, SPEC, str(out), force=True, say=lambda message: None)

    def interrupted(*args: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("airctl.files.os.replace", interrupted)
    with pytest.raises(KeyboardInterrupt):
        make(out, force=True)
    assert out.read_bytes() == b"precious"
    assert [p.name for p in tmp_path.iterdir()] == ["s.h5"]


@pytest.mark.parametrize("name", [".", "x" * 300, "zero\0byte"])
def test_a_name_that_no_file_can_have_is_refused(tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Before any work, as a usage error."""
    monkeypatch.setattr(generate, "load_glyphs", lambda *a: pytest.fail("work was done"))
    with pytest.raises(ConfigError):
        make(tmp_path / name)


def test_a_place_one_may_not_write_to_is_told(tmp_path: Path) -> None:
    """A file where a folder is needed ends in a sentence."""
    (tmp_path / "file").write_text("x")
    with pytest.raises(AirctlError, match="choose another place"):
        make(tmp_path / "file" / "s.h5")
