"""What must hold of every dataset in the end, read from its store alone."""

import hashlib
from collections import Counter
from collections.abc import Iterator

import lance

from benchmarks.chaos.made import STAGES, Made
from benchmarks.exactly_once import num_orphans, read_image
from flows.work import Work
from storage.dataset import Dataset
from storage.errors import FactoryError
from storage.garbage import PUBLISHED_TABLES, collect_dataset
from storage.layout import Table, folder_number_of
from storage.records import Outcome, Stage
from storage.releases import open_release, open_table
from storage.selection import Selection
from storage.tables import open_lance, published_units

Identities = frozenset[tuple[str, str]]  # sample_id, sha256 of the image


def identities(made: Made) -> Identities:
    """What the newest release of a dataset holds."""
    pairs = _pairs(made.dataset)
    rows = pairs.to_table(columns=["sample_id", "sha256"]).to_pylist()
    return frozenset((row["sample_id"], row["sha256"]) for row in rows)


def failures(made: Made, undisturbed: Identities | None) -> list[str]:
    """Every promise that a dataset does not keep, one line each; one line where it cannot be read.

    Args:
        made: The dataset, with the ledger records that were seen on its way.
        undisturbed: What an undisturbed run of its plan holds; None where its painter is not
            deterministic, so that no two runs hold the same.
    """
    try:
        found = _broken(made, undisturbed)
    except (FactoryError, ValueError, OSError) as error:
        found = [f"{type(error).__name__}: {error}"]
    return [f"{made.name}: {line}" for line in found]


def _broken(made: Made, undisturbed: Identities | None) -> list[str]:
    work = made.work()
    selection = work.selection()
    _collect_all(work.dataset, selection)
    found = [
        *_release(work, selection),
        *_ledger(made, work),
        *_attempts(work),
        *_tables(work.dataset),
        *_left_over(work.dataset, selection),
    ]
    if undisturbed is not None and (here := identities(made)) != undisturbed:
        found.append(
            f"{len(undisturbed - here)} pairs of an undisturbed run lack, {len(here - undisturbed)}"
            " are no pairs of it"
        )
    return found


def _release(work: Work, selection: Selection) -> Iterator[str]:
    """The published set is what plan and ledger say, and all of it is there."""
    release = open_release(work.dataset.store, work.dataset.layout)
    if not (release.complete and selection.complete):
        yield f"release {release.number} is not complete"
    indices = _pairs(work.dataset).to_table(columns=["index"])["index"].to_pylist()
    wanted = sorted(index for unit in selection.published.values() for index in unit)
    if sorted(indices) != wanted:
        yield f"published {len(indices)} indices, plan and ledger say {len(wanted)}: {indices}"


def _ledger(made: Made, work: Work) -> Iterator[str]:
    """Every index was settled exactly once in each stage, by the record that was seen first."""
    store = work.dataset.store
    for key, sha256 in made.records.items():
        if hashlib.sha256(store.get(key)).hexdigest() != sha256:
            yield f"{key} was rewritten"
    planned = range(work.plan.target.num_candidates)
    for stage in STAGES:
        records = work.dataset.ledger.settled(stage).values()
        settled = sorted(outcome.index for record in records for outcome in record.outcomes)
        if settled != list(planned):
            yield f"{stage}: indices settled {settled}, expected each of {planned} once"
        if any(one.outcome is Outcome.QUARANTINED for of in records for one in of.outcomes):
            yield f"{stage}: a sample is quarantined that no engine fails at"


def _attempts(work: Work) -> Iterator[str]:
    """What is published is the output of the attempts that the ledger names."""
    columns = ["index", "unit", "painted", "written"]
    for row in _pairs(work.dataset).to_table(columns=columns).to_pylist():
        for stage, column in ((Stage.WRITE, "written"), (Stage.PAINT, "painted")):
            named = work.dataset.ledger.record(stage, row["unit"]).attempt
            if row[column]["attempt"] != named:
                yield f"{stage} of {row['index']} is of another attempt than the ledger's {named}"


def _tables(dataset: Dataset) -> Iterator[str]:
    """No row twice in any table; every image is readable and has its hash."""
    for table in PUBLISHED_TABLES:
        rows = open_lance(dataset.store, dataset.layout.table(table), None)
        ids = Counter(rows.to_table(columns=["sample_id"])["sample_id"].to_pylist())
        if doubled := [one for one, count in ids.items() if count > 1]:
            yield f"{table}: {len(doubled)} samples are there twice, the first {doubled[0]}"
    pairs = _pairs(dataset)
    for position, row in enumerate(pairs.to_table(columns=["index", "sha256"]).to_pylist()):
        if hashlib.sha256(read_image(pairs, position)).hexdigest() != row["sha256"]:
            yield f"the image of {row['index']} is not that whose hash is stored"


def _left_over(dataset: Dataset, selection: Selection) -> Iterator[str]:
    """After a collection there is no file that nothing names."""
    store, layout = dataset.store, dataset.layout
    for table in PUBLISHED_TABLES:
        if count := num_orphans(store, layout.table(table)):
            yield f"{table}: {count} data files that no version names"
    landed = published_units(open_lance(store, layout.table(Table.REPORTS), None))
    for stage in STAGES:
        for info in store.list(layout.staging_folder(stage)):
            unit = folder_number_of(info.key)
            if unit in landed and unit not in selection.surplus_units:
                yield f"{info.key} is left of a unit that is published"


def _collect_all(dataset: Dataset, selection: Selection) -> None:
    """As every publication does, until nothing more goes."""
    while any(
        one.num_files
        for one in collect_dataset(dataset.store, dataset.layout, dataset.ledger, selection)
    ):
        continue


def _pairs(dataset: Dataset) -> lance.LanceDataset:
    return open_table(dataset.store, open_release(dataset.store, dataset.layout), Table.PAIRS)
