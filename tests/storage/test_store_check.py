from collections.abc import Sequence
from pathlib import Path

import lance
import pytest
from lance.fragment import FragmentMetadata

from storage.errors import StoreUnfit
from storage.objects import LocalStore
from storage.store_check import check_store
from storage.tables import PublishedTable


class _NoCondition(LocalStore):
    """A store that ignores the condition of a put, as some S3 servers do."""

    def put_if_absent(self, key: str, data: bytes) -> bool:
        self.put(key, data)
        return True


def test_check_store_local_folder_is_fit_and_left_clean(store: LocalStore) -> None:
    report = check_store(store)
    assert (report.num_conditional_puts, report.num_commit_races) == (60, 3)
    assert list(Path(store.root).iterdir()) == []


def test_check_store_without_conditional_put_is_unfit(store: LocalStore) -> None:
    unfit = _NoCondition(store.root)
    with pytest.raises(StoreUnfit, match="expected 1 winner of 20 conditional puts, got 20"):
        check_store(unfit)
    assert list(Path(store.root).iterdir()) == []


def test_check_store_without_compare_and_swap_is_unfit(
    store: LocalStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    def append(
        table: PublishedTable, _: lance.LanceDataset, fragments: Sequence[FragmentMetadata]
    ) -> lance.LanceDataset:
        latest = table.open()
        operation = lance.LanceOperation.Append(list(fragments))
        return lance.LanceDataset.commit(table.uri, operation, read_version=latest.version)

    monkeypatch.setattr(PublishedTable, "commit", append)
    with pytest.raises(StoreUnfit, match="expected 1 winner of 2 commits from one version, got 2"):
        check_store(store)
