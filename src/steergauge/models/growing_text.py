"""What of a text that is being written can no longer change, whatever tokens follow."""

import json
import re
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from transformers import PreTrainedTokenizerBase

_BYTE = re.compile(r"<0x[0-9A-F]{2}>")
_TOKEN_BY_TOKEN = {"ByteLevel", "ByteFallback", "Metaspace", "Replace", "Fuse"}


def only_grows(tokenizer: PreTrainedTokenizerBase) -> bool:
    """Whether more tokens only add to a text, but for characters whose bytes are not all there yet.

    So it is where the decoder goes token by token, as those of all catalogue models do. Where it trims the end of
    a text, or tidies spaces before signs, it is not.
    """
    if getattr(tokenizer, "clean_up_tokenization_spaces", False):
        return False
    decoder = json.loads(tokenizer.backend_tokenizer.to_str())["decoder"]
    return decoder is not None and all(map(_keeps_the_end, _parts(decoder)))


def settled_text(tokenizer: PreTrainedTokenizerBase, tokens: Sequence[int]) -> str:
    """The part of a text that every continuation has too, if the tokenizer's texts only grow."""
    end = len(tokens)
    # Bytes in a row are decoded together, and all of them otherwise when one more spoils them.
    while end and _is_byte_or_nothing(tokenizer, tokens[end - 1]):
        end -= 1
    return decoded(tokenizer, tokens[:end]).rstrip("\ufffd")


def token_texts(tokenizer: PreTrainedTokenizerBase) -> list[str]:
    """The text of each token alone, by its id; of a part of a character a replacement character."""
    ids = [[token] for token in range(len(tokenizer))]
    texts: list[str] = tokenizer.backend_tokenizer.decode_batch(ids, skip_special_tokens=True)
    return texts


def decoded(tokenizer: PreTrainedTokenizerBase, tokens: Iterable[int]) -> str:
    """The text of tokens, special ones left out."""
    return str(tokenizer.decode(list(tokens), skip_special_tokens=True))


def _is_byte_or_nothing(tokenizer: PreTrainedTokenizerBase, token: int) -> bool:
    name = tokenizer.convert_ids_to_tokens(token)
    return _BYTE.fullmatch(str(name)) is not None or not decoded(tokenizer, [token])


def _parts(decoder: dict[str, Any]) -> Iterator[dict[str, Any]]:
    if decoder["type"] != "Sequence":
        yield decoder
    for part in decoder.get("decoders", []):
        yield from _parts(part)


def _keeps_the_end(part: dict[str, Any]) -> bool:
    return part["type"] in _TOKEN_BY_TOKEN or (part["type"] == "Strip" and part["stop"] == 0)
