"""The publish stage's tasks: one per table, its reports' words, then the release."""

from prefect import task
from prefect.cache_policies import NO_CACHE

from storage.dataset import Dataset
from storage.garbage import Collected, collect_dataset
from storage.layout import Table
from storage.publication import publish_table
from storage.publisher import Published
from storage.releases import Release, create_release
from storage.selection import Selection
from storage.table_schemas import Lineage, table_schema
from storage.tables import PublishedTable
from storage.text_index import index_texts


@task(
    name="publish-rows",
    task_run_name="publish {table}",
    cache_policy=NO_CACHE,
    persist_result=False,
    retries=2,
    retry_delay_seconds=2,
)
def publish_rows(
    dataset: Dataset, table: Table, selection: Selection, lineage: Lineage
) -> Published:
    """Move the final units that a table lacks into it, exactly once."""
    return publish_table(dataset, table, selection, lineage)


@task(
    name="index-reports",
    task_run_name="index {table}",
    cache_policy=NO_CACHE,
    persist_result=False,
    retries=2,
    retry_delay_seconds=2,
)
def index_reports(dataset: Dataset, table: Table, lineage: Lineage) -> int:
    """Index the words of a table's reports, for who searches its releases; gives the version."""
    schema = table_schema(table, lineage)
    return index_texts(PublishedTable(dataset.store, dataset.layout.table(table), schema))


@task(name="collect-garbage", cache_policy=NO_CACHE, persist_result=False)
def collect_garbage(dataset: Dataset, selection: Selection) -> list[Collected]:
    """Remove staged files that are published and table files that no version names."""
    return collect_dataset(dataset.store, dataset.layout, dataset.ledger, selection)


@task(name="release-tables", cache_policy=NO_CACHE, persist_result=False)
def release_tables(
    dataset: Dataset, lineage: Lineage, target: int | None, selection: Selection
) -> Release:
    """Name one version of every table; the same content gives the release that exists."""
    return create_release(
        dataset.store, dataset.layout, lineage, target=target, complete=selection.complete
    )
