"""The paper's published rates as tables, a section each, to stand beside what a study measures."""

from collections.abc import Sequence

from steergauge.studies.published import PublishedRate, published
from steergauge.studies.study_result import Cell, Column, ColumnKind, StudyTable

_SECTIONS = {
    "architecture": ("architecture-",),
    "scale": ("scale-",),
    "depth": ("depth-",),
    "method": ("dim-", "cosmic-"),
    "quantization": ("quant-",),
    "dose": ("dose-",),
    "tooling": ("tool-", "parity-"),
}
"""How the ids of a study's rates begin."""

_NOTE = (
    "As printed: the interval too, where one is. n counts outputs as the study does; under greedy decoding a repeat of a "
    "prompt adds nothing, so that its distinct prompts are what counts."
)


def published_table(study: str) -> StudyTable | None:
    """What the paper published for a study's section; None where it published no rate.

    Args:
        study: its name.
    """
    if study == "transfer":
        return _transfers()
    if study not in _SECTIONS:
        return None
    return _rates([rate for rate in published().rates if rate.id.startswith(_SECTIONS[study])])


def _rates(rates: Sequence[PublishedRate]) -> StudyTable:
    columns = [
        Column(key="place", title="Place"),
        Column(key="model", title="Model"),
        *([Column(key="method", title="Direction")] if len({rate.method for rate in rates}) > 1 else []),
        *([Column(key="precision", title="Precision")] if any(rate.precision for rate in rates) else []),
        *([Column(key="tool", title="Tool")] if len({rate.tool for rate in rates}) > 1 else []),
        Column(key="block", title="Block"),
        Column(key="dose", title="α", kind=ColumnKind.NUMBER),
        Column(key="coherent", title="Coherent refusal"),
        Column(key="garbled", title="Garbled"),
        Column(key="n", title="n", kind=ColumnKind.NUMBER),
        Column(key="prompts", title="Distinct prompts", kind=ColumnKind.NUMBER),
    ]
    return StudyTable(
        name="published",
        title="What the paper published",
        columns=tuple(columns),
        rows=tuple(_row(rate) for rate in rates),
        notes=(_NOTE,),
    )


def _row(rate: PublishedRate) -> dict[str, Cell]:
    interval = "" if rate.low is None or rate.high is None else f" [{rate.low}–{rate.high}]"
    return {
        "place": rate.place,
        "model": published().model(rate.model).name,
        "method": rate.method,
        "precision": rate.precision,
        "tool": rate.tool,
        "block": ", ".join(map(str, rate.blocks)),
        "dose": float(rate.dose),
        "coherent": f"{rate.coherent}%{interval}",
        "garbled": None if rate.garbled is None else f"{rate.garbled}%",
        "n": rate.n,
        "prompts": rate.prompts,
    }


def _transfers() -> StudyTable:
    data = published()
    rows: list[dict[str, Cell]] = []
    for transfer in data.transfers:
        lent, own = data.rate(transfer.transferred), data.rate(transfer.own)
        rows.append(
            {
                "source": data.model(lent.method.removeprefix("DIM of ")).name,
                "target": data.model(own.model).name,
                "own": f"{own.coherent}%",
                "lent": f"{lent.coherent}%",
                "efficiency": f"{transfer.efficiency} [{transfer.low}–{transfer.high}]",
                "cosine": f"{transfer.cross_cosine}",
                "prompts": lent.prompts,
            }
        )
    return StudyTable(
        name="published",
        title="What the paper published (§11; intervals and failed pairs from its artifacts)",
        columns=(
            Column(key="source", title="Source"),
            Column(key="target", title="Target"),
            Column(key="own", title="Own direction"),
            Column(key="lent", title="Source's"),
            Column(key="efficiency", title="Efficiency"),
            Column(key="cosine", title="Cosine"),
            Column(key="prompts", title="Distinct prompts", kind=ColumnKind.NUMBER),
        ),
        rows=tuple(rows),
        notes=("Its intervals resample each side by itself, though the prompts are the same.",),
    )
