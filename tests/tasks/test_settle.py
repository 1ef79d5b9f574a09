"""A unit that fails three times, whoever saw it fail: the sample at fault is quarantined."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from models.painters.configs import PhantomConfig
from storage.dataset import Dataset, open_dataset
from storage.errors import EngineFailed
from storage.records import ImageRow, Outcome, Stage
from tasks.settle import RunIds, StageSteps, UnitWork
from tests.storage.made import image_row, quarantined_row

UNIT, POISON = 1, 6
RUN = RunIds()


class _NoQueue:
    """Nothing is submitted: the stage below answers by itself."""

    def submit(self, *_: object, **__: object) -> None:
        raise AssertionError("no engine is asked")


def _paint(items: Sequence[int], *_: Any) -> list[ImageRow]:
    if POISON in items:
        raise EngineFailed(f"sample {POISON} cannot be painted")
    return [image_row(index) for index in items]


def _quarantine(item: int, *_: Any) -> ImageRow:
    return quarantined_row(item)


def _open(dataset: Dataset) -> UnitWork[int, ImageRow]:
    steps = StageSteps(
        stage=Stage.PAINT,
        engine=PhantomConfig(),
        max_tries=1,
        items_of=lambda unit: range(4 * unit, 4 * unit + 4),
        run=_paint,
        quarantine=_quarantine,
        row_type=ImageRow,
    )
    return UnitWork(dataset, _NoQueue(), steps, 1.0)  # type: ignore[arg-type]


@pytest.fixture
def dataset(tmp_path: Path) -> Dataset:
    return open_dataset(str(tmp_path), "test-set")


def _fail(work: UnitWork[int, ImageRow]) -> None:
    with pytest.raises(EngineFailed, match="sample 6 cannot be painted"):
        work.settle(UNIT, RUN)


def _assert_quarantined(dataset: Dataset) -> None:
    outcomes = dataset.ledger.record(Stage.PAINT, UNIT).outcomes
    quarantined = [one.index for one in outcomes if one.outcome is Outcome.QUARANTINED]
    assert (len(outcomes), quarantined) == (4, [POISON])
    assert len(dataset.ledger.failures(Stage.PAINT, UNIT)) == 2


def test_settle_third_attempt_of_a_shard_quarantines_the_sample_at_fault(dataset: Dataset) -> None:
    work = _open(dataset)
    _fail(work)
    _fail(work)
    work.settle(UNIT, RUN)
    _assert_quarantined(dataset)


def test_settle_counts_attempts_of_earlier_shards(dataset: Dataset) -> None:
    _fail(_open(dataset))
    _fail(_open(dataset))
    _open(dataset).settle(UNIT, RUN)
    _assert_quarantined(dataset)


def test_settle_other_units_are_not_disturbed(dataset: Dataset) -> None:
    work = _open(dataset)
    _fail(work)
    record = work.settle(UNIT + 1, RUN)
    assert all(one.outcome is Outcome.ACCEPTED for one in record.outcomes)
