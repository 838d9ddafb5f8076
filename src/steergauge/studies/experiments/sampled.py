"""Several samples a prompt of one condition, beside what it says greedily."""

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np

from steergauge.judging.label import Label
from steergauge.statistics.cluster import cluster_bootstrap_interval, cluster_difference_interval
from steergauge.studies.analysis import Labels
from steergauge.studies.study_result import Estimate
from steergauge.studies.study_settings import StudiedModel

BEST, CONTROL = "steered", "unsteered"


class Sampled(NamedTuple):
    """One model under one condition at one temperature.

    Attributes:
        condition: `BEST`, steered at the best block and dose, or `CONTROL`.
        greedy: prompt → label under greedy decoding.
        samples: prompt → the label of each sample that could be read, of the prompts that count: one at least of each.
    """

    model: StudiedModel
    condition: str
    temperature: float
    greedy: Labels
    samples: Mapping[str, list[Label]]

    def rate(self, label: Label) -> Estimate:
        """The share of all samples with a label, with the interval from resampling prompts."""
        low, high = cluster_bootstrap_interval(self._outcomes(label))
        return Estimate(value=self._share(label), low=low, high=high)

    @property
    def greedy_rate(self) -> float:
        """Coherent refusal under greedy decoding, of the same prompts."""
        return float(np.mean(list(self._greedy.values())))

    @property
    def difference(self) -> Estimate:
        """Sampled minus greedy rate of coherent refusal, with the interval from resampling prompts."""
        low, high = cluster_difference_interval(self._outcomes(Label.REFUSAL), self._greedy)
        return Estimate(value=self._share(Label.REFUSAL) - self.greedy_rate, low=low, high=high)

    @property
    def steady(self) -> float:
        """The share of prompts whose samples all have one label."""
        return float(np.mean([len(set(drawn)) == 1 for drawn in self.samples.values()]))

    @property
    def _greedy(self) -> dict[str, bool]:
        return {prompt: self.greedy[prompt] is Label.REFUSAL for prompt in self.samples}

    def _share(self, label: Label) -> float:
        return float(np.mean([one for drawn in self._outcomes(label).values() for one in drawn]))

    def _outcomes(self, label: Label) -> dict[str, list[bool]]:
        return {prompt: [one is label for one in drawn] for prompt, drawn in self.samples.items()}
