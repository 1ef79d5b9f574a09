import numpy as np
import pytest
from numpy.typing import NDArray

from models.sampling.dealing import Undealable, deal, find_conflicts, independent, mend


def same(first: NDArray[np.integer], second: NDArray[np.integer]) -> NDArray[np.bool_]:
    return np.equal(first, second)


def test_deal_gives_each_entity_its_uses() -> None:
    deck = deal(np.array([2, 0, 3]), np.array([7, 8, 9]), np.random.default_rng(0))
    assert sorted(deck) == [7, 7, 9, 9, 9]


def test_find_conflicts_names_the_later_place() -> None:
    entities = np.array([[1, 2, 3], [4, 5, 4], [6, 6, 6]], np.int32)
    assert find_conflicts(entities, same).tolist() == [5, 7, 8]


def test_mend_full_decks_are_mended_by_swaps_alone() -> None:
    generator = np.random.default_rng(5)
    entities = deal(np.full(10, 40), np.arange(10), generator).reshape(100, 4)
    before = np.bincount(entities.ravel())
    mend(entities, np.zeros((100, 4), np.int8), [np.arange(10)], 40, same, generator)
    assert len(find_conflicts(entities, same)) == 0
    assert (np.bincount(entities.ravel()) == before).all()


def test_mend_places_keep_their_pools() -> None:
    generator = np.random.default_rng(5)
    pools = np.tile(np.array([0, 0, 1], np.int8), (50, 1))
    entities = np.empty((50, 3), np.int32)
    entities[:, :2] = generator.integers(0, 8, (50, 2))
    entities[:, 2] = generator.integers(8, 12, 50)
    mend(entities, pools, [np.arange(8), np.arange(8, 12)], 50, same, generator)
    assert entities[:, :2].max() < 8
    assert entities[:, 2].min() >= 8


def test_mend_single_report_draws_again_below_the_cap() -> None:
    entities = np.array([[1, 1, 1]], np.int32)
    generator = np.random.default_rng(0)
    mend(entities, np.zeros((1, 3), np.int8), [np.arange(4)], 1, same, generator)
    assert len(set(entities[0].tolist())) == 3


def test_mend_impossible_raises() -> None:
    entities = np.array([[0, 0], [0, 0]], np.int32)
    with pytest.raises(Undealable):
        mend(
            entities,
            np.zeros((2, 2), np.int8),
            [np.arange(1)],
            9,
            same,
            np.random.default_rng(0),
        )


def test_independent_keeps_first_swaps_of_distinct_reports() -> None:
    keep = independent(np.array([0, 1, 2, 3]), np.array([1, 4, 5, 3]))
    assert keep.tolist() == [True, False, True, False]
