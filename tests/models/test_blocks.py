from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from transformers import BertConfig, BertLMHeadModel

from steergauge.errors import SteergaugeError
from steergauge.models.blocks import entering, find_blocks, leaving, reading, stream_of, with_stream
from steergauge.models.loading import Model
from tiny import BLOCKS, FAMILIES, RETURNS_TUPLES, WIDTH, layers, plain, record

Models = Callable[[str], Model]
IDS = torch.randint(6, 100, (3, 13), generator=torch.Generator().manual_seed(0))  # (rows, tokens), ordinary

every_family = pytest.mark.parametrize("family", FAMILIES)


def streams_by_hooks(modules: list[nn.Module], model: nn.Module) -> tuple[list[Tensor], list[Tensor]]:
    """What enters and what leaves each block, copied at once: (rows, tokens, width) each."""
    entering, leaving, stop = record(modules)
    with torch.inference_mode():
        model(input_ids=IDS, use_cache=False)
    stop()
    return entering, leaving


@every_family
def test_blocks_and_final_norm_are_where_the_familys_source_has_them(family: str, tiny_model: Models) -> None:
    model = tiny_model(family)
    assert model.blocks.path == FAMILIES[family].path
    assert list(model.blocks.modules) == layers(model.module, family)
    assert len(model.blocks) == BLOCKS
    assert model.blocks.final_norm is model.module.get_submodule(FAMILIES[family].final_norm)
    assert model.blocks.width == WIDTH


@every_family
def test_the_stream_after_a_block_is_what_enters_the_next(family: str, tiny_model: Models) -> None:
    model = tiny_model(family)
    entering, leaving = streams_by_hooks(layers(model.module, family), model.module)
    read: dict[int, Tensor] = {}
    with torch.inference_mode(), reading(model.blocks.modules, read.__setitem__):
        model.module(input_ids=IDS, use_cache=False)
    assert list(read) == list(range(BLOCKS))
    for block in range(BLOCKS):
        # Kept without a copy: no later block may have written into it.
        assert torch.equal(read[block], leaving[block])
    for block in range(BLOCKS - 1):
        assert torch.equal(read[block], entering[block + 1])


@every_family
def test_hidden_states_are_block_inputs_and_the_last_is_the_final_norm_of_the_last_stream(
    family: str, tiny_model: Models, tiny_folder: Callable[[str], Path]
) -> None:
    model = tiny_model(family)
    read: dict[int, Tensor] = {}
    with torch.inference_mode(), reading(model.blocks.modules, read.__setitem__):
        model.module(input_ids=IDS, use_cache=False)
        normed = model.blocks.final_norm(read[BLOCKS - 1])
        # On a model of its own: transformers leaves the hooks of this call in place.
        hidden = plain(tiny_folder(family))(input_ids=IDS, output_hidden_states=True).hidden_states
    assert len(hidden) == BLOCKS + 1
    for block in range(BLOCKS - 1):
        assert torch.equal(hidden[block + 1], read[block])
    assert torch.equal(hidden[BLOCKS], normed)
    assert not torch.allclose(hidden[BLOCKS], read[BLOCKS - 1], rtol=1e-2)


@every_family
def test_a_stream_put_back_reaches_every_row_of_the_next_block(family: str, tiny_model: Models) -> None:
    model = tiny_model(family)
    blocks = layers(model.module, family)
    written = torch.arange(3.0)[:, None, None].expand(3, IDS.shape[1], WIDTH)  # another number in each row
    outputs: list[Any] = []

    def replace(_module: nn.Module, _inputs: Any, output: Any) -> Any:
        outputs.append(output)
        return with_stream(output, written)

    handle = blocks[1].register_forward_hook(replace)
    try:
        entering, _ = streams_by_hooks(blocks, model.module)
    finally:
        handle.remove()
    assert torch.equal(entering[2], written)
    assert isinstance(outputs[0], tuple) == (family.partition("-")[0] in RETURNS_TUPLES)


def test_what_else_a_block_returns_stays_with_its_stream() -> None:
    stream, other = torch.zeros(2, 3, 4), torch.ones(2, 3, 4)
    assert stream_of(stream) is stream
    assert with_stream(stream, other) is other
    assert stream_of((stream, "cache", None)) is stream
    assert with_stream((stream, "cache", None), other) == (other, "cache", None)


def test_reading_takes_its_hooks_off_when_the_model_or_the_reader_fails() -> None:
    blocks = [nn.Linear(2, 2), nn.Linear(2, 2)]

    def fail(_block: int, _stream: Tensor) -> None:
        raise RuntimeError("no room")

    with pytest.raises(RuntimeError, match="no room"), reading(blocks, fail):
        blocks[1](blocks[0](torch.zeros(1, 2)))
    assert not any(block._forward_hooks for block in blocks)


class Toy(nn.Module):
    """A model of linear blocks, run in the way that a test asks for."""

    def __init__(self, run: Callable[[list[nn.Module], Tensor], Tensor], blocks: int = 3) -> None:
        super().__init__()
        self.embeddings = nn.Embedding(8, 4)
        self.blocks = nn.ModuleList(nn.Linear(4, 4) for _ in range(blocks))
        self.norm = nn.LayerNorm(4)
        self.head = nn.Linear(4, 8)
        self.run = run

    def get_output_embeddings(self) -> nn.Module:
        return self.head

    def forward(self, input_ids: Tensor, use_cache: bool) -> Tensor:
        logits: Tensor = self.head(self.run([*self.blocks, self.norm], self.embeddings(input_ids)))
        return logits


def in_order(modules: list[nn.Module], stream: Tensor) -> Tensor:
    for module in modules:
        stream = module(stream)
    return stream


def side_by_side(modules: list[nn.Module], stream: Tensor) -> Tensor:
    *blocks, norm = modules
    summed: Tensor = norm(torch.stack([block(stream) for block in blocks]).sum(dim=0))
    return summed


def round_twice(modules: list[nn.Module], stream: Tensor) -> Tensor:
    *blocks, norm = modules
    normed: Tensor = norm(in_order(blocks * 2, stream))
    return normed


def rescaled_between(modules: list[nn.Module], stream: Tensor) -> Tensor:
    *blocks, norm = modules
    for block in blocks:
        stream = 2 * block(stream)
    normed: Tensor = norm(stream)
    return normed


def scaled_after_the_norm(modules: list[nn.Module], stream: Tensor) -> Tensor:
    return 2 * in_order(modules, stream)


def test_blocks_of_any_model_that_runs_them_in_order_are_found() -> None:
    toy = Toy(in_order)
    found = find_blocks(toy, torch.tensor([[1, 2, 3]]))
    assert (found.path, len(found), found.width) == ("blocks", 3, 4)
    assert found.final_norm is toy.norm


@pytest.mark.parametrize("run", [side_by_side, round_twice, rescaled_between])
def test_a_model_without_a_chain_of_blocks_is_refused(run: Callable[..., Tensor]) -> None:
    with pytest.raises(SteergaugeError, match="Toy: no module list passes one residual stream"):
        find_blocks(Toy(run), torch.tensor([[1, 2, 3]]))


def test_a_single_block_is_no_chain() -> None:
    with pytest.raises(SteergaugeError, match="no module list"):
        find_blocks(Toy(in_order, blocks=1), torch.tensor([[1, 2, 3]]))


def test_a_head_that_reads_something_else_than_the_normed_last_stream_is_refused() -> None:
    with pytest.raises(
        SteergaugeError, match="Toy: nothing normalises the output of the last block of blocks"
    ):
        find_blocks(Toy(scaled_after_the_norm), torch.tensor([[1, 2, 3]]))
    config = BertConfig(
        vocab_size=100,
        hidden_size=32,
        intermediate_size=32,
        num_hidden_layers=2,
        num_attention_heads=2,
        is_decoder=True,
    )
    bert = BertLMHeadModel(config)  # transforms the stream, then normalises it
    with pytest.raises(SteergaugeError, match=r"bert\.encoder\.layer"):
        find_blocks(bert, IDS)


def test_looking_for_blocks_leaves_no_hook_behind() -> None:
    toys = Toy(in_order), Toy(side_by_side)
    find_blocks(toys[0], torch.tensor([[1, 2, 3]]))
    with pytest.raises(SteergaugeError):
        find_blocks(toys[1], torch.tensor([[1, 2, 3]]))
    with pytest.raises(IndexError):  # of the embeddings
        find_blocks(toys[0], torch.tensor([[99]]))
    assert not any(module._forward_hooks for toy in toys for module in toy.modules())


@every_family
def test_a_stream_changed_as_it_enters_a_block_is_what_the_block_before_changed_as_it_leaves(
    family: str, tiny_model: Models
) -> None:
    model = tiny_model(family)
    # Another shift in each row, none in the first; not a constant, which LayerNorm takes away.
    shift = torch.arange(3.0)[:, None, None] * torch.linspace(-1, 1, WIDTH)

    def shifted(index: int, stream: Tensor) -> Tensor:
        return stream + shift if index == 2 else stream

    def logits() -> Tensor:
        found: Tensor = model.module(input_ids=IDS, use_cache=False).logits
        return found

    with torch.inference_mode():
        unchanged = logits()
        with entering(model.blocks.modules, shifted):
            before = logits()
        with leaving([model.blocks.modules[1]], lambda _index, stream: shifted(2, stream)):
            after = logits()
        assert torch.equal(logits(), unchanged)  # the hooks are off
    assert torch.equal(before, after)
    assert torch.equal(before[0], unchanged[0])
    assert not torch.allclose(before[1:], unchanged[1:], atol=1e-3)


def test_what_a_reader_returns_does_not_become_the_stream(phantom_model: Model) -> None:
    ids = phantom_model.template.encode(["Tell me a joke"], "cpu")
    arguments = (ids["input_ids"], ids["attention_mask"])
    with torch.inference_mode():
        alone = phantom_model.forward(*arguments)
        with reading(phantom_model.blocks.modules, lambda _block, stream: torch.zeros_like(stream)):  # type: ignore[arg-type]
            read = phantom_model.forward(*arguments)
    assert torch.equal(read, alone)
