"""The parity study: do the tools read one direction, and which mistakes change it or what it does?

The study reports 100% refusal for a DIM direction read through nnsight and 10% for one read through hooks (paper,
"Extraction tooling"). Here every backend reads the same prompts, and each mistake that could make such a gap is
really made, one at a time; every direction is then steered with alike, at the same blocks and doses.
"""

import logging
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from steergauge.activations.backends import BACKENDS, REFERENCE
from steergauge.activations.faults import reading_faults
from steergauge.activations.hooks import measure_baseline
from steergauge.directions.extract import read_contrast
from steergauge.errors import SteergaugeError
from steergauge.judging.label import Judge
from steergauge.models.loading import Model, load_model
from steergauge.steering.engine import Decoding, Request
from steergauge.steering.faults import CONTROL, STEERING_FAULTS, PlainEngine, SteeringFault
from steergauge.steering.steering import Steering, unsteered
from steergauge.steering.torch_engine import TorchEngine
from steergauge.store import Store, open_store
from steergauge.studies import provenance
from steergauge.studies.describe import describe_model
from steergauge.studies.fault_rule import RULES
from steergauge.studies.model_judge import open_judge
from steergauge.studies.outputs import JudgedOutputs, judge_made
from steergauge.studies.parity_records import UNSTEERED, ParityRecords
from steergauge.studies.parity_result import ParityProtocol, ParityResult
from steergauge.studies.parity_settings import ParitySettings
from steergauge.studies.parity_trials import (
    Right,
    Trial,
    compare_backends,
    make_reading_faults,
    plan_steering_faults,
)
from steergauge.studies.plan import block_at, two_digits
from steergauge.studies.result import Provenance
from steergauge.studies.run import Made, Progress, Runner, Silent
from steergauge.studies.tool_readings import ToolReadings

logger = logging.getLogger(__name__)

# Of R: on the small models it refuses most prompts and garbles few (docs/doses.md).
_DOSE_SHARE = 0.1


def parity(
    model: Model | str,
    settings: ParitySettings | None = None,
    *,
    store: Store | Path | str = "steergauge.db",
    progress: Progress | None = None,
) -> ParityResult:
    """Compares the capture backends, and makes every mistake of the fault table, on one model.

    Args:
        model: a loaded model, or what `load_model` takes.
        settings: the protocol; the study's prompts unless said otherwise.
        store: where generations are kept and found again.
        progress: is told how it goes on.

    Raises:
        SteergaugeError: a setting, the model or the store cannot be used, or the reference gives no direction.
    """
    model = load_model(model) if isinstance(model, str) else model
    if model.quantized is not None:  # its controls cast the weights
        raise SteergaugeError(
            f"parity compares tools on weights in full, and those of {model.name} are in "
            f"{model.quantized.quantization.name}: use --precision float32"
        )
    settings = settings or ParitySettings()
    with open_store(store) as opened:
        return _Parity(model, settings, opened, progress or Silent()).result()


def most_conditions(settings: ParitySettings) -> int:
    """How many conditions a parity study generates at most: where every tool and mistake gives a direction of its own."""
    a_block = len(BACKENDS)
    if settings.faults:
        a_block += len(reading_faults(0, np.zeros(1, dtype=np.float32))) + len((CONTROL, *STEERING_FAULTS))
    return 1 + len(settings.depths) * a_block


class _Parity:
    """One parity study, stage by stage."""

    def __init__(self, model: Model, settings: ParitySettings, store: Store, progress: Progress) -> None:
        self.model, self.settings, self.store, self.progress = model, settings, store, progress
        self.prompts = [prompt.text for prompt in settings.evaluation_set.prompts]
        self.judge: Judge = open_judge(settings.judge, model.device)
        self.decoding = Decoding(settings.max_new_tokens)
        self.engine = TorchEngine(model, settings.wave_rows, settings.max_new_tokens)
        self.started, self._clock = datetime.now(UTC), time.monotonic()
        self.made_now = 0

    def result(self) -> ParityResult:
        """Runs every stage and returns what they found."""
        contrast = self.settings.contrast_set
        norms = measure_baseline(self.model, self.prompts).residual_norms
        right = self._right(norms)
        backends = compare_backends(self.model, contrast, right, self.progress)
        reading = (
            make_reading_faults(self.model, contrast, right, self.progress) if self.settings.faults else []
        )
        steering = plan_steering_faults(self.model, right) if self.settings.faults else []
        read = [trial for one in backends for trial in one.trials]
        read += [trial for one in reading for trial in one.trials]
        steered = [
            *(Trial(REFERENCE, block, right.readings, vector) for block, vector in right.vectors.items()),
            *(trial for trial in read if right.differs(trial.vector, trial.block)),
        ]
        possible = [one.fault for one in steering if isinstance(one.fault, SteeringFault) and one.trials]
        plain = [CONTROL, *possible] if self.settings.faults else []
        self._announce(len(steered), len(plain) * len(right.vectors))

        runner = self._runner(right)
        outputs = {
            **self._generate_unsteered(runner),
            **self._generate(runner, steered, right),
            **self._generate_plainly(runner.wave_rows, plain, right),
        }
        self.made_now += runner.made_now
        logger.info("%d generations were made now, the others were in the store", self.made_now)
        description = describe_model(self.model, self.prompts[0])
        self.store.describe_model(self.model.fingerprint, description.model_dump(mode="json"))
        records = ParityRecords(right, norms, outputs)
        control = outputs[UNSTEERED].labels
        generations = [
            record
            for one in outputs.values()
            for record in one.records(self.settings.evaluation_set, control, len(self.model.blocks))
        ]
        return ParityResult(
            model=description,
            protocol=self._protocol(runner.wave_rows),
            unsteered=records.rates(UNSTEERED),
            reference=[records.reference(block) for block in right.vectors],
            backends=[records.backend(one) for one in backends],
            faults=records.faults([*reading, *steering]),
            provenance=Provenance(
                steergauge=version("steergauge"),
                engine=runner.setting.engine,
                versions=provenance.versions(),
                hardware=provenance.hardware(self.model.device),
                seeds={},
                started=self.started.isoformat(timespec="seconds"),
                seconds=round(time.monotonic() - self._clock, 1),
                generations=len(generations),
                tokens=sum(record.tokens for record in generations),
            ),
            generations=generations,
        )

    def _right(self, norms: NDArray[np.float64]) -> Right:
        readings = ToolReadings(*read_contrast(self.model, self.settings.contrast_set, BACKENDS[REFERENCE]))
        blocks = sorted({block_at(depth, len(self.model.blocks)) for depth in self.settings.depths})
        return Right(
            readings,
            vectors={block: readings.vector(block) for block in blocks},
            doses={
                block: self.settings.dose or two_digits(_DOSE_SHARE * float(norms[block])) for block in blocks
            },
        )

    def _announce(self, directions: int, plain: int) -> None:
        each, limit = len(self.prompts), self.settings.max_new_tokens
        total = (1 + directions + plain) * each
        logger.info(
            "%d outputs of at most %d tokens: unsteered, %d directions and %d ways of adding one, %d prompts each",
            total,
            limit,
            directions,
            plain,
            each,
        )

    def _runner(self, right: Right) -> Runner:
        """A runner whose batches are those of the first run of this study on this store."""
        study = {
            "study": "parity",
            "model": self.model.fingerprint,
            "engine": f"{self.engine.name} {self.engine.version}",
            "settings": self.settings.model_dump(mode="json"),
            "doses": list(right.doses.values()),
        }
        resolved = self.store.resolve_run(study, {"wave_rows": self.engine.wave_rows})
        return Runner(self.model, self.engine, self.store, resolved["wave_rows"], self.progress)

    def _generate_unsteered(self, runner: Runner) -> dict[str, JudgedOutputs]:
        control = unsteered(len(self.model.blocks), self.model.blocks.width)
        requests = [Request(prompt, control, self.decoding) for prompt in self.prompts]
        return {UNSTEERED: self._judged(UNSTEERED, "", None, None, runner.run("unsteered control", requests))}

    def _generate(self, runner: Runner, trials: Sequence[Trial], right: Right) -> dict[str, JudgedOutputs]:
        """Every direction at its block, in one list of requests so that batches mix them."""
        requests = []
        for trial in trials:
            steering = self._steering(trial, right.doses[trial.block])
            requests += [Request(prompt, steering, self.decoding) for prompt in self.prompts]
        made, n = runner.run("steering", requests), len(self.prompts)
        return {
            trial.id: self._judged(
                trial.id,
                trial.source,
                trial.block,
                right.doses[trial.block],
                made[index * n : (index + 1) * n],
            )
            for index, trial in enumerate(trials)
        }

    def _generate_plainly(
        self, wave_rows: int, faults: Sequence[SteeringFault], right: Right
    ) -> dict[str, JudgedOutputs]:
        """Plain hooks with the right direction: the control, and each mistake."""
        outputs = {}
        for fault in faults:
            engine = PlainEngine(self.model, fault, self.prompts, wave_rows)
            runner = Runner(self.model, engine, self.store, engine.wave_rows, self.progress)
            for block, vector in right.vectors.items():
                trial = Trial(fault.name, block, None, vector)
                steering = self._steering(trial, right.doses[block])
                requests = [Request(prompt, steering, self.decoding) for prompt in self.prompts]
                made = runner.run(f"{fault.name}, block {block}", requests)
                outputs[trial.id] = self._judged(trial.id, fault.name, block, right.doses[block], made)
            self.made_now += runner.made_now
        return outputs

    def _steering(self, trial: Trial, dose: float) -> Steering:
        """The study's rule: raw α along the trial's û, from its block through the last."""
        assert trial.vector is not None
        coefficients = np.where(np.arange(len(self.model.blocks)) >= trial.block, dose, 0.0)
        return Steering(trial.vector, coefficients, trial.block)

    def _judged(
        self, name: str, source: str, block: int | None, dose: float | None, made: Sequence[Made]
    ) -> JudgedOutputs:
        judged = judge_made(self.store, self.judge, self.prompts, made)
        return JudgedOutputs(name, source, block, dose, dict(zip(self.prompts, made, strict=True)), judged)

    def _protocol(self, wave_rows: int) -> ParityProtocol:
        settings = self.settings
        return ParityProtocol(
            contrast_set=settings.contrast_set.name,
            positive=list(settings.contrast_set.positive),
            negative=list(settings.contrast_set.negative),
            evaluation_set=settings.evaluation_set.name,
            prompts=self.prompts,
            depths=list(settings.depths),
            doses_chosen_by=(
                f"the residual norms: {_DOSE_SHARE:g} × R at each block"
                if settings.dose is None
                else "the user"
            ),
            max_new_tokens=settings.max_new_tokens,
            decoding="greedy, repetition penalty 1.0",
            judge=f"{self.judge.name} {self.judge.version}",
            batch_rows=wave_rows,
            plain_batch_rows=min(wave_rows, len(self.prompts)),
            rules=RULES,
        )
