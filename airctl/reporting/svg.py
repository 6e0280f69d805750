"""A chart as SVG inside an HTML page: no style attribute, no address, colours as classes, values for hovering.

The page's policy forbids inline styles, so matplotlib's become attributes; a colour of the house becomes a class
(``fill-ink``, ``stroke-line0``...) whose light and dark shades page.css knows.
"""

from __future__ import annotations

import io
import json
import re
from xml.etree import ElementTree

from airctl.reporting.palette import FAINT, INK, LINES, PAPER, SOFT
from airctl.reporting.plots import Chart, style

_CLASSES = {INK: "ink", SOFT: "soft", FAINT: "faint", PAPER: "card"} | {
    colour: f"line{index}" for index, colour in enumerate(LINES) if colour != INK
}
_DROPPED = {"metadata", "style"}
_OWN_FONT = {"font-family", "font"}  # the page has its own
_REFERENCE = re.compile(r"#([\w.-]+)")


def inline_svg(chart: Chart, name: str) -> str:
    """``chart`` as an ``svg`` element; ``name`` keeps its ids apart from those of other charts of the page.

    ``data-marks`` holds [x, y, text] of each value, ``data-left``, ``data-right`` and ``data-top``, ``data-bottom`` the
    edges of its first axes, ``data-low`` and ``data-high`` the values at the left and right edge; all in pixels of the
    viewBox but the last two.
    """
    stream = io.StringIO()
    with style():
        chart.figure.savefig(stream, format="svg", metadata={"Date": None})
    root = ElementTree.fromstring(stream.getvalue())
    _clean(root)
    _rename_ids(root, name)
    view = root.get("viewBox", "")
    root.attrib.clear()
    root.attrib |= {"viewBox": view, "class": "chart", "role": "img", "tabindex": "0", "aria-label": chart.title}
    root.attrib |= _positions(chart)
    return ElementTree.tostring(root, encoding="unicode")


def _clean(element: ElementTree.Element) -> None:
    """Without name spaces, metadata and style; in place."""
    element.tag = element.tag.rpartition("}")[2]
    for key in list(element.attrib):
        element.attrib[key.rpartition("}")[2]] = element.attrib.pop(key)
    _style_to_attributes(element)
    element.text = element.text.strip() if element.text and element.tag != "text" else element.text
    element.tail = None
    for child in list(element):
        if child.tag.rpartition("}")[2] in _DROPPED:
            element.remove(child)
        else:
            _clean(child)


def _style_to_attributes(element: ElementTree.Element) -> None:
    classes = []
    for part in element.attrib.pop("style", "").split(";"):
        key, _, value = (piece.strip() for piece in part.partition(":"))
        if not key or key in _OWN_FONT:
            continue
        if key in ("fill", "stroke") and value in _CLASSES:
            classes.append(f"{key}-{_CLASSES[value]}")
        else:
            element.set(key, value)
    if classes:
        element.set("class", " ".join(classes))


def _rename_ids(root: ElementTree.Element, name: str) -> None:
    """Ids that something refers to get ``name`` before them; the others go."""
    used = {
        found
        for element in root.iter()
        for key, value in element.attrib.items()
        if key == "href" or value.startswith("url(")
        for found in _REFERENCE.findall(value)
    }
    for element in root.iter():
        for key, value in list(element.attrib.items()):
            if key == "id":
                element.attrib.pop("id")
                if value in used:
                    element.set("id", f"{name}-{value}")
            elif key == "href" or value.startswith("url("):
                element.set(key, _REFERENCE.sub(rf"#{name}-\1", value))


def _positions(chart: Chart) -> dict[str, str]:
    """Where values and axes are, in pixels of the viewBox from its top left corner; wants a figure just drawn."""
    height, axes = chart.figure.bbox.height, chart.figure.axes
    marks = []
    for mark in chart.marks:
        x, y = axes[mark.axes].transData.transform((mark.x, mark.y))
        marks.append([round(float(x), 1), round(float(height - y), 1), mark.text])
    box, (low, high) = axes[0].bbox, axes[0].get_xlim()
    edges = {"left": box.x0, "right": box.x1, "top": height - box.y1, "bottom": height - box.y0}
    edges |= {"low": low, "high": high}
    text = {f"data-{name}": f"{value:.6g}" for name, value in edges.items()}
    return text | {"data-marks": json.dumps(marks, ensure_ascii=False, separators=(",", ":"))}
