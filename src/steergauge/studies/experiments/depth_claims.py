"""What rates by depth say of the paper's claims on the best depth and on late blocks."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from steergauge.studies.analysis import compare
from steergauge.studies.claims import NEAR, STEERED, answer, every
from steergauge.studies.experiments.conditions import answered, labels_of
from steergauge.studies.measurements import points
from steergauge.studies.plan import block_at
from steergauge.studies.result import GaugeResult
from steergauge.studies.study_result import Conclusion, Outcome
from steergauge.studies.study_settings import StudiedModel

_QWEN = "Qwen"
_MIDDLE = (0.5, 0.6)
_LATE = 0.7


class BestDepth(NamedTuple):
    """Where a model refuses most, and how certain that is.

    Attributes:
        depths: those that share the highest rate.
        certainty: the share of resamples in which one of them is best.
        kept: the fewest depths that hold 95% of the resamples.
    """

    depths: list[float]
    certainty: float
    kept: list[float]


def answers(
    models: Sequence[StudiedModel],
    results: Mapping[str, GaugeResult],
    best: Mapping[str, BestDepth | None],
) -> tuple[Conclusion, ...]:
    """The claims on Qwen's best depth, and on the collapse at 70%.

    Args:
        models: as they were named.
        results: their gauges, by label.
        best: their best depths, by label; None where a model refuses nothing anywhere.
    """
    qwen = {
        model.label: found
        for model in models
        if model.family == _QWEN and (found := best[model.label]) is not None
    }
    steered = {
        name: result
        for name, result in results.items()
        if max((one.effect.rate or 0.0 for one in result.conditions), default=0.0) >= STEERED
    }
    late = {name: _collapse(result) for name, result in steered.items()}
    return (
        answer(
            "best-depth",
            every([_in_the_middle(one) for one in qwen.values()]),
            "; ".join(
                f"{name} best at {_percent(one.depths)}, 95% of resamples at {_percent(one.kept)}"
                for name, one in qwen.items()
            )
            or "No such model refuses anywhere.",
        ),
        answer(
            "late-collapse",
            every([outcome for outcome, _ in late.values()]),
            "; ".join(f"{name}: {said}" for name, (_, said) in late.items()) or "No model reaches 60%.",
        ),
    )


def _in_the_middle(best: BestDepth) -> Outcome:
    if all(_between(depth) for depth in best.depths):
        return Outcome.SUPPORTED
    return Outcome.UNDECIDED if any(_between(depth) for depth in best.kept) else Outcome.NOT_SUPPORTED


def _between(depth: float) -> bool:
    return _MIDDLE[0] - 1e-9 <= depth <= _MIDDLE[1] + 1e-9


def _collapse(result: GaugeResult) -> tuple[Outcome, str]:
    """Whether 70% is worse than the best depth, on the prompts that this was not chosen on; alike, on all prompts."""
    late = next((one for one in result.conditions if one.block == block_at(_LATE, result.model.blocks)), None)
    if late is None or result.best is None:
        return Outcome.UNDECIDED, "not measured at 70%"
    best = result.best
    if best.block >= late.block:
        return Outcome.NOT_SUPPORTED, f"best at {best.depth:.0%}"
    labels = labels_of(result, late.id), labels_of(result, best.condition)
    held_out, whole = compare(*labels, best.reporting_prompts), compare(*labels, answered(result))
    said = f"at 70% {points(held_out.difference)} points against {best.depth:.0%} held out, p = {held_out.p_value:.2g}"
    if held_out.difference < 0 and held_out.p_value < 0.05:
        return Outcome.SUPPORTED, said
    alike = max(-whole.low, whole.high) <= NEAR
    return (Outcome.NOT_SUPPORTED if alike else Outcome.UNDECIDED), said


def _percent(depths: Sequence[float]) -> str:
    return ", ".join(f"{depth:.0%}" for depth in sorted(depths))
