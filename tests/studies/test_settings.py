"""Settings: the study's protocol unless said otherwise, and each mistake in one line."""

from typing import Any

import pytest
from pydantic import ValidationError

from steergauge.errors import SteergaugeError
from steergauge.prompts import study_contrast_set, study_evaluation_set
from steergauge.steering.dose import DoseUnit
from steergauge.studies.settings import GaugeSettings, gauge_settings


def test_nothing_said_is_the_studys_protocol() -> None:
    settings = gauge_settings()
    assert settings == GaugeSettings()
    assert settings.contrast_set == study_contrast_set()
    assert settings.evaluation_set == study_evaluation_set()
    assert (settings.methods, settings.judge, settings.max_new_tokens) == (("dim",), "gauge", 100)
    assert settings.threshold == 0.6


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"depths": (0.5, 1.0)}, "a depth is a fraction from 0 to below 1, not 1.0"),
        ({"depths": (-0.1,)}, "not -0.1"),
        ({"depths": (float("nan"),)}, "not nan"),
        ({"depths": ()}, "depths: "),
        ({"depths": (0.5, 0.6, 0.5)}, "depths has a repeat: 0.5, 0.6, 0.5"),
        ({"doses": (1, 2, 1.0)}, "doses has a repeat: 1.0, 2.0, 1.0"),
        ({"methods": ("dim", "dim")}, "methods has a repeat: dim, dim"),
        ({"doses": (0, 1)}, r"a finite number other than 0 \(the control is 0\), not 0.0"),
        ({"doses": (float("inf"),)}, "not inf"),
        ({"doses": (0, float("nan")), "unit": "clamp"}, "not nan"),
        ({"doses": ()}, "doses: "),
        ({"unit": "clamp"}, "the unit clamp needs doses"),
        ({"unit": "furlongs"}, "unit: .*'raw', 'relative', 'separation', 'clamp' or 'sigma'"),
        ({"unit": "sigma"}, "not in sigma: change one of them"),
        ({"dose": (1,)}, "dose: "),
        ({"operation": "clamp"}, "the operation clamp takes doses in clamp, not in raw"),
        ({"operation": "add", "unit": "clamp", "doses": (1,)}, "not in clamp: change one of them"),
        ({"operation": "affine"}, "the operation affine takes doses in separation, not in raw"),
        ({"operation": "ablate"}, "ablation takes the whole component away, so it has no dose"),
        ({"operation": "spin"}, "operation: .*'add', 'ablate', 'affine', 'clamp' or 'rotate'"),
        ({"operation": "rotate", "doses": (0, 1)}, "a finite number other than 0"),
        ({"blocks": "two"}, "blocks: .*'onward' or 'one'"),
        ({"positions": "first"}, "positions: .*'all', 'after_instruction', 'last' or 'generated'"),
        ({"max_new_tokens": 0}, "max_new_tokens: "),
        ({"threshold": 0}, "threshold: "),
        ({"threshold": 1.01}, "threshold: "),
        ({"random_directions": 0}, "random_directions: "),
        ({"seed": -1}, "seed: "),
        ({"wave_rows": 0}, "wave_rows: "),
        ({"judge": "stdy"}, "no judge 'stdy': did you mean study"),
        ({"methods": ()}, "neither a method nor a direction"),
        ({"directions": ("missing.gguf",)}, "cannot read the control vector missing.gguf"),
        ({"methods": ("dim", "dimm")}, "no extraction method 'dimm'; did you mean dim"),
    ],
    ids=lambda value: "-".join(value) if isinstance(value, dict) else "",
)
def test_a_mistake_is_one_line_that_names_it(options: dict[str, Any], message: str) -> None:
    with pytest.raises(SteergaugeError, match=message) as refusal:
        gauge_settings(**options)
    assert "\n" not in str(refusal.value)


def test_a_component_can_be_clamped_to_0() -> None:
    settings = gauge_settings(unit="clamp", doses=(0, 5))
    assert (settings.unit, settings.doses) == (DoseUnit.CLAMP, (0.0, 5.0))


@pytest.mark.parametrize(
    ("options", "operation"),
    [
        ({}, "add"),
        ({"unit": "clamp", "doses": (1,)}, "clamp"),
        ({"unit": "relative"}, "add"),
        ({"unit": "separation", "operation": "affine"}, "affine"),
        ({"operation": None}, "add"),
    ],
)
def test_the_operation_follows_from_the_unit_unless_it_is_said(
    options: dict[str, Any], operation: str
) -> None:
    assert gauge_settings(**options).operation == operation


def test_affine_steering_can_go_to_the_negative_mean() -> None:
    assert gauge_settings(operation="affine", unit="separation", doses=(0, 1)).doses == (0, 1)


def test_settings_cannot_be_changed() -> None:
    with pytest.raises(ValidationError, match="frozen"):
        GaugeSettings().seed = 1  # type: ignore[misc]
