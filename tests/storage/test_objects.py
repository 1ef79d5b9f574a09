import errno
import os
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from storage.errors import ObjectMissing, StoreFull, StoreUnavailable, StoreUnfit
from storage.objects import TEMPORARY_PREFIX, LocalStore, ObjectInfo, open_store

_DIE_IN_PUT = """
import os, signal, sys
from storage.objects import LocalStore
def die(*_): os.kill(os.getpid(), signal.SIGKILL)
os.{call} = die
LocalStore(sys.argv[1]).{put}("a/b", b"new")
"""


def test_put_if_absent_twice_keeps_the_first(store: LocalStore) -> None:
    assert store.put_if_absent("a/b", b"first")
    assert not store.put_if_absent("a/b", b"second")
    assert store.get("a/b") == b"first"


def test_put_if_absent_twenty_writers_one_wins(store: LocalStore) -> None:
    with ThreadPoolExecutor(20) as writers:
        won = list(writers.map(lambda n: store.put_if_absent("k", str(n).encode()), range(20)))
    assert sum(won) == 1
    assert store.get("k") == str(won.index(True)).encode()


@pytest.mark.parametrize(("put", "call"), [("put_if_absent", "link"), ("put", "replace")])
def test_put_killed_before_the_end_leaves_no_object(store: LocalStore, put: str, call: str) -> None:
    code = _DIE_IN_PUT.format(put=put, call=call)
    died = subprocess.run([sys.executable, "-c", code, store.root], check=False)
    assert died.returncode == -9
    assert not store.exists("a/b")
    assert list(store.list("")) == []
    left = [path for path in Path(store.root).rglob("*") if path.is_file()]
    assert [path.name.startswith(TEMPORARY_PREFIX) for path in left] == [True]

    assert store.delete_stale_temporaries("") == 1
    assert not left[0].exists()


def test_delete_stale_temporaries_beside_a_live_put_leaves_it(
    store: LocalStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    link: Callable[..., None] = os.link
    removed: list[int] = []

    def collect_then_link(source: Path, target: Path) -> None:
        removed.append(store.delete_stale_temporaries(""))
        link(source, target)

    monkeypatch.setattr(os, "link", collect_then_link)
    assert store.put_if_absent("a", b"1")
    assert removed == [0]


def test_put_temporary_file_removed_under_it_is_written_again(
    store: LocalStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    link: Callable[..., None] = os.link
    sources: list[Path] = []

    def lose_first(source: Path, target: Path) -> None:
        sources.append(source)
        if len(sources) == 1:
            source.unlink()
        link(source, target)

    monkeypatch.setattr(os, "link", lose_first)
    assert store.put_if_absent("a", b"1")
    assert store.get("a") == b"1"
    assert len(sources) == 2


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EDQUOT])
def test_put_on_a_full_disk_says_so_and_leaves_nothing(
    store: LocalStore, monkeypatch: pytest.MonkeyPatch, code: int
) -> None:
    def full(_: int) -> None:
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(StoreFull, match="free space and run again"):
        store.put_if_absent("a", b"1")
    assert list(Path(store.root).iterdir()) == []


def test_get_absent_is_a_clear_error(store: LocalStore) -> None:
    with pytest.raises(ObjectMissing, match=r"no object 'a/b' under /"):
        store.get("a/b")


def test_list_prefix_is_of_the_key_and_sorted(store: LocalStore) -> None:
    for key in ("a/b-c/1", "a/b/1", "a/b/2", "a/bc", "b/1"):
        store.put(key, b"xy")
    assert [info.key for info in store.list("a/b")] == ["a/b-c/1", "a/b/1", "a/b/2", "a/bc"]
    assert list(store.list("a/b/")) == [ObjectInfo("a/b/1", 2), ObjectInfo("a/b/2", 2)]
    assert list(store.list("none/")) == []


def test_folders_are_those_right_under_the_prefix_alone(store: LocalStore) -> None:
    for key in ("a/two/x/1", "a/one/1", "a/file", "b/three/1"):
        store.put(key, b"1")
    assert list(store.folders("a")) == ["one", "two"]
    assert list(store.folders("nowhere")) == []


def test_delete_removes_the_object_and_empty_folders_only(store: LocalStore) -> None:
    store.put("a/b/1", b"")
    store.put("a/c", b"")
    store.delete("a/b/1")
    store.delete("a/b/1")
    assert [info.key for info in store.list("")] == ["a/c"]
    assert not (Path(store.root) / "a/b").exists()


@pytest.mark.parametrize("key", ["", "/a", "a/", "a//b", "../a", "a/./b", ".put-1"])
def test_key_that_is_no_path_below_the_root_is_refused(store: LocalStore, key: str) -> None:
    with pytest.raises(ValueError, match="key must"):
        store.put(key, b"")


@pytest.mark.parametrize("root", ["", "gs://bucket/x"])
def test_open_store_unknown_root_is_refused(root: str) -> None:
    with pytest.raises(ValueError, match="root must be a folder or s3://"):
        open_store(root)


def test_open_store_folder_writes_nothing(tmp_path: Path) -> None:
    open_store(str(tmp_path / "new"))
    assert list(tmp_path.iterdir()) == []


def test_put_where_a_file_stands_for_a_folder_is_an_error_not_a_loss(store: LocalStore) -> None:
    store.put("a", b"file")
    with pytest.raises(StoreUnavailable, match="a file is where a folder should be"):
        store.put_if_absent("a/b", b"1")


def test_put_if_absent_without_hard_links_says_which_disk_is_needed(
    store: LocalStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(_: Path, __: Path) -> None:
        raise OSError(errno.EPERM, "Operation not permitted")

    monkeypatch.setattr(os, "link", refuse)
    with pytest.raises(StoreUnfit, match="file system with hard links"):
        store.put_if_absent("a", b"1")
    assert not store.exists("a")
