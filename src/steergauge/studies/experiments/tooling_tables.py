"""The tooling study's tables and figures, from parity studies of several models."""

from collections.abc import Mapping, Sequence

from steergauge.activations.backends import REFERENCE
from steergauge.statistics.comparisons import adjust_holm
from steergauge.studies.experiments.conditions import points, rate_point
from steergauge.studies.measurements import Comparison
from steergauge.studies.parity_result import (
    BackendRecord,
    FaultAtBlock,
    FaultRecord,
    ParityResult,
    ReferenceAtBlock,
    Steered,
    Visibility,
)
from steergauge.studies.study_result import (
    Cell,
    Column,
    ColumnKind,
    Estimate,
    FigurePoint,
    Matrix,
    Series,
    StudyFigure,
    StudyTable,
)

_MODEL = Column(key="model", title="Model")


def best_block(result: ParityResult) -> ReferenceAtBlock:
    """Where the right direction refuses most: there is most to lose."""
    return max(result.reference, key=lambda one: one.outputs.effect.rate or 0.0)


def at_block(steered: Sequence[Steered], block: int) -> Steered | None:
    """What was measured at a block, if anything was."""
    return next((one for one in steered if one.block == block), None)


def compared_tools(result: ParityResult) -> list[tuple[BackendRecord, Steered, Comparison]]:
    """Every tool at every block against hooks, with Holm's correction over all of them."""
    made = [
        (tool, one, one.against_reference)
        for tool in result.backends
        for one in tool.at
        if one.against_reference is not None
    ]
    adjusted = adjust_holm([compared.p_value for _, _, compared in made])
    return [
        (tool, one, compared.model_copy(update={"p_adjusted": p}))
        for (tool, one, compared), p in zip(made, adjusted, strict=True)
    ]


def tools_table(results: Mapping[str, ParityResult]) -> StudyTable:
    """Each tool against hooks, where the right direction refuses most."""
    rows: list[dict[str, Cell]] = []
    for name, result in results.items():
        right = best_block(result)
        rows.append(
            {
                "model": name,
                "tool": REFERENCE,
                "outcome": "reference",
                "cosine": 1.0,
                "block": right.block,
                "refusal": right.outputs.effect,
            }
        )
        compared = compared_tools(result)
        for tool in result.backends:
            known = [value for value in tool.cosines if value is not None]
            row: dict[str, Cell] = {
                "model": name,
                "tool": tool.name,
                "outcome": tool.outcome,
                "error": tool.worst_error,
                "cosine": min(known, default=None),
                "block": right.block,
            }
            there = [found for found in compared if found[0] is tool and found[1].block == right.block]
            for _, steered, one in there:
                row |= {
                    "refusal": steered.outputs.effect if steered.outputs else None,
                    "difference": Estimate(value=one.difference, low=one.low, high=one.high),
                    "p_adjusted": one.p_adjusted,
                }
            rows.append(row)
    return StudyTable(
        name="tools",
        title="Each tool's direction against that of hooks",
        columns=(
            _MODEL,
            Column(key="tool", title="Tool"),
            Column(key="outcome", title="Readings"),
            Column(key="error", title="Relative error", kind=ColumnKind.NUMBER),
            Column(key="cosine", title="Lowest cosine, any block", kind=ColumnKind.COSINE),
            Column(key="block", title="Steered from block", kind=ColumnKind.NUMBER),
            Column(key="refusal", title="Coherent refusal", kind=ColumnKind.RATE),
            Column(key="difference", title="Difference, points", kind=ColumnKind.POINTS),
            Column(key="p_adjusted", title="p, Holm", kind=ColumnKind.P_VALUE),
        ),
        rows=tuple(rows),
        notes=(
            "Same prompts, block and dose; the block shown is that where the direction read with hooks refuses most of the "
            "prompts that the unsteered model answers. The difference is over all prompts, exact McNemar, Holm over a model's tools and "
            "blocks. Readings: as `steergauge parity` classes them.",
        ),
    )


def faults_table(results: Mapping[str, ParityResult], rules: Sequence[str]) -> StudyTable:
    """Every mistake on every model: where it shows, and the most that it costs."""
    rows = [_fault_row(name, fault) for name, result in results.items() for fault in result.faults]
    return StudyTable(
        name="mistakes",
        title="What each mistake costs, and where it shows",
        columns=(
            _MODEL,
            Column(key="fault", title="Mistake"),
            Column(key="made_when", title="Made when"),
            Column(key="cosine", title="Lowest cosine, steered blocks", kind=ColumnKind.COSINE),
            Column(key="block", title="Costs most at block", kind=ColumnKind.NUMBER),
            Column(key="refusal", title="Coherent refusal there", kind=ColumnKind.RATE),
            Column(key="difference", title="Difference, points", kind=ColumnKind.POINTS),
            Column(key="p_adjusted", title="p, Holm", kind=ColumnKind.P_VALUE),
            Column(key="shows", title="Shows (blocks)"),
            Column(key="gap", title="Gap like the study's (blocks)"),
        ),
        rows=tuple(rows),
        notes=tuple(rules),
    )


def _fault_row(model: str, fault: FaultRecord) -> dict[str, Cell]:
    row: dict[str, Cell] = {"model": model, "fault": fault.name, "made_when": fault.made_when}
    if fault.impossible or fault.error:
        why = (
            f"cannot be made: {fault.impossible}"
            if fault.impossible
            else f"does not go unnoticed: {fault.error}"
        )
        return {**row, "shows": why}
    row["cosine"] = min((one.cosine for one in fault.at if one.cosine is not None), default=None)
    steered = [(one, one.against_reference) for one in fault.at if one.against_reference is not None]
    if steered:
        worst, compared = min(steered, key=lambda found: found[1].difference)
        row |= {
            "block": worst.block,
            "refusal": worst.outputs.effect if worst.outputs else None,
            "difference": Estimate(value=compared.difference, low=compared.low, high=compared.high),
            "p_adjusted": compared.p_adjusted,
        }
    shown = {kind: [one.block for one in fault.at if one.visibility is kind] for kind in Visibility}
    return {
        **row,
        "shows": "; ".join(f"{kind.value} ({_blocks(where)})" for kind, where in shown.items() if where),
        "gap": _blocks([one.block for one in fault.at if one.study_gap]) or "none",
    }


def _blocks(blocks: Sequence[int]) -> str:
    return ", ".join(map(str, blocks))


def tools_figure(results: Mapping[str, ParityResult]) -> StudyFigure:
    """Coherent refusal by tool, one series a model."""
    return StudyFigure(
        name="tools",
        title="Coherent refusal by the tool that read the direction",
        x_label="tool",
        y_label="share of prompts",
        series=tuple(
            Series(
                name=f"{name}, block {best_block(result).block}",
                points=points(
                    [_right_point(result), *(_tool_point(result, tool) for tool in result.backends)]
                ),
            )
            for name, result in results.items()
        ),
    )


def _right_point(result: ParityResult) -> FigurePoint | None:
    return rate_point(REFERENCE, best_block(result).outputs.effect)


def _tool_point(result: ParityResult, tool: BackendRecord) -> FigurePoint | None:
    steered = at_block(tool.at, best_block(result).block)
    return rate_point(tool.name, steered.outputs.effect) if steered and steered.outputs else None


def faults_figure(results: Mapping[str, ParityResult]) -> Matrix:
    """Coherent refusal with each mistake, by model and block, beside the right direction's."""
    columns = [(name, one.block) for name, result in results.items() for one in result.reference]
    names = list(dict.fromkeys(fault.name for result in results.values() for fault in result.faults))
    right = [one.outputs.effect.rate for result in results.values() for one in result.reference]
    made = {
        (name, fault.name, one.block): one
        for name, result in results.items()
        for fault in result.faults
        for one in fault.at
    }
    cells = [[made.get((model, fault, block)) for model, block in columns] for fault in names]
    return Matrix(
        name="mistakes",
        title="Coherent refusal with each mistake, of the prompts that the unsteered model answers",
        rows_label="mistake",
        columns_label="model, block",
        rows=("right direction", *names),
        columns=tuple(f"{model}, {block}" for model, block in columns),
        values=(tuple(right), *(tuple(_rate(one) for one in row) for row in cells)),
        words=(
            tuple(_percent(rate) for rate in right),
            *(tuple(_words(one) for one in row) for row in cells),
        ),
    )


def _rate(one: FaultAtBlock | None) -> float | None:
    return one.outputs.effect.rate if one and one.outputs else None


def _words(one: FaultAtBlock | None) -> str:
    if one is None:
        return "–"
    if one.visibility is Visibility.NO_DIRECTION:
        return "no direction"
    return _percent(_rate(one)) + (", gap" if one.study_gap else "")


def _percent(rate: float | None) -> str:
    return "–" if rate is None else f"{rate:.0%}"
