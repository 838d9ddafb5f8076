from decimal import Decimal

import pytest
from pydantic import ValidationError

from steergauge.statistics.unpaired import Count
from steergauge.studies.published import Published, PublishedRate, Source, published

STUDY = published()


def row(id_: str) -> tuple[object, ...]:
    rate = STUDY.rate(id_)
    return rate.blocks, rate.depth, int(rate.dose), str(rate.coherent)


def test_the_table_of_models_is_the_papers() -> None:
    assert [(model.parameters, model.blocks, model.precision) for model in STUDY.models] == [
        (3, 36, "FP16"),
        (7, 28, "FP16"),
        (14, 48, "FP16"),
        (32, 64, "BF16"),
        (2, 26, "FP16"),
        (9, 42, "FP16"),
        (27, 46, "BF16"),
        (7, 32, "FP16"),
    ]


def test_rows_of_the_papers_tables_read_as_printed() -> None:
    # Sections 5.1 to 5.6, read off the paper.
    assert row("architecture-mistral") == ((16, 19, 22), (50, 60, 70), 15, "0")
    assert row("depth-7b-70") == ((19,), (70,), 15, "17")
    assert row("depth-gemma-2b-60") == ((15,), (60,), 25, "30")
    assert row("cosmic-32b") == ((43,), (67,), 15, "10")
    assert row("cosmic-gemma-9b") == ((19,), (45,), 25, "70")
    assert row("quant-32b-int8") == ((32,), (50,), 15, "83")
    assert row("dose-32b-25") == ((32,), (50,), 25, "0")
    collapsed = STUDY.rate("dose-32b-25")
    assert [collapsed.garbled, collapsed.normal] == [90, 10]
    assert (STUDY.rate("scale-14b").low, STUDY.rate("scale-14b").high) == (Decimal("78.6"), Decimal("95.7"))


def test_every_cell_of_the_depth_and_scale_tables_is_there() -> None:
    depth = [int(rate.coherent) for rate in STUDY.rates if rate.place == "§5.3"]
    assert depth == [80, 100, 70, 87, 100, 17, 90, 90, 0, 60, 20, 10, 100, 100, 70, 30, 97, 97, 73, 40]
    scale = [int(rate.coherent) for rate in STUDY.rates if rate.place == "§5.2"]
    assert scale == [100, 100, 90, 77, 60, 100, 97, 0]


def test_cosines_scores_and_norms_are_the_published_ones() -> None:
    cosmic = [one for one in STUDY.directions if one.method == "COSMIC" and one.score is not None]
    assert [str(one.cosine) for one in cosmic] == ["0.763", "0.537", "0.533", "0.838"]
    assert [str(one.score) for one in cosmic] == ["1.511", "1.492", "1.481", "1.388"]
    assert STUDY.norm("qwen-14b", 33) == 176.92
    assert STUDY.norm("qwen-7b", 16) == 26.22  # not the quantised ones' 25.93 and 25.58


def test_the_transfer_table_and_matrix_are_the_papers() -> None:
    assert [str(one.efficiency) for one in STUDY.transfers] == ["1.25", "1.00", "0.17", "0.03"]
    matrix = STUDY.transfer_matrix
    tested = [
        (matrix.models[source], matrix.models[target])
        for source, line in enumerate(matrix.status)
        for target, status in enumerate(line)
        if status == "tested"
    ]
    widths = {model.key: model.width for model in STUDY.models}
    assert tested == [
        ("qwen-7b", "gemma-9b"),
        ("qwen-14b", "qwen-32b"),
        ("qwen-32b", "qwen-14b"),
        ("gemma-9b", "qwen-7b"),
    ]
    assert all(widths[source] == widths[target] for source, target in tested)


def test_later_runs_are_those_of_the_artifacts() -> None:
    later = {rate.id: rate for rate in STUDY.rates if rate.id.startswith("self-")}
    assert [str(rate.coherent) for key, rate in later.items() if "14b" in key] == [
        "96.7",
        "93.3",
        "73.3",
        "40.0",
    ]
    assert [str(rate.coherent) for key, rate in later.items() if "32b" in key] == [
        "36.7",
        "63.3",
        "80.0",
        "56.7",
    ]
    assert all(rate.source is Source.ARTIFACTS and rate.max_new_tokens == 256 for rate in later.values())


def test_fifty_outputs_are_ten_prompts() -> None:
    assert STUDY.rate("scale-32b-n50").counted == Count(30, 50)
    assert STUDY.rate("scale-32b-n50").distinct == Count(6, 10)
    assert {rate.prompts for rate in STUDY.rates if rate.n == 50} == {10}
    assert {rate.prompts for rate in STUDY.rates if rate.n == 30} == {30}


def changed(**fields: object) -> dict[str, object]:
    return STUDY.rate("scale-3b").model_dump() | fields


def test_a_row_that_cannot_be_is_refused() -> None:
    for wrong in ({"prompts": 60}, {"prompts": 20}, {"refused": [1, 2]}, {"colour": "red"}):
        with pytest.raises(ValidationError):
            PublishedRate.model_validate(changed(**wrong))


def test_a_row_that_names_nothing_is_refused() -> None:
    whole = STUDY.model_dump()
    transfers = [{**whole["transfers"][0], "own": "nothing"}]
    models = whole["models"][1:]
    for wrong in (
        {"transfers": transfers},
        {"models": models},
        {"rates": [*whole["rates"], whole["rates"][0]]},
    ):
        with pytest.raises(ValidationError):
            Published.model_validate(whole | wrong)
