"""How large a model is, read from its files without loading it."""

import math
from typing import NamedTuple

from safetensors import safe_open
from transformers import AutoConfig

from steergauge.models.folder import weight_files
from steergauge.models.weights import Checkpoint


class Size(NamedTuple):
    """What a model's work and memory follow from."""

    parameters: int  # all of them, a head that shares the embeddings counted once
    embedded: int  # those that are looked up and not multiplied with
    blocks: int
    width: int
    cached: int  # keys and values of one token in all blocks, in numbers


def measure_size(checkpoint: Checkpoint) -> Size:
    """Counts a checkpoint's parameters from the headers of its weight files.

    Raises:
        SteergaugeError: the folder has no weights.
    """
    parameters = embeddings = 0
    has_head = False
    for path in weight_files(checkpoint.folder):
        with safe_open(path, framework="np") as opened:
            for name in opened.keys():  # noqa: SIM118 - it is no mapping
                count = math.prod(opened.get_slice(name).get_shape())
                parameters += count
                has_head = has_head or name.startswith("lm_head")
                if "embed_tokens" in name or name.endswith("wte.weight"):
                    embeddings += count
    text = AutoConfig.from_pretrained(str(checkpoint.folder)).get_text_config()
    heads = getattr(text, "num_key_value_heads", None) or text.num_attention_heads
    head_width = getattr(text, "head_dim", None) or text.hidden_size // text.num_attention_heads
    return Size(
        parameters=parameters,
        embedded=embeddings if has_head else 0,
        blocks=text.num_hidden_layers,
        width=text.hidden_size,
        cached=2 * text.num_hidden_layers * heads * head_width,
    )
