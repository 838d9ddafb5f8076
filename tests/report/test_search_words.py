"""A search in the terminal and on the page."""

import re
from html import unescape

from steergauge.report.html import page
from steergauge.report.search_words import search_sentences, shown_words

from .example import example, searched_example
from .test_terminal import printed


def test_what_was_raced_what_it_cost_and_how_sure_it_is_are_said() -> None:
    said = " ".join(search_sentences(searched_example()))
    for words in (
        "Raced 30 conditions on 2 prompts, 2 on 14, of 14 in the choosing half.",
        "It took 120 outputs of 6,000 tokens, 13% of the grid's 900 outputs: 84 for the race, 16 for the winner's",
        "The 190 outputs of the controls",  # 30 unsteered, 10 of the contrast set, 5 random vectors
        "exact McNemar p",
        "Of the 28 that left earlier, 23 cannot be told from the winner",
        "0.2 outside, 0.4 undecided, 0.6 inside",
    ):
        assert words in said


def test_the_terminal_and_the_page_say_the_same_and_of_which_prompts_rates_are() -> None:
    result = searched_example()
    shown = "the prompts shown there, 2 to 30"
    assert shown_words(result) == shown
    terminal = re.sub(r"\s+", " ", printed(result, 120))
    html = re.sub(r"\s+", " ", unescape(page(result)))
    for sentence in [*search_sentences(result), shown]:
        assert re.sub(r"\s+", " ", sentence) in terminal
        assert re.sub(r"\s+", " ", sentence) in html
    assert html.count('href="#search"') == html.count('id="search"') == 1


def test_a_sweep_says_nothing_of_a_search() -> None:
    assert search_sentences(example()) == []
    assert shown_words(example()) == "30 prompts"
    assert 'id="search"' not in page(example())
