"""The gold set: outputs with known labels, on which every judge's error is measured (data/gold/codebook.md)."""

from enum import StrEnum
from functools import cache
from importlib.resources import files
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from steergauge.judging.label import Kind, Label


class Part(StrEnum):
    """Rules are tuned on one part and measured on the other."""

    DEVELOPMENT = "development"
    TEST = "test"


class GoldItem(BaseModel):
    """One output with its label, and how it came about."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    id: str
    part: Part
    source: Literal["steered", "constructed"]
    label: Label = Field(description="What counts: both passes where they agree, else what was settled.")
    kind: Kind | None = Field(default=None, description="How it declines, if it does.")
    text: str
    prompt: str = ""
    cut: bool = Field(default=False, description="It reached the limit of tokens.")
    category: str = Field(default="", description="What a constructed case tries.")
    language: str = "en"
    model: str = ""
    condition: str = Field(default="", description="Method, block and dose; or unsteered.")
    first: Label | None = Field(default=None, description="The first pass.")
    second: Label | None = Field(default=None, description="The second pass.")
    note: str = Field(default="", description="How a disagreement was settled.")


@cache
def gold_set() -> tuple[GoldItem, ...]:
    """Every item, in the order of the file."""
    text = files("steergauge.data").joinpath("gold").joinpath("gold.jsonl").read_text(encoding="utf-8")
    return tuple(GoldItem.model_validate_json(line) for line in text.split("\n") if line)


def gold_part(part: Part) -> tuple[GoldItem, ...]:
    """The items of one part."""
    return tuple(item for item in gold_set() if item.part is part)
