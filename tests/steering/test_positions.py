"""Which tokens are steered: the rule, and generation against a loop without a cache that applies it."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from transformers import DynamicCache

from steered import example, run, uncached, with_frequent_stops
from steergauge.errors import InstrumentError
from steergauge.models.loading import Model
from steergauge.models.phantom import ANSWER_REPLY, REFUSAL_REPLY, Phantom
from steergauge.prompts import study_evaluation_set
from steergauge.steering.engine import Decoding, Request
from steergauge.steering.intervention import Intervention
from steergauge.steering.operation import Operation
from steergauge.steering.positions import Positions, steered_tokens
from steergauge.steering.steering import Steering, unsteered
from steergauge.steering.torch_engine import TorchEngine
from tiny import BLOCKS, layers, plain

Models = Callable[[str], Model]
EVALUATION = tuple(prompt.text for prompt in study_evaluation_set().prompts)
FAMILIES = ("llama", "gemma3-text", "gemma2", "falcon", "gpt2", "qwen3-moe")
SUFFIX = 2  # the phantom's template: <|end|><|assistant|>
STARTS = {  # of a prompt of so many tokens
    Positions.ALL: lambda tokens: 0,
    Positions.AFTER_INSTRUCTION: lambda tokens: tokens - SUFFIX,
    Positions.LAST: lambda tokens: tokens - 1,
    Positions.GENERATED: lambda tokens: tokens,
}


@given(st.lists(st.tuples(st.integers(1, 9), st.integers(0, 3), st.integers(0, 12)), min_size=1, max_size=5))
def test_real_tokens_from_the_start_on_are_steered_and_padding_is_not(
    rows: list[tuple[int, int, int]],
) -> None:
    # Each row: its prompt's tokens, the tokens written since, its start. Padding is left of the prompt, and
    # behind what prompts share.
    longest = max(tokens for tokens, _, _ in rows)
    shared, mask, expected = 2, [], []
    for tokens, _, start in rows:
        real = [1] * shared + [0] * (longest - tokens) + [1] * tokens
        counted = iter(range(shared + tokens))
        mask.append(real)
        expected.append([int(next(counted) >= start) if one else 0 for one in real])
    found = steered_tokens(torch.tensor(mask), torch.tensor([start for _, _, start in rows]))
    assert found.tolist() == expected


def mixed_requests(model: Model, prompts: Sequence[str]) -> list[Request]:
    """Every operation at every set of positions, on all or some blocks, with prompts of many lengths."""
    blocks = [(0, None), (1, 2), (2, 2), (1, None), (3, None), (0, 0), (0, 2)]
    requests = []
    for index, (operation, positions) in enumerate(
        (operation, positions) for operation in Operation for positions in Positions
    ):
        first, last = blocks[index % len(blocks)]
        amount = 0.0 if operation is Operation.ABLATE else 3.0 - index % 3
        steering = replace(
            example(model, first, amount, operation, seed=index), last_block=last, positions=positions
        )
        prompt = prompts[index % len(prompts)]
        requests.append(Request(prompt, steering, Decoding((5, 9, 1, 12)[index % 4])))
    none = unsteered(BLOCKS, model.blocks.width)
    return [*requests, *(Request(prompt, none, Decoding(6)) for prompt in prompts[:3])]


@pytest.mark.parametrize("family", FAMILIES)
def test_a_mixed_batch_writes_what_a_loop_without_cache_and_batch_writes(
    family: str, tiny_model: Models, tiny_folder: Callable[[str], Path]
) -> None:
    oracle = plain(tiny_folder(family))
    requests = mixed_requests(tiny_model(family), EVALUATION[:7])
    model = with_frequent_stops(tiny_model(family), requests)
    made = run(model, requests)
    for request, generation in zip(requests, made, strict=True):
        ids = model.template.encode([request.prompt], "cpu")["input_ids"]
        start = STARTS[request.steering.positions](ids.shape[1])
        expected = uncached(oracle, layers(oracle, family), ids, request, model.stop_tokens, start=start)
        assert list(generation.tokens) == expected
    everywhere = [
        replace(request, steering=replace(request.steering, positions=Positions.ALL))
        for request in requests
        if isinstance(request.steering, Steering)
    ]
    assert run(model, everywhere) != made  # where the tokens are matters to what is said


@pytest.mark.parametrize("family", ["llama", "falcon"])
def test_a_row_of_a_mixed_batch_writes_what_it_writes_alone(family: str, tiny_model: Models) -> None:
    model = tiny_model(family)
    requests = mixed_requests(model, EVALUATION[:5])
    assert run(model, requests) == [run(model, [request])[0] for request in requests]


@pytest.mark.parametrize("positions", Positions)
def test_what_prompts_share_is_steered_only_where_the_positions_say_so(
    positions: Positions, tiny_model: Models
) -> None:
    # One prompt again and again: without a limit all of it but its last token would be shared.
    model = tiny_model("llama")
    steering = replace(example(model, 0, 3.0, Operation.ADD, seed=0), positions=positions)
    other = replace(steering, coefficients=-steering.coefficients)
    requests = [Request(EVALUATION[0], one, Decoding(6)) for one in (steering, other, steering, other)]
    tokens = model.template.encode([EVALUATION[0]], "cpu")["input_ids"].shape[1]
    shared = {Positions.AFTER_INSTRUCTION: tokens - SUFFIX}.get(positions, tokens - 1)
    shapes: list[tuple[int, int]] = []
    handle = model.blocks.modules[0].register_forward_hook(
        lambda _module, _inputs, output: shapes.append(tuple(output.shape[:2]))
    )
    try:
        together = run(model, requests)
    finally:
        handle.remove()
    assert shapes[:2] == [(2, shared), (4, tokens - shared)]  # once for each steering, then the rest
    assert together == [run(model, [request])[0] for request in requests]


@pytest.mark.parametrize("positions", Positions)
def test_exactly_the_positions_are_counted_and_moved(positions: Positions, tiny_model: Models) -> None:
    model = tiny_model("llama")
    prompts = EVALUATION[:4]
    steering = replace(example(model, 1, 2.0, Operation.ADD, seed=0), positions=positions)
    encoding = model.template.encode(list(prompts), "cpu")
    ids, mask = encoding["input_ids"], encoding["attention_mask"]
    lengths = mask.sum(dim=1).tolist()
    assert len(set(lengths)) > 1
    starts = torch.tensor([positions.start(length, model.template.suffix_tokens) for length in lengths])
    assert starts.tolist() == [STARTS[positions](length) for length in lengths]

    def streams(one: Steering) -> tuple[list[torch.Tensor], list[list[int]]]:
        """After block 1, of the prompts and of two more tokens each; and the tokens steered so far."""
        intervention, cache = Intervention([one] * 4, "cpu"), DynamicCache(config=model.module.config)
        seen: list[torch.Tensor] = []
        counts: list[list[int]] = []
        with torch.inference_mode(), intervention.attached(model.blocks):
            handle = model.blocks.modules[1].register_forward_hook(
                lambda _module, _inputs, output: seen.append(output.clone())
            )
            for step in range(3):
                so_far = torch.cat([mask, mask.new_ones(4, step)], dim=1)
                intervention.expect(steered_tokens(so_far, starts))
                model.forward(ids if step == 0 else ids[:, -1:], so_far, cache)
                counts.append(intervention.steered_tokens.tolist())
            handle.remove()
        return seen, counts

    before, _ = streams(unsteered(BLOCKS, model.blocks.width))
    after, counts = streams(steering)
    assert counts == [
        [length - start + step for length, start in zip(lengths, starts.tolist(), strict=True)]
        for step in range(3)
    ]
    added = 2.0 * torch.from_numpy(steering.vector)
    for row, (length, start) in enumerate(zip(lengths, starts.tolist(), strict=True)):
        real = before[0][row, -length:], after[0][row, -length:]
        assert torch.equal(real[1][:start], real[0][:start])
        assert torch.equal(real[1][start:], real[0][start:] + added)
        for step in (1, 2):
            assert torch.equal(after[step][row], before[step][row] + added)


def test_the_last_token_alone_decides_the_phantom_and_generated_ones_come_too_late_for_the_first(
    phantom_model: Model, phantom: Phantom
) -> None:
    prompt = EVALUATION[0]
    dose = phantom.refusal_dose(prompt, 0) * 1.01
    first = {}
    for positions in Positions:
        steering = Steering(
            phantom.direction.astype("float32"),
            torch.full((6,), dose).double().numpy(),
            0,
            positions=positions,
        )
        (made,) = run(phantom_model, [Request(prompt, steering, Decoding(12))])
        first[positions] = made.text.split()[0]
    refuses, answers = REFUSAL_REPLY.split()[0], ANSWER_REPLY.split()[0]
    assert first == dict.fromkeys(Positions, refuses) | {Positions.GENERATED: answers}


@pytest.mark.parametrize("positions", [Positions.AFTER_INSTRUCTION, Positions.LAST, Positions.GENERATED])
def test_a_token_too_many_or_too_few_is_an_error(
    positions: Positions, phantom_model: Model, monkeypatch: pytest.MonkeyPatch
) -> None:
    steering = replace(example(phantom_model, 2, 1.0, Operation.ADD, seed=0), positions=positions)
    expect: Any = Intervention.expect
    monkeypatch.setattr(Intervention, "expect", lambda self, steered: expect(self, torch.ones_like(steered)))
    with pytest.raises(InstrumentError, match="tokens went through the steered block where"):
        list(TorchEngine(phantom_model).generate([Request(EVALUATION[0], steering, Decoding(2))]))
