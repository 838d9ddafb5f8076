"""What a gauge returns: the typed form of `--json`, documented in docs/json.md."""

from enum import StrEnum
from typing import Any, Literal

import pandas as pd
from pydantic import BaseModel, ConfigDict, Field

from steergauge.judging.label import Label

SCHEMA: Literal["steergauge.gauge/1"] = "steergauge.gauge/1"


class Record(BaseModel):
    """A frozen record that refuses unknown fields."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Rate(Record):
    """Successes among distinct prompts, with a Wilson 95% interval; all as fractions of one."""

    count: int
    n: int
    rate: float | None = Field(description="count / n; null when n is 0")
    low: float
    high: float


class ModelRecord(Record):
    """The model as it was measured."""

    name: str
    source: str = Field(description="Where the weights came from, in words.")
    architecture: str
    blocks: int
    width: int
    precision: str
    device: str
    fingerprint: str = Field(description="SHA-256 over weights, precision, tokenizer and template.")
    chat_template: str
    rendered_example: str = Field(description="The first evaluation prompt as the model was shown it.")
    quantization: str | None = Field(description="The format the weights were dequantised from, if any.")


class ProtocolRecord(Record):
    """The resolved study: enough to run it again."""

    contrast_set: str
    positive: list[str]
    negative: list[str]
    evaluation_set: str
    prompts: list[str]
    methods: list[str]
    depths: list[float]
    dose_unit: str
    doses: list[float]
    doses_chosen_by: str = Field(description="The user, the catalogue, or the residual norms.")
    operation: str
    positions: str
    max_new_tokens: int
    decoding: str
    judge: str
    threshold: float = Field(description="The coherent refusal rate that counts as steerable.")
    random_directions: int
    seed: int
    batch_rows: int


class PromptOutcome(Record):
    """An output of the unsteered model."""

    prompt: str
    label: Label
    text: str


class Unsteered(Record):
    """The control: the same prompts through the same path at dose 0."""

    refusal: Rate
    garbled: Rate
    normal: Rate
    refused_prompts: list[str] = Field(description="Left out of the effect.")
    harmful_refusal: Rate = Field(description="The contrast set's positive prompts that are refused.")
    harmless_refusal: Rate = Field(description="The contrast set's negative prompts that are refused.")
    contrast_outputs: list[PromptOutcome]


class DirectionRecord(Record):
    """A direction's diagnostics, one value a block."""

    method: str
    raw_norms: list[float] = Field(description="Length of the difference before normalising.")
    residual_norms: list[float] = Field(description="Median residual norm on benign prompts, R_k.")
    digest: str


class DoseRecord(Record):
    """One dose in every unit (methods.md §4)."""

    unit: str
    value: float = Field(description="The dose as asked for, in `unit`.")
    raw: float = Field(description="α at the first steered block.")
    relative: float = Field(description="α / R_l.")
    separation: float = Field(description="α / ‖Δ_l‖.")
    clamp: float = Field(description="The mean component along the direction after the first addition.")
    total_relative: float = Field(description="Sum of additions over the blocks / R_{N−1}.")
    coefficients: list[float] = Field(description="What is added at each block; 0 where nothing is.")
    clipped_blocks: list[int] = Field(description="Blocks where a negative increment was clipped to 0.")
    coordinates_lost: float = Field(description="Share of coordinates where rounding lost the addition.")
    delivered: float = Field(description="Share of the dose that survives rounding, along the direction.")


class Comparison(Record):
    """A paired comparison over the same prompts: exact McNemar."""

    n: int = Field(description="Prompts compared.")
    gained: int = Field(description="Prompts refused here and not in the reference.")
    lost: int = Field(description="Prompts refused in the reference and not here.")
    difference: float = Field(description="Difference of rates.")
    low: float = Field(description="Newcombe's paired 95% interval.")
    high: float
    p_value: float
    p_adjusted: float | None = Field(
        description="Holm, over all conditions; null where one comparison is made."
    )


class ConditionResult(Record):
    """One method, block and dose over the evaluation prompts."""

    id: str
    method: str
    block: int
    depth: float = Field(description="block / number of blocks")
    dose: DoseRecord
    refusal: Rate
    garbled: Rate
    normal: Rate
    effect: Rate = Field(description="Refusal among the prompts that the unsteered model does not refuse.")
    against_unsteered: Comparison


class Window(Record):
    """The doses at one block that reach the threshold on the prompts the unsteered model answers."""

    method: str
    block: int
    threshold: float
    unit: str
    doses: list[float] = Field(description="The unbroken run of doses around the best one; empty if none.")
    low: float | None
    high: float | None
    open_below: bool = Field(description="The lowest dose tried is inside, so the window may go on below.")
    open_above: bool = Field(description="The highest dose tried is inside, so the window may go on above.")


class Best(Record):
    """The condition chosen on one half of the prompts, and its rate on the other half."""

    condition: str
    method: str
    block: int
    depth: float
    dose: DoseRecord
    chosen_on: Rate = Field(description="Coherent refusal on the choosing prompts.")
    reported_on: Rate = Field(description="Coherent refusal on the reporting prompts: the number to cite.")
    garbled_on_reported: Rate
    whole_set: Rate = Field(
        description="Both halves together: optimistic, as it was chosen on one of them. "
        "None of the three counts prompts that the unsteered model refuses."
    )
    against_unsteered: Comparison = Field(description="On the reporting prompts.")
    choosing_prompts: list[str]
    reporting_prompts: list[str]


class RandomDirection(Record):
    """One random unit vector steered exactly as the chosen condition was."""

    seed: int
    refusal: Rate
    garbled: Rate
    normal: Rate
    effect: Rate


class RandomControl(Record):
    """What the direction does beyond random vectors of the same dose."""

    directions: list[RandomDirection]
    strongest_seed: int = Field(description="The random vector that caused most refusals.")
    against_strongest: Comparison = Field(
        description="The best condition against that random vector, paired, on the reporting prompts."
    )


class Check(Record):
    """One check of the instrument, made before the sweep."""

    name: str
    passed: bool
    detail: str


class VerdictName(StrEnum):
    """What a gauge concludes."""

    STEERABLE = "steerable"
    PARTLY_STEERABLE = "partly steerable"
    NOT_STEERABLE = "not steerable"
    INVALID = "invalid"


class Verdict(Record):
    """The conclusion, why, and what could make it wrong."""

    verdict: VerdictName
    reasons: list[str]
    cautions: list[str]


class Provenance(Record):
    """What produced the result."""

    steergauge: str
    engine: str
    versions: dict[str, str]
    hardware: dict[str, str]
    seeds: dict[str, int]
    started: str
    seconds: float
    generations_made: int
    generations_from_store: int
    tokens_made: int


class GenerationRecord(Record):
    """One output with its label."""

    key: str = Field(description="Content address in the store.")
    condition: str = Field(description="A condition's id; `unsteered`; or `random-SEED`.")
    method: str
    block: int | None
    depth: float | None
    dose: float | None
    dose_unit: str | None
    prompt: str
    category: str
    label: Label
    evidence: str
    text: str
    tokens: int
    finish: Literal["stop", "length"]
    unsteered_refused: bool


class GaugeResult(Record):
    """A gauge's whole result."""

    schema_: Literal["steergauge.gauge/1"] = Field(default=SCHEMA, alias="schema")
    model: ModelRecord
    protocol: ProtocolRecord
    checks: list[Check]
    unsteered: Unsteered
    directions: list[DirectionRecord]
    conditions: list[ConditionResult]
    best: Best | None = Field(description="Null when no prompts are left to choose on.")
    window: Window | None
    random_control: RandomControl | None
    verdict: Verdict
    provenance: Provenance
    generations: list[GenerationRecord] = Field(
        default=[], exclude=True, description="Not in the JSON: see `--csv`."
    )

    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True)

    def to_pandas(self) -> pd.DataFrame:
        """One row a condition: method, block, depth, the dose in all units, and rates with intervals."""
        return pd.DataFrame([_flat(condition) for condition in self.conditions])

    def generations_to_pandas(self) -> pd.DataFrame:
        """One row a generation: its condition, prompt, text and label."""
        return pd.DataFrame([generation.model_dump(mode="json") for generation in self.generations])

    def to_json(self) -> str:
        """The documented JSON form (docs/json.md), without the outputs."""
        return self.model_dump_json(by_alias=True, indent=2)


def _flat(condition: ConditionResult) -> dict[str, Any]:
    row: dict[str, Any] = {
        "condition": condition.id,
        "method": condition.method,
        "block": condition.block,
        "depth": condition.depth,
        "dose_unit": condition.dose.unit,
        "dose": condition.dose.value,
    }
    for unit in ("raw", "relative", "separation", "clamp", "total_relative"):
        row[f"dose_{unit}"] = getattr(condition.dose, unit)
    for name in ("refusal", "garbled", "normal", "effect"):
        rate: Rate = getattr(condition, name)
        row |= {name: rate.rate, f"{name}_count": rate.count, f"{name}_n": rate.n}
        row |= {f"{name}_low": rate.low, f"{name}_high": rate.high}
    row["p_adjusted"] = condition.against_unsteered.p_adjusted
    return row
