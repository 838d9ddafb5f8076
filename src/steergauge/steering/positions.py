"""Which tokens of a row are steered."""

from enum import StrEnum

from torch import Tensor


class Positions(StrEnum):
    """From which token on a row is steered.

    `all`: the first (the study). `after_instruction`: the template's first behind the user's text (CAA).
    `last`: the prompt's last (ITI). `generated`: the first that the model wrote, when it is fed back.
    """

    ALL = "all"
    AFTER_INSTRUCTION = "after_instruction"
    LAST = "last"
    GENERATED = "generated"

    def start(self, prompt_tokens: int, suffix_tokens: int) -> int:
        """The first steered token, counted from 0 without padding.

        Args:
            prompt_tokens: of the rendered prompt.
            suffix_tokens: how many of them the template puts behind the user's text.
        """
        if self is Positions.ALL:
            return 0
        of_the_prompt = {Positions.AFTER_INSTRUCTION: suffix_tokens, Positions.LAST: 1}
        return prompt_tokens - of_the_prompt.get(self, 0)


def steered_tokens(attention_mask: Tensor, starts: Tensor) -> Tensor:
    """1 for each real token from its row's start on.

    Args:
        attention_mask: 1 for every real token so far, (rows, all tokens).
        starts: the first steered token of each row, counted without padding, (rows,).
    """
    return attention_mask * (attention_mask.cumsum(dim=1) > starts[:, None])
