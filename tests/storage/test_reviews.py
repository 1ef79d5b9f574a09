import os
import signal
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest

from storage.garbage import collect_table
from storage.layout import Table
from storage.objects import LocalStore
from storage.publisher import compact
from storage.releases import create_release, release_numbers, release_reviews
from storage.review_records import ReviewDecision, ReviewReason, Study
from storage.reviews import (
    MAX_FRAGMENTS,
    append_reviews,
    latest_reviews,
    read_reviews,
    released_reviews,
    review_table,
    standing_reviews,
)
from storage.table_schemas import table_schema
from storage.tables import PublishedTable
from tests.storage.made import LAYOUT, LINEAGE, decided

KEEP, REJECT, FLAG, WITHDRAWN = (
    ReviewDecision.KEEP,
    ReviewDecision.REJECT,
    ReviewDecision.FLAG,
    ReviewDecision.WITHDRAWN,
)
_PROJECT = Path(__file__).parents[2]


def _table(store: LocalStore) -> PublishedTable:
    return review_table(store, LAYOUT, LINEAGE)


def _empty_dataset(store: LocalStore) -> None:
    for table in (Table.SAMPLES, Table.REPORTS, Table.PAIRS, Table.REJECTS):
        key, schema = LAYOUT.table(table), table_schema(table, LINEAGE)
        PublishedTable(store, key, schema).create_if_absent()


def test_append_reviews_keeps_them_in_order_and_says_their_origin(store: LocalStore) -> None:
    first = [decided("s1", "ann", KEEP), decided("s2", "ann", REJECT)]
    assert append_reviews(_table(store), first).num_added == 2
    second = [decided("s1", "bob", FLAG, remark="look at the left base")]
    append_reviews(_table(store), second)
    assert latest_reviews(store, LAYOUT) == [*first, *second]
    assert _table(store).open().schema.metadata[b"restricted"] == b"true"


def test_append_reviews_again_adds_nothing_though_the_hour_differs(store: LocalStore) -> None:
    post = [decided("s1", "ann", KEEP), decided("s2", "ann", KEEP)]
    first = append_reviews(_table(store), post)
    later = [replace(review, at="2026-12-24T18:00:00+00:00") for review in post]
    again = append_reviews(_table(store), [*later, later[0], decided("s3", "ann", KEEP)])
    assert again.num_added == 1
    assert [review.sample_id for review in latest_reviews(store, LAYOUT)] == ["s1", "s2", "s3"]
    assert latest_reviews(store, LAYOUT)[0] == post[0]
    assert append_reviews(_table(store), later).version == again.version > first.version


def test_append_reviews_with_the_id_of_another_decision_is_refused(store: LocalStore) -> None:
    review = decided("s1", "ann", KEEP)
    append_reviews(_table(store), [review])
    with pytest.raises(ValueError, match="is keep of sample s1 by 'ann', got keep of s2"):
        append_reviews(_table(store), [replace(review, sample_id="s2")])
    assert latest_reviews(store, LAYOUT) == [review]


def test_latest_reviews_of_some_samples_are_theirs_alone(store: LocalStore) -> None:
    posts = [decided(f"it's {n % 3}", "ann", KEEP) for n in range(7)]
    append_reviews(_table(store), posts)
    assert latest_reviews(store, LAYOUT, ["it's 1", "absent"]) == [posts[1], posts[4]]
    assert latest_reviews(store, LAYOUT, []) == []


def test_latest_reviews_of_a_dataset_nobody_reviewed_are_none(store: LocalStore) -> None:
    assert latest_reviews(store, LAYOUT) == []
    assert not _table(store).exists(), "reading writes nothing"


def test_standing_reviews_are_the_last_of_each_reviewer_unless_withdrawn() -> None:
    standing = standing_reviews(
        [
            decided("s1", "ann", KEEP),
            decided("s1", "bob", REJECT),
            decided("s1", "ann", REJECT),
            decided("s2", "ann", KEEP),
            decided("s2", "ann", WITHDRAWN),
            decided("s3", "bob", WITHDRAWN),
            decided("s3", "bob", FLAG),
            decided("x.1", "ann", ReviewDecision.REAL),
        ]
    )
    said = {
        sample: {name: review.decision for name, review in of_sample.items()}
        for sample, of_sample in standing.items()
    }
    assert said == {"s1": {"ann": REJECT, "bob": REJECT}, "s3": {"bob": FLAG}}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"decision": REJECT, "reason": None}, "a rejection must have a reason"),
        ({"reason": ReviewReason.ARTEFACT}, "'keep' must have no reason, got 'artefact'"),
        ({"decision": FLAG, "reason": ReviewReason.OTHER}, "'other' must have a remark"),
        ({"remark": "x" * 501}, "at most 500 characters, got 501"),
        ({"reviewer": " ann"}, "reviewer must be 1 to 64 printable characters"),
        ({"reviewer": "ann\nbob"}, "reviewer must be 1 to 64 printable characters"),
        ({"at": "2026-11-22T12:00:00+01:00"}, "at must be a time in UTC"),
        ({"at": "noon"}, "at must be a time in UTC"),
        ({"release": 0}, "release must be a number from 1"),
        ({"decision": ReviewDecision.REAL}, "a blind study asks real or synthetic"),
        ({"study": Study.BLIND}, "a blind study asks real or synthetic"),
    ],
)
def test_review_that_does_not_fit_together_says_what_was_expected(
    changes: dict[str, object], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        replace(decided("s1", "ann", KEEP), **changes)  # type: ignore[arg-type]


def test_many_posts_of_one_decision_become_few_fragments(store: LocalStore) -> None:
    posts = [decided(f"s{number}", "ann", KEEP) for number in range(MAX_FRAGMENTS + 8)]
    for post in posts:
        append_reviews(_table(store), [post])
    assert len(_table(store).open().get_fragments()) <= 9
    assert latest_reviews(store, LAYOUT) == posts


def test_a_collection_leaves_every_decision_and_takes_what_no_version_names(
    store: LocalStore,
) -> None:
    table = _table(store)
    posts = [decided(f"s{number}", "ann", KEEP) for number in range(3)]
    for post in posts:
        append_reviews(table, [post])
    abandoned = table.write_fragments(table.open(), table.open().to_table())
    collected = collect_table(store, LAYOUT.table(Table.REVIEWS))
    assert collected.num_files == len(abandoned) == 1
    assert latest_reviews(store, LAYOUT) == posts
    append_reviews(table, [decided("s9", "ann", KEEP)])
    assert len(latest_reviews(store, LAYOUT)) == 4


def test_release_reviews_names_them_once_and_older_releases_stay(store: LocalStore) -> None:
    _empty_dataset(store)
    first = create_release(store, LAYOUT, LINEAGE, target=None, complete=True)
    assert released_reviews(store, first) == []
    assert release_reviews(store, LAYOUT) == first, "nobody decided anything"
    post = decided("s1", "ann", KEEP)
    append_reviews(_table(store), [post])
    second = release_reviews(store, LAYOUT)
    assert (second.number, second.complete) == (2, True)
    assert released_reviews(store, second) == [post]
    assert {name: second.versions[name] for name in first.versions} == first.versions
    compact(_table(store))
    assert release_reviews(store, LAYOUT) == second, "joined fragments decide nothing"
    assert create_release(store, LAYOUT, LINEAGE, target=None, complete=True) == second
    append_reviews(_table(store), [decided("s1", "ann", WITHDRAWN)])
    third = release_reviews(store, LAYOUT)
    assert third.number == 3
    assert len(released_reviews(store, third)) == 2
    assert released_reviews(store, second) == [post]
    assert released_reviews(store, first) == []


def test_release_reviews_at_once_make_one_release(store: LocalStore) -> None:
    _empty_dataset(store)
    create_release(store, LAYOUT, LINEAGE, target=None, complete=True)
    append_reviews(_table(store), [decided("s1", "ann", KEEP)])
    with ThreadPoolExecutor(4) as racers:
        made = list(racers.map(lambda _: release_reviews(store, LAYOUT), range(4)))
    assert {release.number for release in made} == {2}
    assert release_numbers(store, LAYOUT) == [1, 2]


_REVIEWER = """
import sys
from storage.objects import LocalStore
from storage.review_records import ReviewDecision
from storage.reviews import append_reviews, review_table
from tests.storage.made import LAYOUT, LINEAGE, decided

root, name, num_posts = sys.argv[1], sys.argv[2], int(sys.argv[3])
table = review_table(LocalStore(root), LAYOUT, LINEAGE)
for number in range(num_posts):
    post = [
        decided(f"s{number}.{k}", name, ReviewDecision.KEEP, decision_id=f"{name}-{number}-{k}")
        for k in range(3)
    ]
    append_reviews(table, post)
    print(number, flush=True)
sys.stdin.read()
"""


def test_reviewers_racing_in_processes_and_killed_lose_nothing_and_double_nothing(
    store: LocalStore,
) -> None:
    """Killed ones begin again with the same posts; compaction and collection run beside them."""
    names, num_posts = ("ann", "bob", "eve"), 15
    command = [sys.executable, "-c", _REVIEWER, store.root]
    environment = {**os.environ, "PYTHONPATH": str(_PROJECT), "OMP_NUM_THREADS": "1"}

    def reviewer(name: str) -> subprocess.Popen[str]:
        """It ends when its input does."""
        arguments, pipe = [*command, name, str(num_posts)], subprocess.PIPE
        return subprocess.Popen(arguments, env=environment, stdin=pipe, stdout=pipe, text=True)

    ended = threading.Event()

    def upkeep() -> None:
        while not ended.wait(0.05):
            collect_table(store, LAYOUT.table(Table.REVIEWS))

    collector = threading.Thread(target=upkeep)
    collector.start()
    try:
        killed = [reviewer(name) for name in names]
        for number, process in enumerate(killed):
            assert process.stdout is not None
            while process.stdout.readline().strip() != str(3 + 2 * number):
                assert process.poll() is None
            time.sleep(0.003 * number)  # somewhere within a post
            process.send_signal(signal.SIGKILL)
            process.wait(30)
        again = [reviewer(name) for name in names]
        for process in again:
            process.communicate(timeout=120)
    finally:
        ended.set()
        collector.join()
    assert [process.returncode for process in again] == [0, 0, 0]
    reviews = latest_reviews(store, LAYOUT)
    wanted = {f"{name}-{n}-{k}" for name in names for n in range(num_posts) for k in range(3)}
    assert sorted(review.decision_id for review in reviews) == sorted(wanted)
    for name in names:  # and each in the order of its reviewer
        own = [review.decision_id for review in reviews if review.reviewer == name]
        assert own == sorted(own, key=lambda one: [int(part) for part in one.split("-")[1:]])
    numbers = _table(store).open().to_table(columns=["sequence"])["sequence"].to_pylist()
    assert sorted(numbers) == list(range(len(wanted)))


def test_reviewers_racing_in_threads_all_land_and_old_versions_stay_readable(
    store: LocalStore,
) -> None:
    posts = [[decided(f"s{number}", name, KEEP) for number in range(4)] for name in "abcdef"]
    with ThreadPoolExecutor(6) as racers:
        landed = list(racers.map(lambda post: append_reviews(_table(store), post), posts))
    reviews = latest_reviews(store, LAYOUT)
    assert sorted(r.decision_id for r in reviews) == sorted(r.decision_id for p in posts for r in p)
    for post, one in zip(posts, landed, strict=True):
        assert set(post) <= set(read_reviews(_table(store).open(one.version)))
