"""Samples are written in blocks of units, exactly once, and read back by unit."""

import pyarrow as pa
import pytest

from storage import samples
from storage.dataset import Dataset
from storage.layout import Table
from storage.ledger import Ledger
from storage.objects import LocalStore
from storage.publisher import GroupLimits
from storage.samples import publish_samples, read_samples
from storage.tables import open_lance
from storage.units import partition
from tests.storage.made import LAYOUT, LINEAGE, UNIT_SIZE, planned_samples, sample


def test_publish_samples_makes_blocks_of_units_and_loses_none_to_a_kill(
    store: LocalStore, ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Seven units in blocks of two; the planning of the second block is killed at first."""
    monkeypatch.setattr(samples, "_SAMPLES_TOGETHER", 2 * UNIT_SIZE)
    monkeypatch.setattr(samples, "_LIMITS", GroupLimits(num_rows=UNIT_SIZE))
    units = partition(None, 7 * UNIT_SIZE - 1, UNIT_SIZE)
    dataset = Dataset(store, LAYOUT, ledger)
    asked: list[range] = []

    def planned(indices: range) -> pa.Table:
        asked.append(indices)
        return planned_samples(indices)

    def killed(indices: range) -> pa.Table:
        if indices.start:
            raise KeyboardInterrupt
        return planned_samples(indices)

    with pytest.raises(KeyboardInterrupt):
        publish_samples(dataset, LINEAGE, units, killed)
    done = publish_samples(dataset, LINEAGE, units, planned)
    again = publish_samples(dataset, LINEAGE, units, planned)
    assert (done.num_commits > 1, again.num_commits) == (True, 0)
    assert set(asked[-3:]) == {range(8, 16), range(16, 24), range(24, 27)}
    assert len(asked) <= 4, "each block once"
    table = open_lance(store, LAYOUT.table(Table.SAMPLES), None).to_table(columns=["index"])
    assert sorted(table["index"].to_pylist()) == list(range(7 * UNIT_SIZE - 1))
    found = read_samples(dataset, [6, 1])
    assert found == {unit: [sample(index) for index in units[unit].indices] for unit in (1, 6)}
