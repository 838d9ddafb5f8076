from collections.abc import Callable
from typing import Any

import pytest
import torch

from steergauge.errors import SteergaugeError
from steergauge.models.heads import find_heads
from steergauge.models.loading import Model
from tiny import FAMILIES, HEADS, WIDTH, head_outputs, layers, plain

Models = Callable[[str], Model]
IDS = torch.randint(6, 100, (1, 9), generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("family", FAMILIES)
def test_heads_enter_the_stream_where_the_familys_source_says(family: str, tiny_model: Models) -> None:
    model = tiny_model(family)
    assert list(model.heads.modules) == head_outputs(model.module, family)
    assert (model.heads.count, model.heads.width) == (HEADS, WIDTH // HEADS)


def test_an_mlp_as_wide_as_the_heads_and_blocks_that_write_nothing_are_no_obstacle(
    phantom_model: Model,
) -> None:
    blocks: Any = layers(phantom_model.module, "llama")
    assert blocks[0].mlp.down_proj.weight.shape == blocks[0].self_attn.o_proj.weight.shape
    assert list(phantom_model.heads.modules) == [block.self_attn.o_proj for block in blocks]
    assert (phantom_model.heads.count, phantom_model.heads.width) == (4, 32)


@pytest.mark.parametrize(
    ("family", "part", "rows_of_head"),
    [
        ("llama", "self_attn.q_proj", lambda head: slice(8 * head, 8 * head + 8)),
        ("opt", "self_attn.q_proj", lambda head: slice(8 * head, 8 * head + 8)),
        # Query, key and value of one head lie together.
        ("gpt-neox", "attention.query_key_value", lambda head: slice(24 * head, 24 * head + 8)),
        ("bloom", "self_attention.query_key_value", lambda head: slice(24 * head, 24 * head + 8)),
    ],
)
def test_a_heads_queries_change_its_own_slice_of_what_enters_and_no_other(
    family: str, part: str, rows_of_head: Callable[[int], slice], tiny_folder: Callable[[str], Any]
) -> None:
    model = plain(tiny_folder(family))
    weight: Any = layers(model, family)[0].get_submodule(part).weight
    entering: list[torch.Tensor] = []
    head_outputs(model, family)[0].register_forward_pre_hook(
        lambda _module, inputs: entering.append(inputs[0].clone())
    )
    with torch.inference_mode():
        model(input_ids=IDS)
        for head in range(HEADS):
            kept = weight.clone()
            weight[rows_of_head(head)] *= -2.0
            model(input_ids=IDS)
            weight.copy_(kept)
    before, *after = (one.view(1, IDS.shape[1], HEADS, -1) for one in entering)
    for head, changed in enumerate(after):
        moved = (changed != before).any(dim=(0, 1, 3))
        assert moved.tolist() == [other == head for other in range(HEADS)]


def test_an_attention_whose_output_is_not_its_last_modules_is_an_error(
    tiny_model: Models, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = tiny_model("llama")
    attention: Any = layers(model.module, "llama")[1].self_attn
    forward = attention.forward

    def scaled(*args: Any, **more: Any) -> Any:
        output, *rest = forward(*args, **more)
        return (2 * output, *rest)

    monkeypatch.setattr(attention, "forward", scaled)
    with pytest.raises(SteergaugeError) as refusal:
        find_heads(model.module, model.blocks, IDS)
    assert str(refusal.value) == (
        "LlamaForCausalLM: 0 modules of block 1 take attention heads to the stream, not one, "
        "so single heads cannot be steered; use a method other than iti"
    )


@pytest.mark.parametrize("count", [7, 0])
def test_heads_that_are_not_the_configurations_are_an_error(
    count: int, tiny_model: Models, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = tiny_model("llama")
    monkeypatch.setattr(model.module.config, "num_attention_heads", count)
    with pytest.raises(SteergaugeError, match=r"32 coordinates are not those of .* heads in every block"):
        find_heads(model.module, model.blocks, IDS)
