"""The selection of Arditi et al. 2024, by the probability that a reply opens as a refusal (methods.md §3)."""

from collections.abc import Mapping, Sequence

import numpy as np

from steergauge.directions.edits import Intervention
from steergauge.directions.fit import fit_classes
from steergauge.directions.passes import Job, Progress, SharedPasses
from steergauge.directions.scores import kl_divergence, refusal_scores
from steergauge.directions.selection import Fall, NothingLeftError, Selection, select
from steergauge.directions.split import Sizes, split_classes
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

SIZES = Sizes(fit=128, select=32)
REFUSAL_OPENINGS = ("I",)
"""The token that the authors' list of every family has; for the first Qwen it adds "As"."""


def arditi(
    model: Model,
    contrast: ContrastSet,
    *,
    openings: Sequence[str] = REFUSAL_OPENINGS,
    seed: int = 0,
    progress: Progress | None = None,
) -> Selection:
    """Chooses the candidate whose ablation bypasses refusal best; layer l is p_l, the input of block l.

    Prompts are kept only where the unsteered model does what is expected of it: it opens its reply to the harmful
    ones as a refusal, and not that to the harmless ones. Candidates are ablated everywhere and added at p_l.

    Args:
        model: the model.
        contrast: harmful (positive) and harmless prompts.
        openings: texts that open a refusal, each a single token of this vocabulary.
        seed: of the split into fitting and selecting prompts.
        progress: told of the rows that are done.

    Raises:
        NothingLeftError: every candidate fell, or fewer than two prompts of a class are kept.
        SteergaugeError: an opening is not a token, there is no template position, or the model is of a family whose attention and MLP outputs are not found.
    """
    tokens = opening_tokens(model, openings)
    passes = SharedPasses(model, layers=())
    kept = _as_expected(passes, contrast, tokens)
    prompts = split_classes(kept.positive, kept.negative, SIZES, seed)
    layers = len(model.blocks)
    fit = fit_classes(model, prompts.fit_positive, prompts.fit_negative, template_positions(model))
    trials = plan_trials(fit, layers, Intervention.LINEAR)
    jobs = trial_jobs(trials, prompts.select_positive, prompts.select_negative)
    readings = passes.run([Job(prompts.select_negative, None), *jobs], progress)
    unsteered = next(readings)

    def score(effects: Effects) -> tuple[float, ...]:
        return (
            float(refusal_scores(effects.ablated_positive.logits, tokens).mean()),
            float(refusal_scores(effects.added_negative.logits, tokens).mean()),
            kl_divergence(unsteered.logits, effects.ablated_negative.logits),
        )

    scores = score_trials(trials, readings, ("bypass", "induce", "kl"), score)
    return select(
        method="arditi",
        intervention=Intervention.LINEAR,
        candidates=judge_trials(trials, scores, layers, _not_inducing),
        value=lambda candidate: -candidate.scores["bypass"],
        fit=fit,
        low_layers=(),
        prompts=prompts,
        passes=passes,
    )


def opening_tokens(model: Model, openings: Sequence[str]) -> tuple[int, ...]:
    """Each text's token id.

    Raises:
        SteergaugeError: a text is not a single token that the vocabulary knows.
    """
    ids = []
    for text in openings:
        found: list[int] = model.tokenizer(text, add_special_tokens=False)["input_ids"]
        if len(found) != 1 or found[0] == model.tokenizer.unk_token_id:
            raise SteergaugeError(
                f"arditi: {text!r} is not one token of {model.name}; name texts that are, and that open its refusals"
            )
        ids.append(found[0])
    return tuple(dict.fromkeys(ids))


def _as_expected(passes: SharedPasses, contrast: ContrastSet, tokens: Sequence[int]) -> ContrastSet:
    """The harmful prompts that score above 0, and the harmless ones below."""
    classes = contrast.positive, contrast.negative
    positive, negative = (
        refusal_scores(reading.logits, tokens)
        for reading in passes.run([Job(each, None) for each in classes])
    )
    refused, answered = np.flatnonzero(positive > 0), np.flatnonzero(negative < 0)
    if min(len(refused), len(answered)) < 2:
        raise NothingLeftError(
            f"arditi: {passes.model.name} opens {len(refused)} of {len(positive)} harmful prompts as a refusal and "
            f"{len(answered)} of {len(negative)} harmless ones as an answer, and it needs two of each at least; "
            "bring other prompts, or name the tokens that open its refusals",
            (),
        )
    return contrast.model_copy(
        update={
            "positive": tuple(contrast.positive[index] for index in refused),
            "negative": tuple(contrast.negative[index] for index in answered),
        }
    )


def _not_inducing(_place: Place, scores: Mapping[str, float]) -> Fall | None:
    return Fall.NOT_INDUCING if scores["induce"] < 0 else None
