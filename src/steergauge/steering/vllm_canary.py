"""The canary: at every start of vLLM, that steering arrives there as it does in the reference engine."""

from collections.abc import Callable, Collection, Sequence
from typing import TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from steergauge.directions.random import random_unit_vector
from steergauge.errors import InstrumentError
from steergauge.models.blocks import reading
from steergauge.models.loading import Model
from steergauge.models.precision import Precision
from steergauge.steering.engine import Decoding, Generation, Request
from steergauge.steering.intervention import Intervention
from steergauge.steering.steering import Steering, unsteered
from steergauge.steering.vllm_worker import Watched

_PROMPT = "What is the colour of the sky?"
_TOKENS = 8
# How far apart two engines' streams may be, in their norm: what they round otherwise, grown over the blocks.
_APART = {Precision.FLOAT32: 1e-3, Precision.BFLOAT16: 0.1, Precision.FLOAT16: 0.1}

Watching: TypeAlias = Callable[
    [Sequence[Request], Collection[int], Collection[int]],
    tuple[dict[int, Generation], dict[tuple[int, int], Watched]],
]


def require_steering_arrives(model: Model, watching: Watching) -> None:
    """Steers one prompt in two ways beside the control, in one batch, and compares all streams with the reference.

    Args:
        model: the reference.
        watching: runs requests, and tells what left some blocks of some rows.

    Raises:
        InstrumentError: a stream is not what the reference has, a block moved otherwise than the dose asked, or
            a steered text is the unsteered one.
    """
    blocks, width = len(model.blocks), model.blocks.width
    control = unsteered(blocks, width)
    norms = np.linalg.norm(_reference(model, [control])[0], axis=-1)  # (blocks,)
    onward, one = blocks // 3, 2 * blocks // 3
    doses = np.zeros((2, blocks))
    doses[0, onward:], doses[1, one] = norms[onward], norms[one]
    steerings = [
        control,
        Steering(random_unit_vector(width, 1), doses[0], onward),
        Steering(random_unit_vector(width, 2), doses[1], one, last_block=one),
    ]
    rows = range(len(steerings))
    made, watched = watching(
        [Request(_PROMPT, steering, Decoding(_TOKENS)) for steering in steerings], rows, range(blocks)
    )
    last = _prompt_tokens(model) - 1
    found = np.stack([[_at(watched[row, block], last) for block in range(blocks)] for row in rows])
    _require_the_references_streams(model, found, _reference(model, steerings))
    for row, steering in enumerate(steerings[1:], start=1):
        block = steering.first_block
        moved = (found[row] - found[0])[: block + 1]  # (blocks so far, width)
        asked = np.zeros_like(moved)
        asked[block] = steering.coefficients[block] * steering.vector
        off = np.linalg.norm(moved - asked, axis=-1) / norms[: block + 1]
        if not (off <= _APART[model.precision]).all():
            raise InstrumentError(
                f"block {int(off.argmax())} of {model.name} moved otherwise in vLLM than the dose at block {block} "
                f"asked, by {off.max():.2g} of its norm: use --engine torch"
            )
    if made[1].tokens == made[0].tokens and made[2].tokens == made[0].tokens:
        raise InstrumentError(
            f"vLLM wrote the unsteered text of {model.name} under doses as large as its streams: use --engine torch"
        )


def _require_the_references_streams(
    model: Model, found: NDArray[np.float64], reference: NDArray[np.float64]
) -> None:
    """Compares streams, each (rows, blocks, width)."""
    off = np.linalg.norm(found - reference, axis=-1) / np.linalg.norm(reference, axis=-1)  # (rows, blocks)
    for row, apart in enumerate(np.nan_to_num(off, nan=np.inf)):
        if apart.max() > _APART[model.precision]:
            raise InstrumentError(
                f"after block {apart.argmax()} of {model.name} the {'steered' if row else 'unsteered'} stream that is "
                f"read in vLLM is {apart.max():.2g} of its norm away from the torch engine's: its layers pass on "
                "something else, so use --engine torch"
            )


@torch.inference_mode()
def _reference(model: Model, steerings: Sequence[Steering]) -> NDArray[np.float64]:
    """The streams at the prompt's last token in the reference engine, (rows, blocks, width)."""
    encoding = model.template.encode([_PROMPT] * len(steerings), model.device)
    streams: dict[int, Tensor] = {}
    with (
        Intervention(steerings, model.device).attached(model.blocks),
        reading(model.blocks.modules, streams.__setitem__),
    ):
        model.forward(encoding["input_ids"], encoding["attention_mask"])
    found: NDArray[np.float64] = torch.stack(
        [streams[block][:, -1].double().cpu() for block in range(len(model.blocks))], dim=1
    ).numpy()
    return found


def _prompt_tokens(model: Model) -> int:
    return int(model.template.encode([_PROMPT], "cpu")["input_ids"].shape[1])


def _at(watched: Watched, position: int) -> NDArray[np.float64]:
    """The stream at one position; of one that ran twice, the last."""
    stream: NDArray[np.float64] = watched.streams[np.flatnonzero(watched.positions == position)[-1]]
    return stream
