"""What comparing images has found is found again, and no image is compared twice."""

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from storage import comparisons
from storage.comparisons import Comparisons
from storage.errors import DamagedObject
from storage.hash_bands import Words
from storage.layout import DatasetLayout
from storage.near_duplicates import KnownTwins, Twin, find_twins
from storage.objects import LocalStore

LAYOUT = DatasetLayout("tiny")
NUM, DISTANCE = 60, 24


@pytest.fixture(autouse=True)
def seen(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many images were known each time that some were compared; few are many here."""
    known: list[int] = []

    def find(
        words_NW: Words,
        index_N: NDArray[np.int64],
        max_distance: int,
        earlier: KnownTwins = comparisons.NOTHING_KNOWN,
    ) -> dict[int, Twin]:
        known.append(earlier.num_samples)
        return find_twins(words_NW, index_N, max_distance, earlier)

    monkeypatch.setattr(comparisons, "find_twins", find)
    monkeypatch.setattr(comparisons, "FEWEST_IMAGES", 20)
    return known


@pytest.fixture
def store(tmp_path: Path) -> LocalStore:
    return LocalStore(str(tmp_path))


@pytest.fixture
def words() -> Words:
    """Every third like the one before it, to a bit."""
    words_NW = np.random.default_rng(0).integers(0, 2**63, (NUM, 4)).astype(np.uint64)
    words_NW[2::3] = words_NW[1::3] ^ np.uint64(1)
    return words_NW


INDEX = np.arange(0, 2 * NUM, 2)


def _find(store: LocalStore, words: Words, num: int = NUM, distance: int = DISTANCE) -> object:
    made = Comparisons(store, LAYOUT)
    twins = made.find(words[:num], INDEX[:num], distance)
    made.put_down()
    return twins


def _objects(store: LocalStore) -> list[str]:
    return [info.key for info in store.list("")]


def test_find_goes_on_behind_the_longest_comparison_of_the_same_images(
    store: LocalStore, words: Words, seen: list[int]
) -> None:
    whole = find_twins(words, INDEX, DISTANCE)
    assert len(whole) == NUM // 3
    for num in (25, 30, 50, NUM, NUM):
        found = {index: twin for index, twin in whole.items() if index < 2 * num}
        assert _find(store, words, num) == found
    assert seen == [0, 25, 25, 50, 50]
    assert len(_objects(store)) == 2, "what adds few images is not put down"


@pytest.mark.parametrize("change", ["image", "index", "distance", "fewer"])
def test_find_of_other_images_knows_nothing(
    change: str, store: LocalStore, words: Words, seen: list[int]
) -> None:
    _find(store, words)
    other, index, distance = words.copy(), INDEX.copy(), DISTANCE
    if change == "image":
        other[0] ^= np.uint64(1)
    if change == "index":
        index[-1] += 1
    if change == "distance":
        distance += 1
    if change == "fewer":
        other, index = other[:-1], index[:-1]
    found = Comparisons(store, LAYOUT).find(other, index, distance)
    assert found == find_twins(other, index, distance)
    assert seen == [0, 0]


def test_find_of_few_asks_the_store_nothing(store: LocalStore, words: Words) -> None:
    assert _find(store, words, num=19) == find_twins(words[:19], INDEX[:19], DISTANCE)
    assert _objects(store) == []


def test_find_alone_writes_nothing(store: LocalStore, words: Words) -> None:
    Comparisons(store, LAYOUT).find(words, INDEX, DISTANCE)
    assert _objects(store) == []


def test_damaged_comparison_is_named(store: LocalStore, words: Words) -> None:
    _find(store, words)
    (key,) = _objects(store)
    store.put(key, store.get(key)[:-1] + b"x")
    with pytest.raises(DamagedObject, match=r"tiny/ledger/comparisons/24/60-.*; delete it"):
        _find(store, words)
