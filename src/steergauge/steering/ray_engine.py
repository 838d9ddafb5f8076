"""An engine whose waves run on the workers of a Ray cluster, several at once."""

import logging
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import Any

from steergauge.errors import SteergaugeError
from steergauge.steering.engine import AnySteering, Generation, Request, Told, distinct
from steergauge.steering.probe import Probe
from steergauge.steering.ray_pool import Member, Pool, first_line, own_error
from steergauge.steering.ray_worker import Row

logger = logging.getLogger(__name__)

_TRIES = 3  # of a wave whose workers die


@dataclass
class _Wave:
    """A wave that waits or runs: what one worker has made of it, and how often its worker has died."""

    number: int
    requests: Sequence[Request]
    made: dict[int, Generation] = field(default_factory=dict)
    told: set[int] = field(default_factory=set)
    died: int = 0


class RayEngine:
    """The engine of a pool's workers. Its generations have that engine's address: they are the same.

    A wave runs on one worker, whole. When the worker dies the wave is run again from its beginning, by another or,
    where there is still room, by a new one.

    Args:
        ray: the module, connected.
        pool: the workers.
        wave_rows: rows of a wave.
    """

    def __init__(self, ray: Any, pool: Pool, wave_rows: int) -> None:
        self._ray, self._pool, self.wave_rows = ray, pool, wave_rows
        self.name, self.version = pool.identity

    def generate(self, requests: Sequence[Request]) -> Iterator[tuple[int, Generation]]:
        """Runs all requests as one wave.

        Raises:
            SteergaugeError: as `generate_waves`.
        """
        if requests:
            for _, made in self.generate_waves([requests], lambda _: None):
                yield from enumerate(made)

    def generate_waves(
        self, waves: Iterable[Sequence[Request]], told: Told
    ) -> Iterator[tuple[int, list[Generation]]]:
        """Runs waves on as many workers as there is room for; yields each when it is whole.

        Args:
            waves: taken as workers come free.
            told: hears of each generation, of each request once.

        Raises:
            SteergaugeError: what a worker's engine raised; or no node has room, or workers died of one wave.
        """
        waiting: deque[_Wave] = deque()
        running: dict[Any, tuple[Member, _Wave]] = {}
        kept: dict[int, tuple[AnySteering, Any]] = {}
        coming = enumerate(waves)
        try:
            while True:
                ahead = max(0, self._pool.room - len(waiting) - len(running))
                waiting.extend(_Wave(number, requests) for number, requests in islice(coming, ahead))
                if not waiting and not running:
                    return
                self._pool.want(len(waiting) + len(running))
                while waiting and (member := self._pool.take()):
                    wave = waiting.popleft()
                    running[self._hand(member, wave, kept)] = member, wave
                for turn in self._pool.wait(running):
                    member, wave = running.pop(turn)
                    try:
                        ended = self._hear(turn, wave, told)
                    except self._ray.exceptions.RayTaskError as error:
                        self._pool.give_back(member)
                        raise own_error(error) from None
                    except self._ray.exceptions.RayError as error:
                        self._pool.dismiss(member)
                        waiting.appendleft(self._again(wave, member, error))
                        continue
                    if not ended:
                        running[turn] = member, wave
                        continue
                    self._pool.give_back(member)
                    yield wave.number, [wave.made[index] for index in range(len(wave.requests))]
        finally:
            for member, _ in running.values():
                self._pool.dismiss(member)

    def probe(self, prompt: str, steering: AnySteering, block: int) -> Probe:
        """What a steering does to one prompt after a block, on a worker.

        Raises:
            SteergaugeError: what the worker's check raised; or no node has room.
        """
        while True:
            member = self._pool.take()
            if member is None:
                self._pool.want(min(1, self._pool.room))
                self._pool.wait(())
                continue
            try:
                probe: Probe = self._ray.get(member.actor.probe.remote(prompt, steering, block))
            except self._ray.exceptions.RayTaskError as error:
                self._pool.give_back(member)
                raise own_error(error) from None
            except self._ray.exceptions.RayError:
                self._pool.dismiss(member)
                continue
            self._pool.give_back(member)
            return probe

    def _hand(self, member: Member, wave: _Wave, kept: dict[int, tuple[AnySteering, Any]]) -> Any:
        """Gives a wave to a worker; each steering goes to Ray's object store once, however many rows have it."""
        steerings, steering_of = distinct([request.steering for request in wave.requests])
        for steering in steerings:
            if id(steering) not in kept:
                kept[id(steering)] = steering, self._ray.put(steering)
        rows = [
            # In full: a stop rule holds the tokenizer, and what no rule ended serves a request with one.
            Row(request.prompt, place, request.decoding.in_full())
            for request, place in zip(wave.requests, steering_of, strict=True)
        ]
        references = [kept[id(steering)][1] for steering in steerings]
        return member.actor.generate.remote(rows, *references)

    def _hear(self, turn: Any, wave: _Wave, told: Told) -> bool:
        """Takes in the next generation of a wave; whether there was none left."""
        try:
            index, generation = self._ray.get(next(turn))
        except StopIteration:
            return True
        wave.made[index] = generation
        if index not in wave.told:
            wave.told.add(index)
            told(generation)
        return False

    def _again(self, wave: _Wave, member: Member, error: Exception) -> _Wave:
        """The wave as it was before its worker died.

        Raises:
            SteergaugeError: that has happened too often.
        """
        wave.made.clear()
        wave.died += 1
        if wave.died == _TRIES:
            raise SteergaugeError(
                f"the wave of {len(wave.requests)} rows that begins with {wave.requests[0].prompt[:40]!r} has ended "
                f"its worker {_TRIES} times, at last on the Ray node {member.place.address} ({first_line(error)}); "
                "a smaller --batch takes less memory"
            )
        logger.warning(
            "a worker on the Ray node %s died; its %d rows are given again",
            member.place.address,
            len(wave.requests),
        )
        return wave
