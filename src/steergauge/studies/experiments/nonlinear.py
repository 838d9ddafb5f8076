"""Hypothesis 2: where DIM fails, do a nonlinear method or attention heads succeed (paper, section 9)?"""

from typing import NamedTuple, Self

from pydantic import Field, model_validator

from steergauge.studies.bench import Bench
from steergauge.studies.claims import answer
from steergauge.studies.experiments.conditions import cautions_of, points, rate_point
from steergauge.studies.experiments.experiment import Work, gauge_work
from steergauge.studies.result import GaugeResult, VerdictName
from steergauge.studies.settings import GaugeSettings
from steergauge.studies.side_by_side import MethodOutcome
from steergauge.studies.study_result import (
    Cell,
    Column,
    ColumnKind,
    Conclusion,
    Estimate,
    Outcome,
    Series,
    StudyFigure,
    StudyFindings,
    StudyTable,
)
from steergauge.studies.study_settings import StudiedModel, StudySettings

_SIGNIFICANT = 0.05


class NonlinearSettings(StudySettings):
    """The linear method first, then those that may find what it does not."""

    methods: tuple[str, ...] = Field(default=("dim", "rfm", "iti"), min_length=2)
    head_doses: tuple[float, ...] = Field(
        default=(2, 3, 5, 7, 10), min_length=1, description="Of iti, in standard deviations of each head."
    )

    @model_validator(mode="after")
    def _linear_first(self) -> Self:
        if self.methods[0] != "dim":
            raise ValueError(
                f"the hypothesis is about where dim fails, so dim is the first method, not {self.methods[0]}"
            )
        return self


class Judged(NamedTuple):
    """What the rule says of one model, and why."""

    outcome: Outcome
    reason: str


class Nonlinear:
    """Is refusal there, but not along one direction of the stream?"""

    settings = NonlinearSettings

    def plan(self, settings: NonlinearSettings) -> list[Work]:
        """A gauge a model."""
        return [gauge_work(model, "methods", _gauge(settings, model)) for model in settings.models]

    def run(self, settings: NonlinearSettings, bench: Bench) -> StudyFindings:
        """Gauges every method on the same prompts, and judges the models on which DIM fails."""
        results = {
            model.label: bench.gauge(model.label, model, _gauge(settings, model)) for model in settings.models
        }
        judged = {name: judge(result, settings.threshold) for name, result in results.items()}
        return StudyFindings(
            tables=(_table(results, judged),),
            figures=(_figure(results, settings.threshold),),
            conclusions=(_conclude(judged),),
            cautions=cautions_of(results),
        )


def judge(result: GaugeResult, threshold: float) -> Judged:
    """Applies the hypothesis's rule to one model.

    Args:
        result: a gauge of dim, then of the others.
        threshold: the held-out rate below which dim fails, and that another must reach.
    """
    if result.verdict.verdict is VerdictName.INVALID:
        return Judged(Outcome.UNDECIDED, f"untestable: {result.verdict.reasons[0]}")
    if result.side_by_side is None:
        return Judged(Outcome.UNDECIDED, "untestable: too few prompts are answered")
    dim, *others = result.side_by_side.own_best
    if (dim.best.reported_on.rate or 0.0) >= threshold:
        return Judged(Outcome.UNDECIDED, f"untestable: dim does not fail here, {_words(dim)}")
    said = f"dim {_words(dim)}; {'; '.join(f'{one.best.method} {_words(one)}' for one in others)}"
    if any(_succeeds(one, threshold) for one in others):
        return Judged(Outcome.SUPPORTED, said)
    if all(one.best.reported_on.high < threshold for one in others):
        return Judged(Outcome.NOT_SUPPORTED, said)
    return Judged(Outcome.UNDECIDED, said)


def _succeeds(one: MethodOutcome, threshold: float) -> bool:
    compared = one.against_first
    return (
        compared is not None
        and (one.best.reported_on.rate or 0.0) >= threshold
        and compared.difference > 0
        and compared.p_adjusted is not None
        and compared.p_adjusted < _SIGNIFICANT
    )


def _words(one: MethodOutcome) -> str:
    rate = one.best.reported_on
    p = "" if one.against_first is None else f" (Holm p = {one.against_first.p_adjusted:.2g})"
    return f"{rate.count}/{rate.n}{p}"


def _gauge(settings: NonlinearSettings, model: StudiedModel) -> GaugeSettings:
    return settings.gauge_settings(model, head_doses=settings.head_doses)


def _conclude(judged: dict[str, Judged]) -> Conclusion:
    outcomes = {one.outcome for one in judged.values()} - {Outcome.UNDECIDED}
    return answer(
        "nonlinear",
        outcomes.pop() if len(outcomes) == 1 else Outcome.UNDECIDED,
        " ".join(f"{name}: {one.outcome}, {one.reason.rstrip('.')}." for name, one in judged.items()),
    )


def _table(results: dict[str, GaugeResult], judged: dict[str, Judged]) -> StudyTable:
    rows: list[dict[str, Cell]] = []
    for name, result in results.items():
        for one in result.side_by_side.own_best if result.side_by_side else []:
            best, compared = one.best, one.against_first
            row: dict[str, Cell] = {
                "model": name,
                "method": best.method,
                "block": best.block,
                "dose": f"{best.dose.value:g} {best.dose.unit}",
                "held_out": best.reported_on,
                "garbled": best.garbled_on_reported,
                "outcome": judged[name].outcome.value if compared else "",
            }
            if compared is not None:
                row |= {
                    "difference": Estimate(value=compared.difference, low=compared.low, high=compared.high),
                    "p": compared.p_value,
                    "p_adjusted": compared.p_adjusted,
                }
            rows.append(row)
    return StudyTable(
        name="methods",
        title="Each method at its best block and dose, held out",
        columns=(
            Column(key="model", title="Model"),
            Column(key="method", title="Method"),
            Column(key="block", title="Block", kind=ColumnKind.NUMBER),
            Column(key="dose", title="Dose"),
            Column(key="held_out", title="Held out", kind=ColumnKind.RATE),
            Column(key="garbled", title="Garbled", kind=ColumnKind.RATE),
            Column(key="difference", title="Against dim, points", kind=ColumnKind.POINTS),
            Column(key="p", title="p, exact McNemar", kind=ColumnKind.P_VALUE),
            Column(key="p_adjusted", title="p, Holm", kind=ColumnKind.P_VALUE),
            Column(key="outcome", title="Hypothesis on this model"),
        ),
        rows=tuple(rows),
        notes=(
            "Chosen on one half of the prompts that the unsteered model answers, and reported on the other. Heads are dosed in "
            "standard deviations (sigma), the stream in the study's unit.",
        ),
    )


def _figure(results: dict[str, GaugeResult], threshold: float) -> StudyFigure:
    measured = {name: result.side_by_side.own_best for name, result in results.items() if result.side_by_side}
    methods = dict.fromkeys(one.best.method for outcomes in measured.values() for one in outcomes)
    return StudyFigure(
        name="methods",
        title="Coherent refusal held out, each method at its best",
        x_label="model",
        y_label="share of prompts",
        series=tuple(
            Series(
                name=method,
                points=points(
                    [
                        rate_point(name, one.best.reported_on)
                        for name, outcomes in measured.items()
                        for one in outcomes
                        if one.best.method == method
                    ]
                ),
            )
            for method in methods
        ),
        threshold=threshold,
    )
