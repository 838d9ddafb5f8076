"""What the study published, as validated data: `data/published.toml`."""

import tomllib
from decimal import Decimal
from enum import StrEnum
from functools import cache
from importlib.resources import files
from typing import Literal, Self

from pydantic import Field, model_validator

from steergauge.statistics.unpaired import Count
from steergauge.studies.measurements import Record


class Source(StrEnum):
    """Where a row was published."""

    PAPER = "paper"
    ARTIFACTS = "artifacts"


class Concludes(StrEnum):
    """What the text says of two rates."""

    DIFFER = "differ"
    SAME = "same"
    INDISTINGUISHABLE = "indistinguishable"


class PublishedModel(Record):
    """A row of the paper's table of models."""

    key: str = Field(description="Short name that other rows use.")
    name: str = Field(description="As the paper names it.")
    family: str = Field(description="Qwen, Gemma or Mistral.")
    parameters: int = Field(description="In billions, as the paper rounds them.")
    blocks: int = Field(description="Number of decoder layers, N.")
    precision: str = Field(description="That the paper's table gives.")
    width: int = Field(description="Of the residual stream, in coordinates.")
    sliding_window: bool | None = Field(default=None, description="From its public configuration, if needed.")


class PublishedRate(Record):
    """One condition's outcomes, in percent with the digits as printed."""

    id: str = Field(description="Its name in this file.")
    place: str = Field(description="Section, table or file it stands in.")
    source: Source = Field(default=Source.PAPER, description="Paper or artifacts.")
    model: str = Field(description="Key of the model.")
    method: str = Field(default="DIM", description="How the direction was extracted.")
    blocks: tuple[int, ...] = Field(description="First steered block; several that gave the same rate.")
    depth: tuple[int, ...] = Field(description="The same in percent of the blocks, as printed.")
    dose: Decimal = Field(description="Raw multiplier.")
    precision: str | None = Field(default=None, description="Where it is not the model's.")
    tool: str = Field(default="nnsight", description="What read or steered the activations.")
    coherent: Decimal = Field(description="Coherent refusals, in percent.")
    garbled: Decimal | None = Field(default=None, description="Garbled outputs, in percent.")
    normal: Decimal | None = Field(default=None, description="Normal outputs, in percent.")
    n: int = Field(description="Outputs counted, repeats included.")
    prompts: int = Field(description="Distinct prompts among them.")
    low: Decimal | None = Field(default=None, description="Lower end of the printed interval, in percent.")
    high: Decimal | None = Field(default=None, description="Its upper end.")
    refused: tuple[int, ...] | None = Field(
        default=None, description="Numbers of the prompts refused, 1 to 30, where published."
    )
    max_new_tokens: int = Field(default=100, description="Length of an output.")
    note: str = Field(default="", description="What else the place says.")

    @property
    def counted(self) -> Count:
        """Coherent refusals among outputs, as the study counts them."""
        return Count(round(self.coherent * self.n / 100), self.n)

    @property
    def distinct(self) -> Count:
        """Coherent refusals among distinct prompts: what counts."""
        return Count(round(self.coherent * self.prompts / 100), self.prompts)

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.prompts > self.n or self.n % self.prompts:
            raise ValueError(f"{self.id}: {self.n} outputs cannot be repeats of {self.prompts} prompts")
        if self.refused is not None and len(self.refused) != self.distinct.successes:
            raise ValueError(f"{self.id}: {len(self.refused)} refused prompts do not give {self.coherent}%")
        return self


class PublishedDirection(Record):
    """What was published of a direction."""

    place: str = Field(description="Section, table or file it stands in.")
    source: Source = Field(default=Source.PAPER, description="Paper or artifacts.")
    model: str = Field(description="Key of the model.")
    block: int | None = Field(default=None, description="It was read after this block.")
    method: str = Field(default="DIM", description="How it was extracted.")
    precision: str | None = Field(default=None, description="Where it is not the model's.")
    norm: Decimal | None = Field(default=None, description="Before normalising, ‖Δ‖.")
    cosine: Decimal | None = Field(default=None, description="With the direction of `against`.")
    against: str | None = Field(default=None, description="Method, precision or tool of the other direction.")
    score: Decimal | None = Field(default=None, description="COSMIC's score.")
    note: str = Field(default="", description="What else the place says.")


class PublishedTransfer(Record):
    """A row of the transfer table."""

    id: str = Field(description="Its name in this file.")
    transferred: str = Field(description="Id of the rate with the other model's direction.")
    own: str = Field(description="Id of the rate with the target's own.")
    efficiency: Decimal = Field(description="Their ratio, as printed.")
    cross_cosine: Decimal = Field(description="Between the two directions, as printed.")
    low: Decimal = Field(description="Lower end of the interval in the artifacts.")
    high: Decimal = Field(description="Its upper end.")


class PublishedComparison(Record):
    """Two rates that the text compares, and the numbers it prints for that."""

    id: str = Field(description="Its name in this file.")
    place: str = Field(description="Sections it stands in.")
    claim: str = Field(description="What is compared, and what is said of it, in our words.")
    first: str = Field(description="Id of a rate.")
    second: str = Field(description="Id of the other.")
    concludes: Concludes = Field(description="What the text concludes.")
    difference: Decimal | None = Field(default=None, description="First minus second, in points.")
    p: Decimal | None = Field(default=None, description="Fisher's exact test.")
    p_below: Decimal | None = Field(default=None, description="Where only a bound on p is printed.")
    h: Decimal | None = Field(default=None, description="Cohen's h.")
    note: str = Field(default="", description="Where a printed number may come from.")


class HalfWidth(Record):
    """A rule of thumb that the paper states for its intervals."""

    place: str = Field(description="Section it stands in.")
    n: int = Field(description="Outputs.")
    near: int = Field(description="The rate, in percent.")
    points: Decimal = Field(description="Half the width, in points.")


class Example(Record):
    """An output that is shown as an example."""

    place: str = Field(description="Section it stands in.")
    model: str = Field(description="Key of the model.")
    block: int = Field(description="The first steered block.")
    opening: str = Field(description="Its first words.")


class Statement(Record):
    """A claim that is checked by a function of its own."""

    id: str = Field(description="Name of the check.")
    place: str = Field(description="Sections it stands in.")
    claim: str = Field(description="What is said, in our words.")
    published: str = Field(description="The value or word to compare with.")


class TransferMatrix(Record):
    """Which pairs of models were tested for transfer; rows are sources, columns targets."""

    models: tuple[str, ...] = Field(description="Keys of the models.")
    status: tuple[tuple[Literal["self", "tested", "mismatch"], ...], ...] = Field(
        description="One row a source."
    )


class Published(Record):
    """Everything the study published that can be checked."""

    name: str = Field(description="The study's title.")
    source: str = Field(description="Where its artifacts are.")
    models: tuple[PublishedModel, ...] = Field(description="The table of models.")
    rates: tuple[PublishedRate, ...] = Field(description="All rates, of text, tables and artifacts.")
    directions: tuple[PublishedDirection, ...] = Field(description="Norms, cosines, scores.")
    transfers: tuple[PublishedTransfer, ...] = Field(description="The transfer table.")
    comparisons: tuple[PublishedComparison, ...] = Field(description="Comparisons that the text makes.")
    half_widths: tuple[HalfWidth, ...] = Field(description="Rules of thumb for its intervals.")
    examples: tuple[Example, ...] = Field(description="Outputs shown.")
    statements: tuple[Statement, ...] = Field(description="Other claims.")
    transfer_matrix: TransferMatrix = Field(description="Which pairs were tested.")

    def rate(self, id_: str) -> PublishedRate:
        """The rate of an id."""
        return next(rate for rate in self.rates if rate.id == id_)

    def model(self, key: str) -> PublishedModel:
        """The model of a key."""
        return next(model for model in self.models if model.key == key)

    def statement(self, id_: str) -> Statement:
        """The statement of an id."""
        return next(statement for statement in self.statements if statement.id == id_)

    def norm(self, model: str, block: int) -> float:
        """The norm of a model's DIM direction at a block, in its own precision."""
        return next(
            float(direction.norm)
            for direction in self.directions
            if direction.norm is not None
            and (direction.model, direction.block, direction.precision) == (model, block, None)
        )

    @model_validator(mode="after")
    def _references(self) -> Self:
        keys = {model.key for model in self.models}
        ids = [rate.id for rate in self.rates]
        if len(set(ids)) < len(ids):
            raise ValueError("two rates have the same id")
        named = {rate.model for rate in self.rates} | {direction.model for direction in self.directions}
        if unknown := named - keys:
            raise ValueError(f"no model {unknown}")
        used = {one for comparison in self.comparisons for one in (comparison.first, comparison.second)}
        used |= {one for transfer in self.transfers for one in (transfer.transferred, transfer.own)}
        if unknown := used - set(ids):
            raise ValueError(f"no rate {unknown}")
        return self


@cache
def published() -> Published:
    """Reads the data file; numbers keep the digits they are printed with."""
    text = files("steergauge").joinpath("data/published.toml").read_text(encoding="utf-8")
    return Published.model_validate(tomllib.loads(text, parse_float=Decimal))
