"""Splitting the prompts, one half to choose the best condition and one to report its rate; and their order."""

from collections.abc import Sequence
from random import Random


def split_prompts(prompts: Sequence[str], seed: int) -> tuple[list[str], list[str]]:
    """Splits distinct prompts at random into a choosing half and a reporting half.

    A rate on the prompts that its condition was chosen on is too high; on the other half it is not. The split
    depends on the seed and the prompts, not on their order. Of an odd number, reporting has the larger half;
    a single prompt is for reporting, and leaves none to choose on.

    Returns:
        The choosing and the reporting prompts, each in the order given.

    Raises:
        ValueError: a prompt is repeated.
    """
    if len(set(prompts)) < len(prompts):
        raise ValueError("a prompt is repeated, and would stand on both sides: split distinct prompts")
    # Sorting by `random()` rather than `shuffle`: Python keeps only the former the same in later versions.
    generator = Random(seed)
    lots = {prompt: generator.random() for prompt in sorted(prompts)}
    choosing = set(sorted(lots, key=lots.__getitem__)[: len(prompts) // 2])
    return (
        [prompt for prompt in prompts if prompt in choosing],
        [prompt for prompt in prompts if prompt not in choosing],
    )


def shuffle_prompts(prompts: Sequence[str], seed: int) -> list[str]:
    """Distinct prompts in an order that depends on the seed and on them, not on the order given."""
    generator = Random(f"order {seed}")  # other lots than those of the split
    lots = {prompt: generator.random() for prompt in sorted(prompts)}
    return sorted(lots, key=lots.__getitem__)
