"""What lies under the root: datasets with their counts, releases and what changed."""

from dataclasses import dataclass
from typing import Any

import yaml

from browser.facets import FINDING
from browser.filters import Filters
from browser.library import Library
from browser.table_index import ALL_VALUES
from storage.errors import ObjectMissing
from storage.layout import DatasetLayout, Table
from storage.objects import ObjectStore
from storage.plan_lock import read_plan
from storage.records import Stage
from storage.releases import open_release

_STAGES_OF_UNITS = (Stage.WRITE, Stage.PAINT, Stage.JUDGE)


@dataclass(frozen=True, slots=True)
class DatasetSummary:
    """A dataset as its newest release has it.

    Attributes:
        release: Number of the newest; null while it is being made.
        accepted: Pairs; null without a release, like all that follows.
        missing: Pairs that lack to the target; of the target "all", candidates neither kept nor
            refused.
        acceptance: Accepted of all that were accepted or refused, 0 to 1; null without either.
        num_bytes: Of its tables, every release included.
        restricted: Derived from credentialed data.
        shown: False where its content is not sent beyond this machine.
        settled_units: By stage, of a dataset that is being made.
    """

    name: str
    release: int | None
    created_at: str
    accepted: int | None
    rejected: int | None
    missing: int | None
    acceptance: float | None
    num_bytes: int | None
    complete: bool
    restricted: bool
    shown: bool
    settled_units: dict[str, int]


@dataclass(frozen=True, slots=True)
class ReleaseSummary:
    """A release, and how many rows each table gained since the one before."""

    number: int
    created_at: str
    accepted: int
    target: int | None
    complete: bool
    restricted: bool
    rows: dict[str, int]
    versions: dict[str, int]
    gained: dict[str, int]


@dataclass(frozen=True, slots=True)
class Change:
    """A count in two releases."""

    name: str
    before: int
    after: int


@dataclass(frozen=True, slots=True)
class ReleaseComparison:
    """What changed from one release to another: rows of tables, and pairs that state a finding."""

    before: int
    after: int
    tables: list[Change]
    findings: list[Change]


def list_datasets(library: Library) -> list[DatasetSummary]:
    """Every dataset under the root, by name."""
    return [dataset_summary(library, name) for name in library.dataset_names()]


def dataset_summary(library: Library, name: str) -> DatasetSummary:
    """A dataset as its newest release has it, or how far it has come without one."""
    store, layout = library.store, DatasetLayout(name)
    try:
        release = open_release(store, layout)
    except ObjectMissing:
        return _being_made(library, layout)
    rows = library.num_rows(release)
    accepted, rejected = rows[Table.PAIRS], rows[Table.REJECTS]
    decided = accepted + rejected
    wanted = rows[Table.SAMPLES] - rejected if release.target is None else release.target
    return DatasetSummary(
        name=name,
        release=release.number,
        created_at=release.created_at,
        accepted=accepted,
        rejected=rejected,
        missing=max(0, wanted - accepted),
        acceptance=accepted / decided if decided else None,
        num_bytes=library.num_bytes(release),
        complete=release.complete,
        restricted=release.restricted,
        shown=library.settings.may_show(name, restricted=release.restricted),
        settled_units={},
    )


def list_releases(library: Library, name: str) -> list[ReleaseSummary]:
    """The releases of a dataset that may be shown, newest first."""
    releases = [library.release(name, number) for number in library.numbers(name)]
    summaries: list[ReleaseSummary] = []
    before: dict[str, int] = {}
    for release in releases:
        rows = library.num_rows(release)
        summaries.append(
            ReleaseSummary(
                number=release.number,
                created_at=release.created_at,
                accepted=release.num_accepted,
                target=release.target,
                complete=release.complete,
                restricted=release.restricted,
                rows=rows,
                versions=dict(release.versions),
                gained={table: num - before.get(table, 0) for table, num in rows.items()},
            )
        )
        before = rows
    return summaries[::-1]


def compare_releases(library: Library, name: str, before: int, after: int) -> ReleaseComparison:
    """What changed between two releases of a dataset."""
    rows = [library.num_rows(library.release(name, number)) for number in (before, after)]
    findings = [_findings(library, name, number) for number in (before, after)]
    return ReleaseComparison(before, after, _changes(*rows), _changes(*findings))


def plan_text(library: Library, name: str) -> str:
    """The pinned plan as YAML: all that affects content; empty where none is pinned yet."""
    return yaml.safe_dump(_content(library.store, DatasetLayout(name)), sort_keys=True)


def _being_made(library: Library, layout: DatasetLayout) -> DatasetSummary:
    """By its plan and by listing the ledger alone."""
    store, content = library.store, _content(library.store, layout)
    restricted = any(one["restricted"] for one in content.values() if "restricted" in one)
    settled = {
        str(stage): sum(
            1 for info in store.list(layout.ledger_folder(stage)) if _is_record(info.key)
        )
        for stage in _STAGES_OF_UNITS
    }
    return DatasetSummary(
        name=layout.name,
        release=None,
        created_at="",
        accepted=None,
        rejected=None,
        missing=None,
        acceptance=None,
        num_bytes=None,
        complete=False,
        restricted=restricted,
        shown=library.settings.may_show(layout.name, restricted=restricted),
        settled_units={stage: num for stage, num in settled.items() if num},
    )


def _is_record(key: str) -> bool:
    return key.endswith(".json")


def _content(store: ObjectStore, layout: DatasetLayout) -> dict[str, dict[str, Any]]:
    """What a plan's lock pins: the plan, revisions, corpora."""
    try:
        pinned = read_plan(store, layout)
    except ObjectMissing:
        return {}
    return {name: part for name, part in pinned.items() if isinstance(part, dict)}


def _findings(library: Library, name: str, number: int) -> dict[str, int]:
    answers = library.open(name, number, Table.PAIRS).answers
    counted = answers.counts(FINDING, Filters(), ALL_VALUES)
    return {one.value: one.num_rows for one in counted.counts}


def _changes(before: dict[str, int], after: dict[str, int]) -> list[Change]:
    names = sorted(before.keys() | after.keys())
    return [Change(name, before.get(name, 0), after.get(name, 0)) for name in names]
