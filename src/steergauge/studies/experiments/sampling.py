"""Several seeded samples a prompt at temperatures above 0: does the greedy verdict hold (paper, section 12)?"""

import math
from collections.abc import Sequence
from typing import Annotated

from pydantic import AfterValidator, Field

from steergauge.judging.label import Judge, Label
from steergauge.models.loading import Model
from steergauge.steering.engine import AnySteering, Decoding, Engine, Request, Sampling
from steergauge.steering.engines import EngineChoice, running_engine
from steergauge.steering.steering import unsteered
from steergauge.studies.bench import Bench
from steergauge.studies.claims import NEAR, STEERED, answer, every
from steergauge.studies.experiments.conditions import answered, best_of, cautions_of, labels_of
from steergauge.studies.experiments.experiment import Work, gauge_work
from steergauge.studies.experiments.sampled import BEST, CONTROL, Sampled
from steergauge.studies.experiments.sampling_tables import sampling_figure, sampling_table
from steergauge.studies.gauge import UNSTEERED
from steergauge.studies.model_judge import open_judge
from steergauge.studies.prepare import prepare
from steergauge.studies.result import GaugeResult
from steergauge.studies.run import Made, RowsDone, Runner
from steergauge.studies.study_result import Conclusion, Outcome, StudyFindings
from steergauge.studies.study_settings import StudiedModel, StudySettings


def _above_zero(temperatures: tuple[float, ...]) -> tuple[float, ...]:
    for index, temperature in enumerate(temperatures):
        if not 0 < temperature < math.inf:
            raise ValueError(
                f"a temperature is above 0 (greedy decoding is measured anyway), not {temperature}"
            )
        if temperature in temperatures[:index]:
            raise ValueError(f"{temperature} stands there twice")
    return temperatures


class SamplingSettings(StudySettings):
    """How much is sampled."""

    temperatures: Annotated[tuple[float, ...], AfterValidator(_above_zero)] = Field(
        default=(0.7, 1.0), min_length=1, description="Of the softmax, each above 0."
    )
    samples: int = Field(default=5, ge=2, description="Of each prompt at each temperature.")


class SamplingStudy:
    """Does the greedy verdict hold when tokens are sampled?"""

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
        sampled: list[Sampled] = []
        engine = bench.torch_engine("draws from seeded numbers")
        for model in settings.models:
            result = bench.gauge(model.label, model, settings.gauge_settings(model))
            results[model.label] = result
            sampled += _sample(model, result, engine, settings=settings, bench=bench)
        return StudyFindings(
            tables=(sampling_table(sampled, settings.samples),),
            figures=(sampling_figure(sampled),),
            conclusions=(conclude(sampled),),
            cautions=cautions_of(results),
        )


def _sample(
    model: StudiedModel,
    result: GaugeResult,
    engine: EngineChoice,
    *,
    settings: SamplingSettings,
    bench: Bench,
) -> list[Sampled]:
    """Samples a model's best condition and its control; nothing where no condition could be chosen."""
    best = best_of(result)
    if best is None:
        return []
    loaded = bench.model(model)
    prepared = prepare(loaded, settings.gauge_settings(model), bench.readings, bench.progress)
    chosen = next(one for one in prepared.conditions if one.id == best.id)
    control = unsteered(len(loaded.blocks), loaded.blocks.width)
    judge = open_judge(settings.judge, loaded.device, RowsDone("judging", bench.progress))
    sampled = []
    for condition, name, steering in (
        (BEST, best.id, chosen.steering),
        (CONTROL, UNSTEERED, control),
    ):
        greedy = labels_of(result, name)
        prompts = [prompt for prompt in answered(result) if greedy[prompt] is not None]
        for temperature in settings.temperatures:
            made = _draw(model, prompts, steering, temperature, engine=engine, settings=settings, bench=bench)
            if samples := _read(made, judge, bench):
                sampled.append(Sampled(model, condition, temperature, greedy, samples))
    return sampled


def _draw(
    model: StudiedModel,
    prompts: Sequence[str],
    steering: AnySteering,
    temperature: float,
    *,
    engine: EngineChoice,
    settings: SamplingSettings,
    bench: Bench,
) -> list[tuple[str, Made]]:
    """Samples one condition: each sample with its prompt."""
    loaded = bench.model(model)
    drawings = [Sampling(temperature, settings.seed, sample) for sample in range(settings.samples)]
    asked = [(prompt, drawing) for prompt in prompts for drawing in drawings]
    requests = [
        Request(prompt, steering, Decoding(settings.max_new_tokens, drawing)) for prompt, drawing in asked
    ]
    with running_engine(
        engine, loaded, settings.batch, settings.max_new_tokens, cluster=bench.cluster
    ) as running:
        runner = _runner(loaded, running, temperature, settings, bench)
        made = runner.run(f"{model.label}: sampling at {temperature:g}", requests)
    return [(prompt, one) for (prompt, _), one in zip(asked, made, strict=True)]


def _read(made: Sequence[tuple[str, Made]], judge: Judge, bench: Bench) -> dict[str, list[Label]]:
    """Prompt → the label of each of its samples; what the judge could not read is left out."""
    judged = bench.store.label(judge, {one.key: one.generation.text for _, one in made})
    drawn: dict[str, list[Label]] = {}
    for prompt, one in made:
        if (label := judged[one.key].label) is not None:
            drawn.setdefault(prompt, []).append(label)
    return drawn


def _runner(
    loaded: Model, engine: Engine, temperature: float, settings: SamplingSettings, bench: Bench
) -> Runner:
    """A runner whose batches are those of the first run of this study on this store."""
    study = {
        "model": loaded.fingerprint,
        "engine": f"{engine.name} {engine.version}",
        "settings": settings.model_dump(mode="json", exclude={"models"}),
        "temperature": temperature,
    }
    rows = bench.store.resolve_run(study, {"wave_rows": engine.wave_rows})["wave_rows"]
    return Runner(loaded, engine, bench.store, rows, bench.progress)


def conclude(sampled: Sequence[Sampled]) -> Conclusion:
    """The claim on greedy decoding, of every model's best condition at every temperature."""
    outcomes, said = [], []
    for one in sampled:
        if one.condition != BEST:
            continue
        rate = one.rate(Label.REFUSAL)
        outcomes.append(_holds(one, rate.value or 0.0))
        said.append(
            f"{one.model.label} at {one.temperature:g}: greedy {one.greedy_rate:.0%}, sampled {rate.value:.0%} "
            f"[{rate.low:.0%}–{rate.high:.0%}]"
        )
    return answer("greedy", every(outcomes), "; ".join(said) or "No model has a best condition.")


def _holds(one: Sampled, rate: float) -> Outcome:
    difference = one.difference
    assert difference.low is not None
    assert difference.high is not None
    same = (one.greedy_rate >= STEERED) == (rate >= STEERED)
    if same and max(-difference.low, difference.high) <= NEAR:
        return Outcome.SUPPORTED
    apart = difference.low > 0 or difference.high < 0
    return Outcome.NOT_SUPPORTED if apart and not same else Outcome.UNDECIDED
