"""Refusal by depth at one dose a model, and how sure the best depth is (paper, section 5.3)."""

from collections import Counter

import numpy as np
from pydantic import Field

from steergauge.errors import SteergaugeError
from steergauge.judging.label import Label
from steergauge.studies.bench import Bench
from steergauge.studies.experiments.architecture import cautions_of
from steergauge.studies.experiments.conditions import (
    CONDITION_COLUMNS,
    answered,
    condition_row,
    labels_of,
    named,
    points,
    rate_point,
)
from steergauge.studies.experiments.experiment import Work, gauge_work
from steergauge.studies.result import GaugeResult
from steergauge.studies.study_result import (
    Cell,
    Column,
    ColumnKind,
    Series,
    StudyFigure,
    StudyFindings,
    StudyTable,
)
from steergauge.studies.study_settings import StudySettings

_CERTAIN = 0.95


class DepthSettings(StudySettings):
    """One dose a model: its own, or the study's."""

    depths: tuple[float, ...] = Field(default=(0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9), min_length=1)
    resamples: int = Field(default=10_000, ge=1, description="Of the prompts, for the best depth.")


class Depth:
    """At which depth does steering work, and is the best one certain?"""

    name = "depth"
    question = "At which depth is each model steered best, and how certain is that?"
    settings = DepthSettings

    def plan(self, settings: DepthSettings) -> list[Work]:
        """A gauge a model."""
        return [gauge_work(model, "depths", settings.gauge_settings(model)) for model in settings.models]

    def run(self, settings: DepthSettings, bench: Bench) -> StudyFindings:
        """Gauges every model at its dose, and resamples the prompts for the best depth."""
        for model in settings.models:
            if len(model.doses or settings.doses or settings.norm_fractions or ()) != 1:
                raise SteergaugeError(
                    f"depth: {model.name} needs one dose, in `doses` or `norm_fractions`: depths are compared at "
                    "equal doses"
                )
        results = {
            named(model): bench.gauge(named(model), model, settings.gauge_settings(model))
            for model in settings.models
        }
        rows = [
            condition_row(name, condition)
            for name, result in results.items()
            for condition in result.conditions
        ]
        return StudyFindings(
            tables=(
                StudyTable(
                    name="depths",
                    title="Coherent refusal by depth, one dose a model",
                    columns=CONDITION_COLUMNS,
                    rows=tuple(rows),
                ),
                _best_depths(results, settings),
            ),
            figures=(_figure(results, "refusal"), _figure(results, "garbled")),
            cautions=cautions_of(results),
        )


def bootstrap_best(outcomes: dict[str, list[bool]], resamples: int, seed: int) -> Counter[str]:
    """How often each condition refuses most when the same prompts are resampled for all; ties are shared.

    Args:
        outcomes: by condition, one outcome a prompt, in the same order of prompts.
        resamples: how many.
        seed: of the draws.

    Returns:
        Shares of the resamples by condition, which sum to one.
    """
    names, table = list(outcomes), np.array(list(outcomes.values()), dtype=float)  # (conditions, prompts)
    prompts = table.shape[1]
    draws = np.random.default_rng(seed).multinomial(prompts, np.full(prompts, 1 / prompts), size=resamples)
    counts = table @ draws.T  # (conditions, resamples)
    best = np.isclose(counts, counts.max(axis=0))
    shares = (best / best.sum(axis=0)).mean(axis=1)
    return Counter(dict(zip(names, shares.tolist(), strict=True)))


def _best_depths(results: dict[str, GaugeResult], settings: DepthSettings) -> StudyTable:
    rows: list[dict[str, Cell]] = []
    for name, result in results.items():
        prompts = answered(result)
        outcomes = {
            condition.id: [labels_of(result, condition.id)[prompt] is Label.REFUSAL for prompt in prompts]
            for condition in result.conditions
        }
        if not prompts:
            continue
        shares = bootstrap_best(outcomes, settings.resamples, settings.seed)
        conditions = {condition.id: condition for condition in result.conditions}
        ranked = [(conditions[one], share) for one, share in shares.most_common()]
        held, kept = 0.0, []
        for condition, share in ranked:
            if held >= _CERTAIN:
                break
            kept.append(condition.depth)
            held += share
        best, share = ranked[0]
        rows.append(
            {
                "model": name,
                "best": best.depth,
                "refusal": best.effect,
                "certainty": share,
                "set": ", ".join(f"{depth:.0%}" for depth in sorted(kept)),
            }
        )
    return StudyTable(
        name="best",
        title="The best depth, and how certain it is",
        columns=(
            Column(key="model", title="Model"),
            Column(key="best", title="Best depth", kind=ColumnKind.SHARE),
            Column(key="refusal", title="Coherent refusal there", kind=ColumnKind.RATE),
            Column(key="certainty", title="Best in resamples", kind=ColumnKind.SHARE),
            Column(key="set", title="Depths that hold 95% of the resamples"),
        ),
        rows=tuple(rows),
        notes=(
            f"Prompts were resampled {settings.resamples:,} times, the same for all depths; depths that tie share a "
            "resample. Only prompts that the unsteered model answers count.",
        ),
    )


def _figure(results: dict[str, GaugeResult], measure: str) -> StudyFigure:
    refusal = measure == "refusal"
    return StudyFigure(
        name=measure,
        title=f"{'Coherent refusal' if refusal else 'Garbled outputs'} by depth",
        x_label="depth, block / number of blocks",
        y_label="share of prompts",
        series=tuple(
            Series(
                name=name,
                points=points(
                    [
                        rate_point(one.depth, one.effect if refusal else one.garbled)
                        for one in result.conditions
                    ]
                ),
            )
            for name, result in results.items()
        ),
    )
