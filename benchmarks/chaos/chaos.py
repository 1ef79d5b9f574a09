"""The run: datasets are made side by side on one fleet, while its processes are killed."""

import random
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, field

import httpx

from benchmarks.chaos.checks import Identities, failures
from benchmarks.chaos.fleet import Fleet
from benchmarks.chaos.held import HeldSlots
from benchmarks.chaos.kills import Kill, Kind, Schedule, end_what_stays, is_repaired, strike
from benchmarks.chaos.made import Made
from benchmarks.chaos.orchestrating import Commands, Operator
from benchmarks.chaos.survey import Process, is_alive, survey

POLL_SECONDS = 0.3
_ASK_EVERY = 4  # polls; what the server is asked
_JITTER_SECONDS = 0.6
HELD_LIMIT_SECONDS = 120.0


@dataclass
class Chaos:
    """Everything that is going on, and what was found.

    Attributes:
        kills: Those done so far.
        found: What went wrong, one line each.
    """

    fleet: Fleet
    datasets: Sequence[Made]
    schedule: Schedule
    chance: random.Random
    deadline_seconds: float
    kills: list[Kill] = field(default_factory=list)
    found: list[str] = field(default_factory=list)
    slots: HeldSlots = field(default_factory=HeldSlots)
    _names: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.made = {one.name: one for one in self.datasets}
        self.operator = Operator(self.fleet)
        self.commands = Commands(self.fleet, [one for one in self.datasets if one.by_command])
        self._pooled = [one for one in self.datasets if not one.by_command]

    def run(self) -> None:
        """Make all datasets under the kills; ends when all are released and no slot is held."""
        deadline = time.monotonic() + self.deadline_seconds
        number = 0
        try:
            while not self._is_done():
                if time.monotonic() > deadline:
                    self.found.append(
                        f"not done in {self.deadline_seconds:g} s: {self._unfinished()}"
                    )
                    return
                self._step(number % _ASK_EVERY == 0)
                number += 1
                time.sleep(POLL_SECONDS)
        finally:
            self.commands.stop()

    def check(self, undisturbed: dict[int, Identities]) -> None:
        """Hold every promise against every dataset."""
        for made in self.datasets:
            expected = None if made.variant is None else undisturbed[made.variant]
            self.found += failures(made, expected)
        self.found += self.operator.missed
        self.found += [f"{one}: nothing took its place" for one in self.kills if _is_open(one)]
        if self.schedule.remaining:
            self.found.append(f"no victim was met for {len(self.schedule.remaining)} kills")
        if self.slots.longest_seconds > HELD_LIMIT_SECONDS:
            self.found.append(
                f"a slot was held {self.slots.longest_seconds:.0f} s by the dead: "
                f"{self.slots.longest_name}"
            )
        if self.commands.num_refused:
            self.found.append(f"{self.commands.num_refused} commands found the lock of the dead")

    def by_kind(self) -> dict[str, dict[str, float]]:
        """Per kind: kills, how many were survived, and the longest time to repair in seconds."""
        figures = {}
        for kind in Kind:
            of_kind = [one for one in self.kills if one.kind is kind]
            times = [one.repaired_after for one in of_kind if one.repaired_after is not None]
            figures[str(kind)] = {
                "kills": len(of_kind),
                "survived": len(times),
                "longest_repair_seconds": round(max(times, default=0.0), 1),
            }
        return figures

    def _step(self, ask: bool) -> None:
        for made in self.datasets:
            if not made.released:
                made.look()
        self.commands.look()
        processes = self._survey()
        answers = self._ask(processes) if ask else False
        for one in filter(_is_open, self.kills):
            if end_what_stays(one, processes):
                say(f"{one} had not ended when told to: killed")
            elif is_repaired(one, processes, self.made, answers):
                one.repaired_after = time.monotonic() - one.at
        self._kill_one(processes)

    def _kill_one(self, processes: list[Process]) -> None:
        chosen = self.schedule.take(processes, self.made, self._progress())
        if chosen is None:
            return
        kind, victim = chosen
        time.sleep(self.chance.random() * _JITTER_SECONDS)
        if not is_alive(victim.pid):  # it ended by itself meanwhile
            self.schedule.remaining.append(kind)
            return
        killed = Kill(kind, victim, time.monotonic())
        strike(kind, victim, self._survey(), self.chance)
        self.kills.append(killed)
        say(f"{len(self.kills)}: {killed} at {self._progress():.0%}")

    def _ask(self, processes: list[Process]) -> bool:
        """What only the server knows; false while it is away."""
        try:
            at_work = self.fleet.runs.at_work()
            self._names |= {run.id: run.name for run in at_work}
            self.slots.look(at_work, {one.run for one in processes if one.run})
            self.operator.look(self._pooled)
        except httpx.HTTPError:
            return False
        return True

    def _survey(self) -> list[Process]:
        return survey(self.fleet.url, self._names.get)

    def _progress(self) -> float:
        done = sum(len(one.records) for one in self.datasets)
        return done / sum(one.num_records for one in self.datasets)

    def _is_done(self) -> bool:
        released = all(one.released for one in self.datasets)
        return released and self.slots.is_free and not any(_is_open(one) for one in self.kills)

    def _unfinished(self) -> str:
        left = [one.name for one in self.datasets if not one.released]
        return (
            f"without a release {left}, not repaired {[str(k) for k in self.kills if _is_open(k)]}"
        )


def say(line: str) -> None:
    """To whoever watches."""
    sys.stderr.write(f"{time.strftime('%H:%M:%S')} {line}\n")
    sys.stderr.flush()


def _is_open(killed: Kill) -> bool:
    return killed.repaired_after is None
