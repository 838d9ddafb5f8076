"""Stability on one model: its contrast set is read once, and every method and design draws from those readings."""

import logging
from importlib.metadata import version

import numpy as np

from steergauge.directions.extract import ContrastReadings
from steergauge.directions.stability import Design, Stability, bootstrap_stability, halves_stability
from steergauge.models.loading import Model, load_model
from steergauge.studies import provenance
from steergauge.studies.describe import describe_model
from steergauge.studies.readings import Readings
from steergauge.studies.run import Progress, Silent
from steergauge.studies.stability import (
    StabilityResult,
    StabilitySettings,
    cosine_without_difference,
    judge_method,
)

logger = logging.getLogger(__name__)

_MEASURES = {Design.BOOTSTRAP: bootstrap_stability, Design.HALVES: halves_stability}


def measure_stability(
    model: Model | str,
    settings: StabilitySettings | None = None,
    *,
    progress: Progress | None = None,
    readings: Readings | None = None,
) -> StabilityResult:
    """Measures how much a contrast set's directions depend on its prompts (the study's hypothesis 4).

    Args:
        model: a loaded model, or what `load_model` takes.
        settings: methods, prompts and draws; DIM on the study's prompts unless said otherwise.
        progress: is told how the draws go on.
        readings: of earlier measurements, which need not be made again.

    Raises:
        SteergaugeError: there is no such model, or its readings give no direction.
    """
    settings = settings or StabilitySettings()
    model = load_model(model) if isinstance(model, str) else model
    contrast_set = settings.contrast_set
    positive, negative = contrast_set.positive, contrast_set.negative
    logger.info("reading %d prompts", len(positive) + len(negative))
    read = (readings or Readings()).contrast(model, contrast_set)
    return StabilityResult(
        steergauge=version("steergauge"),
        model=describe_model(model, positive[0]),
        contrast_set=contrast_set.name,
        positive=list(positive),
        negative=list(negative),
        seed=settings.seed,
        without_difference=cosine_without_difference(len(positive), len(negative)),
        methods=[
            judge_method(
                method,
                [_draw(method, design, read, settings, progress or Silent()) for design in settings.designs],
            )
            for method in settings.methods
        ],
        versions=provenance.versions(),
        hardware=provenance.hardware(model.device),
    )


def _draw(
    method: str, design: Design, readings: ContrastReadings, settings: StabilitySettings, progress: Progress
) -> Stability:
    progress.begin(f"{method}, {design}", settings.draws)
    return _MEASURES[design](
        method,
        *readings,
        np.random.default_rng(settings.seed),
        draws=settings.draws,
        in_pairs=settings.in_pairs,
        progress=lambda _done, _draws: progress.advance(1, 0),
    )
