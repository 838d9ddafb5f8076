"""COSMIC: candidates scored by the cosines of the states that they lead to (Siu et al. 2025; methods.md §2).

Two variants. `cosmic_official` is the algorithm of its authors' code; `cosmic_study` is what the study describes.
"""

import math
from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from steergauge.directions.edits import Intervention, ablation, addition
from steergauge.directions.fit import Fit, fit_classes
from steergauge.directions.passes import Job, Progress, SharedPasses
from steergauge.directions.scores import (
    cosine,
    kl_divergence,
    paired_cosine,
    paired_cosines,
    pooled_cosine,
)
from steergauge.directions.selection import Candidate, Fall, Selection, select
from steergauge.directions.split import ClassSplit, Sizes, split_classes
from steergauge.directions.trials import (
    Effects,
    Place,
    judge_trials,
    plan_trials,
    score_trials,
    template_positions,
    trial_jobs,
)
from steergauge.errors import SteergaugeError
from steergauge.models.loading import Model
from steergauge.prompts import ContrastSet

Array = NDArray[np.float64]

SIZES = Sizes(fit=180, select=100)
STUDY_POSITIONS = (-5, -4, -3, -2, -1)


def cosmic_official(
    model: Model,
    contrast: ContrastSet,
    *,
    intervention: Intervention = Intervention.AFFINE,
    seed: int = 0,
    progress: Progress | None = None,
) -> Selection:
    """The official algorithm; layer l is p_l, the input of block l.

    A candidate is good when ablating it makes the harmful prompts' states like the harmless ones' (`comply`), and
    adding it the harmless ones' like the harmful ones' (`refuse`).

    Args:
        model: the model.
        contrast: harmful (positive) and harmless prompts, two of each at least.
        intervention: how candidates are ablated and added.
        seed: of the split into fitting and selecting prompts.
        progress: told of the rows that are done.

    Raises:
        NothingLeftError: every candidate fell.
        SteergaugeError: too few prompts, no template position, or for the linear intervention a family whose
            attention and MLP outputs are not found.
    """
    prompts = split_classes(contrast.positive, contrast.negative, SIZES, seed)
    layers = len(model.blocks)
    fit = fit_classes(model, prompts.fit_positive, prompts.fit_negative, template_positions(model))
    low_layers = _lowest(_cosines_of_means(fit), int(0.1 * layers))
    trials = plan_trials(fit, layers, intervention)
    passes = SharedPasses(model, low_layers)
    unsteered = [Job(prompts.select_positive, None), Job(prompts.select_negative, None)]
    jobs = trial_jobs(trials, prompts.select_positive, prompts.select_negative)
    readings = passes.run(unsteered + jobs, progress)
    positive, negative = next(readings), next(readings)

    def score(effects: Effects) -> tuple[float, ...]:
        return (
            pooled_cosine(effects.ablated_positive.hidden, negative.hidden),
            pooled_cosine(effects.added_negative.hidden, positive.hidden),
            kl_divergence(negative.logits, effects.ablated_negative.logits),
        )

    scores = score_trials(trials, readings, ("comply", "refuse", "kl"), score)
    latest = latest_at_last_token(scores)

    def at_the_last_token(place: Place, _scores: Mapping[str, float]) -> Fall | None:
        return Fall.PEAK if place.position == -1 and place.layer > latest else None

    return select(
        method="cosmic_official",
        intervention=intervention,
        candidates=judge_trials(trials, scores, layers, at_the_last_token),
        value=_agreement,
        fit=fit,
        low_layers=low_layers,
        prompts=prompts,
        passes=passes,
    )


def latest_at_last_token(scores: Mapping[Place, Mapping[str, float]]) -> float:
    """The layer past which a candidate at position −1 is dropped; infinite where there is no other position.

    Every other position has a best layer by each of the two scores; of both, the lower median over positions, and
    of those the larger: a layer falls when it exceeds both.
    """
    others = sorted({place.position for place in scores} - {-1})
    if not others:
        return math.inf

    def lower_median_of_best_layers(name: str) -> int:
        best = []
        for position in others:
            here = [scores[place][name] for place in sorted(scores) if place.position == position]
            best.append(int(np.argmax(np.nan_to_num(here, nan=-np.inf))))
        return sorted(best)[(len(best) - 1) // 2]

    return max(lower_median_of_best_layers("comply"), lower_median_of_best_layers("refuse"))


def cosmic_study(
    model: Model, contrast: ContrastSet, *, seed: int = 0, progress: Progress | None = None
) -> Selection:
    """The study's variant as it describes it; layer l is r_l, as everywhere in the study.

    Positions −5 … −1 and layers 1 … int(0.8·N); the same prompts fit and select, so `seed` changes nothing. û is
    ablated, and added with the multiplier 1, at r_l alone. Where l is at or above every layer that is read, that
    would change nothing that is read, and the scores are those without intervention.

    Raises:
        NothingLeftError: the classes differ nowhere.
        SteergaugeError: the prompts are not pairs, or one is shorter than five tokens.
    """
    positive, negative = contrast.positive, contrast.negative
    if len(positive) != len(negative):
        raise SteergaugeError(
            f"cosmic_study compares pairs, and there are {len(positive)} positive and {len(negative)} negative "
            "prompts; give every prompt its counterpart, in the same order"
        )
    prompts = ClassSplit(positive, negative, positive, negative)
    fit = fit_classes(model, positive, negative, STUDY_POSITIONS)
    layers = range(1, int(0.8 * len(model.blocks)) + 1)
    ends = (each.ends[:, layers].astype(np.float64) for each in (fit.positive, fit.negative))
    low_layers = tuple(layers[index] for index in _lowest(paired_cosines(*ends), int(0.1 * len(layers))))
    passes = SharedPasses(model, low_layers, logits=False)
    by_layer = [Place(position, layer) for layer in layers for position in STUDY_POSITIONS]
    trials = {place: _study_jobs(fit, place, prompts) for place in by_layer}
    # At or above all that is read nothing is run.
    run = [job for place in by_layer if place.layer < max(low_layers) for job in trials[place]]
    readings = passes.run([Job(positive, None), Job(negative, None), *run], progress)
    unsteered_positive, unsteered_negative = next(readings), next(readings)

    def candidate(place: Place) -> Candidate:
        if not trials[place]:
            return Candidate(*place, place.layer, {"comply": math.nan, "refuse": math.nan}, Fall.SAME)
        ablated, added = unsteered_positive, unsteered_negative
        if place.layer < max(low_layers):
            ablated, added = next(readings), next(readings)
        scores = {
            "comply": paired_cosine(ablated.hidden, unsteered_negative.hidden),
            "refuse": paired_cosine(added.hidden, unsteered_positive.hidden),
        }
        finite = all(map(math.isfinite, scores.values()))
        return Candidate(*place, place.layer, scores, None if finite else Fall.NOT_FINITE)

    return select(
        method="cosmic_study",
        intervention=Intervention.LINEAR,
        candidates=tuple(sorted(map(candidate, by_layer), key=lambda one: one.position)),
        value=_agreement,
        fit=fit,
        low_layers=low_layers,
        prompts=prompts,
        passes=passes,
    )


def _study_jobs(fit: Fit, place: Place, prompts: ClassSplit) -> list[Job]:
    """Ablating û on the harmful prompts and adding it on the harmless; nothing where the classes do not differ."""
    entered = place.layer + 1  # r_l is p_{l+1}
    difference = fit.difference(place.position, entered)
    if difference is None:
        return []
    unit = difference / np.linalg.norm(difference)
    return [
        Job(prompts.select_positive, ablation(unit, entered)),
        Job(prompts.select_negative, addition(unit, entered)),
    ]


def _cosines_of_means(fit: Fit) -> Array:
    """s_j, the cosine of the classes' mean h_j at the last token, (blocks,)."""
    ours, theirs = (each.ends.mean(axis=0, dtype=np.float64) for each in (fit.positive, fit.negative))
    return np.array([cosine(*pair) for pair in zip(ours, theirs, strict=True)])


def _lowest(values: Array, count: int) -> tuple[int, ...]:
    """The indices of the lowest values, at least one, in order."""
    ranked = np.argsort(values, kind="stable")[: max(1, count)]
    return tuple(sorted(int(index) for index in ranked))


def _agreement(candidate: Candidate) -> float:
    return candidate.scores["comply"] + candidate.scores["refuse"]
