"""What a parity study returns: the typed form of `steergauge parity --json`."""

from enum import StrEnum
from typing import Literal

import pandas as pd
from pydantic import ConfigDict, Field

from steergauge.studies.measurements import Comparison, Rate, Record
from steergauge.studies.result import GenerationRecord, ModelRecord, Provenance, generations_frame

SCHEMA: Literal["steergauge.parity/1"] = "steergauge.parity/1"


class ParityProtocol(Record):
    """The resolved study: enough to run it again."""

    contrast_set: str = Field(description="Name of the set that directions were made from.")
    positive: list[str] = Field(description="Its positive prompts, for refusal the harmful ones.")
    negative: list[str] = Field(description="Its negative prompts, for refusal the harmless ones.")
    evaluation_set: str = Field(description="Name of the set that was measured on.")
    prompts: list[str] = Field(description="Its prompts.")
    depths: list[float] = Field(description="Depths that were steered from, as fractions of N.")
    doses_chosen_by: str = Field(description="The user, or the residual norms.")
    max_new_tokens: int = Field(description="The most tokens that an output may have.")
    decoding: str = Field(description="How tokens were chosen.")
    judge: str = Field(description="What labelled the outputs, with its version.")
    batch_rows: int = Field(description="Prompts generated together by the engine.")
    plain_batch_rows: int = Field(description="Prompts generated together by plain hooks.")
    rules: list[str] = Field(description="How mistakes were classed, a sentence each.")


class Outputs(Record):
    """The rates of one condition over the evaluation prompts."""

    condition: str = Field(description="Its name in this result.")
    refusal: Rate = Field(description="Coherent refusal, of all evaluation prompts.")
    garbled: Rate = Field(description="Garbled outputs, of all evaluation prompts.")
    normal: Rate = Field(description="Normal outputs, of all evaluation prompts.")
    effect: Rate = Field(description="Refusal among the prompts that the unsteered model does not refuse.")


class ReferenceAtBlock(Record):
    """The right direction, rightly steered from one block on."""

    block: int = Field(description="The first steered block.")
    depth: float = Field(description="block / N.")
    dose: float = Field(description="Raw α, added at this block and every one after it.")
    relative_dose: float = Field(description="α / R at this block.")
    raw_norm: float = Field(description="‖Δ‖ at this block.")
    residual_norm: float = Field(description="Median residual norm on benign prompts, R.")
    outputs: Outputs = Field(description="What the model then says.")
    against_unsteered: Comparison = Field(description="Paired with the unsteered model.")
    plain_hooks_equal: Rate | None = Field(
        description="Outputs of plain hooks and transformers' `generate` that equal the engine's token for "
        "token: the control of the steering faults. Null where no faults were made."
    )


class Steered(Record):
    """A direction, or a way of adding it, beside the reference at one block."""

    block: int = Field(description="The first steered block.")
    cosine: float | None = Field(
        description="Of Δ with the reference's; null where there is no direction, or it is the reference's."
    )
    norm_ratio: float | None = Field(description="‖Δ‖ over the reference's; null as above.")
    reading_error: float | None = Field(
        description="Largest relative error of a prompt's reading; null where nothing was read."
    )
    same_outputs: bool = Field(
        description="The vector equals the reference's bit for bit, so nothing was generated for it."
    )
    outputs: Outputs | None = Field(description="Null where there is no direction to steer with.")
    against_reference: Comparison | None = Field(
        description="Paired with the reference at this block; p corrected over all faults and blocks that were "
        "generated for."
    )


class BackendRecord(Record):
    """One capture backend."""

    name: str = Field(description="As in the table of backends.")
    outcome: str = Field(description="`supported`, `degraded`, `silently wrong`, `error` or `no reference`.")
    reason: str = Field(description="Why, in a line.")
    worst_error: float | None = Field(description="Largest relative error of a reading, at any block.")
    worst_block: int | None = Field(description="The block of that error.")
    repeat_error: float | None = Field(description="The same of its second run against its first.")
    matched_error: float | None = Field(
        description="The same with both in float32; null where the first agreed exactly."
    )
    cosines: list[float | None] = Field(description="Of Δ with the reference's, at every block.")
    at: list[Steered] = Field(description="One entry a steered block.")


class Visibility(StrEnum):
    """Where a mistake shows."""

    NO_DIRECTION = "no direction"
    COSINE = "visible in the cosine"
    BEHAVIOUR = "only in the behaviour"
    UNDECIDED = "undecided"
    NOTHING_TO_LOSE = "nothing to lose here"
    HARMLESS = "harmless here"


class FaultAtBlock(Steered):
    """One mistake at one block."""

    visibility: Visibility = Field(description="Where it shows, by the protocol's rules.")
    study_gap: bool | None = Field(
        description="Whether it makes a gap like the study's; null where the right direction refuses too little "
        "to lose as much."
    )


class FaultRecord(Record):
    """One mistake that a careless user makes."""

    name: str = Field(description="Of the mistake.")
    made_when: Literal["reading", "steering"] = Field(description="Where it is made.")
    mistake: str = Field(description="What is done wrong.")
    impossible: str | None = Field(description="Why it cannot be made on this model; null where it can.")
    error: str | None = Field(description="What it raised, where it does not go unnoticed.")
    cosines: list[float | None] = Field(
        description="Of Δ with the reference's at every block; empty where the mistake differs by block, or reads nothing."
    )
    at: list[FaultAtBlock] = Field(description="One entry a steered block.")


class ParityResult(Record):
    """A parity study's whole result."""

    schema_: Literal["steergauge.parity/1"] = Field(
        default=SCHEMA, alias="schema", description="Name and version of this form."
    )
    model: ModelRecord = Field(description="What was measured.")
    protocol: ParityProtocol = Field(description="How it was measured.")
    unsteered: Outputs = Field(description="The control at dose 0.")
    reference: list[ReferenceAtBlock] = Field(description="One entry a steered block.")
    backends: list[BackendRecord] = Field(description="One entry a backend but the reference.")
    faults: list[FaultRecord] = Field(description="One entry a mistake; empty where none were made.")
    provenance: Provenance = Field(description="What produced it.")
    generations: list[GenerationRecord] = Field(
        default=[], exclude=True, description="Not in the JSON: see `--csv`."
    )

    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True)

    def to_pandas(self) -> pd.DataFrame:
        """One row a fault and block."""
        return pd.DataFrame(
            [
                {
                    "fault": fault.name,
                    "made_when": fault.made_when,
                    "block": one.block,
                    "cosine": one.cosine,
                    "norm_ratio": one.norm_ratio,
                    "refusal": one.outputs.refusal.rate if one.outputs else None,
                    "garbled": one.outputs.garbled.rate if one.outputs else None,
                    "p_value": one.against_reference.p_value if one.against_reference else None,
                    "visibility": one.visibility.value,
                    "study_gap": one.study_gap,
                }
                for fault in self.faults
                for one in fault.at
            ]
        )

    def generations_to_pandas(self) -> pd.DataFrame:
        """One row a generation: its condition, prompt, text and label."""
        return generations_frame(self.generations)
