"""What generating takes of memory."""

from steergauge.models.loading import Model


def key_value_bytes(model: Model) -> int:
    """What the keys and values of one token take, over all blocks."""
    text = model.module.config.get_text_config()
    heads = getattr(text, "num_key_value_heads", None) or text.num_attention_heads
    width = getattr(text, "head_dim", None) or text.hidden_size // text.num_attention_heads
    return int(2 * text.num_hidden_layers * heads * width * model.precision.dtype.itemsize)
