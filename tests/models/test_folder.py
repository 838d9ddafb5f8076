import json
from pathlib import Path

import pytest

from steergauge.errors import SteergaugeError
from steergauge.models.folder import declared_quantization, read_config, weight_files


def test_a_quantised_folder_says_how() -> None:
    assert declared_quantization({"quantization_config": {"quant_method": "gptq", "bits": 4}}) == "gptq 4-bit"
    assert declared_quantization({"quantization_config": {"quant_method": "fp8"}}) == "fp8"
    assert declared_quantization({"model_type": "llama"}) is None


def test_a_folder_without_a_configuration_is_not_a_model(tmp_path: Path) -> None:
    with pytest.raises(SteergaugeError, match=r"has no config.json"):
        read_config(tmp_path)
    (tmp_path / "some.gguf").write_bytes(b"GGUF")
    with pytest.raises(SteergaugeError, match=r"it holds some.gguf: give that file itself"):
        read_config(tmp_path)
    (tmp_path / "config.json").write_text("{")
    with pytest.raises(SteergaugeError, match=r"config.json is not valid JSON"):
        read_config(tmp_path)


def test_a_folder_without_usable_weights_says_which_it_would_take(tmp_path: Path) -> None:
    with pytest.raises(SteergaugeError, match=r"has no weights: neither model.safetensors"):
        weight_files(tmp_path)
    (tmp_path / "pytorch_model.bin").write_bytes(b"pickle")
    with pytest.raises(SteergaugeError, match=r"as a pickle"):
        weight_files(tmp_path)


def test_weights_in_parts_are_those_of_the_index_and_none_may_be_missing(tmp_path: Path) -> None:
    first, second = (tmp_path / f"model-{part}-of-2.safetensors" for part in (1, 2))
    index = {"weight_map": {"a": first.name, "b": second.name, "c": first.name}}
    (tmp_path / "model.safetensors.index.json").write_text(json.dumps(index))
    first.touch()
    with pytest.raises(
        SteergaugeError, match=r"lacks 1 of its 2 weight files, the first model-2-of-2.safetensors"
    ):
        weight_files(tmp_path)
    second.touch()
    assert weight_files(tmp_path) == [first, second]
