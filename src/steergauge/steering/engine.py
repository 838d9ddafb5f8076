"""The engine contract: conditions × prompts in, generations out."""

import math
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal, Protocol, Self, TypeAlias, runtime_checkable

from steergauge.steering.head_steering import HeadSteering
from steergauge.steering.steering import Steering

AnySteering: TypeAlias = Steering | HeadSteering
Finish: TypeAlias = Literal["stop", "length", "decided"]

TOKENS_BETWEEN_ASKING = 4
"""Stop rules are asked whenever a generation has so many tokens more."""


@dataclass(frozen=True)
class Sampling:
    """Each token drawn from softmax(logits / temperature) over the whole vocabulary.

    What is drawn depends on the seed, the sample and the rendered prompt alone: all steerings and temperatures
    of one prompt share their random numbers, whatever batch they are in. So conditions stay paired.

    Attributes:
        temperature: above 0; greedy decoding is no sampling.
        seed: of all draws.
        sample: which of a prompt's samples, from 0.

    Raises:
        ValueError: the temperature is not above 0 and finite, or the seed or the sample is negative.
    """

    temperature: float
    seed: int = 0
    sample: int = 0

    def __post_init__(self) -> None:
        if not 0 < self.temperature < math.inf:
            raise ValueError(
                f"temperature {self.temperature}: sampling needs one above 0; for greedy decoding leave it out"
            )
        if self.seed < 0 or self.sample < 0:
            raise ValueError(f"seed {self.seed}, sample {self.sample}: both count from 0")


@dataclass(frozen=True)
class StopRule:
    """When a generation may end before its length and its last token, since nothing that follows would matter.

    Attributes:
        identity: equal identities end equal generations at the same token.
        holds: of the tokens so far and how many may follow.
    """

    identity: str
    holds: Callable[[Sequence[int], int], bool]


@dataclass(frozen=True)
class Decoding:
    """Greedy decoding, or sampling, without a repetition penalty, whatever the checkpoint's own configuration says.

    Some checkpoints ship a penalty, which suppresses the very loops that are counted (methods.md §4).
    """

    max_new_tokens: int = 100
    sampling: Sampling | None = None
    stop: StopRule | None = None
    """A saving, which an engine may leave out: its generations are then full ones."""

    def in_full(self) -> Self:
        """The same without a stop rule."""
        return replace(self, stop=None)

    def decided(self, tokens: Sequence[int]) -> bool:
        """Whether a generation that has come to these tokens ends here by the stop rule."""
        return (
            self.stop is not None
            and len(tokens) % TOKENS_BETWEEN_ASKING == 0
            and self.stop.holds(tokens, self.max_new_tokens - len(tokens))
        )

    def finish(self, tokens: Sequence[int], stop_tokens: Collection[int]) -> Finish:
        """Why a generation of these tokens has ended."""
        if tokens[-1] in stop_tokens:
            return "stop"
        return "length" if len(tokens) >= self.max_new_tokens else "decided"

    def identity(self) -> dict[str, Any]:
        """What makes two decodings the same one, for content addresses."""
        common: dict[str, Any] = {"repetition_penalty": 1.0, "max_new_tokens": self.max_new_tokens}
        if self.stop is not None:
            common["stop"] = self.stop.identity
        if self.sampling is None:
            return {"strategy": "greedy", **common}
        return {
            "strategy": "sampling by inversion",  # another way of drawing would need another name
            "temperature": float(self.sampling.temperature),
            "seed": self.sampling.seed,
            "sample": self.sampling.sample,
            **common,
        }


@dataclass(frozen=True)
class Request:
    """One generation to be made."""

    prompt: str
    steering: AnySteering
    decoding: Decoding


@dataclass(frozen=True)
class Generation:
    """What a model said to one request.

    Attributes:
        finish: at a stop token, at the greatest length, or where the request's stop rule held.
    """

    text: str
    tokens: tuple[int, ...]
    finish: Finish


class Engine(Protocol):
    """Makes generations. Equal names and versions make equal generations in float32."""

    name: str
    version: str
    wave_rows: int

    def generate(self, requests: Sequence[Request]) -> Iterator[tuple[int, Generation]]:
        """Yields (index in `requests`, generation) in any order."""
        ...


Told: TypeAlias = Callable[[Generation], None]
"""Hears of each generation as it is made."""


@runtime_checkable
class WaveEngine(Protocol):
    """An engine that runs several waves at once."""

    def generate_waves(
        self, waves: Iterable[Sequence[Request]], told: Told
    ) -> Iterator[tuple[int, list[Generation]]]:
        """As `generate_waves` below, in any order; a wave is asked for when there is somebody to run it."""
        ...


def generate_waves(
    engine: Engine, waves: Iterable[Sequence[Request]], told: Told
) -> Iterator[tuple[int, list[Generation]]]:
    """Runs waves, each as one batch: as many at once as the engine can.

    Args:
        engine: what runs them.
        waves: asked for one by one.
        told: hears of each generation, of each request once.

    Yields:
        The place of a wave that is whole, and its generations in the order of its requests.
    """
    if isinstance(engine, WaveEngine):
        yield from engine.generate_waves(waves, told)
        return
    for number, requests in enumerate(waves):
        made: dict[int, Generation] = {}
        for index, generation in engine.generate(requests):
            made[index] = generation
            told(generation)
        yield number, [made[index] for index in range(len(requests))]


def distinct(steerings: Sequence[AnySteering]) -> tuple[list[AnySteering], list[int]]:
    """The steerings without repeats, and the place of each row's among them."""
    first = {id(steering): steering for steering in steerings}
    place = {key: index for index, key in enumerate(first)}
    return list(first.values()), [place[id(steering)] for steering in steerings]
