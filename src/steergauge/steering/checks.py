"""Checks of the instrument on the model itself, before a sweep (design.md, trustworthy verdicts, 6)."""

from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn
from transformers import DynamicCache

from steergauge.errors import InstrumentError
from steergauge.models.loading import Model
from steergauge.steering.engine import Decoding, Engine, Request
from steergauge.steering.intervention import Intervention
from steergauge.steering.steering import Operation, Steering, unsteered

_TOKENS = 12


class Outcome(NamedTuple):
    """A check that passed, and what it saw."""

    name: str
    detail: str


def check_instrument(model: Model, engine: Engine, prompt: str, largest: Steering) -> list[Outcome]:
    """Checks that dose 0 changes nothing, and that a dose arrives where, when and as it was asked.

    Args:
        model: what will be measured.
        engine: what will steer it.
        prompt: a benign prompt.
        largest: the steering with the largest dose of the sweep.

    Raises:
        InstrumentError: a check failed; the message says what to do.
    """
    return [
        _dose_zero_changes_nothing(model, engine, prompt),
        _dose_arrives(model, prompt, largest),
        _every_token_is_steered(model, prompt, largest),
    ]


def _dose_zero_changes_nothing(model: Model, engine: Engine, prompt: str) -> Outcome:
    """Compares the engine at dose 0 with `generate` of transformers, which knows nothing of steering."""
    request = Request(prompt, unsteered(len(model.blocks), model.blocks.width), Decoding(_TOKENS))
    ours = dict(engine.generate([request]))[0].tokens
    encoding = model.template.encode([prompt], model.device)
    with torch.inference_mode():
        written = model.module.generate(**encoding, generation_config=model.greedy(_TOKENS))  # type: ignore[operator]
    theirs = tuple(written[0, encoding["input_ids"].shape[1] :].tolist())
    if ours != theirs:
        raise InstrumentError(
            f"at dose 0 {model.name} wrote {ours} and unsteered {theirs}: the steering path itself changes the "
            "model; run in float32, and report it if it stays"
        )
    return Outcome("dose 0 equals unsteered", f"{len(ours)} tokens equal to transformers' own generate")


def _dose_arrives(model: Model, prompt: str, steering: Steering) -> Outcome:
    """Reads what the first steered block passes on, with and without the dose."""
    block = steering.first_block
    amount = steering.coefficients[block]
    before, _, _ = _run(model, prompt, unsteered(len(model.blocks), model.blocks.width), block)
    after, logits, _ = _run(model, prompt, steering, block)
    direction = torch.from_numpy(steering.vector).to(before.device)
    if steering.operation is Operation.CLAMP:
        amount = amount - before @ direction[:, None]
    asked = amount * direction
    # One rounding of the addition and one of the sum are the precision's own.
    allowed = torch.finfo(model.precision.dtype).eps * (before.abs() + 2 * asked.abs())
    off = ((after - before - asked).abs() - allowed).max().item()
    if off > 0:
        raise InstrumentError(
            f"block {block} of {model.name} moved otherwise than the dose asked, by up to {off:.3g} beyond "
            f"rounding in {model.precision}: its blocks do not pass their output on as it is written"
        )
    if not torch.isfinite(logits).all():
        raise InstrumentError(
            f"the logits of {model.name} are not finite at the largest dose in {model.precision}: use smaller "
            "doses, or a precision with more range (bfloat16, float32)"
        )
    shift = ((after - before) @ direction).mean().item()
    return Outcome(
        "a dose moves the stream by what was asked",
        f"block {block} moved by {shift:.4g} along the direction, asked {float(np.mean(np.asarray(amount))):.4g}; "
        "logits finite at the largest dose",
    )


def _every_token_is_steered(model: Model, prompt: str, steering: Steering) -> Outcome:
    """Counts the tokens that pass the first steered block, at the prefill and at a step after it."""
    _, _, (prefill, step) = _run(model, prompt, steering, steering.first_block)
    tokens = model.template.encode([prompt], "cpu")["input_ids"].shape[1]
    if (prefill, step) != (tokens, 1):
        raise InstrumentError(
            f"{model.name}: {prefill} tokens were steered at the prefill of {tokens}, and {step} at a step of 1; "
            "its blocks do not run once a token, so a dose is not what it says"
        )
    return Outcome(
        "every token is steered", f"{prefill} at the prefill, {step} a step; asserted in every batch"
    )


def _run(model: Model, prompt: str, steering: Steering, block: int) -> tuple[Tensor, Tensor, tuple[int, int]]:
    """One prefill and one step; the prefill's stream (tokens, width), its logits, and tokens steered.

    The stream is read where it is used: as it enters what comes after the block.
    """
    entered: list[Tensor] = []
    encoding = model.template.encode([prompt], model.device)
    mask = encoding["attention_mask"]
    cache = DynamicCache(config=model.module.config)
    intervention = Intervention([steering], model.device)

    def read(_module: nn.Module, inputs: tuple[Any, ...], keywords: dict[str, Any]) -> None:
        entered.append((inputs[0] if inputs else keywords["hidden_states"])[0].float())

    after = [*model.blocks.modules, model.blocks.final_norm][block + 1]
    handle = after.register_forward_pre_hook(read, with_kwargs=True)
    try:
        with torch.inference_mode(), intervention.attached(model.blocks):
            intervention.expect(mask)
            logits = model.forward(encoding["input_ids"], mask, cache)
            prefill = int(intervention.steered_tokens[0])
            mask = torch.cat([mask, mask.new_ones(1, 1)], dim=1)
            intervention.expect(mask)
            model.forward(logits.argmax(dim=-1, keepdim=True), mask, cache)
    finally:
        handle.remove()
    return entered[0], logits, (prefill, int(intervention.steered_tokens[0]) - prefill)
