"""Which pairs of a release a filter means, by reading the columns it speaks of.

Shape suffixes: N pairs of a batch, E their list items (entities or scores) end to end.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from storage.layout import Table
from storage.objects import ObjectStore
from storage.records import EntityStatus
from storage.releases import Release, open_table
from storage.review_records import Review
from storage.review_rules import ReviewRules
from storage.reviews import released_reviews, standing_reviews
from storage.slices import EntityFilter, ScoreFilter, SliceFilter, words_of
from storage.tables import lance_errors

Rows = NDArray[np.bool_]
_Standing = Mapping[str, Mapping[str, Review]]
_RULES = ReviewRules()
_SOURCES = {  # what each field of a filter reads
    "entities": {"entities_found": "entities_found"},
    "entity_groups": {"entities_found": "entities_found"},
    "findings": {"entities_found": "entities_found"},
    "views": {"view": "view"},
    "sexes": {"sex": "sex"},
    "min_age_years": {"age_years": "age_years"},
    "max_age_years": {"age_years": "age_years"},
    "splits": {"split": "split"},
    "min_unit": {"unit": "unit"},
    "max_unit": {"unit": "unit"},
    "writers": {"writer": "written.engine"},
    "painters": {"painter": "painted.engine"},
    "scores": {"scores": "scores"},
    "words": {"findings": "findings", "impression": "impression"},
    "reviews": {},
}


def matching_ids(store: ObjectStore, release: Release, wanted: SliceFilter) -> frozenset[str]:
    """Ids of the release's samples that a filter means; decisions are those the release names."""
    found: set[str] = set()
    for batch, (rows,) in _scanned(store, release, [wanted], {"sample_id": "sample_id"}):
        ids = np.array(batch["sample_id"].to_pylist(), object)
        found.update(ids[rows].tolist())
    return frozenset(found)


def matching_rows(
    store: ObjectStore, release: Release, wanted: Sequence[SliceFilter]
) -> list[Rows]:
    """Which of the release's pairs each filter means, in the order of their table, (N,) each.

    One scan for all filters: reading takes most of the time.
    """
    has_reviews = any(one.reviews for one in wanted)
    columns = {"sample_id": "sample_id"} if has_reviews else {"index": "index"}
    parts = [rows for _, rows in _scanned(store, release, wanted, columns)]
    none = np.zeros(0, bool)
    return [np.concatenate([none, *(rows[at] for rows in parts)]) for at in range(len(wanted))]


def rows_meant(batch: pa.RecordBatch, wanted: SliceFilter, standing: _Standing) -> Rows:
    """Which rows of a batch a filter means, (N,); the batch has the columns it reads."""
    rows = np.ones(batch.num_rows, bool)
    for condition in _conditions(batch, wanted, standing):
        rows &= condition
    return rows


def _scanned(
    store: ObjectStore,
    release: Release,
    wanted: Sequence[SliceFilter],
    columns: Mapping[str, str],
) -> Iterator[tuple[pa.RecordBatch, list[Rows]]]:
    """Batches of these columns and of those that filters read, with the rows that each means."""
    has_reviews = any(one.reviews for one in wanted)
    standing = standing_reviews(released_reviews(store, release)) if has_reviews else {}
    read = dict(columns)
    for one in wanted:
        for field in one.model_dump(exclude_defaults=True):
            read |= _SOURCES[field]
    dataset = open_table(store, release, Table.PAIRS)
    with lance_errors(dataset.uri):
        for batch in dataset.scanner(columns=read).to_batches():
            yield batch, [rows_meant(batch, one, standing) for one in wanted]


def _conditions(batch: pa.RecordBatch, wanted: SliceFilter, standing: _Standing) -> Iterator[Rows]:
    findings = [EntityFilter(text=term, status=EntityStatus.PRESENT) for term in wanted.findings]
    for entity in (*wanted.entities, *findings):
        yield _with_entity(batch["entities_found"], entity)
    for group in wanted.entity_groups:
        yield np.logical_or.reduce([_with_entity(batch["entities_found"], one) for one in group])
    for score in wanted.scores:
        yield _with_score(batch["scores"], score)
    one_of: Sequence[tuple[str, Sequence[str]]] = (
        ("view", wanted.views),
        ("sex", wanted.sexes),
        ("split", wanted.splits),
        ("writer", wanted.writers),
        ("painter", wanted.painters),
    )
    for column, values in one_of:
        if values:
            yield _true(pc.is_in(batch[column], value_set=pa.array([str(v) for v in values])))
    yield from _within(batch, "age_years", wanted.min_age_years, wanted.max_age_years)
    yield from _within(batch, "unit", wanted.min_unit, wanted.max_unit)
    if words := words_of(wanted.words):
        texts = zip(batch["findings"].to_pylist(), batch["impression"].to_pylist(), strict=True)
        yield np.array([words <= words_of(" ".join(both)) for both in texts], bool)
    if wanted.reviews:
        statuses = (_RULES.status(standing.get(one, {})) for one in batch["sample_id"].to_pylist())
        yield np.array([status in wanted.reviews for status in statuses], bool)


def _within(
    batch: pa.RecordBatch, column: str, low: float | None, high: float | None
) -> Iterator[Rows]:
    if low is not None:
        yield _true(pc.greater_equal(batch[column], low))
    if high is not None:
        yield _true(pc.less_equal(batch[column], high))


def _with_entity(lists: pa.ListArray, wanted: EntityFilter) -> Rows:
    """Rows with an entity of this text, kind and status, (N,)."""
    items = lists.flatten()
    fits_E = pc.equal(pc.struct_field(items, "text"), wanted.text)
    if wanted.kind is not None:
        fits_E = pc.and_(fits_E, pc.equal(pc.struct_field(items, "kind"), str(wanted.kind)))
    if wanted.status is not None:
        fits_E = pc.and_(fits_E, pc.equal(pc.struct_field(items, "status"), str(wanted.status)))
    return _with_any(lists, fits_E)


def _with_score(lists: pa.ListArray, wanted: ScoreFilter) -> Rows:
    """Rows with a score of this gate and measure within the bounds, (N,)."""
    items = lists.flatten()
    value_E = pc.struct_field(items, "value")
    fits_E = pc.and_(
        pc.equal(pc.struct_field(items, "gate"), wanted.gate),
        pc.equal(pc.struct_field(items, "measure"), wanted.measure),
    )
    fits_E = pc.and_(fits_E, pc.invert(pc.is_nan(value_E)))
    if wanted.at_least is not None:
        fits_E = pc.and_(fits_E, pc.greater_equal(value_E, wanted.at_least))
    if wanted.at_most is not None:
        fits_E = pc.and_(fits_E, pc.less_equal(value_E, wanted.at_most))
    return _with_any(lists, fits_E)


def _with_any(lists: pa.ListArray, fits_E: pa.Array) -> Rows:
    """Rows of which some item fits, (N,)."""
    rows = np.zeros(len(lists), bool)
    rows[np.asarray(pc.list_parent_indices(lists))[_true(fits_E)]] = True
    return rows


def _true(values: Any) -> Rows:
    """What is true; null is not."""
    return np.asarray(pc.fill_null(values, False), dtype=bool)
