"""The canary, on engines that steer otherwise than was asked: the torch engine with one mistake, in vLLM's place."""

from collections.abc import Callable, Collection, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

from steered import run, steered_pass
from steergauge.errors import InstrumentError
from steergauge.models.loading import Model
from steergauge.steering.engine import Generation, Request
from steergauge.steering.steering import Steering
from steergauge.steering.vllm_canary import require_steering_arrives
from steergauge.steering.vllm_worker import Watched

Edit = Callable[[Steering], Steering]


def watching(model: Model, edit: Edit, streams: Callable[[Any], Any] = lambda streams: streams) -> Any:
    """Runs what `edit` makes of each steering, and shows its streams, edited too."""

    def watch(
        requests: Sequence[Request], rows: Collection[int], blocks: Collection[int]
    ) -> tuple[dict[int, Generation], dict[tuple[int, int], Watched]]:
        steerings = [edit(one.steering) for one in requests if isinstance(one.steering, Steering)]
        found = steered_pass(model, [one.prompt for one in requests], steerings).streams.double()
        shown = streams(found).numpy()  # (blocks, rows, tokens, width)
        kept = {
            (row, block): Watched(np.arange(shown.shape[2]), shown[block, row], np.abs(shown[block, row]))
            for row in rows
            for block in blocks
        }
        edited = [replace(one, steering=two) for one, two in zip(requests, steerings, strict=True)]
        return dict(enumerate(run(model, edited))), kept

    return watch


def shifted(one: Steering) -> Steering:
    if one.changes_nothing:
        return one
    return replace(
        one,
        coefficients=np.roll(one.coefficients, -1)
        * (np.arange(len(one.coefficients)) >= one.first_block - 1),
        first_block=one.first_block - 1,
        last_block=None,
    )


def test_an_engine_that_steers_as_asked_passes(tiny_model: Callable[[str], Model]) -> None:
    model = tiny_model("llama")
    require_steering_arrives(model, watching(model, lambda one: one))


@pytest.mark.parametrize(
    "edit",
    [
        lambda one: replace(one, coefficients=np.zeros_like(one.coefficients)),
        lambda one: replace(one, coefficients=1.01 * one.coefficients),
        lambda one: replace(one, vector=-one.vector),
        lambda one: replace(
            one, last_block=None, coefficients=one.coefficients.max() * (one.coefficients >= 0)
        ),
        shifted,
    ],
    ids=["nothing steered", "a little too much", "the other way", "at all blocks", "a block too early"],
)
def test_another_steering_than_was_asked_is_caught(edit: Edit, tiny_model: Callable[[str], Model]) -> None:
    model = tiny_model("llama")
    with pytest.raises(InstrumentError, match=r"the steered stream .* use --engine torch"):
        require_steering_arrives(model, watching(model, edit))


def test_streams_that_are_not_the_references_are_caught(tiny_model: Callable[[str], Model]) -> None:
    model = tiny_model("llama")
    other = watching(model, lambda one: one, lambda streams: streams.roll(1, dims=0))
    with pytest.raises(InstrumentError, match=r"the unsteered stream .* its layers pass on something else"):
        require_steering_arrives(model, other)
    nowhere = watching(model, lambda one: one, lambda streams: streams * torch.nan)
    with pytest.raises(InstrumentError, match="inf of its norm away"):
        require_steering_arrives(model, nowhere)


def test_a_steering_that_no_text_shows_is_caught(tiny_model: Callable[[str], Model]) -> None:
    model = tiny_model("llama")
    honest = watching(model, lambda one: one)

    def mute(*asked: Any) -> Any:
        made, watched = honest(*asked)
        return dict.fromkeys(made, made[0]), watched

    with pytest.raises(InstrumentError, match="wrote the unsteered text"):
        require_steering_arrives(model, mute)
