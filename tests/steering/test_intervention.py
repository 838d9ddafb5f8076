from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor
from transformers import DynamicCache

from steered import example, steered_pass
from steergauge.models.loading import Model, load_model
from steergauge.models.phantom import Phantom
from steergauge.steering.intervention import Intervention
from steergauge.steering.operation import Operation
from steergauge.steering.steering import Steering, unsteered
from tiny import BLOCKS, FAMILIES

Models = Callable[[str], Model]
ADD, CLAMP = Operation.ADD, Operation.CLAMP
PROMPTS = ["Tell me a joke", "How do I bake a good chocolate cake at home for my friends?", "Hello", "Hi"]


def none(model: Model) -> Steering:
    return unsteered(len(model.blocks), model.blocks.width)


def vector(steering: Steering) -> Tensor:
    return torch.from_numpy(steering.vector)


def added(steering: Steering, block: int) -> Tensor:
    """The dose as a vector in float32: (width,)."""
    return torch.tensor(steering.coefficients[block], dtype=torch.float32) * vector(steering)


@pytest.mark.parametrize("family", FAMILIES)
def test_every_row_of_every_family_moves_by_exactly_its_own_dose_at_its_own_block(
    family: str, tiny_model: Models
) -> None:
    model = tiny_model(family)
    steerings = [
        example(model, block, dose, ADD, seed)
        for seed, (block, dose) in enumerate([(2, 1.5), (0, -3.0), (3, 0.25), (1, 10.0)])
    ]
    before = steered_pass(model, PROMPTS, [none(model)] * 4)
    after = steered_pass(model, PROMPTS, steerings)
    for row, steering in enumerate(steerings):
        first = steering.first_block
        expected = before.streams[first, row] + added(steering, first)  # at every position
        # Experts take the tokens of all rows together: how many they are, and so the last bit, is up to the others.
        rounding = 1e-5 if family == "qwen3-moe" else 0.0
        torch.testing.assert_close(
            after.streams[:first, row], before.streams[:first, row], rtol=rounding, atol=rounding
        )
        torch.testing.assert_close(after.streams[first, row], expected, rtol=rounding, atol=rounding)
        if first + 1 < BLOCKS:  # and what the next block made of it is not what it was
            assert not torch.allclose(
                after.streams[first + 1, row], before.streams[first + 1, row], atol=1e-3
            )
        assert not torch.allclose(after.logits[row], before.logits[row], atol=1e-3)


@pytest.mark.parametrize("family", ["llama", "falcon"])
def test_each_block_from_the_first_on_adds_its_own_coefficient(family: str, tiny_model: Models) -> None:
    # Block by block: with the same stream entering, block k's output differs by the k-th coefficient alone.
    model = tiny_model(family)
    doses = [0.5, -2.0, 4.0]
    whole = example(model, 1, doses, ADD, seed=3)
    for block in range(2, BLOCKS):
        shorter = example(model, 1, [*doses[: block - 1], *[0.0] * (BLOCKS - block)], ADD, seed=3)
        without = steered_pass(model, PROMPTS, [shorter] * 4).streams[block]
        steered = steered_pass(model, PROMPTS, [whole] * 4).streams[block]
        torch.testing.assert_close(steered, without + added(whole, block), atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("family", FAMILIES)
def test_dose_zero_leaves_every_bit_as_it_is(family: str, tiny_model: Models) -> None:
    model = tiny_model(family)
    encoding = model.template.encode(PROMPTS, "cpu")
    with torch.inference_mode():
        plain = model.forward(encoding["input_ids"], encoding["attention_mask"])
    zero = example(model, 1, 0.0, ADD, seed=0)
    assert torch.equal(steered_pass(model, PROMPTS, [zero, none(model)] * 2).logits, plain)
    # In the company of a clamped row too, whose component is taken of every row.
    beside = steered_pass(model, PROMPTS, [zero, none(model), zero, example(model, 1, 2.0, CLAMP, seed=1)])
    assert torch.equal(beside.logits[:3], plain[:3])


@pytest.mark.parametrize("family", FAMILIES)
def test_a_clamp_sets_the_component_at_every_steered_block_and_position(
    family: str, tiny_model: Models
) -> None:
    model = tiny_model(family)
    steerings = [
        example(model, block, target, CLAMP, seed)
        for seed, (block, target) in enumerate([(0, 4.0), (1, -2.5), (2, 0.0), (3, 12.0)])
    ]
    before = steered_pass(model, PROMPTS, [none(model)] * 4)
    after = steered_pass(model, PROMPTS, steerings)
    for row, steering in enumerate(steerings):
        first, unit = steering.first_block, vector(steering)
        assert torch.equal(after.streams[:first, row], before.streams[:first, row])
        for block in range(first, BLOCKS):
            component = after.streams[block, row] @ unit  # (tokens,)
            scale = float(after.streams[block, row].norm(dim=-1).max())
            np.testing.assert_allclose(component, steering.coefficients[block], atol=1e-5 * (1 + scale))
        moved = after.streams[first, row] - before.streams[first, row]  # along the vector and nowhere else
        across = moved - (moved @ unit)[:, None] * unit
        assert across.abs().max() < 1e-5 * (1 + float(before.streams[first, row].abs().max()))


def test_a_row_does_not_know_what_the_rows_beside_it_are_steered_by(tiny_model: Models) -> None:
    model = tiny_model("llama")
    mixed = [
        example(model, 1, [1.0, 2.0, -1.0], ADD, seed=0),
        example(model, 2, 3.0, CLAMP, seed=1),
        none(model),
        example(model, 0, -2.0, ADD, seed=2),
    ]
    together = steered_pass(model, PROMPTS, mixed)
    for row, (prompt, steering) in enumerate(zip(PROMPTS, mixed, strict=True)):
        alone = steered_pass(model, [prompt], [steering])
        tokens = alone.streams.shape[2]
        torch.testing.assert_close(
            together.streams[:, row, -tokens:], alone.streams[:, 0], atol=1e-4, rtol=1e-4
        )
        torch.testing.assert_close(together.logits[row], alone.logits[0], atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("first_block", range(6))
def test_through_identity_blocks_the_doses_add_up_to_n_minus_l_of_them(
    first_block: int, phantom_model: Model, phantom: Phantom
) -> None:
    unit = phantom.direction.astype(np.float32)
    steering = Steering(unit, np.where(np.arange(6) >= first_block, 1.7, 0.0), first_block)
    before, after = (
        steered_pass(phantom_model, PROMPTS, [one] * 4).streams for one in (none(phantom_model), steering)
    )
    for block in range(6):
        additions = max(0, block - first_block + 1)
        shift = after[block] - before[block]  # (rows, tokens, width)
        expected = torch.from_numpy(additions * 1.7 * unit).expand_as(shift)
        np.testing.assert_allclose(shift, expected, atol=2e-5)


def test_rows_that_are_selected_keep_their_own_steering(tiny_model: Models) -> None:
    model = tiny_model("llama")
    steerings = [
        example(model, 1, 2.0, ADD, seed=0),
        example(model, 2, 3.0, CLAMP, seed=1),
        example(model, 0, -2.0, ADD, seed=2),
        none(model),
    ]
    kept = [2, 1, 2]  # in any order, and as often as asked
    encoding = model.template.encode([PROMPTS[row] for row in kept], "cpu")
    intervention = Intervention(steerings, "cpu")
    intervention.select(torch.tensor(kept))
    with torch.inference_mode(), intervention.attached(model.blocks):
        narrowed = model.forward(encoding["input_ids"], encoding["attention_mask"])
    expected = steered_pass(model, [PROMPTS[row] for row in kept], [steerings[row] for row in kept])
    assert torch.equal(narrowed, expected.logits)


@pytest.mark.parametrize("family", ["llama", "falcon", "gemma3-text"])
def test_it_counts_the_real_tokens_that_pass_each_rows_first_block(family: str, tiny_model: Models) -> None:
    model = tiny_model(family)
    steerings = [example(model, block, 1.0, ADD, seed=block) for block in (0, 3, 1, 2)]
    encoding = model.template.encode(PROMPTS, "cpu")
    mask = encoding["attention_mask"]
    lengths = [len(model.template.encode([prompt], "cpu")["input_ids"][0]) for prompt in PROMPTS]
    assert len(set(lengths)) > 1  # some are padded
    intervention = Intervention(steerings, "cpu")
    cache = DynamicCache(config=model.module.config)
    with torch.inference_mode(), intervention.attached(model.blocks):
        intervention.expect(mask)
        model.forward(encoding["input_ids"], mask, cache)
        assert intervention.steered_tokens.tolist() == lengths
        for step in (1, 2):
            mask = torch.cat([mask, mask.new_ones(4, 1)], dim=1)
            intervention.expect(mask)
            model.forward(torch.full((4, 1), 20), mask, cache)
            assert intervention.steered_tokens.tolist() == [length + step for length in lengths]


def hooks_on(model: Model) -> int:
    return sum(len(block._forward_hooks) for block in model.blocks.modules)


def test_hooks_come_off_when_the_context_ends_and_when_it_fails(tiny_model: Models) -> None:
    model = tiny_model("llama")
    intervention = Intervention([none(model)], "cpu")
    before = hooks_on(model)
    with intervention.attached(model.blocks):
        assert hooks_on(model) == before + BLOCKS
    assert hooks_on(model) == before
    with pytest.raises(RuntimeError, match="halfway"), intervention.attached(model.blocks):
        raise RuntimeError("halfway")
    assert hooks_on(model) == before


@pytest.mark.parametrize("precision", ["bfloat16", "float16"])
def test_in_low_precision_the_dose_is_rounded_once_and_added_in_it(
    precision: str, tiny_folder: Callable[[str], Path]
) -> None:
    model = load_model(str(tiny_folder("llama")), precision=precision, device="cpu")
    steering = example(model, 2, 1.3, ADD, seed=4)
    steerings: Sequence[Steering] = [none(model), steering]
    before = steered_pass(model, PROMPTS[:2], [none(model)] * 2).streams
    after = steered_pass(model, PROMPTS[:2], steerings).streams
    assert after.dtype == model.precision.dtype
    assert torch.equal(after[2, 1], before[2, 1] + added(steering, 2).to(after.dtype))
    assert torch.equal(after[:, 0], before[:, 0])
