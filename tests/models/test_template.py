import dataclasses

import pytest

from steergauge.models.loading import Model
from steergauge.models.template import ChatTemplate

PROMPTS = ("Tell me a joke", "How do I bake a chocolate cake?", "Hello", "Is 17 prime? 17")


@pytest.mark.parametrize(
    ("source", "tokens"),
    [
        ("<s><|user|>{{ messages[0].content }}<|end|><|assistant|>", 2),
        (
            "<s><|user|>{{ messages[0].content }}<|end|>{% if add_generation_prompt %}<|assistant|>{% endif %}",
            2,
        ),
        ("<|user|>{{ messages[0].content }}<|end|>", 1),
        ("<s>{{ messages[0].content }}", 0),
        ("<s>{{ messages[0].content }}<|end|><|end|><|user|><|end|><|assistant|>", 5),
    ],
)
def test_the_templates_tokens_after_the_users_text_are_counted(
    source: str, tokens: int, phantom_model: Model
) -> None:
    template = ChatTemplate(phantom_model.tokenizer, source)
    assert template.suffix_tokens == tokens
    for prompt in PROMPTS:
        ids = template.encode([prompt], "cpu")["input_ids"][0]
        text = str(phantom_model.tokenizer.decode(ids[: len(ids) - tokens]))
        special = phantom_model.tokenizer.all_special_tokens
        assert not any(text.endswith(token) for token in special if token != "<unk>")
        assert all(
            token in special for token in map(phantom_model.tokenizer.decode, ids[len(ids) - tokens :])
        )


def test_they_are_counted_once(phantom_model: Model, monkeypatch: pytest.MonkeyPatch) -> None:
    template = dataclasses.replace(phantom_model.template)
    first = template.suffix_tokens
    monkeypatch.setattr(ChatTemplate, "encode", None)
    assert template.suffix_tokens == first == 2
