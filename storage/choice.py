"""What of a release is taken, to train on or to export: a slice of it, and what reviewers kept."""

import hashlib
from dataclasses import dataclass
from typing import Any

from storage.identity import canonical_json
from storage.layout import DatasetLayout, Table
from storage.objects import ObjectStore
from storage.releases import Release, open_release, open_table
from storage.review_rules import ReviewRules
from storage.reviews import released_reviews, standing_reviews
from storage.slice_scan import matching_ids
from storage.slices import read_slice, slice_content
from storage.tables import lance_errors


@dataclass(frozen=True, slots=True)
class Choice:
    """Which samples of a release are taken, and why these.

    Attributes:
        release: The release read.
        sample_ids: None: all of them.
        described: The rule, the version of the reviews it was applied to, the slice and its hash,
            as JSON in one byte form; empty where all samples are taken.
    """

    release: Release
    sample_ids: frozenset[str] | None
    described: str

    @property
    def num_samples(self) -> int:
        """How many are taken, of all splits."""
        return self.release.num_accepted if self.sample_ids is None else len(self.sample_ids)


def choose(
    store: ObjectStore,
    layout: DatasetLayout,
    number: int | None,
    slice_name: str | None,
    rules: ReviewRules,
) -> Choice:
    """What a release, a slice and a rule leave together.

    Args:
        store: The root.
        layout: The dataset.
        number: Of the release; None: the slice's, or the newest where there is no slice.
        slice_name: None: no slice.
        rules: How the decisions that the release names are counted.

    Raises:
        ObjectMissing: If there is no such release or slice.
        ValueError: If the slice is of another release, or nothing at all is left.
    """
    release = release_of(store, layout, number, slice_name)
    described: dict[str, Any] = {}
    taken: frozenset[str] | None = None
    if slice_name is not None:
        wanted = read_slice(store, layout, slice_name)
        taken = matching_ids(store, release, wanted.filter)
        sha256 = hashlib.sha256(slice_content(wanted)).hexdigest()
        described["slice"] = {"name": slice_name, "sha256": sha256}
    if rules.take != "all":
        taken = _reviewed(store, release, rules, taken)
        described["reviews"] = rules.model_dump(mode="json")
        described["reviews_version"] = release.versions.get(Table.REVIEWS)
    if taken is not None and not taken:
        raise ValueError(
            f"release {release.release_id} must have pairs that {' and '.join(_named(described))} "
            "leaves, got none; if decisions are newer than the release, run "
            f"cxr-factory release {layout.name}, else take more"
        )
    return Choice(release, taken, canonical_json(described).decode() if described else "")


def release_of(
    store: ObjectStore, layout: DatasetLayout, number: int | None, slice_name: str | None
) -> Release:
    """The release that a number and a slice's name mean together.

    Raises:
        ObjectMissing: If there is no such release or slice.
        ValueError: If the slice is of another release.
    """
    if slice_name is None:
        return open_release(store, layout, number)
    of_slice = read_slice(store, layout, slice_name).release
    if number not in (None, of_slice):
        raise ValueError(
            f"slice {slice_name!r} must be of the release that is read, is of {of_slice}, got "
            f"release {number}; name release {of_slice}, or save a slice of {number}"
        )
    return open_release(store, layout, of_slice)


def _reviewed(
    store: ObjectStore, release: Release, rules: ReviewRules, among: frozenset[str] | None
) -> frozenset[str]:
    standing = standing_reviews(released_reviews(store, release))
    ids = _all_ids(store, release) if among is None else among
    return frozenset(one for one in ids if rules.takes(standing.get(one, {})))


def _all_ids(store: ObjectStore, release: Release) -> frozenset[str]:
    dataset = open_table(store, release, Table.PAIRS)
    with lance_errors(dataset.uri):
        return frozenset(dataset.to_table(columns=["sample_id"])["sample_id"].to_pylist())


def _named(described: dict[str, Any]) -> list[str]:
    by_slice = [f"slice {described['slice']['name']!r}"] if "slice" in described else []
    by_rule = [f"reviews.take {described['reviews']['take']!r}"] if "reviews" in described else []
    return by_slice + by_rule
