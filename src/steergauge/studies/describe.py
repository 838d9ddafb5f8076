"""Records of the model, the protocol and the doses, as they were measured."""

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from steergauge.directions.extract import Extracted
from steergauge.directions.head_direction import HeadDirection
from steergauge.directions.importing import ImportedDirection
from steergauge.directions.selection import Selection
from steergauge.judging.label import Judge
from steergauge.models.loading import Model
from steergauge.models.quantization import Quantized
from steergauge.steering.dose import Dose, Yardsticks, coefficients, equivalents
from steergauge.steering.engine import StopRule
from steergauge.steering.head_dose import HeadDose, head_dose
from steergauge.steering.head_steering import HeadSteering
from steergauge.steering.rounding import rounding
from steergauge.studies.measurements import DoseRecord
from steergauge.studies.plan import ChosenDoses, PlannedCondition
from steergauge.studies.result import (
    CandidateRecord,
    DirectionRecord,
    HeadRecord,
    ModelRecord,
    ProtocolRecord,
    QuantizationRecord,
    SelectionRecord,
)
from steergauge.studies.settings import GaugeSettings


def describe_model(model: Model, example: str) -> ModelRecord:
    """The model, with an example prompt as it was shown it."""
    return ModelRecord(
        name=model.name,
        source=model.checkpoint.source,
        architecture=type(model.module).__name__,
        blocks=len(model.blocks),
        width=model.blocks.width,
        precision=model.precision,
        device=model.device,
        fingerprint=model.fingerprint,
        chat_template=model.template.source,
        rendered_example=model.template.render(example),
        quantization=model.checkpoint.quantization,
        quantized_to=None if model.quantized is None else _describe_quantized(model.quantized),
    )


def _describe_quantized(quantized: Quantized) -> QuantizationRecord:
    return QuantizationRecord(
        name=quantized.quantization.name,
        format=quantized.quantization.format,
        library=quantized.quantization.library,
        layers=quantized.layers,
        weights=quantized.weights,
        of_weights=quantized.of_weights,
        bytes=quantized.bytes,
        computes_in=quantized.computes_in,
    )


def describe_protocol(
    settings: GaugeSettings,
    judge: Judge,
    methods: list[str],
    doses: ChosenDoses,
    *,
    batch_rows: int,
    stop: StopRule | None,
) -> ProtocolRecord:
    """The settings with all that they resolved to; `methods` names imported directions too."""
    return ProtocolRecord(
        contrast_set=settings.contrast_set.name,
        positive=list(settings.contrast_set.positive),
        negative=list(settings.contrast_set.negative),
        evaluation_set=settings.evaluation_set.name,
        prompts=[prompt.text for prompt in settings.evaluation_set.prompts],
        methods=methods,
        depths=list(settings.depths),
        dose_unit=settings.unit,
        doses=list(doses.values),
        doses_chosen_by=doses.chosen_by,
        operation=settings.operation,
        blocks=settings.blocks,
        positions=settings.positions,
        max_new_tokens=settings.max_new_tokens,
        decoding="greedy, repetition penalty 1.0" + (f"; ends early: {stop.identity}" if stop else ""),
        judge=f"{judge.name} {judge.version}",
        threshold=settings.threshold,
        random_directions=settings.random_directions,
        seed=settings.seed,
        batch_rows=batch_rows,
    )


def describe_dose(planned: PlannedCondition, model: Model, residual_norms: NDArray[np.float64]) -> DoseRecord:
    """A dose in every unit that it has, with what rounding leaves of it; the norms are R_k, (blocks,)."""
    steering = planned.steering
    if isinstance(steering, HeadSteering):
        return _describe_head_dose(planned.dose, head_dose(steering, model, residual_norms))
    assert planned.yardsticks is not None
    asked = (planned.dose, planned.block, planned.yardsticks)
    operation, last_block = steering.operation, steering.last_block
    added = coefficients(*asked, operation=operation, last_block=last_block)
    units = equivalents(*asked, operation=operation, last_block=last_block)
    rounded = rounding(planned.yardsticks.streams[:, planned.block], steering, model.precision)
    return DoseRecord(
        unit=planned.dose.unit,
        value=planned.dose.value,
        **units._asdict(),
        coefficients=added.values.tolist(),
        clipped_blocks=list(added.clipped),
        coordinates_lost=rounded.coordinates_lost,
        delivered=rounded.delivered,
    )


def _describe_head_dose(dose: Dose, written: HeadDose) -> DoseRecord:
    """What heads write to the stream. It has no one direction, so no separation and no component either."""
    return DoseRecord(
        unit=dose.unit,
        value=dose.value,
        raw=written.raw,
        relative=written.relative,
        separation=None,
        clamp=None,
        total_relative=written.total_relative,
        coefficients=written.norms.tolist(),
        clipped_blocks=[],
        coordinates_lost=None,
        delivered=None,
    )


def describe_directions(
    yardsticks: Mapping[str, Yardsticks],
    found: Extracted,
    imported: Mapping[str, ImportedDirection],
    residual_norms: NDArray[np.float64],
) -> list[DirectionRecord]:
    """One record a method, those from files and that of heads included."""
    records = [
        DirectionRecord(
            method=name,
            position=measures.direction.position,
            raw_norms=measures.direction.raw_norms.tolist(),
            residual_norms=residual_norms.tolist(),
            digest=measures.direction.digest,
            source=imported[name].source if name in imported else "",
            selection=_describe_selection(found.selections[name]) if name in found.selections else None,
        )
        for name, measures in yardsticks.items()
    ]
    if found.heads is not None:
        records.append(_describe_heads(found.heads, residual_norms))
    return records


def _describe_selection(selection: Selection) -> SelectionRecord:
    return SelectionRecord(
        intervention=selection.intervention,
        block=selection.block,
        layer=selection.chosen.layer,
        position=selection.chosen.position,
        low_layers=list(selection.low_layers),
        rows=selection.rows,
        passes=selection.passes,
        candidates=[
            CandidateRecord(
                position=one.position,
                layer=one.layer,
                block=one.block,
                scores={name: score if np.isfinite(score) else None for name, score in one.scores.items()},
                fell=None if one.fell is None else one.fell.value,
            )
            for one in selection.candidates
        ],
        **{name: list(prompts) for name, prompts in selection.prompts._asdict().items()},
    )


def _describe_heads(heads: HeadDirection, residual_norms: NDArray[np.float64]) -> DirectionRecord:
    return DirectionRecord(
        method=heads.method,
        position=heads.position,
        raw_norms=[],
        residual_norms=residual_norms.tolist(),
        digest=heads.digest,
        heads=[
            HeadRecord(
                block=one.block,
                head=one.head,
                sigma=float(heads.spreads[one]),
                accuracy=float(heads.accuracies[one]),
                loss=float(heads.losses[one]),
            )
            for one in heads.best_heads()
        ],
    )
