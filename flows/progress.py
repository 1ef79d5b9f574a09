"""Progress bars of a running dataset or training, drawn from what lies under the root.

They read the ledger and the training log, so they show the same for work in this process,
in a worker's, or on another host.
"""

import logging
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from datetime import timedelta
from typing import TYPE_CHECKING

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
)

from flows.pool_watch import LOOK_SECONDS
from flows.pretrain import planned_run
from flows.training_plans import PretrainPlan
from flows.work import Work
from models.vlp.training_log import LOG_FILE
from storage.errors import FactoryError, ObjectMissing
from storage.folders import KEEP_EVERY_SECONDS
from storage.json_files import parse_json
from storage.layout import model_folder
from storage.objects import LocalStore, ObjectStore, open_store
from storage.records import Stage
from tasks.waiting import idle_pools_of

if TYPE_CHECKING:
    from flows.study_estimate import StudyEstimate  # imports every flow that a study runs

REFRESH_SECONDS = 0.5
PAINTER_STAGES = ("autoencoder", "denoiser")

console = Console(stderr=True)
logger = logging.getLogger(__name__)


@contextmanager
def dataset_bars(open_work: Callable[[], Work]) -> Iterator[None]:
    """One bar a stage, in units, while the block runs."""
    with _bars("units") as progress:
        waiting = progress.add_task("plan", total=None)
        bars: dict[Stage, TaskID] = {}
        work: Work | None = None

        def refresh() -> None:
            nonlocal work
            work = work or open_work()
            progress.update(waiting, visible=False)
            num_units = len({*work.wanted_units()} | _settled(work, Stage.WRITE))
            for stage in work.stages:
                if stage not in bars:
                    bars[stage] = progress.add_task(str(stage), total=None)
                progress.update(bars[stage], completed=len(_settled(work, stage)), total=num_units)

        idle = progress.add_task("", total=None, visible=False)

        def refresh_idle() -> None:
            if work is not None:
                pools = idle_pools_of(work.dataset.store.root, work.plan.name)
                said = "; ".join(map(str, pools))
                progress.update(idle, description=said, visible=bool(pools))

        with _every(REFRESH_SECONDS, refresh), _every(LOOK_SECONDS, refresh_idle):
            yield


@contextmanager
def training_bar(root: str, plan: PretrainPlan) -> Iterator[None]:
    """A bar in optimiser steps, from the last line of a run's `log.jsonl`."""
    log = f"{model_folder(planned_run(root, plan))}/{LOG_FILE}"
    with _log_bars(open_store(root), {"pretrain": log}):
        yield


@contextmanager
def finetuning_bars(root: str, run: str) -> Iterator[None]:
    """A bar in optimiser steps for each stage of a painter's training, as `training_bar`."""
    logs = {stage: f"{model_folder(run)}/{stage}.{LOG_FILE}" for stage in PAINTER_STAGES}
    with _log_bars(open_store(root), logs):
        yield


@contextmanager
def study_bar(look: "Callable[[], StudyEstimate]") -> Iterator[None]:
    """A bar in cells, with what is left at the pace of those that are finished."""
    with _bars("cells") as progress:
        bar = progress.add_task("study", total=None)

        def refresh() -> None:
            found = look()
            left = found.seconds_left
            about = f", {timedelta(seconds=round(left))} left" if left else ""
            progress.update(
                bar,
                completed=found.num_finished,
                total=found.num_cells,
                description=f"{found.name}{about}",
            )

        with _every(KEEP_EVERY_SECONDS, refresh):
            yield


@contextmanager
def spinner(what: str) -> Iterator[None]:
    """For work without a count."""
    with _bars("") as progress:
        bar = progress.add_task(what, total=None)
        yield
        progress.update(bar, total=1, completed=1)


@contextmanager
def _log_bars(store: ObjectStore, logs: Mapping[str, str]) -> Iterator[None]:
    """A bar for each training log, by its key, once it has a line."""
    with _bars("steps") as progress:
        bars = {name: progress.add_task(name, total=None, visible=False) for name in logs}

        def refresh() -> None:
            for name, log in logs.items():
                with suppress(ObjectMissing):  # not begun
                    lines = store.get(log).splitlines()
                    if not lines:
                        continue
                    step = parse_json(lines[-1], log)
                    progress.update(
                        bars[name],
                        completed=step["step"],
                        total=step["num_steps"],
                        description=f"{name}  loss {step['loss']:.3f}",
                        visible=True,
                    )

        # beside S3 a log is put back no oftener, and each look at it is a request
        local = isinstance(store, LocalStore)
        with _every(REFRESH_SECONDS if local else KEEP_EVERY_SECONDS, refresh):
            yield


def _bars(unit: str) -> Progress:
    return Progress(
        TextColumn("{task.description:<24}"),
        BarColumn(bar_width=40),
        MofNCompleteColumn(),
        TextColumn(unit),
        TimeElapsedColumn(),
        console=console,
    )


def _settled(work: Work, stage: Stage) -> set[int]:
    """Units that have passed the stage, if only in their first round."""
    return {work.rounds.unit_of(number) for number in work.dataset.ledger.settled_units(stage)}


@contextmanager
def _every(seconds: float, refresh: Callable[[], None]) -> Iterator[None]:
    """Call `refresh` now and then in a thread, and once more at the end."""
    ended = threading.Event()

    def loop() -> None:
        pause = seconds
        while not ended.wait(pause):
            began = time.monotonic()
            _quietly(refresh)
            pause = max(seconds, 10 * (time.monotonic() - began))  # at most a tenth of a core

    thread = threading.Thread(target=loop, name="progress", daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()
        _quietly(refresh)


def _quietly(refresh: Callable[[], None]) -> None:
    """A bar that cannot be drawn yet must not stop the work it shows."""
    try:
        refresh()
    except (FactoryError, ValueError, OSError) as error:
        logger.debug("progress not drawn: %s", error)
