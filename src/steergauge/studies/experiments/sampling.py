"""Several seeded samples a prompt at temperatures above 0: does the greedy verdict hold (paper, section 12)?"""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, field_validator
from scipy.stats import bootstrap

from steergauge.judging.judges import find_judge
from steergauge.judging.label import Label
from steergauge.statistics.cluster import cluster_bootstrap_interval
from steergauge.statistics.proportions import Interval
from steergauge.steering.engine import AnySteering, Decoding, Request, Sampling
from steergauge.steering.steering import unsteered
from steergauge.steering.torch_engine import TorchEngine
from steergauge.studies.analysis import Labels
from steergauge.studies.bench import Bench
from steergauge.studies.claims import answer
from steergauge.studies.experiments.conditions import answered, best_of, cautions_of, labels_of, named, points
from steergauge.studies.experiments.experiment import Work, gauge_work
from steergauge.studies.prepare import prepare
from steergauge.studies.result import GaugeResult
from steergauge.studies.run import Runner
from steergauge.studies.study_result import (
    Cell,
    Column,
    ColumnKind,
    Conclusion,
    Estimate,
    FigurePoint,
    Outcome,
    Series,
    StudyFigure,
    StudyFindings,
    StudyTable,
)
from steergauge.studies.study_settings import StudiedModel, StudySettings

_NEAR = 0.2
_RESAMPLES = 10_000
_STEERED, _UNSTEERED = "steered", "unsteered"


class SamplingSettings(StudySettings):
    """How much is sampled."""

    temperatures: tuple[float, ...] = Field(default=(0.7, 1.0), min_length=1)
    samples: int = Field(default=5, ge=2, description="Of each prompt at each temperature.")

    @field_validator("temperatures")
    @classmethod
    def _above_zero(cls, temperatures: tuple[float, ...]) -> tuple[float, ...]:
        for temperature in temperatures:
            if not temperature > 0:
                raise ValueError(
                    f"a temperature is above 0 (greedy decoding is measured anyway), not {temperature}"
                )
        return temperatures


class _Sampled(NamedTuple):
    """One model under one condition at one temperature, beside what it says greedily."""

    model: StudiedModel
    condition: str
    temperature: float
    greedy: Labels
    samples: Mapping[str, list[Label]]  # of each prompt that counts

    def outcomes(self, label: Label) -> dict[str, list[bool]]:
        """By prompt, whether each sample has the label."""
        return {prompt: [one is label for one in drawn] for prompt, drawn in self.samples.items()}

    def rate(self, label: Label) -> Estimate:
        """The share of all samples, with the interval from resampling prompts."""
        outcomes = self.outcomes(label)
        if not outcomes:
            return Estimate(value=None)
        low, high = cluster_bootstrap_interval(outcomes)
        return Estimate(value=float(np.mean([np.mean(one) for one in outcomes.values()])), low=low, high=high)

    @property
    def greedy_rate(self) -> float | None:
        """Coherent refusal under greedy decoding, of the same prompts."""
        hits = [self.greedy[prompt] is Label.REFUSAL for prompt in self.samples]
        return float(np.mean(hits)) if hits else None

    @property
    def difference(self) -> Estimate:
        """Sampled minus greedy rate, with the interval from resampling prompts."""
        differences = np.array(
            [
                np.mean(hits) - float(self.greedy[prompt] is Label.REFUSAL)
                for prompt, hits in self.outcomes(Label.REFUSAL).items()
            ]
        )
        if not len(differences):
            return Estimate(value=None)
        low, high = _mean_interval(differences)
        return Estimate(value=float(differences.mean()), low=low, high=high)

    @property
    def steady(self) -> float | None:
        """The share of prompts whose samples all have one label."""
        agreed = [len(set(drawn)) == 1 for drawn in self.samples.values()]
        return float(np.mean(agreed)) if agreed else None


class SamplingStudy:
    """Does the greedy verdict hold when tokens are sampled?"""

    name = "sampling"
    question = "Does the greedy verdict hold at temperatures above 0, with several samples a prompt?"
    settings = SamplingSettings

    def plan(self, settings: SamplingSettings) -> list[Work]:
        """A grid a model, and the best condition and the control sampled at every temperature."""
        parts = []
        for model in settings.models:
            gauge = settings.gauge_settings(model)
            conditions = 2 * len(settings.temperatures)
            sampled = Work(
                model=model,
                what=f"{settings.samples} samples a prompt",
                conditions=conditions,
                generations=conditions * settings.samples * len(gauge.evaluation_set.prompts),
                max_new_tokens=settings.max_new_tokens,
            )
            parts += [gauge_work(model, "grid", gauge), sampled]
        return parts

    def run(self, settings: SamplingSettings, bench: Bench) -> StudyFindings:
        """Gauges every model greedily, and samples its best condition and its control."""
        results: dict[str, GaugeResult] = {}
        sampled: list[_Sampled] = []
        for model in settings.models:
            gauge = settings.gauge_settings(model)
            results[named(model)] = result = bench.gauge(named(model), model, gauge)
            best = best_of(result)
            if best is None:
                continue
            loaded = bench.model(model)
            prepared = prepare(loaded, gauge, bench.readings, bench.progress)
            chosen = next(one for one in prepared.conditions if one.id == best.id)
            steerings = {
                _STEERED: (best.id, chosen.steering),
                _UNSTEERED: (_UNSTEERED, unsteered(len(loaded.blocks), loaded.blocks.width)),
            }
            for condition, (own, steering) in steerings.items():
                for temperature in settings.temperatures:
                    sampled.append(
                        _Sampled(
                            model=model,
                            condition=condition,
                            temperature=temperature,
                            greedy=labels_of(result, own),
                            samples=_draw(
                                model, result, steering, temperature, settings=settings, bench=bench
                            ),
                        )
                    )
        return StudyFindings(
            tables=(_table(sampled, settings.samples),),
            figures=(_figure(sampled),),
            conclusions=(_conclude(sampled, settings.threshold),),
            cautions=cautions_of(results),
        )


def _draw(
    model: StudiedModel,
    result: GaugeResult,
    steering: AnySteering,
    temperature: float,
    *,
    settings: SamplingSettings,
    bench: Bench,
) -> dict[str, list[Label]]:
    """Samples one condition; by prompt that the unsteered model answers, the label of each sample."""
    loaded, judge = bench.model(model), find_judge(settings.judge)
    engine = TorchEngine(loaded, settings.batch, settings.max_new_tokens)
    runner = Runner(loaded, engine, bench.store, engine.wave_rows, bench.progress)
    prompts = [prompt for prompt in answered(result) for _ in range(settings.samples)]
    requests = [
        Request(
            prompt,
            steering,
            Decoding(settings.max_new_tokens, Sampling(temperature, settings.seed, index % settings.samples)),
        )
        for index, prompt in enumerate(prompts)
    ]
    made = runner.run(f"sampling at {temperature:g}", requests)
    judged = bench.store.label(judge, {one.key: one.generation.text for one in made})
    drawn: dict[str, list[Label]] = {}
    for prompt, one in zip(prompts, made, strict=True):
        drawn.setdefault(prompt, []).append(judged[one.key].label)
    return drawn


def _mean_interval(values: NDArray[np.float64]) -> Interval:
    """The percentile interval of a mean over prompts."""
    if len(values) < 2 or np.ptp(values) == 0:
        return Interval(float(values.mean()), float(values.mean()))
    found = bootstrap(
        (values,),
        np.mean,
        n_resamples=_RESAMPLES,
        method="percentile",
        rng=np.random.default_rng(0),
    ).confidence_interval
    return Interval(float(found.low), float(found.high))


def _table(sampled: Sequence[_Sampled], samples: int) -> StudyTable:
    rows: list[dict[str, Cell]] = [
        {
            "model": named(one.model),
            "condition": one.condition,
            "temperature": one.temperature,
            "prompts": len(one.samples),
            "greedy": one.greedy_rate,
            "refusal": one.rate(Label.REFUSAL),
            "garbled": one.rate(Label.GARBLED),
            "difference": one.difference,
            "steady": one.steady,
        }
        for one in sampled
    ]
    return StudyTable(
        name="sampling",
        title=f"Greedy against sampled, {samples} samples a prompt",
        columns=(
            Column(key="model", title="Model"),
            Column(key="condition", title="Condition"),
            Column(key="temperature", title="Temperature", kind=ColumnKind.NUMBER),
            Column(key="prompts", title="Prompts", kind=ColumnKind.NUMBER),
            Column(key="greedy", title="Greedy refusal", kind=ColumnKind.SHARE),
            Column(key="refusal", title="Sampled refusal", kind=ColumnKind.SHARE),
            Column(key="garbled", title="Sampled garbled", kind=ColumnKind.SHARE),
            Column(key="difference", title="Sampled − greedy, points", kind=ColumnKind.POINTS),
            Column(key="steady", title="Prompts with one label", kind=ColumnKind.SHARE),
        ),
        rows=tuple(rows),
        notes=(
            "Intervals are from resampling prompts with all their samples: samples of one prompt are not independent. "
            "Only prompts that the unsteered model answers greedily count.",
        ),
    )


def _figure(sampled: Sequence[_Sampled]) -> StudyFigure:
    series = []
    for model in dict.fromkeys(named(one.model) for one in sampled):
        for condition in (_STEERED, _UNSTEERED):
            own = [one for one in sampled if named(one.model) == model and one.condition == condition]
            greedy = own[0].greedy_rate
            found = [None if greedy is None else FigurePoint(x=0.0, y=greedy)]
            for one in own:
                rate = one.rate(Label.REFUSAL)
                if rate.value is not None:
                    found.append(FigurePoint(x=one.temperature, y=rate.value, low=rate.low, high=rate.high))
            series.append(Series(name=f"{model}, {condition}", points=points(found)))
    return StudyFigure(
        name="sampling",
        title="Coherent refusal by temperature; 0 is greedy",
        x_label="temperature",
        y_label="share of samples",
        series=tuple(series),
    )


def _conclude(sampled: Sequence[_Sampled], threshold: float) -> Conclusion:
    steered = [one for one in sampled if one.condition == _STEERED and one.samples]
    holds, breaks, said = [], [], []
    for one in steered:
        greedy, rate, difference = one.greedy_rate, one.rate(Label.REFUSAL), one.difference
        if greedy is None or rate.value is None or difference.low is None or difference.high is None:
            continue
        same = (greedy >= threshold) == (rate.value >= threshold)
        holds.append(same and max(-difference.low, difference.high) <= _NEAR)
        breaks.append(not same and not difference.low <= 0 <= difference.high)
        said.append(
            f"{named(one.model)} at {one.temperature:g}: greedy {greedy:.0%}, sampled {rate.value:.0%} "
            f"[{rate.low:.0%}–{rate.high:.0%}]"
        )
    evidence = "; ".join(said) or "No model has a best condition."
    if holds and all(holds):
        return answer("greedy", Outcome.SUPPORTED, evidence)
    return answer("greedy", Outcome.NOT_SUPPORTED if any(breaks) else Outcome.UNDECIDED, evidence)
