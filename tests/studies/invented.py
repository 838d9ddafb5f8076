"""Gauges that were not measured: what their conditions refuse is given, all else follows or does not matter."""

from collections.abc import Collection, Mapping
from typing import NamedTuple, cast

from records import PROMPTS, comparison, dose, labels, rate

from report.example import example
from steergauge.judging.label import Label
from steergauge.studies.analysis import best_condition
from steergauge.studies.analysis import rate as rate_of
from steergauge.studies.bench import Bench
from steergauge.studies.gauge import UNSTEERED
from steergauge.studies.measurements import ConditionResult
from steergauge.studies.result import GaugeResult, GenerationRecord
from steergauge.studies.settings import GaugeSettings
from steergauge.studies.study_settings import StudiedModel

BLOCKS = 10
_TEMPLATE = example()


class Given(NamedTuple):
    """A condition, and what it makes of which prompts; the others are answered."""

    block: int = 5
    value: float = 1.0
    refused: Collection[str] = ()
    garbled: Collection[str] = ()

    @property
    def id(self) -> str:
        return f"block{self.block}-{self.value:g}"


def invented(*given: Given, unsteered: Collection[str] = ()) -> GaugeResult:
    """A gauge of these conditions on a model that refuses some prompts unsteered."""
    outcomes = {one.id: labels(PROMPTS, one.refused, one.garbled) for one in given}
    control = labels(PROMPTS, unsteered)
    answered = [prompt for prompt in PROMPTS if prompt not in unsteered]
    conditions = [
        ConditionResult(
            id=one.id,
            method="dim",
            block=one.block,
            depth=one.block / BLOCKS,
            dose=dose(one.value),
            refusal=rate_of(outcomes[one.id], Label.REFUSAL),
            garbled=rate_of(outcomes[one.id], Label.GARBLED),
            normal=rate_of(outcomes[one.id], Label.NORMAL),
            effect=rate_of(outcomes[one.id], Label.REFUSAL, answered),
            against_unsteered=comparison(0, 30, 1.0),
        )
        for one in given
    ]
    return _TEMPLATE.model_copy(
        update={
            "model": _TEMPLATE.model.model_copy(update={"blocks": BLOCKS}),
            "conditions": conditions,
            "best": best_condition(conditions, outcomes, control, seed=0),
            "window": None,
            "random_control": None,
            "unsteered": _TEMPLATE.unsteered.model_copy(
                update={"refusal": rate(len(unsteered), 30), "refused_prompts": list(unsteered)}
            ),
            "generations": [
                _generation(name, prompt, label)
                for name, of in {UNSTEERED: control, **outcomes}.items()
                for prompt, label in of.items()
            ],
        }
    )


class InventedBench:
    """Returns what was given by label, in place of measuring."""

    def __init__(self, gauges: Mapping[str, GaugeResult]) -> None:
        self.given, self.gauges = gauges, dict[str, GaugeResult]()

    def gauge(self, label: str, studied: StudiedModel, settings: GaugeSettings) -> GaugeResult:
        self.gauges[label] = self.given[label]
        return self.given[label]


def bench(gauges: Mapping[str, GaugeResult]) -> Bench:
    return cast("Bench", InventedBench(gauges))


def _generation(name: str, prompt: str, label: Label) -> GenerationRecord:
    return GenerationRecord(
        key=f"{name}/{prompt}",
        condition=name,
        method="dim",
        block=None,
        depth=None,
        dose=None,
        dose_unit=None,
        prompt=prompt,
        category="",
        label=label,
        evidence="",
        text=f"{label.value} to {prompt}",
        tokens=4,
        finish="stop",
        unsteered_refused=False,
    )
