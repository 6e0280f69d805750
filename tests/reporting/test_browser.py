"""The report page in a real browser: it loads without a complaint, and its slider and filters work.

Skipped where there is no chromium with its driver, or no selenium: ``make browser`` says how to have them.
"""

from __future__ import annotations

import base64
import json
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

import airctl
from airctl import config
from airctl.commands.train import train
from airctl.evaluation import OUTCOMES, RIGHT
from airctl.scenes import SceneSpec, generate_data

webdriver = pytest.importorskip("selenium.webdriver", reason="selenium is not installed: pip install 'airctl[browser]'")
CHROMIUM, DRIVER = shutil.which("chromium"), shutil.which("chromedriver")
pytestmark = [
    pytest.mark.skipif(
        not (CHROMIUM and DRIVER), reason="no chromium and chromedriver: apt-get install chromium-driver"
    ),
    pytest.mark.filterwarnings("default"),  # what the driver's package warns of is not ours
]
SMALL = (
    "model.hidden=16",
    "model.glimpse_hidden=12",
    "train.batch=8",
    "train.validation=40",
    "train.validate_every=10",
)
SIZES = {"desktop": (1200, 800, False), "phone": (390, 844, True)}


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The run that AIRCTL_REPORT_RUN names, or a small one; its name tries to be a script."""
    if named := os.environ.get("AIRCTL_REPORT_RUN"):
        return Path(named)
    folder = tmp_path_factory.mktemp("page")
    generate_data(folder / "scenes.h5", SceneSpec(train=120, test=200), digits="font", say=lambda message: None)
    settings = config.override(config.preset("fast"), [*SMALL, "train.steps=30"])
    train(folder / "scenes.h5", folder / "<img src=x onerror=alert(1)>", settings, threads=1)
    airctl.measure_variance(folder / "<img src=x onerror=alert(1)>", samples=4, batch=4, estimators=["exact"])
    return folder / "<img src=x onerror=alert(1)>"


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    """A headless chromium that has no network."""
    options = webdriver.ChromeOptions()
    options.binary_location = CHROMIUM
    for word in ("headless=new", "no-sandbox", "disable-gpu", "disable-dev-shm-usage", "hide-scrollbars"):
        options.add_argument(f"--{word}")
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    driver = webdriver.Chrome(options=options, service=webdriver.ChromeService(DRIVER))
    yield driver
    driver.quit()


def opened(browser: Any, page: Path, size: str = "desktop", dark: bool = False) -> Any:
    """The page as it is after loading, of a given size, light or dark."""
    width, height, mobile = SIZES[size]
    scheme = [{"name": "prefers-color-scheme", "value": "dark" if dark else "light"}]
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": scheme})
    metrics = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": mobile}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
    browser.get_log("browser"), browser.get_log("performance")  # what came before is not of this page
    browser.get(page.as_uri())
    return browser


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
    for index, name in enumerate(OUTCOMES):
        browser.execute_script("document.querySelectorAll('#by-outcome button')[arguments[0]].click()", index + 1)
        browser.execute_script(
            "while (!document.getElementById('more').hidden) document.getElementById('more').click()"
        )
        shown = scenes(browser)
        assert {s["outcome"] for s in shown} <= {name}
        assert len(shown) == sum(s["outcome"] == name for s in kept)
        pressed = "return [...document.querySelectorAll('#by-outcome [aria-pressed=true]')].map(b => b.textContent)"
        assert [text.startswith(name) for text in browser.execute_script(pressed)] == [True]


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
    look = "const s = getComputedStyle(document.body); return [s.color, s.backgroundColor]"
    ink, paper = [sum(map(int, colour[4:-1].split(","))) for colour in browser.execute_script(look)]
    assert (ink > paper) == dark
    assert abs(ink - paper) > 450


def test_it_fits_a_phone(browser: Any, page: Path) -> None:
    """Nothing sticks out to the side of a screen of 390 pixels, and letters are not smaller than 12 pixels."""
    opened(browser, page, "phone")
    assert browser.execute_script("return document.documentElement.scrollWidth") <= 390
    small = """return [...document.querySelectorAll('main *')].filter(e => e.textContent.trim() && !e.closest('svg')
        && parseFloat(getComputedStyle(e).fontSize) < 12).length"""
    assert browser.execute_script(small) == 0


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
