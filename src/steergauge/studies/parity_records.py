"""From labels to a parity study's records: rates, comparisons, and where each mistake shows."""

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from steergauge.activations.backends import REFERENCE
from steergauge.activations.faults import ReadingFault
from steergauge.judging.label import Label
from steergauge.statistics.comparisons import adjust_holm
from steergauge.statistics.proportions import wilson_interval
from steergauge.steering.faults import CONTROL
from steergauge.studies.analysis import answered, compare, rate
from steergauge.studies.fault_rule import study_gap, visibility
from steergauge.studies.measurements import Comparison, Rate
from steergauge.studies.outputs import JudgedOutputs
from steergauge.studies.parity_result import (
    BackendRecord,
    FaultAtBlock,
    FaultRecord,
    Outputs,
    ReferenceAtBlock,
    Steered,
    Visibility,
)
from steergauge.studies.parity_trials import BackendTrials, FaultTrials, Right, Trial, condition_id

UNSTEERED = "unsteered"


class ParityRecords:
    """Makes the records of one study.

    Args:
        right: the reference's directions and doses.
        norms: R_k, (blocks,).
        outputs: by condition; a trial whose vector is the reference's has none of its own.
    """

    def __init__(
        self, right: Right, norms: NDArray[np.float64], outputs: Mapping[str, JudgedOutputs]
    ) -> None:
        self._right, self._norms, self._outputs = right, norms, outputs
        self._control = outputs[UNSTEERED].labels
        self._prompts = list(self._control)
        self._answered = answered(self._control)

    def rates(self, condition: str) -> Outputs:
        """The rates of one condition."""
        labels = self._outputs[condition].labels
        return Outputs(
            condition=condition,
            refusal=rate(labels, Label.REFUSAL),
            garbled=rate(labels, Label.GARBLED),
            normal=rate(labels, Label.NORMAL),
            effect=rate(labels, Label.REFUSAL, self._answered),
        )

    def reference(self, block: int) -> ReferenceAtBlock:
        """The right direction at a block."""
        condition, dose = condition_id(REFERENCE, block), self._right.doses[block]
        return ReferenceAtBlock(
            block=block,
            depth=block / len(self._norms),
            dose=dose,
            relative_dose=dose / float(self._norms[block]),
            raw_norm=float(np.linalg.norm(self._right.readings.differences[block])),
            residual_norm=float(self._norms[block]),
            outputs=self.rates(condition),
            against_unsteered=self._compare(condition, UNSTEERED),
            plain_hooks_equal=self._plain_hooks_equal(block),
        )

    def backend(self, compared: BackendTrials) -> BackendRecord:
        """One backend, with what its direction does at each block."""
        parity = compared.parity
        return BackendRecord(
            name=parity.backend,
            outcome=parity.outcome,
            reason=parity.reason,
            worst_error=parity.agreement.worst_error if parity.agreement else None,
            worst_block=parity.agreement.worst_block if parity.agreement else None,
            repeat_error=parity.repeat.worst_error if parity.repeat else None,
            matched_error=parity.control.matched.worst_error if parity.control else None,
            cosines=compared.readings.cosines(self._right.readings) if compared.readings else [],
            at=[self._steered(trial, None) for trial in compared.trials],
        )

    def faults(self, made: Sequence[FaultTrials]) -> list[FaultRecord]:
        """Every mistake, with Holm's correction over all that were generated for."""
        generated = [trial for one in made for trial in one.trials if trial.id in self._outputs]
        p_values = [self._compare(trial.id, self._right_id(trial)).p_value for trial in generated]
        adjusted = dict(zip((trial.id for trial in generated), adjust_holm(p_values), strict=True))
        return [
            FaultRecord(
                name=one.fault.name,
                made_when="reading" if isinstance(one.fault, ReadingFault) else "steering",
                mistake=one.fault.mistake,
                impossible=one.impossible,
                error=one.error,
                cosines=one.readings.cosines(self._right.readings) if one.readings else [],
                at=[self._fault_at(trial, adjusted.get(trial.id)) for trial in one.trials],
            )
            for one in made
        ]

    def _fault_at(self, trial: Trial, p_adjusted: float | None) -> FaultAtBlock:
        steered = self._steered(trial, p_adjusted)
        if steered.outputs is None or steered.against_reference is None:
            return FaultAtBlock(**dict(steered), visibility=Visibility.NO_DIRECTION, study_gap=None)
        return FaultAtBlock(
            **dict(steered),
            visibility=visibility(
                steered.cosine, steered.against_reference, self._compare(self._right_id(trial), UNSTEERED)
            ),
            study_gap=study_gap(steered.outputs.effect, self.rates(self._right_id(trial)).effect),
        )

    def _steered(self, trial: Trial, p_adjusted: float | None) -> Steered:
        right, readings = self._right.readings, trial.readings
        same = trial.readings is not None and trial.vector is not None and trial.id not in self._outputs
        condition = self._right_id(trial) if same else trial.id
        there = trial.vector is not None
        return Steered(
            block=trial.block,
            cosine=readings.cosines(right)[trial.block] if readings else None,
            norm_ratio=readings.norm_ratio(right, trial.block) if readings else None,
            reading_error=readings.reading_error(right, trial.block) if readings else None,
            same_outputs=same,
            outputs=self.rates(condition) if there else None,
            against_reference=self._compare(condition, self._right_id(trial), p_adjusted) if there else None,
        )

    def _right_id(self, trial: Trial) -> str:
        return condition_id(REFERENCE, trial.block)

    def _compare(self, condition: str, other: str, p_adjusted: float | None = None) -> Comparison:
        labels, others = self._outputs[condition].labels, self._outputs[other].labels
        return compare(labels, others, self._prompts, p_adjusted)

    def _plain_hooks_equal(self, block: int) -> Rate | None:
        plain = self._outputs.get(condition_id(CONTROL.name, block))
        if plain is None:
            return None
        engine = self._outputs[condition_id(REFERENCE, block)].made
        equal = [
            engine[prompt].generation.tokens == made.generation.tokens for prompt, made in plain.made.items()
        ]
        low, high = wilson_interval(sum(equal), len(equal))
        return Rate(count=sum(equal), n=len(equal), rate=float(np.mean(equal)), low=low, high=high)
