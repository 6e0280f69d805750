"""A page in a real browser: opening it light or dark, on a desk or a phone, and the contrast of its letters.

Tests of pages are skipped where there is no chromium with its driver, or no selenium: ``make browser`` says how to have
them.
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

CHROMIUM, DRIVER = shutil.which("chromium"), shutil.which("chromedriver")
NEEDS_BROWSER = [
    pytest.mark.skipif(
        not (CHROMIUM and DRIVER), reason="no chromium and chromedriver: apt-get install chromium-driver"
    ),
    pytest.mark.filterwarnings("default"),  # what the driver's package warns of is not ours
]
SIZES = {"desktop": (1200, 800, False), "phone": (390, 844, True)}


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


def letters_and_paper(browser: Any) -> tuple[int, int]:
    """How bright the letters of the page and its background are, each the sum of red, green and blue."""
    look = "const s = getComputedStyle(document.body); return [s.color, s.backgroundColor]"
    ink, paper = (sum(map(int, colour[4:-1].split(","))) for colour in browser.execute_script(look))
    return ink, paper


def wait_until(true: Callable[[], bool], seconds: float = 3) -> None:
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end
        time.sleep(0.02)


# The contrast of every element with text of its own: its colour (its fill in a chart) against the backgrounds behind
# it, laid over each other. No text of the page stands on a picture.
CONTRASTS = """
const parse = (c) => (c.match(/[\\d.]+/g) || [0, 0, 0, 0]).map(Number);
const over = ([r, g, b, a = 1], under) => [r, g, b].map((part, i) => part * a + under[i] * (1 - a));
const light = (rgb) => rgb.map((p) => p / 255).map((p) => p <= 0.04045 ? p / 12.92 : ((p + 0.055) / 1.055) ** 2.4)
  .reduce((sum, p, i) => sum + p * [0.2126, 0.7152, 0.0722][i], 0);
const found = [];
for (const e of document.querySelectorAll("body *")) {
  const own = [...e.childNodes].some((n) => n.nodeType === 3 && n.textContent.trim());
  if (!own || ["SCRIPT", "STYLE", "NOSCRIPT"].includes(e.tagName) || !e.getClientRects().length) continue;
  const behind = [];
  let shown = 1;
  for (let p = e; p; p = p.parentElement) {
    behind.unshift(parse(getComputedStyle(p).backgroundColor));
    shown *= Number(getComputedStyle(p).opacity);
  }
  const ground = behind.reduce((under, c) => over(c, under), [255, 255, 255]);
  const style = getComputedStyle(e);
  const ink = parse(e instanceof SVGElement ? style.fill : style.color);
  const seen = over([...ink.slice(0, 3), (ink[3] ?? 1) * shown], ground);
  const [a, b] = [light(seen), light(ground)].sort((x, y) => y - x);
  found.push([(a + 0.05) / (b + 0.05), `${e.tagName}: ${e.textContent.trim().slice(0, 40)}`]);
}
return found;
"""


def faint(browser: Any, least: int = 100, ratio: float = 4.5) -> list[str]:
    """The texts of the page with less contrast than ``ratio``; there are more than ``least`` texts."""
    browser.execute_script("document.querySelectorAll('details').forEach(d => { d.open = true; })")
    seen = browser.execute_script(CONTRASTS)
    assert len(seen) > least
    return [f"{contrast:.2f} {text}" for contrast, text in seen if contrast < ratio]
