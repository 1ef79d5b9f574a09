"""`reviews.lance`: what people decided, appended by any number of browsers at once.

A commit is the compare-and-swap of the published tables (`storage/tables.py`): it names the rows
it follows, so every decision gets the next number of one sequence, and an id that is in the table
already is not added again. A post whose answer was lost is therefore simply sent again.
The last decision of a reviewer on a sample, by that sequence and no clock, is the one that stands.
"""

import random
import time
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

import lance
import pyarrow as pa
import pyarrow.compute as pc

from storage.errors import CommitRefused, StoreUnavailable
from storage.layout import DatasetLayout, Table
from storage.objects import ObjectStore
from storage.publisher import compact
from storage.releases import Release, open_table
from storage.review_records import Review, ReviewDecision, Study
from storage.schemas import arrow_field, arrow_schema, from_arrow, to_arrow
from storage.table_schemas import Lineage
from storage.tables import PublishedTable, lance_errors

MAX_FRAGMENTS = 32  # a post of one decision is a fragment; this many are joined to one
_SEQUENCE = "sequence"
_REFUSED_PAUSE_SECONDS = 0.05  # at most, before a refused commit is tried again
_UNCLEAR_DELAYS_SECONDS = (0.1, 0.3, 1.0, 3.0)


@dataclass(frozen=True, slots=True)
class Appended:
    """What one post did. `version` is the table's version that has all of its decisions."""

    version: int
    num_added: int


def review_table(store: ObjectStore, layout: DatasetLayout, lineage: Lineage) -> PublishedTable:
    """The table of a dataset's reviews, which need not exist yet."""
    fields = [arrow_field(_SEQUENCE, int), *arrow_schema(Review)]
    return PublishedTable(
        store, layout.table(Table.REVIEWS), pa.schema(fields, metadata=lineage.metadata)
    )


def append_reviews(table: PublishedTable, reviews: Sequence[Review]) -> Appended:
    """Add decisions in one commit, those that are there already left out.

    Args:
        table: As `review_table` gives it; created when absent.
        reviews: Of one request, in the order they were made.

    Raises:
        ValueError: If there are none, or an id already names another decision.
        StoreFull: If there is no room; nothing was added.
        StoreUnavailable: If the store gave no clear answer several times; send the same again.
    """
    if not reviews:
        raise ValueError("expected decisions to add, got none")
    table.create_if_absent()
    delays = iter(_UNCLEAR_DELAYS_SECONDS)
    while True:
        try:
            return _append(table, reviews)
        except CommitRefused:
            time.sleep(random.uniform(0, _REFUSED_PAUSE_SECONDS))  # or racers stay in step
        except StoreUnavailable:
            delay = next(delays, None)
            if delay is None:
                raise
            time.sleep(delay)


def read_reviews(
    dataset: lance.LanceDataset, among: Collection[str] | None = None, first: int = 0
) -> list[Review]:
    """Decisions of a version of the table, in the order they were taken in.

    Args:
        dataset: The table at that version.
        among: Ids of samples to stay within; None for all.
        first: Number of the first to read, counted from 0; those before it are known already.
    """
    wanted = pc.field(_SEQUENCE) >= first
    if among is not None:
        wanted &= pc.field("sample_id").isin(pa.array(sorted(among), pa.string()))
    with lance_errors(dataset.uri):
        rows = dataset.to_table(filter=wanted).sort_by(_SEQUENCE)
    return from_arrow(rows.drop_columns([_SEQUENCE]), Review)


def latest_reviews(
    store: ObjectStore, layout: DatasetLayout, among: Collection[str] | None = None
) -> list[Review]:
    """Decisions up to now, for those who review; all else reads a release's.

    Args:
        store: The root.
        layout: The dataset.
        among: Ids of samples to stay within, as those of a page; None for all.
    """
    table = review_table(store, layout, Lineage(layout.name, "", restricted=False))
    return read_reviews(table.open(), among) if table.exists() else []


def released_reviews(store: ObjectStore, release: Release) -> list[Review]:
    """The decisions that a release names; none where it names no reviews."""
    if Table.REVIEWS not in release.versions:
        return []
    return read_reviews(open_table(store, release, Table.REVIEWS))


def standing_reviews(reviews: Iterable[Review]) -> dict[str, dict[str, Review]]:
    """What stands of a review's decisions: sample id, then reviewer, to the last decision.

    Args:
        reviews: In the order they were taken in; answers of blind studies are passed over.
    """
    standing: dict[str, dict[str, Review]] = {}
    for review in reviews:
        if review.study is not Study.REVIEW:
            continue
        of_sample = standing.setdefault(review.sample_id, {})
        of_sample.pop(review.reviewer, None)
        if review.decision is not ReviewDecision.WITHDRAWN:
            of_sample[review.reviewer] = review
    return {sample: of_sample for sample, of_sample in standing.items() if of_sample}


def _append(table: PublishedTable, reviews: Sequence[Review]) -> Appended:
    """One pass from the table as it is now."""
    dataset = table.open()
    missing = _missing(_with_ids(dataset, reviews), reviews)
    if not missing:
        return Appended(dataset.version, 0)
    rows = to_arrow(missing, Review)
    first = dataset.count_rows()  # nothing is ever removed, so rows count the sequence
    numbers = pa.array(range(first, first + len(missing)), pa.int64())
    numbered = rows.add_column(0, table.schema.field(_SEQUENCE), numbers)
    added = table.commit(dataset, table.write_fragments(dataset, numbered))
    _join_fragments(table, added)
    return Appended(added.version, len(missing))


def _missing(present: Mapping[str, Review], reviews: Sequence[Review]) -> list[Review]:
    """Those not in the table yet, each once."""
    known, missing = dict(present), []
    for review in reviews:
        if review.decision_id not in known:
            known[review.decision_id] = review
            missing.append(review)
        same = known[review.decision_id]
        if replace(same, at=review.at) != review:  # a repeated post is given a time of its own
            raise ValueError(
                f"decision {review.decision_id!r} must keep its content, is {same.decision} of "
                f"sample {same.sample_id} by {same.reviewer!r}, got {review.decision} of "
                f"{review.sample_id} by {review.reviewer!r}; give a new decision a new id"
            )
    return missing


def _with_ids(dataset: lance.LanceDataset, reviews: Sequence[Review]) -> dict[str, Review]:
    """Decisions of the table whose id is one of these."""
    wanted = pa.array(sorted({review.decision_id for review in reviews}))
    with lance_errors(dataset.uri):
        ids = dataset.to_table(columns=["decision_id"])
        places = pc.indices_nonzero(pc.is_in(ids["decision_id"], value_set=wanted))
        if len(places) == 0:
            return {}
        rows = dataset.take(places.to_pylist()).drop_columns([_SEQUENCE])
    return {review.decision_id: review for review in from_arrow(rows, Review)}


def _join_fragments(table: PublishedTable, dataset: lance.LanceDataset) -> None:
    """Join small fragments once there are many; whoever commits in between leaves it to later."""
    if len(dataset.get_fragments()) <= MAX_FRAGMENTS:
        return
    try:
        compact(table)
    except (CommitRefused, StoreUnavailable):
        return  # the decisions have landed; the next post tries again
