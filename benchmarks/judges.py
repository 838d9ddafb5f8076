"""How many outputs each judge reads a second, on one core: python benchmarks/judges.py.

The judges take turns on every output, and of each output the fastest round counts: another process can only slow
a round down. The ratio to `study` holds on other machines better than the rates do.
"""

import time

from steergauge.judging.gold import gold_set
from steergauge.judging.judges import JUDGES

ROUNDS = 15


def main() -> None:
    """Prints a line a judge."""
    texts = [item.text for item in gold_set() if item.source == "steered"]
    print(
        f"{len(texts)} outputs of steered models, {sum(map(len, texts)) / len(texts):.0f} characters on average"
    )
    seconds = dict.fromkeys(JUDGES, 0.0)
    for text in texts:
        rounds: dict[str, list[float]] = {name: [] for name in JUDGES}
        for _ in range(ROUNDS):
            for name, judge in JUDGES.items():
                begun = time.perf_counter()
                judge.judge(text)
                rounds[name].append(time.perf_counter() - begun)
        for name, taken in rounds.items():
            seconds[name] += min(taken)
    for name, total in seconds.items():
        print(
            f"{name:8}{len(texts) / total:>8,.0f} judgements a second, {seconds['study'] / total:.2f} of study's"
        )


if __name__ == "__main__":
    main()
