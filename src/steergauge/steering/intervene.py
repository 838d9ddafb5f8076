"""Every kind of steering in one batch: rows steered on the stream beside rows steered on single heads."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import torch
from torch import Tensor

from steergauge.models.blocks import Blocks
from steergauge.models.loading import Model
from steergauge.steering.engine import AnySteering
from steergauge.steering.head_intervention import HeadIntervention
from steergauge.steering.head_steering import HeadSteering
from steergauge.steering.intervention import Intervention
from steergauge.steering.steering import Steering, unsteered


def intervene(steerings: Sequence[AnySteering], model: Model) -> "Intervention | MixedIntervention":
    """What does the steerings' work on a model, one row each."""
    streams = [one for one in steerings if isinstance(one, Steering)]
    if len(streams) < len(steerings):
        return MixedIntervention(steerings, model)
    return Intervention(streams, model.device)


class MixedIntervention:
    """An `Intervention` in which rows may be steered on heads; shapes as there."""

    def __init__(self, steerings: Sequence[AnySteering], model: Model) -> None:
        control = unsteered(len(model.blocks), model.blocks.width)
        streams = [one if isinstance(one, Steering) else control for one in steerings]
        heads = [one if isinstance(one, HeadSteering) else None for one in steerings]
        self._on_stream = Intervention(streams, model.device)
        self._on_heads = HeadIntervention(heads, model.device)
        self._heads = model.heads  # finding them is a forward pass, which nothing may steer
        self._steers_heads = torch.tensor([one is not None for one in heads], device=model.device)

    @property
    def steered_tokens(self) -> Tensor:
        """How many tokens of each row were steered at its first block, (rows,)."""
        return torch.where(self._steers_heads, self._on_heads.steered_tokens, self._on_stream.steered_tokens)

    def expect(self, steered: Tensor) -> None:
        """Says which positions, (rows, all tokens so far), are to be steered: the last ones are about to run."""
        self._on_stream.expect(steered)
        self._on_heads.expect(steered)

    def select(self, rows: Tensor) -> None:
        """Goes on with the given rows only, in their order; a row given twice becomes two."""
        self._on_stream.select(rows)
        self._on_heads.select(rows)
        self._steers_heads = self._steers_heads[rows]

    @contextmanager
    def attached(self, blocks: Blocks) -> Iterator[None]:
        """Hooks on every block, and on every o_proj that is steered, while the context is open."""
        with self._on_stream.attached(blocks), self._on_heads.attached(self._heads):
            yield
