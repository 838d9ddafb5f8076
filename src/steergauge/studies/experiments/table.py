"""Every study by its name, in the paper's order."""

from typing import Any

from steergauge.studies.experiments.architecture import Architecture
from steergauge.studies.experiments.depth import Depth
from steergauge.studies.experiments.dose import DoseStudy
from steergauge.studies.experiments.experiment import Experiment
from steergauge.studies.experiments.extraction import Extraction
from steergauge.studies.experiments.method import Method
from steergauge.studies.experiments.nonlinear import Nonlinear
from steergauge.studies.experiments.scale import Scale
from steergauge.studies.experiments.stability import StabilityStudy
from steergauge.studies.experiments.tooling import Tooling

EXPERIMENTS: dict[str, Experiment[Any]] = {
    experiment.name: experiment
    for experiment in (
        Architecture(),
        Scale(),
        Depth(),
        DoseStudy(),
        Method(),
        Tooling(),
        Extraction(),
        Nonlinear(),
        StabilityStudy(),
    )
}
