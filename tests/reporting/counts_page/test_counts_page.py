"""What the file of counted pictures holds: every picture, no stranger's script, and no more bytes than promised."""

from __future__ import annotations

import base64
import io
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from reporting.counts_page.made import embedded, found, picture, written

from airctl.errors import ConfigError
from airctl.reporting.counts_page import CountsPage
from airctl.reporting.counts_page import page as module

STRANGE = "</script><script>alert(1)</script><!--<img src=x onerror=alert(1)>\udcff&amp;.png"


class Elements(HTMLParser):
    """The names of the elements of a page."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.names: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.names.append(tag)
        assert not [name for name, _ in attrs if name.startswith("on")]


def sizes(picture: dict[str, str]) -> dict[str, tuple[int, int]]:
    """Width and height of each of the files of a picture in the data."""
    keys = [key for key in ("large", "small", "drawn") if key in picture]
    return {key: Image.open(io.BytesIO(base64.b64decode(picture[key]))).size for key in keys}


def test_the_name_of_a_file_is_data_and_nothing_else(tmp_path: Path) -> None:
    """The page has the same elements as with a harmless name, and its script reads the name letter by letter."""
    pixels, drawn, boxes = picture(0)
    harmless = written(tmp_path / "a.html", (found("a.png", pixels, boxes), pixels, drawn))
    strange = written(tmp_path / "b.html", (found(STRANGE, pixels, boxes, verdict=STRANGE), pixels, drawn))
    assert Elements(strange.read_text()).names == Elements(harmless.read_text()).names
    assert [embedded(strange)["pictures"][0][key] for key in ("name", "verdict")] == [STRANGE, STRANGE]


def test_it_holds_each_picture_with_its_boxes_and_its_reconstruction(tmp_path: Path) -> None:
    """A large picture has a small one beside it, a colour picture its colours, and a fit that is no number is null."""
    small, large = picture(1), picture(2, 500, 700)
    colour = np.zeros((40, 30, 3), np.uint8)
    colour[..., 0] = 200
    path = written(
        tmp_path / "c.html",
        (found("small", small[0], small[2], 0.123456), small[0], small[1]),
        (found("large", large[0], large[2]), large[0], large[1]),
        (found("colour", colour, [], float("-inf")), colour, None),
    )
    first, second, third = embedded(path)["pictures"]
    assert sizes(first) == {"large": (160, 120), "drawn": (80, 60)}
    assert sizes(second)["large"] == (700, 500)
    assert sizes(second)["small"][0] * sizes(second)["small"][1] <= module.SMALL_PIXELS
    assert [box[:4] for box in first["boxes"]] == [list(box) for box in small[2]]
    assert [box[4] for box in first["boxes"]] == pytest.approx([1, 0.99, 0.98, 0.97])
    assert (first["count"], first["fit"], first["size"]) == (4, 0.1235, [160, 120])
    assert third["fit"] is None
    pixel = Image.open(io.BytesIO(base64.b64decode(third["large"]))).getpixel((5, 5))
    assert pixel == pytest.approx((200, 0, 0), abs=4)


def test_the_head_counts_pictures_objects_and_flags(tmp_path: Path) -> None:
    pixels = np.zeros((4, 4), np.uint8)
    many = [(0.0, 0.0, 4.0, 4.0)] * 1200
    path = written(
        tmp_path / "c.html",
        (found("a", pixels, many), pixels, None),
        (found("b", pixels, many[:34], verdict="unlike"), pixels, None),
        (found("c", pixels, many[:50], verdict="at_limit"), pixels, None),
    )
    text = path.read_text()
    for number in ("<dd>3</dd>", "<dd>1\u202f284<small>34 to 1\u202f200 in a picture", "<dd>2<small>counts that"):
        assert number in text
    assert 'id="left-out"' not in text


def test_200_noisy_pictures_of_a_megapixel_are_whole_and_stay_below_30_mb(tmp_path: Path) -> None:
    """With 300 objects each. The budget does the work: as PNG a single one of them has more than a third of a MB."""
    made = [picture(seed, 1000, 1000, 12) for seed in range(12)]
    page = CountsPage(tmp_path / "c.html")
    random = np.random.default_rng(0)
    for index in range(200):
        pixels, drawn, boxes = made[index % 12]
        moved = np.roll(pixels, int(random.integers(1000)), axis=1)  # other bytes, the same noise
        page.add(found(f"{index}.png", moved, boxes * 25), moved, drawn)
    page.close()
    size = (tmp_path / "c.html").stat().st_size
    print(f"{size / 200:.0f} bytes a picture")
    assert 10_000_000 < size < 30_000_000
    kept = embedded(tmp_path / "c.html")["pictures"]
    assert {key for one in kept for key in ("large", "small", "drawn") if key not in one} == set()
    assert min(w * h for one in kept for w, h in [sizes(one)["large"]]) > 500_000
    file = io.BytesIO()
    Image.fromarray(made[0][0]).save(file, format="PNG")
    assert file.tell() > 333_333


def test_what_is_beyond_the_budget_is_left_out_and_the_page_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """First pictures are whole, then small and without reconstruction, then rows; the sums are those of all."""
    pixels, drawn, boxes = picture(0, 500, 700)
    monkeypatch.setattr(module, "WHOLE_BYTES", 300_000)
    monkeypatch.setattr(module, "ALL_BYTES", 400_000)
    path = written(tmp_path / "c.html", *[(found(f"{i}", pixels, boxes), pixels, drawn) for i in range(60)])
    kept = embedded(path)["pictures"]
    kinds = ["whole" if "large" in one else "small" if "small" in one else "row" for one in kept]
    whole, small, rows = (kinds.count(kind) for kind in ("whole", "small", "row"))
    assert kinds == ["whole"] * whole + ["small"] * small + ["row"] * rows
    assert min(whole, small, rows) > 0
    assert f"{small} are small and without reconstruction, and {rows} stand in the table only" in path.read_text()
    assert not [one for one, kind in zip(kept, kinds, strict=True) if kind == "row" and "boxes" in one]
    assert "<dd>240<small>" in path.read_text()
    assert path.stat().st_size < 400_000 + 60_000  # rows, style and script


def test_an_empty_page_can_be_written(tmp_path: Path) -> None:
    assert embedded(written(tmp_path / "c.html"))["pictures"] == []


def test_a_closed_page_takes_no_picture_and_is_not_written_again(tmp_path: Path) -> None:
    page = CountsPage(tmp_path / "c.html")
    page.close()
    (tmp_path / "c.html").unlink()
    page.close()
    assert not (tmp_path / "c.html").exists()
    pixels, drawn, boxes = picture(0)
    with pytest.raises(ValueError, match="closed"):
        page.add(found("a", pixels, boxes), pixels, drawn)


def test_nothing_is_written_before_it_is_closed_nor_where_a_folder_is(tmp_path: Path) -> None:
    pixels, drawn, boxes = picture(0)
    page = CountsPage(tmp_path / "c.html")
    page.add(found("a", pixels, boxes), pixels, drawn)
    assert list(tmp_path.iterdir()) == []
    (tmp_path / "c.html").mkdir()
    with pytest.raises(ConfigError, match=r"c\.html"):
        page.close()
    (tmp_path / "c.html").rmdir()
    page.close()  # what was added is still there
    assert len(embedded(tmp_path / "c.html")["pictures"]) == 1


def test_a_page_of_flat_pictures_is_no_multiple_of_their_files(tmp_path: Path) -> None:
    """Squares on black, a megapixel of 2 kB: with every picture a JPEG the page was 18 times as large."""
    pixels = np.zeros((1000, 1000), np.uint8)
    random = np.random.default_rng(0)
    for y, x in random.integers(0, 980, (40, 2)):
        pixels[y : y + 14, x : x + 14] = 200
    Image.fromarray(pixels).save(tmp_path / "squares.png")
    name, drawn = "squares.png", pixels.astype(np.float32) / 255
    written(tmp_path / "none.html")
    written(tmp_path / "ten.html", *[(found(name, pixels, []), pixels, drawn)] * 10)
    more = (tmp_path / "ten.html").stat().st_size - (tmp_path / "none.html").stat().st_size
    assert more / 10 < 6 * (tmp_path / name).stat().st_size
