"""Every study by its name, in the paper's order."""

from typing import Any

from steergauge.studies.experiments.architecture import Architecture
from steergauge.studies.experiments.depth import Depth
from steergauge.studies.experiments.dose import DoseStudy
from steergauge.studies.experiments.experiment import Experiment
from steergauge.studies.experiments.quantization import Quantization
from steergauge.studies.experiments.rank import Rank
from steergauge.studies.experiments.sampling import SamplingStudy
from steergauge.studies.experiments.scale import Scale
from steergauge.studies.experiments.transfer import Transfer

EXPERIMENTS: dict[str, Experiment[Any]] = {
    experiment.name: experiment
    for experiment in (
        Architecture(),
        Scale(),
        Depth(),
        Quantization(),
        DoseStudy(),
        Rank(),
        Transfer(),
        SamplingStudy(),
    )
}
