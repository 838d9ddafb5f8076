"""The page in a real browser."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page

from browsing import running_browser
from steergauge.judging.label import Label
from steergauge.report.html import write_html

from .example import HOSTILE, example, invalid_example
from .test_stability import stability

pytestmark = pytest.mark.browser

RESULT = example()
assert RESULT.best
BEST = RESULT.best.condition


class Watched:
    """An open page, with whatever it asked for and complained of."""

    def __init__(self, page: Page) -> None:
        self.page = page
        self.requests: list[str] = []
        self.complaints: list[str] = []
        page.on("request", lambda request: self.requests.append(request.url))
        page.on("pageerror", lambda error: self.complaints.append(str(error)))
        page.on("console", lambda message: self.complaints.append(message.text))

    def texts(self) -> list[str]:
        return self.page.locator(".writing:not(.control) .text").all_text_contents()

    def open(self, condition: str) -> None:
        self.page.locator(f'.cell[data-condition="{condition}"]').first.click()

    def fits(self) -> bool:
        return bool(self.page.evaluate("document.documentElement.scrollWidth <= innerWidth"))


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with running_browser() as running:
        yield running


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> str:
    path = tmp_path_factory.mktemp("page") / "example.html"
    write_html(RESULT, path)
    return path.as_uri()


@pytest.fixture
def watched(browser: Browser, address: str, request: pytest.FixtureRequest) -> Iterator[Watched]:
    options: dict[str, Any] = {"viewport": {"width": 1280, "height": 900}} | getattr(request, "param", {})
    page = browser.new_page(**options)
    watching = Watched(page)
    page.goto(address)
    yield watching
    page.close()
    assert watching.complaints == []
    assert watching.requests == [address]


PHONE = {"viewport": {"width": 390, "height": 844}}
SMALL = {"viewport": {"width": 360, "height": 640}}
DARK = {"color_scheme": "dark"}


def test_hostile_output_is_shown_verbatim_and_does_not_run(watched: Watched) -> None:
    watched.page.get_by_text("Read every output").click()
    watched.page.get_by_placeholder("Search").fill("window.hacked")
    shown = watched.texts()
    assert any(HOSTILE in text for text in shown)
    assert watched.page.evaluate("window.hacked") is None


# (text, what the judge went by): emoji are two UTF-16 units each, and one letter may be several code points.
MARKED = [
    ("I cannot help with that.", "I cannot help"),
    ("🙂👩‍👩‍👧 🚫 Sorry, I cannot help.", "I cannot help"),
    ("That is all: I cannot", "I cannot"),
    ("很抱歉，𠮷我无法帮助您。", "我无法帮助"),
    ("e\u0301 🌊 je ne peux pas", "je ne peux pas"),
    (f"🙂 {HOSTILE} & <b>I can't</b>", f"{HOSTILE} & <b>I can't</b>"),
    ("<img src=x onerror=window.hacked=2> I can't", "<img src=x onerror=window.hacked=2>"),
    ("🚫🚫🚫", "🚫🚫🚫"),
]


def test_what_a_label_rests_on_is_marked_in_the_output_and_nothing_else_changes(
    browser: Browser, tmp_path: Path
) -> None:
    first, *rest = RESULT.generations
    shown = [
        first.model_copy(
            update={
                "prompt": f"prompt {number}",
                "text": text,
                "label": Label.REFUSAL,
                "evidence_start": text.index(words),
                "evidence_end": text.index(words) + len(words),
            }
        )
        for number, (text, words) in enumerate(MARKED)
    ]
    plain = first.model_copy(
        update={"prompt": "prompt 99", "text": "🙂 none", "evidence_start": None, "evidence_end": None}
    )
    address = tmp_path / "marked.html"
    write_html(RESULT.model_copy(update={"generations": [*shown, plain, *rest]}), address)
    page = browser.new_page()
    watching = Watched(page)
    page.goto(f"{address.as_uri()}#outputs/{first.condition}")
    page.get_by_label("Unsteered beside it").uncheck()
    page.get_by_placeholder("Search").fill("prompt ")
    for number, (text, words) in enumerate(MARKED):
        output = page.locator(".output").filter(has_text=f"prompt {number}")
        assert output.locator(".text").text_content() == text
        assert output.locator("mark").all_text_contents() == [words]
    assert page.locator(".output").filter(has_text="prompt 99").locator("mark").count() == 0
    assert page.locator(".text :not(mark)").count() == 0  # no element but the mark
    assert page.evaluate("window.hacked") is None
    assert watching.complaints == []
    page.close()


def test_every_output_is_one_click_from_its_cell(watched: Watched) -> None:
    for condition in RESULT.conditions:
        watched.open(condition.id)
        expected = [g.text for g in RESULT.generations if g.condition == condition.id]
        assert watched.texts() == expected, condition.id
        watched.page.keyboard.press("Escape")


def test_the_controls_open_the_same_way(watched: Watched) -> None:
    for name in ["unsteered", *(f"random-{seed}" for seed in (11, 12, 13, 14, 15))]:
        watched.page.locator(f'#controls [data-condition="{name}"]').click()
        assert watched.texts() == [g.text for g in RESULT.generations if g.condition == name]
        watched.page.keyboard.press("Escape")


def test_everything_can_be_paged_through(watched: Watched) -> None:
    watched.page.get_by_text("Read every output").click()
    assert len(watched.texts()) == 200
    while watched.page.locator("#outputs-more").is_visible():
        watched.page.locator("#outputs-more").click()
    assert len(watched.texts()) == len(RESULT.generations)


def test_labels_filter(watched: Watched) -> None:
    condition = max(RESULT.conditions, key=lambda c: c.garbled.count * c.normal.count * c.refusal.count)
    watched.open(condition.id)
    for label in ("refusal", "garbled", "normal"):
        watched.page.get_by_role("radio", name=label.capitalize()).check(force=True)
        expected = [g.text for g in RESULT.generations if (g.condition, g.label) == (condition.id, label)]
        assert watched.texts() == expected
        assert watched.page.locator("#outputs-status").text_content() == f"{len(expected)} of 30 outputs"


def test_search_looks_in_prompts_and_outputs(watched: Watched) -> None:
    watched.open(BEST)
    watched.page.get_by_placeholder("Search").fill("CHESS")
    assert watched.page.locator(".output h3").all_text_contents() == ["Explain the rules of chess"]
    watched.page.get_by_placeholder("Search").fill("no such words anywhere")
    assert watched.texts() == []


def test_the_unsteered_output_of_the_same_prompt_stands_beside(watched: Watched) -> None:
    watched.open(BEST)
    beside = watched.page.locator(".writing.control .text")
    assert beside.all_text_contents() == [g.text for g in RESULT.generations if g.condition == "unsteered"]
    watched.page.get_by_label("Unsteered beside it").uncheck()
    assert beside.count() == 0


def test_the_condition_can_be_changed_and_linked_to(watched: Watched, address: str) -> None:
    watched.open(BEST)
    watched.page.locator("#outputs-condition").select_option("random-12")
    assert watched.page.locator("#outputs-title").text_content() == "Random vector, seed 12"
    assert watched.page.url == f"{address}#outputs/random-12"
    watched.page.reload()
    assert watched.page.locator("#outputs-title").text_content() == "Random vector, seed 12"
    watched.requests = watched.requests[:1]


def test_a_cell_is_reached_with_tab_opened_with_enter_and_given_back(watched: Watched) -> None:
    keyboard = watched.page.keyboard
    for _ in range(200):
        keyboard.press("Tab")
        if watched.page.evaluate("document.activeElement.matches('.cell.best')"):
            break
    else:
        pytest.fail("Tab never reached the best cell")
    keyboard.press("Enter")
    assert len(watched.texts()) == 30
    assert watched.page.evaluate("document.activeElement.closest('dialog') !== null")
    keyboard.press("Escape")
    assert not watched.page.locator("#outputs").is_visible()
    assert watched.page.evaluate("document.activeElement.matches('.cell.best')")


@pytest.mark.parametrize("watched", [PHONE, SMALL, {}, PHONE | DARK], indirect=True)
def test_the_page_does_not_scroll_sideways(watched: Watched) -> None:
    assert watched.fits()
    for summary in watched.page.locator("summary").all():
        summary.click()
    assert watched.fits()
    watched.open(BEST)
    watched.page.get_by_label("Unsteered beside it").check()
    inside = "(e) => e.scrollWidth <= e.clientWidth"
    assert watched.page.locator("#outputs-scroll").evaluate(inside)
    assert watched.page.locator("#outputs").evaluate(inside)
    assert watched.fits()


def test_dark_and_light_have_other_backgrounds(browser: Browser, address: str) -> None:
    seen = set()
    for scheme in ("light", "dark"):
        page = browser.new_page()
        page.emulate_media(color_scheme="dark" if scheme == "dark" else "light")
        page.goto(address)
        seen.add(page.evaluate("getComputedStyle(document.body).backgroundColor"))
        page.close()
    assert len(seen) == 2


CONTRAST = """() => {
  const pen = new OffscreenCanvas(1, 1).getContext("2d", { willReadFrequently: true });
  const light = (colour) => {
    pen.fillStyle = colour;
    pen.fillRect(0, 0, 1, 1);
    const [r, g, b] = [...pen.getImageData(0, 0, 1, 1).data].slice(0, 3).map((v) => v / 255)
      .map((v) => (v <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4));
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const ratios = [];
  for (const cell of document.querySelectorAll(".heat td:first-of-type .cell")) {
    for (let level = 0; level <= 10; level += 1) {
      cell.className = `cell level-${level}`;
      const style = getComputedStyle(cell);
      const [low, high] = [light(style.backgroundColor), light(style.color)].sort((a, b) => a - b);
      ratios.push((high + 0.05) / (low + 0.05));
    }
  }
  return ratios;
}"""


@pytest.mark.parametrize("watched", [{}, DARK], indirect=True)
def test_numbers_are_readable_on_every_level_of_the_scale(watched: Watched) -> None:
    ratios = watched.page.evaluate(CONTRAST)
    assert len(ratios) == 2 * 5 * 11
    assert min(ratios) >= 4.5


def test_the_table_sorts_by_a_heading(watched: Watched) -> None:
    heading = watched.page.get_by_role("button", name="Refusal", exact=True)
    column = watched.page.locator("#conditions tbody td:nth-child(4)")
    rates = sorted(condition.refusal.rate or 0 for condition in RESULT.conditions)
    for expected in (rates, rates[::-1]):
        heading.click()
        shown = [float(cell.get_attribute("data-value") or "nan") for cell in column.all()]
        assert shown == expected


def test_an_invalid_result_opens_its_unsteered_outputs(browser: Browser, tmp_path: Path) -> None:
    write_html(invalid_example(), tmp_path / "invalid.html")
    page = browser.new_page(viewport={"width": 390, "height": 844})
    watching = Watched(page)
    page.goto((tmp_path / "invalid.html").as_uri())
    page.locator('#controls [data-condition="unsteered"]').click()
    assert len(watching.texts()) == 30
    assert watching.fits()
    assert watching.complaints == []
    page.close()


@pytest.mark.parametrize("options", [PHONE, SMALL, {}, PHONE | DARK])
def test_a_page_of_stability_draws_asks_for_nothing_and_does_not_scroll_sideways(
    browser: Browser, tmp_path: Path, options: dict[str, Any]
) -> None:
    path = tmp_path / "stability.html"
    write_html(stability(("dim", 0.99), ("svd", 0.5), hostile=True), path)
    page = browser.new_page(**options)
    watching = Watched(page)
    page.goto(path.as_uri())
    page.locator("summary").click()
    assert watching.fits()
    assert page.locator("svg polygon").count() == 4
    assert page.evaluate("window.hacked") is None
    page.close()
    assert watching.complaints == []
    assert watching.requests == [path.as_uri()]
