"""From a user's message to the tokens that a model is shown."""

import itertools
from dataclasses import dataclass
from functools import cached_property

import torch
from jinja2 import TemplateError
from transformers import BatchEncoding, PreTrainedTokenizerBase

from steergauge.errors import SteergaugeError

# Some templates print today's date unless they are given one; a run must not depend on its day.
_DATE = "26 Jul 2024"
# Others ask for it through a function of transformers, which a macro of the same name hides. The empty text
# after it keeps a line break with which the template may begin.
_HIDE_TODAY = f"{{% macro strftime_now(format) %}}{_DATE}{{% endmacro %}}{{{{ '' }}}}"
_PROBE = "What is the colour of the sky?"
# Messages with no last letter, token or byte in common.
_ENDS = ("Count to 7", "Is it so?", "Name a colour", "Go on…", "Well!")


@dataclass(frozen=True)
class ChatTemplate:
    """A Jinja chat template and the tokenizer that it belongs to.

    Raises:
        SteergaugeError: the template is not valid Jinja, refuses the role `user`, or leaves out its message.
    """

    tokenizer: PreTrainedTokenizerBase
    source: str

    def __post_init__(self) -> None:
        if _PROBE not in self.render(_PROBE):
            raise SteergaugeError(
                "the chat template does not render the message of the role 'user'; "
                "give one that does with --template FILE"
            )

    def render(self, prompt: str) -> str:
        """One user message with the generation prompt, and no system message of ours (methods.md §1)."""
        try:
            rendered = self.tokenizer.apply_chat_template(
                [{"role": "user", "content": prompt}],
                chat_template=_HIDE_TODAY + self.source if "strftime_now" in self.source else self.source,
                tokenize=False,
                add_generation_prompt=True,
                date_string=_DATE,
            )
        except TemplateError as error:
            raise SteergaugeError(
                f"the chat template cannot render the role 'user' ({error}): give another with --template"
            ) from None
        return str(rendered)

    def encode(self, prompts: list[str], device: torch.device | str) -> BatchEncoding:
        """Token ids and attention mask, left-padded, each (prompts, tokens).

        Special tokens are not added again: templates that already render BOS would get two (methods.md §1).
        """
        encoding: BatchEncoding = self.tokenizer(
            [self.render(prompt) for prompt in prompts],
            add_special_tokens=False,
            padding=True,
            padding_side="left",
            return_tensors="pt",
        ).to(device)
        return encoding

    @cached_property
    def suffix_tokens(self) -> int:
        """How many tokens the template puts after the user's text: 5 for Qwen, Gemma and Llama 3.

        Counted as the end that messages with different ends have in common, so a token that a tokenizer makes
        of the text's end and the template's beginning together belongs to the text.
        """
        encoded = [self.encode([prompt], "cpu")["input_ids"][0].tolist() for prompt in _ENDS]
        columns = zip(*(reversed(ids) for ids in encoded), strict=False)
        return sum(1 for _ in itertools.takewhile(lambda column: len(set(column)) == 1, columns))
