"""What a shard leaves behind however it ends: its records, put together in a digest."""

from pathlib import Path

import pytest

from flows.work import lock_work, open_work
from storage.records import Stage
from storage.samples import publish_samples
from tasks.settle import RunIds
from tasks.shards import ShardSettings, open_write_shard
from tests.flows.conftest import tiny_plan

SETTINGS = ShardSettings(1, None, batch_timeout_seconds=60, unit_timeout_seconds=60)


@pytest.mark.parametrize("ended", [None, KeyboardInterrupt])
def test_shard_that_ends_puts_its_records_in_one_digest(
    tmp_path: Path, ended: type[BaseException] | None
) -> None:
    work = lock_work(tiny_plan(target={"all": 10}, unit_size=1), str(tmp_path))
    publish_samples(work.dataset, work.lineage(), work.units, work.drawing().rows)
    try:
        with open_write_shard(work.dataset, range(10), work.write_station(), SETTINGS) as units:
            stand = {unit: units.settle(unit, RunIds()) for unit in range(9)}
            if ended is not None:
                raise ended
    except KeyboardInterrupt:
        assert ended is KeyboardInterrupt
    dataset = open_work(str(tmp_path), "tiny").dataset
    (digest,) = dataset.store.list(dataset.layout.digests_folder(Stage.WRITE))
    for info in dataset.store.list(dataset.layout.ledger_folder(Stage.WRITE)):
        if info.key != digest.key:
            dataset.store.put(info.key, b"not read")
    assert dict(dataset.ledger.settled(Stage.WRITE)) == stand
