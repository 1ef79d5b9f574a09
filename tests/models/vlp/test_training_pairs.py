from pathlib import Path

import numpy as np
import pytest
import torch

from models.vlp.data import ImagesInMemory, ImagesOnDemand, PairSource, read_texts
from models.vlp.training_pairs import TrainingPairs
from storage.records import Split

from .conftest import shape_rows, write_pairs


@pytest.fixture(scope="module")
def joined(pairs: PairSource, tmp_path_factory: pytest.TempPathFactory) -> TrainingPairs:
    """84 pairs of one table, then 21 of another, whose images are larger."""
    folder = tmp_path_factory.mktemp("other") / "pairs.lance"
    sources = (pairs, write_pairs(shape_rows(24, side=60), folder))
    return TrainingPairs(sources, tuple(read_texts(one, Split.TRAIN) for one in sources))


def test_pairs_are_numbered_on_from_table_to_table(joined: TrainingPairs) -> None:
    first, second = joined.texts_of
    assert joined.sizes == (84, 21)
    assert joined.texts.sample_ids == first.sample_ids + second.sample_ids
    assert joined.texts.findings[84:] == second.findings


@pytest.mark.parametrize("workers", [0, 1])
def test_images_of_several_tables_come_in_the_order_asked(
    joined: TrainingPairs, workers: int
) -> None:
    batches = [np.array([90, 3, 84, 83]), np.array([5, 6]), np.array([104, 100, 104])]
    held = joined.images(32, workers, memory_limit_mib=64)
    read = joined.images(32, workers, memory_limit_mib=0)
    assert isinstance(held, ImagesInMemory)
    assert isinstance(read, ImagesOnDemand)
    alone = [
        TrainingPairs((source,), (texts,)).images(32, 0, memory_limit_mib=64)
        for source, texts in zip(joined.sources, joined.texts_of, strict=True)
    ]
    for one, other, batch in zip(
        held.batches(batches), read.batches(batches), batches, strict=True
    ):
        expected = [
            next(iter(alone[int(pair >= 84)].batches([np.array([pair - 84 * (pair >= 84)])])))
            for pair in batch
        ]
        assert torch.equal(one, torch.cat(expected))
        assert torch.equal(other, one)


def test_a_damaged_image_names_its_sample(tmp_path: Path, pairs: PairSource) -> None:
    rows = shape_rows(4)
    rows[1]["image"] = b"\x89PNG but no more"
    broken = write_pairs(rows, tmp_path / "pairs.lance")
    sources = (pairs, broken)
    joined = TrainingPairs(sources, tuple(read_texts(one, Split.TRAIN) for one in sources))
    with pytest.raises(Exception, match=f"sample {1:032x}"):
        joined.images(32, 0, memory_limit_mib=64)
