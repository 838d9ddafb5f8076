"""Head-level addition: writing to the outputs of single attention heads (ITI; methods.md §5)."""

import hashlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from steergauge.directions.iti import HeadDirection
from steergauge.directions.random import random_unit_vectors
from steergauge.errors import SteergaugeError
from steergauge.models.heads import Heads
from steergauge.models.loading import Model


@dataclass(frozen=True, eq=False)
class HeadSteering:
    """At the input of every block's o_proj, at the prompt's last token and all that is generated: add to each head.

    Attributes:
        additions: what is added, (blocks, heads, head width); 0 for the heads that stay as they are.
    """

    additions: NDArray[np.float32]

    @property
    def changes_nothing(self) -> bool:
        """Whether it is the unsteered control."""
        return not self.additions.any()

    @property
    def first_block(self) -> int:
        """The first block with a head that is changed; 0 where none is."""
        return int(np.argmax(self.additions.any(axis=(1, 2))))

    def identity(self) -> dict[str, Any]:
        """What makes two steerings the same one, for content addresses."""
        if self.changes_nothing:
            return {"operation": "none"}
        return {
            "operation": "add_to_heads",
            "additions": hashlib.sha256(self.additions.tobytes()).hexdigest(),
            "shape": list(self.additions.shape),
            "positions": "last",
        }

    def with_random_vectors(self, seed: int) -> "HeadSteering":
        """The same heads and lengths along random directions: the control that the heads' own must beat."""
        lengths = np.linalg.norm(self.additions, axis=-1, keepdims=True)
        return HeadSteering(lengths * random_unit_vectors(self.additions.shape, seed))


def steer_heads(
    direction: HeadDirection, dose: float, first_block: int = 0, count: int | None = None
) -> HeadSteering:
    """ITI's rule: α·σ·θ to each of the K heads from `first_block` on that tell the classes apart best.

    Args:
        direction: θ and σ of every head, and how well it tells the classes apart.
        dose: α, in standard deviations σ of each head.
        first_block: the heads of earlier blocks stay as they are.
        count: K; without it 5% of all heads of the model.

    Raises:
        SteergaugeError: the block is out of range, no head there has a direction, or the dose is not finite.
    """
    if not np.isfinite(dose):
        raise SteergaugeError(f"a dose must be a finite number, not {dose}")
    additions = np.zeros_like(direction.vectors)
    for head in direction.best_heads(first_block, count):
        additions[head] = dose * direction.spreads[head] * direction.vectors[head]
    return HeadSteering(additions)


class HeadDose(NamedTuple):
    """What a head steering writes to the stream, beside what other methods add to it.

    Attributes:
        norms: length of what the heads of each block add to the stream, (blocks,).
        raw: that of the first block that is steered.
        relative: `raw` over R of that block.
        total_relative: length of the sum over all blocks, over R_{N−1}.
    """

    norms: NDArray[np.float64]
    raw: float
    relative: float
    total_relative: float


def written_to_stream(steering: HeadSteering, model: Model) -> NDArray[np.float64]:
    """What the additions of each block are once they have passed its o_proj, (blocks, width).

    Families that normalise the attention's output before it is added to the stream (Gemma 2 and 3, OLMo 2) add
    something else: there this is what enters that norm.
    """
    written = []
    for module, addition in zip(model.heads.modules, steering.additions, strict=True):
        entering = torch.from_numpy(addition).flatten().to(model.device, model.precision.dtype)
        with torch.inference_mode():
            # The module is linear but for its bias, whatever the layout of its weight.
            with_bias, bias = module(torch.stack([entering, torch.zeros_like(entering)])[None])[0].double()
        written.append((with_bias - bias).cpu().numpy())
    return np.stack(written)


def head_dose(steering: HeadSteering, model: Model, residual_norms: NDArray[np.float64]) -> HeadDose:
    """A head steering's dose in units of the stream, whose R_k are the `residual_norms`, (blocks,)."""
    written = written_to_stream(steering, model)
    norms = np.linalg.norm(written, axis=1)
    raw = float(norms[steering.first_block])
    return HeadDose(
        norms=norms,
        raw=raw,
        relative=raw / float(residual_norms[steering.first_block]),
        total_relative=float(np.linalg.norm(written.sum(axis=0)) / residual_norms[-1]),
    )


class HeadIntervention:
    """Adds to the heads of every row of a batch by its own steering; rows without one stay as they are."""

    def __init__(self, steerings: Sequence[HeadSteering | None], device: str) -> None:
        shape = next(one.additions.shape for one in steerings if one is not None)
        additions = np.stack([np.zeros(shape) if one is None else one.additions for one in steerings])
        # Where the tokens of a row are counted.
        firsts = [-1 if one is None else one.first_block for one in steerings]
        # What each steering adds at the blocks that any of them changes: (steerings, heads × head width).
        self._additions = {
            block: torch.tensor(additions[:, block], dtype=torch.float32, device=device).flatten(1)
            for block in range(shape[0])
            if additions[:, block].any() or block in firsts
        }
        self._first = torch.tensor(firsts, device=device)
        self._rows = torch.arange(len(steerings), device=device)
        self.steered_tokens = torch.zeros(len(steerings), dtype=torch.long, device=device)
        self._steered: Tensor | None = None  # (rows, all tokens so far)

    def expect(self, steered: Tensor) -> None:
        """Says which positions, (rows, all tokens so far), are to be steered: the last ones are about to run."""
        self._steered = steered

    def select(self, rows: Tensor) -> None:
        """Goes on with the given rows only, in their order; a row given twice becomes two."""
        self._rows, self.steered_tokens = self._rows[rows], self.steered_tokens[rows]

    @contextmanager
    def attached(self, heads: Heads) -> Iterator[None]:
        """Hooks on every o_proj that is steered while the context is open."""

        def hook(block: int) -> Callable[..., tuple[Any, ...]]:
            return lambda _module, inputs: (self._apply(block, inputs[0]), *inputs[1:])

        handles = [heads.modules[block].register_forward_pre_hook(hook(block)) for block in self._additions]
        try:
            yield
        finally:
            for handle in handles:
                handle.remove()

    def _apply(self, block: int, outputs: Tensor) -> Tensor:
        """Adds to heads' outputs (rows, tokens, heads × head width)."""
        change = self._additions[block][self._rows][:, None]  # (rows, 1, heads × head width)
        if self._steered is not None:
            here = self._steered[:, -outputs.shape[1] :]  # (rows, tokens)
            self.steered_tokens += torch.where(self._first[self._rows] == block, here.sum(dim=1), 0)
            change = torch.where(here[..., None].bool(), change, 0.0)
        return outputs + change.to(outputs.dtype)
