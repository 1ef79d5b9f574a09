"""Axes: where a value stands, and which values are written beside it."""

import math
from dataclasses import dataclass
from typing import Protocol

_STEPS = (1.0, 2.0, 2.5, 5.0, 10.0)
_MOST_TICKS = 6


class Axis(Protocol):
    """A range of values and its title."""

    @property
    def title(self) -> str:
        """What it measures, with the unit."""
        ...

    @property
    def ticks(self) -> tuple[float, ...]:
        """Values to write beside it, rising."""
        ...

    def place(self, value: float) -> float:
        """Where a value stands: 0 at the least, 1 at the greatest."""
        ...


@dataclass(frozen=True, slots=True)
class LinearAxis:
    """From 0 to at least `greatest`, in round steps."""

    title: str
    greatest: float

    @property
    def step(self) -> float:
        """Between two ticks."""
        return _round_step(self.greatest or 1.0)

    @property
    def ticks(self) -> tuple[float, ...]:
        """From 0 on."""
        num = max(1, math.ceil((self.greatest or 1.0) / self.step - 1e-9))
        return tuple(position * self.step for position in range(num + 1))

    def place(self, value: float) -> float:
        """Where a value stands: 0 at 0, 1 at the last tick."""
        return value / self.ticks[-1]


@dataclass(frozen=True, slots=True)
class SpanAxis:
    """From at most `least` to at least `greatest`, in round steps; 0 is a step where it lies in."""

    title: str
    least: float
    greatest: float

    @property
    def ticks(self) -> tuple[float, ...]:
        """Multiples of a round step."""
        step = _round_step(self.greatest - self.least or 1.0)
        first = math.floor(self.least / step + 1e-9)
        last = max(first + 1, math.ceil(self.greatest / step - 1e-9))
        return tuple(position * step for position in range(first, last + 1))

    def place(self, value: float) -> float:
        """Where a value stands: 0 at the first tick, 1 at the last."""
        return (value - self.ticks[0]) / (self.ticks[-1] - self.ticks[0])


@dataclass(frozen=True, slots=True)
class LogAxis:
    """From 1 to at least `greatest`, a power of ten a tick."""

    title: str
    greatest: float

    @property
    def ticks(self) -> tuple[float, ...]:
        """Powers of ten."""
        num = max(1, math.ceil(math.log10(max(self.greatest, 1.0)) - 1e-9))
        return tuple(10.0**power for power in range(num + 1))

    def place(self, value: float) -> float:
        """Where a value of at least 1 stands."""
        return math.log10(value) / math.log10(self.ticks[-1])


def _round_step(span: float) -> float:
    """The smallest round step of which few cover a span."""
    least = span / (_MOST_TICKS - 1)
    power = 10.0 ** math.floor(math.log10(least))
    return power * next(step for step in _STEPS if step * power >= least * (1 - 1e-9))


def tick_words(value: float) -> str:
    """A tick for people: 1,000 or −0.25."""
    words = f"{int(value):,}" if value == int(value) else f"{value:.4g}"
    return words.replace("-", "−")
