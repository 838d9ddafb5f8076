"""One condition's outputs with their labels, by prompt."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

from steergauge.judging.label import Judge, Label, Reading
from steergauge.prompts import EvaluationSet
from steergauge.store import Store
from steergauge.studies.analysis import Labels
from steergauge.studies.result import GenerationRecord
from steergauge.studies.run import Made
from steergauge.studies.surprise import Surprise


@dataclass(frozen=True)
class JudgedOutputs:
    """What a model said under one condition, and how a judge read it.

    Attributes:
        method: where its direction came from; empty where nothing was steered.
        block: the first steered block.
        dose: as asked for.
        made: by prompt.
        judged: by prompt.
        unit: of the dose.
    """

    id: str
    method: str
    block: int | None
    dose: float | None
    made: Mapping[str, Made]
    judged: Mapping[str, Reading]
    unit: str = "raw"

    @property
    def labels(self) -> Labels:
        """Prompt → label, or None where it is unscored."""
        return {prompt: reading.label for prompt, reading in self.judged.items()}

    def records(
        self,
        evaluation_set: EvaluationSet,
        control: Labels,
        blocks: int,
        surprises: Mapping[str, Surprise] = MappingProxyType({}),
    ) -> list[GenerationRecord]:
        """One record a prompt that there is an output to: a search does not show all of them to every condition.

        Args:
            evaluation_set: the prompts with their categories.
            control: the unsteered model's labels.
            blocks: how many the model has.
            surprises: by address; empty where they were not measured.
        """
        return [
            GenerationRecord(
                key=self.made[prompt.text].key,
                condition=self.id,
                method=self.method,
                block=self.block,
                depth=None if self.block is None else self.block / blocks,
                dose=self.dose,
                dose_unit=None if self.dose is None else self.unit,
                prompt=prompt.text,
                category=prompt.category,
                label=self.judged[prompt.text].label,
                evidence=self.judged[prompt.text].evidence,
                **evidence_place(self.judged[prompt.text]),
                text=self.made[prompt.text].generation.text,
                tokens=len(self.made[prompt.text].generation.tokens),
                finish=self.made[prompt.text].generation.finish,
                unsteered_refused=control[prompt.text] is Label.REFUSAL,
                surprise=surprise.mean if surprise else None,
                surprise_window=surprise.window if surprise else None,
            )
            for prompt in evaluation_set.prompts
            if prompt.text in self.made
            for surprise in (surprises.get(self.made[prompt.text].key),)
        ]


def evidence_place(reading: Reading) -> dict[str, int | None]:
    """Where the evidence stands in the text, as records keep it."""
    start, end = reading.span or (None, None)
    return {"evidence_start": start, "evidence_end": end}


def judge_made(
    store: Store, judge: Judge, prompts: Sequence[str], made: Sequence[Made]
) -> dict[str, Reading]:
    """Judges generations and keeps the labels: prompt → how its output was read."""
    judged = store.label(judge, {one.key: one.generation.text for one in made})
    return {prompt: judged[one.key] for prompt, one in zip(prompts, made, strict=True)}
