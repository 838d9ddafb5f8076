"""The method study's tables and figure."""

from collections.abc import Sequence

from steergauge.studies.experiments.conditions import points, rate_point
from steergauge.studies.experiments.contests import Beside, Contest, Terms
from steergauge.studies.study_result import (
    Cell,
    Column,
    ColumnKind,
    Estimate,
    Series,
    StudyFigure,
    StudyTable,
)

_MODEL, _METHOD = Column(key="model", title="Model"), Column(key="method", title="Method")


def papers_table(first: str, all_beside: Sequence[Beside]) -> StudyTable:
    """The study's table: the first method swept, the others where they choose to be, or swept as well."""
    rows: list[dict[str, Cell]] = []
    for one in all_beside:
        swept = one.on(Terms.SWEPT, held_out=False)
        shown = one.on(Terms.AS_STUDY, held_out=False) or swept
        if shown is None or swept is None:
            continue
        rows.append(
            {
                "model": one.model,
                "method": one.method,
                "first": shown.first_rate,
                "first_block": shown.first.block,
                "rate": shown.other_rate,
                "block": shown.other.block,
                "cosine": one.cosine(first, shown.other.block),
                "swept": swept.other_rate,
                "swept_block": swept.other.block,
            }
        )
    return StudyTable(
        name="methods",
        title=f"{first} at its best depth, the others at the blocks that they choose",
        columns=(
            _MODEL,
            _METHOD,
            Column(key="first", title=f"{first}, swept", kind=ColumnKind.RATE),
            Column(key="first_block", title="Block", kind=ColumnKind.NUMBER),
            Column(key="rate", title="Method, at its own block", kind=ColumnKind.RATE),
            Column(key="block", title="Block", kind=ColumnKind.NUMBER),
            Column(key="cosine", title=f"Cosine with {first} there", kind=ColumnKind.COSINE),
            Column(key="swept", title="Method, swept", kind=ColumnKind.RATE),
            Column(key="swept_block", title="Block", kind=ColumnKind.NUMBER),
        ),
        rows=tuple(rows),
        notes=(
            "As the study compared them: of the prompts that the unsteered model answers, each condition chosen on the prompts "
            f"that it is reported on, and a method at its own block at the dose that is best for {first}. A method that chooses "
            "no block is swept in both columns.",
        ),
    )


def contests_table(first: str, all_beside: Sequence[Beside]) -> StudyTable:
    """Every comparison, on all prompts and on held-out ones."""
    return StudyTable(
        name="comparisons",
        title=f"Each method against {first}, on the same prompts",
        columns=(
            _MODEL,
            _METHOD,
            Column(key="terms", title="Compared"),
            Column(key="prompts", title="Prompts"),
            Column(key="first", title=first, kind=ColumnKind.RATE),
            Column(key="first_at", title="at"),
            Column(key="rate", title="Method", kind=ColumnKind.RATE),
            Column(key="at", title="at"),
            Column(key="difference", title="Difference, points", kind=ColumnKind.POINTS),
            Column(key="p", title="p, exact McNemar", kind=ColumnKind.P_VALUE),
            Column(key="p_adjusted", title="p, Holm", kind=ColumnKind.P_VALUE),
        ),
        rows=tuple(_contest_row(one, contest) for one in all_beside for contest in one.contests),
        notes=(
            f"“{Terms.AS_STUDY}”: {first} at its best depth and dose, the method at its own block and {first}'s dose. "
            f"“{Terms.SWEPT}”: each at its best depth and dose. “{Terms.OWN_BLOCK}”: both at the block that the method chose, each "
            "at its best dose. Held out: chosen on one half of the prompts and reported on the other, the rates to cite. "
            "Holm's correction is over a model's comparisons, apart for all and for held-out prompts.",
        ),
    )


def _contest_row(one: Beside, contest: Contest) -> dict[str, Cell]:
    compared = contest.comparison
    return {
        "model": one.model,
        "method": one.method,
        "terms": contest.terms.value,
        "prompts": "held out" if contest.held_out else "all",
        "first": contest.first_rate,
        "first_at": f"block {contest.first.block}, {contest.first.dose.value:g}",
        "rate": contest.other_rate,
        "at": f"block {contest.other.block}, {contest.other.dose.value:g}",
        "difference": Estimate(value=compared.difference, low=compared.low, high=compared.high),
        "p": compared.p_value,
        "p_adjusted": compared.p_adjusted,
    }


def choices_table(all_beside: Sequence[Beside]) -> StudyTable:
    """What each method chose by itself, and what it chose among."""
    rows: list[dict[str, Cell]] = []
    for one in all_beside:
        chosen = one.selection
        if chosen is None:
            continue
        swept = one.on(Terms.SWEPT, held_out=False)
        rows.append(
            {
                "model": one.model,
                "method": one.method,
                "block": chosen.block,
                "depth": chosen.block / one.result.model.blocks,
                "position": chosen.position,
                "best": None if swept is None else swept.other.block,
                "candidates": len(chosen.candidates),
                "stood": sum(candidate.fell is None for candidate in chosen.candidates),
                "select": len(chosen.select_positive),
            }
        )
    return StudyTable(
        name="choices",
        title="The blocks that methods choose",
        columns=(
            _MODEL,
            _METHOD,
            Column(key="block", title="Block", kind=ColumnKind.NUMBER),
            Column(key="depth", title="Depth", kind=ColumnKind.SHARE),
            Column(key="position", title="Token", kind=ColumnKind.NUMBER),
            Column(key="best", title="Its best swept block", kind=ColumnKind.NUMBER),
            Column(key="candidates", title="Candidates", kind=ColumnKind.NUMBER),
            Column(key="stood", title="Not dropped", kind=ColumnKind.NUMBER),
            Column(key="select", title="Harmful prompts to select with", kind=ColumnKind.NUMBER),
        ),
        rows=tuple(rows),
    )


def rates_figure(first: str, all_beside: Sequence[Beside]) -> StudyFigure:
    """Held-out rates by model: the first method swept, the others swept and at their own blocks."""
    series: dict[str, dict[str, Contest]] = {}
    for one in all_beside:
        if swept := one.on(Terms.SWEPT, held_out=True):
            series.setdefault(f"{first}, swept", {})[one.model] = swept
            series.setdefault(f"{one.method}, swept", {})[one.model] = swept
        if own := one.on(Terms.OWN_BLOCK, held_out=True):
            series.setdefault(f"{one.method}, its own block", {})[one.model] = own
    return StudyFigure(
        name="methods",
        title="Coherent refusal by method, chosen on one half of the prompts and reported on the other",
        x_label="model",
        y_label="share of prompts",
        series=tuple(
            Series(
                name=name,
                points=points(
                    [
                        rate_point(model, one.first_rate if name.startswith(f"{first}, ") else one.other_rate)
                        for model, one in by_model.items()
                    ]
                ),
            )
            for name, by_model in series.items()
        ),
    )
