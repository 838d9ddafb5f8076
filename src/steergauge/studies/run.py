"""Running requests through an engine into the store, in waves that a killed run repeats exactly."""

import logging
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import NamedTuple, Protocol

from steergauge.models.loading import Model
from steergauge.steering.engine import Engine, Generation, Request, generate_waves
from steergauge.store import Addressed, Setting, Store, address

logger = logging.getLogger(__name__)


class Progress(Protocol):
    """Is told how a run goes on."""

    def begin(self, stage: str, rows: int) -> None:
        """A stage of so many rows begins."""
        ...

    def advance(self, rows_done: int, tokens: int) -> None:
        """So many rows were done since the last call, and so many tokens made for them."""
        ...


class Silent:
    """Progress for those who ask for none."""

    def begin(self, stage: str, rows: int) -> None:
        """Says nothing."""

    def advance(self, rows_done: int, tokens: int) -> None:
        """Says nothing."""


class RowsDone:
    """Progress for what tells how many rows are done, and of how many; each time it starts anew is a stage."""

    def __init__(self, stage: str, progress: Progress) -> None:
        self._stage, self._progress, self._done = stage, progress, 0

    def __call__(self, done: int, total: int) -> None:
        """So many rows are done."""
        if self._done == 0:
            self._progress.begin(self._stage, total)
        self._progress.advance(done - self._done, 0)
        self._done = done if done < total else 0


class Made(NamedTuple):
    """A generation and its address."""

    key: str
    generation: Generation


class Runner:
    """Makes the generations that the store does not hold, and returns all of them."""

    def __init__(
        self, model: Model, engine: Engine, store: Store, wave_rows: int, progress: Progress
    ) -> None:
        self.setting = Setting(model.fingerprint, f"{engine.name} {engine.version}")
        self._model, self._engine, self._store = model, engine, store
        self.wave_rows, self._progress = wave_rows, progress
        self.made_now = 0

    def run(self, stage: str, requests: Sequence[Request]) -> list[Made]:
        """Runs one stage.

        Waves are cut from all requests, not from the missing ones, and are kept whole or not at all: a run
        that continues makes the same batches as one that was never interrupted, and so the same outputs in
        every precision.
        """
        addressed = [self._address(request) for request in requests]
        self._progress.begin(stage, len(requests))
        waves: list[list[Addressed]] = []

        def asked_for() -> Iterator[list[Request]]:
            for missing in self._missing(addressed):
                waves.append(missing)
                yield [one.request for one in missing]

        for number, generations in generate_waves(self._engine, asked_for(), self._count):
            made = zip(waves[number], generations, strict=True)
            self._store.add(
                self.setting, [(self._as_made(one, generation), generation) for one, generation in made]
            )
            self.made_now += len(generations)
        kept = self._kept(addressed)
        return [kept[one.key] for one in addressed]

    def _missing(self, addressed: Sequence[Addressed]) -> Iterator[list[Addressed]]:
        """What is to be made of each wave: looked up when the wave is asked for, so that nothing is made twice."""
        asked: set[str] = set()
        for start in range(0, len(addressed), self.wave_rows):
            wave = addressed[start : start + self.wave_rows]
            here = self._kept(wave)
            missing = {one.key: one for one in wave if one.key not in here and one.key not in asked}
            asked |= missing.keys()
            self._progress.advance(len(wave) - len(missing), 0)
            if missing:
                yield list(missing.values())

    def _count(self, generation: Generation) -> None:
        self._progress.advance(1, len(generation.tokens))

    def _kept(self, addressed: Sequence[Addressed]) -> dict[str, Made]:
        """What the store holds, by the address with the stop rule: in full, or else as far as that rule let it go."""
        in_full = {one.key: self._in_full(one).key for one in addressed}
        kept = self._store.get(list(dict.fromkeys([*in_full, *in_full.values()])))
        return {
            key: Made(here, kept[here])
            for key, whole in in_full.items()
            for here in [whole if whole in kept else key]
            if here in kept
        }

    def _as_made(self, one: Addressed, generation: Generation) -> Addressed:
        """Where it belongs: what no rule ended is the full generation, and every study may use it."""
        return one if generation.finish == "decided" else self._in_full(one)

    def _in_full(self, one: Addressed) -> Addressed:
        decoding = one.request.decoding.in_full()
        if decoding == one.request.decoding:
            return one
        return self._address(replace(one.request, decoding=decoding), one.rendered)

    def _address(self, request: Request, rendered: str | None = None) -> Addressed:
        rendered = rendered or self._model.template.render(request.prompt)
        return Addressed(address(self.setting, request, rendered), request, rendered)
