"""Tiny random models of many decoder families, built from their configurations alone."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import torch
import transformers
from torch import Tensor, nn
from transformers import AutoModelForCausalLM, AutoTokenizer, PretrainedConfig

BLOCKS = 4
WIDTH = 32
HEADS = 4
WINDOW = 8  # of sliding attention: shorter than the prompts, so that it matters


class Family(NamedTuple):
    """How to configure it, and where a reader of its source code finds the residual stream."""

    configure: Callable[[dict[str, Any]], PretrainedConfig]
    path: str
    final_norm: str


def _llama_like(name: str, **more: Any) -> Callable[[dict[str, Any]], PretrainedConfig]:
    def configure(special: dict[str, Any]) -> PretrainedConfig:
        shape = {
            "hidden_size": WIDTH,
            "intermediate_size": 48,
            "num_hidden_layers": BLOCKS,
            "num_attention_heads": HEADS,
            "num_key_value_heads": 2,
            "head_dim": WIDTH // HEADS,
            "max_position_embeddings": 512,
            "tie_word_embeddings": False,  # tied random ones would only repeat the last token
        }
        config: PretrainedConfig = getattr(transformers, name)(**(shape | special | more))
        return config

    return configure


def _gpt_like(name: str, **more: Any) -> Callable[[dict[str, Any]], PretrainedConfig]:
    def configure(special: dict[str, Any]) -> PretrainedConfig:
        shape = {
            "hidden_size": WIDTH,
            "num_hidden_layers": BLOCKS,
            "num_attention_heads": HEADS,
            "tie_word_embeddings": False,
        }
        config: PretrainedConfig = getattr(transformers, name)(**(shape | special | more))
        return config

    return configure


def _gemma3_wrapper(special: dict[str, Any]) -> PretrainedConfig:
    vision = {
        "hidden_size": 16,
        "intermediate_size": 16,
        "num_hidden_layers": BLOCKS + 2,
        "num_attention_heads": 2,
        "image_size": 28,
        "patch_size": 14,
    }
    last = special["vocab_size"] - 1
    return transformers.Gemma3Config(
        text_config=_llama_like("Gemma3TextConfig", sliding_window=WINDOW)(special),
        vision_config=vision,
        mm_tokens_per_image=4,
        image_token_index=last,
        boi_token_index=last - 1,
        eoi_token_index=last - 2,
        tie_word_embeddings=False,
        **{name: special[name] for name in ("pad_token_id", "bos_token_id", "eos_token_id")},
    )


_MIXED_LAYERS = ["sliding_attention", "full_attention"] * (BLOCKS // 2)

FAMILIES = {
    "qwen2": Family(_llama_like("Qwen2Config"), "model.layers", "model.norm"),
    "qwen3": Family(_llama_like("Qwen3Config"), "model.layers", "model.norm"),
    "llama": Family(_llama_like("LlamaConfig"), "model.layers", "model.norm"),
    "mistral": Family(_llama_like("MistralConfig", sliding_window=WINDOW), "model.layers", "model.norm"),
    "phi3": Family(_llama_like("Phi3Config"), "model.layers", "model.norm"),
    "gemma2": Family(_llama_like("Gemma2Config", sliding_window=WINDOW), "model.layers", "model.norm"),
    "gemma3-text": Family(
        _llama_like("Gemma3TextConfig", sliding_window=WINDOW, layer_types=_MIXED_LAYERS),
        "model.layers",
        "model.norm",
    ),
    "gemma3-wide": Family(  # a window that no prompt fills
        _llama_like("Gemma3TextConfig", sliding_window=512, layer_types=_MIXED_LAYERS),
        "model.layers",
        "model.norm",
    ),
    "gemma3-wrapper": Family(_gemma3_wrapper, "model.language_model.layers", "model.language_model.norm"),
    "qwen3-moe": Family(
        _llama_like("Qwen3MoeConfig", num_experts=4, num_experts_per_tok=2, moe_intermediate_size=16),
        "model.layers",
        "model.norm",
    ),
    "gpt2": Family(_gpt_like("GPT2Config"), "transformer.h", "transformer.ln_f"),
    "gpt-neox": Family(
        _gpt_like("GPTNeoXConfig", intermediate_size=48), "gpt_neox.layers", "gpt_neox.final_layer_norm"
    ),
    "opt": Family(
        _gpt_like("OPTConfig", ffn_dim=48, word_embed_proj_dim=WIDTH, max_position_embeddings=512),
        "model.decoder.layers",
        "model.decoder.final_layer_norm",
    ),
    "falcon": Family(_gpt_like("FalconConfig"), "transformer.h", "transformer.ln_f"),
    "falcon-alibi": Family(_gpt_like("FalconConfig", alibi=True), "transformer.h", "transformer.ln_f"),
    "bloom": Family(_gpt_like("BloomConfig"), "transformer.h", "transformer.ln_f"),
}
WIDE = {  # shapes that every quantisation takes
    "qwen2-wide": Family(
        _llama_like("Qwen2Config", hidden_size=64, intermediate_size=128, head_dim=16),
        "model.layers",
        "model.norm",
    )
}
RETURNS_TUPLES = ("falcon", "bloom")
"""Families whose blocks still return tuples in the pinned version of transformers."""
HEAD_OUTPUTS = dict.fromkeys(FAMILIES, "self_attn.o_proj") | {
    "gpt2": "attn.c_proj",
    "gpt-neox": "attention.dense",
    "opt": "self_attn.out_proj",
    "falcon": "self_attention.dense",
    "falcon-alibi": "self_attention.dense",
    "bloom": "self_attention.dense",
}
"""What takes the heads' outputs to the stream, by its path in a block."""


def build(family: str, tokenizer: Any) -> Any:
    """A model of that family with random weights, large enough that what it says depends on the prompt."""
    special = {
        "vocab_size": len(tokenizer),
        "pad_token_id": tokenizer.pad_token_id,
        "bos_token_id": tokenizer.bos_token_id,
        "eos_token_id": tokenizer.eos_token_id,
    }
    torch.manual_seed(7)
    make: Any = AutoModelForCausalLM.from_config
    model = make((FAMILIES | WIDE)[family].configure(special))
    with torch.no_grad():
        for weight in model.parameters():
            if weight.ndim > 1:
                weight.normal_(0, 0.25)
            else:  # norms and biases, away from the ones and zeros that hide a mistake
                weight.add_(torch.randn_like(weight) * 0.1)
    return model.eval()


def save(family: str, folder: Path, tokenizer: Path) -> None:
    """Writes such a model as a checkpoint, with the tokenizer of another folder."""
    own = AutoTokenizer.from_pretrained(tokenizer)
    own.save_pretrained(folder)
    build(family, own).save_pretrained(folder)


def plain(folder: Path) -> Any:
    """The checkpoint as transformers alone loads it, in float32: for oracles."""
    load: Any = AutoModelForCausalLM.from_pretrained
    return load(folder, dtype=torch.float32).eval()


def layers(model: nn.Module, family: str) -> list[nn.Module]:
    """The decoder layers, by the path that the family's source code says."""
    return list(model.get_submodule(FAMILIES[family].path).children())


def head_outputs(model: nn.Module, family: str) -> list[nn.Module]:
    """What takes each block's attention heads to the stream, by the path that the family's source code says."""
    return [block.get_submodule(HEAD_OUTPUTS[family]) for block in layers(model, family)]


def record(modules: list[nn.Module]) -> tuple[list[Tensor], list[Tensor], Callable[[], None]]:
    """Copies what enters and what leaves each module from now on; call the third to stop."""
    entering: list[Tensor] = []
    leaving: list[Tensor] = []

    def before(_module: nn.Module, inputs: tuple[Any, ...], keywords: dict[str, Any]) -> None:
        entering.append((inputs[0] if inputs else keywords["hidden_states"]).detach().clone())

    def after(_module: nn.Module, _inputs: tuple[Any, ...], output: Any) -> None:
        leaving.append((output[0] if isinstance(output, tuple) else output).detach().clone())

    handles = [
        handle
        for module in modules
        for handle in (
            module.register_forward_pre_hook(before, with_kwargs=True),
            module.register_forward_hook(after),
        )
    ]

    def stop() -> None:
        for handle in handles:
            handle.remove()

    return entering, leaving, stop
