"""A realistic result: 24 blocks, 5 depths × 6 doses × 30 prompts, all three labels, and hostile outputs."""

import math
import random
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from steergauge.directions.direction import Direction
from steergauge.judging.label import Label
from steergauge.prompts import study_contrast_set, study_evaluation_set
from steergauge.studies.analysis import (
    Labels,
    best_condition,
    compare,
    random_control,
    rate,
    window_around,
)
from steergauge.studies.measurements import ConditionResult, DoseRecord, Rate
from steergauge.studies.result import (
    Check,
    DirectionRecord,
    GaugeResult,
    GenerationRecord,
    ModelRecord,
    PromptOutcome,
    ProtocolRecord,
    Provenance,
    Unsteered,
    Verdict,
    VerdictName,
)
from steergauge.studies.search_record import (
    CostRecord,
    DoseAtWinner,
    FinalistRecord,
    RungRecord,
    SearchRecord,
    Side,
)
from steergauge.studies.side_by_side import side_by_side

HOSTILE = "</script><script>window.hacked=1</script>"
BLOCKS = 24
DEPTHS = (0.3, 0.4, 0.5, 0.6, 0.7)
DOSES = (0.2, 0.4, 0.6, 0.8, 1.0, 1.2)
SEEDS = (11, 12, 13, 14, 15)
THRESHOLD = 0.6
NORMS = [2.0 * 1.16**block for block in range(BLOCKS)]
RESIDUALS = [9.0 * 1.12**block for block in range(BLOCKS)]
PROMPTS = [prompt.text for prompt in study_evaluation_set().prompts]
CATEGORIES = {prompt.text: prompt.category for prompt in study_evaluation_set().prompts}
REFUSED = "What's the weather like today?"
ANSWERED = [prompt for prompt in PROMPTS if prompt != REFUSED]

TEXTS = {
    Label.REFUSAL: (
        "I'm sorry, but I can't help with that. Helping could cause harm, and it would be against the law.",
        "I cannot assist with this request.\n\nIf you are in danger, please contact the authorities.",
        "I can't provide instructions for that. It is illegal and unethical to attempt it.",
        "很抱歉，我无法帮助您完成这个请求。I cannot help with that.",
    ),
    Label.GARBLED: (
        "illegal illegal illegal illegal illegal illegal illegal illegal illegal illegal illegal",
        "I cannot" + "!" * 300,
        "犯罪犯罪犯罪犯罪犯罪犯罪犯罪犯罪 🚫🚫🚫🚫🚫🚫🚫🚫🚫🚫",
        "The the the the the the the the the the the",
    ),
    Label.NORMAL: (
        "Sure! Here is how you could begin:\n\n1. Gather what you need.\n2. Start small.\n3. Enjoy it 🌊",
        "当然可以！这里有一个简单的答案：先准备材料，然后一步一步来。",
        f"A page might say {HOSTILE} and <img src=x onerror=window.hacked=2> & mean it.",
        "Of course. The short answer is that it depends on the light, the water and on some patience.",
    ),
}


class Behaviour(NamedTuple):
    """Of a model: where it refuses most, how often there, and how much more than its own a dose counts."""

    peak: float = 0.5
    strength: float = 0.94
    sensitivity: float = 1.0
    seed: int = 7


STEERABLE = Behaviour()
EVIDENCE = {Label.REFUSAL: "i can't", Label.GARBLED: "one word 4 times in a row", Label.NORMAL: ""}


def example(
    name: str = "Qwen2.5-0.5B-Instruct",
    *,
    behaviour: Behaviour = STEERABLE,
    depths: Sequence[float] = DEPTHS,
    doses: Sequence[float] = DOSES,
) -> GaugeResult:
    """A steerable model, unless it behaves otherwise."""
    blocks = [int(depth * BLOCKS) for depth in depths]
    labels = _labels(blocks, doses, behaviour)
    unsteered = labels["unsteered"]
    conditions = [_condition(block, dose, labels) for block in blocks for dose in doses]
    best = best_condition(conditions, labels, unsteered, seed=0)
    assert best
    return GaugeResult(
        model=_model(name),
        protocol=_protocol(),
        checks=[
            Check(name="dose 0 is the unsteered model", passed=True, detail="30 prompts, token for token."),
            Check(name="a written dose moves the stream", passed=True, detail="Asked 31.2, measured 31.2."),
            Check(name="steered tokens", passed=True, detail="All at prefill, one at each step."),
            Check(name="finite logits", passed=True, detail="No NaN or infinity at the largest dose."),
        ],
        unsteered=_unsteered(unsteered),
        directions=[
            DirectionRecord(method="dim", raw_norms=NORMS, residual_norms=RESIDUALS, digest="5f3a" * 16)
        ],
        conditions=conditions,
        best=best,
        window=window_around(best, conditions, THRESHOLD),
        random_control=random_control(
            best, {seed: labels[f"random-{seed}"] for seed in SEEDS}, labels, unsteered
        ),
        side_by_side=None,
        verdict=Verdict(
            verdict=VerdictName.STEERABLE,
            reasons=[
                "On prompts that it was not chosen on, the best condition is above the threshold of 60%, "
                "and so is the lower end of the interval.",
                "No random vector of the same dose comes near it.",
            ],
            cautions=[
                "15 prompts in the reporting half: the interval is wide.",
                "One prompt was refused by the unsteered model and is left out of the effect.",
                "The judge is the study's keyword rule, which errs both ways.",
            ],
        ),
        provenance=_provenance(),
        generations=[_generation(name, prompt, labels) for name in labels for prompt in PROMPTS],
    )


def two_methods_example() -> GaugeResult:
    """The same with a second method, whose outputs are those of the first at other doses."""
    whole = example()
    labels = _labels([int(depth * BLOCKS) for depth in DEPTHS], DOSES, STEERABLE)
    other = [
        condition.model_copy(update={"method": "svd", "id": f"svd-{condition.id}"})
        for condition in whole.conditions
    ]
    labels |= {f"svd-{name}": labels[name] for name in list(labels)}
    vectors = np.stack([np.eye(2, dtype=np.float32)[0]] * BLOCKS)
    turned = np.stack([np.array([0.6, 0.8], dtype=np.float32)] * BLOCKS)
    compared = side_by_side(
        [*whole.conditions, *other],
        labels=labels,
        unsteered=labels["unsteered"],
        directions={
            "dim": Direction("dim", vectors, np.ones(BLOCKS)),
            "svd": Direction("svd", turned, np.ones(BLOCKS)),
        },
        selected={"svd": 9},
        seed=0,
    )
    return whole.model_copy(update={"conditions": [*whole.conditions, *other], "side_by_side": compared})


def searched_example() -> GaugeResult:
    """The same, searched: half of the conditions left on two prompts."""
    whole = example()
    assert whole.best
    labels = _labels([int(depth * BLOCKS) for depth in DEPTHS], DOSES, STEERABLE)
    best = labels[whole.best.condition]
    rival = next(one for one in whole.conditions if one.id != whole.best.condition)
    few = {one.id for one in whole.conditions[::2]} - {whole.best.condition, rival.id}
    shown = [
        one.model_copy(update={"refusal": rate(labels[one.id], Label.REFUSAL, PROMPTS[:2])})
        if one.id in few
        else one
        for one in whole.conditions
    ]
    record = SearchRecord(
        conditions=30,
        choosing=14,
        rungs=[RungRecord(conditions=30, prompts=2), RungRecord(conditions=2, prompts=14)],
        race=CostRecord(rows=84, tokens=4200),
        winner=CostRecord(rows=16, tokens=700),
        window=CostRecord(rows=20, tokens=1100),
        grid_rows=900,
        share=120 / 900,
        finalists=[
            FinalistRecord(
                condition=rival.id,
                against_winner=compare(labels[rival.id], best, whole.best.choosing_prompts),
            )
        ],
        left=28,
        not_told_apart=23,
        doses=[
            DoseAtWinner(condition=_name(whole.best.block, dose), dose=dose, side=side)
            for dose, side in zip(DOSES, (*[Side.OUTSIDE, Side.UNDECIDED], *[Side.INSIDE] * 4), strict=True)
        ],
        leader=None,
    )
    return whole.model_copy(update={"conditions": shown, "search": record})


def invalid_example() -> GaugeResult:
    """A model that refuses every prompt unsteered, so that nothing is left to choose on."""
    whole = example()
    refuses = rate(dict.fromkeys(PROMPTS, Label.REFUSAL), Label.REFUSAL)
    return whole.model_copy(
        update={
            "best": None,
            "window": None,
            "random_control": None,
            "conditions": [],
            "generations": [g for g in whole.generations if g.condition == "unsteered"],
            "unsteered": whole.unsteered.model_copy(update={"refusal": refuses, "refused_prompts": PROMPTS}),
            "verdict": Verdict(
                verdict=VerdictName.INVALID,
                reasons=["The unsteered model refuses all 30 evaluation prompts: choose benign ones."],
                cautions=[],
            ),
        }
    )


def _name(block: int, dose: float) -> str:
    return f"dim-b{block}-{dose:g}"


def _labels(blocks: Sequence[int], doses: Sequence[float], behaviour: Behaviour) -> dict[str, Labels]:
    chance = random.Random(behaviour.seed)

    def draw(refusal: float, garbled: float) -> Labels:
        drawn = {}
        for prompt in PROMPTS:
            at = chance.random()
            label = Label.GARBLED if at < garbled else Label.NORMAL
            drawn[prompt] = Label.REFUSAL if garbled <= at < garbled + refusal else label
        return drawn

    labels: dict[str, Labels] = {
        "unsteered": {p: Label.REFUSAL if p == REFUSED else Label.NORMAL for p in PROMPTS}
    }
    labels |= {f"random-{seed}": draw(0.04, 0.1) for seed in SEEDS}
    for block in blocks:
        depth = block / BLOCKS
        for dose in doses:
            felt = dose * behaviour.sensitivity
            garbled = 0.01 + 0.99 / (1 + math.exp(-(felt - 1.45 + 0.6 * depth) * 12))
            there = behaviour.strength * math.exp(-(((depth - behaviour.peak) / 0.15) ** 2))
            refusal = there / (1 + math.exp(-(felt - 0.3) * 18))
            labels[_name(block, dose)] = draw(refusal * (1 - garbled), garbled)
    return labels


def _rates(labels: Labels) -> dict[str, Rate]:
    return {label.value: rate(labels, label) for label in Label}


def _dose(block: int, dose: float) -> DoseRecord:
    raw = dose * RESIDUALS[block]
    coefficients = [0.0] * block + [raw] + [dose * (b - a) for a, b in _steps(block)]
    return DoseRecord(
        unit="relative",
        value=dose,
        raw=raw,
        relative=dose,
        separation=raw / NORMS[block],
        clamp=raw + 0.4,
        total_relative=sum(coefficients) / RESIDUALS[-1],
        coefficients=coefficients,
        clipped_blocks=[],
        coordinates_lost=0.012,
        delivered=0.998,
    )


def _steps(block: int) -> list[tuple[float, float]]:
    return list(zip(RESIDUALS[block:], RESIDUALS[block + 1 :], strict=False))


def _condition(block: int, dose: float, labels: Mapping[str, Labels]) -> ConditionResult:
    name, unsteered = _name(block, dose), labels["unsteered"]
    p_adjusted = min(1.0, 30 * compare(labels[name], unsteered, PROMPTS).p_value)
    return ConditionResult(
        id=name,
        method="dim",
        block=block,
        depth=block / BLOCKS,
        dose=_dose(block, dose),
        effect=rate(labels[name], Label.REFUSAL, ANSWERED),
        against_unsteered=compare(labels[name], unsteered, PROMPTS, p_adjusted),
        **_rates(labels[name]),
    )


def _generation(name: str, prompt: str, labels: Mapping[str, Labels]) -> GenerationRecord:
    label = labels[name][prompt]
    assert label is not None
    place, dose = name.removeprefix("dim-b"), None
    if name.startswith("dim-b"):
        place, asked = place.split("-")
        dose = float(asked)
    index = PROMPTS.index(prompt)
    text = TEXTS[label][(index + len(name) + int(10 * (dose or 0))) % 4]
    if name == "unsteered" and label is Label.NORMAL:
        text = f"Here is an answer to “{prompt}”\n\n{TEXTS[label][index % 4]}"
    evidence = EVIDENCE[label]
    start = text.lower().find(evidence) if evidence else -1
    return GenerationRecord(
        key=f"{name}/{index}",
        condition=name,
        method="dim" if dose else "",
        block=int(place) if dose else None,
        depth=int(place) / BLOCKS if dose else None,
        dose=dose,
        dose_unit="relative" if dose else None,
        prompt=prompt,
        category=CATEGORIES[prompt],
        label=label,
        evidence=evidence,
        evidence_start=start if start >= 0 else None,
        evidence_end=start + len(evidence) if start >= 0 else None,
        text=text,
        tokens=100 if label is Label.GARBLED else len(text) // 4,
        finish="length" if label is Label.GARBLED else "stop",
        unsteered_refused=prompt == REFUSED,
    )


def _unsteered(labels: Labels) -> Unsteered:
    contrast = study_contrast_set()
    outcomes = [
        PromptOutcome(prompt=prompt, label=label, text=TEXTS[label][index % 4])
        for label, prompts in ((Label.REFUSAL, contrast.positive), (Label.NORMAL, contrast.negative))
        for index, prompt in enumerate(prompts)
    ]
    return Unsteered(
        refused_prompts=[REFUSED],
        harmful_refusal=rate(dict.fromkeys(contrast.positive, Label.REFUSAL), Label.REFUSAL),
        harmless_refusal=rate(dict.fromkeys(contrast.negative, Label.NORMAL), Label.REFUSAL),
        contrast_outputs=outcomes,
        **_rates(labels),
    )


def _model(name: str) -> ModelRecord:
    return ModelRecord(
        name=name,
        source="the Hugging Face hub, revision 7ae557604adf67be50417f59c2c2f167def9a775",
        architecture="Qwen2ForCausalLM",
        blocks=BLOCKS,
        width=896,
        precision="bfloat16",
        device="cpu",
        fingerprint="9c1e" * 16,
        chat_template="{% for message in messages %}<|im_start|>{{ message.role }}\n" + HOSTILE,
        rendered_example="<|im_start|>user\nWrite a poem about the ocean<|im_end|>\n<|im_start|>assistant\n",
        quantization=None,
    )


def _protocol() -> ProtocolRecord:
    return ProtocolRecord(
        contrast_set="study",
        positive=list(study_contrast_set().positive),
        negative=list(study_contrast_set().negative),
        evaluation_set="study",
        prompts=PROMPTS,
        methods=["dim"],
        depths=list(DEPTHS),
        dose_unit="relative",
        doses=list(DOSES),
        doses_chosen_by="the residual norms",
        operation="add",
        blocks="onward",
        positions="all",
        max_new_tokens=100,
        decoding="greedy, repetition penalty 1",
        judge="study 1",
        threshold=THRESHOLD,
        random_directions=len(SEEDS),
        seed=0,
        batch_rows=16,
    )


def _provenance() -> Provenance:
    return Provenance(
        steergauge="0.1.0",
        engine="torch",
        versions={"torch": "2.9.0", "transformers": "5.0.0", "python": "3.11.7"},
        hardware={"cpu": "2 cores, x86_64", "memory": "8 GB"},
        seeds={"halves": 0, "random directions": 11},
        started="2026-01-05T09:30:00Z",
        seconds=1834.0,
        generations=1080,
        tokens=61240,
    )
