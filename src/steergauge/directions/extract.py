"""From a model and a contrast set to a direction."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from steergauge.activations.hooks import capture
from steergauge.directions.direction import ExtractedDirection
from steergauge.directions.methods import find_method
from steergauge.models.loading import Model, load_model
from steergauge.prompts import ContrastSet, study_contrast_set


class ContrastReadings(NamedTuple):
    """The stream at the last token of a contrast set's prompts: (prompts, blocks, width) a class."""

    positive: NDArray[np.float32]
    negative: NDArray[np.float32]


def read_contrast(model: Model, contrast_set: ContrastSet) -> ContrastReadings:
    """Reads both classes, unsteered."""
    return ContrastReadings(
        capture(model, contrast_set.positive).at(-1), capture(model, contrast_set.negative).at(-1)
    )


def extract_direction(
    model: Model | str, method: str = "dim", contrast_set: ContrastSet | None = None
) -> ExtractedDirection:
    """Extracts a direction from what a model reads.

    Args:
        model: a loaded model, or what `load_model` takes.
        method: a name of the table of methods.
        contrast_set: the prompts; the study's unless given.

    Raises:
        SteergaugeError: there is no such method or model, or its readings give no direction.
    """
    extract = find_method(method)  # before the model is loaded: a mistake is cheap to find
    model = load_model(model) if isinstance(model, str) else model
    positive, negative = read_contrast(model, contrast_set or study_contrast_set())
    return ExtractedDirection(extract(positive, negative), model.name, model.fingerprint)
