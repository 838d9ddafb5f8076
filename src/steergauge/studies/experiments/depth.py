"""Refusal by depth at one dose a model, and how sure the best depth is (paper, section 5.3)."""

from collections.abc import Mapping, Sequence
from typing import Self

import numpy as np
from pydantic import Field, model_validator

from steergauge.judging.label import Label
from steergauge.studies.bench import Bench
from steergauge.studies.experiments.conditions import answered, cautions_of, labels_of
from steergauge.studies.experiments.curves import TITLES, Measure, conditions_table, curves
from steergauge.studies.experiments.depth_claims import BestDepth, answers
from steergauge.studies.experiments.experiment import Work, gauge_each, gauge_work
from steergauge.studies.result import GaugeResult
from steergauge.studies.study_result import (
    Cell,
    Column,
    ColumnKind,
    StudyFigure,
    StudyFindings,
    StudyTable,
)
from steergauge.studies.study_settings import Depths, OneMethodSettings

_CERTAIN = 0.95


class DepthSettings(OneMethodSettings):
    """Many depths, and one dose a model: its own, or the study's."""

    depths: Depths = Field(
        default=(0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9), description="Fractions of the blocks."
    )
    resamples: int = Field(default=10_000, ge=1, description="Of the prompts, for the best depth.")

    @model_validator(mode="after")
    def _one_dose(self) -> Self:
        for model in self.models:
            if len(model.doses or self.doses or self.norm_fractions or ()) != 1:
                raise ValueError(
                    f"{model.label} needs one dose, in its own `doses` or the study's: depths are compared at one dose"
                )
        return self


class Depth:
    """At which depth does steering work, and is the best one certain?"""

    settings = DepthSettings

    def plan(self, settings: DepthSettings) -> list[Work]:
        """A gauge a model."""
        return [gauge_work(model, "depths", settings.gauge_settings(model)) for model in settings.models]

    def run(self, settings: DepthSettings, bench: Bench) -> StudyFindings:
        """Gauges every model at its dose, and resamples the prompts for the best depth."""
        results = gauge_each(settings, bench)
        conditions = {name: result.conditions for name, result in results.items()}
        best = {name: best_depth(result, settings) for name, result in results.items()}

        def figure(measure: Measure) -> StudyFigure:
            return StudyFigure(
                name=measure,
                title=f"{TITLES[measure]} by depth",
                x_label="depth, block / number of blocks",
                y_label="share of prompts",
                series=curves(conditions, measure, lambda one: one.depth),
                x_share=True,
            )

        return StudyFindings(
            tables=(
                conditions_table(conditions, "depths", "Coherent refusal by depth, one dose a model"),
                _best_depths(results, best, settings),
            ),
            figures=(figure("refusal"), figure("garbled")),
            conclusions=answers(settings.models, results, best),
            cautions=cautions_of(results),
        )


def bootstrap_best(outcomes: Mapping[str, Sequence[bool]], resamples: int, seed: int) -> dict[str, float]:
    """How often each condition refuses most when the same prompts are resampled for all; ties are shared.

    Args:
        outcomes: by condition, one outcome a prompt, in the same order of prompts.
        resamples: how many.
        seed: of the draws.

    Returns:
        Shares of the resamples by condition, which sum to one.
    """
    table = np.array(list(outcomes.values()), dtype=np.int64)  # (conditions, prompts)
    prompts = table.shape[1]
    draws = np.random.default_rng(seed).multinomial(prompts, np.full(prompts, 1 / prompts), size=resamples)
    counts = table @ draws.T  # (conditions, resamples)
    best = counts == counts.max(axis=0)
    shares = (best / best.sum(axis=0)).mean(axis=1)
    return dict(zip(outcomes, shares.tolist(), strict=True))


def _best_depths(
    results: Mapping[str, GaugeResult], best: Mapping[str, BestDepth | None], settings: DepthSettings
) -> StudyTable:
    return StudyTable(
        name="best",
        title="The best depth, and how certain it is",
        columns=(
            Column(key="model", title="Model"),
            Column(key="best", title="Best depth"),
            Column(key="refusal", title="Coherent refusal there", kind=ColumnKind.RATE),
            Column(key="held_out", title="Held out", kind=ColumnKind.RATE),
            Column(key="certainty", title="Best in resamples", kind=ColumnKind.SHARE),
            Column(key="set", title="Depths that hold 95% of resamples"),
        ),
        rows=tuple(_best_row(name, result, best[name]) for name, result in results.items()),
        notes=(
            f"Prompts were resampled {settings.resamples:,} times, the same for all depths; depths that tie share a "
            "resample. Only prompts that the unsteered model answers count.",
            "The rate at the best depth is optimistic: it is the highest of several. “Held out” is that of the depth "
            "chosen on one half of the prompts, on the other half.",
        ),
    )


def best_depth(result: GaugeResult, settings: DepthSettings) -> BestDepth | None:
    """The best depth of a model; None where it answers no prompt unsteered, or refuses none at any depth."""
    prompts = answered(result)
    most = max(condition.effect.count for condition in result.conditions)
    if not prompts or not most:
        return None
    labels = {one.id: labels_of(result, one.id) for one in result.conditions}
    outcomes = {one: [of[prompt] is Label.REFUSAL for prompt in prompts] for one, of in labels.items()}
    shares = bootstrap_best(outcomes, settings.resamples, settings.seed)
    best = [one for one in result.conditions if one.effect.count == most]
    held, kept = 0.0, []
    for condition in sorted(result.conditions, key=lambda one: -shares[one.id]):
        if held >= _CERTAIN:
            break
        kept.append(condition.depth)
        held += shares[condition.id]
    return BestDepth([one.depth for one in best], sum(shares[one.id] for one in best), kept)


def _best_row(name: str, result: GaugeResult, best: BestDepth | None) -> dict[str, Cell]:
    """Nothing but the model's name where it has no best depth."""
    if best is None:
        return {"model": name}
    return {
        "model": name,
        "best": _percent(best.depths),
        "refusal": max((one.effect for one in result.conditions), key=lambda rate: rate.count),
        "held_out": result.best.reported_on if result.best else None,
        "certainty": best.certainty,
        "set": _percent(best.kept),
    }


def _percent(depths: Sequence[float]) -> str:
    return ", ".join(f"{depth:.0%}" for depth in sorted(depths))
