"""The page of counted pictures in a real browser: boxes, order, filter, zoom and counts.csv; light, dark, small.

Skipped where there is no chromium with its driver, or no selenium: ``make browser`` says how to have them.
"""

from __future__ import annotations

import base64
import csv
import io
import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from reporting.browsing import NEEDS_BROWSER, faint, letters_and_paper, opened, wait_until
from reporting.counts_page.made import embedded, found, picture, written

from airctl.reporting.counts_page import page as module

pytestmark = NEEDS_BROWSER
STRANGE = '</script><img src=x onerror=alert(1)>, "quoted"\nand broken.png'
# name, objects, fit, verdict; the order of the files is none of the other orders
GIVEN = [
    ("shots/img10.png", 5, 0.91, "fine"),
    ("shots/img2.png", 9, 0.42, "at_limit"),
    (STRANGE, 3, 0.97, "fine"),
    ("=1+1.png", 1, -0.3, "unlike"),
    ("shots/img1.png", 7, 0.8, "fine"),
]
SENTENCES = module.SENTENCES
KEYS = {"Escape": 27, "ArrowLeft": 37, "ArrowRight": 39, "Enter": 13, "b": 66, "Tab": 9}


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Five pictures, the last one without reconstruction."""
    added = []
    for seed, (name, objects, fit, verdict) in enumerate(GIVEN):
        pixels, drawn, boxes = picture(seed, 300, 400, objects)
        added.append((found(name, pixels, boxes, fit, verdict), pixels, drawn if seed < 4 else None))
    return written(tmp_path_factory.mktemp("counts") / "counts.html", *added)


def shown(browser: Any) -> list[int]:
    """The pictures of the gallery, or rows of the table, as their places in ``GIVEN``."""
    look = "return [...document.querySelectorAll('main [data-index]')].map(e => Number(e.dataset.index))"
    return browser.execute_script(look)


def zoomed(browser: Any) -> str | None:
    """The name of the picture that is large now."""
    return browser.execute_script(
        "return document.getElementById('zoom').open ? document.getElementById('zoom-name').textContent : null"
    )


def press(browser: Any, key: str) -> None:
    """A key as the keyboard sends it, to whatever has the focus."""
    text = {"Enter": "\r", "b": "b"}.get(key, "")
    pressed = {"key": key, "windowsVirtualKeyCode": KEYS[key], **({"text": text} if text else {})}
    browser.execute_cdp_cmd("Input.dispatchKeyEvent", {"type": "keyDown", **pressed})
    browser.execute_cdp_cmd("Input.dispatchKeyEvent", {"type": "keyUp", **pressed})


def click_at(browser: Any, x: float, y: float) -> None:
    for kind in ("mousePressed", "mouseReleased"):
        mouse = {"type": kind, "x": x, "y": y, "button": "left", "clickCount": 1}
        browser.execute_cdp_cmd("Input.dispatchMouseEvent", mouse)


def click(browser: Any, selector: str) -> None:
    browser.find_element("css selector", selector).click()


def choose(browser: Any, selector: str, value: str) -> None:
    browser.execute_script(
        "const e = document.querySelector(arguments[0]); e.value = arguments[1]; e.dispatchEvent(new Event('change'))",
        selector,
        value,
    )


def said(browser: Any, selector: str) -> str:
    return browser.execute_script("return document.querySelector(arguments[0]).textContent", selector)


def test_it_loads_without_a_complaint_and_asks_for_nothing(browser: Any, page: Path) -> None:
    opened(browser, page)
    assert shown(browser) == [0, 1, 2, 3, 4]
    assert browser.get_log("browser") == []
    events = [json.loads(entry["message"])["message"] for entry in browser.get_log("performance")]
    asked = [e["params"]["request"]["url"] for e in events if e["method"] == "Network.requestWillBeSent"]
    assert [url for url in asked if not url.startswith("data:")] == [page.as_uri()]
    widths = "return [...document.images].map(image => image.naturalWidth)"
    wait_until(lambda: min(browser.execute_script(widths)) > 0)
    assert len(browser.execute_script(widths)) == 5


def test_the_console_does_tell(browser: Any, page: Path, tmp_path: Path) -> None:
    """Negative control: a script and a picture that the page does not have are refused, and it is told."""
    other = tmp_path / "other.html"
    text = page.read_text(encoding="utf-8")
    other.write_text(text.replace("</main>", "<script>1</script><img src='http://127.0.0.1:9/x.png'></main>"))
    opened(browser, other)
    told = [entry["message"] for entry in browser.get_log("browser")]
    assert any("script" in line and "Content Security Policy" in line for line in told)
    assert any("127.0.0.1:9" in line for line in told)


def test_the_name_of_a_file_is_no_script(browser: Any, page: Path) -> None:
    """It stands letter by letter in the gallery, in the dialog and in the table, and makes no element."""
    opened(browser, page)
    assert browser.execute_script("return document.querySelector('[data-index=\"2\"] .name').title") == STRANGE
    click(browser, '[data-index="2"] .look')
    assert zoomed(browser) == STRANGE
    click(browser, "#close")
    click(browser, "#as-table")
    assert said(browser, 'tr[data-index="2"] th') == STRANGE
    assert browser.execute_script("return document.querySelectorAll('img[onerror]').length") == 0


def test_each_picture_says_its_count_its_fit_and_what_is_wrong(browser: Any, page: Path) -> None:
    opened(browser, page)
    for index, (_, objects, fit, verdict) in enumerate(GIVEN):
        text = said(browser, f'[data-index="{index}"] figcaption')
        assert f"{objects} object{'s' if objects > 1 else ''}fit {fit:.1%}".replace("-", "\u2212") in text
        assert [key for key, sentence in SENTENCES.items() if sentence in text] == [verdict] * (verdict != "fine")


def test_boxes_are_those_of_the_picture_and_can_be_hidden(browser: Any, page: Path) -> None:
    """One box for each object; the check box of the page, that of the dialog and the key B are one switch."""
    opened(browser, page)
    corners = "return document.querySelector('[data-index=\"1\"] .under').getAttribute('d').match(/M/g).length"
    assert browser.execute_script(corners) == 9
    look = "return [...document.querySelectorAll('.look svg, .stage svg')].map(e => getComputedStyle(e).display)"
    states = [set(browser.execute_script(look))]
    click(browser, "#boxes")
    states.append(set(browser.execute_script(look)))
    click(browser, '[data-index="1"] .look')
    states.append(set(browser.execute_script(look)))
    press(browser, "b")
    states.append(set(browser.execute_script(look)))
    click(browser, "#zoom-boxes")
    states.append(set(browser.execute_script(look)))
    assert [state == {"none"} for state in states] == [False, True, True, False, True]
    assert not any("none" in state for state in (states[0], states[3]))


@pytest.mark.parametrize(
    ("order", "expected"),
    [
        ("given", [0, 1, 2, 3, 4]),
        ("name", [2, 3, 4, 1, 0]),  # img2 before img10
        ("most", [1, 4, 0, 2, 3]),
        ("fewest", [3, 2, 0, 4, 1]),
        ("worst", [3, 1, 4, 0, 2]),
        ("best", [2, 0, 4, 1, 3]),
    ],
)
def test_pictures_are_sorted(browser: Any, page: Path, order: str, expected: list[int]) -> None:
    """In the gallery and in the table alike."""
    opened(browser, page)
    choose(browser, "#sort", order)
    gallery = shown(browser)
    click(browser, "#as-table")
    assert gallery == shown(browser) == expected


def test_pictures_without_a_fit_are_last(browser: Any, tmp_path: Path) -> None:
    pixels, drawn, boxes = picture(0)
    added = [(found(str(fit), pixels, boxes, fit), pixels, drawn) for fit in (float("nan"), 0.2, -5.0)]
    opened(browser, written(tmp_path / "c.html", *added))
    for order, expected in (("worst", [2, 1, 0]), ("best", [1, 2, 0])):
        choose(browser, "#sort", order)
        assert shown(browser) == expected
    assert said(browser, '[data-index="0"] .fit') == "fit \u2013"


def test_flagged_pictures_can_be_seen_alone(browser: Any, page: Path) -> None:
    opened(browser, page)
    click(browser, "#only-flagged")
    assert shown(browser) == [1, 3]
    assert said(browser, "#shown") == "2 of 5 pictures"
    click(browser, "#as-table")
    assert shown(browser) == [1, 3]
    click(browser, "#only-flagged")
    assert shown(browser) == [0, 1, 2, 3, 4]
    assert said(browser, "#shown") == "5 pictures"


def test_a_picture_is_enlarged_by_a_click_and_left_with_escape(browser: Any, page: Path) -> None:
    """The arrow keys go round in the order of the page; the focus comes back to the picture that was seen last."""
    opened(browser, page)
    choose(browser, "#sort", "most")  # 1, 4, 0, 2, 3
    assert zoomed(browser) is None
    click(browser, '[data-index="4"] .look')
    assert (zoomed(browser), said(browser, "#place")) == ("shots/img1.png", "2 of 5")
    for key, name in (("ArrowRight", 0), ("ArrowLeft", 4), ("ArrowLeft", 1), ("ArrowLeft", 3), ("ArrowRight", 1)):
        press(browser, key)
        assert zoomed(browser) == GIVEN[name][0]
    assert said(browser, "#zoom-verdict") == SENTENCES["at_limit"]
    click(browser, "#next")
    assert zoomed(browser) == GIVEN[4][0]
    assert not browser.find_element("css selector", "#zoom-verdict").is_displayed()
    click(browser, "#next")
    press(browser, "Escape")
    wait_until(lambda: zoomed(browser) is None)
    focus = "return document.activeElement.closest('[data-index]').dataset.index"
    wait_until(lambda: browser.execute_script(focus) == "0")


def test_all_of_it_can_be_done_from_the_keyboard(browser: Any, page: Path) -> None:
    """Tab to a picture, Enter, Tab to its first object, Enter, Escape."""
    opened(browser, page)
    at = "return document.activeElement.matches(arguments[0])"

    def tab_to(selector: str) -> None:
        for _ in range(30):
            press(browser, "Tab")
            if browser.execute_script(at, selector):
                return
        raise AssertionError(f"Tab does not reach {selector}")

    tab_to(".look")
    press(browser, "Enter")
    assert zoomed(browser) == GIVEN[0][0]
    tab_to("rect")
    press(browser, "Enter")
    wait_until(lambda: said(browser, "#object").startswith("Object 1"))
    press(browser, "Escape")
    wait_until(lambda: zoomed(browser) is None)


def centre(browser: Any, index: int) -> list[float]:
    """Of a box of the large picture, in the window's pixels."""
    return browser.execute_script(
        """const r = document.querySelectorAll('#stage rect')[arguments[0]].getBoundingClientRect();
        return [r.x + r.width / 2, r.y + r.height / 2]""",
        index,
    )


# The mean brightness (0 to 255) of the middle of each canvas, and of what stands in its left upper corner.
BRIGHTNESS = """return [...document.querySelectorAll('#object canvas')].map(c => {
  const mean = (x, y) => { const p = c.getContext('2d').getImageData(x, y, 16, 16).data;
    return p.filter((_, i) => i % 4 < 3).reduce((a, b) => a + b) / (3 * 256); };
  return [mean(152, 152), mean(0, 0)]; })"""


def test_a_box_shows_its_object_beside_the_reconstruction(browser: Any, tmp_path: Path) -> None:
    """A bright square at a known place: both cuts have it in their middle and darkness around, and its probability."""
    pixels = np.full((300, 400), 20, np.uint8)
    pixels[100:140, 200:240] = 220
    drawn = np.zeros((150, 200), np.float32)
    drawn[50:70, 100:120] = 1
    boxes = [(20.0, 20.0, 60.0, 60.0), (200.0, 100.0, 240.0, 140.0)]
    opened(browser, written(tmp_path / "c.html", (found("a", pixels, boxes), pixels, drawn)))
    click(browser, ".look")
    assert "Select a box" in said(browser, "#object")
    click_at(browser, *centre(browser, 1))
    wait_until(lambda: said(browser, "#object").startswith("Object 2"))
    assert said(browser, "#object") == "Object 2 probability 99.0%picturereconstruction"
    (seen, around), (made, nothing) = browser.execute_script(BRIGHTNESS)
    assert (seen, around) == pytest.approx((220, 20), abs=6)
    assert (made, nothing) == pytest.approx((255, 0), abs=6)
    click_at(browser, *centre(browser, 0))  # negative control: nothing is there
    wait_until(lambda: said(browser, "#object").startswith("Object 1"))
    assert browser.execute_script(BRIGHTNESS)[0][0] == pytest.approx(20, abs=6)
    x, y = centre(browser, 0)
    click_at(browser, x, y + 300)
    assert "Select a box" in said(browser, "#object")


@pytest.mark.parametrize("first", [0, 1])
def test_of_boxes_in_each_other_the_smallest_is_meant(browser: Any, tmp_path: Path, first: int) -> None:
    """In whichever order they were found; a click a little beside a tiny box means it as well."""
    pixels = np.zeros((300, 400), np.uint8)
    boxes = [(180.0, 130.0, 220.0, 170.0), (100.0, 50.0, 300.0, 250.0), (20.0, 20.0, 22.0, 22.0)]
    boxes[:2] = [boxes[first], boxes[1 - first]]
    opened(browser, written(tmp_path / "c.html", (found("a", pixels, boxes), pixels, None)))
    click(browser, ".look")
    click_at(browser, *centre(browser, 1 - first))  # of both
    wait_until(lambda: said(browser, "#object").startswith(f"Object {first + 1}"))
    x, y = centre(browser, 2)
    click_at(browser, x - 9, y)
    wait_until(lambda: said(browser, "#object").startswith("Object 3"))
    assert "Its reconstruction is not kept." in said(browser, "#object")


def test_the_download_has_every_picture(browser: Any, page: Path, tmp_path: Path) -> None:
    """Sorting and filter do not change it; quotes and line breaks come back, and a formula is made a text."""
    opened(browser, page)
    browser.execute_cdp_cmd(
        "Browser.setDownloadBehavior", {"behavior": "allow", "downloadPath": str(tmp_path), "eventsEnabled": False}
    )
    choose(browser, "#sort", "best")
    click(browser, "#only-flagged")
    click(browser, "#save")
    file = tmp_path / "counts.csv"
    wait_until(file.exists)
    rows = list(csv.reader(io.StringIO(file.read_bytes().decode(), newline="")))
    expected = [[n, str(c), f"{f:g}", v] for n, c, f, v in GIVEN]
    expected[3][0] = "'=1+1.png"
    assert rows == [["image", "count", "fit", "verdict"], *expected]
    assert browser.get_log("browser") == []


@pytest.mark.parametrize("dark", [False, True])
def test_every_text_has_a_contrast_of_four_and_a_half(browser: Any, page: Path, dark: bool) -> None:
    """WCAG 2.1, 1.4.3: the gallery, the table, and the dialog with an object of a flagged picture."""
    opened(browser, page, dark=dark)
    assert faint(browser, 20) == []
    click(browser, "#as-table")
    assert faint(browser, 20) == []
    click(browser, 'tr[data-index="1"] button')
    browser.execute_script("document.querySelector('#stage rect').focus()")
    press(browser, "Enter")
    wait_until(lambda: said(browser, "#object").startswith("Object 1"))
    assert faint(browser, 30) == []
    browser.execute_script("document.querySelector('#object figcaption').style.opacity = 0.4")
    assert len(faint(browser, 30)) == 1  # negative control


@pytest.mark.parametrize("dark", [False, True])
def test_it_follows_light_and_dark(browser: Any, page: Path, dark: bool) -> None:
    opened(browser, page, dark=dark)
    ink, paper = letters_and_paper(browser)
    assert (ink > paper) == dark
    assert abs(ink - paper) > 450


def test_it_fits_a_phone(browser: Any, page: Path) -> None:
    """Gallery, table and dialog stay within 390 pixels; letters have 12 pixels or more."""
    opened(browser, page, "phone")
    wide = """return Math.max(document.documentElement.scrollWidth,
        ...[...document.querySelectorAll('dialog[open] *')].map(e => e.getBoundingClientRect().right))"""
    small = """return [...document.querySelectorAll('body *')].filter(e => e.textContent.trim() && e.checkVisibility()
        && parseFloat(getComputedStyle(e).fontSize) < 12).map(e => e.outerHTML.slice(0, 80))"""
    for step in ("#as-gallery", "#as-table", 'tr[data-index="3"] button'):
        click(browser, step)
        assert browser.execute_script(wide) <= 390
        assert browser.execute_script(small) == []
    browser.execute_script("document.querySelector('#stage rect').focus()")
    press(browser, "Enter")
    wait_until(lambda: said(browser, "#object").startswith("Object 1"))
    assert browser.execute_script(wide) <= 390
    stage = browser.execute_script("return document.getElementById('stage').getBoundingClientRect().height")
    assert stage > 300  # of 844: the picture keeps its place beside the object


def test_without_javascript_it_says_so(browser: Any, page: Path) -> None:
    """The numbers are there, the controls are not."""
    browser.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": True})
    try:
        opened(browser, page)
        assert "need JavaScript" in browser.find_element("css selector", "noscript").text
        assert [e.text.split("\n")[0] for e in browser.find_elements("css selector", "dd")] == ["5", "25", "2"]
        assert not browser.find_element("css selector", "#bar").is_displayed()
    finally:
        browser.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": False})


def test_what_is_not_whole_is_told_and_can_still_be_used(
    browser: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A small one can be enlarged, one of the table alone cannot; both are counted and saved."""
    pixels, drawn, boxes = picture(0, 400, 500)
    added = [(found(f"{i}", pixels, boxes), pixels, drawn) for i in range(4)]
    whole = len(json.dumps(embedded(written(tmp_path / "one.html", added[0]))["pictures"]))
    monkeypatch.setattr(module, "WHOLE_BYTES", 135_000)
    monkeypatch.setattr(module, "ALL_BYTES", whole + 20_000)  # room for a small one
    opened(browser, written(tmp_path / "c.html", *added))
    kinds = browser.execute_script("return data.pictures.map(p => p.large ? 'whole' : p.size ? 'small' : 'row')")
    assert kinds == ["whole", "small", "row", "row"]
    assert shown(browser) == [0, 1]
    assert said(browser, "#shown") == "2 of 4 pictures"
    click(browser, '[data-index="1"] .look')
    assert browser.find_element("css selector", "#zoom-small").is_displayed()
    press(browser, "Escape")
    wait_until(lambda: zoomed(browser) is None)
    click(browser, "#as-table")
    assert shown(browser) == [0, 1, 2, 3]
    assert len(browser.find_elements("css selector", "#rows button")) == 2


def test_thousands_are_separated(browser: Any, tmp_path: Path) -> None:
    pixels = np.zeros((4, 4), np.uint8)
    opened(browser, written(tmp_path / "c.html", (found("a", pixels, [(0.0, 0.0, 4.0, 4.0)] * 12345), pixels, None)))
    assert said(browser, "figcaption b") == "12\u202f345 objects"


def test_300_pictures_are_shown_in_two_parts(browser: Any, tmp_path: Path) -> None:
    pixels, drawn, boxes = picture(0, 40, 40, 1)
    path = written(tmp_path / "c.html", *[(found(f"{i}", pixels, boxes), pixels, drawn) for i in range(300)])
    opened(browser, path)
    assert (len(shown(browser)), said(browser, "#shown")) == (200, "200 of 300 pictures")
    browser.execute_script("document.getElementById('more').click()")
    assert (shown(browser), said(browser, "#shown")) == (list(range(300)), "300 pictures")
    assert not browser.find_element("css selector", "#more").is_displayed()


@pytest.mark.skipif("AIRCTL_SCREENSHOTS" not in os.environ, reason="AIRCTL_SCREENSHOTS names no folder for them")
def test_screenshots(browser: Any, page: Path) -> None:
    """counts-light.png, counts-dark.png and counts-phone.png in the folder that AIRCTL_SCREENSHOTS names."""
    for name, size, dark in (("light", "desktop", False), ("dark", "desktop", True), ("phone", "phone", False)):
        opened(browser, page, size, dark)
        shot = browser.execute_cdp_cmd("Page.captureScreenshot", {})
        file = Path(os.environ["AIRCTL_SCREENSHOTS"]) / f"counts-{name}.png"
        file.write_bytes(base64.b64decode(shot["data"]))
        assert file.stat().st_size > 10_000
