"""How much faster COSMIC's candidates are scored as rows of shared forward passes than one by one.

    python benchmarks/cosmic_cost.py [MODEL]

One by one is what the official code does: three batches a candidate, of the selecting prompts. Both run in one
process, on the study's five pairs; the ratio holds on other machines, the seconds don't.
"""

import sys
import time
from collections.abc import Callable
from typing import Any

import numpy as np

from steergauge.directions.cosmic import SIZES
from steergauge.directions.edits import Intervention
from steergauge.directions.fit import fit_classes
from steergauge.directions.passes import SharedPasses
from steergauge.directions.split import split_classes
from steergauge.directions.trials import plan_trials, template_positions, trial_jobs
from steergauge.models.loading import load_model
from steergauge.prompts import study_contrast_set


def main(name: str) -> None:
    """Prints both times, their ratio, and by how much what was read differs."""
    model, contrast = load_model(name, precision="float32"), study_contrast_set()
    prompts = split_classes(contrast.positive, contrast.negative, SIZES, seed=0)
    fit = fit_classes(model, prompts.fit_positive, prompts.fit_negative, template_positions(model))
    trials = plan_trials(fit, len(model.blocks), Intervention.AFFINE)
    jobs = trial_jobs(trials, prompts.select_positive, prompts.select_negative)

    together, apart = (SharedPasses(model, [len(model.blocks) - 1]) for _ in range(2))
    list(together.run(jobs[:3]))  # warm
    together.passes = together.rows = 0
    shared, shared_seconds = timed(lambda: list(together.run(jobs)))
    single, single_seconds = timed(lambda: [reading for job in jobs for reading in apart.run([job])])
    largest = max(np.abs(one.hidden - other.hidden).max() for one, other in zip(shared, single, strict=True))
    scale = max(np.abs(one.hidden).max() for one in single)

    print(f"{name}: {sum(trial is not None for trial in trials.values())} candidates, {together.rows} rows")
    print(f"shared      {shared_seconds:8.2f} s in {together.passes} passes")
    print(f"one by one  {single_seconds:8.2f} s in {apart.passes} passes")
    print(f"ratio       {single_seconds / shared_seconds:8.2f}")
    print(f"largest difference of a state: {largest:.1e}, of states up to {scale:.3g}")


def timed(run: Callable[[], Any]) -> tuple[Any, float]:
    """What it returns, and its seconds."""
    begun = time.perf_counter()
    return run(), time.perf_counter() - begun


if __name__ == "__main__":
    main(sys.argv[1] if len(sys.argv) > 1 else "phantom")
