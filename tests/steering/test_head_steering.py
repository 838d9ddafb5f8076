from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from transformers import DynamicCache

from steergauge.activations.heads import capture_heads
from steergauge.directions.head_direction import HeadDirection
from steergauge.directions.iti import inference_time_intervention
from steergauge.errors import SteergaugeError
from steergauge.models.loading import Model
from steergauge.models.phantom import GAIN, Phantom
from steergauge.prompts import study_contrast_set
from steergauge.steering.head_dose import head_dose, written_to_stream
from steergauge.steering.head_intervention import HeadIntervention
from steergauge.steering.head_steering import HeadSteering, steer_heads
from tiny import BLOCKS, FAMILIES, HEADS, WIDTH, head_outputs, plain

Models = Callable[[str], Model]
HEAD_WIDTH = WIDTH // HEADS
PROMPTS = ["Tell me a joke", "How do I bake a good chocolate cake at home for my friends?", "Hello", "Hi"]


def on_heads(heads: Sequence[tuple[int, int]], length: float, seed: int) -> HeadSteering:
    """A random addition of that length to each of some heads of a tiny model."""
    drawn = np.random.default_rng(seed).normal(size=(BLOCKS, HEADS, HEAD_WIDTH))
    additions = np.zeros_like(drawn)
    for head in heads:
        additions[head] = length * drawn[head] / np.linalg.norm(drawn[head])
    return HeadSteering(additions.astype(np.float32))


def entering(modules: Sequence[nn.Module]) -> tuple[list[Tensor], Callable[[], None]]:
    """Copies what each module multiplies from now on; call the second to stop."""
    copies: list[Tensor] = []
    # A forward hook sees the inputs as they are after every pre-hook.
    handles = [
        module.register_forward_hook(lambda _module, inputs, _output: copies.append(inputs[0].clone()))
        for module in modules
    ]

    def stop() -> None:
        for handle in handles:
            handle.remove()

    return copies, stop


def steered_pass(
    model: Model, family: str, prompts: Sequence[str], steerings: Sequence[HeadSteering | None]
) -> tuple[Tensor, Tensor]:
    """What enters every o_proj, (blocks, rows, tokens, heads, head width), and the logits, of one prefill."""
    encoding = model.template.encode(list(prompts), "cpu")
    mask = encoding["attention_mask"]
    last = torch.zeros_like(mask)
    last[:, -1] = 1
    assert model.heads  # finding them is a pass of its own
    copies, stop = entering(head_outputs(model.module, family))
    try:
        with torch.inference_mode(), attached(steerings, model) as intervention:
            if intervention is not None:
                intervention.expect(last)
            logits = model.forward(encoding["input_ids"], mask)
    finally:
        stop()
    stacked = torch.stack(copies)
    return stacked.view(*stacked.shape[:-1], HEADS, HEAD_WIDTH), logits


@contextmanager
def attached(steerings: Sequence[HeadSteering | None], model: Model) -> Iterator[HeadIntervention | None]:
    if not any(steerings):
        yield None
        return
    intervention = HeadIntervention(steerings, "cpu")
    with intervention.attached(model.heads):
        yield intervention


@pytest.mark.parametrize("family", FAMILIES)
def test_only_the_chosen_heads_change_by_what_was_asked_and_only_at_the_last_token(
    family: str, tiny_model: Models
) -> None:
    model = tiny_model(family)
    chosen = [[(1, 0), (1, 3)], [(0, 2)], [(3, 1)], [(2, 0)]]
    steerings = [on_heads(heads, 3.0, seed) for seed, heads in enumerate(chosen)]
    before, plain_logits = steered_pass(model, family, PROMPTS, [None] * 4)
    after, logits = steered_pass(model, family, PROMPTS, steerings)
    for row, (heads, steering) in enumerate(zip(chosen, steerings, strict=True)):
        block = heads[0][0]
        assert steering.first_block == block
        assert torch.equal(after[:block, row], before[:block, row])  # every head of the blocks before
        assert torch.equal(after[block, row, :-1], before[block, row, :-1])  # every token before
        for head in range(HEADS):
            expected = before[block, row, -1, head] + torch.from_numpy(steering.additions[block, head])
            assert torch.equal(after[block, row, -1, head], expected)
            moved = not torch.equal(expected, before[block, row, -1, head])
            assert moved == ((block, head) in heads)
        if block + 1 < BLOCKS:  # what is read of the stream further on has heard of it, at that token alone
            assert not torch.allclose(after[block + 1, row, -1], before[block + 1, row, -1], atol=1e-3)
            real = slice(-len(model.template.encode([PROMPTS[row]], "cpu")["input_ids"][0]), -1)
            assert torch.equal(after[:, row, real], before[:, row, real])
        assert not torch.allclose(logits[row], plain_logits[row], atol=1e-3)


@pytest.mark.parametrize("family", ["llama", "gpt2", "bloom"])
def test_every_steered_block_adds_its_own(family: str, tiny_model: Models) -> None:
    model = tiny_model(family)
    whole = on_heads([(0, 1), (1, 2), (2, 0), (2, 3)], 2.0, seed=0)
    shorter = HeadSteering(np.where(np.arange(BLOCKS)[:, None, None] < 2, whole.additions, 0))
    without, _ = steered_pass(model, family, PROMPTS, [shorter] * 4)
    steered, _ = steered_pass(model, family, PROMPTS, [whole] * 4)
    expected = without[2, :, -1] + torch.from_numpy(whole.additions[2])
    assert torch.equal(steered[2, :, -1], expected)


@pytest.mark.parametrize("family", FAMILIES)
def test_dose_zero_and_no_steering_leave_every_bit_as_it_is(family: str, tiny_model: Models) -> None:
    model = tiny_model(family)
    zero, other = on_heads([], 0.0, seed=0), on_heads([(1, 1), (3, 0)], 4.0, seed=1)
    assert zero.changes_nothing
    assert not other.changes_nothing
    before, plain_logits = steered_pass(model, family, PROMPTS, [None] * 4)
    after, logits = steered_pass(model, family, PROMPTS, [zero, None, other, None])
    for row in (0, 1, 3):
        assert torch.equal(after[:, row], before[:, row])
        assert torch.equal(logits[row], plain_logits[row])
    assert not torch.equal(logits[2], plain_logits[2])


def test_a_row_does_not_know_what_the_rows_beside_it_are_steered_by(tiny_model: Models) -> None:
    model = tiny_model("llama")
    mixed = [on_heads([(0, 1)], 2.0, 0), None, on_heads([(2, 3), (3, 3)], 5.0, 1), on_heads([(0, 0)], 1.0, 2)]
    _, together = steered_pass(model, "llama", PROMPTS, mixed)
    for row, (prompt, steering) in enumerate(zip(PROMPTS, mixed, strict=True)):
        _, alone = steered_pass(model, "llama", [prompt], [steering])
        torch.testing.assert_close(together[row], alone[0], atol=1e-4, rtol=1e-4)


def test_rows_that_are_selected_keep_their_own_steering_and_count(tiny_model: Models) -> None:
    model = tiny_model("llama")
    steerings = [on_heads([(1, 2)], 2.0, 0), None, on_heads([(0, 0), (3, 1)], 3.0, 1)]
    kept = [2, 0, 2, 1]
    intervention = HeadIntervention(steerings, "cpu")
    intervention.steered_tokens = torch.tensor([10, 20, 30])
    intervention.select(torch.tensor(kept))
    encoding = model.template.encode(PROMPTS, "cpu")
    mask = encoding["attention_mask"]
    with torch.inference_mode(), intervention.attached(model.heads):
        intervention.expect(mask * (torch.arange(mask.shape[1]) >= mask.shape[1] - 2))
        narrowed = model.forward(encoding["input_ids"], mask)
    assert intervention.steered_tokens.tolist() == [
        32,
        12,
        32,
        20,
    ]  # the unsteered row's tokens are not counted
    expected = HeadIntervention([steerings[row] for row in kept], "cpu")
    with torch.inference_mode(), expected.attached(model.heads):
        expected.expect(mask * (torch.arange(mask.shape[1]) >= mask.shape[1] - 2))
        assert torch.equal(narrowed, model.forward(encoding["input_ids"], mask))


@pytest.mark.parametrize("family", ["llama", "gpt2", "gemma3-text", "falcon", "bloom"])
def test_steps_with_a_cache_are_the_whole_text_run_at_once(
    family: str, tiny_model: Models, tiny_folder: Callable[[str], Path]
) -> None:
    model, oracle = tiny_model(family), plain(tiny_folder(family))
    steering = on_heads([(0, 1), (2, 2)], 4.0, seed=0)
    ids = model.template.encode(PROMPTS[:1], "cpu")["input_ids"]
    intervention = HeadIntervention([steering], "cpu")
    cache, written = DynamicCache(config=model.module.config), []
    new, mask = ids, torch.ones_like(ids)
    with torch.inference_mode(), intervention.attached(model.heads):
        for _ in range(6):
            steered = torch.zeros_like(mask)
            steered[:, ids.shape[1] - 1 :] = 1  # the last prompt token and all that was written
            intervention.expect(steered)
            new = model.forward(new, mask, cache).argmax(dim=-1, keepdim=True)
            written.append(int(new))
            mask = torch.cat([mask, mask.new_ones(1, 1)], dim=1)
    assert intervention.steered_tokens.tolist() == [6]
    assert written == uncached(oracle, head_outputs(oracle, family), ids, steering, 6)
    assert written != uncached(oracle, head_outputs(oracle, family), ids, on_heads([], 0.0, 0), 6)


@torch.inference_mode()
def uncached(
    model: nn.Module, modules: Sequence[nn.Module], ids: Tensor, steering: HeadSteering, tokens: int
) -> list[int]:
    """One prompt (1, tokens) continued greedily, the whole text run again for each token."""

    def hook(block: int) -> Callable[..., Any]:
        def steer(_module: nn.Module, inputs: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
            changed = inputs[0].clone()
            changed[:, ids.shape[1] - 1 :] += torch.from_numpy(steering.additions[block].reshape(-1))
            return (changed,)

        return steer

    handles = [module.register_forward_pre_hook(hook(block)) for block, module in enumerate(modules)]
    written: list[int] = []
    try:
        for _ in range(tokens):
            sequence = torch.cat([ids, torch.tensor([written], dtype=torch.long)], dim=1)
            written.append(int(model(sequence, use_cache=False).logits[0, -1].argmax()))
    finally:
        for handle in handles:
            handle.remove()
    return written


def test_hooks_come_off_when_a_pass_fails(tiny_model: Models) -> None:
    model = tiny_model("llama")
    with pytest.raises(RuntimeError, match="no room"), attached([on_heads([(1, 1)], 1.0, 0)], model):
        raise RuntimeError("no room")
    assert not any(module._forward_pre_hooks for module in model.heads.modules)


def extracted(model: Model) -> HeadDirection:
    contrast = study_contrast_set()
    return inference_time_intervention(
        capture_heads(model, contrast.positive), capture_heads(model, contrast.negative)
    )


def test_a_dose_adds_that_many_standard_deviations_along_the_direction_of_each_of_the_best_heads(
    tiny_model: Models,
) -> None:
    direction = extracted(tiny_model("llama"))
    steering = steer_heads(direction, dose=-2.5, first_block=1, count=3)
    best = direction.best_heads(1, 3)
    for head in np.ndindex(BLOCKS, HEADS):
        sigma = direction.spreads[head] if head in best else 0.0
        np.testing.assert_allclose(
            steering.additions[head], -2.5 * sigma * direction.vectors[head], rtol=1e-5, atol=1e-7
        )
    assert steering.first_block == min(head.block for head in best) >= 1


@pytest.mark.parametrize("family", ["llama", "gpt2", "opt", "bloom"])
def test_what_heads_write_to_the_stream_is_their_addition_through_the_output_weight(
    family: str, tiny_model: Models
) -> None:
    model = tiny_model(family)
    steering = on_heads([(1, 2), (1, 3), (3, 0)], 3.0, seed=0)
    written = written_to_stream(steering, model)
    modules: list[Any] = list(head_outputs(model.module, family))
    for block, module in enumerate(modules):
        weight = module.weight.T if family == "gpt2" else module.weight  # Conv1D keeps it transposed
        expected = weight.double() @ torch.from_numpy(steering.additions[block]).double().flatten()
        np.testing.assert_allclose(written[block], expected, atol=1e-5)
    for most, residual_norms in [(1, [2.0, 4.0, 8.0, 64.0]), (3, [2.0, 64.0, 8.0, 4.0])]:
        dose = head_dose(steering, model, np.array(residual_norms))
        np.testing.assert_allclose(dose.norms, np.linalg.norm(written, axis=1))
        assert dose.raw == dose.norms[most]
        assert dose.relative == dose.norms[most] / 4
        total = np.linalg.norm(written[1] + written[3])
        assert dose.total_relative == pytest.approx(total / residual_norms[-1])


def test_on_the_phantom_heads_move_the_component_by_what_is_known_in_closed_form(
    phantom_model: Model, phantom: Phantom
) -> None:
    direction = extracted(phantom_model)
    assert {head.block for head in direction.best_heads(count=99)} == {0}  # the others read nothing
    with pytest.raises(SteergaugeError, match="no attention head from block 1 on"):
        direction.best_heads(first_block=1)
    steering = steer_heads(direction, dose=2.0, count=3)
    # Each head holds the component's mean in its first coordinate, and writes GAIN / 4 of it back along û.
    shift = sum(GAIN / 4 * steering.additions[0, head, 0] for head in range(4))
    along = written_to_stream(steering, phantom_model) @ phantom.direction
    np.testing.assert_allclose(along, [shift, 0, 0, 0, 0, 0], atol=1e-5)
    assert shift > 1


def test_random_vectors_keep_the_heads_and_the_lengths() -> None:
    steering = on_heads([(1, 0), (1, 3), (2, 2)], 3.0, seed=0)
    steering.additions[2, 2] *= -2
    random, other = steering.with_random_vectors(seed=5), steering.with_random_vectors(seed=6)
    lengths = [np.linalg.norm(one.additions, axis=-1) for one in (steering, random, other)]
    np.testing.assert_allclose(lengths[1:], [lengths[0]] * 2, rtol=1e-6)
    assert random.identity() == steering.with_random_vectors(seed=5).identity()
    unit = {name: one.additions[1, 0] / 3 for name, one in [("a", steering), ("b", random), ("c", other)]}
    assert max(abs(unit["a"] @ unit["b"]), abs(unit["b"] @ unit["c"])) < 0.95


def test_equal_additions_are_one_steering_and_dose_zero_is_the_unsteered_control() -> None:
    one = on_heads([(1, 0)], 3.0, seed=0)
    assert on_heads([(1, 0)], 3.0, seed=0).identity() == one.identity()
    assert on_heads([(1, 0)], 3.1, seed=0).identity() != one.identity()
    assert on_heads([(1, 1)], 3.0, seed=0).identity() != one.identity()
    assert one.identity()["positions"] == "last"
    reshaped = HeadSteering(one.additions.reshape(BLOCKS, 2 * HEADS, HEAD_WIDTH // 2))
    assert reshaped.identity()["vector"] == one.identity()["vector"]
    assert reshaped.identity() != one.identity()
    from steergauge.steering.steering import unsteered

    assert on_heads([], 0.0, 0).identity() == unsteered(BLOCKS, WIDTH).identity()


@pytest.mark.parametrize("dose", [np.nan, np.inf])
def test_a_dose_that_is_not_finite_is_an_error(dose: float) -> None:
    ones = np.ones((BLOCKS, HEADS))
    direction = HeadDirection(np.ones((BLOCKS, HEADS, 2), dtype=np.float32), ones, ones, ones)
    with pytest.raises(SteergaugeError, match="a dose must be a finite number, not"):
        steer_heads(direction, dose)
