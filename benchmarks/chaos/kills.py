"""What is killed, when, and how long it took until another process had taken its place."""

import random
import signal
import time
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum

from benchmarks.chaos.made import SHARD_UNITS, Made
from benchmarks.chaos.survey import Process, Role, below, kill
from storage.records import Stage

STOP_SECONDS = 20.0  # for a server that is told to end; then it is killed, as by a service manager


class Kind(StrEnum):
    """What dies."""

    ENGINE = "engine"
    SHARD = "shard"
    ORCHESTRATOR = "orchestrator"
    PUBLISHER = "publisher"  # an orchestrator, while it publishes
    WORKER = "worker"  # what guards it then ends the runs that it had begun
    SERVER = "server"
    HOST = "host"  # a worker, its guard and all that they started, at once: nobody reports it


_ROLES = {
    Kind.ENGINE: Role.ENGINE,
    Kind.SHARD: Role.SHARD,
    Kind.ORCHESTRATOR: Role.ORCHESTRATOR,
    Kind.PUBLISHER: Role.ORCHESTRATOR,
    Kind.WORKER: Role.WORKER,
    Kind.SERVER: Role.SERVER,
    Kind.HOST: Role.GUARD,
}


@dataclass
class Kill:
    """One kill, and what became of it.

    Attributes:
        at: On the monotonic clock, seconds.
        repaired_after: Seconds until another process did the same work, or there was none to do.
    """

    kind: Kind
    victim: Process
    at: float
    repaired_after: float | None = None

    def __str__(self) -> str:
        return f"{self.kind} {self.victim.name!r} (process {self.victim.pid})"


@dataclass
class Schedule:
    """Kinds yet to be killed, in a random order; each due at its share of the whole progress."""

    num_kills: int
    chance: random.Random
    remaining: list[Kind] = field(init=False)
    _unpublished: set[str] = field(default_factory=set)

    def __post_init__(self) -> None:
        kinds = list(Kind)
        self.remaining = [kinds[number % len(kinds)] for number in range(self.num_kills)]
        self.chance.shuffle(self.remaining)

    def is_due(self, progress: float) -> bool:
        """Whether the next kill is, at a progress of 0 to 1; the last is due at 0.9."""
        done = self.num_kills - len(self.remaining)
        return bool(self.remaining) and progress >= 0.9 * done / self.num_kills

    def take(
        self, processes: Sequence[Process], made: Mapping[str, Made], progress: float
    ) -> tuple[Kind, Process] | None:
        """The next kind that has a victim now, and the victim; a publisher whenever there is one.

        Publishing takes a second or two of a dataset's life, so a publisher is never waited for.
        """
        due = dict.fromkeys(self.remaining) if self.is_due(progress) else {}
        publishers = [Kind.PUBLISHER] if Kind.PUBLISHER in self.remaining else []
        for kind in [*publishers, *due]:
            if found := self._victims(kind, processes, made):
                self.remaining.remove(kind)
                victim = self.chance.choice(found)
                if kind is Kind.PUBLISHER:
                    self._unpublished.add(victim.dataset)
                return kind, victim
        return None

    def _victims(
        self, kind: Kind, processes: Sequence[Process], made: Mapping[str, Made]
    ) -> list[Process]:
        """As `victims`; of a dataset one publisher at most, since the next is just starting."""
        found = victims(kind, processes, made)
        if kind is not Kind.PUBLISHER:
            return found
        return [one for one in found if one.dataset not in self._unpublished]


def victims(kind: Kind, processes: Sequence[Process], made: Mapping[str, Made]) -> list[Process]:
    """The processes that a kill of this kind may meet."""
    found = [one for one in processes if one.role is _ROLES[kind]]
    match kind:
        case Kind.PUBLISHER:
            return [one for one in found if made[one.dataset].publishing]
        case Kind.ORCHESTRATOR:
            return [one for one in found if not made[one.dataset].released]
        case Kind.HOST:  # of a worker that has runs
            return [one for one in found if any(of.run for of in below(one.pid, processes))]
        case _:
            return found


def strike(
    kind: Kind, victim: Process, processes: Collection[Process], chance: random.Random
) -> None:
    """Kill it. A server is also told to end, every other time."""
    if kind is Kind.SERVER:
        kill(victim.pid, chance.choice((signal.SIGKILL, signal.SIGTERM)))
        return
    with_it = below(victim.pid, processes) if kind is Kind.HOST else []
    for one in (victim, *with_it):
        kill(one.pid, signal.SIGKILL)


def end_what_stays(killed: Kill, processes: Collection[Process]) -> bool:
    """Kill a server that was told to end and has not; whether it was so.

    Prefect's may close its port and then wait for its connections for good.
    """
    is_there = any(one.pid == killed.victim.pid for one in processes)
    is_late = time.monotonic() - killed.at > STOP_SECONDS
    if not (killed.kind is Kind.SERVER and is_there and is_late):
        return False
    kill(killed.victim.pid, signal.SIGKILL)
    return True


def is_repaired(
    killed: Kill, processes: Collection[Process], made: Mapping[str, Made], server_answers: bool
) -> bool:
    """Whether another process does what the victim did, or nothing of it is left to do."""
    victim = killed.victim
    others = [one for one in processes if one.pid != victim.pid]
    match killed.kind:
        case Kind.SERVER:  # one that was told to end answers for a while
            return server_answers and any(one.role is Role.SERVER for one in others)
        case Kind.WORKER | Kind.HOST:
            return any(one.role is Role.WORKER and one.name == victim.name for one in others)
        case Kind.ORCHESTRATOR | Kind.PUBLISHER:
            again = any(
                one.role is Role.ORCHESTRATOR and one.dataset == victim.dataset for one in others
            )
            return again or made[victim.dataset].released
        case Kind.ENGINE | Kind.SHARD:
            again = any(one.role is victim.role and one.name == victim.name for one in others)
            return again or _is_settled(victim.name, made[victim.dataset])


def _is_settled(name: str, made: Made) -> bool:
    """Whether a shard, by its run's name, has nothing left to do."""
    words = name.split()
    if "shard" not in words:  # of a command, which does all shards
        return len(made.records) == made.num_records
    first = int(words[words.index("shard") + 1]) * SHARD_UNITS
    units = range(first, min(first + SHARD_UNITS, made.work_units))
    return made.settled(Stage(words[0]), units)
