import numpy as np
from numpy.typing import NDArray

from models.sampling.placing import NOWHERE, improve_places, place_findings


def tens_match(finding: NDArray[np.integer], anatomy: NDArray[np.integer]) -> NDArray[np.bool_]:
    return np.equal(finding * 10, anatomy)


def same(first: NDArray[np.integer], second: NDArray[np.integer]) -> NDArray[np.bool_]:
    return np.equal(first, second)


def test_place_findings_one_finding_per_anatomy_and_only_present_ones() -> None:
    clinical = np.array([[1, 1, 2, 3]], np.int32)
    anatomy = np.array([[10, 20, 30]], np.int32)
    placed = place_findings(clinical, np.array([3], np.int8), anatomy, tens_match)
    assert placed.tolist() == [[0, NOWHERE, 1, NOWHERE]]


def test_improve_places_moves_anatomy_to_where_it_is_needed() -> None:
    clinical = np.array([[1], [2]], np.int32)
    anatomy = np.array([[20], [10]], np.int32)
    present = np.array([1, 1], np.int8)
    improve_places(clinical, present, anatomy, tens_match, same, np.random.default_rng(0))
    assert anatomy.tolist() == [[10], [20]]


def test_improve_places_keeps_uses_and_repeats_nothing() -> None:
    generator = np.random.default_rng(2)
    clinical = generator.integers(1, 9, (200, 3)).astype(np.int32)
    anatomy = np.array([generator.permutation(8)[:3] * 10 + 10 for _ in range(200)], np.int32)
    present = np.full(200, 3, np.int8)
    before = np.bincount(anatomy.ravel())
    placed = (place_findings(clinical, present, anatomy, tens_match) != NOWHERE).sum()
    improve_places(clinical, present, anatomy, tens_match, same, generator)
    assert (np.bincount(anatomy.ravel()) == before).all()
    assert all(len(set(row)) == 3 for row in anatomy.tolist())
    after = (place_findings(clinical, present, anatomy, tens_match) != NOWHERE).sum()
    assert after > 1.2 * placed
