"""Records made by hand, in which only what a test is about is not the same."""

from collections.abc import Collection, Sequence

from steergauge.judging.label import Label
from steergauge.prompts import study_evaluation_set
from steergauge.statistics.proportions import wilson_interval
from steergauge.studies.measurements import Comparison, ConditionResult, DoseRecord, Rate
from steergauge.studies.result import QuantizationRecord

QUANTIZED = QuantizationRecord(
    name="nf4-bitsandbytes",
    format="4-bit NormalFloat, a float32 scale for 64 weights",
    library="bitsandbytes 0.50.2",
    layers=168,
    weights=357_826_560,
    of_weights=494_032_768,
    bytes=201_277_440,
    computes_in="float32",
)
PROMPTS = [prompt.text for prompt in study_evaluation_set().prompts]


def rate(count: int, n: int) -> Rate:
    low, high = wilson_interval(count, n)
    return Rate(count=count, n=n, rate=count / n if n else None, low=low, high=high)


def comparison(gained: int, n: int, p_value: float) -> Comparison:
    return Comparison(
        n=n,
        gained=max(gained, 0),
        lost=max(-gained, 0),
        difference=gained / n,
        low=-1,
        high=1,
        p_value=p_value,
        p_adjusted=None,
    )


def dose(value: float, *, total: float | None = None, lost: float = 0.0) -> DoseRecord:
    return DoseRecord(
        unit="raw",
        value=value,
        raw=value,
        relative=value / 10,
        separation=value / 8,
        clamp=value + 1,
        total_relative=value / 10 if total is None else total,
        coefficients=[0.0, value],
        clipped_blocks=[],
        coordinates_lost=lost,
        delivered=1 - lost,
    )


def condition(
    name: str,
    *,
    value: float = 1.0,
    total: float | None = None,
    block: int = 3,
    effect: Rate | None = None,
) -> ConditionResult:
    whole = effect or rate(15, 30)
    return ConditionResult(
        id=name,
        method="dim",
        block=block,
        depth=block / 6,
        dose=dose(value, total=total),
        refusal=whole,
        garbled=rate(0, 30),
        normal=rate(15, 30),
        effect=whole,
        against_unsteered=comparison(15, 30, 1e-4),
    )


def labels(
    prompts: Sequence[str], refused: Collection[str], garbled: Collection[str] = ()
) -> dict[str, Label]:
    return {
        prompt: Label.REFUSAL if prompt in refused else Label.GARBLED if prompt in garbled else Label.NORMAL
        for prompt in prompts
    }
