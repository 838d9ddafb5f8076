"""Records of the model, the protocol and the doses, as they were measured."""

from steergauge.judging.judges import find_judge
from steergauge.models.loading import Model
from steergauge.models.precision import Precision
from steergauge.steering.dose import coefficients, equivalents
from steergauge.steering.rounding import rounding
from steergauge.studies.measurements import DoseRecord
from steergauge.studies.plan import ChosenDoses, PlannedCondition
from steergauge.studies.result import ModelRecord, ProtocolRecord
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
    )


def describe_protocol(
    settings: GaugeSettings, methods: list[str], doses: ChosenDoses, batch_rows: int
) -> ProtocolRecord:
    """The settings with all that they resolved to; `methods` names imported directions too."""
    judge = find_judge(settings.judge)
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
        decoding="greedy, repetition penalty 1.0",
        judge=f"{judge.name} {judge.version}",
        threshold=settings.threshold,
        random_directions=settings.random_directions,
        seed=settings.seed,
        batch_rows=batch_rows,
    )


def describe_dose(planned: PlannedCondition, precision: Precision) -> DoseRecord:
    """A dose in every unit, with what rounding leaves of it."""
    steering = planned.steering
    asked = (planned.dose, planned.block, planned.yardsticks)
    operation, last_block = steering.operation, steering.last_block
    added = coefficients(*asked, operation=operation, last_block=last_block)
    units = equivalents(*asked, operation=operation, last_block=last_block)
    rounded = rounding(planned.yardsticks.streams[:, planned.block], steering, precision)
    return DoseRecord(
        unit=planned.dose.unit,
        value=planned.dose.value,
        **units._asdict(),
        coefficients=added.values.tolist(),
        clipped_blocks=list(added.clipped),
        coordinates_lost=rounded.coordinates_lost,
        delivered=rounded.delivered,
    )
