"""The parity page in a real browser."""

from pathlib import Path

import pytest
from playwright.sync_api import Browser

from steergauge.report.parity_page import write_parity_html

from .parity_example import parity_example
from .test_browser import Watched, browser

__all__ = ["browser"]  # the fixture
pytestmark = pytest.mark.browser
RESULT = parity_example()


@pytest.mark.parametrize("width", [1280, 390, 360])
def test_it_fits_opens_outputs_from_a_rate_and_asks_for_nothing(
    browser: Browser, width: int, tmp_path: Path
) -> None:
    path = tmp_path / "parity.html"
    write_parity_html(RESULT, path)
    page = browser.new_page(viewport={"width": width, "height": 800})
    watched = Watched(page)
    page.goto(path.as_uri())
    assert watched.fits()
    page.locator('#mistakes [data-condition="first-row-steered-block12"]').click()
    expected = [one.text for one in RESULT.generations if one.condition == "first-row-steered-block12"]
    assert watched.texts() == expected
    page.close()
    assert watched.complaints == []
    assert watched.requests == [path.as_uri()]
