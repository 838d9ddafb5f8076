"""A quantised model is told with what was counted on it, in the record, its words and the page."""

from collections.abc import Callable
from importlib.metadata import version

import pytest
import records

from steergauge.models.loading import Model
from steergauge.models.quantizations import QUANTIZATIONS
from steergauge.studies.describe import describe_model
from steergauge.studies.result import ModelRecord

Models = Callable[[str], Model]


@pytest.mark.parametrize("name", QUANTIZATIONS)
def test_a_quantized_model_is_told_with_what_was_counted(name: str, quantized_model: Models) -> None:
    model = quantized_model(name)
    described = describe_model(model, "Hello")
    found = described.quantized_to
    assert found is not None
    assert model.quantized is not None
    assert (found.name, found.format) == (name, QUANTIZATIONS[name].format)
    package, number = found.library.split()
    assert number == version(package)
    assert (found.layers, found.weights, found.of_weights, found.bytes, found.computes_in) == (
        model.quantized.layers,
        model.quantized.weights,
        model.quantized.of_weights,
        model.quantized.bytes,
        model.quantized.computes_in,
    )
    assert (described.precision, described.kept_in) == ("float32", f"{name}/float32")
    assert described.quantization is None  # the weights come from float32
    assert ModelRecord.model_validate_json(described.to_json()) == described


def test_a_model_in_full_is_quantized_to_nothing(tiny_model: Models) -> None:
    described = describe_model(tiny_model("qwen2"), "Hello")
    assert described.quantized_to is None
    assert described.kept_in == described.precision == "float32"
    older = described.model_dump(mode="json", exclude={"quantized_to"})
    assert ModelRecord.model_validate(older) == described


def test_the_counts_are_put_in_words() -> None:
    assert records.QUANTIZED.in_words == (
        "nf4-bitsandbytes: 4-bit NormalFloat, a float32 scale for 64 weights (bitsandbytes 0.50.2); 168 linear layers, "
        "357,826,560 of 494,032,768 weights in 201 MB, computed in float32"
    )
