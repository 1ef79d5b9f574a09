"""A run's folder beside a store that has no folders: what is put back, when, and in what order."""

import threading
from pathlib import Path

import pytest

from storage.errors import ObjectMissing, StoreUnavailable
from storage.folders import local_file, working_folder
from storage.objects import LocalStore, ObjectInfo


class _Remote:
    """A store whose objects are no local files: it forwards to a folder, and is no LocalStore."""

    def __init__(self, folder: Path) -> None:
        self._inner = LocalStore(str(folder))
        self.puts: list[str] = []
        self.refuses = False

    def put(self, key: str, data: bytes) -> None:
        if self.refuses:
            raise StoreUnavailable("away")
        self.puts.append(key)
        self._inner.put(key, data)

    def put_file(self, key: str, path: Path) -> None:
        self.put(key, path.read_bytes())

    def __getattr__(self, name: str) -> object:
        return getattr(self._inner, name)


@pytest.fixture
def remote(tmp_path: Path) -> _Remote:
    return _Remote(tmp_path / "root")


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("storage.folders.KEEP_EVERY_SECONDS", 0.01)


def _wait_for(remote: _Remote, key: str, content: bytes) -> None:
    done = threading.Event()
    for _ in range(1000):
        if remote.exists(key) and remote.get(key) == content:
            return
        done.wait(0.01)
    raise AssertionError(f"{key} was not put back")


def test_local_root_is_worked_in_itself(store: LocalStore) -> None:
    with working_folder(store, "models/run") as folder:
        (folder / "a").write_bytes(b"1")
    assert store.get("models/run/a") == b"1"
    with local_file(store, "models/run/a") as path:
        assert path == folder / "a"


def test_what_lies_there_comes_in_and_only_changes_go_back(remote: _Remote) -> None:
    remote.put("models/run/sub/kept", b"1")
    remote.put("models/run/old", b"1")
    remote.puts.clear()
    with working_folder(remote, "models/run") as folder:  # type: ignore[arg-type]
        assert (folder / "sub/kept").read_bytes() == b"1"
        (folder / "new").write_bytes(b"2")
        (folder / "old").unlink()
        (folder / "x.partial").mkdir()
        (folder / "x.partial" / "half").write_bytes(b"3")
    assert remote.puts == ["models/run/new"]
    assert list(remote.list("")) == [
        ObjectInfo("models/run/new", 1),
        ObjectInfo("models/run/sub/kept", 1),
    ]


def test_changes_are_put_back_while_the_work_goes_on(remote: _Remote, quick: None) -> None:
    with working_folder(remote, "models/run") as folder:  # type: ignore[arg-type]
        (folder / "state").write_bytes(b"1")
        _wait_for(remote, "models/run/state", b"1")
        (folder / "state").write_bytes(b"22")
        _wait_for(remote, "models/run/state", b"22")


def test_log_goes_before_the_checkpoint_whose_steps_it_holds(remote: _Remote) -> None:
    with working_folder(remote, "models/run") as folder:  # type: ignore[arg-type]
        (folder / "a.safetensors").write_bytes(b"state")
        (folder / "log.jsonl").write_bytes(b"{}\n")
    assert remote.puts == ["models/run/log.jsonl", "models/run/a.safetensors"]


def test_after_an_error_changes_are_kept_and_nothing_is_deleted(remote: _Remote) -> None:
    remote.put("models/run/old", b"1")
    with (
        pytest.raises(RuntimeError, match="mine"),
        working_folder(remote, "models/run") as folder,  # type: ignore[arg-type]
    ):
        (folder / "state").write_bytes(b"1")
        (folder / "old").unlink()
        raise RuntimeError("mine")
    assert remote.get("models/run/state") == b"1"
    assert remote.exists("models/run/old")


def test_store_away_for_a_while_disturbs_no_work(remote: _Remote, quick: None) -> None:
    with working_folder(remote, "models/run") as folder:  # type: ignore[arg-type]
        remote.refuses = True
        (folder / "state").write_bytes(b"1")
        threading.Event().wait(0.1)
        remote.refuses = False
    assert remote.get("models/run/state") == b"1"


def test_local_file_of_a_remote_store_is_a_copy(remote: _Remote) -> None:
    remote.put("models/run/a", b"1")
    with local_file(remote, "models/run/a") as path:  # type: ignore[arg-type]
        assert path.read_bytes() == b"1"
    assert not path.exists()
    with pytest.raises(ObjectMissing), local_file(remote, "models/run/b"):  # type: ignore[arg-type]
        pass
