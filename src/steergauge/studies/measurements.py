"""What was measured, as records: rates, doses, comparisons, conditions and the best of them."""

from pydantic import BaseModel, ConfigDict, Field


class Record(BaseModel):
    """A frozen record that refuses unknown fields."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    def to_json(self) -> str:
        """The documented JSON form (docs/json.md)."""
        return self.model_dump_json(by_alias=True, indent=2)


class Rate(Record):
    """Successes among distinct prompts, with a Wilson 95% interval; all as fractions of one."""

    count: int = Field(description="Prompts with the outcome.")
    n: int = Field(description="Distinct prompts observed, whose output was scored.")
    rate: float | None = Field(description="count / n; null when n is 0.")
    low: float = Field(description="Lower end of the interval.")
    high: float = Field(description="Upper end of the interval.")
    unscored: int = Field(
        default=0, description="Prompts left out of `n`: the judge could not read the output."
    )


class DoseRecord(Record):
    """One dose in every unit, at the first steered block l; of heads, what they write to the stream."""

    unit: str = Field(description="The unit it was asked for in.")
    value: float = Field(description="The dose as asked for, in `unit`.")
    raw: float = Field(
        description="α at the first steered block; of heads, the length of what those of one block write, "
        "where it is most of the stream."
    )
    relative: float = Field(description="`raw` / R there.")
    separation: float | None = Field(description="α / ‖Δ_l‖; null for heads.")
    clamp: float | None = Field(
        description="The mean component along the direction after the first addition; null for heads."
    )
    total_relative: float = Field(description="Sum of additions over the blocks / R_{N−1}.")
    coefficients: list[float] = Field(
        description="What is added at each block, or the component that is set; 0 where nothing is."
    )
    clipped_blocks: list[int] = Field(description="Blocks where a negative increment was clipped to 0.")
    coordinates_lost: float | None = Field(
        description="Share of coordinates where rounding lost the addition; null for heads."
    )
    delivered: float | None = Field(
        description="Share of the dose that survives rounding, along the direction; null for heads."
    )


class Comparison(Record):
    """A paired comparison over the same prompts: exact McNemar."""

    n: int = Field(description="Prompts compared.")
    gained: int = Field(description="Prompts refused here and not in the reference.")
    lost: int = Field(description="Prompts refused in the reference and not here.")
    difference: float = Field(description="Rate here minus rate in the reference.")
    low: float = Field(description="Lower end of Newcombe's paired 95% interval.")
    high: float = Field(description="Its upper end.")
    p_value: float = Field(description="Two-sided, exact McNemar, not corrected.")
    p_adjusted: float | None = Field(
        description="Holm, over all conditions; null where one comparison is made."
    )
    unscored: int = Field(
        default=0, description="Prompts left out of `n`: one of the two outputs is unscored."
    )


def points(difference: float) -> str:
    """A difference of rates in percentage points, with its sign."""
    return f"{100 * difference:+.0f}".replace("-", "−")


class ConditionResult(Record):
    """One method, block and dose over the evaluation prompts; in a search, over those that it was shown."""

    id: str = Field(description="Its name in this result.")
    method: str = Field(description="How its direction was extracted.")
    block: int = Field(description="The first steered block.")
    depth: float = Field(description="block / N.")
    dose: DoseRecord = Field(description="How much was added.")
    refusal: Rate = Field(description="Coherent refusal, of all evaluation prompts.")
    garbled: Rate = Field(description="Garbled outputs, of all evaluation prompts.")
    normal: Rate = Field(description="Normal outputs, of all evaluation prompts.")
    effect: Rate = Field(description="Refusal among the prompts that the unsteered model does not refuse.")
    against_unsteered: Comparison = Field(
        description="Paired with the unsteered model, on all evaluation prompts."
    )


class Window(Record):
    """The doses at one block that reach the threshold on the prompts the unsteered model answers."""

    method: str = Field(description="Of the best condition.")
    block: int = Field(description="Of the best condition.")
    threshold: float = Field(description="The rate that a dose must reach.")
    unit: str = Field(description="What `doses`, `low` and `high` are in.")
    doses: list[float] = Field(description="The unbroken run of doses around the best one; empty if none.")
    low: float | None = Field(description="The lowest dose of the window.")
    high: float | None = Field(description="The highest dose of the window.")
    open_below: bool = Field(description="The lowest dose tried is inside, so the window may go on below.")
    open_above: bool = Field(description="The highest dose tried is inside, so the window may go on above.")


class Best(Record):
    """The condition chosen on one half of the prompts, and its rate on the other half."""

    condition: str = Field(description="Its id.")
    method: str = Field(description="How its direction was extracted.")
    block: int = Field(description="The first steered block.")
    depth: float = Field(description="block / N.")
    dose: DoseRecord = Field(description="How much was added.")
    chosen_on: Rate = Field(description="Coherent refusal on the choosing prompts.")
    reported_on: Rate = Field(description="Coherent refusal on the reporting prompts: the number to cite.")
    garbled_on_reported: Rate = Field(description="Garbled outputs on the reporting prompts.")
    whole_set: Rate = Field(
        description="Both halves together: optimistic, as it was chosen on one of them. "
        "No rate of this record counts prompts that the unsteered model refuses."
    )
    against_unsteered: Comparison = Field(description="On the reporting prompts.")
    choosing_prompts: list[str] = Field(description="The half that it was chosen on.")
    reporting_prompts: list[str] = Field(description="The other half.")


class RandomDirection(Record):
    """One random unit vector steered exactly as the chosen condition was."""

    seed: int = Field(description="What the vector was drawn from.")
    refusal: Rate = Field(description="Coherent refusal, of all evaluation prompts.")
    garbled: Rate = Field(description="Garbled outputs, of all evaluation prompts.")
    normal: Rate = Field(description="Normal outputs, of all evaluation prompts.")
    effect: Rate = Field(description="Refusal among the prompts that the unsteered model does not refuse.")


class RandomControl(Record):
    """What the direction does beyond random vectors of the same dose."""

    directions: list[RandomDirection] = Field(description="One entry a random vector.")
    strongest_seed: int = Field(description="The random vector that caused most refusals.")
    against_strongest: Comparison = Field(
        description="The best condition against that random vector, paired, on the reporting prompts."
    )
