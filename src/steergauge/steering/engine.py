"""The engine contract: conditions × prompts in, generations out."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol, TypeAlias

from steergauge.steering.head_steering import HeadSteering
from steergauge.steering.steering import Steering

AnySteering: TypeAlias = Steering | HeadSteering


@dataclass(frozen=True)
class Decoding:
    """Greedy decoding without a repetition penalty, whatever the checkpoint's own configuration says.

    Some checkpoints ship a penalty, which suppresses the very loops that are counted (methods.md §4).
    """

    max_new_tokens: int = 100

    def identity(self) -> dict[str, Any]:
        """What makes two decodings the same one, for content addresses."""
        return {"strategy": "greedy", "repetition_penalty": 1.0, "max_new_tokens": self.max_new_tokens}


@dataclass(frozen=True)
class Request:
    """One generation to be made."""

    prompt: str
    steering: AnySteering
    decoding: Decoding


@dataclass(frozen=True)
class Generation:
    """What a model said to one request."""

    text: str
    tokens: tuple[int, ...]
    finish: Literal["stop", "length"]


class Engine(Protocol):
    """Makes generations. Equal names and versions make equal generations in float32."""

    name: str
    version: str
    wave_rows: int

    def generate(self, requests: Sequence[Request]) -> Iterator[tuple[int, Generation]]:
        """Yields (index in `requests`, generation) in any order."""
        ...


def distinct(steerings: Sequence[AnySteering]) -> tuple[list[AnySteering], list[int]]:
    """The steerings without repeats, and the place of each row's among them."""
    first = {id(steering): steering for steering in steerings}
    place = {key: index for index, key in enumerate(first)}
    return list(first.values()), [place[id(steering)] for steering in steerings]
