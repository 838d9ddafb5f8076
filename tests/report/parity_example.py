"""A parity study's result as a report is given it: every kind of outcome and of mistake, and hostile outputs."""

from collections.abc import Mapping

from steergauge.judging.label import Label
from steergauge.prompts import study_evaluation_set
from steergauge.studies.analysis import compare, rate
from steergauge.studies.fault_rule import RULES, study_gap, visibility
from steergauge.studies.parity_result import (
    BackendRecord,
    FaultAtBlock,
    FaultRecord,
    Outputs,
    ParityProtocol,
    ParityResult,
    ReferenceAtBlock,
    Steered,
    Visibility,
)
from steergauge.studies.result import GenerationRecord

from . import example as gauge_example

PROMPTS = [prompt.text for prompt in study_evaluation_set().prompts]
BLOCKS = (9, 12)
COUNTS = {"unsteered": 3, "hooks-block9": 12, "hooks-block12": 27, "plain-hooks-block12": 27}
_GAUGE = gauge_example.example()


def parity_example() -> ParityResult:
    """Two blocks; at the first one the right direction refuses little."""
    made: dict[str, Outputs] = {}
    labels: dict[str, dict[str, Label]] = {}

    def outputs(name: str, refused: int, garbled: int = 0) -> Outputs:
        kinds = [Label.REFUSAL] * refused + [Label.GARBLED] * garbled
        kinds += [Label.NORMAL] * (len(PROMPTS) - len(kinds))
        labels[name] = dict(zip(PROMPTS, kinds, strict=True))
        answered = PROMPTS[COUNTS["unsteered"] :]
        made[name] = Outputs(
            condition=name,
            **{kind.value: rate(labels[name], kind) for kind in Label},
            effect=rate(labels[name], Label.REFUSAL, answered),
        )
        return made[name]

    for name, refused in COUNTS.items():
        outputs(name, refused)

    def steered(
        source: str, block: int, refused: int | None, cosine: float | None, garbled: int = 0
    ) -> Steered:
        name = f"{source.replace(' ', '-')}-block{block}"
        found = None if refused is None else outputs(name, refused, garbled)
        against = compare(labels[name], labels[f"hooks-block{block}"], PROMPTS, 0.04) if found else None
        if against:
            against = against.model_copy(update={"p_adjusted": min(1.0, 10 * against.p_value)})
        return Steered(
            block=block,
            cosine=cosine,
            norm_ratio=None if cosine is None else 0.5,
            reading_error=None if cosine is None else 0.3,
            same_outputs=False,
            outputs=found,
            against_reference=against,
        )

    def fault(name: str, at: Mapping[int, tuple[int | None, float | None]], **more: str) -> FaultRecord:
        records = []
        for block, (refused, cosine) in at.items():
            one = steered(name, block, refused, cosine)
            shows, gap = Visibility.NO_DIRECTION, None
            if one.outputs and one.against_reference:
                right = compare(labels[f"hooks-block{block}"], labels["unsteered"], PROMPTS)
                shows = visibility(cosine, one.against_reference, right)
                gap = study_gap(one.outputs.effect, made[f"hooks-block{block}"].effect)
            records.append(FaultAtBlock(**dict(one), visibility=shows, study_gap=gap))
        steering = any(cosine is None and refused is not None for refused, cosine in at.values())
        return FaultRecord(
            name=name,
            made_when="steering" if steering else "reading",
            mistake=f"The mistake {name}.",
            impossible=more.get("impossible"),
            error=more.get("error"),
            cosines=[],
            at=records,
        )

    reference = [
        ReferenceAtBlock(
            block=block,
            depth=block / 24,
            dose=2.0,
            relative_dose=0.1,
            raw_norm=7.0,
            residual_norm=20.0,
            outputs=made[f"hooks-block{block}"],
            against_unsteered=compare(labels[f"hooks-block{block}"], labels["unsteered"], PROMPTS),
            plain_hooks_equal=made[f"hooks-block{block}"].refusal,
        )
        for block in BLOCKS
    ]
    exact = {9: (12, 1.0), 12: (27, 1.0)}
    backends = [
        _backend(
            "hidden_states",
            "supported",
            "relative error 0.0e+00",
            [steered("hidden_states", b, *exact[b]) for b in BLOCKS],
        ),
        _backend(
            "nnsight",
            "error",
            "the capture backend nnsight needs a package: pip install 'steergauge[nnsight]'",
            [],
        ),
        _backend(
            "pyvene",
            "silently wrong",
            "relative error 9.1e-01 at block 3",
            [steered("pyvene", b, 3, 0.2) for b in BLOCKS],
        ),
    ]
    faults = [
        fault("no chat template", {9: (3, 0.2), 12: (4, -0.4)}),
        fault("first token", {9: (None, None), 12: (None, None)}),
        fault("bfloat16", {9: (12, 0.9999), 12: (27, 0.99995)}),
        fault("off-by-one block", {9: (12, 0.96), 12: (21, 0.97)}),
        fault("doubled BOS", {}, impossible="its tokenizer adds no special tokens"),
        fault("float16", {}, error="RuntimeError: not implemented for 'Half'"),
        fault("first row steered", {9: (4, None), 12: (4, None)}),
    ]
    return ParityResult(
        model=_GAUGE.model,
        protocol=ParityProtocol(
            contrast_set="study",
            positive=_GAUGE.protocol.positive,
            negative=_GAUGE.protocol.negative,
            evaluation_set="study",
            prompts=PROMPTS,
            depths=[0.4, 0.5],
            doses_chosen_by="the user",
            max_new_tokens=100,
            decoding="greedy, repetition penalty 1.0",
            judge="study 1",
            batch_rows=64,
            plain_batch_rows=30,
            rules=RULES,
        ),
        unsteered=made["unsteered"],
        reference=reference,
        backends=backends,
        faults=faults,
        provenance=_GAUGE.provenance,
        generations=[
            _generation(name, prompt, label)
            for name, some in labels.items()
            for prompt, label in some.items()
        ],
    )


def _backend(name: str, outcome: str, reason: str, at: list[Steered]) -> BackendRecord:
    error = None if outcome == "error" else 1e-6
    return BackendRecord(
        name=name,
        outcome=outcome,
        reason=reason,
        worst_error=error,
        worst_block=None if error is None else 3,
        repeat_error=error,
        matched_error=None,
        cosines=[one.cosine for one in at],
        at=at,
    )


def _generation(condition: str, prompt: str, label: Label) -> GenerationRecord:
    source, _, block = condition.rpartition("-block")
    return GenerationRecord(
        key=f"{condition} {prompt}",
        condition=condition,
        method=source,
        block=int(block) if source else None,
        depth=int(block) / 24 if source else None,
        dose=2.0 if source else None,
        dose_unit="raw" if source else None,
        prompt=prompt,
        category="question",
        label=label,
        evidence="",
        text=f"{label.value} {gauge_example.HOSTILE}",
        tokens=3,
        finish="stop",
        unsteered_refused=False,
    )
