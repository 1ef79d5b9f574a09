"""Racing reviewers on a real S3 server, before which answers are lost and connections cut."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import count
from pathlib import Path

import pytest

from storage.garbage import collect_table
from storage.layout import Table
from storage.objects import open_store
from storage.review_records import Review, ReviewDecision
from storage.reviews import append_reviews, latest_reviews, review_table
from tests.storage.flaky_s3 import Fate, Request, flaky
from tests.storage.made import LAYOUT, LINEAGE, decided
from tests.storage.seaweed import BUCKET, S3Server, seaweedfs, use_server

pytestmark = pytest.mark.s3
_FATES = (Fate.ANSWERED, Fate.LOST, Fate.ANSWERED, Fate.CUT, Fate.ANSWERED, Fate.BUSY)


@pytest.fixture
def server(tmp_path: Path) -> Iterator[S3Server]:
    with seaweedfs(tmp_path) as running:
        yield running


def test_reviewers_on_a_failing_network_lose_nothing_and_double_nothing(
    server: S3Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every commit of the table meets another fate; each post is sent twice over."""
    commits = count()

    def fate(request: Request) -> Fate:
        commits_reviews = request.method == "PUT" and "reviews.lance/_versions" in request.path
        return _FATES[next(commits) % len(_FATES)] if commits_reviews else Fate.ANSWERED

    with flaky(server.endpoint, fate) as between:
        use_server(monkeypatch, server, between.endpoint)
        store = open_store(f"s3://{BUCKET}/race")
        posts = {
            name: [
                [decided(f"s{number}.{part}", name, ReviewDecision.KEEP) for part in range(3)]
                for number in range(8)
            ]
            for name in ("ann", "bob", "eve")
        }

        def review(name: str) -> None:
            table = review_table(store, LAYOUT, LINEAGE)
            for post in posts[name]:
                append_reviews(table, post)
                append_reviews(table, post)

        with ThreadPoolExecutor(3) as reviewers:
            list(reviewers.map(review, posts))
        between.fate = lambda _: Fate.ANSWERED
        collect_table(store, LAYOUT.table(Table.REVIEWS))
        found = latest_reviews(store, LAYOUT)
    by_reviewer: dict[str, list[Review]] = {name: [] for name in posts}
    for one in found:
        by_reviewer[one.reviewer].append(one)
    for name, of_reviewer in posts.items():
        assert by_reviewer[name] == [one for post in of_reviewer for one in post]
    assert next(commits) > 24, "or nothing went wrong"
