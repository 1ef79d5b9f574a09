"""Rounds of a unit: what the judge sends back is painted and judged again, as a unit of its own.

Round r of unit u is unit u + (r − 1) · N of the paint and judge stages, where the plan has N
units. It holds the samples whose image the judge refused in round r − 1, so it is known as soon as
that judge record stands, and never changes. Without a judge there is one round.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from storage.ledger import Ledger
from storage.records import Outcome, Stage


@dataclass(frozen=True, slots=True)
class Rounds:
    """How often a sample is painted and judged, and how the units of later rounds are numbered.

    Attributes:
        num_units: Units of the plan, reserves included.
        max_rounds: At least 1; 1 without a judge.
    """

    num_units: int
    max_rounds: int = 1

    @property
    def all(self) -> range:
        """Every round a unit may come to, from 1."""
        return range(1, self.max_rounds + 1)

    def number(self, unit: int, round_number: int) -> int:
        """The number of a unit's round in ledger, staging and failures."""
        return unit + (round_number - 1) * self.num_units

    def numbers(self, units: Iterable[int]) -> set[int]:
        """The numbers of all rounds of these units."""
        return {self.number(unit, each) for unit in units for each in self.all}

    def unit_of(self, number: int) -> int:
        """The plan's unit that a number belongs to."""
        return number % self.num_units

    def before(self, number: int) -> int:
        """The number of the round before; of a later round alone."""
        assert number >= self.num_units, f"{number} is of the first round"
        return number - self.num_units


def unwritten(ledger: Ledger, units: Iterable[int]) -> list[int]:
    """Units without a record of the write stage."""
    return sorted(set(units) - ledger.settled_units(Stage.WRITE))


def unpainted(ledger: Ledger, rounds: Rounds, units: Iterable[int], round_number: int) -> list[int]:
    """Numbers that can be painted in a round and have no record of it.

    In the first round what is written can be painted, later what the judge has sent back.
    """
    numbers = {rounds.number(unit, round_number) for unit in units}
    if round_number == 1:
        ready = numbers & ledger.settled_units(Stage.WRITE)
    else:
        ready = _sent_back(ledger, rounds, numbers)
    return sorted(ready - ledger.settled_units(Stage.PAINT))


def unjudged(ledger: Ledger, rounds: Rounds, units: Iterable[int], round_number: int) -> list[int]:
    """Numbers that are painted in a round and not judged."""
    numbers = {rounds.number(unit, round_number) for unit in units}
    painted = numbers & ledger.settled_units(Stage.PAINT)
    return sorted(painted - ledger.settled_units(Stage.JUDGE))


def _sent_back(ledger: Ledger, rounds: Rounds, numbers: set[int]) -> set[int]:
    """Those of the numbers in whose round before the judge refused an image."""
    judged = ledger.settled_units(Stage.JUDGE)
    befores = {number: rounds.before(number) for number in numbers}
    return {
        number
        for number, before in befores.items()
        if before in judged and _refused_any(ledger, before)
    }


def _refused_any(ledger: Ledger, number: int) -> bool:
    record = ledger.record(Stage.JUDGE, number)
    return any(one.outcome is Outcome.REJECTED for one in record.outcomes)
