"""A whole session in a real browser, with the keyboard, through the command."""

import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, ViewportSize, expect

from browsing import running_browser
from labelled_store import HOSTILE, TEXTS, fill
from steergauge.judging.label import Label
from steergauge.store import Store

pytestmark = pytest.mark.browser

WIDE: ViewportSize = {"width": 1280, "height": 900}
PHONE: ViewportSize = {"width": 390, "height": 844}
KEY = {"I cannot help with that.": "r", "no no no no no no": "g", HOSTILE: "2", "天" * 40: "G"}
MEANING = {"r": Label.REFUSAL, "g": Label.GARBLED, "2": Label.GARBLED, "G": Label.GARBLED, "n": Label.NORMAL}


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with running_browser() as running:
        yield running


@pytest.fixture
def path(tmp_path: Path) -> Path:
    fill(tmp_path / "steergauge.db")
    return tmp_path / "steergauge.db"


@pytest.fixture
def address(path: Path) -> Iterator[str]:
    command = [
        sys.executable,
        "-c",
        "from steergauge.cli import main; main()",
        "label",
        str(path),
        "--no-browser",
    ]
    server = subprocess.Popen(
        [*command, "--retest", "0.25"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert server.stdout
    assert server.stderr
    line = server.stdout.readline()
    found = re.match(r"(http://127\.0\.0\.1:\d+/) ", line)
    assert found, line + server.stderr.read()
    yield found[1]
    server.send_signal(signal.SIGINT)
    _, complaints = server.communicate(timeout=30)
    assert "Traceback" not in complaints


@pytest.fixture
def page(browser: Browser, address: str, request: pytest.FixtureRequest) -> Iterator[Page]:
    viewport: ViewportSize = getattr(request, "param", WIDE)
    opened = browser.new_page(viewport=viewport)
    complaints: list[str] = []
    requests: list[str] = []
    opened.on("pageerror", lambda error: complaints.append(str(error)))
    opened.on("console", lambda message: complaints.append(message.text))
    opened.on("request", lambda asked: requests.append(asked.url))
    opened.goto(address)
    yield opened
    assert complaints == []
    assert all(asked.startswith(address) for asked in requests)
    opened.close()


def begin(page: Page, name: str = "anna") -> None:
    page.keyboard.type(name)  # the field has the focus already
    page.keyboard.press("Enter")
    expect(page.locator("#reading")).to_be_visible()


def place(page: Page) -> str:
    return page.locator("#place").text_content() or ""


@pytest.mark.parametrize("page", [WIDE, PHONE], indirect=True)
def test_a_whole_session_with_the_keyboard(page: Page, path: Path) -> None:
    begin(page)
    pressed: list[tuple[str, str]] = []
    for number in range(1, 16):
        expect(page.locator("#place")).to_have_text(f"{number} of 15")
        text = page.locator("#text").text_content() or ""
        assert text in TEXTS  # verbatim, the hostile one too
        assert page.locator("#text *").count() == 0
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
        assert page.locator("#labels").is_visible()
        key = KEY.get(text, "n")
        page.keyboard.press(key)
        pressed.append((text, key))
    expect(page.locator("#end")).to_be_visible()
    assert page.evaluate("window.hacked") is None
    with Store(path) as store:
        ratings = store.ratings()
        texts = [store.generations()[rating.key].text for rating in ratings]
    assert [(text, rating.label) for text, rating in zip(texts, ratings, strict=True)] == [
        (text, MEANING[key]) for text, key in pressed
    ]
    assert {rating.rater for rating in ratings} == {"anna"}
    assert sorted(rating.showing for rating in ratings) == [1] * 12 + [2] * 3


def test_going_back_changes_a_label_and_a_note_is_kept(page: Page, path: Path) -> None:
    begin(page)
    page.keyboard.press("r")
    expect(page.locator("#place")).to_have_text("2 of 15")
    page.keyboard.press("Backspace")
    expect(page.locator("#before")).to_contain_text("You said refusal")
    page.keyboard.press("/")
    page.keyboard.type("rang n")  # letters in a note are no labels
    page.keyboard.press("Enter")
    page.keyboard.press("3")
    expect(page.locator("#place")).to_have_text("2 of 15")
    with Store(path) as store:
        first, second = store.ratings()
    assert (first.label, first.note, second.label, second.note) == (Label.REFUSAL, "", Label.NORMAL, "rang n")
    assert first.key == second.key


def test_a_reloaded_page_goes_on_where_it_was(page: Page) -> None:
    begin(page)
    page.keyboard.press("r")
    expect(page.locator("#place")).to_have_text("2 of 15")
    text = page.locator("#text").text_content()
    page.reload()
    begin(page)
    expect(page.locator("#place")).to_have_text("2 of 15")
    assert page.locator("#text").text_content() == text


@pytest.mark.parametrize("page", [PHONE], indirect=True)
def test_on_a_phone_the_buttons_do_what_the_keys_do(page: Page, path: Path) -> None:
    page.locator("#rater").fill("ben")
    page.get_by_role("button", name="Begin").click()
    for number, name in enumerate(("Refusal", "Garbled", "Normal"), 1):
        expect(page.locator("#place")).to_have_text(f"{number} of 15")
        page.get_by_role("button", name=name).click()
    expect(page.locator("#place")).to_have_text("4 of 15")
    with Store(path) as store:
        assert [rating.label.value for rating in store.ratings()] == ["refusal", "garbled", "normal"]
