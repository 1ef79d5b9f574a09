import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from models.vlp.checkpoint import (
    MODEL_FILE,
    TRAINING_FILE,
    TrainingProvenance,
    load_checkpoint,
    load_model,
)
from models.vlp.configs import PretrainingConfig, TextTowerConfig
from models.vlp.data import PairSource
from models.vlp.objectives import objective_config
from models.vlp.trainer import pretrain
from models.vlp.training_log import LOG_FILE, StepLog, read_log
from storage.errors import DamagedObject, FactoryError, PlanMismatch

from .conftest import SHAPES, draw_shapes, shape_rows, write_pairs

PROVENANCE = TrainingProvenance('{"name": "demo"}', "demo", "1", "0.1.0")
GOLDEN = Path(__file__).with_name("golden_loss_curve.json")


class Killed(BaseException):
    """Stands for a kill: nothing catches it."""


def with_training(config: PretrainingConfig, **changes: object) -> PretrainingConfig:
    training = config.training.model_copy(update=changes)
    return config.model_copy(update={"training": training})


def losses(folder: Path) -> list[float]:
    return [entry.loss for entry in read_log(folder / "log.jsonl")]


def killed_at(step: int) -> Callable[[StepLog], None]:
    def stop(entry: StepLog) -> None:
        if entry.step == step:
            raise Killed

    return stop


def test_pretrain_writes_model_log_and_provenance(
    pairs: PairSource, tiny_config: PretrainingConfig, tmp_path: Path
) -> None:
    seen: list[StepLog] = []
    result = pretrain(tiny_config, pairs, tmp_path, PROVENANCE, seen.append)
    checkpoint = load_checkpoint(result.model_path)
    assert checkpoint.provenance == PROVENANCE
    assert checkpoint.config.training.seed == 11
    assert (checkpoint.step, checkpoint.num_steps) == (12, 12)
    assert checkpoint.optimiser == {}
    assert not (tmp_path / TRAINING_FILE).exists()
    assert [entry.step for entry in seen] == list(range(1, 13))
    assert read_log(result.log_path) == seen


@pytest.mark.parametrize(("step", "resumed_at"), [(3, 0), (5, 0), (9, 5)])
def test_pretrain_killed_and_resumed_gives_the_same_curve_and_weights(
    pairs: PairSource,
    tiny_config: PretrainingConfig,
    tmp_path: Path,
    step: int,
    resumed_at: int,
) -> None:
    """Step 5 is killed before its checkpoint is written."""
    undisturbed = pretrain(tiny_config, pairs, tmp_path / "whole", PROVENANCE)
    with pytest.raises(Killed):
        pretrain(tiny_config, pairs, tmp_path / "cut", PROVENANCE, killed_at(step))
    half_written = tmp_path / "cut" / f"{TRAINING_FILE}.4711.partial"
    half_written.write_bytes(b"of a process that was killed as it wrote")
    resumed = pretrain(tiny_config, pairs, tmp_path / "cut", PROVENANCE)
    assert not half_written.exists()
    assert resumed.resumed_at == resumed_at
    assert losses(tmp_path / "cut") == pytest.approx(losses(tmp_path / "whole"), abs=1e-6)
    whole, cut = (load_checkpoint(r.model_path).model for r in (undisturbed, resumed))
    for name, value in whole.items():
        torch.testing.assert_close(cut[name], value, atol=1e-6, rtol=1e-5)


_KILLABLE = """
import json, sys, time
from pathlib import Path

import torch

from models.vlp.checkpoint import TrainingProvenance
from models.vlp.configs import PretrainingConfig
from models.vlp.data import PairSource
from models.vlp.trainer import pretrain

torch.set_num_threads(1)
config = PretrainingConfig.model_validate_json(sys.argv[1])
stay = lambda entry: time.sleep(600) if entry.step == int(sys.argv[5]) else None
provenance = TrainingProvenance(*json.loads(sys.argv[4]))
pretrain(config, PairSource(sys.argv[2]), Path(sys.argv[3]), provenance, stay)
"""


def test_pretrain_killed_from_outside_at_a_random_step_resumes_to_the_same_curve(
    pairs: PairSource, tiny_config: PretrainingConfig, tmp_path: Path
) -> None:
    """SIGKILL lands anywhere: amid a step, a log line or the writing of a checkpoint."""
    changes = {"steps": 50, "checkpoint_every_steps": 7, "average_decay": 0.9, "warmup": 0.3}
    config = with_training(tiny_config, **changes)
    step = random.SystemRandom().randrange(1, 45)
    killed_once_it_logged(step, config, pairs, tmp_path / "cut", stays_after=45)
    resumed = pretrain(config, pairs, tmp_path / "cut", PROVENANCE)
    expected = pretrain(config, pairs, tmp_path / "whole", PROVENANCE)
    assert step - 7 <= resumed.resumed_at <= 42, step
    assert [entry.step for entry in read_log(resumed.log_path)] == list(range(1, 51)), step
    curve = losses(tmp_path / "whole")
    assert losses(tmp_path / "cut") == pytest.approx(curve, abs=1e-6, rel=0), step
    cut, whole = load_checkpoint(resumed.model_path), load_checkpoint(expected.model_path)
    for name, value in whole.model.items():
        torch.testing.assert_close(cut.model[name], value, atol=1e-6, rtol=1e-5)
    assert sorted(path.name for path in (tmp_path / "cut").iterdir()) == [LOG_FILE, MODEL_FILE]


def killed_once_it_logged(
    step: int, config: PretrainingConfig, source: PairSource, folder: Path, stays_after: int
) -> None:
    """Train in another process, and kill that when its log holds a step."""
    given = json.dumps(["{}", "demo", "1", "0"])
    child = subprocess.Popen(
        [sys.executable, "-c", _KILLABLE, config.model_dump_json(), source.uri, str(folder), given,
         str(stays_after)],
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )  # fmt: skip
    try:
        deadline = time.monotonic() + 120
        while len(read_log(folder / LOG_FILE)) < step:
            assert child.poll() is None, "it ended before it was killed"
            assert time.monotonic() < deadline, f"no step {step} within 120 s"
            time.sleep(0.002)
    finally:
        child.kill()
    assert child.wait() == -signal.SIGKILL


def test_pretrain_from_workers_equals_pretrain_from_memory(
    pairs: PairSource, tiny_config: PretrainingConfig, tmp_path: Path
) -> None:
    pretrain(tiny_config, pairs, tmp_path / "memory", PROVENANCE)
    workers = with_training(tiny_config, memory_limit_mib=0, num_workers=1)
    pretrain(workers, pairs, tmp_path / "workers", PROVENANCE)
    assert losses(tmp_path / "workers") == pytest.approx(losses(tmp_path / "memory"), abs=1e-6)


def test_pretrain_does_not_depend_on_the_order_of_the_table(
    pairs: PairSource, tiny_config: PretrainingConfig, tmp_path: Path
) -> None:
    ordered = write_pairs(shape_rows(96), tmp_path / "ordered.lance")
    pretrain(tiny_config, pairs, tmp_path / "a", PROVENANCE)
    pretrain(tiny_config, ordered, tmp_path / "b", PROVENANCE)
    assert losses(tmp_path / "a") == pytest.approx(losses(tmp_path / "b"), abs=1e-6)


def test_pretrain_again_returns_the_finished_run(
    pairs: PairSource, tiny_config: PretrainingConfig, tmp_path: Path
) -> None:
    first = pretrain(tiny_config, pairs, tmp_path, PROVENANCE)
    written = first.model_path.stat().st_mtime_ns
    again = pretrain(with_training(tiny_config, num_workers=1), pairs, tmp_path, PROVENANCE)
    assert again == replace(first, resumed_at=12)
    assert first.model_path.stat().st_mtime_ns == written


def test_pretrain_in_the_folder_of_another_run_names_what_differs(
    pairs: PairSource, tiny_config: PretrainingConfig, tmp_path: Path
) -> None:
    pretrain(tiny_config, pairs, tmp_path, PROVENANCE)
    other = with_training(tiny_config, learning_rate=0.5)
    with pytest.raises(PlanMismatch, match=r"training\.learning_rate 0\.002 -> 0\.5"):
        pretrain(other, pairs, tmp_path, PROVENANCE)
    with pytest.raises(PlanMismatch, match="release '1' -> '2'"):
        pretrain(tiny_config, pairs, tmp_path, replace(PROVENANCE, release="2"))


def test_pretrain_diverging_stops_with_one_clear_line_and_no_model(
    pairs: PairSource, tiny_config: PretrainingConfig, tmp_path: Path
) -> None:
    def poison(images: torch.Tensor, *_: object) -> torch.Tensor:
        return images * torch.nan

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("models.vlp.training_run.as_drawn", poison)
        with pytest.raises(FactoryError, match="must stay finite, got nan at step 1 of 12"):
            pretrain(tiny_config, pairs, tmp_path, PROVENANCE)
    assert not (tmp_path / MODEL_FILE).exists()


def test_pretrain_over_a_damaged_checkpoint_says_which(
    pairs: PairSource, tiny_config: PretrainingConfig, tmp_path: Path
) -> None:
    (tmp_path / TRAINING_FILE).write_bytes(b"not a checkpoint")
    with pytest.raises(DamagedObject, match=TRAINING_FILE):
        pretrain(tiny_config, pairs, tmp_path, PROVENANCE)


def test_pretrain_on_one_pair_says_what_is_needed(
    tiny_config: PretrainingConfig, tmp_path: Path
) -> None:
    source = write_pairs(shape_rows(1), tmp_path / "pairs.lance")
    with pytest.raises(ValueError, match="needs at least 2 pairs to contrast, got 1"):
        pretrain(tiny_config, source, tmp_path / "run", PROVENANCE)


def test_pretrain_follows_the_golden_loss_curve(
    pairs: PairSource, tiny_config: PretrainingConfig, tmp_path: Path
) -> None:
    """Made by this very run on an x86 core; 1e-3 allows for another processor's rounding."""
    pretrain(tiny_config, pairs, tmp_path, PROVENANCE)
    assert losses(tmp_path) == pytest.approx(json.loads(GOLDEN.read_text()), abs=1e-3)


def test_pretrain_learns_what_the_sentences_say(
    pairs: PairSource, tiny_config: PretrainingConfig, tmp_path: Path
) -> None:
    config = with_training(tiny_config, steps=150, learning_rate=3e-3, texts_per_image=2)
    model = load_model(pretrain(config, pairs, tmp_path, PROVENANCE).model_path)
    random = np.random.default_rng(99)
    for shape in SHAPES:
        stated, denied = model.encode_texts([f"there is a {shape}", f"no {shape}"])
        images = [draw_shapes(present, random, 40) for present in [[shape], []] * 20]
        margin = model.encode_images(images) @ (stated - denied)
        assert margin[::2].mean() > margin[1::2].mean(), shape


@pytest.mark.parametrize("kind", ["clip", "gloria", "mgca"])
def test_pretrain_with_each_objective_learns_and_resumes_to_the_same_curve(
    pairs: PairSource, tiny_config: PretrainingConfig, tmp_path: Path, kind: str
) -> None:
    objective = objective_config({"kind": kind, "embedding_size": 16})
    config = with_training(tiny_config, steps=40, texts_per_image=1, checkpoint_every_steps=15)
    config = config.model_copy(update={"objective": objective})
    pretrain(config, pairs, tmp_path / "whole", PROVENANCE)
    with pytest.raises(Killed):
        pretrain(config, pairs, tmp_path / "cut", PROVENANCE, killed_at(22))
    resumed = pretrain(config, pairs, tmp_path / "cut", PROVENANCE)
    curve = losses(tmp_path / "whole")
    assert resumed.resumed_at == 15
    assert losses(tmp_path / "cut") == pytest.approx(curve, abs=1e-6)
    assert sum(curve[-8:]) < 0.95 * sum(curve[:8])
    assert load_model(resumed.model_path).config.objective == objective


def test_pretrain_on_a_huggingface_text_model_goes_on_after_its_folder_is_gone(
    pairs: PairSource, tiny_config: PretrainingConfig, tmp_path: Path, bert: Path
) -> None:
    folder = shutil.copytree(bert, tmp_path / "bert")
    text = TextTowerConfig(name=f"hf/{folder}", max_tokens=20)
    objective = objective_config({"kind": "mgca", "embedding_size": 16})
    config = with_training(tiny_config, steps=20, texts_per_image=1, checkpoint_every_steps=6)
    config = config.model_copy(update={"objective": objective, "text_tower": text})
    pretrain(config, pairs, tmp_path / "whole", PROVENANCE)
    with pytest.raises(Killed):
        pretrain(config, pairs, tmp_path / "cut", PROVENANCE, killed_at(8))
    shutil.rmtree(folder)
    resumed = pretrain(config, pairs, tmp_path / "cut", PROVENANCE)
    curve = losses(tmp_path / "whole")
    assert losses(tmp_path / "cut") == pytest.approx(curve, abs=1e-6)
    assert sum(curve[-5:]) < 0.95 * sum(curve[:5])
    model = load_model(resumed.model_path)
    assert model.knows("a square ring")
    assert model.encode_texts(["a square", ""]).shape == (2, 16)
    assert model.similarity_map(draw_shapes(["ring"], np.random.default_rng(0), 40), "ring").shape


def test_pretrain_in_chunks_resumes_to_the_same_curve(
    pairs: PairSource, tiny_config: PretrainingConfig, tmp_path: Path
) -> None:
    config = with_training(tiny_config, chunk_size=4)
    pretrain(config, pairs, tmp_path / "whole", PROVENANCE)
    with pytest.raises(Killed):
        pretrain(config, pairs, tmp_path / "cut", PROVENANCE, killed_at(7))
    pretrain(config, pairs, tmp_path / "cut", PROVENANCE)
    assert losses(tmp_path / "cut") == pytest.approx(losses(tmp_path / "whole"), abs=1e-6)


def test_pretrain_in_chunks_that_leave_a_rest_says_so(
    pairs: PairSource, tiny_config: PretrainingConfig, tmp_path: Path
) -> None:
    with pytest.raises(ValueError, match="chunk_size must divide the batch of 16 pairs, got 5"):
        pretrain(with_training(tiny_config, chunk_size=5), pairs, tmp_path, PROVENANCE)
