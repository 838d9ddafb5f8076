"""Ending an output where its label can no longer change, whatever tokens follow."""

import logging
from collections.abc import Sequence

from steergauge.judging.label import DecidingJudge, Judge
from steergauge.judging.words import most_numbers
from steergauge.models.growing_text import only_grows, settled_text, token_texts
from steergauge.models.loading import Model
from steergauge.steering.engine import StopRule

logger = logging.getLogger(__name__)

_VERSION = 1  # of when it ends an output, beside the judge's own


def stop_rule(judge: Judge, model: Model) -> StopRule | None:
    """Ends an output when the judge is certain of its label; None where it can't be, or where texts do more than grow."""
    if not isinstance(judge, DecidingJudge):
        return None
    if not only_grows(model.tokenizer):
        logger.info(
            "outputs are made in full: more tokens may change the text that %s has written", model.name
        )
        return None
    tokenizer, decided = model.tokenizer, judge.decided
    numbers = most_numbers(token_texts(tokenizer))

    def holds(tokens: Sequence[int], tokens_left: int) -> bool:
        return decided(settled_text(tokenizer, tokens), numbers * tokens_left) is not None

    return StopRule(f"label decided {_VERSION}, by {judge.name} {judge.version}", holds)
