"""Two processes on the CPU against one: the same gradients, curve and embeddings."""

import subprocess
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import pytest

from models.vlp.checkpoint import TRAINING_FILE, load_model
from models.vlp.configs import ImageTowerConfig, PretrainingConfig, TrainingConfig
from models.vlp.data import PairSource
from models.vlp.objectives import objective_config
from models.vlp.torchrun import run_together
from models.vlp.trainer import pretrain
from models.vlp.training_log import StepLog, read_log
from storage.errors import FactoryError, PlanMismatch

from .conftest import SHAPES, draw_shapes, shape_rows, write_pairs
from .rank_faults import die_as_the_second
from .rank_work import PROVENANCE, compare_train_and_refuse


@pytest.fixture(scope="module")
def split_pairs(tmp_path_factory: pytest.TempPathFactory) -> PairSource:
    """84 pairs to train on, 12 to validate on."""
    rows = [
        row | {"split": "validation" if row["split"] == "test" else "train"}
        for row in shape_rows(96)
    ]
    return write_pairs(rows, tmp_path_factory.mktemp("shared") / "pairs.lance")


def changed(
    config: PretrainingConfig, kind: str, tower: str, **training: object
) -> PretrainingConfig:
    """A rate so low that rounding does not grow within few steps."""
    settings = {"steps": 8, "texts_per_image": 2, "learning_rate": 5e-4, **training}
    return config.model_copy(
        update={
            "objective": objective_config({"kind": kind, "embedding_size": 16}),
            "image_tower": ImageTowerConfig(name=tower, image_size_px=32, width=8),
            "training": config.training.model_copy(update=settings),
        }
    )


def test_two_processes_compute_what_one_does_and_end_when_one_refuses(
    split_pairs: PairSource, tiny_config: PretrainingConfig, tmp_path: Path
) -> None:
    """Gradients of every objective in float64, then a curve in chunks; its error is told last."""
    config = changed(tiny_config, "mgca", "timm/test_vit", chunk_size=4)
    with pytest.raises(PlanMismatch, match=r"^another plan$"):
        run_together(partial(compare_train_and_refuse, config, split_pairs, tmp_path), "cpu", 2)
    expected = pretrain(config, split_pairs, tmp_path / "one", PROVENANCE)
    assert_same_curve(read_log(tmp_path / "log.jsonl"), read_log(expected.log_path))
    assert_same_model(tmp_path / "model.safetensors", expected.model_path)


def test_pretrain_goes_on_with_another_number_of_processes(
    split_pairs: PairSource, tiny_config: PretrainingConfig, tmp_path: Path
) -> None:
    """With batch norms, averaged weights and looks at the validation split."""
    watched = {"average_decay": 0.9, "patience": 9, "validate_every_steps": 2}
    config = changed(tiny_config, "convirt", "narrow-resnet", checkpoint_every_steps=3, **watched)
    expected = pretrain(config, split_pairs, tmp_path / "whole", PROVENANCE)
    with pytest.raises(KeyboardInterrupt):
        pretrain(config, split_pairs, tmp_path / "cut", PROVENANCE, interrupt_at(5))
    two = config.training.model_copy(update={"num_processes": 2})
    resumed = pretrain(
        config.model_copy(update={"training": two}), split_pairs, tmp_path / "cut", PROVENANCE
    )
    assert (resumed.resumed_at, resumed.num_steps) == (3, 8)
    assert not (tmp_path / "cut" / TRAINING_FILE).exists()
    assert_same_curve(read_log(resumed.log_path), read_log(expected.log_path))
    assert_same_model(resumed.model_path, expected.model_path)


def test_process_that_dies_ends_the_others_and_is_told() -> None:
    with pytest.raises(FactoryError, match="one died"):
        run_together(die_as_the_second, "cpu", 2)


def test_processes_end_with_the_one_that_was_killed_over_them(tmp_path: Path) -> None:
    script = (
        "import sys\n"
        "from functools import partial\n"
        "from pathlib import Path\n"
        "from models.vlp.torchrun import run_together\n"
        "from tests.models.vlp.rank_faults import say_who_and_stay\n"
        "run_together(partial(say_who_and_stay, Path(sys.argv[1])), 'cpu', 2)\n"
    )
    parent = subprocess.Popen([sys.executable, "-c", script, str(tmp_path)])
    files = [tmp_path / "0", tmp_path / "1"]
    try:
        wait_until(lambda: all(file.exists() for file in files), "two processes at work")
    finally:
        parent.kill()
        parent.wait()
    pids = [int(file.read_text()) for file in files]
    wait_until(lambda: not any(Path(f"/proc/{pid}").exists() for pid in pids), "their end")


def test_training_on_several_processes_names_no_single_gpu() -> None:
    with pytest.raises(ValueError, match="device must be auto, cuda or cpu for num_processes 2"):
        TrainingConfig(device="cuda:1", num_processes=2)


def assert_same_curve(found: list[StepLog], expected: list[StepLog]) -> None:
    assert [entry.step for entry in found] == [entry.step for entry in expected]
    for entry, same in zip(found, expected, strict=True):
        assert entry.loss == pytest.approx(same.loss, abs=1e-5)
        assert entry.terms == pytest.approx(same.terms, abs=1e-5)


def assert_same_model(found: Path, expected: Path) -> None:
    """By what they say: the bias of attention's keys, which has no gradient, is Adam's noise."""
    images = [draw_shapes(SHAPES[:k], np.random.default_rng(k), 40) for k in range(3)]
    texts = ["no square", "there is a ring", "a large bar"]
    one, two = load_model(expected), load_model(found)
    np.testing.assert_allclose(two.encode_images(images), one.encode_images(images), atol=1e-4)
    np.testing.assert_allclose(two.encode_texts(texts), one.encode_texts(texts), atol=1e-4)


def interrupt_at(step: int) -> Callable[[StepLog], None]:
    def stop(entry: StepLog) -> None:
        if entry.step == step:
            raise KeyboardInterrupt

    return stop


def wait_until(holds: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + 120
    while not holds():
        assert time.monotonic() < deadline, f"no {what} within 120 s"
        time.sleep(0.2)
