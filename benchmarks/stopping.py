"""What ending outputs early saves, on recorded outputs: python benchmarks/stopping.py STORE MODEL.

Every output of the store that MODEL's tokenizer wrote is replayed token by token under each judge, and asked about
as often as the torch engine asks. Printed for each greatest length: the share of tokens saved; the share that could be
saved by one who knew from where on the label stays, by the label; and the outputs whose label was not what was decided,
which are none.
"""

import json
import sys
from collections import Counter
from itertools import takewhile
from pathlib import Path

from transformers import AutoTokenizer, PreTrainedTokenizerBase

from steergauge.judging.judges import JUDGES
from steergauge.judging.label import DecidingJudge, Judge
from steergauge.judging.words import most_numbers
from steergauge.models.growing_text import decoded, settled_text, token_texts
from steergauge.models.weights import folder_here
from steergauge.steering.engine import TOKENS_BETWEEN_ASKING
from steergauge.store import Store


class Replay:
    """The outputs of one tokenizer under one judge."""

    def __init__(self, tokenizer: PreTrainedTokenizerBase, judge: Judge) -> None:
        assert isinstance(judge, DecidingJudge)
        self.tokenizer, self.judge = tokenizer, judge
        self.numbers = most_numbers(token_texts(tokenizer))
        self.counts: Counter[str] = Counter()

    def read(self, tokens: list[int], limit: int) -> None:
        """Replays one output."""
        final = self.judge.judge(decoded(self.tokenizer, tokens)).label
        ends = range(TOKENS_BETWEEN_ASKING, len(tokens), TOKENS_BETWEEN_ASKING)
        decided = None
        for end in ends:
            text = settled_text(self.tokenizer, tokens[:end])
            decided = self.judge.decided(text, self.numbers * (limit - end))
            if decided is not None:
                self.counts["saved"] += len(tokens) - end
                self.counts["ended"] += 1
                self.counts["wrong"] += decided is not final
                self.counts["wrong"] += (
                    self.judge.judge(decoded(self.tokenizer, tokens[:end])).label is not final
                )
                break
        same = takewhile(
            lambda end: self.judge.judge(decoded(self.tokenizer, tokens[:end])).label is final, reversed(ends)
        )
        self.counts[f"hindsight {final}"] += len(tokens) - min(same, default=len(tokens))
        self.counts["tokens"] += len(tokens)
        self.counts["outputs"] += 1


def main(store: Path, model: str) -> None:
    """Prints a line a judge and greatest length."""
    tokenizer = AutoTokenizer.from_pretrained(str(folder_here(model)))
    with Store(store) as opened:
        table = opened.to_pandas().drop_duplicates("key")
    replays: dict[tuple[int, str], Replay] = {}
    full = table[table["finish"] != "decided"]
    for text, written, decoding in zip(full["text"], full["tokens"], full["decoding"], strict=True):
        tokens, limit = json.loads(written), json.loads(decoding)["max_new_tokens"]
        if decoded(tokenizer, tokens) != text:
            continue  # another model's
        for name, judge in JUDGES.items():
            if (limit, name) not in replays:
                replays[limit, name] = Replay(tokenizer, judge)
            replays[limit, name].read(tokens, limit)
    for (limit, name), replay in sorted(replays.items()):
        counts = replay.counts
        share = {key: f"{counts[key] / counts['tokens']:.1%}" for key in counts}
        hindsight = ", ".join(f"{key.split()[1]} {share[key]}" for key in sorted(share) if "hindsight" in key)
        print(
            f"{limit} tokens, {name}: {counts['outputs']} outputs, {counts['ended']} ended early, {share['saved']} of "
            f"tokens saved (with hindsight: {hindsight}); {counts['wrong']} labels differ"
        )


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2])
