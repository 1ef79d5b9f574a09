"""What slices and rules leave of a real release, its columns read from Lance."""

import json
from typing import Any

import pytest

from storage.choice import choose
from storage.errors import ObjectMissing
from storage.objects import LocalStore
from storage.releases import Release, release_reviews
from storage.review_records import ReviewDecision
from storage.review_rules import ReviewRules
from storage.reviews import append_reviews, review_table
from storage.slice_scan import matching_ids
from storage.slices import Slice, SliceFilter, save_slice
from tests.storage.made import LAYOUT, LINEAGE, UNIT_SIZE, decided, released_pairs

NUM_PAIRS = 3 * UNIT_SIZE
ALL = frozenset(range(NUM_PAIRS))
KEEP, REJECT = ReviewDecision.KEEP, ReviewDecision.REJECT
_RULES = ReviewRules()


def _ids(indices: frozenset[int] | set[int]) -> frozenset[str]:
    return frozenset(f"{index:032x}" for index in indices)


@pytest.fixture
def reviewed(store: LocalStore) -> Release:
    """Samples 0 to 2 kept, 3 kept by one and rejected by another, 4 rejected."""
    released_pairs(store)
    said = {0: KEEP, 1: KEEP, 2: KEEP, 3: KEEP, 4: REJECT}
    reviews = [decided(f"{index:032x}", "ann", decision) for index, decision in said.items()]
    reviews.append(decided(f"{3:032x}", "bob", REJECT))
    append_reviews(review_table(store, LAYOUT, LINEAGE), reviews)
    return release_reviews(store, LAYOUT)


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({}, ALL),
        ({"writers": ["grammar"], "painters": ["grammar", "phantom"]}, ALL),
        ({"writers": ["vllm"]}, set()),
        ({"words": "FINDINGS 7"}, {7}),
        ({"words": "impression 1"}, {1}),
        ({"min_unit": 1, "max_unit": 1}, {4, 5, 6, 7}),
        ({"min_age_years": 61, "splits": ["train"], "views": ["AP"]}, ALL),
        ({"sexes": ["F"]}, set()),
        ({"findings": ["pleural effusion"]}, ALL),
        ({"entities": [{"text": "pleural effusion", "status": "absent"}]}, set()),
        ({"scores": [{"gate": "technical", "measure": "border fraction", "at_most": 0.1}]}, ALL),
        ({"scores": [{"gate": "technical", "measure": "border fraction", "at_least": 0.2}]}, set()),
        ({"reviews": ["kept"]}, {0, 1, 2}),
        ({"reviews": ["rejected", "undecided"], "max_unit": 1}, {3, 4, 5, 6, 7}),
    ],
)
def test_matching_ids_of_a_release_are_those_the_filter_means(
    store: LocalStore, reviewed: Release, fields: dict[str, Any], expected: set[int]
) -> None:
    wanted = SliceFilter.model_validate(fields)
    assert matching_ids(store, reviewed, wanted) == _ids(expected)


def test_choose_takes_what_slice_and_rule_leave_and_says_so(
    store: LocalStore, reviewed: Release
) -> None:
    everything = choose(store, LAYOUT, None, None, _RULES)
    assert (everything.sample_ids, everything.described) == (None, "")
    assert everything.num_samples == NUM_PAIRS
    kept = choose(store, LAYOUT, None, None, ReviewRules(take="kept"))
    assert kept.sample_ids == _ids({0, 1, 2})
    not_rejected = ReviewRules(take="not-rejected")
    assert choose(store, LAYOUT, None, None, not_rejected).sample_ids == _ids(ALL - {3, 4})
    assert choose(store, LAYOUT, 1, None, not_rejected).sample_ids == _ids(ALL)
    save_slice(store, LAYOUT, "unit-0", Slice(release=2, filter=SliceFilter(max_unit=0)))
    both = choose(store, LAYOUT, None, "unit-0", not_rejected)
    assert (both.release, both.sample_ids) == (reviewed, _ids({0, 1, 2}))
    described = json.loads(both.described)
    assert described["slice"]["name"] == "unit-0"
    assert described["reviews_version"] == reviewed.versions["reviews"]


def test_choose_of_nothing_or_of_what_is_absent_says_so(
    store: LocalStore, reviewed: Release
) -> None:
    with pytest.raises(ValueError, match=r"that reviews\.take 'kept' leaves, got none"):
        choose(store, LAYOUT, 1, None, ReviewRules(take="kept"))
    with pytest.raises(ObjectMissing, match="no slice 'absent'"):
        choose(store, LAYOUT, None, "absent", _RULES)
    save_slice(store, LAYOUT, "first", Slice(release=1, filter=SliceFilter()))
    with pytest.raises(ValueError, match="is of 1, got release 2; name release 1"):
        choose(store, LAYOUT, 2, "first", _RULES)
