"""Steering as its definition says it, one forward pass or one token at a time, with hooks of the tests' own."""

import dataclasses
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from steergauge.directions.random import random_unit_vector
from steergauge.models.loading import Model
from steergauge.steering.engine import Generation, Request
from steergauge.steering.intervention import Intervention
from steergauge.steering.operation import Operation
from steergauge.steering.steering import Steering
from steergauge.steering.torch_engine import TorchEngine
from tiny import record


class Pass(NamedTuple):
    """What a pass left behind: streams (blocks, rows, tokens, width) and logits (rows, vocabulary)."""

    streams: Tensor
    logits: Tensor
    mask: Tensor


def steered_pass(model: Model, prompts: Sequence[str], steerings: Sequence[Steering]) -> Pass:
    """Runs each prompt under its steering, in one batch, at every position."""
    encoding = model.template.encode(list(prompts), model.device)
    intervention = Intervention(steerings, model.device)
    with torch.inference_mode(), intervention.attached(model.blocks):
        _, leaving, stop = record(list(model.blocks.modules))  # after the intervention's hooks
        try:
            logits = model.forward(encoding["input_ids"], encoding["attention_mask"])
        finally:
            stop()
    return Pass(torch.stack(leaving), logits, encoding["attention_mask"])


def example(
    model: Model, first_block: int, coefficients: float | Sequence[float], operation: Operation, seed: int
) -> Steering:
    """A steering along a random vector, with one coefficient or one for each block from the first on."""
    values = np.zeros(len(model.blocks))
    values[first_block:] = coefficients
    return Steering(random_unit_vector(model.blocks.width, seed), values, first_block, operation)


def run(model: Model, requests: Sequence[Request]) -> list[Generation]:
    """The engine's generations, in the order of the requests."""
    made = list(TorchEngine(model).generate(requests))
    assert sorted(index for index, _ in made) == list(range(len(requests)))  # each once
    return [generation for _, generation in sorted(made, key=lambda one: one[0])]


def with_frequent_stops(model: Model, requests: Sequence[Request]) -> Model:
    """The model with a stop token that about half of the rows write, each at another step."""
    texts = [generation.tokens for generation in run(model, requests)]
    candidates = sorted({token for text in texts for token in text[1:]})
    ending = {token: sum(token in text for text in texts) for token in candidates}
    chosen = min(candidates, key=lambda token: abs(ending[token] - len(texts) / 2))
    return dataclasses.replace(model, stop_tokens=(chosen,))


def by_definition(operation: Operation, unit: Tensor, amount: float, streams: Tensor) -> Tensor:
    """What the operation makes of streams (tokens, width), as textbooks write it."""
    component = (streams @ unit)[:, None]  # (tokens, 1)
    across = streams - component * unit
    match operation:
        case Operation.ADD:
            return streams + amount * unit
        case Operation.ABLATE:
            return across
        case Operation.CLAMP | Operation.AFFINE:
            return across + amount * unit
        case Operation.ROTATE:
            norm = streams.norm(dim=1, keepdim=True)
            cosine = ((component + amount) / norm).clamp(-1, 1)
            sine = (1 - cosine**2).sqrt()
            turned: Tensor = norm * (cosine * unit + sine * across / across.norm(dim=1, keepdim=True))
            return turned


@torch.inference_mode()
def uncached(
    model: nn.Module,
    blocks: Sequence[nn.Module],
    ids: Tensor,
    request: Request,
    stops: Sequence[int],
    *,
    start: int = 0,
    choose: Callable[[Tensor, int], int] = lambda logits, _step: int(logits.argmax()),
) -> list[int]:
    """One prompt (1, tokens) continued, the whole text run again for each token; steered from `start` on.

    Greedily, unless `choose` takes another token by the logits, (vocabulary,), and how many are written.
    """
    steering = request.steering
    assert isinstance(steering, Steering)
    unit = torch.from_numpy(steering.vector)

    def hook(block: int) -> Callable[..., Any]:
        def steer(_module: nn.Module, _inputs: Any, output: Any) -> Any:
            stream = output[0] if isinstance(output, tuple) else output
            moved = by_definition(
                steering.operation, unit, float(steering.coefficients[block]), stream[0, start:]
            )
            stream = torch.cat([stream[:, :start], moved[None]], dim=1)
            return (stream, *output[1:]) if isinstance(output, tuple) else stream

        return steer

    last = len(blocks) - 1 if steering.last_block is None else steering.last_block
    handles = [
        blocks[block].register_forward_hook(hook(block)) for block in range(steering.first_block, last + 1)
    ]
    written: list[int] = []
    try:
        while len(written) < request.decoding.max_new_tokens and not (written and written[-1] in stops):
            sequence = torch.cat([ids, torch.tensor([written], dtype=torch.long)], dim=1)
            written.append(choose(model(sequence, use_cache=False).logits[0, -1], len(written)))
    finally:
        for handle in handles:
            handle.remove()
    return written
