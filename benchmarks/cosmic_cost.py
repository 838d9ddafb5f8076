"""How much faster COSMIC's candidates are scored as rows of shared forward passes that begin at their edit.

    python benchmarks/cosmic_cost.py [MODEL]

Three ways: one by one, as the official code does it, three batches a candidate, of the selecting prompts; rows of shared
passes through all blocks; and such passes that begin at the first block that a row is edited at. All run in one
process, on the study's five pairs and the candidates of one position; the ratios hold on other machines, the seconds don't.
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
    """Prints each way's time, its ratio to one by one, and by how much what was read differs."""
    model, contrast = load_model(name, precision="float32"), study_contrast_set()
    prompts = split_classes(contrast.positive, contrast.negative, SIZES, seed=0)
    fit = fit_classes(model, prompts.fit_positive, prompts.fit_negative, template_positions(model)[-1:])
    trials = plan_trials(fit, len(model.blocks), Intervention.AFFINE)
    jobs = trial_jobs(trials, prompts.select_positive, prompts.select_negative)

    ways = {
        way: SharedPasses(model, [len(model.blocks) - 1])
        for way in ("one by one", "shared", "begun at the edit")
    }
    for way in ("one by one", "shared"):
        vars(ways[way])["_outputs"] = None  # as of a family whose blocks pass on more than the stream
    list(ways["begun at the edit"].run(jobs[-3:]))  # warm
    ways["begun at the edit"].passes = 0
    together = {
        way: timed(lambda way=way: list(ways[way].run(jobs))) for way in ("begun at the edit", "shared")
    }
    together["one by one"] = timed(
        lambda: [reading for job in jobs for reading in ways["one by one"].run([job])]
    )
    alone, slowest = together["one by one"]
    print(
        f"{name}: {sum(trial is not None for trial in trials.values())} candidates, {ways['shared'].rows} rows"
    )
    for way, (readings, seconds) in together.items():
        apart = max(
            np.abs(one.hidden - other.hidden).max() for one, other in zip(readings, alone, strict=True)
        )
        print(
            f"{way:18} {seconds:8.2f} s in {ways[way].passes:4} passes, {slowest / seconds:5.2f} times as fast; "
            f"states differ by {apart:.1e} at most"
        )
    print(f"states reach {max(np.abs(one.hidden).max() for one in alone):.3g}")


def timed(run: Callable[[], Any]) -> tuple[Any, float]:
    """What it returns, and its seconds."""
    begun = time.perf_counter()
    return run(), time.perf_counter() - begun


if __name__ == "__main__":
    main(sys.argv[1] if len(sys.argv) > 1 else "phantom")
