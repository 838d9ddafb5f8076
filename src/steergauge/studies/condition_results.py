"""Records of what was said: by each condition, and without steering."""

from collections.abc import Sequence

from steergauge.activations.hooks import Baseline
from steergauge.judging.label import Label
from steergauge.models.loading import Model
from steergauge.prompts import ContrastSet
from steergauge.statistics.comparisons import adjust_holm
from steergauge.studies.analysis import Labels, answered, compare, rate
from steergauge.studies.describe import describe_dose
from steergauge.studies.measurements import ConditionResult
from steergauge.studies.outputs import JudgedOutputs
from steergauge.studies.plan import PlannedCondition
from steergauge.studies.result import PromptOutcome, Unsteered


def condition_results(
    conditions: Sequence[PlannedCondition],
    outputs: Sequence[JudgedOutputs],
    control: Labels,
    model: Model,
    baseline: Baseline,
) -> list[ConditionResult]:
    """Rates of each condition, and its comparison with the unsteered model, Holm over all of them.

    Args:
        conditions: each with outputs.
        outputs: of each, on the prompts that it was shown.
        control: the unsteered model's labels.
        model: what was steered.
        baseline: its unsteered stream, which doses are measured against.
    """
    open_prompts = answered(control)
    compared = [compare(one.labels, control, list(one.labels)) for one in outputs]
    adjusted = adjust_holm([comparison.p_value for comparison in compared])
    return [
        ConditionResult(
            id=one.id,
            method=planned.method,
            block=planned.block,
            depth=planned.block / len(model.blocks),
            dose=describe_dose(planned, model, baseline.residual_norms),
            refusal=rate(one.labels, Label.REFUSAL),
            garbled=rate(one.labels, Label.GARBLED),
            normal=rate(one.labels, Label.NORMAL),
            effect=rate(
                one.labels, Label.REFUSAL, [prompt for prompt in open_prompts if prompt in one.labels]
            ),
            against_unsteered=comparison.model_copy(update={"p_adjusted": p_adjusted}),
        )
        for planned, one, comparison, p_adjusted in zip(conditions, outputs, compared, adjusted, strict=True)
    ]


def describe_control(control: JudgedOutputs, contrast: JudgedOutputs, sets: ContrastSet) -> Unsteered:
    """The unsteered model on the evaluation prompts and on the contrast set."""
    labels = control.labels
    return Unsteered(
        refusal=rate(labels, Label.REFUSAL),
        garbled=rate(labels, Label.GARBLED),
        normal=rate(labels, Label.NORMAL),
        refused_prompts=[prompt for prompt, label in labels.items() if label is Label.REFUSAL],
        harmful_refusal=rate(contrast.labels, Label.REFUSAL, sets.positive),
        harmless_refusal=rate(contrast.labels, Label.REFUSAL, sets.negative),
        contrast_outputs=[
            PromptOutcome(prompt=prompt, label=label, text=contrast.made[prompt].generation.text)
            for prompt, label in contrast.labels.items()
        ],
    )
