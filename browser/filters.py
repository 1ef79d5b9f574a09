"""What a page shows of a table, as the URL says it: every state can be shared.

`entity=disease:pleural effusion`, `view=AP`, `q="no effusion" left`, `min:technical/contrast=20`,
`sort=-technical/contrast`, `after=4711`.
"""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from urllib.parse import urlencode

TEXT, SORT, AFTER = "q", "sort", "after"
LOW, HIGH = "min:", "max:"
MAX_TEXT_CHARS = 200
MAX_CHOICES = 50  # of all facets together; a hand-made URL of thousands is refused
BY_INDEX = "index"


@dataclass(frozen=True, slots=True)
class Choice:
    """One chosen value of a facet."""

    facet: str
    value: str


@dataclass(frozen=True, slots=True)
class Range:
    """Bounds of a measure, both included; None is no bound."""

    measure: str
    low: float | None
    high: float | None


@dataclass(frozen=True, slots=True)
class Filters:
    """Which rows, in which order; hashable, so that answers can be remembered.

    Attributes:
        sort: "index" or a measure; with a leading "-" from the greatest down.
    """

    choices: tuple[Choice, ...] = ()
    ranges: tuple[Range, ...] = ()
    text: str = ""
    sort: str = BY_INDEX

    @property
    def by_facet(self) -> dict[str, tuple[str, ...]]:
        """Chosen values of each facet that has any."""
        chosen: dict[str, tuple[str, ...]] = {}
        for choice in self.choices:
            chosen[choice.facet] = (*chosen.get(choice.facet, ()), choice.value)
        return chosen

    @property
    def any_set(self) -> bool:
        """Whether fewer than all rows are asked for."""
        return bool(self.choices or self.ranges or self.text)

    def query(self, **more: str | int) -> str:
        """As the URL has it, without a question mark."""
        pairs: list[tuple[str, str | int]] = [(one.facet, one.value) for one in self.choices]
        for one in self.ranges:
            pairs += [(f"{LOW}{one.measure}", _text(one.low))] if one.low is not None else []
            pairs += [(f"{HIGH}{one.measure}", _text(one.high))] if one.high is not None else []
        pairs += [(TEXT, self.text)] if self.text else []
        pairs += [(SORT, self.sort)] if self.sort != BY_INDEX else []
        return urlencode([*pairs, *more.items()])

    def with_choice(self, facet: str, value: str) -> "Filters":
        """The same with one more value chosen."""
        return replace(self, choices=_ordered([*self.choices, Choice(facet, value)]))

    def without_choice(self, facet: str, value: str) -> "Filters":
        """The same with one value no longer chosen."""
        gone = Choice(facet, value)
        return replace(self, choices=tuple(one for one in self.choices if one != gone))

    def without_facet(self, facet: str) -> "Filters":
        """The same with nothing chosen of one facet."""
        return replace(self, choices=tuple(one for one in self.choices if one.facet != facet))

    def without_range(self, measure: str) -> "Filters":
        """The same without bounds on a measure."""
        return replace(self, ranges=tuple(one for one in self.ranges if one.measure != measure))

    def without_text(self) -> "Filters":
        """The same without words to search for."""
        return replace(self, text="")


def parse_filters(
    pairs: Iterable[tuple[str, str]],
    facets: Iterable[str],
    measures: Mapping[str, tuple[float, float]],
) -> Filters:
    """What the pairs of a URL ask for. Bounds at or beyond a measure's own are none.

    Args:
        pairs: Names and values of the query, without those of the page itself.
        facets: Names of the table's facets.
        measures: Each measure's least and greatest value.

    Raises:
        ValueError: If a name or a value can be none; says which there are.
    """
    known, choices = tuple(facets), set[Choice]()
    lows, highs = dict[str, float](), dict[str, float]()
    text, sort = "", BY_INDEX
    for name, value in pairs:
        if name in known:
            choices.add(Choice(name, value))
        elif name.startswith((LOW, HIGH)):
            measure = _known_measure(name[len(LOW) :], measures)
            if value:
                (lows if name.startswith(LOW) else highs)[measure] = _number(name, value)
        elif name == TEXT:
            text = " ".join(value.split())
        elif name == SORT:
            sort = value or BY_INDEX
        else:
            raise ValueError(
                f"expected a facet ({', '.join(known)}), q, sort, min:MEASURE or "
                f"max:MEASURE, got {name!r}"
            )
    _check_bounds(text, len(choices))
    if sort.removeprefix("-") != BY_INDEX:
        _known_measure(sort.removeprefix("-"), measures)
    ranges = (
        _range(measure, lows.get(measure), highs.get(measure), measures[measure])
        for measure in sorted(lows.keys() | highs.keys())
    )
    return Filters(_ordered(choices), tuple(one for one in ranges if one), text, sort)


def _check_bounds(text: str, num_choices: int) -> None:
    if len(text) > MAX_TEXT_CHARS:
        raise ValueError(f"expected at most {MAX_TEXT_CHARS} characters of words, got {len(text)}")
    if num_choices > MAX_CHOICES:
        raise ValueError(f"expected at most {MAX_CHOICES} chosen values, got {num_choices}")


def _ordered(choices: Iterable[Choice]) -> tuple[Choice, ...]:
    return tuple(sorted(choices, key=lambda one: (one.facet, one.value)))


def _known_measure(measure: str, measures: Mapping[str, tuple[float, float]]) -> str:
    if measure not in measures:
        raise ValueError(f"expected a measure ({', '.join(measures)}), got {measure!r}")
    return measure


def _number(name: str, value: str) -> float:
    try:
        number = float(value)
    except ValueError:
        number = math.nan
    if not math.isfinite(number):
        raise ValueError(f"expected a number for {name}, got {value[:40]!r}")
    return number


def _range(
    measure: str, low: float | None, high: float | None, bounds: tuple[float, float]
) -> Range | None:
    least, greatest = bounds
    low = None if low is not None and (low <= least or _same(low, least)) else low
    high = None if high is not None and (high >= greatest or _same(high, greatest)) else high
    return None if low is None and high is None else Range(measure, low, high)


def _same(one: float, other: float) -> bool:
    """As 32 bits tell them apart; a slider's end comes back rounded."""
    return math.isclose(one, other, rel_tol=1e-6)


def _text(number: float) -> str:
    return str(number).removesuffix(".0")
