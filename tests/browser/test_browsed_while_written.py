"""A dataset that grows while it is browsed shows whole releases; who browses changes nothing."""

import hashlib
import multiprocessing
import re
import time
from collections import deque
from html import unescape
from multiprocessing.synchronize import Event
from pathlib import Path
from urllib.parse import parse_qsl, urlsplit

import pytest
from fastapi.testclient import TestClient

from browser.settings import Reviewing, Settings
from storage.layout import DatasetLayout
from storage.objects import LocalStore
from tests.browser.released import (
    NAME,
    UNIT_SIZE,
    client_of,
    made_row,
    make_release,
    reference,
)

RELEASES_TO_SEE, MOST_UNITS, DEADLINE_SECONDS = 5, 100, 120
_LINK = re.compile(r'(?:href|src)="(/[^"#]*)')


def write_until(root: str, enough: Event) -> None:
    """Publish a unit and a release of it, again and again; what the writer's process runs."""
    store = LocalStore(root)
    store.put(DatasetLayout(NAME).plan_lock, b'{"plan": {"plan": {"seed": 41}}}')
    for unit in range(1, MOST_UNITS):
        make_release(store, num_pairs=unit * UNIT_SIZE, num_rejects=unit * UNIT_SIZE)
        if enough.is_set():
            return


def test_dataset_being_written_is_browsed_without_an_error_or_half_a_sample(
    tmp_path: Path,
) -> None:
    spawned = multiprocessing.get_context("spawn")
    enough = spawned.Event()
    writer = spawned.Process(target=write_until, args=(str(tmp_path), enough))
    seen = set[int]()
    deadline = time.monotonic() + DEADLINE_SECONDS
    writer.start()
    try:
        with client_of(Settings(root=str(tmp_path))) as client:
            while len(seen) < RELEASES_TO_SEE:
                assert writer.is_alive(), f"the writer ended with {writer.exitcode}"
                assert time.monotonic() < deadline, f"saw the releases {sorted(seen)} alone"
                seen |= _look(client)
            enough.set()
            writer.join(DEADLINE_SECONDS)
    finally:
        writer.kill()
        writer.join()
    assert writer.exitcode == 0


def _look(client: TestClient) -> set[int]:
    """Browse the newest release; every part of it must be whole."""
    assert client.get("/").status_code == 200
    found = client.get("/api/datasets").json()
    if not found or found[0]["release"] is None:
        return set()
    number = found[0]["release"]
    assert client.get(f"/datasets/{NAME}").status_code == 200
    release = f"/api/datasets/{NAME}/releases/{number}"
    num_pairs = number * UNIT_SIZE
    cards = client.get(f"{release}/pairs", params={"size": 500}).json()["cards"]
    assert [card["index"] for card in cards] == list(range(num_pairs))
    assert all(card["thumbnail"] and card["line"] for card in cards)
    counts = client.get(f"{release}/pairs/counts", params={"q": "nodule"}).json()
    says = [index for index in range(num_pairs) if "nodule" in reference(index).findings]
    assert (counts["num_rows"], counts["num_found"]) == (num_pairs, len(says))
    assert client.get(f"{release}/rejects/counts").json()["num_rows"] == num_pairs
    for index in (0, num_pairs - 1):
        made = reference(index)
        sample = client.get(f"{release}/pairs/{made.sample_id}").json()
        assert "".join(span["text"] for span in sample["findings"]) == made.findings
        page = f"/datasets/{NAME}/{number}/pairs/{made.sample_id}"
        assert client.get(page).status_code == 200
        assert client.get(f"{page}/image.png").content == made_row(index).png
    return {number}


@pytest.mark.parametrize("reviewing", [None, Reviewing("ann")], ids=["read only", "with review"])
def test_following_every_link_meets_no_error_and_writes_nothing(
    tmp_path: Path, reviewing: Reviewing | None
) -> None:
    store = LocalStore(str(tmp_path))
    make_release(store, num_pairs=UNIT_SIZE, num_rejects=0)
    make_release(store, num_pairs=2 * UNIT_SIZE, num_rejects=UNIT_SIZE)
    before = _files(tmp_path)
    with client_of(Settings(root=store.root, reviewing=reviewing)) as client:
        seen = _follow(client)
    assert _files(tmp_path) == before
    kinds = {re.sub(r"/[0-9a-f]{32}", "/SAMPLE", path) for path in seen}
    assert {f"/datasets/{NAME}/2/pairs/SAMPLE/image.png", "/api/openapi.json"} <= kinds


def _follow(client: TestClient) -> set[str]:
    """Open every page and picture that a link leads to, with one filter at most."""
    seen, left = set[str](), deque(["/"])
    known = {"/"}
    while left:
        address = left.popleft()
        answer = client.get(address)
        assert answer.status_code == 200, f"{address}: {answer.text}"
        seen.add(urlsplit(address).path)
        if not answer.headers["content-type"].startswith("text/html"):
            continue
        for link in map(unescape, _LINK.findall(answer.text)):
            kind = _kind(link)
            if kind is not None and kind not in known:
                known.add(kind)
                left.append(link)
    return seen


def _kind(link: str) -> str | None:
    """What is opened once; None for what two filters at once lead to."""
    parts = urlsplit(link)
    if parts.path.endswith("/similar"):  # says how to make embeddings: this root has none
        return None
    names = sorted({name for name, _ in parse_qsl(parts.query)})
    if "/values/" in parts.path or parts.path.startswith("/review/name"):
        return parts.path
    return f"{parts.path} {names}" if len(names) <= 1 or "after" in names else None


def _files(folder: Path) -> dict[str, tuple[int, str]]:
    """Every file, tags and transactions included: when it was written, and what it holds."""
    return {
        str(path.relative_to(folder)): (
            path.stat().st_mtime_ns,
            hashlib.sha256(path.read_bytes()).hexdigest(),
        )
        for path in folder.rglob("*")
        if path.is_file()
    }
