from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from steergauge.errors import SteergaugeError
from steergauge.models.blocks import Blocks, leaving
from steergauge.models.loading import Model
from steergauge.models.writers import find_writers
from tiny import FAMILIES, layers, record

IDS = torch.randint(6, 100, (3, 13), generator=torch.Generator().manual_seed(0))  # (rows, tokens), ordinary

NAMES = {
    "gemma2": ("post_attention_layernorm", "post_feedforward_layernorm"),  # what is added is normalised first
    "gemma3": ("post_attention_layernorm", "post_feedforward_layernorm"),
    "gpt2": ("attn", "mlp"),
    "gpt": ("post_attention_dropout", "post_mlp_dropout"),  # GPT-NeoX
    "opt": ("self_attn", "fc2"),
    "falcon": ("self_attention", "mlp"),
    "bloom": ("self_attention.dense", "mlp.dense_4h_to_h"),  # attention and MLP add the stream themselves
}
"""By a reader of the families' source code; `self_attn` and `mlp` for all others."""


@pytest.mark.parametrize("family", FAMILIES)
def test_writers_are_what_the_familys_source_adds_to_the_stream(
    family: str, tiny_model: Callable[[str], Model]
) -> None:
    model = tiny_model(family)
    attention, mlp = NAMES.get(family.partition("-")[0], ("self_attn", "mlp"))
    found = find_writers(model.module, model.blocks, IDS[:1])
    for block, writers in zip(layers(model.module, family), found, strict=True):
        assert writers == (block.get_submodule(attention), block.get_submodule(mlp))


@pytest.mark.parametrize("family", FAMILIES)
def test_with_its_writers_silenced_a_block_passes_the_stream_on_as_it_is(
    family: str, tiny_model: Callable[[str], Model]
) -> None:
    model = tiny_model(family)
    found = find_writers(model.module, model.blocks, IDS[:1])
    silenced = [module for writers in found for module in writers]
    entering, left, stop = record(list(model.blocks.modules))
    with torch.inference_mode(), leaving(silenced, lambda _index, written: torch.zeros_like(written)):
        model.module(input_ids=IDS, use_cache=False)
    stop()
    for before, after in zip(entering, left, strict=True):
        assert torch.equal(before, after)


class Scaled(nn.Module):
    """A block that adds half of what its parts return."""

    def __init__(self) -> None:
        super().__init__()
        self.attention, self.mlp = nn.Linear(4, 4), nn.Linear(4, 4)

    def forward(self, stream: Tensor) -> Tensor:
        stream = stream + 0.5 * self.attention(stream)
        scaled: Tensor = stream + 0.5 * self.mlp(stream)
        return scaled


class Toy(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.embeddings, self.blocks = nn.Embedding(8, 4), nn.ModuleList([Scaled(), Scaled()])

    def forward(self, input_ids: Tensor, use_cache: bool) -> Tensor:
        stream: Tensor = self.embeddings(input_ids)
        for block in self.blocks:
            stream = block(stream)
        return stream


def test_a_block_that_scales_what_it_adds_is_refused() -> None:
    toy = Toy()
    blocks = Blocks("blocks", tuple(toy.blocks), nn.Identity(), 4)
    with pytest.raises(SteergaugeError, match="block 0 of Toy has no two modules whose outputs it adds"):
        find_writers(toy, blocks, torch.tensor([[1, 2, 3]]))
    assert not any(module._forward_hooks for module in toy.modules())
