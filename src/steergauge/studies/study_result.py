"""What a study returns: tables, figures, conclusions, and the gauges that they rest on."""

from enum import StrEnum
from typing import Any, Literal

import pandas as pd
from pydantic import ConfigDict, Field

from steergauge.studies.measurements import Rate, Record
from steergauge.studies.result import GaugeResult, GenerationRecord

SCHEMA: Literal["steergauge.study/1"] = "steergauge.study/1"


class Estimate(Record):
    """A number with a 95% interval, where it has one."""

    value: float | None = Field(description="The estimate; null where it could not be made.")
    low: float | None = Field(default=None, description="Lower end of the interval.")
    high: float | None = Field(default=None, description="Its upper end.")


Cell = Rate | Estimate | bool | int | float | str | None


class ColumnKind(StrEnum):
    """How a column's numbers are written."""

    TEXT = "text"
    RATE = "rate"
    NUMBER = "number"
    COSINE = "cosine"
    SHARE = "share"
    POINTS = "points"
    P_VALUE = "p-value"


class Column(Record):
    """A column of a study's table."""

    key: str = Field(description="Its name in the rows and in CSV.")
    title: str = Field(description="Its heading.")
    kind: ColumnKind = Field(default=ColumnKind.TEXT, description="How its numbers are written.")


OUTPUTS = "outputs"
"""Beside its columns a row may have this: the gauge and condition whose outputs it rests on, as `outputs_of` says."""


def outputs_of(gauge: str, condition: str) -> str:
    """Names a condition's outputs within a study: by the gauge's label and the condition's id."""
    return f"{gauge}: {condition}"


class StudyTable(Record):
    """A table of a study."""

    name: str = Field(description="Names its files.")
    title: str = Field(description="Its caption.")
    columns: tuple[Column, ...] = Field(description="In order.")
    rows: tuple[dict[str, Cell], ...] = Field(
        description="Cells by column key; `outputs` names the gauge and the condition that a row rests on."
    )
    notes: tuple[str, ...] = Field(default=(), description="What to read it with.")

    def to_pandas(self) -> pd.DataFrame:
        """One row a row; a rate or an estimate takes a column for each of its numbers."""
        flat: dict[str, list[Any]] = {}
        for column in self.columns:
            cells = [row.get(column.key) for row in self.rows]
            kind = next((type(cell) for cell in cells if isinstance(cell, Rate | Estimate)), None)
            if kind is None:
                flat[column.key] = list(cells)
                continue
            for field in kind.model_fields:
                name = column.key if field in ("rate", "value") else f"{column.key}_{field}"
                flat[name] = [getattr(cell, field) if isinstance(cell, kind) else None for cell in cells]
        return pd.DataFrame(flat)


class FigurePoint(Record):
    """A point of a figure."""

    x: float | str = Field(description="Where it stands; a word where the axis has no scale.")
    y: float = Field(description="Its value.")
    low: float | None = Field(default=None, description="Lower end of its interval.")
    high: float | None = Field(default=None, description="Its upper end.")


class Series(Record):
    """Points that belong together, joined by a line where the axis has a scale."""

    name: str = Field(description="As the key says it.")
    points: tuple[FigurePoint, ...] = Field(description="In order.")
    measure: Literal["", "refusal", "garbled"] = Field(default="", description="Chooses the colour, if any.")


class StudyFigure(Record):
    """Values with their intervals over a scale or over names."""

    name: str = Field(description="Names its files.")
    title: str = Field(description="Its caption.")
    x_label: str = Field(description="Of the axis.")
    y_label: str = Field(description="Of the axis.")
    series: tuple[Series, ...] = Field(description="In order of the key.")
    share: bool = Field(default=True, description="Whether the values are fractions of one.")
    x_share: bool = Field(default=False, description="Whether x is a fraction of one.")
    logarithmic: bool = Field(default=False, description="Whether x is on a logarithmic scale.")
    threshold: float | None = Field(default=None, description="A value to compare with.")

    def to_pandas(self) -> pd.DataFrame:
        """One row a point."""
        rows = [
            {"series": series.name, **point.model_dump()} for series in self.series for point in series.points
        ]
        return pd.DataFrame(rows, columns=["series", *FigurePoint.model_fields])


class Matrix(Record):
    """A value for each pair of names; null where a pair has none."""

    name: str = Field(description="Names its files.")
    title: str = Field(description="Its caption.")
    rows_label: str = Field(description="What the rows are.")
    columns_label: str = Field(description="What the columns are.")
    rows: tuple[str, ...] = Field(description="Names of the rows.")
    columns: tuple[str, ...] = Field(description="Names of the columns.")
    values: tuple[tuple[float | None, ...], ...] = Field(description="One row a row, from 0 to 1 in colour.")
    words: tuple[tuple[str, ...], ...] = Field(description="What stands in each cell.")

    def to_pandas(self) -> pd.DataFrame:
        """One row a cell."""
        return pd.DataFrame(
            [
                {"row": row, "column": column, "value": value, "words": said}
                for row, values, texts in zip(self.rows, self.values, self.words, strict=True)
                for column, value, said in zip(self.columns, values, texts, strict=True)
            ]
        )


class Outcome(StrEnum):
    """What a study says of a claim."""

    SUPPORTED = "supported"
    NOT_SUPPORTED = "not supported"
    UNDECIDED = "undecided"


class Conclusion(Record):
    """A claim, what the measurement says of it, by which rule, and on what evidence."""

    id: str = Field(default="", description="Of the paper's claim that it answers, if it does.")
    claim: str = Field(description="The claim, in words.")
    outcome: Outcome = Field(description="What was found.")
    rule: str = Field(description="When it counts as supported, and when as not supported.")
    evidence: str = Field(description="The numbers that the rule was applied to.")


class StudyFindings(Record):
    """What a study found: what each one returns."""

    tables: tuple[StudyTable, ...] = Field(description="The paper's table first.")
    figures: tuple[StudyFigure | Matrix, ...] = Field(description="The paper's figure first.")
    conclusions: tuple[Conclusion, ...] = Field(default=(), description="Claims and what is said of them.")
    cautions: tuple[str, ...] = Field(default=(), description="What could make it wrong.")


class StudyResult(StudyFindings):
    """A study's findings with all that they rest on."""

    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True)

    schema_: Literal["steergauge.study/1"] = Field(
        default=SCHEMA, alias="schema", description="Name and version of this form."
    )
    study: str = Field(description="Its name.")
    question: str = Field(description="What it asks.")
    settings: dict[str, Any] = Field(description="The study file, resolved.")
    gauges: dict[str, GaugeResult] = Field(description="What was measured, by model and setting.")
    steergauge: str = Field(description="Its version.")
    versions: dict[str, str] = Field(description="Of what was used.")
    hardware: dict[str, str] = Field(description="Where it ran.")
    started: str = Field(description="When, UTC.")
    seconds: float = Field(description="How long it took, with what the store held already.")
    made_now: int = Field(description="Generations that the store did not hold.")

    @property
    def generations(self) -> list[GenerationRecord]:
        """Every output of every gauge."""
        return [generation for gauge in self.gauges.values() for generation in gauge.generations]

    def generations_to_pandas(self) -> pd.DataFrame:
        """One row a generation of every gauge, with the gauge's label first."""
        tables = []
        for label, gauge in self.gauges.items():
            table = gauge.generations_to_pandas()
            table.insert(0, "gauge", label)
            tables.append(table)
        return pd.concat(tables, ignore_index=True) if tables else pd.DataFrame()
