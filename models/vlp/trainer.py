"""Pre-training from a released table of pairs to a checkpoint; resumable to the last digit.

Knows nothing of the objective but `PretrainingObjective`, and nothing of where runs are kept:
it writes to a local folder, and whoever called it takes the files from there.
"""

import json
import math
from collections.abc import Callable, Collection
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from models.devices import processes_named
from models.vlp.checkpoint import (
    MODEL_FILE,
    TRAINING_FILE,
    Checkpoint,
    TrainingProvenance,
    load_checkpoint,
)
from models.vlp.configs import PretrainingConfig
from models.vlp.data import PairImages, PairSource
from models.vlp.ranks import Ranks, alone
from models.vlp.torchrun import run_together
from models.vlp.training_log import LOG_FILE, StepLog, read_log
from models.vlp.training_pairs import ReleaseData, TrainingData, TrainingMixture, TrainingPairs
from models.vlp.training_run import TrainingRun
from storage.errors import PlanMismatch
from storage.records import Split

# Where and how often; the rest of the config is what is computed.
_NOT_CONTENT = {
    "device",
    "num_processes",
    "num_workers",
    "memory_limit_mib",
    "checkpoint_every_steps",
}


@dataclass(frozen=True, slots=True)
class TrainingResult:
    """A finished run.

    Attributes:
        model_path: The checkpoint.
        log_path: Loss of every step.
        num_steps: Optimiser steps.
        loss: Mean over the last tenth of the steps, nats.
        seconds: Training time, all sittings together, reading and decoding left out.
        resumed_at: Step this sitting began after; 0 for a fresh run.
    """

    model_path: Path
    log_path: Path
    num_steps: int
    loss: float
    seconds: float
    resumed_at: int


def pretrain(
    config: PretrainingConfig,
    source: PairSource,
    run_folder: Path,
    provenance: TrainingProvenance,
    on_step: Callable[[StepLog], None] | None = None,
    among: Collection[str] | None = None,
) -> TrainingResult:
    """Train a model on the training split of a release, or go on where a run was cut off.

    Args:
        config: Objective, towers, views and training.
        source: The released pairs table.
        run_folder: Local folder for `log.jsonl` and the checkpoints; made if absent. A finished
            run of the same config and release in it is returned as it is.
        provenance: Stored in the checkpoint.
        on_step: Called after every step, where one process trains.
        among: Ids of the samples to train on, as `provenance.choice` tells; None for all.

    Raises:
        ValueError: If the table has too few pairs to train on (or to validate on, with
            `patience`), or a report without text.
        StoreUnavailable: If there is no such table.
        PlanMismatch: If the folder holds a run of another config or release.
        FactoryError: If the loss stops being finite, or a process of several dies.
    """
    return _pretrain(config, ReleaseData(source, among), run_folder, provenance, on_step)


def pretrain_mixture(
    config: PretrainingConfig,
    mixture: TrainingMixture,
    run_folder: Path,
    provenance: TrainingProvenance,
    on_step: Callable[[StepLog], None] | None = None,
) -> TrainingResult:
    """Train a model on several sources; all else as `pretrain` has it.

    Raises:
        ValueError: If a source has too few pairs for its share of a batch, or a phase no step.
        PlanMismatch: If the folder holds a run of another config or of other sources.
        FactoryError: If the loss stops being finite, or a process of several dies.
    """
    return _pretrain(config, mixture, run_folder, provenance, on_step)


def _pretrain(
    config: PretrainingConfig,
    data: TrainingData,
    run_folder: Path,
    provenance: TrainingProvenance,
    on_step: Callable[[StepLog], None] | None,
) -> TrainingResult:
    run_folder.mkdir(parents=True, exist_ok=True)
    previous = _previous(run_folder, config, provenance)
    if previous and previous.step == previous.num_steps:
        return _result(run_folder, previous.step, previous.step)
    settings = config.training
    share = partial(train_share, config, data, run_folder, provenance, on_step)
    num_processes = processes_named(settings.num_processes, settings.device)
    if num_processes == 1:
        share(alone(settings.device))
    else:
        assert on_step is None, "several processes tell their steps by the log alone"
        run_together(share, settings.device, num_processes)
    done = read_log(run_folder / LOG_FILE)[-1].step
    return _result(run_folder, done, previous.step if previous else 0)


def train_share(
    config: PretrainingConfig,
    data: TrainingData,
    run_folder: Path,
    provenance: TrainingProvenance,
    on_step: Callable[[StepLog], None] | None,
    ranks: Ranks,
) -> None:
    """This process's part in a run."""
    pairs = data.pairs(Split.TRAIN)
    order = data.order(config.training, pairs.sizes, ranks.count)
    previous = _previous(run_folder, config, provenance)
    run = TrainingRun(config, pairs.texts, order, provenance, run_folder, previous, ranks)
    ranks.wait()  # all have read where to go on before one writes what comes next
    validation = None
    if config.training.patience:
        held_out = data.pairs(Split.VALIDATION)
        validation = run.validation(held_out.texts, _images(config, held_out))
    run.train(_images(config, pairs), validation, on_step)


def _images(config: PretrainingConfig, pairs: TrainingPairs) -> PairImages:
    settings = config.training
    size_px = config.image_tower.image_size_px
    return pairs.images(size_px, settings.num_workers, settings.memory_limit_mib)


def _previous(
    folder: Path, config: PretrainingConfig, provenance: TrainingProvenance
) -> Checkpoint | None:
    """The finished model of this folder, else the state to resume from, else None."""
    for name in (MODEL_FILE, TRAINING_FILE):
        if (folder / name).is_file():
            checkpoint = load_checkpoint(folder / name)
            _require_same(folder, checkpoint, config, provenance)
            return checkpoint
    return None


def _require_same(
    folder: Path, found: Checkpoint, config: PretrainingConfig, provenance: TrainingProvenance
) -> None:
    theirs = _content(found.config, found.provenance)
    ours = _content(config, provenance)
    changed = [f"{key} {theirs.get(key)!r} -> {ours.get(key)!r}" for key in sorted(theirs | ours)
               if theirs.get(key) != ours.get(key)]  # fmt: skip
    if changed:
        raise PlanMismatch(
            f"{folder} must hold a run of this plan and release, differs in: "
            f"{'; '.join(changed)}; name another run or delete the folder"
        )


def _content(config: PretrainingConfig, provenance: TrainingProvenance) -> dict[str, Any]:
    """What must be equal for a run to be the same run, as flat names and values."""
    settings = config.model_dump(mode="json", exclude={"training": _NOT_CONTENT})
    flat = {
        f"{part}.{name}": value
        for part, fields in settings.items()
        for name, value in fields.items()
    }
    read = {"dataset": provenance.dataset, "release": provenance.release}
    sources = {
        f"source {number}.{name}": value
        for number, source in enumerate(json.loads(provenance.sources or "[]"), start=1)
        for name, value in source.items()
    }
    return flat | read | {"choice": provenance.choice} | sources


def _result(folder: Path, num_steps: int, resumed_at: int) -> TrainingResult:
    entries = read_log(folder / LOG_FILE)
    tail = [entry.loss for entry in entries[-max(1, num_steps // 10) :]]
    return TrainingResult(
        model_path=folder / MODEL_FILE,
        log_path=folder / LOG_FILE,
        num_steps=num_steps,
        loss=sum(tail) / len(tail) if tail else math.nan,
        seconds=entries[-1].seconds if entries else 0.0,
        resumed_at=resumed_at,
    )
