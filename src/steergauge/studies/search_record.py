"""What a search did, as records: how the conditions raced, what it cost, and how sure its winner is."""

from enum import StrEnum

from pydantic import Field

from steergauge.studies.measurements import Comparison, Rate, Record


class Side(StrEnum):
    """Where a dose is from the threshold, as far as an exact bound tells (one-sided 95%)."""

    INSIDE = "inside"
    OUTSIDE = "outside"
    UNDECIDED = "undecided"


class RungRecord(Record):
    """A step of the race between conditions."""

    conditions: int = Field(description="How many were in it.")
    prompts: int = Field(description="Prompts that each of them had seen at its end.")


class CostRecord(Record):
    """What a part of the search had the model write."""

    rows: int = Field(description="Outputs.")
    tokens: int = Field(description="Tokens of those outputs.")


class FinalistRecord(Record):
    """A condition that was in the race to its end."""

    condition: str = Field(description="Its id.")
    against_winner: Comparison = Field(description="Paired with the winner, on the choosing half.")


class DoseAtWinner(Record):
    """A dose at the winner's block, with the side of the threshold that it is on."""

    condition: str = Field(description="Its id.")
    dose: float = Field(description="In the unit of the grid.")
    side: Side = Field(description="Undecided where neither bound tells.")


class LeaderRecord(Record):
    """What refused most where nothing can be told from the unsteered model."""

    condition: str = Field(
        description="Its id; of several, the one with fewest garbled outputs, then the smallest dose."
    )
    refusal: Rate = Field(description="On the prompts of the choosing half that it was shown.")
    bound: float = Field(description="The most that its rate may be, exact, one-sided 95%.")


class SearchRecord(Record):
    """A search in place of a sweep."""

    conditions: int = Field(description="Of the grid.")
    choosing: int = Field(description="Prompts that it may choose on.")
    rungs: list[RungRecord] = Field(description="The race between the conditions, in order.")
    race: CostRecord = Field(description="Of the race between the conditions.")
    winner: CostRecord = Field(description="Of the winner's outputs on all prompts that it had not seen.")
    window: CostRecord = Field(description="Of the other doses at the winner's block, for the window.")
    grid_rows: int = Field(description="Outputs of the whole grid.")
    share: float = Field(
        description="Rows of all three / `grid_rows`. The controls, of a sweep too, are in neither."
    )
    finalists: list[FinalistRecord] = Field(description="Those that the winner was chosen from, without it.")
    left: int = Field(description="Conditions that left the race earlier.")
    not_told_apart: int = Field(
        description="Of those, how many cannot be told from the winner on the prompts that both have seen "
        "(exact McNemar, p ≥ .05)."
    )
    doses: list[DoseAtWinner] = Field(description="At the winner's block, by dose.")
    leader: LeaderRecord | None = Field(description="Null where there is a winner.")

    @property
    def rows(self) -> int:
        """Outputs of all its parts."""
        return self.race.rows + self.winner.rows + self.window.rows

    @property
    def tokens(self) -> int:
        """Tokens of all its parts."""
        return self.race.tokens + self.winner.tokens + self.window.tokens
