"""One browser for the tests of all pages."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from reporting.browsing import CHROMIUM, DRIVER


@pytest.fixture(scope="session")
def browser() -> Iterator[Any]:
    """A headless chromium that has no network."""
    webdriver = pytest.importorskip(
        "selenium.webdriver", reason="selenium is not installed: pip install 'airctl[browser]'"
    )
    options = webdriver.ChromeOptions()
    options.binary_location = CHROMIUM
    for word in ("headless=new", "no-sandbox", "disable-gpu", "disable-dev-shm-usage", "hide-scrollbars"):
        options.add_argument(f"--{word}")
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    driver = webdriver.Chrome(options=options, service=webdriver.ChromeService(DRIVER))
    yield driver
    driver.quit()
