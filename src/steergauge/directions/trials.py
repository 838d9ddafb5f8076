"""What COSMIC and Arditi et al. try with every candidate: ablating it on both classes, adding it on the harmless."""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import NamedTuple

from steergauge.directions.edits import Edit, Intervention, ablation, addition, affine
from steergauge.directions.fit import Fit
from steergauge.directions.passes import Job, Reading
from steergauge.directions.selection import LARGEST_KL, Candidate, Fall
from steergauge.directions.split import Prompts
from steergauge.errors import SteergaugeError
from steergauge.models.loading import Model


class Place(NamedTuple):
    """Where a candidate was read: a position, and l of p_l."""

    position: int
    layer: int


class Trial(NamedTuple):
    """A candidate's two interventions."""

    ablate: Edit
    add: Edit


class Effects(NamedTuple):
    """What a candidate's interventions lead to."""

    ablated_positive: Reading
    ablated_negative: Reading
    added_negative: Reading


def template_positions(model: Model) -> tuple[int, ...]:
    """The positions of the template's tokens after the user's text, −n … −1.

    Raises:
        SteergaugeError: the template has none.
    """
    count = model.template.suffix_tokens
    if count == 0:
        raise SteergaugeError(
            f"the chat template of {model.name} puts no token after the user's text, so there is no position to "
            "read; give another with --template FILE"
        )
    return tuple(range(-count, 0))


def plan_trials(fit: Fit, layers: int, intervention: Intervention) -> dict[Place, Trial | None]:
    """A trial for every position and layer; None where the classes do not differ."""
    trials: dict[Place, Trial | None] = {}
    for position in fit.positions:
        for layer in range(layers):
            difference = fit.difference(position, layer)
            if difference is None:
                trials[Place(position, layer)] = None
            elif intervention is Intervention.AFFINE:
                reference = fit.reference(position, layer)
                trials[Place(position, layer)] = Trial(
                    affine(difference, reference, layer, 0), affine(difference, reference, layer, 1)
                )
            else:
                trials[Place(position, layer)] = Trial(ablation(difference), addition(difference, layer))
    return trials


def trial_jobs(trials: Mapping[Place, Trial | None], positive: Prompts, negative: Prompts) -> list[Job]:
    """Three jobs a trial, by layer: their passes then share most."""
    return [
        job
        for _, trial in _by_layer(trials)
        if trial is not None
        for job in (Job(positive, trial.ablate), Job(negative, trial.ablate), Job(negative, trial.add))
    ]


def score_trials(
    trials: Mapping[Place, Trial | None],
    readings: Iterator[Reading],
    names: Sequence[str],
    score: Callable[[Effects], tuple[float, ...]],
) -> dict[Place, dict[str, float]]:
    """Every candidate's scores, from the readings of `trial_jobs`; not a number where there was no trial."""
    scores = {}
    for place, trial in _by_layer(trials):
        values = (
            [float("nan")] * len(names)
            if trial is None
            else score(Effects(next(readings), next(readings), next(readings)))
        )
        scores[place] = dict(zip(names, values, strict=True))
    return {place: scores[place] for place in trials}


def _by_layer(trials: Mapping[Place, Trial | None]) -> list[tuple[Place, Trial | None]]:
    return sorted(trials.items(), key=lambda item: item[0].layer)


def judge_trials(
    trials: Mapping[Place, Trial | None],
    scores: Mapping[Place, Mapping[str, float]],
    layers: int,
    own_rule: Callable[[Place, Mapping[str, float]], Fall | None],
) -> tuple[Candidate, ...]:
    """The candidates, with the first rule by which each falls: those of both sources, and one of its own."""

    def fall(place: Place) -> Fall | None:
        here = scores[place]
        rules = (
            Fall.SAME if trials[place] is None else None,
            None if all(map(math.isfinite, here.values())) else Fall.NOT_FINITE,
            Fall.LATE if place.layer >= int(0.8 * layers) else None,
            Fall.KL if here["kl"] > LARGEST_KL else None,
            own_rule(place, here),
            Fall.EMBEDDINGS if place.layer == 0 else None,
        )
        return next((fall for fall in rules if fall), None)

    return tuple(Candidate(*place, place.layer - 1, here, fall(place)) for place, here in scores.items())
