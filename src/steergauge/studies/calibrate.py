"""Calibration: the whole chain on the phantom, whose answers are known in closed form."""

import tempfile
from pathlib import Path
from typing import NamedTuple

import numpy as np

from steergauge.directions.dim import difference_in_means
from steergauge.directions.extract import read_contrast
from steergauge.judging.label import Label
from steergauge.judging.study import StudyJudge
from steergauge.models.loading import Model, load_model
from steergauge.models.phantom import Phantom, build_phantom
from steergauge.prompts import study_contrast_set, study_evaluation_set
from steergauge.steering.engine import Decoding, Request
from steergauge.steering.steering import Steering
from steergauge.steering.torch_engine import TorchEngine
from steergauge.studies.gauge import gauge
from steergauge.studies.result import VerdictName
from steergauge.studies.settings import GaugeSettings

COSINE = 0.999
# How close to the computed dose a flip must lie, on either side of it.
MARGIN = 1e-3


class Calibration(NamedTuple):
    """One known answer, and what the instrument found."""

    name: str
    passed: bool
    detail: str


def calibrate(device: str = "auto") -> list[Calibration]:
    """Measures the phantom in float32 and compares what is found with what was built.

    Raises:
        SteergaugeError: the device is not there.
    """
    with tempfile.TemporaryDirectory(prefix="steergauge-phantom-") as folder:
        phantom = build_phantom(Path(folder) / "phantom")
        model = load_model(str(phantom.folder), precision="float32", device=device)
        return [
            _direction(model, phantom),
            *(
                _flips(model, phantom, block, wanted)
                for block in (0, phantom.blocks // 2, phantom.blocks - 1)
                for wanted in (Label.REFUSAL, Label.GARBLED)
            ),
            _verdict(model, phantom, Path(folder) / "calibration.db"),
        ]


def _direction(model: Model, phantom: Phantom) -> Calibration:
    direction = difference_in_means(*read_contrast(model, study_contrast_set()))
    worst = float(np.abs(direction.vectors @ phantom.direction).min())
    return Calibration(
        "the extracted direction is the planted one",
        worst >= COSINE,
        f"|cos| at least {worst:.6f} over {direction.blocks} blocks, needed {COSINE}",
    )


def _flips(model: Model, phantom: Phantom, block: int, wanted: Label) -> Calibration:
    """Steers each prompt just below and just above the dose that was computed for it."""
    dose_of = phantom.refusal_dose if wanted is Label.REFUSAL else phantom.garbling_dose
    prompts = [prompt.text for prompt in study_evaluation_set().prompts]
    doses = np.array([dose_of(prompt, block) for prompt in prompts])
    requests = [
        Request(prompt, _steering(phantom, block, dose * side), Decoding(12))
        for side in (1 - MARGIN, 1 + MARGIN)
        for prompt, dose in zip(prompts, doses, strict=True)
    ]
    judge, made = StudyJudge(), dict(TorchEngine(model).generate(requests))
    found = np.array([judge.judge(made[row].text).label is wanted for row in range(len(requests))])
    below, above = found.reshape(2, len(prompts))
    right = int((~below & above).sum())
    return Calibration(
        f"prompts flip to {wanted} at the computed dose, steered from block {block}",
        right == len(prompts),
        f"{right} of {len(prompts)} within {MARGIN:.1%} of doses {doses.min():.3f} to {doses.max():.3f}",
    )


def _steering(phantom: Phantom, block: int, dose: float) -> Steering:
    coefficients = np.where(np.arange(phantom.blocks) >= block, dose, 0.0)
    return Steering(phantom.direction.astype(np.float32), coefficients, block)


def _verdict(model: Model, phantom: Phantom, store: Path) -> Calibration:
    """Runs the whole gauge, at doses whose rates are known: none, half, all refused, all garbled."""
    block = phantom.blocks // 2
    prompts = [prompt.text for prompt in study_evaluation_set().prompts]
    refusal = np.sort([phantom.refusal_dose(prompt, block) for prompt in prompts])
    garbling = np.sort([phantom.garbling_dose(prompt, block) for prompt in prompts])
    half = (refusal[len(refusal) // 2 - 1] + refusal[len(refusal) // 2]) / 2
    doses = (refusal[0] / 2, half, (refusal[-1] + garbling[0]) / 2, garbling[-1] * 1.01)
    settings = GaugeSettings(depths=(block / phantom.blocks,), doses=doses, max_new_tokens=24)
    result = gauge(model, settings, store=store)
    found = [(condition.refusal.rate, condition.garbled.rate) for condition in result.conditions]
    expected = [(0.0, 0.0), (0.5, 0.0), (1.0, 0.0), (0.0, 1.0)]
    window = result.window.doses if result.window else []
    passed = found == expected and result.verdict.verdict is VerdictName.STEERABLE and window == [doses[2]]
    shown = ", ".join(f"{refused:.0%} / {garbled:.0%}" for refused, garbled in found)
    return Calibration(
        "the gauge finds the known rates, window and verdict",
        passed,
        f"refused / garbled {shown}; {result.verdict.verdict}; {len(window)} dose in the window",
    )
