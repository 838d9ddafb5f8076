"""How large a model is: its shape from its configuration, its parameters from the headers of its weight files."""

import math
from pathlib import Path
from typing import Any, NamedTuple

from safetensors import safe_open
from transformers import AutoConfig

from steergauge.models.folder import weight_files


class Shape(NamedTuple):
    """What a model's work and memory follow from, beside its parameters."""

    blocks: int
    width: int  # of the residual stream
    vocabulary: int
    cached: int  # keys and values of one token in all blocks, in numbers


class Size(NamedTuple):
    """A model's parameters and its shape."""

    parameters: int  # all of them; a head that shares the embeddings is counted once
    looked_up: int  # those of embeddings that are not the head too: no product takes them
    head: int  # those of the head, which the last token of a prompt and every new one go through
    shape: Shape


def shape_of(config: Any) -> Shape:
    """The shape that a model's configuration declares."""
    text = config.get_text_config()
    heads = getattr(text, "num_key_value_heads", None) or text.num_attention_heads
    head_width = getattr(text, "head_dim", None) or text.hidden_size // text.num_attention_heads
    return Shape(
        blocks=text.num_hidden_layers,
        width=text.hidden_size,
        vocabulary=text.vocab_size,
        cached=2 * text.num_hidden_layers * heads * head_width,
    )


def measure_size(folder: Path) -> Size:
    """The size of the model in a transformers folder, which is not loaded.

    Raises:
        SteergaugeError: the folder has no weights.
    """
    shape = shape_of(AutoConfig.from_pretrained(str(folder)))
    counts, of_words = [], []
    for path in weight_files(folder):
        with safe_open(path, framework="np") as opened:
            for name in opened.keys():  # noqa: SIM118 - it is no mapping
                dimensions = opened.get_slice(name).get_shape()
                counts.append(math.prod(dimensions))
                if len(dimensions) == 2 and dimensions[0] == shape.vocabulary:
                    of_words.append(counts[-1])
    # Two matrices over the vocabulary are embeddings and a head of its own; one alone is both.
    looked_up = of_words[0] if len(of_words) > 1 else 0
    return Size(sum(counts), looked_up, shape.vocabulary * shape.width, shape)
