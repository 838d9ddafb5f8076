"""Hypothesis 4: is the direction a fragile artifact, another one with other prompts (paper, section 9)?"""

from collections.abc import Sequence
from itertools import combinations
from typing import ClassVar, NamedTuple, Self

from pydantic import Field, model_validator

from steergauge.directions.cross_cosine import cosines_by_block
from steergauge.directions.methods import find_method
from steergauge.directions.stability import ROBUST_COSINE, Design, Robustness
from steergauge.studies.bench import Bench
from steergauge.studies.claims import answer
from steergauge.studies.experiments.contrast_sets import SeveralSetsSettings, sizes_in_words
from steergauge.studies.experiments.experiment import Work
from steergauge.studies.measure_stability import measure_stability
from steergauge.studies.plan import block_at
from steergauge.studies.stability import BlockRecord, DesignRecord, StabilityResult, StabilitySettings, runs
from steergauge.studies.study_result import (
    Cell,
    Column,
    ColumnKind,
    Conclusion,
    Estimate,
    FigurePoint,
    Outcome,
    Series,
    StudyFigure,
    StudyFindings,
    StudyTable,
)
from steergauge.studies.study_settings import StudiedModel


class StabilityStudySettings(SeveralSetsSettings):
    """Whose directions are compared, at which depths, and how often prompts are drawn."""

    unused: ClassVar = (
        *("prompts", "unit", "doses", "norm_fractions", "max_new_tokens"),
        *("judge", "threshold", "random_directions", "batch"),
    )

    draws: int = Field(default=1000, ge=1, description="Of each design.")

    @model_validator(mode="after")
    def _every_method_is_known(self) -> Self:
        for method in self.methods:
            find_method(method)
        return self


class Between(NamedTuple):
    """Two sets' directions by one method: their cosine at every block."""

    method: str
    sets: str
    cosines: list[float]


class Measured(NamedTuple):
    """One model: each set drawn from, and the sets beside each other."""

    depths: list[int]
    """The blocks that the rule looks at."""
    blocks: int
    drawn: list[StabilityResult]
    between: list[Between]


class StabilityStudy:
    """Do other prompts give another direction?"""

    settings = StabilityStudySettings

    def plan(self, settings: StabilityStudySettings) -> list[Work]:
        """Prompts are read, and nothing is generated."""
        sets = settings.contrast_sets()
        prompts = sum(len(one.positive) + len(one.negative) for one in sets)
        what = f"reading contrast sets: {sizes_in_words(sets)}"
        return [
            Work(model=model, what=what, conditions=0, generations=0, max_new_tokens=1, readings=2 * prompts)
            for model in settings.models
        ]

    def run(self, settings: StabilityStudySettings, bench: Bench) -> StudyFindings:
        """Draws from every set on every model, compares the sets, and applies the rule."""
        measured = {model.label: _measure(settings, model, bench) for model in settings.models}
        return StudyFindings(
            tables=(_drawn_table(measured), _between_table(measured)),
            figures=tuple(_figure(measured, design) for design in Design),
            conclusions=(_conclude(measured),),
            cautions=(
                "The hypothesis starts from a gap between tools: whether there is one on these models is what the study "
                "`tooling` measures.",
                "Fewer prompts give lower cosines, whatever the model, and halves have half of them. What other prompts do to "
                "the refusals is what the study `extraction` measures.",
            ),
        )


def _measure(settings: StabilityStudySettings, studied: StudiedModel, bench: Bench) -> Measured:
    model, sets = bench.model(studied), settings.contrast_sets()
    blocks = len(model.blocks)
    drawn = [
        measure_stability(
            model,
            StabilitySettings(
                methods=settings.methods, contrast_set=one, draws=settings.draws, seed=settings.seed
            ),
            progress=bench.progress,
            readings=bench.readings,
        )
        for one in sets
    ]
    readings = {one.name: bench.readings.contrast(model, one) for one in sets}
    depths = studied.depths or settings.depths
    between = []
    for method in settings.methods:
        directions = {name: find_method(method)(*read) for name, read in readings.items()}
        for one, other in combinations(directions, 2):
            cosines = cosines_by_block(directions[one], directions[other])
            between.append(Between(method, f"{one} and {other}", cosines.tolist()))
    return Measured(sorted({block_at(depth, blocks) for depth in depths}), blocks, drawn, between)


def judge(measured: Measured) -> Outcome:
    """Applies the hypothesis's rule to one model: supported is fragile, not supported is robust."""
    here = set(measured.depths)
    designs = [design for result in measured.drawn for method in result.methods for design in method.designs]
    between = [one.cosines[block] for one in measured.between for block in measured.depths]
    halves = [_at(design, here) for design in designs if design.design is Design.HALVES]
    if _all_are(Robustness.FRAGILE, halves) and all(cosine < ROBUST_COSINE for cosine in between):
        return Outcome.SUPPORTED
    everything = [_at(design, here) for design in designs]
    if _all_are(Robustness.ROBUST, everything) and all(cosine >= ROBUST_COSINE for cosine in between):
        return Outcome.NOT_SUPPORTED
    return Outcome.UNDECIDED


def _at(design: DesignRecord, blocks: set[int]) -> list[BlockRecord]:
    return [at for at in design.blocks if at.block in blocks]


def _all_are(verdict: Robustness, designs: Sequence[Sequence[BlockRecord]]) -> bool:
    return all(at.verdict is verdict for design in designs for at in design)


def _conclude(measured: dict[str, Measured]) -> Conclusion:
    judged = {name: judge(one) for name, one in measured.items()}
    outcomes = set(judged.values())
    return answer(
        "fragile-directions",
        outcomes.pop() if len(outcomes) == 1 else Outcome.UNDECIDED,
        " ".join(f"{name}: {judged[name]}, {_evidence(one)}." for name, one in measured.items()),
    )


def _evidence(measured: Measured) -> str:
    here = set(measured.depths)
    said = []
    for result in measured.drawn:
        for method in result.methods:
            medians = [
                at.median
                for design in method.designs
                if design.design is Design.HALVES
                for at in _at(design, here)
            ]
            said.append(f"halves of {result.contrast_set} by {method.method} {_range(medians)}")
    said += [
        f"{one.sets} by {one.method} {_range([one.cosines[block] for block in measured.depths])}"
        for one in measured.between
    ]
    return "; ".join(said)


def _range(cosines: Sequence[float]) -> str:
    return f"{min(cosines):.3f} to {max(cosines):.3f}"


def _drawn_table(measured: dict[str, Measured]) -> StudyTable:
    rows: list[dict[str, Cell]] = []
    for name, one in measured.items():
        for result in one.drawn:
            for method in result.methods:
                for design in method.designs:
                    there = sorted(_at(design, set(one.depths)), key=lambda at: at.median)
                    fragile = [at.block for at in design.blocks if at.verdict is Robustness.FRAGILE]
                    rows.append(
                        {
                            "model": name,
                            "set": f"{result.contrast_set}, {len(result.positive)}",
                            "method": method.method,
                            "design": design.design.value,
                            "lowest": _estimate(there[0]),
                            "lowest_block": there[0].block,
                            "highest": _estimate(there[-1]),
                            "highest_block": there[-1].block,
                            "fragile": runs(fragile) or "none",
                            "degenerate": design.degenerate,
                        }
                    )
    return StudyTable(
        name="drawn",
        title="Cosines between directions of drawn prompts, at the depths",
        columns=(
            Column(key="model", title="Model"),
            Column(key="set", title="Set, prompts a class"),
            Column(key="method", title="Method"),
            Column(key="design", title="Design"),
            Column(key="lowest", title="Lowest median", kind=ColumnKind.COSINE),
            Column(key="lowest_block", title="Block", kind=ColumnKind.NUMBER),
            Column(key="highest", title="Highest median", kind=ColumnKind.COSINE),
            Column(key="highest_block", title="Block", kind=ColumnKind.NUMBER),
            Column(key="fragile", title="Fragile blocks, of all"),
            Column(key="degenerate", title="Draws without a direction", kind=ColumnKind.NUMBER),
        ),
        rows=tuple(rows),
        notes=(
            "Halves: half of the prompts against the other half. Bootstrap: a resample against the whole set, with which it "
            "shares prompts. In brackets 95% of the draws.",
        ),
    )


def _estimate(at: BlockRecord) -> Estimate:
    return Estimate(value=at.median, low=at.low, high=at.high)


def _between_table(measured: dict[str, Measured]) -> StudyTable:
    rows: list[dict[str, Cell]] = []
    for name, one in measured.items():
        for between in one.between:
            there = sorted(one.depths, key=lambda block: between.cosines[block])
            rows.append(
                {
                    "model": name,
                    "sets": between.sets,
                    "method": between.method,
                    "lowest": between.cosines[there[0]],
                    "lowest_block": there[0],
                    "highest": between.cosines[there[-1]],
                    "highest_block": there[-1],
                }
            )
    return StudyTable(
        name="between",
        title="Cosines between the directions of whole sets, at the depths",
        columns=(
            Column(key="model", title="Model"),
            Column(key="sets", title="Sets"),
            Column(key="method", title="Method"),
            Column(key="lowest", title="Lowest", kind=ColumnKind.COSINE),
            Column(key="lowest_block", title="Block", kind=ColumnKind.NUMBER),
            Column(key="highest", title="Highest", kind=ColumnKind.COSINE),
            Column(key="highest_block", title="Block", kind=ColumnKind.NUMBER),
        ),
        rows=tuple(rows),
    )


def _figure(measured: dict[str, Measured], design: Design) -> StudyFigure:
    return StudyFigure(
        name=design.value,
        title=f"Cosine between directions of drawn prompts, {_DESIGNS[design]}",
        x_label="depth, block / number of blocks",
        y_label="median cosine, and 95% of the draws",
        series=tuple(
            Series(
                name=f"{name}, {result.contrast_set}, {method.method}",
                points=tuple(
                    FigurePoint(x=at.block / one.blocks, y=at.median, low=at.low, high=at.high)
                    for at in found.blocks
                ),
            )
            for name, one in measured.items()
            for result in one.drawn
            for method in result.methods
            for found in method.designs
            if found.design is design
        ),
        share=False,
        threshold=ROBUST_COSINE,
    )


_DESIGNS = {Design.BOOTSTRAP: "resamples against the whole set", Design.HALVES: "half against half"}
