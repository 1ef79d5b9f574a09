"""One dataset under a root: its store, its keys and its ledger, opened together."""

from dataclasses import dataclass

from storage.layout import DatasetLayout
from storage.ledger import Ledger
from storage.objects import ObjectStore, open_store


@dataclass(frozen=True, slots=True)
class Dataset:
    """Handles on what exists; opening writes nothing."""

    store: ObjectStore
    layout: DatasetLayout
    ledger: Ledger

    @property
    def name(self) -> str:
        """The dataset's name."""
        return self.layout.name


def open_dataset(root: str, name: str) -> Dataset:
    """Open a dataset, which need not exist yet.

    Raises:
        ValueError: If root or name cannot be one.
    """
    store, layout = open_store(root), DatasetLayout(name)
    return Dataset(store, layout, Ledger(store, layout))
