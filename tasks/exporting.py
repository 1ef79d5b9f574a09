"""The export's task: a release in, a folder of pairs out."""

from pathlib import Path

from prefect import task
from prefect.cache_policies import NO_CACHE

from storage.choice import choose
from storage.export_formats import ExportFormat
from storage.exports import Exported, export_pairs
from storage.layout import DatasetLayout
from storage.objects import open_store
from storage.review_rules import ReviewRules


@task(name="export-pairs", cache_policy=NO_CACHE, persist_result=False)
def write_export(
    root: str,
    dataset: str,
    release_number: int | None,
    slice_name: str | None,
    reviews: ReviewRules,
    export_format: ExportFormat,
    target: str,
) -> Exported:
    """Write what slice and reviews leave of a release into a new folder of this machine.

    Raises:
        ObjectMissing: If there is no such release or slice.
        ValueError: If the target exists, or nothing is left to export.
    """
    store = open_store(root)
    choice = choose(store, DatasetLayout(dataset), release_number, slice_name, reviews)
    return export_pairs(store, choice, export_format, Path(target))
