"""Zips of ROIs as roifile reads them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import roifile
from samples import ACROSS, INSIDE, found

from airctl.formats.imagej import ImageJ
from airctl.results.units import Edges

FAR: Edges = (70_000.5, 65_600.25, 70_100.0, 65_700.0)  # beyond the 16 bits of the whole numbers in the format


def test_ovals_come_back_through_roifile(tmp_path: Path) -> None:
    """Parts of a pixel, names and probabilities, also across the border and far out in a large picture."""
    with ImageJ(tmp_path) as imagej:
        imagej.add(found("x.png", *INSIDE, ACROSS, FAR))
    rois = roifile.roiread(tmp_path / "0001_x.zip")
    assert [roi.name for roi in rois] == ["0001", "0002", "0003", "0004"]
    assert all(roi.roitype == roifile.ROI_TYPE.OVAL for roi in rois)
    assert [float(roi.props.removeprefix("probability: ")) for roi in rois] == [0.99, 0.98, 0.97, 0.96]
    edges = [(roi.xd, roi.yd, roi.xd + roi.widthd, roi.yd + roi.heightd) for roi in rois]
    np.testing.assert_allclose(edges, [*INSIDE, ACROSS, FAR], atol=0.01)


@pytest.mark.parametrize("box", [*INSIDE, ACROSS])
def test_whole_numbers_enclose_the_box(tmp_path: Path, box: Edges) -> None:
    """For readers that know no parts of a pixel."""
    with ImageJ(tmp_path) as imagej:
        imagej.add(found("x.png", box))
    (roi,) = roifile.roiread(tmp_path / "0001_x.zip")
    assert 0 <= box[0] - roi.left < 1
    assert 0 <= box[1] - roi.top < 1
    assert 0 <= roi.right - box[2] < 1
    assert 0 <= roi.bottom - box[3] < 1


def test_the_outline_is_the_oval_in_the_box(tmp_path: Path) -> None:
    """As roifile draws it, within half a pixel of the box on each side."""
    with ImageJ(tmp_path) as imagej:
        imagej.add(found("x.png", INSIDE[1]))
    (roi,) = roifile.roiread(tmp_path / "0001_x.zip")
    outline = roi.coordinates()
    np.testing.assert_allclose([*outline.min(0), *outline.max(0)], INSIDE[1], atol=1.0)
