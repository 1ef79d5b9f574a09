"""Releases: one version of every table, named once. Readers open a release, never the latest."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from typing import Any

import lance

from storage.errors import DamagedObject, ObjectMissing
from storage.json_files import parse_json
from storage.layout import DatasetLayout, Table, number_of
from storage.objects import ObjectStore
from storage.records import NOT_FOR_CLINICAL_USE
from storage.table_schemas import Lineage
from storage.tables import lance_errors, open_lance, table_exists


@dataclass(frozen=True, slots=True)
class Release:
    """One version of every table of a dataset.

    Attributes:
        number: From 1, without gaps.
        versions: Table → Lance version; reviews only where there are any.
        num_accepted: Rows of pairs at that version.
        target: N of `accepted: N`; None for `all`.
        complete: Whether the plan's target is met.
        restricted: Derived from credentialed data.
        created_at: UTC, ISO 8601.
    """

    number: int
    dataset: str
    fingerprint: str
    versions: Mapping[str, int]
    num_accepted: int
    target: int | None
    complete: bool
    restricted: bool
    created_at: str
    notice: str = NOT_FOR_CLINICAL_USE

    @property
    def release_id(self) -> str:
        """Names the release in events, checkpoints and exports: `<dataset>@<number>`."""
        return f"{self.dataset}@{self.number}"

    @property
    def tag(self) -> str:
        """The Lance tag on every table's version."""
        return f"release-{self.number}"


def create_release(
    store: ObjectStore,
    layout: DatasetLayout,
    lineage: Lineage,
    *,
    target: int | None,
    complete: bool,
) -> Release:
    """Release the tables as they are now; the latest release is returned if nothing changed.

    Safe to repeat after a kill at any moment, and to race: the number is put if absent.
    """
    while True:
        numbers = release_numbers(store, layout)
        latest = open_release(store, layout, numbers[-1]) if numbers else None
        wanted = _release_of_now(store, layout, lineage, target, complete)
        if (stands := _put_next(store, layout, latest, wanted)) is not None:
            return stands


def release_reviews(store: ObjectStore, layout: DatasetLayout) -> Release:
    """Release the newest release's tables with the reviews as they are now.

    The newest release is returned if nobody decided anything since. Safe to repeat and to race.

    Raises:
        ObjectMissing: If the dataset has no release; says what to run.
    """
    while True:
        latest = open_release(store, layout)
        wanted = replace(
            latest,
            versions={**latest.versions, **_version_of_reviews(store, layout)},
            created_at=_now(),
        )
        if (stands := _put_next(store, layout, latest, wanted)) is not None:
            return stands


def open_release(store: ObjectStore, layout: DatasetLayout, number: int | None = None) -> Release:
    """A release by number, or the newest.

    Raises:
        ObjectMissing: If there is none; says what to run.
    """
    numbers = release_numbers(store, layout)
    if not numbers or (number is not None and number not in numbers):
        known = f"it has {numbers}" if numbers else "it has none; run generate first"
        wanted = "release" if number is None else f"release {number}"
        raise ObjectMissing(f"no {wanted} of dataset {layout.name!r} in {store.root}: {known}")
    key = layout.release(numbers[-1] if number is None else number)
    fields = parse_json(store.get(key), store.uri(key))
    try:
        return Release(**fields)
    except TypeError as error:
        raise DamagedObject(f"{store.uri(key)}: expected a release, got {error}") from error


def open_table(store: ObjectStore, release: Release, table: Table | str) -> lance.LanceDataset:
    """A table at the release's version.

    Raises:
        ObjectMissing: If the release has no such table.
    """
    if table not in release.versions:
        raise ObjectMissing(
            f"release {release.release_id} has no table {str(table)!r}, "
            f"only {', '.join(sorted(release.versions))}"
        )
    key = DatasetLayout(release.dataset).table(Table(table))
    return open_lance(store, key, release.versions[table])


def release_numbers(store: ObjectStore, layout: DatasetLayout) -> list[int]:
    """Numbers of all releases, ascending."""
    listed = store.list(layout.releases_folder)
    return sorted(number for info in listed if (number := number_of(info.key)) is not None)


def _put_next(
    store: ObjectStore, layout: DatasetLayout, latest: Release | None, wanted: Release
) -> Release | None:
    """The latest release if it has this content, else the next one; None if another came first."""
    if latest is not None and _same_content(store, layout, latest, wanted):
        return _tag(store, layout, latest)
    candidate = replace(wanted, number=(latest.number if latest else 0) + 1)
    data = json.dumps(asdict(candidate), indent=2, sort_keys=True).encode()
    if not store.put_if_absent(layout.release(candidate.number), data):
        return None
    return _tag(store, layout, candidate)


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")


def _version_of_reviews(store: ObjectStore, layout: DatasetLayout) -> dict[str, int]:
    """The reviews' newest version; nothing where nobody decided anything."""
    key = layout.table(Table.REVIEWS)
    if not table_exists(store, key):
        return {}
    dataset = open_lance(store, key, None)
    return {str(Table.REVIEWS): dataset.version} if dataset.count_rows() else {}


def _release_of_now(
    store: ObjectStore,
    layout: DatasetLayout,
    lineage: Lineage,
    target: int | None,
    complete: bool,
) -> Release:
    published = [table for table in Table if table is not Table.REVIEWS]
    tables = {str(table): open_lance(store, layout.table(table), None) for table in published}
    versions = {name: dataset.version for name, dataset in tables.items()}
    return Release(
        number=0,
        dataset=layout.name,
        fingerprint=lineage.fingerprint,
        versions={**versions, **_version_of_reviews(store, layout)},
        num_accepted=tables[Table.PAIRS].count_rows(),
        target=target,
        complete=complete,
        restricted=lineage.restricted,
        created_at=_now(),
    )


def _same_content(store: ObjectStore, layout: DatasetLayout, one: Release, other: Release) -> bool:
    """Whether two releases show the same rows; a barrier of the garbage collector changes none."""
    if _summary(one) != _summary(other):
        return False
    if one.versions.keys() != other.versions.keys():
        return False
    return all(
        one.versions[table] == other.versions[table]
        or _rows(open_table(store, one, table), table)
        == _rows(open_table(store, other, table), table)
        for table in one.versions
    )


def _summary(release: Release) -> Release:
    """The release without what differs at every call."""
    return replace(release, number=0, created_at="", versions={})


def _rows(dataset: lance.LanceDataset, table: str) -> Any:
    """What tells whether two versions of a table show the same rows."""
    if table == Table.REVIEWS:  # only ever appended to, and its small fragments joined
        return dataset.count_rows()
    return _files(dataset)


def _files(dataset: lance.LanceDataset) -> list[str]:
    """Names of the data files and deletions of a version, which determine its rows."""
    fragments = [fragment.metadata.to_json() for fragment in dataset.get_fragments()]
    return sorted(json.dumps([one["files"], one["deletion_file"]]) for one in fragments)


def _tag(store: ObjectStore, layout: DatasetLayout, release: Release) -> Release:
    """Tag the versions, so that nobody's clean-up takes them; repeats what a kill cut short."""
    for table, version in release.versions.items():
        dataset = open_lance(store, layout.table(Table(table)), version)
        with lance_errors(dataset.uri):
            if release.tag not in dataset.tags.list():
                _create_tag(dataset, release.tag, version)
    return release


def _create_tag(dataset: lance.LanceDataset, tag: str, version: int) -> None:
    try:
        dataset.tags.create(tag, version)
    except ValueError:
        if tag not in dataset.tags.list():  # not merely created by another since we looked
            raise
