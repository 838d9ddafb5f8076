"""How many outputs each judge reads a second, on one core: python benchmarks/judges.py."""

import time

from steergauge.judging.gold import gold_set
from steergauge.judging.judges import JUDGES

ROUNDS = 7  # the fastest counts: another process can only slow a round down


def main() -> None:
    """Prints a line a judge."""
    texts = [item.text for item in gold_set() if item.source == "steered"]
    print(
        f"{len(texts)} outputs of steered models, {sum(map(len, texts)) / len(texts):.0f} characters on average"
    )
    for name, judge in JUDGES.items():
        seconds = []
        for _ in range(ROUNDS):
            begun = time.process_time()
            for text in texts:
                judge.judge(text)
            seconds.append(time.process_time() - begun)
        print(f"{name}: {len(texts) / min(seconds):,.0f} judgements a second")


if __name__ == "__main__":
    main()
