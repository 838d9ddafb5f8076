"""What of a text is settled stays, whatever tokens follow."""

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tokenizers import AddedToken, Tokenizer, decoders
from tokenizers.models import BPE, WordPiece
from transformers import PreTrainedTokenizerBase, PreTrainedTokenizerFast

from steergauge.models.growing_text import only_grows, settled_text, token_texts
from steergauge.models.loading import Model

Make = Callable[[], PreTrainedTokenizerBase]


def made(vocabulary: list[str], decoder: decoders.Decoder, *, tidy: bool = False) -> PreTrainedTokenizerBase:
    ids = {token: place for place, token in enumerate(dict.fromkeys(vocabulary))}
    tokenizer = Tokenizer(BPE(vocab=ids, merges=[]))
    tokenizer.decoder = decoder
    tokenizer.add_special_tokens([AddedToken("<end>", special=True)])
    return PreTrainedTokenizerFast(  # type: ignore[no-untyped-call]
        tokenizer_object=tokenizer, eos_token="<end>", clean_up_tokenization_spaces=tidy
    )


def token(tokenizer: PreTrainedTokenizerBase, name: str) -> int:
    found = tokenizer.convert_tokens_to_ids(name)
    assert isinstance(found, int)
    return found


def of_bytes() -> PreTrainedTokenizerBase:
    """As Qwen's and Llama 3's: each character stands for a byte."""
    from transformers.convert_slow_tokenizer import bytes_to_unicode

    letters = bytes_to_unicode().values()  # type: ignore[no-untyped-call]
    return made([*letters, "Ġthe", "ðŁĺ"], decoders.ByteLevel())


def of_pieces(*more: decoders.Decoder) -> PreTrainedTokenizerBase:
    """As Gemma's and Llama 2's: bytes where there is no piece for a character."""
    parts = [decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse(), *more]
    return made(
        [*(f"<0x{byte:02X}>" for byte in range(256)), "▁the", "▁", "é", "12"], decoders.Sequence(parts)
    )


GROWING: dict[str, Make] = {
    "bytes": of_bytes,
    "pieces": of_pieces,
    "pieces without the first space": lambda: of_pieces(decoders.Strip(" ", 1, 0)),
}
MADE = {name: make() for name, make in GROWING.items()}


@pytest.mark.parametrize("name", GROWING)
@given(st.data())
def test_what_is_settled_begins_every_continuation(name: str, data: st.DataObject) -> None:
    tokenizer = MADE[name]
    assert only_grows(tokenizer)
    # Parts of characters above all.
    bytes_of = st.text(min_size=1, max_size=3).map(
        lambda text: tokenizer.encode(text, add_special_tokens=False)
    )
    any_of = st.lists(st.integers(0, len(tokenizer)), max_size=4)  # the last is no token at all
    tokens = [one for some in data.draw(st.lists(bytes_of | any_of, max_size=5)) for one in some]
    begun = data.draw(st.integers(0, len(tokens)))
    whole = str(tokenizer.decode(tokens, skip_special_tokens=True))
    assert whole.startswith(settled_text(tokenizer, tokens[:begun]))


@pytest.mark.parametrize("name", GROWING)
def test_a_text_of_whole_characters_is_settled_but_for_bytes_that_may_be_spoiled(name: str) -> None:
    tokenizer = MADE[name]
    the = token(tokenizer, "Ġthe" if name == "bytes" else "▁the")
    assert settled_text(tokenizer, [the] * 3).strip() == "the the the"


def test_the_phantoms_texts_only_grow(phantom_model: Model) -> None:
    tokenizer = phantom_model.tokenizer
    assert only_grows(tokenizer)
    tokens = tokenizer.encode("Hello there, all of you!", add_special_tokens=False)
    whole = str(tokenizer.decode(tokens, skip_special_tokens=True))
    settled = [settled_text(tokenizer, tokens[:end]) for end in range(len(tokens) + 1)]
    assert settled[-1] == whole
    assert all(map(whole.startswith, settled))


def test_texts_that_are_tidied_or_trimmed_or_of_unknown_decoders_do_not_only_grow() -> None:
    assert not only_grows(made(["a"], decoders.ByteLevel(), tidy=True))
    assert not only_grows(of_pieces(decoders.Strip(" ", 0, 1)))
    assert not only_grows(made(["a"], decoders.WordPiece()))
    bare = Tokenizer(WordPiece(vocab={"[UNK]": 0}, unk_token="[UNK]"))
    assert not only_grows(PreTrainedTokenizerFast(tokenizer_object=bare))  # type: ignore[no-untyped-call]


def test_each_token_has_its_text_by_its_id() -> None:
    tokenizer = MADE["pieces"]
    texts = token_texts(tokenizer)
    assert len(texts) == len(tokenizer)
    assert texts[token(tokenizer, "12")] == "12"
    assert texts[0xC3] == "\ufffd"
    assert texts[-1] == ""
