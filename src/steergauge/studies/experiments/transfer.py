"""One model's direction in another: directly at equal widths, through a fitted map at others (paper, section 11)."""

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from steergauge.directions.cross_cosine import cross_cosine
from steergauge.directions.depth import at_matched_depths
from steergauge.directions.direction import Direction
from steergauge.directions.importing import ImportedDirection
from steergauge.directions.stream_map import fit_stream_map
from steergauge.errors import SteergaugeError
from steergauge.judging.label import Label
from steergauge.statistics.comparisons import adjust_holm
from steergauge.statistics.transfer import study_transfer_efficiency, transfer_efficiency
from steergauge.studies.bench import Bench
from steergauge.studies.claims import answer
from steergauge.studies.experiments.conditions import answered, best_of, cautions_of, labels_of, named, paired
from steergauge.studies.experiments.experiment import Work, gauge_work
from steergauge.studies.measurements import ConditionResult
from steergauge.studies.result import GaugeResult
from steergauge.studies.study_result import (
    Cell,
    Column,
    ColumnKind,
    Conclusion,
    Estimate,
    Matrix,
    Outcome,
    StudyFindings,
    StudyTable,
)
from steergauge.studies.study_settings import StudiedModel, StudySettings

_METHOD = "dim"


class TransferSettings(StudySettings):
    """Which models lend and take directions."""

    map: bool = Field(
        default=False,
        description="Also carry directions between widths, through a linear map fitted on the evaluation prompts.",
    )


class _Source(NamedTuple):
    """What a model lends: its direction, and its stream on the shared prompts, (prompts, blocks, width)."""

    model: StudiedModel
    direction: Direction
    streams: NDArray[np.float32]


class _Lent(NamedTuple):
    """A direction as it arrives in a target."""

    source: StudiedModel
    how: str
    direction: ImportedDirection
    cosines: NDArray[np.float64]
    held_out_r2: NDArray[np.float64] | None


class Transfer:
    """Does one model's direction steer another?"""

    name = "transfer"
    question = "Does one model's direction steer another, at that one's own best block and dose?"
    settings = TransferSettings

    def plan(self, settings: TransferSettings) -> list[Work]:
        """A grid a model, and a condition a source in each target."""
        parts = []
        for model in settings.models:
            own = settings.gauge_settings(model, methods=(_METHOD,))
            one = settings.gauge_settings(model, methods=(_METHOD,), depths=(0.5,), doses=(1.0,))
            lent = gauge_work(model, "directions of others", one)
            more = (len(settings.models) - 1) * len(one.evaluation_set.prompts)
            parts += [
                gauge_work(model, "grid", own),
                lent.model_copy(
                    update={
                        "conditions": lent.conditions + len(settings.models) - 1,
                        "generations": lent.generations + more,
                    }
                ),
            ]
        return parts

    def run(self, settings: TransferSettings, bench: Bench) -> StudyFindings:
        """Gauges every model, then every model with every other's direction."""
        if len(settings.models) < 2:
            raise SteergaugeError("transfer: one model has nobody to lend a direction to; give two at least")
        own, sources = dict[str, GaugeResult](), list[_Source]()
        for model in settings.models:
            gauge = settings.gauge_settings(model, methods=(_METHOD,))
            own[named(model)] = bench.gauge(named(model), model, gauge)
            loaded = bench.model(model)
            found = bench.readings.extracted(
                [_METHOD], loaded, gauge.contrast_set, seed=settings.seed, progress=None
            )
            prompts = [prompt.text for prompt in gauge.evaluation_set.prompts]
            sources.append(
                _Source(model, found.directions[_METHOD], bench.readings.baseline(loaded, prompts).streams)
            )
        pairs = [
            pair
            for target in sources
            for pair in _into(target, sources, own[named(target.model)], settings, bench)
        ]
        table = _table(pairs)
        return StudyFindings(
            tables=(table,),
            figures=(_matrix([named(model) for model in settings.models], own, pairs),),
            conclusions=tuple(_conclude(pairs)),
            cautions=(
                *(
                    (
                        "A map is fitted on the prompts that are then measured on. It sees the stream of unsteered models only, "
                        "no outputs and no contrast prompts.",
                    )
                    if settings.map
                    else ()
                ),
                *cautions_of(own),
            ),
        )


class _Pair(NamedTuple):
    """A direction lent, and what it did."""

    source: StudiedModel
    target: StudiedModel
    how: str
    result: GaugeResult
    own: ConditionResult
    lent: ConditionResult
    cosine: float
    held_out_r2: float | None


def _into(
    target: _Source, sources: Sequence[_Source], own: GaugeResult, settings: TransferSettings, bench: Bench
) -> list[_Pair]:
    """Steers a target with every other model's direction at the block and dose that were best for its own."""
    best = best_of(own)
    lent = [
        one
        for source in sources
        if source is not target
        for one in [_lend(source, target, settings.map)]
        if one is not None
    ]
    if best is None or not lent:
        return []
    gauge = settings.gauge_settings(
        target.model,
        methods=(_METHOD,),
        depths=(best.block / own.model.blocks,),
        doses=(best.dose.value,),
    )
    given = {f"{named(one.source)}, {one.how}": one.direction for one in lent}
    result = bench.gauge(f"{named(target.model)}, lent", target.model, gauge, given)
    by_method = {condition.method: condition for condition in result.conditions}
    return [
        _Pair(
            source=one.source,
            target=target.model,
            how=one.how,
            result=result,
            own=by_method[_METHOD],
            lent=by_method[f"{named(one.source)}, {one.how}"],
            cosine=float(one.cosines[best.block]),
            held_out_r2=None if one.held_out_r2 is None else float(one.held_out_r2[best.block]),
        )
        for one in lent
    ]


def _lend(source: _Source, target: _Source, mapped: bool) -> _Lent | None:
    """The source's direction in the target's stream; None where the widths differ and no map is asked for."""
    blocks, width = target.direction.blocks, target.direction.width
    name = named(source.model)
    if source.direction.width == width:
        direction = at_matched_depths(source.direction, blocks, width)
        given = ImportedDirection(direction, f"{name}, at matched depths")
        return _Lent(source.model, "direct", given, cross_cosine(source.direction, target.direction), None)
    if not mapped:
        return None
    fitted = fit_stream_map(source.streams, target.streams)
    carried = fitted.carry(source.direction).direction
    given = ImportedDirection(carried, f"{name}, through a map fitted on {len(source.streams)} prompts")
    cosines = cross_cosine(carried, target.direction)
    return _Lent(source.model, "mapped", given, cosines, fitted.held_out_r2)


def _outcomes(pair: _Pair, condition: ConditionResult) -> dict[str, bool]:
    labels = labels_of(pair.result, condition.id)
    return {prompt: labels[prompt] is Label.REFUSAL for prompt in answered(pair.result)}


def _efficiency(pair: _Pair) -> tuple[Estimate, Estimate]:
    """By resampling prompts, and as the study does it: each side by itself."""
    lent, own = _outcomes(pair, pair.lent), _outcomes(pair, pair.own)
    if not any(own.values()):
        return Estimate(value=None), Estimate(value=None)
    ours = transfer_efficiency(lent, own)
    theirs = study_transfer_efficiency(list(lent.values()), list(own.values()))
    return (
        Estimate(value=ours.ratio, low=ours.low, high=ours.high),
        Estimate(value=theirs.ratio, low=theirs.low, high=theirs.high),
    )


def _table(pairs: Sequence[_Pair]) -> StudyTable:
    compared = [paired((pair.result, pair.lent.id), (pair.result, pair.own.id)) for pair in pairs]
    adjusted = adjust_holm([one.p_value for one in compared])
    rows: list[dict[str, Cell]] = []
    for pair, p_adjusted in zip(pairs, adjusted, strict=True):
        ours, theirs = _efficiency(pair)
        control = pair.result.random_control
        strongest = (
            max((one.effect.rate or 0.0 for one in control.directions), default=None) if control else None
        )
        rows.append(
            {
                "source": named(pair.source),
                "target": named(pair.target),
                "how": pair.how,
                "block": pair.own.block,
                "dose": pair.own.dose.raw,
                "own": pair.own.effect,
                "lent": pair.lent.effect,
                "garbled": pair.lent.garbled,
                "random": strongest,
                "efficiency": ours,
                "study": theirs,
                "p": p_adjusted,
                "cosine": pair.cosine,
                "r2": pair.held_out_r2,
            }
        )
    return StudyTable(
        name="transfer",
        title="Directions of other models, at the target's own best block and dose",
        columns=(
            Column(key="source", title="Source"),
            Column(key="target", title="Target"),
            Column(key="how", title="How"),
            Column(key="block", title="Block", kind=ColumnKind.NUMBER),
            Column(key="dose", title="α", kind=ColumnKind.NUMBER),
            Column(key="own", title="Own direction", kind=ColumnKind.RATE),
            Column(key="lent", title="Source's", kind=ColumnKind.RATE),
            Column(key="garbled", title="Garbled", kind=ColumnKind.RATE),
            Column(key="random", title="Strongest random", kind=ColumnKind.SHARE),
            Column(key="efficiency", title="Efficiency, prompts resampled", kind=ColumnKind.NUMBER),
            Column(key="study", title="as the study resamples", kind=ColumnKind.NUMBER),
            Column(key="p", title="p, Holm", kind=ColumnKind.P_VALUE),
            Column(key="cosine", title="Cosine", kind=ColumnKind.COSINE),
            Column(key="r2", title="Map, R² held out", kind=ColumnKind.NUMBER),
        ),
        rows=tuple(rows),
        notes=(
            "Efficiency is the rate with the source's direction over the rate with the target's own. The strongest of the "
            "random vectors stands beside: what is not above it is no transfer. The cosine is at that block.",
            "Models of other widths share no coordinates: they are left out, or mapped where `map = true`.",
        ),
    )


def _matrix(names: Sequence[str], own: Mapping[str, GaugeResult], pairs: Sequence[_Pair]) -> Matrix:
    lent = {(named(pair.source), named(pair.target)): pair for pair in pairs}
    values: list[tuple[float | None, ...]] = []
    words: list[tuple[str, ...]] = []
    for source in names:
        row: list[tuple[float | None, str]] = []
        for target in names:
            if source == target:
                best = best_of(own[target])
                rate = best.effect.rate if best else None
                row.append((rate, "–" if rate is None else f"{rate:.0%} own"))
            elif (source, target) in lent:
                pair = lent[source, target]
                row.append((pair.lent.effect.rate, f"{pair.lent.effect.rate or 0:.0%} {pair.how}"))
            else:
                row.append((None, "widths differ"))
        values.append(tuple(value for value, _ in row))
        words.append(tuple(said for _, said in row))
    return Matrix(
        name="transfer",
        title="Coherent refusal by whose direction steers whom",
        rows_label="source",
        columns_label="target",
        rows=tuple(names),
        columns=tuple(names),
        values=tuple(values),
        words=tuple(words),
    )


def _conclude(pairs: Sequence[_Pair]) -> list[Conclusion]:
    direct = [pair for pair in pairs if pair.how == "direct" and pair.source.name != pair.target.name]
    related = [pair for pair in direct if pair.source.family == pair.target.family]
    strange = [pair for pair in direct if pair.source.family != pair.target.family]
    return [
        answer("transfer-family", *_judge(related, lambda low, high: (high >= 1, high < 1))),
        answer("transfer-cross", *_judge(strange, lambda low, high: (high < 0.5, low > 0.5))),
    ]


def _judge(pairs: Sequence[_Pair], rule: Callable[[float, float], tuple[bool, bool]]) -> tuple[Outcome, str]:
    found = [(pair, _efficiency(pair)[0]) for pair in pairs]
    measured = [
        (pair, one, rule(one.low, one.high))
        for pair, one in found
        if one.low is not None and one.high is not None
    ]
    said = "; ".join(
        f"{named(pair.source)} → {named(pair.target)} {one.value:.2f} [{one.low:.2f}–{one.high:.2f}]"
        for pair, one, _ in measured
    )
    if not measured:
        return Outcome.UNDECIDED, "No such pair of equal widths is at hand."
    if all(yes for _, _, (yes, _) in measured):
        return Outcome.SUPPORTED, said
    return (Outcome.NOT_SUPPORTED if any(no for _, _, (_, no) in measured) else Outcome.UNDECIDED), said
