"""The report page in a real browser: it loads without a complaint, and its slider and filters work.

Skipped where there is no chromium with its driver, or no selenium: ``make browser`` says how to have them.
"""

from __future__ import annotations

import base64
import json
import os
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from reporting.browsing import NEEDS_BROWSER, SIZES, faint, letters_and_paper, opened, wait_until

import airctl
from airctl import config
from airctl.commands.train import train
from airctl.evaluation import RIGHT
from airctl.reporting.words import outcome_label
from airctl.scenes import SceneSpec, generate_data

pytestmark = NEEDS_BROWSER
SMALL = (
    "network.hidden=16",
    "model.glimpse_hidden=12",
    "train.batch=8",
    "train.validation=40",
    "train.validate_every=10",
)


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The run that AIRCTL_REPORT_RUN names, or a small one; its name tries to be a script."""
    if named := os.environ.get("AIRCTL_REPORT_RUN"):
        return Path(named)
    folder = tmp_path_factory.mktemp("page")
    generate_data(folder / "scenes.h5", SceneSpec(train=120, test=200), digits="font", say=lambda message: None)
    settings = config.override(config.preset("recurrent"), [*SMALL, "train.steps=30"])
    train(folder / "scenes.h5", folder / "<img src=x onerror=alert(1)>", settings, threads=1)
    airctl.measure_variance(
        folder / "<img src=x onerror=alert(1)>", samples=4, batch=4, estimators=["exact", "score-function"]
    )
    return folder / "<img src=x onerror=alert(1)>"


@pytest.fixture(scope="module")
def page(run: Path) -> Path:
    return airctl.report(run)


def scenes(browser: Any) -> list[dict[str, str]]:
    """Outcome and counts of each scene that the gallery shows."""
    return browser.execute_script("return [...document.querySelectorAll('#gallery .scene')].map(s => ({...s.dataset}))")


def test_it_loads_without_a_complaint_and_with_every_picture(browser: Any, page: Path) -> None:
    """No line in the console, no request but for the page itself, and no picture without pixels."""
    opened(browser, page)
    assert browser.get_log("browser") == []
    events = [json.loads(entry["message"])["message"] for entry in browser.get_log("performance")]
    asked = [e["params"]["request"]["url"] for e in events if e["method"] == "Network.requestWillBeSent"]
    assert [url for url in asked if not url.startswith("data:")] == [page.as_uri()]
    widths = browser.execute_script("return [...document.images].map(image => image.naturalWidth)")
    assert len(widths) > 50
    assert min(widths) > 0
    assert page.stat().st_size < 5_000_000


def test_the_console_does_tell(browser: Any, page: Path, tmp_path: Path) -> None:
    """Negative control: a script and a picture that the page does not have are refused, and it is told."""
    other = tmp_path / "other.html"
    text = page.read_text(encoding="utf-8")
    other.write_text(text.replace("</main>", "<script>1</script><img src='http://127.0.0.1:9/x.png'></main>"))
    opened(browser, other)
    told = [entry["message"] for entry in browser.get_log("browser")]
    assert any("script" in line and "Content Security Policy" in line for line in told)
    assert browser.execute_script("return Math.min(...[...document.images].map(image => image.naturalWidth))") == 0


def test_the_name_of_a_run_is_no_script(browser: Any, page: Path, run: Path) -> None:
    """The title is the folder's name, letter by letter."""
    opened(browser, page)
    assert browser.execute_script("return document.querySelector('h1').textContent") == run.name
    assert browser.execute_script("return document.querySelectorAll('img[onerror]').length") == 0


def test_the_slider_goes_through_the_training(browser: Any, page: Path, run: Path) -> None:
    """Each place shows another step; the pictures and the line in the curves move with it."""
    opened(browser, page)
    steps = sorted(int(path.stem[5:]) for path in (run / "frames").glob("*.json"))
    assert int(browser.execute_script("return document.getElementById('step').max")) == len(steps) - 1
    seen = []
    for place, step in enumerate(steps):
        browser.execute_script(
            "const s = document.getElementById('step'); s.value = arguments[0]; s.dispatchEvent(new Event('input'))",
            place,
        )
        said = browser.execute_script("return document.getElementById('at').textContent").replace("\u202f", "")
        assert said.split(" ·")[0] == f"step {step}"
        drawn = "return [...document.querySelectorAll('#frames .scene img')].map(image => image.src).join()"
        line = "return document.querySelector('.now').getAttribute('x1')"
        seen.append((browser.execute_script(drawn), browser.execute_script(line)))
    assert len({picture for picture, _ in seen}) > 1
    assert [float(x) for _, x in seen] == sorted(float(x) for _, x in seen)
    assert float(seen[0][1]) < float(seen[-1][1])


def test_the_filters_choose_by_outcome(browser: Any, page: Path, run: Path) -> None:
    """Each outcome's button shows scenes of that outcome alone, as many as are kept; first there are all failures."""
    opened(browser, page)
    kept = json.loads((run / "gallery-test.json").read_text())["scenes"]
    assert {s["outcome"] for s in scenes(browser)} == {s["outcome"] for s in kept} - {RIGHT}
    for index, name in enumerate(json.loads((run / "eval-test.json").read_text())["outcomes"]):
        browser.execute_script("document.querySelectorAll('#by-outcome button')[arguments[0]].click()", index + 1)
        browser.execute_script(
            "while (!document.getElementById('more').hidden) document.getElementById('more').click()"
        )
        shown = scenes(browser)
        assert {s["outcome"] for s in shown} <= {name}
        assert len(shown) == sum(s["outcome"] == name for s in kept)
        pressed = "return [...document.querySelectorAll('#by-outcome [aria-pressed=true]')].map(b => b.textContent)"
        assert [text.startswith(outcome_label(name)) for text in browser.execute_script(pressed)] == [True]


def test_a_cell_of_the_confusion_matrix_opens_its_scenes(browser: Any, page: Path, run: Path) -> None:
    """Every cell that counts a scene shows scenes with those two counts, and says how many there are in all."""
    opened(browser, page)
    confusion = json.loads((run / "eval-test.json").read_text())["confusion"]
    cells = [(t, f, n) for t, row in enumerate(confusion) for f, n in enumerate(row) if n]
    for true, found, number in cells:
        where = f".confusion [data-true='{true}'][data-found='{found}']"
        browser.execute_script("document.querySelector(arguments[0]).click()", where)
        shown = scenes(browser)
        assert shown
        assert {s["counts"] for s in shown} == {f"{true} {found}"}
        said = browser.execute_script("return document.getElementById('shown').textContent")
        assert said.endswith(f"{number} in all")
    browser.execute_script("document.getElementById('cell').click()")
    assert RIGHT not in {s["outcome"] for s in scenes(browser)}


def test_true_boxes_can_be_hidden(browser: Any, page: Path) -> None:
    """The check box takes the dashed boxes away and brings them back."""
    opened(browser, page)
    look = "return getComputedStyle(document.querySelector('#gallery .true')).display"
    states = []
    for _ in range(3):
        states.append(browser.execute_script(look))
        browser.execute_script("document.getElementById('true-boxes').click()")
    assert [state == "none" for state in states] == [False, True, False]


@pytest.mark.parametrize("dark", [False, True])
def test_it_follows_light_and_dark(browser: Any, page: Path, dark: bool) -> None:
    """Dark letters on light paper by day, light ones on dark paper by night."""
    opened(browser, page, dark=dark)
    ink, paper = letters_and_paper(browser)
    assert (ink > paper) == dark
    assert abs(ink - paper) > 450


def test_it_fits_a_phone(browser: Any, page: Path) -> None:
    """Nothing sticks out to the side of a screen of 390 pixels, and letters are not smaller than 12 pixels."""
    opened(browser, page, "phone")
    assert browser.execute_script("return document.documentElement.scrollWidth") <= 390
    small = """return [...document.querySelectorAll('main *')].filter(e => e.textContent.trim() && !e.closest('svg')
        && parseFloat(getComputedStyle(e).fontSize) < 12).length"""
    assert browser.execute_script(small) == 0


@pytest.mark.parametrize("dark", [False, True])
def test_every_text_has_a_contrast_of_four_and_a_half(browser: Any, page: Path, dark: bool) -> None:
    """WCAG 2.1, 1.4.3, from the colours as rendered: letters of the page, its buttons and its charts."""
    opened(browser, page, dark=dark)
    assert faint(browser) == []


@pytest.mark.parametrize("dark", [False, True])
@pytest.mark.parametrize("kind", ["hit", "miss"])
def test_every_shade_of_the_confusion_matrix_can_be_read(browser: Any, page: Path, kind: str, dark: bool) -> None:
    """Also those shades that this run's counts do not have."""
    opened(browser, page, dark=dark)
    for shade in range(5):
        browser.execute_script(
            "for (const b of document.querySelectorAll('.confusion button')) b.className = arguments[0]",
            f"{kind} s{shade}",
        )
        assert faint(browser) == [], f"{kind} s{shade}"


def test_the_contrast_check_can_fail(browser: Any, page: Path) -> None:
    """Negative control: grey on grey, half transparent text and a pale label in a chart are told."""
    opened(browser, page)
    browser.execute_script("""
        document.querySelector('dt').style.color = '#999999';
        document.querySelector('dd small').style.opacity = 0.5;
        document.querySelector('.chart text').style.fill = '#bbbbbb';
    """)
    assert [line.split()[1] for line in faint(browser)] == ["DT:", "SMALL:", "text:"]


def marks(browser: Any, chart: str) -> list[Any]:
    """[x, y, text] of each value of a chart, in the window's pixels, the chart in view."""
    return browser.execute_script(
        """const svg = document.querySelector(arguments[0]); svg.scrollIntoView({behavior: 'instant', block: 'center'});
        return JSON.parse(svg.dataset.marks).map(([x, y, text]) => {
          const p = new DOMPoint(x, y).matrixTransform(svg.getScreenCTM()); return [p.x, p.y, text]; })""",
        chart,
    )


def point_at(browser: Any, x: float, y: float) -> str | None:
    """What the page says while the mouse is there."""
    browser.execute_cdp_cmd("Input.dispatchMouseEvent", {"type": "mouseMoved", "x": x, "y": y})
    return browser.execute_script("const t = document.getElementById('tip'); return t.hidden ? null : t.textContent")


@pytest.mark.parametrize(
    "chart", ["#curves figure:nth-child(1) svg", "#curves figure:nth-child(2) svg", "#variance svg"]
)
def test_pointing_at_a_chart_shows_the_value(browser: Any, page: Path, chart: str) -> None:
    """At each value the mouse reads that value, and a ring is around it; beside the chart there is nothing."""
    opened(browser, page)
    values = marks(browser, chart)
    assert values
    for x, y, text in [values[0], values[-1]]:
        assert point_at(browser, x + 1, y + 1) == text
        ring = """const r = document.querySelector('.spot').getBoundingClientRect();
            return [r.x + r.width / 2, r.y + r.height / 2]"""
        assert browser.execute_script(ring) == pytest.approx([x, y], abs=1)
    assert point_at(browser, 2, 2) is None


def test_the_value_is_where_the_curve_is(browser: Any, page: Path, run: Path) -> None:
    """The last validation accuracy stands at its height between the labels 0% and 100%, as the metrics have it."""
    opened(browser, page)
    rows = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    accuracy = [row["validation_accuracy"] for row in rows if row.get("validation_accuracy") is not None][-1]
    _, y, text = marks(browser, "#curves figure:nth-child(2) svg")[-1]
    label = """return [...document.querySelectorAll('#curves figure:nth-child(2) text')]
        .filter(t => t.textContent === arguments[0])
        .map(t => { const r = t.getBoundingClientRect(); return r.y + r.height / 2; })[0]"""
    low, high = (browser.execute_script(label, name) for name in ("0%", "100%"))
    assert text.endswith(f"{accuracy:.2%}")
    assert (low - y) / (low - high) == pytest.approx(accuracy, abs=0.02)


def test_the_arrow_keys_read_the_values_too(browser: Any, page: Path) -> None:
    """A chart in focus goes from value to value, and Escape ends it."""
    opened(browser, page)
    browser.execute_script("document.querySelector('#curves svg').focus()")
    tip = "const t = document.getElementById('tip'); return t.hidden ? null : t.textContent"
    texts = [text for _, _, text in marks(browser, "#curves svg")]
    key = "document.querySelector('#curves svg').dispatchEvent(new KeyboardEvent('keydown', {key: arguments[0]}))"
    for wanted in texts[:2]:
        browser.execute_script(key, "ArrowRight")
        assert browser.execute_script(tip) == wanted
    browser.execute_script(key, "Escape")
    assert browser.execute_script(tip) is None


@pytest.mark.parametrize("allowed", [True, False])
def test_every_command_can_be_copied(browser: Any, page: Path, allowed: bool) -> None:
    """Its button puts the command on the clipboard; where that is forbidden, the command is selected and copied so."""
    opened(browser, page)
    setting = {"permission": {"name": "clipboard-write"}, "setting": "granted"}
    browser.execute_cdp_cmd("Browser.setPermission", setting)
    if not allowed:
        browser.execute_script("navigator.clipboard.writeText = () => Promise.reject(new Error('forbidden'))")
    blocks = browser.execute_script(
        "return [...document.querySelectorAll('.command')].map(b => [b.querySelector('pre').textContent, b])"
    )
    assert len(blocks) == len(browser.find_elements("css selector", "#repeat .command pre")) > 4
    for text, block in blocks:
        button = block.find_element("css selector", "button.copy")
        browser.execute_script("arguments[0].scrollIntoView({behavior: 'instant', block: 'center'})", button)
        button.click()
        wait_until(lambda button=button: button.text == "Copied")
        if not allowed:
            assert browser.execute_script("return getSelection().toString()") == text
        assert pasted(browser) == text


def pasted(browser: Any) -> str:
    """What the clipboard holds: pasted into a field, which is then taken away."""
    browser.execute_script("""const f = document.createElement('textarea'); f.id = 'paste';
        document.body.append(f); f.focus({preventScroll: true});""")
    modifier = {"modifiers": 2, "key": "v", "code": "KeyV", "windowsVirtualKeyCode": 86, "commands": ["paste"]}
    browser.execute_cdp_cmd("Input.dispatchKeyEvent", {"type": "keyDown", **modifier})
    browser.execute_cdp_cmd("Input.dispatchKeyEvent", {"type": "keyUp", **modifier})
    return browser.execute_script("const f = document.getElementById('paste'); const t = f.value; f.remove(); return t")


CUES = """return [...document.querySelectorAll('.sideways')].filter(b => b.checkVisibility()).map(b => {
  const w = b.querySelector('.wide');
  const arrow = (which) => getComputedStyle(b, which).content.replace(/[^\u2039\u203a]/g, '');
  return {hidden: w.scrollWidth - w.clientWidth, left: arrow('::before'), right: arrow('::after'), focus: w.tabIndex};
})"""


def test_what_scrolls_sideways_says_so(browser: Any, page: Path) -> None:
    """On a phone each row or table that is cut off has an arrow at that edge, after scrolling at the other one."""
    opened(browser, page, "phone")
    browser.execute_script("document.querySelectorAll('details').forEach(d => { d.open = true; })")
    wait_until(lambda: all(bool(box["right"]) == (box["hidden"] > 1) for box in browser.execute_script(CUES)))
    boxes = browser.execute_script(CUES)
    assert sum(box["hidden"] > 1 for box in boxes) >= 4  # navigation, variance table and chart, rows of pictures
    for box in boxes:
        assert (box["left"], box["right"]) == ("", "\u203a" if box["hidden"] > 1 else "")
        assert (box["focus"] == 0) == (box["hidden"] > 1)
    scroll = "document.querySelectorAll('.wide').forEach(w => { w.scrollLeft = 1e6; })"
    browser.execute_script(scroll)
    wait_until(lambda: all(bool(box["left"]) == (box["hidden"] > 1) for box in browser.execute_script(CUES)))
    for box in browser.execute_script(CUES):
        assert (box["left"], box["right"]) == ("\u2039" if box["hidden"] > 1 else "", "")


def test_nothing_is_cut_off_without_a_cue(browser: Any, page: Path) -> None:
    """On a phone no element but those that scroll sideways hides a part of what it holds."""
    opened(browser, page, "phone")
    cut = """return [...document.querySelectorAll('main *, header *')].filter(e => !(e instanceof SVGElement)
        && e.scrollWidth > e.clientWidth + 1 && e.clientWidth && getComputedStyle(e).overflowX !== 'visible'
        && !e.classList.contains('wide')).map(e => e.outerHTML.slice(0, 80))"""
    assert browser.execute_script(cut) == []


def test_several_runs_have_a_column_and_a_button_each(browser: Any, run: Path, tmp_path: Path) -> None:
    """Two runs on one page: filters by run, a confusion matrix each, and no complaint."""
    opened(browser, airctl.report([run, run], out=tmp_path / "both.html"))
    assert browser.get_log("browser") == []
    assert len(browser.execute_script("return [...document.querySelectorAll('.confusion')]")) == 2
    all_of_them = len(scenes(browser))
    browser.execute_script("document.querySelectorAll('#by-run button')[1].click()")
    assert 0 < len(scenes(browser)) <= all_of_them


def test_screenshots(browser: Any, page: Path, tmp_path: Path) -> None:
    """By day, by night and on a phone the page shows something, on the ground it should: kept in AIRCTL_SCREENSHOTS."""
    folder = os.environ.get("AIRCTL_SCREENSHOTS", tmp_path)
    for name, size, dark, section in (
        ("light", "desktop", False, "body"),
        ("dark", "desktop", True, "#confusion"),
        ("phone", "phone", False, "body"),
    ):
        opened(browser, page, size, dark)
        top = browser.execute_script("return document.querySelector(arguments[0]).offsetTop", section)
        height = 1500 if size == "desktop" else 2400
        clip = {"x": 0, "y": top, "width": SIZES[size][0], "height": height, "scale": 1}
        shot = browser.execute_cdp_cmd("Page.captureScreenshot", {"captureBeyondViewport": True, "clip": clip})
        path = Path(folder) / f"report-{name}.png"
        path.write_bytes(base64.b64decode(shot["data"]))
        with Image.open(path) as picture:
            grey = picture.convert("L")
        assert len(grey.getcolors()) > 20
        assert (grey.getpixel((1, 1)) < 128) == dark
