"""What a gauge returns: the typed form of `--json`, documented in docs/json.md."""

from collections.abc import Sequence
from enum import StrEnum
from typing import Any, Literal

import pandas as pd
from pydantic import ConfigDict, Field

from steergauge.judging.label import Label
from steergauge.studies.measurements import (
    Best,
    ConditionResult,
    RandomControl,
    Rate,
    Record,
    Window,
)
from steergauge.studies.search_record import SearchRecord
from steergauge.studies.side_by_side import SideBySide

SCHEMA: Literal["steergauge.gauge/1"] = "steergauge.gauge/1"


class QuantizationRecord(Record):
    """How the linear layers of the blocks kept their weights, counted on the loaded model."""

    name: str = Field(description="What `--precision` took: docs/models.md.")
    format: str = Field(description="The format in words.")
    library: str = Field(description="Whose format and arithmetic it is, with its version.")
    layers: int = Field(description="Linear layers of the blocks, all of them quantised.")
    weights: int = Field(description="Weights in those layers.")
    of_weights: int = Field(description="Weights of the whole model; the others are in its `precision`.")
    bytes: int = Field(description="Memory that the quantised weights and their scales take.")
    computes_in: str = Field(description="What the products with them are computed in.")

    @property
    def in_words(self) -> str:
        """All of it in one line."""
        return (
            f"{self.name}: {self.format} ({self.library}); {self.layers} linear layers, {self.weights:,} of "
            f"{self.of_weights:,} weights in {self.bytes / 1e6:.3g} MB, computed in {self.computes_in}"
        )


class ModelRecord(Record):
    """The model as it was measured."""

    name: str = Field(description="As it was asked for.")
    source: str = Field(description="Where the weights came from, in words.")
    architecture: str = Field(description="The class that transformers loads it with.")
    blocks: int = Field(description="Number of decoder layers, N.")
    width: int = Field(description="Of the residual stream, in coordinates.")
    precision: str = Field(description="That the stream is kept in, and the weights that are not quantised.")
    device: str = Field(description="Where it ran.")
    fingerprint: str = Field(
        description="SHA-256 over weights, precision, quantisation, tokenizer and template."
    )
    chat_template: str = Field(description="The Jinja source that prompts were rendered with.")
    rendered_example: str = Field(description="The first evaluation prompt as the model was shown it.")
    quantization: str | None = Field(description="The format the weights were dequantised from, if any.")
    quantized_to: QuantizationRecord | None = Field(
        default=None, description="What they were quantised to when the model was loaded, if anything."
    )

    @property
    def kept_in(self) -> str:
        """The precision, after the quantisation if there is one."""
        return f"{self.quantized_to.name}/{self.precision}" if self.quantized_to else self.precision

    @property
    def cautions(self) -> list[str]:
        """What to know about the weights before anything measured on them is cited."""
        said = []
        if self.quantization:
            said.append(
                f"The weights were dequantised from {self.quantization}; full-precision weights may differ."
            )
        if self.quantized_to:
            said.append(
                f"The weights of the blocks are quantised to {self.quantized_to.name}; full-precision weights may "
                "differ."
            )
        return said


class ProtocolRecord(Record):
    """The resolved study: enough to run it again."""

    contrast_set: str = Field(description="Name of the set that directions were made from.")
    positive: list[str] = Field(description="Its positive prompts, for refusal the harmful ones.")
    negative: list[str] = Field(description="Its negative prompts, for refusal the harmless ones.")
    evaluation_set: str = Field(description="Name of the set that was measured on.")
    prompts: list[str] = Field(description="Its prompts.")
    methods: list[str] = Field(description="How directions were extracted.")
    depths: list[float] = Field(description="Depths that were steered from, as fractions of N.")
    dose_unit: str = Field(description="`raw`, `relative`, `separation`, `clamp` or `sigma`.")
    doses: list[float] = Field(description="Doses of the grid, in `dose_unit`.")
    doses_chosen_by: str = Field(description="The user, the catalogue, or the residual norms.")
    operation: str = Field(description="What was done with the direction: docs/operations.md.")
    blocks: str = Field(description="`onward`: from each steered block through the last; `one`: it alone.")
    positions: str = Field(description="The tokens that were steered: docs/operations.md.")
    max_new_tokens: int = Field(description="The most tokens that an output may have.")
    decoding: str = Field(description="How tokens were chosen.")
    judge: str = Field(description="What labelled the outputs, with its version.")
    threshold: float = Field(description="The coherent refusal rate that counts as steerable.")
    random_directions: int = Field(description="Random vectors in the control.")
    seed: int = Field(description="What the halves and the random vectors were drawn from.")
    batch_rows: int = Field(description="Prompts generated together.")


class PromptOutcome(Record):
    """An output of the unsteered model."""

    prompt: str = Field(description="What the model was asked.")
    label: Label | None = Field(description="How the judge read the output; null where it could not.")
    text: str = Field(description="The output, verbatim.")


class Unsteered(Record):
    """The control: the same prompts through the same path at dose 0."""

    refusal: Rate = Field(description="Coherent refusal, of all evaluation prompts.")
    garbled: Rate = Field(description="Garbled outputs, of all evaluation prompts.")
    normal: Rate = Field(description="Normal outputs, of all evaluation prompts.")
    refused_prompts: list[str] = Field(description="Evaluation prompts it refuses: left out of the effect.")
    harmful_refusal: Rate = Field(description="The contrast set's positive prompts that are refused.")
    harmless_refusal: Rate = Field(description="The contrast set's negative prompts that are refused.")
    contrast_outputs: list[PromptOutcome] = Field(description="What it answers to the contrast set.")


class CandidateRecord(Record):
    """The difference in means at one position and layer, as a selecting method saw it."""

    position: int = Field(description="Counted from the prompt's end.")
    layer: int = Field(description="In the convention of the method's source.")
    block: int = Field(description="k of the r_k that it is; −1 for the embeddings.")
    scores: dict[str, float | None] = Field(description="By name; null where one could not be measured.")
    fell: str | None = Field(description="Why it could not be chosen.")


class SelectionRecord(Record):
    """How a method chose a position and a block without a sweep."""

    intervention: str = Field(description="How candidates were ablated and added.")
    block: int = Field(description="The block that was chosen, k of r_k.")
    layer: int = Field(description="The same in the convention of the method's source.")
    position: int = Field(description="The token that was chosen, counted from the prompt's end.")
    low_layers: list[int] = Field(description="L_low, where scores were read; empty for logits.")
    fit_positive: list[str] = Field(description="Positive prompts that candidates were fitted on.")
    fit_negative: list[str] = Field(description="Negative prompts that candidates were fitted on.")
    select_positive: list[str] = Field(description="Positive prompts that selected among them.")
    select_negative: list[str] = Field(description="Negative prompts that selected among them.")
    rows: int = Field(description="Prompts under an intervention that were run.")
    passes: int = Field(description="Forward passes that they shared.")
    candidates: list[CandidateRecord] = Field(description="All of them, by position, then layer.")


class HeadRecord(Record):
    """An attention head that iti may steer."""

    block: int = Field(description="Where it is.")
    head: int = Field(description="Which of the block's.")
    sigma: float = Field(description="σ, the spread of the prompts along its direction.")
    accuracy: float = Field(description="Share of held-out prompts that its probe gets right.")
    loss: float = Field(description="Their mean log loss, in nats.")


class DirectionRecord(Record):
    """A direction's diagnostics, one value a block."""

    method: str = Field(description="How it was extracted.")
    position: int = Field(default=-1, description="The token read, counted from the prompt's end.")
    raw_norms: list[float] = Field(
        description="Distance of the class means along the direction; ‖Δ_k‖ for DIM; empty for heads."
    )
    residual_norms: list[float] = Field(description="Median residual norm on benign prompts, R_k.")
    digest: str = Field(description="SHA-256 over the direction's bytes.")
    source: str = Field(
        default="", description="The file it was imported from; empty where it was extracted here."
    )
    selection: SelectionRecord | None = Field(default=None, description="Of a method that chose its block.")
    heads: list[HeadRecord] = Field(default=[], description="Of iti: the model's best heads, best first.")


class Check(Record):
    """One check of the instrument, made before the sweep."""

    name: str = Field(description="What was checked.")
    passed: bool = Field(description="Whether it held.")
    detail: str = Field(description="What was asked and what was found.")


class VerdictName(StrEnum):
    """What a gauge concludes."""

    STEERABLE = "steerable"
    PARTLY_STEERABLE = "partly steerable"
    NOT_STEERABLE = "not steerable"
    UNDECIDED = "undecided"
    INVALID = "invalid"


class Verdict(Record):
    """The conclusion, why, and what could make it wrong."""

    verdict: VerdictName = Field(description="The conclusion in a word.")
    reasons: list[str] = Field(description="Why, a sentence each.")
    cautions: list[str] = Field(description="What could make it wrong, a sentence each.")


class Provenance(Record):
    """What produced the result."""

    steergauge: str = Field(description="Its version.")
    engine: str = Field(description="What generated, with its version.")
    versions: dict[str, str] = Field(description="Versions of the packages that matter, by name.")
    hardware: dict[str, str] = Field(description="The machine, by part.")
    seeds: dict[str, int] = Field(description="Every seed, by what it was for.")
    started: str = Field(description="UTC, ISO 8601; with `seconds` all that differs between equal runs.")
    seconds: float = Field(description="Of this run; short when the store held the generations.")
    generations: int = Field(description="How many outputs the result rests on.")
    tokens: int = Field(description="How many tokens those outputs have.")


class GenerationRecord(Record):
    """One output with its label."""

    key: str = Field(description="Content address in the store.")
    condition: str = Field(description="A condition's id; `unsteered`; or `random-SEED`.")
    method: str = Field(description="How its direction was extracted; empty where nothing was steered.")
    block: int | None = Field(description="The first steered block.")
    depth: float | None = Field(description="block / N.")
    dose: float | None = Field(description="The dose as asked for, in `dose_unit`.")
    dose_unit: str | None = Field(description="`raw`, `relative`, `separation`, `clamp` or `sigma`.")
    prompt: str = Field(description="What the model was asked.")
    category: str = Field(description="The prompt's category in its set.")
    label: Label | None = Field(description="How the judge read the output; null where it could not.")
    evidence: str = Field(description="What the judge went by.")
    evidence_start: int | None = Field(
        default=None,
        description="Where that begins in `text`, in code points; null where it has no one place.",
    )
    evidence_end: int | None = Field(default=None, description="Where it ends: the first that it leaves out.")
    text: str = Field(description="The output, verbatim.")
    tokens: int = Field(description="How many tokens the output has.")
    finish: Literal["stop", "length", "decided"] = Field(
        description="Ended by itself, at the most new tokens, or early: its label could no longer change."
    )
    unsteered_refused: bool = Field(description="The unsteered model refuses this prompt.")
    surprise: float | None = Field(
        default=None, description="Mean −ln p of its tokens under the unsteered model; null unless asked for."
    )
    surprise_window: float | None = Field(
        default=None, description="The largest such mean over ten tokens in a row."
    )


class GaugeResult(Record):
    """A gauge's whole result."""

    schema_: Literal["steergauge.gauge/1"] = Field(
        default=SCHEMA, alias="schema", description="Name and version of this form."
    )
    model: ModelRecord = Field(description="What was measured.")
    protocol: ProtocolRecord = Field(description="How it was measured.")
    checks: list[Check] = Field(description="Whether the instrument worked.")
    unsteered: Unsteered = Field(description="The control without steering.")
    directions: list[DirectionRecord] = Field(description="One entry a method.")
    conditions: list[ConditionResult] = Field(description="The grid, one entry a condition.")
    best: Best | None = Field(description="Null when no prompts are left to choose on.")
    window: Window | None = Field(description="Null when there is no best condition.")
    random_control: RandomControl | None = Field(description="Null when it was not run.")
    side_by_side: SideBySide | None = Field(
        description="Null where there is one method, or the grid was searched."
    )
    search: SearchRecord | None = Field(default=None, description="Null where the whole grid was swept.")
    verdict: Verdict = Field(description="What is concluded.")
    provenance: Provenance = Field(description="What produced it.")
    generations: list[GenerationRecord] = Field(
        default=[], exclude=True, description="Not in the JSON: see `--csv`."
    )

    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True)

    def to_pandas(self) -> pd.DataFrame:
        """One row a condition: method, block, depth, the dose in all units, and rates with intervals."""
        return pd.DataFrame([_flat(condition) for condition in self.conditions])

    def generations_to_pandas(self) -> pd.DataFrame:
        """One row a generation: its condition, prompt, text and label; its surprise, if it was measured."""
        return generations_frame(self.generations)


def generations_frame(generations: Sequence[GenerationRecord]) -> pd.DataFrame:
    """One row a generation, without columns of what was not measured.

    The places of the evidence are whole numbers, also where some are missing.
    """
    rows = [generation.model_dump(mode="json") for generation in generations]
    table = pd.DataFrame(rows, columns=list(GenerationRecord.model_fields))
    unmeasured = [name for name in ("surprise", "surprise_window") if table[name].isna().all()]
    return table.drop(columns=unmeasured).astype({"evidence_start": "Int64", "evidence_end": "Int64"})


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
    row |= {"coordinates_lost": condition.dose.coordinates_lost, "delivered": condition.dose.delivered}
    for name in ("refusal", "garbled", "normal", "effect"):
        rate: Rate = getattr(condition, name)
        row |= {name: rate.rate, f"{name}_count": rate.count, f"{name}_n": rate.n}
        row |= {f"{name}_low": rate.low, f"{name}_high": rate.high}
    row["p_adjusted"] = condition.against_unsteered.p_adjusted
    return row
