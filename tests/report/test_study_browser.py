"""A study's page in a real browser."""

from collections.abc import Iterator
from typing import Any

import pytest
from playwright.sync_api import Browser, Page

from browsing import running_browser
from steergauge.report.study_files import write_study

from .study_example import INVENTED, study_example
from .test_browser import DARK, PHONE, Watched
from .test_study_report import LONG, with_matrix

pytestmark = pytest.mark.browser

RESULT = study_example("scale", "qwen2.5-coder-0.5b", "qwen2.5-coder-1.5b")


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with running_browser() as running:
        yield running


@pytest.fixture(scope="module")
def addresses(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """The pages, by name."""
    folder = tmp_path_factory.mktemp("studies")
    results = {
        name: with_matrix(study_example(name, "gemma-2-9b", *"abcde", LONG, hostile=name == "dose"))
        for name in INVENTED
    }
    pages = {name: write_study(result, folder / name) for name, result in {**results, "two": RESULT}.items()}
    return {name: path.as_uri() for name, path in pages.items()}


def opened(browser: Browser, address: str, **options: Any) -> tuple[Page, Watched]:
    page = browser.new_page(**{"viewport": {"width": 1280, "height": 900}} | options)
    watching = Watched(page)
    page.goto(address)
    return page, watching


def test_a_row_opens_its_outputs_with_the_same_models_unsteered_ones_beside(
    browser: Browser, addresses: dict[str, str]
) -> None:
    page, watching = opened(browser, addresses["two"])
    table = next(one for one in RESULT.tables if one.name == "sizes")
    openers = page.locator("#table-sizes [data-condition]")
    assert openers.count() == len(table.rows) == 6
    for at, row in enumerate(table.rows):
        openers.nth(at).click()
        label = f"{row['model']}, {row['compared']}"
        gauge = RESULT.gauges[label]
        condition = str(row["outputs"]).removeprefix(f"{label}: ")
        own = [one for one in gauge.generations if one.condition == condition]
        assert watching.texts() == [one.text for one in own]
        beside = page.locator(".writing.control .text").all_text_contents()
        assert beside == [one.text for one in gauge.generations if one.condition == "unsteered"]
        assert (page.locator("#outputs-title").text_content() or "").startswith(f"{label}: ")
        page.keyboard.press("Escape")
    assert watching.complaints == []
    page.close()


def test_all_outputs_of_all_gauges_can_be_read_and_filtered_by_gauge(
    browser: Browser, addresses: dict[str, str]
) -> None:
    page, watching = opened(browser, addresses["two"])
    page.get_by_text("Read the outputs").click()
    count = sum(len(gauge.generations) for gauge in RESULT.gauges.values())
    assert page.locator("#outputs-status").text_content() == f"{count} of {count} outputs"
    labels = page.locator("#outputs-condition optgroup").evaluate_all("all => all.map((one) => one.label)")
    assert labels == list(RESULT.gauges)
    last = list(RESULT.gauges)[-1]
    page.locator("#outputs-condition").select_option(f"{last}: unsteered")
    expected = [one.text for one in RESULT.gauges[last].generations if one.condition == "unsteered"]
    assert watching.texts() == expected
    page.close()


OVERLAPS = """() => {
  const found = [];
  for (const svg of document.querySelectorAll("svg")) {
    const boxes = [...svg.querySelectorAll("text")].map((one) => [one.textContent, one.getBoundingClientRect()]);
    for (const [at, [text, a]] of boxes.entries()) for (const [other, b] of boxes.slice(at + 1)) {
      const across = Math.min(a.right, b.right) - Math.max(a.left, b.left);
      const down = Math.min(a.bottom, b.bottom) - Math.max(a.top, b.top);
      if (across > 0.5 && down > 3) found.push([text, other]);
    }
  }
  return found;
}"""

COLOURS = """() => [...document.querySelectorAll(".chart")].map((chart) => {
  const style = (one, before) => getComputedStyle(one, before);
  const drawn = new Map([...chart.querySelectorAll("g.line")].map((one) => [
    one.getAttribute("class").replace("line ", ""), style(one.querySelector("circle")).stroke === "none"
      ? style(one.querySelector("circle")).fill : style(one.querySelector("circle")).stroke]));
  const key = new Map([...chart.querySelectorAll(".key span")].filter((one) => !one.className.includes("dash"))
    .map((one) => [one.className.replace("key-", ""), style(one, "::before").borderTopColor]));
  return [Object.fromEntries(drawn), Object.fromEntries(key)];
})"""


@pytest.mark.parametrize("options", [{}, PHONE, PHONE | DARK], ids=["wide", "phone", "dark"])
@pytest.mark.parametrize("name", INVENTED)
def test_a_page_of_seven_models_fits_overlaps_nothing_and_its_key_is_its_colours(
    browser: Browser, addresses: dict[str, str], name: str, options: dict[str, Any]
) -> None:
    page, watching = opened(browser, addresses[name], **options)
    assert watching.fits()
    assert page.evaluate(OVERLAPS) == []
    charts = page.evaluate(COLOURS)
    assert len(charts) >= 1
    for drawn, key in charts:
        assert drawn
        assert {role: key[role] for role in drawn} == drawn
        plain = [colour for role, colour in key.items() if "again" not in role]
        assert len(set(plain)) == len(plain)
    for summary in page.locator("summary").all():
        summary.click()
    assert watching.fits()
    assert page.evaluate("window.hacked") is None
    assert watching.complaints == []
    assert watching.requests == [addresses[name]]
    page.close()
