"""Checks of the instrument on the model itself, before a sweep (design.md, trustworthy verdicts, 6)."""

from functools import partial
from itertools import takewhile
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from transformers import DynamicCache

from steergauge.errors import InstrumentError
from steergauge.models.loading import Model
from steergauge.models.precision import Precision
from steergauge.steering.engine import AnySteering, Decoding, Engine, Request
from steergauge.steering.head_steering import HeadSteering
from steergauge.steering.intervene import intervene
from steergauge.steering.operation import Operation
from steergauge.steering.positions import Positions, steered_tokens
from steergauge.steering.probe import Probe, Prober, Probing
from steergauge.steering.steering import Steering, unsteered

_TOKENS = 12
# Relative to the norm of a stream: what its component along a unit vector, a sum in float32, may be off by.
_DOT_PRODUCT = 16 * float(np.finfo(np.float32).eps)


# How many roundings of the largest logit two tokens may be apart where an engine of other kernels took the other.
_NEAR_TIE = 4


class Outcome(NamedTuple):
    """A check that passed, and what it saw."""

    name: str
    detail: str


def check_instrument(model: Model, engine: Engine, prompt: str, largest: AnySteering) -> list[Outcome]:
    """Checks that dose 0 changes nothing, and that a dose arrives where, when and as it was asked.

    Args:
        model: what will be measured.
        engine: what will steer it.
        prompt: a benign prompt.
        largest: the steering with the largest dose of the sweep.

    Raises:
        InstrumentError: a check failed; the message says what to do.
    """
    probe = prober(model, engine)
    return [
        _dose_zero_changes_nothing(model, engine, prompt),
        _dose_arrives_at_heads(model, prompt, largest)
        if isinstance(largest, HeadSteering)
        else _dose_arrives(model, probe, prompt, largest),
        _every_token_is_steered(model, probe, prompt, largest),
    ]


def prober(model: Model, engine: Engine) -> Prober:
    """What reads streams where the engine runs: the engine itself, or else the model's own module."""
    return engine.probe if isinstance(engine, Probing) else partial(_probe, model)


def _dose_zero_changes_nothing(model: Model, engine: Engine, prompt: str) -> Outcome:
    """Compares the engine at dose 0 with `generate` of transformers, which knows nothing of steering."""
    request = Request(prompt, unsteered(len(model.blocks), model.blocks.width), Decoding(_TOKENS))
    ours = dict(engine.generate([request]))[0].tokens
    encoding = model.template.encode([prompt], model.device)
    with torch.inference_mode():
        written = model.module.generate(**encoding, generation_config=model.greedy(_TOKENS))  # type: ignore[operator]
    theirs = tuple(written[0, encoding["input_ids"].shape[1] :].tolist())
    if isinstance(engine, Probing) and ours != theirs and model.precision is not Precision.FLOAT32:
        return _parted_at_a_near_tie(model, encoding["input_ids"], ours, theirs)
    if ours != theirs:
        raise InstrumentError(
            f"at dose 0 {model.name} wrote {ours} and unsteered {theirs}: the steering path itself changes the "
            "model; run in float32, and report it if it stays"
        )
    return Outcome("dose 0 equals unsteered", f"{len(ours)} tokens equal to transformers' own generate")


def _parted_at_a_near_tie(
    model: Model, prompt: Tensor, ours: tuple[int, ...], theirs: tuple[int, ...]
) -> Outcome:
    """Other kernels round otherwise: in half precision a path may part where two tokens are about as likely."""
    equal = sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], zip(ours, theirs, strict=False)))
    if equal == min(len(ours), len(theirs)):
        raise InstrumentError(
            f"{model.name} ended after {equal} tokens on one path and went on, on the other"
        )
    ids = torch.cat([prompt, prompt.new_tensor([theirs[:equal]])], dim=1)
    with torch.inference_mode():
        logits = model.forward(ids, torch.ones_like(ids))[0].float()
    margin = float(logits[theirs[equal]] - logits[ours[equal]])
    allowed = _NEAR_TIE * torch.finfo(model.precision.dtype).eps * float(logits.abs().max())
    if margin > allowed:
        raise InstrumentError(
            f"at dose 0 {model.name} wrote {ours} and unsteered {theirs}, whose logits differ by {margin:.3g}, "
            f"more than the {allowed:.3g} that {model.precision} explains: run in float32, and report it if it stays"
        )
    return Outcome(
        "dose 0 equals unsteered",
        f"{equal} tokens equal to transformers' own generate, then a near-tie: logits {margin:.3g} apart in "
        f"{model.precision}",
    )


def _dose_arrives(model: Model, probe: Prober, prompt: str, steering: Steering) -> Outcome:
    """Reads what the first steered block passes on, with and without the dose, against the operation's formula."""
    block = steering.first_block
    control = unsteered(len(model.blocks), model.blocks.width)
    before, after = (probe(prompt, one, block) for one in (control, steering))
    asked = np.zeros_like(before.stream)  # (tokens, width)
    steered = slice(_prompt_tokens(model, prompt) - _steered_of_prompt(model, prompt, steering), None)
    unit = steering.vector.astype(np.float64)
    asked[steered] = _asked(steering, unit, before.stream[steered])
    # One rounding of the addition and one of the sum are the precision's own; the component is taken in float32.
    allowed = torch.finfo(model.precision.dtype).eps * (before.magnitude + 2 * np.abs(asked))
    if steering.operation is not Operation.ADD:
        norms = np.linalg.norm(before.stream, axis=1, keepdims=True)
        allowed += _DOT_PRODUCT * (norms * np.abs(unit) + np.abs(before.stream))
    off = (np.abs(after.stream - before.stream - asked) - allowed).max()
    if not off <= 0:
        raise InstrumentError(
            f"block {block} of {model.name} moved otherwise than the dose asked, by up to {off:.3g} beyond "
            f"rounding in {model.precision}: its blocks do not pass their output on as it is written"
        )
    if not after.finite:
        raise InstrumentError(_not_finite(model))
    moved = ((after.stream - before.stream) @ unit)[steered].mean()
    return Outcome(
        "a dose moves the stream by what was asked",
        f"block {block} moved by {moved:.4g} along the direction, asked {(asked @ unit)[steered].mean():.4g}; "
        "logits finite at the largest dose",
    )


def _dose_arrives_at_heads(model: Model, prompt: str, steering: HeadSteering) -> Outcome:
    """Reads what enters o_proj at the first steered block, with and without the dose."""
    block, reader = steering.first_block, model.heads.modules[steering.first_block]
    control = unsteered(len(model.blocks), model.blocks.width)
    before, after = (_run(model, prompt, one, reader) for one in (control, steering))
    asked = np.zeros_like(before.stream)  # (tokens, heads × head width)
    asked[_prompt_tokens(model, prompt) - 1 :] = steering.additions[block].ravel()
    allowed = torch.finfo(model.precision.dtype).eps * (np.abs(before.stream) + 2 * np.abs(asked))
    off = (np.abs(after.stream - before.stream - asked) - allowed).max()
    if not off <= 0:
        raise InstrumentError(
            f"the heads of block {block} of {model.name} moved otherwise than the dose asked, by up to {off:.3g} "
            f"beyond rounding in {model.precision}: its attention does not pass them on as they are written"
        )
    if not after.finite:
        raise InstrumentError(_not_finite(model))
    heads = int(steering.additions.any(axis=-1).sum())
    return Outcome(
        "a dose moves the heads by what was asked",
        f"{heads} heads, from block {block} on, at the last prompt token and after it; logits finite at the largest dose",
    )


def _not_finite(model: Model) -> str:
    return (
        f"the logits of {model.name} are not finite at the largest dose in {model.precision}: use smaller "
        "doses, or a precision with more range (bfloat16, float32)"
    )


def _asked(steering: Steering, unit: NDArray[np.float64], stream: NDArray[np.float64]) -> NDArray[np.float64]:
    """What the operation adds to streams (tokens, width) after the first block, by its definition, in float64."""
    amount = steering.coefficients[steering.first_block]
    component = (stream @ unit)[:, None]  # (tokens, 1)
    rest = stream - component * unit
    match steering.operation:
        case Operation.ADD:
            moved = stream + amount * unit
        case Operation.ABLATE:
            moved = rest
        case Operation.AFFINE | Operation.CLAMP:
            moved = rest + amount * unit
        case Operation.ROTATE:
            norm = np.linalg.norm(stream, axis=1, keepdims=True)
            angle = np.arccos(np.clip((component + amount) / norm, -1, 1))
            across = rest / np.linalg.norm(rest, axis=1, keepdims=True)
            moved = norm * (np.cos(angle) * unit + np.sin(angle) * across)
    asked: NDArray[np.float64] = moved - stream
    return asked


def _every_token_is_steered(model: Model, probe: Prober, prompt: str, steering: AnySteering) -> Outcome:
    """Counts the tokens that are steered at the first block, at the prefill and at a step after it."""
    found = probe(prompt, steering, steering.first_block)
    tokens, asked = _prompt_tokens(model, prompt), _steered_of_prompt(model, prompt, steering)
    if (found.prefill, found.step) != (asked, 1):
        raise InstrumentError(
            f"{model.name}: {found.prefill} tokens were steered where {asked} of the prefill's {tokens} should "
            f"have been, and {found.step} at a step of 1; its blocks do not run once a token, so a dose is not "
            "what it says"
        )
    if steering.positions is Positions.ALL:
        return Outcome("every token is steered", f"{asked} at the prefill, 1 a step; asserted in every batch")
    return Outcome(
        f"every token of the positions {steering.positions} is steered, and no other",
        f"{asked} of {tokens} at the prefill, 1 a step; asserted in every batch",
    )


def _prompt_tokens(model: Model, prompt: str) -> int:
    return int(model.template.encode([prompt], "cpu")["input_ids"].shape[1])


def _steered_of_prompt(model: Model, prompt: str, steering: AnySteering) -> int:
    """How many of the prompt's tokens the positions hold."""
    tokens, suffix = _prompt_tokens(model, prompt), model.template.suffix_tokens
    counts = {Positions.ALL: tokens, Positions.AFTER_INSTRUCTION: suffix, Positions.LAST: 1}
    return counts.get(steering.positions, 0)


def _after(model: Model, block: int) -> nn.Module:
    """What the stream after a block is used by."""
    return [*model.blocks.modules, model.blocks.final_norm][block + 1]


def _probe(model: Model, prompt: str, steering: AnySteering, block: int) -> Probe:
    return _run(model, prompt, steering, _after(model, block))


def _run(model: Model, prompt: str, steering: AnySteering, reader: nn.Module) -> Probe:
    """One prefill, and one step with the prompt's last token again, so that all runs are on the same tokens.

    What was steered is read where it is used: as it enters the reader.
    """
    entered: list[Tensor] = []
    ids = model.template.encode([prompt], model.device)["input_ids"]  # (1, tokens), so without padding
    start = steering.positions.start(ids.shape[1], model.template.suffix_tokens)
    starts = torch.tensor([start], device=model.device)
    cache = DynamicCache(config=model.module.config)
    intervention = intervene([steering], model)

    def read(_module: nn.Module, inputs: tuple[Any, ...], keywords: dict[str, Any]) -> None:
        entered.append((inputs[0] if inputs else keywords["hidden_states"])[0].double().cpu())

    counts, finite = [0], True
    with torch.inference_mode(), intervention.attached(model.blocks):
        # Registered last, so that it sees what the intervention has written.
        handle = reader.register_forward_pre_hook(read, with_kwargs=True)
        try:
            for steps, new in enumerate((ids, ids[:, -1:])):
                mask = ids.new_ones(1, ids.shape[1] + steps)
                intervention.expect(steered_tokens(mask, starts))
                finite &= bool(torch.isfinite(model.forward(new, mask, cache)).all())
                counts.append(int(intervention.steered_tokens[0]))
        finally:
            handle.remove()
    stream = torch.cat(entered).numpy()
    return Probe(stream, np.abs(stream), finite, counts[1], counts[2] - counts[1])
