from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from models.vlp.checkpoint import TrainingProvenance, load_checkpoint
from models.vlp.configs import PretrainingConfig
from models.vlp.data import ImagesInMemory, ImagesOnDemand, PairSource, read_texts
from models.vlp.phases import PhaseWeights
from models.vlp.trainer import pretrain_mixture
from models.vlp.training_log import StepLog, read_log
from models.vlp.training_pairs import MixedSource, TrainingMixture, TrainingPairs
from storage.errors import PlanMismatch
from storage.records import Split

from .conftest import shape_rows, write_pairs

PROVENANCE = TrainingProvenance("{}", "", "a + b", "0.1.0", sources='[{"corpus": "a"}]')


def with_training(config: PretrainingConfig, **changes: object) -> PretrainingConfig:
    training = config.training.model_copy(update=changes)
    return config.model_copy(update={"training": training})


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


class Killed(BaseException):
    """Stands for a kill: nothing catches it."""


@pytest.mark.parametrize(("killed_at", "resumed_at"), [(5, 3), (8, 6), (11, 9)])
def test_a_mixture_killed_in_any_phase_resumes_to_the_same_curve_and_weights(
    joined: TrainingPairs,
    tiny_config: PretrainingConfig,
    tmp_path: Path,
    killed_at: int,
    resumed_at: int,
) -> None:
    """Phases end at steps 4 and 8 of 12: resumed before, across and after a boundary."""
    config = with_training(tiny_config, checkpoint_every_steps=3, chunk_size=8, patience=5,
                           validate_every_steps=2)  # fmt: skip
    sources = tuple(
        MixedSource(name, pairs, texts, texts)
        for name, pairs, texts in zip("ab", joined.sources, joined.texts_of, strict=True)
    )
    phases = (
        PhaseWeights(1, (1, 0)),
        PhaseWeights(1, (1, 1), "one_source"),
        PhaseWeights(1, (1, 1)),
    )
    mixture = TrainingMixture(sources, phases)

    def stop(entry: StepLog) -> None:
        if entry.step == killed_at:
            raise Killed

    whole = pretrain_mixture(config, mixture, tmp_path / "whole", PROVENANCE)
    with pytest.raises(Killed):
        pretrain_mixture(config, mixture, tmp_path / "cut", PROVENANCE, stop)
    cut = pretrain_mixture(config, mixture, tmp_path / "cut", PROVENANCE)
    assert cut.resumed_at == resumed_at
    curves = [[entry.loss for entry in read_log(one.log_path)] for one in (whole, cut)]
    assert len(curves[0]) == 12
    assert curves[1] == pytest.approx(curves[0], abs=1e-6)
    weights = [load_checkpoint(one.model_path).model for one in (whole, cut)]
    for name, value in weights[0].items():
        torch.testing.assert_close(weights[1][name], value, atol=1e-6, rtol=1e-5)


def test_a_run_of_other_sources_in_the_folder_is_refused(
    joined: TrainingPairs, tiny_config: PretrainingConfig, tmp_path: Path
) -> None:
    config = with_training(tiny_config, steps=1)
    source = MixedSource("a", joined.sources[0], joined.texts_of[0], joined.texts_of[0])
    mixture = TrainingMixture((source,), (PhaseWeights(1, (1,)),))
    pretrain_mixture(config, mixture, tmp_path, PROVENANCE)
    other = replace(PROVENANCE, sources='[{"corpus": "b"}]')
    with pytest.raises(PlanMismatch, match=r"differs in: source 1\.corpus 'a' -> 'b';"):
        pretrain_mixture(config, mixture, tmp_path, other)
