"""The workers of a Ray cluster that run one model: started where there is room, and again where one has died."""

import logging
import time
from collections import Counter
from collections.abc import Collection, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from steergauge.errors import SteergaugeError
from steergauge.steering.ray_places import Needs, Place, describe_nodes, find_places
from steergauge.steering.ray_worker import Identity, Load, NoRoomError, Worker

logger = logging.getLogger(__name__)

_STARTS = 3  # of workers at one place that die before they are ready
_LOOK_AGAIN = 5.0  # seconds between looks at which nodes there are
_PATIENCE = 30.0  # seconds until it is told that nobody is ready yet


@dataclass(frozen=True, eq=False)
class Member:
    """A worker and where it is."""

    place: Place
    actor: Any


class Pool:
    """Workers that are starting, idle or at work.

    Args:
        ray: the module, connected.
        load: what each loads and runs.
        needs: what each takes.

    Raises:
        SteergaugeError: no node has room, or the first worker cannot do the work.
    """

    def __init__(self, ray: Any, load: Load, needs: Needs) -> None:
        self._ray, self._load, self._needs = ray, load, needs
        self._remote = ray.remote(Worker)
        self._starting: dict[Any, Member] = {}
        self._idle: list[Member] = []
        self._busy: set[Member] = set()
        self._died_starting: Counter[Place] = Counter()
        self._closed: dict[Place, str] = {}
        self._places: Sequence[Place] = ()
        self._looked = -_LOOK_AGAIN
        self.started_on: Counter[str] = Counter()
        self._identity: Identity | None = None
        self._wait_for_first()

    @property
    def identity(self) -> Identity:
        """What the engine of all workers is."""
        assert self._identity is not None  # the first one told it
        return self._identity

    @property
    def room(self) -> int:
        """How many workers there can be; above 0.

        Raises:
            SteergaugeError: no node has room any more.
        """
        self._look()
        members = [*self._starting.values(), *self._idle, *self._busy]
        places = {*self._places, *(member.place for member in members)} - self._closed.keys()
        if not places:
            why = "; ".join(f"{place.address}: {reason}" for place, reason in self._closed.items())
            raise SteergaugeError(
                f"no node of the Ray cluster has room for {self._load.model} in {self._load.precision}, which takes "
                f"{self._needs}; the nodes: {describe_nodes(self._ray.nodes())}"
                + (f" ({why})" if why else "")
            )
        return len(places)

    def want(self, workers: int) -> None:
        """Starts workers, where there is room, until there are so many."""
        taken = {member.place for member in (*self._starting.values(), *self._idle, *self._busy)}
        free = [place for place in self._places if place not in taken and place not in self._closed]
        for place in free[: max(0, workers - len(taken))]:
            self._start(place)

    def take(self) -> Member | None:
        """An idle worker, which is at work from now on; None if there is none."""
        if not self._idle:
            return None
        member = self._idle.pop(0)
        self._busy.add(member)
        return member

    def give_back(self, member: Member) -> None:
        """It is idle again."""
        self._busy.remove(member)
        self._idle.append(member)

    def dismiss(self, member: Member) -> None:
        """Ends a worker that was at work; its place is free."""
        self._busy.discard(member)
        self._end(member)

    def wait(self, awaited: Collection[Any]) -> list[Any]:
        """Waits a moment for what workers yield; those that become ready meanwhile are idle afterwards.

        Args:
            awaited: what workers yield from.

        Returns:
            Those that yield something now.

        Raises:
            SteergaugeError: a worker cannot do the work.
        """
        ready, _ = self._ray.wait([*self._starting, *awaited], num_returns=1, timeout=_LOOK_AGAIN)
        for one in ready:
            if one in self._starting:
                self._settle(one)
        return [one for one in ready if one in awaited]

    def close(self) -> None:
        """Ends all workers."""
        for member in (*self._starting.values(), *self._idle, *self._busy):
            self._end(member)
        self._starting.clear()
        self._idle.clear()
        self._busy.clear()

    def _look(self) -> None:
        """Sees which nodes there are; some join, some die."""
        if time.monotonic() - self._looked >= _LOOK_AGAIN:
            self._looked = time.monotonic()
            self._places = find_places(self._ray.nodes(), self._needs)

    def _wait_for_first(self) -> None:
        try:
            began, told = time.monotonic(), False
            while self._identity is None and self.room:
                self.want(1)
                self.wait(())
                if not told and time.monotonic() - began > _PATIENCE:
                    told = True
                    logger.info(
                        "waiting for the Ray cluster: a worker takes %s, and loads the model", self._needs
                    )
        except BaseException:
            self.close()
            raise

    def _start(self, place: Place) -> None:
        from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy  # noqa: PLC0415 - an extra

        actor = self._remote.options(
            num_cpus=place.threads,
            num_gpus=self._needs.devices,
            memory=self._needs.memory if self._needs.device == "cpu" else None,
            max_restarts=0,
            scheduling_strategy=NodeAffinitySchedulingStrategy(place.node, soft=False),
        ).remote()
        self._starting[actor.start.remote(self._load, place.threads)] = Member(place, actor)

    def _settle(self, reference: Any) -> None:
        """Takes in a worker that has started, or failed to."""
        member = self._starting.pop(reference)
        try:
            identity: Identity = self._ray.get(reference)
        except self._ray.exceptions.RayTaskError as error:
            self._end(member)
            cause = own_error(error)
            if not isinstance(cause, NoRoomError):
                raise (
                    type(cause)(f"on the Ray node {member.place.address}: {cause}")
                    if isinstance(cause, SteergaugeError)
                    else cause
                ) from None
            self._close_place(member.place, str(cause))
        except self._ray.exceptions.RayError as error:
            self._end(member)
            if getattr(error, "actor_init_failed", False):  # Python there cannot import what a worker is
                raise SteergaugeError(
                    f"on the Ray node {member.place.address} a worker cannot be made: {str(error).splitlines()[-1].strip()}; "
                    "install the same packages on every node"
                ) from None
            self._died_starting[member.place] += 1
            if self._died_starting[member.place] == _STARTS:
                self._close_place(member.place, f"its worker died as it started: {first_line(error)}")
        else:
            if self._identity not in (None, identity):
                self._end(member)
                raise SteergaugeError(
                    f"the engine on the Ray node {member.place.address} is {' '.join(identity)}, elsewhere "
                    f"{' '.join(self.identity)}: install the same on every node"
                )
            self._identity = identity
            self._died_starting.pop(member.place, None)
            self._idle.append(member)
            self.started_on[member.place.address] += 1
            logger.info(
                "a worker on the Ray node %s is ready; there are %d now",
                member.place.address,
                len(self._idle) + len(self._busy),
            )

    def _close_place(self, place: Place, why: str) -> None:
        self._closed[place] = why
        logger.warning("the Ray node %s has no room for a worker: %s", place.address, why)

    def _end(self, member: Member) -> None:
        self._looked = -_LOOK_AGAIN  # its node may be gone too
        with suppress(self._ray.exceptions.RayError):  # it is dead already
            self._ray.kill(member.actor)


def own_error(error: Any) -> Exception:
    """What was raised on a worker: as itself if it is a `SteergaugeError`, else with the worker's traceback."""
    found: Exception = error.cause if isinstance(error.cause, SteergaugeError) else error
    return found


def first_line(error: Exception) -> str:
    """What an error of Ray's, which are long, says first."""
    return next((line.strip() for line in str(error).splitlines() if line.strip()), type(error).__name__)
