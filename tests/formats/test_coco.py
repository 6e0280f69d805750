"""annotations.json as pycocotools reads it."""

from __future__ import annotations

import contextlib
import io
import json
from pathlib import Path

import numpy as np
import pytest
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval
from samples import ACROSS, INSIDE, found

from airctl.errors import StorageError
from airctl.formats.coco import Coco


def read(folder: Path) -> COCO:
    with contextlib.redirect_stdout(io.StringIO()):
        return COCO(str(folder / "annotations.json"))


def test_boxes_come_back_through_pycocotools(tmp_path: Path) -> None:
    """Ids, bbox [x, y, w, h], area and score of two pictures, one without objects between them."""
    with Coco(tmp_path) as coco:
        coco.add(found("a/x.png", *INSIDE))
        coco.add(found("empty.png", width=7, height=9))
        coco.add(found("b/x.png", ACROSS))
    got = read(tmp_path)
    assert [(i["id"], i["file_name"], i["width"], i["height"]) for i in got.loadImgs([1, 2, 3])] == [
        (1, "a/x.png", 60, 40),
        (2, "empty.png", 7, 9),
        (3, "b/x.png", 60, 40),
    ]
    assert got.loadCats(got.getCatIds())[0]["name"] == "object"
    assert [len(got.getAnnIds(imgIds=[i])) for i in (1, 2, 3)] == [2, 0, 1]
    annotations = got.loadAnns(got.getAnnIds())
    x, y, w, h = np.array([a["bbox"] for a in annotations]).T
    expected = np.array([*INSIDE, (0.0, 25.1, 6.2, 40.0)])  # the last is cut at the borders
    np.testing.assert_allclose(np.stack([x, y, x + w, y + h], 1), expected, atol=1e-9)
    np.testing.assert_allclose([a["area"] for a in annotations], w * h)
    assert [a["score"] for a in annotations] == [0.99, 0.98, 0.99]


def test_its_annotations_are_results_of_themselves(tmp_path: Path) -> None:
    """loadRes takes them as detections, and COCOeval finds each: average precision 1; moved aside it is less."""
    with Coco(tmp_path) as coco:
        coco.add(found("x.png", *INSIDE))
        coco.add(found("empty.png"))
    truth = read(tmp_path)
    told = [
        {key: a[key] for key in ("image_id", "category_id", "bbox", "score")}
        for a in json.loads((tmp_path / "annotations.json").read_text())["annotations"]
    ]
    moved = [{**a, "bbox": [a["bbox"][0] + 9, *a["bbox"][1:]]} for a in told]
    precision = []
    for results in (told, moved):
        with contextlib.redirect_stdout(io.StringIO()):
            evaluation = COCOeval(truth, truth.loadRes(results), "bbox")
            evaluation.evaluate()
            evaluation.accumulate()
            evaluation.summarize()
        precision.append(evaluation.stats[0])
    assert precision == [pytest.approx(1), pytest.approx(0)]


def test_odd_names_are_kept(tmp_path: Path) -> None:
    """JSON has its own quotes, and a byte that is no UTF-8 comes back as Python reads it from the disk."""
    names = ['a,"b"\n.png', "=1+1.png", "é.png", "x\udcff.png"]
    with Coco(tmp_path) as coco:
        for name in names:
            coco.add(found(name))
    assert [image["file_name"] for image in read(tmp_path).loadImgs([1, 2, 3, 4])] == names


def test_after_an_error_the_earlier_file_stays(tmp_path: Path) -> None:
    """A run that fails leaves annotations.json as it was, and nothing beside it."""
    with Coco(tmp_path) as coco:
        coco.add(found("first.png"))
    with pytest.raises(AttributeError), Coco(tmp_path) as coco:
        coco.add(None)  # type: ignore[arg-type]
    assert read(tmp_path).loadImgs([1])[0]["file_name"] == "first.png"
    assert [p.name for p in tmp_path.iterdir()] == ["annotations.json"]


def test_a_full_disk_is_one_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What the disk answers when the file is put in place is a StorageError, and no part stays."""

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    coco = Coco(tmp_path)
    coco.add(found("x.png", *INSIDE))
    monkeypatch.setattr("airctl.files.os.fsync", full)
    with pytest.raises(StorageError, match="free some space"):
        coco.close()
    assert list(tmp_path.iterdir()) == []
