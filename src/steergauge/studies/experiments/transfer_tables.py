"""Transfers as a table, and as a matrix of whose direction steers whom."""

from collections.abc import Mapping, Sequence

from steergauge.statistics.comparisons import adjust_holm
from steergauge.studies.experiments.lending import How, Transferred
from steergauge.studies.result import GaugeResult
from steergauge.studies.study_result import (
    OUTPUTS,
    Cell,
    Column,
    ColumnKind,
    Matrix,
    StudyTable,
    outputs_of,
)

_TITLES = {
    How.DIRECT: "Coherent refusal by whose direction steers whom",
    How.MAPPED: "Coherent refusal by whose direction steers whom, through a fitted map",
}


def transfer_table(pairs: Sequence[Transferred]) -> StudyTable:
    """A row a source and target."""
    adjusted = adjust_holm([pair.comparison.p_value for pair in pairs])
    rows: list[dict[str, Cell]] = [
        {
            "source": pair.source.label,
            "target": pair.target.label,
            "how": pair.how.value,
            "block": pair.lent.block,
            "dose": pair.lent.dose.raw,
            "own": pair.own_rate,
            "lent": pair.lent_rate,
            "efficiency": pair.efficiency,
            "p": p_adjusted,
            "whole": pair.lent.effect,
            "garbled": pair.lent.garbled,
            "random": pair.random,
            "study": pair.as_the_study,
            "cosine": pair.cosine,
            "r2": pair.held_out_r2,
            OUTPUTS: outputs_of(pair.gauge, pair.lent.id),
        }
        for pair, p_adjusted in zip(pairs, adjusted, strict=True)
    ]
    return StudyTable(
        name="transfer",
        title="Directions of other models, at the target's own best block and dose",
        columns=(
            Column(key="source", title="Source"),
            Column(key="target", title="Target"),
            Column(key="how", title="How"),
            Column(key="block", title="Block", kind=ColumnKind.NUMBER),
            Column(key="dose", title="α", kind=ColumnKind.NUMBER),
            Column(key="own", title="Own direction, held out", kind=ColumnKind.RATE),
            Column(key="lent", title="Source's, held out", kind=ColumnKind.RATE),
            Column(key="efficiency", title="Efficiency, held out", kind=ColumnKind.NUMBER),
            Column(key="p", title="p, Holm", kind=ColumnKind.P_VALUE),
            Column(key="whole", title="Source's, all prompts", kind=ColumnKind.RATE),
            Column(key="garbled", title="Garbled", kind=ColumnKind.RATE),
            Column(key="random", title="Strongest random", kind=ColumnKind.RATE),
            Column(key="study", title="Efficiency as the study has it", kind=ColumnKind.NUMBER),
            Column(key="cosine", title="Cosine", kind=ColumnKind.COSINE),
            Column(key="r2", title="Map, R² held out", kind=ColumnKind.NUMBER),
        ),
        rows=tuple(rows),
        notes=(
            "Efficiency is the rate with the source's direction over the rate with the target's own. Held out: on the half of "
            "the prompts that block and dose were not chosen on, with the interval of resampled prompts, which has no width "
            "where every prompt has the same outcome. As the study has it: on all prompts, each side resampled by itself.",
            "The strongest of the random vectors of the same dose stands beside: what is not above it is no transfer. The "
            "cosine with the target's own direction is at that block.",
            "Directly, models of other widths share no coordinates: they are left out.",
        ),
    )


def transfer_matrix(how: How, own: Mapping[str, GaugeResult], pairs: Sequence[Transferred]) -> Matrix:
    """Held-out rates: on the diagonal each model's own direction.

    Args:
        how: which transfers.
        own: each model's grid, by label.
        pairs: all transfers.
    """
    lent = {(pair.source.label, pair.target.label): pair for pair in pairs if pair.how is how}

    def cell(source: str, target: str) -> tuple[float | None, str]:
        best = own[target].best
        if best is None:
            return None, "–"
        if source != target and (source, target) not in lent:
            return None, "widths differ"
        rate = best.reported_on.rate if source == target else lent[source, target].lent_rate.rate
        if rate is None:  # nothing could be scored
            return None, "–"
        return rate, f"{rate:.0%} own" if source == target else f"{rate:.0%}"

    cells = [[cell(source, target) for target in own] for source in own]
    return Matrix(
        name="transfer" if how is How.DIRECT else how.value,
        title=_TITLES[how],
        rows_label="source",
        columns_label="target",
        rows=tuple(own),
        columns=tuple(own),
        values=tuple(tuple(value for value, _ in row) for row in cells),
        words=tuple(tuple(said for _, said in row) for row in cells),
    )
