import json
import re
from collections import Counter
from pathlib import Path

import pytest

from steergauge.errors import SteergaugeError
from steergauge.report.html import embedded, outputs, page, write_html
from steergauge.report.words import rate_words
from steergauge.studies.result import GaugeResult

from .example import DOSES, HOSTILE, PROMPTS, example, invalid_example, two_methods_example


def visible(html: str) -> str:
    body = html.split("<body>")[1]
    return re.sub(r"<script.*?</script>", "", body, flags=re.DOTALL)


def embedded_data(html: str) -> dict[str, list[list[object]]]:
    found = re.search(r'id="outputs-data">(.*?)</script>', html, re.DOTALL)
    assert found
    data: dict[str, list[list[object]]] = json.loads(found[1])
    return data


def with_a_gap(result: GaugeResult) -> GaugeResult:
    """The same result with one cell of its grid missing and one rate unknown."""
    _, second, *rest = result.conditions
    unknown = second.model_copy(update={"effect": second.effect.model_copy(update={"rate": None, "n": 0})})
    return result.model_copy(update={"conditions": [unknown, *rest]})


def test_the_same_result_writes_the_same_bytes(tmp_path: Path) -> None:
    write_html(example(), tmp_path / "one.html")
    write_html(example(), tmp_path / "two.html")
    assert (tmp_path / "one.html").read_bytes() == (tmp_path / "two.html").read_bytes()


def test_the_order_in_which_an_engine_yields_does_not_change_the_page() -> None:
    result = example()
    backwards = result.model_copy(update={"generations": result.generations[::-1]})
    assert page(result) == page(backwards)


def test_every_output_is_embedded_verbatim() -> None:
    result = example()
    texts = [output[3] for output in embedded_data(page(result))["outputs"]]
    assert sorted(map(str, texts)) == sorted(generation.text for generation in result.generations)


def test_the_place_of_the_evidence_is_embedded_and_none_where_there_is_none() -> None:
    result = example()
    places = Counter(str(output[5]) for output in embedded_data(page(result))["outputs"])
    expected = Counter(
        str([one.evidence_start, one.evidence_end] if one.evidence_start is not None else [])
        for one in result.generations
    )
    assert places == expected
    assert len(expected) > 1


def test_embedded_json_cannot_end_its_element_and_reads_back() -> None:
    awkward = f"{HOSTILE} <!-- & \u2028 \u2029 \x00 \\u003c ]]> 🌊 海"
    text = str(embedded([awkward]))
    assert not set("<>&\u2028\u2029") & set(text)
    assert json.loads(text) == [awkward]


def test_nothing_hostile_stands_outside_escapes() -> None:
    html = page(example())
    assert HOSTILE not in html
    assert "<img" not in html
    assert html.count("<script") == 2


def test_the_page_names_no_address_to_fetch_and_forbids_fetching() -> None:
    html = page(example())
    assert not re.search(r"""(src|href)=["'](?!#)""", html)
    assert not re.search(r"@import|url\(", html)
    policy = re.search(r'Content-Security-Policy" content="([^"]+)"', html)
    assert policy
    assert "default-src &#39;none&#39;" in policy[1]
    assert "unsafe-inline" not in policy[1]


def test_the_page_is_small_enough_for_a_phone() -> None:
    assert len(page(example()).encode()) < 1_000_000


def test_verdict_cautions_and_the_number_that_counts_come_before_the_map() -> None:
    result = example()
    head = visible(page(result)).split('id="map"')[0]
    assert "steerable" in head
    assert all(caution.replace("'", "&#39;") in head for caution in result.verdict.cautions)
    assert result.best
    assert result.random_control
    assert f"{result.best.reported_on.count} of {result.best.reported_on.n} prompts" in head
    assert f"{100 * result.random_control.against_strongest.difference:+.0f}" in head


def test_the_best_rates_are_the_reporting_halfs_and_say_what_they_leave_out() -> None:
    result = example()
    assert result.best
    assert result.random_control
    text = re.sub(r"<[^>]+>|\s+", " ", visible(page(result)))
    assert f"Garbled there: {rate_words(result.best.garbled_on_reported)}" in text
    for comparison in (result.best.against_unsteered, result.random_control.against_strongest):
        assert f"gained {comparison.gained}, lost {comparison.lost} of 15 prompts, exact McNemar p" in text
    assert "Its rates leave out the prompts that the unsteered model refuses: 1 of 30." in text
    assert re.search(rf"seed {result.random_control.strongest_seed} +strongest", text)


def test_every_condition_shows_its_dose_in_every_unit() -> None:
    result = example()
    rows = visible(page(result)).split('id="conditions"')[1].split("<tbody>")[1].split("</tbody>")[0]
    for row, condition in zip(rows.split("</tr>"), result.conditions, strict=False):
        values = [float(value) for value in re.findall(r'data-value="([^"]+)"', row)]
        dose = condition.dose
        assert values[-7:] == [
            dose.raw,
            dose.relative,
            dose.separation,
            dose.clamp,
            dose.total_relative,
            dose.delivered,
            dose.coordinates_lost,
        ]


def test_times_stand_only_in_provenance() -> None:
    result = example()
    before, provenance = visible(page(result)).split('id="provenance"')
    assert result.provenance.started in provenance
    assert result.provenance.started not in before


def test_an_invalid_verdict_without_best_renders_without_none() -> None:
    text = visible(page(invalid_example()))
    assert "No verdict" in text
    assert not re.search(r"\bNone\b|\bnan\b|Undefined", re.sub(r"<p class=\"note\">None:", "", text))
    assert "The random control was not run" in text
    assert all(prompt.replace("'", "&#39;") in text for prompt in PROMPTS)


def test_no_value_of_a_whole_result_reads_none() -> None:
    assert not re.search(r">\s*None\b(?!:)", visible(page(example())))


def test_a_missing_cell_and_an_unknown_rate_are_dashes() -> None:
    text = visible(page(with_a_gap(example())))
    assert text.count('class="unmeasured"') == 2
    assert ">None" not in text


def test_two_methods_have_a_pair_of_maps_each() -> None:
    result = example()
    other = [
        c.model_copy(update={"method": "cosmic", "id": f"cosmic-{c.block}-{c.dose.value}"})
        for c in result.conditions[: len(DOSES)]
    ]
    text = page(result.model_copy(update={"conditions": [*result.conditions, *other]}))
    assert text.count('class="heat ') == 4


def test_outputs_of_an_unknown_condition_are_still_there() -> None:
    result = example()
    odd = result.generations[0].model_copy(update={"condition": "elsewhere", "prompt": "another prompt"})
    data = outputs(result.model_copy(update={"generations": [odd]}))
    assert data["groups"][-1]["id"] == "elsewhere"
    assert data["prompts"][-1]["text"] == "another prompt"
    assert len(data["outputs"]) == 1


def test_zero_and_equal_norms_draw() -> None:
    result = example()
    flat = result.directions[0].model_copy(update={"raw_norms": [0.0] * 24, "residual_norms": [5.0] * 24})
    assert "<svg" in page(result.model_copy(update={"directions": [flat]}))


def test_writing_where_no_folder_can_be_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(SteergaugeError, match="cannot write"):
        write_html(example(), tmp_path / "file" / "page.html")


def test_methods_stand_side_by_side_where_there_are_several() -> None:
    result = two_methods_example()
    html = visible(page(result))
    section = html.split('<section id="methods">')[1].split("</section>")[0]
    compared = result.side_by_side
    assert compared
    for outcome in (*compared.own_best, *compared.at_selected[0].outcomes):
        assert f'data-condition="{outcome.best.condition}"' in section
    assert "At block 9, which svd chose" in section
    assert section.count(">0.60<") == 2 * len(compared.cosines)
    assert 'id="methods"' not in page(example())
