"""Deal entities out to reports like a shuffled deck, then swap until no report contradicts itself.

A swap moves two entities of one pool between two reports: uses stay what they were, so no cap can
be broken, and the last entities are placed as easily as the first. Only what no swap mends is drawn
again.
Shapes: N reports, K entities in each.
"""

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

Entities = NDArray[np.int32]
Conflicts = Callable[[NDArray[np.integer], NDArray[np.integer]], NDArray[np.bool_]]

BLOCK_ROWS = 20_000  # reports compared at once; bounds memory
STALLED_ROUNDS = 12  # rounds of swaps without gain before something else is tried
MAX_STALLS = 60
MAX_REDRAWS = 10_000  # entities tried in one place
_PROPOSALS = 8_000  # swaps tried at once when few places are left to mend


class Undealable(Exception):
    """Some reports could not be freed of contradictions.

    Attributes:
        num_left: How many entities are still in conflict.
    """

    def __init__(self, num_left: int) -> None:
        super().__init__(f"{num_left} entities still in conflict")
        self.num_left = num_left


def deal(
    uses: NDArray[np.int64], entities: NDArray[np.intp], generator: np.random.Generator
) -> Entities:
    """A shuffled deck with each entity as often as its uses, int32 (sum of uses,)."""
    deck = np.repeat(entities.astype(np.int32), uses)
    generator.shuffle(deck)
    return deck


def mend(
    entities_NK: Entities,
    pools_NK: NDArray[np.int8],
    pools: Sequence[NDArray[np.intp]],
    cap: int,
    conflicts: Conflicts,
    generator: np.random.Generator,
) -> None:
    """Exchange entities, in place, until none conflicts with another of its report.

    Swaps come first; where none is left that helps, an entity below its cap is drawn instead, as in
    study 1; where there is none either, a blind swap moves the problem to another report.

    Args:
        entities_NK: Table indices.
        pools_NK: Pool of each place.
        pools: Table indices of each pool's entities.
        cap: Most uses of an entity.
        conflicts: Says of pairs of entities whether they conflict.
        generator: Source of randomness.

    Raises:
        Undealable: If contradictions are left after `MAX_STALLS`.
    """
    bad = find_conflicts(entities_NK, conflicts)
    table = _Table(entities_NK, pools_NK, pools, cap, conflicts, generator)
    for _ in range(MAX_STALLS):
        bad = table.swap_until_stalled(bad)
        if not len(bad):
            return
        bad = table.redraw(bad)
        if not len(bad):
            return
        table.swap_blindly(bad)
        bad = find_conflicts(entities_NK, conflicts)
    raise Undealable(len(bad))


class _Table:
    """The reports being mended, with the moves that can be made."""

    def __init__(
        self,
        entities_NK: Entities,
        pools_NK: NDArray[np.int8],
        pools: Sequence[NDArray[np.intp]],
        cap: int,
        conflicts: Conflicts,
        generator: np.random.Generator,
    ) -> None:
        self._entities_NK = entities_NK
        self._flat = entities_NK.reshape(-1)
        self._pool_of_place = pools_NK.reshape(-1)
        self._places = [np.flatnonzero(self._pool_of_place == pool) for pool in range(len(pools))]
        self._pools = pools
        self._cap = cap
        self._conflicts = conflicts
        self._generator = generator
        assert entities_NK.flags.c_contiguous, "a flat view is what mends in place"

    def swap_until_stalled(self, bad: NDArray[np.intp]) -> NDArray[np.intp]:
        """Swap as long as it helps; returns the flat places still in conflict."""
        stalled = 0
        while len(bad) and stalled < STALLED_ROUNDS:
            for pool, places in enumerate(self._places):
                mine = bad[self._pool_of_place[bad] == pool]
                if len(mine):
                    self._swap_round(mine, places)
            left = self._still_bad(bad)
            stalled = stalled + 1 if len(left) == len(bad) else 0
            bad = left
        return bad

    def redraw(self, bad: NDArray[np.intp]) -> NDArray[np.intp]:
        """Put entities that are below their cap in place of bad ones; returns what is still bad."""
        size = max(int(pool.max(initial=0)) for pool in self._pools) + 1
        uses = np.bincount(self._flat, minlength=size)
        for place in bad:
            pool = self._pools[self._pool_of_place[place]]
            spare = self._generator.permutation(pool[uses[pool] < self._cap])[:MAX_REDRAWS]
            spare = spare.astype(np.int32)
            fitting = spare[
                fits(self._entities_NK, np.full(len(spare), place), spare, self._conflicts)
            ]
            if len(fitting):
                uses[self._flat[place]] -= 1
                uses[fitting[0]] += 1
                self._flat[place] = fitting[0]
        return self._still_bad(bad)

    def swap_blindly(self, bad: NDArray[np.intp]) -> None:
        """Swap each bad place with a random other one of its pool, whatever comes of it."""
        for here in bad:
            places = self._places[self._pool_of_place[here]]
            there = places[self._generator.integers(len(places))]
            self._flat[[here, there]] = self._flat[[there, here]]

    def _swap_round(self, bad: NDArray[np.intp], places: NDArray[np.intp]) -> None:
        """Try to swap bad places with random others of the pool; accept what mends both reports."""
        tries = min(max(1, _PROPOSALS // len(bad)), 2 * len(places))
        here = np.tile(bad, tries)
        there = places[self._generator.integers(len(places), size=len(here))]
        good = fits(self._entities_NK, here, self._flat[there], self._conflicts)
        good[good] = fits(self._entities_NK, there[good], self._flat[here[good]], self._conflicts)
        here, there = here[good], there[good]
        num_columns = self._entities_NK.shape[1]
        keep = independent(here // num_columns, there // num_columns)
        here, there = here[keep], there[keep]
        self._flat[here], self._flat[there] = self._flat[there], self._flat[here]

    def _still_bad(self, places: NDArray[np.intp]) -> NDArray[np.intp]:
        mine = self._flat[places]
        return places[~fits(self._entities_NK, places, mine, self._conflicts)]


def find_conflicts(entities_NK: Entities, conflicts: Conflicts) -> NDArray[np.intp]:
    """Flat places (row · K + column) of entities that conflict with an earlier one of their row."""
    num_columns = entities_NK.shape[1]
    found = []
    for start in range(0, len(entities_NK), BLOCK_ROWS):
        block = entities_NK[start : start + BLOCK_ROWS]
        bad = np.zeros(block.shape, bool)
        for column in range(1, num_columns):
            clash = conflicts(block[:, column, None], block[:, :column])
            bad[:, column] = clash.any(axis=1)
        found.append(np.flatnonzero(bad) + start * num_columns)
    return np.concatenate(found) if found else np.array([], np.intp)


def fits(
    entities_NK: Entities, places: NDArray[np.intp], candidates: Entities, conflicts: Conflicts
) -> NDArray[np.bool_]:
    """Whether each candidate, put at its flat place, conflicts with no other of that report."""
    rows, columns = np.divmod(places, entities_NK.shape[1])
    clash = conflicts(candidates[:, None], entities_NK[rows])
    clash[np.arange(len(places)), columns] = False
    free: NDArray[np.bool_] = np.logical_not(clash.any(axis=1))
    return free


def independent(first_rows: NDArray[np.intp], second_rows: NDArray[np.intp]) -> NDArray[np.bool_]:
    """Which swaps come first in both their reports, and so can all be made at once."""
    order = np.arange(len(first_rows))
    rows = np.concatenate([first_rows, second_rows])
    swaps = np.concatenate([order, order])
    unique, position = np.unique(rows, return_inverse=True)
    first_swap = np.full(len(unique), len(order))
    np.minimum.at(first_swap, position, swaps)
    is_first = first_swap[position] == swaps
    chosen: NDArray[np.bool_] = is_first[: len(order)] & is_first[len(order) :]
    chosen &= first_rows != second_rows
    return chosen
