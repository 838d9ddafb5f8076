"""The paper's rates as they stand beside our studies."""

import pytest

from steergauge.studies.experiments.table import EXPERIMENTS
from steergauge.studies.published import published
from steergauge.studies.published_tables import published_table

PLACES = {
    "architecture": {"§5.1"},
    "scale": {"§5.2"},
    "depth": {"§5.3"},
    "method": {"§5.4"},
    "quantization": {"§5.5"},
    "dose": {"§5.6"},
    "tooling": {"§7", "methods", "tool artifacts"},
}


@pytest.mark.parametrize("study", PLACES)
def test_a_study_s_table_has_every_published_rate_of_its_section(study: str) -> None:
    table = published_table(study)
    assert table is not None
    assert {row["place"] for row in table.rows} == PLACES[study]
    if study != "tooling":  # §7's rates are those of two tools, and the methods name others
        printed = [rate for rate in published().rates if rate.place in PLACES[study]]
        assert len(table.rows) == len(printed)


def test_a_rate_stands_there_as_it_is_printed() -> None:
    table = published_table("quantization")
    assert table is not None
    row = next(row for row in table.rows if row["precision"] == "INT4" and "32B" in str(row["model"]))
    assert row["coherent"] == "57% [39–73]"
    assert (row["block"], row["dose"], row["n"], row["prompts"]) == ("32", 15.0, 30, 30)
    assert "method" not in {column.key for column in table.columns}  # all are DIM's
    scale = published_table("scale")
    assert scale is not None
    repeats = {row["n"]: row["prompts"] for row in scale.rows}
    assert repeats == {50: 10, 30: 30}


def test_transfers_have_both_rates_and_their_ratio() -> None:
    table = published_table("transfer")
    assert table is not None
    row = table.rows[0]
    assert (row["source"], row["target"]) == ("Qwen 2.5-14B-Instruct", "Qwen 2.5-32B-Instruct")
    assert (row["own"], row["lent"], row["efficiency"]) == ("80.0%", "100%", "1.25 [1.071–1.579]")
    assert len(table.rows) == 4


def test_a_study_that_the_paper_has_no_rates_for_has_no_table() -> None:
    assert [name for name in EXPERIMENTS if published_table(name) is None and name in PLACES] == []
    assert published_table("rank") is None
    assert published_table("sampling") is None
