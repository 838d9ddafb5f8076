"""The gauge: the study's protocol on one model, from capture to verdict."""

import logging
import time
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from functools import partial
from importlib.metadata import version
from pathlib import Path

from steergauge.activations.hooks import Baseline
from steergauge.directions.extract import ITI
from steergauge.directions.importing import ImportedDirection
from steergauge.judging.label import Judge, Reading
from steergauge.models.loading import Model, load_model
from steergauge.steering.checks import Outcome, check_instrument
from steergauge.steering.engine import AnySteering, Decoding, Engine, Request
from steergauge.steering.engines import choose_engine, running_engine
from steergauge.steering.ray_cluster import RayCluster, joined
from steergauge.steering.steering import unsteered
from steergauge.store import Store, open_store
from steergauge.studies import provenance
from steergauge.studies.analysis import (
    Labels,
    best_condition,
    random_control,
    window_around,
)
from steergauge.studies.condition_results import condition_results, describe_control
from steergauge.studies.describe import describe_directions, describe_dose, describe_model, describe_protocol
from steergauge.studies.grid_search import Searched, search_grid
from steergauge.studies.measurements import Best
from steergauge.studies.model_judge import open_judge
from steergauge.studies.outputs import JudgedOutputs, judge_made
from steergauge.studies.plan import ChosenDoses, PlannedCondition
from steergauge.studies.prepare import prepare
from steergauge.studies.readings import Readings
from steergauge.studies.result import (
    Check,
    GaugeResult,
    Provenance,
)
from steergauge.studies.run import Made, Progress, RowsDone, Runner, Silent
from steergauge.studies.settings import GaugeSettings
from steergauge.studies.side_by_side import side_by_side
from steergauge.studies.stopping import stop_rule
from steergauge.studies.surprise import Surprise, measure_surprise
from steergauge.studies.verdict import conclude

logger = logging.getLogger(__name__)

UNSTEERED = "unsteered"


def gauge(
    model: Model | str,
    settings: GaugeSettings | None = None,
    *,
    store: Store | Path | str = "steergauge.db",
    progress: Progress | None = None,
    readings: Readings | None = None,
    given: Mapping[str, ImportedDirection] | None = None,
    engine: str = "auto",
    tensor_parallel: int = 1,
    ray: RayCluster | str | None = None,
) -> GaugeResult:
    """Measures how steerable a model is by the study's protocol (paper, section 3).

    Args:
        model: a loaded model, or what `load_model` takes.
        settings: the protocol; the study's unless said otherwise.
        store: where generations are kept and found again.
        progress: is told how the sweep goes on.
        readings: of earlier gauges, which need not be made again.
        given: directions to measure beside those of the settings, by the names that they are measured under.
        engine: `torch`, `vllm` or `auto`.
        tensor_parallel: devices that vllm splits each matrix over.
        ray: a cluster that the outputs are made on, or its address; None: here.

    Raises:
        SteergaugeError: a setting, the model or the store cannot be used; the message says why.
        InstrumentError: a check of the instrument failed before the sweep.
    """
    model = load_model(model) if isinstance(model, str) else model
    settings = settings or GaugeSettings()
    choice = choose_engine(
        engine,
        model.device,
        tensor_parallel=tensor_parallel,
        steers_heads=ITI in settings.methods,
        quantized=model.quantized is not None,
    )
    logger.info("engine: %s (%s)", choice.name, choice.why)
    with (
        open_store(store) as opened,
        joined(ray) as cluster,
        running_engine(
            choice, model, settings.wave_rows, settings.max_new_tokens, cluster=cluster
        ) as running,
    ):
        own = _Gauge(
            model,
            settings,
            store=opened,
            progress=progress or Silent(),
            readings=readings or Readings(),
            given=given or {},
            engine=running,
            cluster=cluster,
        )
        return own.result()


class _Gauge:
    """One run of the gauge, stage by stage."""

    def __init__(
        self,
        model: Model,
        settings: GaugeSettings,
        *,
        store: Store,
        progress: Progress,
        readings: Readings,
        given: Mapping[str, ImportedDirection],
        engine: Engine,
        cluster: RayCluster | None,
    ) -> None:
        self.model, self.settings, self.store, self.progress = model, settings, store, progress
        self.readings, self.given, self.engine, self.cluster = readings, given, engine, cluster
        self.prompts = [prompt.text for prompt in settings.evaluation_set.prompts]
        self.judge: Judge = open_judge(settings.judge, model.device, RowsDone("judging", progress))
        # How surprising an output is depends on all of it.
        stop = None if settings.full or settings.surprise else stop_rule(self.judge, model)
        self.decoding = Decoding(settings.max_new_tokens, stop=stop)
        self.control = unsteered(len(model.blocks), model.blocks.width)
        self.started, self._clock = datetime.now(UTC), time.monotonic()

    def result(self) -> GaugeResult:
        """Runs every stage and returns what they found."""
        baseline, found, imported, directions, yardsticks, doses, conditions = prepare(
            self.model, self.settings, self.readings, self.progress, self.given
        )
        checks = self._check(conditions)
        runner = self._runner(doses, baseline)

        control, contrast_control = self._control(runner)
        searched = (
            self._search(runner, conditions, control.labels, baseline) if self.settings.search else None
        )
        made = searched.outputs if searched else self._sweep(runner, conditions)
        # With nothing to choose on, a search shows nothing to any condition.
        shown = [(planned, some) for planned, some in zip(conditions, made, strict=True) if some]
        outputs = [
            self._judged(planned.id, planned.method, planned, list(some), list(some.values()))
            for planned, some in shown
        ]
        results = condition_results(
            [planned for planned, _ in shown], outputs, control.labels, self.model, baseline
        )
        labels = {condition.id: condition.labels for condition in outputs}
        choice = results[searched.open_to_choice] if searched else results
        best = best_condition(choice, labels, control.labels, self.settings.seed)
        window = window_around(best, results, self.settings.threshold) if best else None
        randoms = self._randoms(runner, best, conditions) if best else {}
        beyond = (
            random_control(best, {seed: one.labels for seed, one in randoms.items()}, labels, control.labels)
            if best
            else None
        )
        description = describe_model(self.model, self.prompts[0])
        self.store.describe_model(self.model.fingerprint, description.model_dump(mode="json"))
        control_record = describe_control(control, contrast_control, self.settings.contrast_set)
        reported = [control, *outputs, *randoms.values()]
        surprises = self._surprises(reported)
        generations = [
            record
            for one in reported
            for record in one.records(
                self.settings.evaluation_set, control.labels, len(self.model.blocks), surprises
            )
        ]
        logger.info("%d generations were made now, the others were in the store", runner.made_now)
        return GaugeResult(
            model=description,
            protocol=describe_protocol(
                self.settings,
                self.judge,
                [*directions, *([ITI] if found.heads else [])],
                doses,
                batch_rows=runner.wave_rows,
                stop=self.decoding.stop,
            ),
            checks=[Check(name=name, passed=True, detail=detail) for name, detail in checks],
            unsteered=control_record,
            directions=describe_directions(yardsticks, found, imported, baseline.residual_norms),
            conditions=results,
            best=best,
            window=window,
            random_control=beyond,
            side_by_side=side_by_side(
                results,
                labels=labels,
                unsteered=control.labels,
                directions=directions,
                selected={name: selection.block for name, selection in found.selections.items()},
                seed=self.settings.seed,
            )
            if searched is None
            else None,
            search=searched.record if searched else None,
            verdict=conclude(
                model=description,
                unsteered=control_record,
                conditions=results,
                best=best,
                window=window,
                random=beyond,
                threshold=self.settings.threshold,
                judge=self.judge.name,
                search=searched.record if searched else None,
            ),
            provenance=Provenance(
                steergauge=version("steergauge"),
                engine=runner.setting.engine,
                versions=provenance.versions(),
                hardware=provenance.hardware(self.model.device)
                | (self.cluster.describe() if self.cluster else {}),
                seeds={"split": self.settings.seed} | {one.id: seed for seed, one in randoms.items()},
                started=self.started.isoformat(timespec="seconds"),
                seconds=round(time.monotonic() - self._clock, 1),
                generations=len(generations),
                tokens=sum(record.tokens for record in generations),
            ),
            generations=generations,
        )

    def _check(self, conditions: Sequence[PlannedCondition]) -> list[Outcome]:
        """Checks the instrument at the largest dose to the stream and at the largest to heads, if there are both."""
        largest: dict[type, PlannedCondition] = {}
        for condition in sorted(conditions, key=lambda one: one.largest_addition):
            largest[type(condition.steering)] = condition
        checked = [
            check_instrument(self.model, self.engine, self.prompts[0], condition.steering)
            for condition in largest.values()
        ]
        return list(dict.fromkeys(outcome for outcomes in checked for outcome in outcomes))

    def _runner(self, doses: ChosenDoses, baseline: Baseline) -> Runner:
        """A runner whose batches are those of the first run of this study on this store."""
        study = {
            "model": self.model.fingerprint,
            "engine": f"{self.engine.name} {self.engine.version}",
            "settings": self.settings.model_dump(mode="json"),
            "doses": doses.values,
        }
        resolved = self.store.resolve_run(study, {"wave_rows": self.engine.wave_rows})
        return Runner(self.model, self.engine, self.store, resolved["wave_rows"], self.progress)

    def _control(self, runner: Runner) -> tuple[JudgedOutputs, JudgedOutputs]:
        """The unsteered outputs on the evaluation set and on the contrast set, made first."""
        contrast = [*self.settings.contrast_set.positive, *self.settings.contrast_set.negative]
        requests = [Request(prompt, self.control, self.decoding) for prompt in [*self.prompts, *contrast]]
        made = runner.run("unsteered control", requests)
        split = len(self.prompts)
        return (
            self._unsteered(self.prompts, made[:split]),
            self._unsteered(contrast, made[split:]),
        )

    def _sweep(self, runner: Runner, conditions: Sequence[PlannedCondition]) -> list[dict[str, Made]]:
        """Every condition's outputs, by prompt."""
        made = self._run_all(
            runner, "steering", [condition.steering for condition in conditions], self.prompts
        )
        return [dict(zip(self.prompts, some, strict=True)) for some in made]

    def _search(
        self, runner: Runner, conditions: Sequence[PlannedCondition], control: Labels, baseline: Baseline
    ) -> Searched:
        doses = [describe_dose(one, self.model, baseline.residual_norms) for one in conditions]
        totals = [abs(dose.total_relative) for dose in doses]
        return search_grid(
            conditions,
            totals,
            partial(self._make, runner),
            randoms=lambda one: self._along_random(one).values(),
            control=control,
            settings=self.settings,
        )

    def _randoms(
        self, runner: Runner, best: Best, conditions: Sequence[PlannedCondition]
    ) -> dict[int, JudgedOutputs]:
        """Random unit vectors in place of the best condition's direction, all else equal; by seed.

        A sweep shows them every prompt. A search shows them those that they are compared on.
        """
        prompts = best.reporting_prompts if self.settings.search else self.prompts
        chosen = next(condition for condition in conditions if condition.id == best.condition)
        steerings = self._along_random(chosen)
        made = self._run_all(runner, "random control", list(steerings.values()), prompts)
        return {
            seed: self._judged(f"random-{seed}", "random", chosen, prompts, some)
            for seed, some in zip(steerings, made, strict=True)
        }

    def _along_random(self, chosen: PlannedCondition) -> dict[int, AnySteering]:
        """By seed."""
        first = self.settings.seed + 1
        seeds = range(first, first + self.settings.random_directions)
        return {seed: chosen.along_random(seed) for seed in seeds}

    def _run_all(
        self, runner: Runner, stage: str, steerings: Sequence[AnySteering], prompts: Sequence[str]
    ) -> list[list[Made]]:
        """Every steering on every prompt, in one list of requests so that batches mix them."""
        made = self._make(runner, stage, [(steering, prompt) for steering in steerings for prompt in prompts])
        n = len(prompts)
        return [[one for one, _ in made[start : start + n]] for start in range(0, len(made), n)]

    def _make(
        self, runner: Runner, stage: str, asked: Sequence[tuple[AnySteering, str]]
    ) -> list[tuple[Made, Reading]]:
        made = runner.run(stage, [Request(prompt, steering, self.decoding) for steering, prompt in asked])
        # All at once: a model reads them in full batches, and finds its labels again for each condition.
        readings = self.store.label(self.judge, {one.key: one.generation.text for one in made})
        return [(one, readings[one.key]) for one in made]

    def _unsteered(self, prompts: Sequence[str], made: Sequence[Made]) -> JudgedOutputs:
        return self._judged(UNSTEERED, "", None, prompts, made)

    def _judged(
        self,
        name: str,
        method: str,
        planned: PlannedCondition | None,
        prompts: Sequence[str],
        made: Sequence[Made],
    ) -> JudgedOutputs:
        return JudgedOutputs(
            id=name,
            method=method,
            block=planned.block if planned else None,
            dose=planned.dose.value if planned else None,
            made=dict(zip(prompts, made, strict=True)),
            judged=judge_made(self.store, self.judge, prompts, made),
            unit=planned.dose.unit if planned else "",
        )

    def _surprises(self, outputs: Sequence[JudgedOutputs]) -> dict[str, Surprise]:
        """By the generation's address; empty unless asked for."""
        if not self.settings.surprise:
            return {}
        asked = {one.key: (prompt, one) for some in outputs for prompt, one in some.made.items()}
        measured = measure_surprise(
            self.model,
            [prompt for prompt, _ in asked.values()],
            [one.generation.tokens for _, one in asked.values()],
            RowsDone("surprise", self.progress),
        )
        return dict(zip(asked, measured, strict=True))
