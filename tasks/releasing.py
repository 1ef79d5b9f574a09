"""The task that makes people's decisions count: a release that names the reviews as they are."""

from prefect import task
from prefect.cache_policies import NO_CACHE

from storage.layout import DatasetLayout
from storage.objects import open_store
from storage.releases import Release, release_reviews


@task(name="release-reviews", cache_policy=NO_CACHE, persist_result=False)
def release_decisions(root: str, dataset: str) -> Release:
    """Release the newest release's tables with the reviews of now; none newer: that release.

    Raises:
        ObjectMissing: If the dataset has no release yet.
    """
    return release_reviews(open_store(root), DatasetLayout(dataset))
