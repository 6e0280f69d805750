"""Charts: every value can be read, the same numbers give the same bytes."""

from __future__ import annotations

import io
import json
import re
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
from PIL import Image, ImageColor

from airctl.reporting import charts, plots
from airctl.reporting.palette import LINES
from airctl.reporting.plots import Chart, Mark
from airctl.reporting.svg import inline_svg

NAMES = ["_hidden", r"$\frac$", "日本 \U0001f600", "</svg><script>", 'a"b&c', "line\nbreak \x01 \udce9", "x" * 300]


def curves(*names: str) -> Chart:
    lines = {name: [(0, 0.1 * i), (100, 0.5)] for i, name in enumerate(names)}
    return charts.line_chart([charts.accuracy_panel(lines), charts.elbo_panel(lines)])


@pytest.mark.parametrize("chart", [curves("a", "b"), charts.confusion([[9, 1], [0, 7]])])
def test_the_same_numbers_give_the_same_bytes(chart: Chart) -> None:
    """PNG and SVG have no date and no random id: a second rendering, and a second drawing, are the same."""
    assert plots.png(chart) == plots.png(chart)
    assert inline_svg(chart, "a") == inline_svg(chart, "a")
    assert plots.png(curves("a", "b")) == plots.png(curves("a", "b")) != plots.png(curves("a", "c"))


def test_the_style_is_not_the_users(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a user's matplotlibrc says changes nothing, and what airctl sets does not stay set."""
    import matplotlib

    before = plots.png(curves("a"))
    with matplotlib.rc_context({"axes.facecolor": "#ff0000", "font.size": 40, "svg.fonttype": "path"}):
        assert plots.png(curves("a")) == before
        assert matplotlib.rcParams["font.size"] == 40


def test_svg_has_what_the_pages_policy_allows() -> None:
    """No style, no script, no id twice, no reference but to an id of the same chart."""
    root = ElementTree.fromstring(inline_svg(curves(*NAMES), "chart0"))
    ids = [e.get("id") for e in root.iter() if e.get("id")]
    assert len(ids) == len(set(ids))
    assert all(name.startswith("chart0-") for name in ids if name)
    for element in root.iter():
        assert element.tag not in ("style", "script", "metadata", "image")
        assert "style" not in element.attrib
        for key, value in element.attrib.items():
            assert not key.startswith("on")
            if key == "href" or "url(" in value:
                assert re.fullmatch(r"#(.*)|url\(#(.*)\)", value)
                assert value.strip("url()#") in ids


def test_names_of_runs_are_only_text() -> None:
    """Formulas, markup, emoji, control letters and very long names are drawn as letters, and each is in the legend."""
    root = ElementTree.fromstring(inline_svg(curves(*NAMES), "a"))
    texts = {"".join(e.itertext()).strip() for e in root.iter("text")}
    assert {"_hidden", r"$\frac$", "日本 \U0001f600", "</svg><script>", 'a"b&c'} <= texts
    assert f"{'x' * 47}…" in texts
    assert not any("\n" in text or "\x01" in text or "\udce9" in text for text in texts)
    assert plots.png(curves(*NAMES))


def test_hovering_knows_where_the_values_are() -> None:
    """A mark at the axes' corner is at the corner that the SVG tells of, and carries its text."""
    with plots.style():
        figure = plots.new_figure(300, 200)
        axes = figure.subplots()
        axes.set_xlim(0, 8)
        axes.set_ylim(-1, 1)
    chart = Chart(figure, "t", (Mark(0, 1, "top left"), Mark(8, -1, "<bottom> right")))
    root = ElementTree.fromstring(inline_svg(chart, "a"))
    edges = {name: float(root.get(f"data-{name}", "nan")) for name in ("left", "right", "top", "bottom", "low", "high")}
    (x0, y0, first), (x1, y1, second) = json.loads(root.get("data-marks", ""))
    assert (first, second) == ("top left", "<bottom> right")
    assert (x0, y0, x1, y1) == pytest.approx([edges[n] for n in ("left", "top", "right", "bottom")], abs=0.06)
    assert (edges["low"], edges["high"]) == (0, 8)
    assert edges["top"] < edges["bottom"]


def test_curves_are_drawn_at_their_accuracies() -> None:
    """The better one first, in the first colour: at 100% its line lies above that of 50%, in each of two panels."""
    lines = {"half": [(0.0, 0.5), (10.0, 0.5)], "all": [(0.0, 1.0), (10.0, 1.0)]}
    with Image.open(io.BytesIO(plots.png(charts.accuracy_curves({"step": lines, "seconds": lines})))) as opened:
        picture = np.asarray(opened.convert("RGB"))
    column = picture[:, picture.shape[1] // 2]
    best, second = (np.flatnonzero((column == ImageColor.getrgb(c)).all(-1)) for c in LINES[:2])
    half = len(column) // 2
    for inside in (lambda y: y < half, lambda y: y >= half):
        top, below = best[inside(best)], second[inside(second)]
        assert top.max() < below.min()


def test_figures_of_a_run_are_files(tmp_path: Path) -> None:
    """A chart and a picture are saved alike, each as a PNG of its name."""
    from airctl.reporting.figures import save

    save({"chart": curves("a"), "tile": Image.new("L", (5, 5))}, tmp_path)
    with Image.open(tmp_path / "chart.png") as chart, Image.open(tmp_path / "tile.png") as tile:
        assert chart.width == 2 * charts.WIDTH
        assert tile.size == (5, 5)
