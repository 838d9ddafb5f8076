"""What the fitting prompts leave in the stream at the template's positions: the candidates of a selection."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from steergauge.activations.batches import encode_in_batches, pick
from steergauge.directions.direction import Direction, direction_from_differences
from steergauge.errors import SteergaugeError
from steergauge.models.blocks import entering, reading
from steergauge.models.loading import Model

Array = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class ClassReadings:
    """One class's readings.

    Attributes:
        means: of p_0 … p_{N−1} and r_{N−1} over the prompts, in float64, (positions, N + 1, width).
        ends: h_j at the last token, r_j and for the last block its final norm, (prompts, N, width).
    """

    means: Array
    ends: NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class Fit:
    """The readings of both classes at the same positions, counted from the prompts' ends."""

    positions: tuple[int, ...]
    positive: ClassReadings
    negative: ClassReadings

    def difference(self, position: int, layer: int) -> Array | None:
        """D at p_l, (width,); p_N stands for r_{N−1}. None where the means are equal to float32's rounding."""
        ours, theirs = self._mean(self.positive, position, layer), self.reference(position, layer)
        difference = ours - theirs
        noise = 2 * np.finfo(np.float32).eps * max(np.linalg.norm(ours), np.linalg.norm(theirs))
        # Not `<=`: a difference that is not finite is one, and its scores will say so.
        return None if np.linalg.norm(difference) <= noise else difference

    def reference(self, position: int, layer: int) -> Array:
        """R at p_l, the negative class's mean, (width,)."""
        return self._mean(self.negative, position, layer)

    def direction(self, method: str, position: int) -> Direction:
        """The difference in means at one position, normalised, at r_k for every block k.

        Raises:
            SteergaugeError: the means are equal after a block.
        """
        place = self.positions.index(position)
        differences = self.positive.means[place, 1:] - self.negative.means[place, 1:]
        return direction_from_differences(method, differences, position)

    def _mean(self, readings: ClassReadings, position: int, layer: int) -> Array:
        mean: Array = readings.means[self.positions.index(position), layer]
        return mean


def fit_classes(
    model: Model, positive: Sequence[str], negative: Sequence[str], positions: Sequence[int]
) -> Fit:
    """Reads both classes, unsteered.

    Raises:
        SteergaugeError: a prompt is shorter than the positions reach.
    """
    classes = (read_class(model, prompts, positions) for prompts in (positive, negative))
    return Fit(tuple(positions), *classes)


def read_class(model: Model, prompts: Sequence[str], positions: Sequence[int]) -> ClassReadings:
    """Means at the given positions, and every prompt's last token.

    Raises:
        SteergaugeError: a prompt is shorter than the positions reach.
    """
    sums = np.zeros((len(positions), len(model.blocks) + 1, model.blocks.width))
    ends: list[NDArray[np.float32]] = []
    for encoding in encode_in_batches(model, prompts):
        shortest = int(encoding["attention_mask"].sum(dim=1).min())
        if shortest < -min(positions):
            raise SteergaugeError(
                f"a prompt of {shortest} tokens has no position {min(positions)}: use longer prompts"
            )
        streams, normed = _streams(model, encoding["input_ids"], encoding["attention_mask"])
        at_positions = pick(streams, positions)  # (prompts, N + 1, positions, width)
        sums += at_positions.sum(axis=0, dtype=np.float64).swapaxes(0, 1)
        ends.append(pick([*streams[1:-1], normed], (-1,))[:, :, 0])
    return ClassReadings(sums / len(prompts), np.concatenate(ends))


def _streams(model: Model, ids: Tensor, mask: Tensor) -> tuple[list[Tensor], Tensor]:
    """p_0 … p_{N−1} and r_{N−1}, and the final norm of that, each (prompts, tokens, width)."""
    streams: list[Tensor] = []
    normed: list[Tensor] = []

    def keep(_stage: int, stream: Tensor) -> Tensor:
        streams.append(stream)
        return stream

    final_norm = model.blocks.final_norm  # what enters it is r_{N−1}
    with (
        torch.inference_mode(),
        entering([*model.blocks.modules, final_norm], keep),
        reading([final_norm], lambda _index, stream: normed.append(stream)),
    ):
        model.forward(ids, mask)
    return streams, normed[0]
