"""A tiny random chat model that reads any text, byte by byte, with control tokens as Qwen's."""

import json
from pathlib import Path

from tiny import save

CONTROL = ("<pad>", "<|im_start|>", "<|im_end|>", "⟦stop⟧")
"""Its special tokens; the last is of a kind that no rubric knows."""

TEMPLATE = (
    "{% for message in messages %}<|im_start|>{{ message['role'] }}\n{{ message['content'] }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)


def save_byte_model(folder: Path, family: str = "qwen2", *, context: int = 8192) -> Path:
    """Writes it into a folder, and returns that."""
    tokenizer = folder / "tokenizer"
    _save_tokenizer(tokenizer)
    made = folder / "model"
    save(family, made, tokenizer=tokenizer)
    path = made / "config.json"
    config = json.loads(path.read_text())
    if "max_position_embeddings" in config:  # learned positions are as many as they are
        path.write_text(json.dumps(config | {"max_position_embeddings": context}))
    return made


def _save_tokenizer(folder: Path) -> None:
    from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    tokenizer = Tokenizer(models.BPE(vocab={token: place for place, token in enumerate(alphabet)}, merges=[]))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens([AddedToken(token, special=True, normalized=False) for token in CONTROL])
    PreTrainedTokenizerFast(  # type: ignore[no-untyped-call]
        tokenizer_object=tokenizer,
        pad_token=CONTROL[0],
        eos_token=CONTROL[2],
        padding_side="left",
        chat_template=TEMPLATE,
    ).save_pretrained(folder)
