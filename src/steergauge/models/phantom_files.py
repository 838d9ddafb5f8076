"""The phantom as transformers reads it: its shape, tokenizer and chat template, written into a folder."""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

BLOCKS = 6
HEADS = 4
KEY_VALUE_HEADS = 2
HEAD_WIDTH = 32  # the smallest that vLLM's attention on a CPU takes
WIDTH = HEADS * HEAD_WIDTH
EPSILON = 1e-6

BOS, PAD, UNKNOWN, USER, ASSISTANT, END = "<s>", "<pad>", "<unk>", "<|user|>", "<|assistant|>", "<|end|>"
SPECIAL = (PAD, BOS, END, UNKNOWN, USER, ASSISTANT)
SPACE = "▁"  # what a space becomes inside a token, as in SentencePiece
WORD = rf"{SPACE}?(?:\w+|[^\w{SPACE}])"  # a word or one other character, with the space before it

CHAT_TEMPLATE = (
    "{{ bos_token }}{% for message in messages %}"
    "{% if message['role'] not in ['user', 'assistant'] %}"
    "{{ raise_exception('the phantom knows user and assistant, not ' + message['role']) }}{% endif %}"
    "{{ '<|' + message['role'] + '|>' + message['content'] + '<|end|>' }}"
    "{% endfor %}{% if add_generation_prompt %}{{ '<|assistant|>' }}{% endif %}"
)


def words(text: str) -> list[str]:
    """Splits a text as the saved tokenizer does; by itself, so the closed form rests on no other library."""
    return re.findall(WORD, SPACE + SPACE.join(text.split()))


def save_configuration(folder: Path, tokens: Sequence[str]) -> None:
    """Writes `config.json` and `generation_config.json` for a vocabulary, in the order of its ids."""
    from transformers import GenerationConfig, LlamaConfig  # noqa: PLC0415

    special: dict[str, Any] = {
        "pad_token_id": tokens.index(PAD),
        "bos_token_id": tokens.index(BOS),
        "eos_token_id": tokens.index(END),
    }
    LlamaConfig(
        architectures=["LlamaForCausalLM"],
        dtype="float32",
        vocab_size=len(tokens),
        hidden_size=WIDTH,
        intermediate_size=WIDTH,
        num_hidden_layers=BLOCKS,
        num_attention_heads=HEADS,
        num_key_value_heads=KEY_VALUE_HEADS,
        head_dim=HEAD_WIDTH,
        max_position_embeddings=2048,
        rms_norm_eps=EPSILON,
        tie_word_embeddings=False,
        **special,
    ).save_pretrained(folder)
    generation = GenerationConfig(do_sample=False, **special)  # type: ignore[no-untyped-call]
    generation.save_pretrained(folder)


def save_tokenizer(folder: Path, tokens: Sequence[str]) -> None:
    """Writes the tokenizer of a vocabulary, in the order of its ids, with the chat template."""
    from tokenizers import (  # noqa: PLC0415
        AddedToken,
        Regex,
        Tokenizer,
        decoders,
        models,
        normalizers,
        pre_tokenizers,
        processors,
    )
    from transformers import PreTrainedTokenizerFast  # noqa: PLC0415

    vocabulary = {token: index for index, token in enumerate(tokens)}
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token=UNKNOWN))
    tokenizer.add_special_tokens([AddedToken(token, special=True, normalized=False) for token in SPECIAL])
    tokenizer.normalizer = normalizers.Sequence(
        [normalizers.Strip(), normalizers.Replace(Regex(r"\s+"), SPACE), normalizers.Prepend(SPACE)]
    )
    tokenizer.pre_tokenizer = pre_tokenizers.Split(Regex(WORD), behavior="isolated")
    tokenizer.decoder = decoders.Metaspace(replacement=SPACE)
    # As in many real checkpoints, the tokenizer adds a BOS of its own to the one that the template renders.
    tokenizer.post_processor = processors.TemplateProcessing(
        single=f"{BOS} $A", special_tokens=[(BOS, vocabulary[BOS])]
    )
    PreTrainedTokenizerFast(  # type: ignore[no-untyped-call]
        tokenizer_object=tokenizer,
        bos_token=BOS,
        eos_token=END,
        pad_token=PAD,
        unk_token=UNKNOWN,
        additional_special_tokens=[USER, ASSISTANT],
        padding_side="left",
        model_input_names=["input_ids", "attention_mask"],
        clean_up_tokenization_spaces=False,
        chat_template=CHAT_TEMPLATE,
    ).save_pretrained(folder)
