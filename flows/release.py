"""Release what reviewers decided since the newest release."""

from prefect import flow

from flows.plans import Name
from storage.releases import Release
from tasks.artifacts import show_release
from tasks.events import announce_release
from tasks.releasing import release_decisions


@flow(name="release-dataset", flow_run_name="release {dataset}")
def release_dataset(dataset: Name, root: str = "./factory") -> Release:
    """Release the tables of the newest release with the decisions of now; if none is new, that.

    Args:
        dataset: A dataset with a release.
        root: Folder or s3://bucket/prefix that holds it.
    """
    release = release_decisions(root, dataset)
    show_release(root, release)
    announce_release(root, release)
    return release
