"""From a model, a contrast set and a method's name to directions: every kind of method, in one table of names."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from steergauge.activations import hooks
from steergauge.activations.activations import Capture
from steergauge.activations.heads import capture_heads
from steergauge.directions.direction import Direction, ExtractedDirection
from steergauge.directions.head_direction import HeadDirection
from steergauge.directions.iti import inference_time_intervention
from steergauge.directions.methods import METHODS, find_method
from steergauge.directions.passes import Progress
from steergauge.directions.selection import Selection
from steergauge.directions.selections import SELECTIONS
from steergauge.errors import SteergaugeError, nearest
from steergauge.models.loading import Model, load_model
from steergauge.prompts import ContrastSet, study_contrast_set

ITI = "iti"
"""The method whose direction lies in attention heads, not in the residual stream."""


class ContrastReadings(NamedTuple):
    """The stream at the last token of a contrast set's prompts: (prompts, blocks, width) a class."""

    positive: NDArray[np.float32]
    negative: NDArray[np.float32]


class Extracted(NamedTuple):
    """What several methods found, each by its name and in the order that they were asked for."""

    directions: dict[str, Direction]
    selections: dict[str, Selection]
    heads: HeadDirection | None


def require_methods(names: Sequence[str]) -> None:
    """Refuses a name that no method has.

    Raises:
        SteergaugeError: the near names are given.
    """
    known = (*METHODS, *SELECTIONS, ITI)
    for name in names:
        if name not in known:
            raise SteergaugeError(f"no extraction method {name!r}; {nearest(name, known)}")


def read_contrast(
    model: Model, contrast_set: ContrastSet, capture: Capture = hooks.capture
) -> ContrastReadings:
    """Reads both classes, unsteered and each by itself, with the reference backend or another."""
    return ContrastReadings(
        capture(model, contrast_set.positive).at(-1), capture(model, contrast_set.negative).at(-1)
    )


def extract(
    methods: Sequence[str],
    model: Model,
    contrast_set: ContrastSet,
    readings: ContrastReadings,
    *,
    seed: int = 0,
    progress: Progress | None = None,
) -> Extracted:
    """Applies methods to one model and contrast set; those that only need readings share them.

    Args:
        methods: names of methods that read the last token, that choose position and block, or `iti`.
        model: what is read, and by selecting methods run.
        contrast_set: the prompts.
        readings: of these prompts on this model.
        seed: of how a selecting method divides the prompts.
        progress: told how many rows of a selection are done, and of how many.

    Raises:
        SteergaugeError: there is no such method, or its readings give no direction.
    """
    require_methods(methods)
    directions, selections, heads = dict[str, Direction](), dict[str, Selection](), None
    for name in methods:
        if name in METHODS:
            directions[name] = METHODS[name](*readings)
        elif name in SELECTIONS:
            selections[name] = SELECTIONS[name](model, contrast_set, seed=seed, progress=progress)
            directions[name] = selections[name].direction
        else:
            heads = inference_time_intervention(
                capture_heads(model, contrast_set.positive), capture_heads(model, contrast_set.negative)
            )
    return Extracted(directions, selections, heads)


def extract_direction(
    model: Model | str, method: str = "dim", contrast_set: ContrastSet | None = None
) -> ExtractedDirection:
    """Extracts a direction in the residual stream.

    Args:
        model: a loaded model, or what `load_model` takes.
        method: a name of the tables of methods.
        contrast_set: the prompts; the study's unless given.

    Raises:
        SteergaugeError: there is no such method or model, or its readings give no direction.
    """
    if method == ITI:
        raise SteergaugeError(
            f"{ITI} finds directions in attention heads, not one in the stream; use another method"
        )
    if method not in SELECTIONS:
        find_method(method)  # before the model is loaded: a mistake is cheap to find
    contrast_set = contrast_set or study_contrast_set()
    model = load_model(model) if isinstance(model, str) else model
    found = extract([method], model, contrast_set, read_contrast(model, contrast_set))
    return ExtractedDirection(found.directions[method], model.name, model.fingerprint)
