from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from torch import Tensor
from torch.optim.swa_utils import AveragedModel

from models.vlp.checkpoint import TRAINING_FILE, TrainingProvenance, load_checkpoint, load_model
from models.vlp.configs import PretrainingConfig
from models.vlp.data import PairSource
from models.vlp.model import VisionLanguageModel
from models.vlp.trainer import pretrain
from models.vlp.training_log import StepLog, read_log
from models.vlp.training_run import TrainingRun
from models.vlp.validation import EarlyStopping, Validation

from .conftest import shape_rows, write_pairs

PROVENANCE = TrainingProvenance('{"name": "demo"}', "demo", "1", "0.1.0")


class Killed(BaseException):
    """Stands for a kill: nothing catches it."""


@pytest.fixture(scope="module")
def split_pairs(tmp_path_factory: pytest.TempPathFactory) -> PairSource:
    """84 pairs to train on, 12 to validate on."""
    rows = [
        row | {"split": "validation" if row["split"] == "test" else "train"}
        for row in shape_rows(96)
    ]
    return write_pairs(rows, tmp_path_factory.mktemp("validated") / "pairs.lance")


def with_training(config: PretrainingConfig, **changes: object) -> PretrainingConfig:
    training = config.training.model_copy(update=changes)
    return config.model_copy(update={"training": training})


def curve(folder: Path) -> list[float]:
    return [entry.loss for entry in read_log(folder / "log.jsonl")]


def looks(folder: Path) -> dict[int, float]:
    """Validation loss by step."""
    entries = read_log(folder / "log.jsonl")
    return {e.step: e.terms["validation"] for e in entries if "validation" in e.terms}


def rising(monkeypatch: pytest.MonkeyPatch) -> None:
    """A validation loss that is lowest at the second look."""
    losses = iter([3.0, 2.0, 2.5, 2.2, 9.0, 9.0, 9.0])
    monkeypatch.setattr(Validation, "loss", lambda *_: next(losses))


def test_early_stopping_keeps_the_lowest_and_stops_when_patience_is_spent() -> None:
    stopping = EarlyStopping(2, {})
    weight = torch.zeros(2)
    for step, loss in enumerate([3.0, 2.0, 2.5]):
        weight.fill_(step)
        stopping.see(loss, {"w": weight})
    assert not stopping.stopped
    again = EarlyStopping(2, stopping.tensors())
    again.see(2.0, {"w": weight})  # no lower
    assert again.stopped
    assert again.best["w"].tolist() == [1, 1]


def test_pretrain_validating_changes_nothing_of_the_training(
    split_pairs: PairSource, tiny_config: PretrainingConfig, tmp_path: Path
) -> None:
    pretrain(tiny_config, split_pairs, tmp_path / "blind", PROVENANCE)
    watched = with_training(tiny_config, patience=100, validate_every_steps=5)
    pretrain(watched, split_pairs, tmp_path / "watched", PROVENANCE)
    assert curve(tmp_path / "watched") == curve(tmp_path / "blind")
    assert list(looks(tmp_path / "watched")) == [5, 10, 12]


def test_pretrain_with_patience_keeps_the_weights_of_the_lowest_look(
    split_pairs: PairSource, tiny_config: PretrainingConfig, tmp_path: Path
) -> None:
    config = with_training(tiny_config, steps=6, patience=100, validate_every_steps=1)
    seen: list[dict[str, Tensor]] = []
    original = Validation.loss

    def recorded(self: Validation, model: VisionLanguageModel, *rest: object) -> float:
        seen.append({name: value.clone() for name, value in model.state_dict().items()})
        return original(self, model, *rest)  # type: ignore[arg-type]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Validation, "loss", recorded)
        result = pretrain(config, split_pairs, tmp_path, PROVENANCE)
    by_step = looks(tmp_path)
    lowest = min(by_step, key=lambda step: by_step[step])
    kept = load_checkpoint(result.model_path).model
    for name, value in seen[lowest - 1].items():
        assert torch.equal(kept[name], value), name


def test_pretrain_stops_early_and_is_then_finished(
    split_pairs: PairSource,
    tiny_config: PretrainingConfig,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    rising(monkeypatch)
    config = with_training(tiny_config, steps=100, patience=2, validate_every_steps=3)
    result = pretrain(config, split_pairs, tmp_path, PROVENANCE)
    assert looks(tmp_path) == {3: 3.0, 6: 2.0, 9: 2.5, 12: 2.2}
    assert result.num_steps == 12
    assert not (tmp_path / TRAINING_FILE).exists()
    assert pretrain(config, split_pairs, tmp_path, PROVENANCE).resumed_at == 12
    assert load_model(result.model_path).encode_texts(["no ring"]).shape == (1, 16)


def test_pretrain_killed_after_it_stopped_trains_no_further(
    split_pairs: PairSource,
    tiny_config: PretrainingConfig,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    rising(monkeypatch)
    config = with_training(
        tiny_config, steps=100, patience=2, validate_every_steps=3, checkpoint_every_steps=12
    )

    def killed(_: TrainingRun) -> None:
        raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(TrainingRun, "_save_result", killed)
        with pytest.raises(Killed):
            pretrain(config, split_pairs, tmp_path, PROVENANCE)
    result = pretrain(config, split_pairs, tmp_path, PROVENANCE)
    assert (result.resumed_at, result.num_steps, len(curve(tmp_path))) == (12, 12, 12)


def test_pretrain_averaged_and_validated_resumes_to_the_same_curve_and_weights(
    split_pairs: PairSource, tiny_config: PretrainingConfig, tmp_path: Path
) -> None:
    config = with_training(
        tiny_config, average_decay=0.8, patience=100, validate_every_steps=2, chunk_size=8
    )

    def stop(entry: StepLog) -> None:
        if entry.step == 8:
            raise Killed

    whole = pretrain(config, split_pairs, tmp_path / "whole", PROVENANCE)
    with pytest.raises(Killed):
        pretrain(config, split_pairs, tmp_path / "cut", PROVENANCE, stop)
    cut = pretrain(config, split_pairs, tmp_path / "cut", PROVENANCE)
    assert cut.resumed_at == 5
    assert curve(tmp_path / "cut") == pytest.approx(curve(tmp_path / "whole"), abs=1e-6)
    assert looks(tmp_path / "cut") == pytest.approx(looks(tmp_path / "whole"), abs=1e-6)
    expected, found = (load_checkpoint(run.model_path).model for run in (whole, cut))
    for name, value in expected.items():
        torch.testing.assert_close(found[name], value, atol=1e-6, rtol=1e-5)


@pytest.fixture
def recorded_steps(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[dict[str, Tensor]]]:
    """The weights after each step of a run that averages."""
    steps: list[dict[str, Tensor]] = []
    original = AveragedModel.update_parameters

    def recorded(self: AveragedModel, model: VisionLanguageModel) -> None:
        steps.append({n: v.detach().clone() for n, v in model.state_dict().items()})
        original(self, model)

    monkeypatch.setattr(AveragedModel, "update_parameters", recorded)
    yield steps


def test_pretrain_average_is_that_of_the_weights_step_by_step(
    split_pairs: PairSource,
    tiny_config: PretrainingConfig,
    tmp_path: Path,
    recorded_steps: list[dict[str, Tensor]],
) -> None:
    config = with_training(tiny_config, average_decay=0.8, steps=5)
    kept = load_checkpoint(pretrain(config, split_pairs, tmp_path, PROVENANCE).model_path).model
    head = "objective.image_head.0.weight"
    average = recorded_steps[0][head]
    for weights in recorded_steps[1:]:
        average = 0.8 * average + 0.2 * weights[head]
    torch.testing.assert_close(kept[head], average)
    assert not torch.allclose(average, recorded_steps[-1][head])
    statistics = "image_tower.pooled_norm.running_mean"
    torch.testing.assert_close(kept[statistics], recorded_steps[-1][statistics])


def test_pretrain_with_patience_on_a_release_without_validation_pairs_says_so(
    pairs: PairSource, tiny_config: PretrainingConfig, tmp_path: Path
) -> None:
    with pytest.raises(ValueError, match="must hold validation pairs, got none among 96"):
        pretrain(with_training(tiny_config, patience=2), pairs, tmp_path, PROVENANCE)
