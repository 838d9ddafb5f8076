"""A twelve-block model in which the classes part at one block, after a decoy, and show it at the next."""

from pathlib import Path

import numpy as np
import torch
from transformers import AutoTokenizer, LlamaConfig, LlamaForCausalLM

from steergauge.models.phantom import Phantom

BLOCKS, WIDTH = 12, 64
PLANTED_LAYER = 6
"""The l of p_l at which the direction that matters is in the stream, and has not been acted on."""


def save_planted(folder: Path, phantom: Phantom) -> None:
    """Writes it, with the phantom's tokenizer and words.

    Attention is a mean over the tokens so far and only its values differ: block 0 writes how harmful the words
    are along a decoy that nothing reads; block 5 writes it along û; block 6 reads û and writes the outcome, the axis in
    which the classes differ most; block 7 adds a large constant, after which they look alike.
    """
    tokenizer = AutoTokenizer.from_pretrained(phantom.folder)
    tokenizer.save_pretrained(folder)
    config = LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=WIDTH,
        intermediate_size=16,
        num_hidden_layers=BLOCKS,
        num_attention_heads=4,
        num_key_value_heads=4,
        tie_word_embeddings=False,
        pad_token_id=tokenizer.pad_token_id,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
    )
    rng = np.random.default_rng(0)
    axes = torch.tensor(np.linalg.qr(rng.normal(size=(WIDTH, WIDTH))).Q, dtype=torch.float32)
    word, decoy, planted, outcome, constant = axes[:5]
    model = LlamaForCausalLM(config)
    with torch.no_grad():
        for name, weight in model.named_parameters():
            if "layernorm" not in name and name != "model.norm.weight":
                weight.zero_()
        table = torch.tensor(rng.normal(size=(len(tokenizer), WIDTH)), dtype=torch.float32)
        table -= table @ axes[:5].T @ axes[:5]
        for token, component in phantom.token_components.items():
            table[tokenizer.convert_tokens_to_ids(token)] += component * word + 4 * constant
        model.model.embed_tokens.weight.copy_(table)
        model.lm_head.weight.copy_(1e-3 * torch.tensor(rng.normal(size=(len(tokenizer), WIDTH))))
        for block, read, written, gain in (
            (0, word, decoy, 2),
            (PLANTED_LAYER - 1, word, planted, 6),
            (PLANTED_LAYER, planted, outcome, 3),
            (PLANTED_LAYER + 1, constant, constant, 400),
        ):
            attention = model.model.layers[block].self_attn
            attention.v_proj.weight[0] = read
            attention.o_proj.weight[:, 0] = gain * written
    model.save_pretrained(folder)
