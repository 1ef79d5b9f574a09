"""How the shards of a plan are run: one after another in this process, or in work pools.

A shard's stages are a generator: what it yields is run, and it goes on when that has ended. So the
order of the stages is said once, in `flows/generate.py`, and how many run side by side is decided
here. A cell of a study is a shard of one stage.
"""

import re
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Generic, Protocol
from uuid import UUID

from prefect import Flow
from prefect.client.schemas.objects import State
from prefect.exceptions import TerminationSignal
from prefect.logging import get_run_logger

from flows.cancelled import interrupted_when_cancelled
from flows.pool_watch import PoolWatch
from flows.pools import Dispatching
from flows.shard_runs import RefT, ShardRuns, open_shard_runs
from flows.shards import SHARED_FATE, inline_subflows, stop_if_hopeless
from storage.busy import exclusive_run
from storage.errors import PlanMismatch, RunCancelled
from storage.layout import PlannedLayout
from storage.objects import ObjectStore

POLL_SECONDS = 2.0  # one request for all shards
_REFUSED = "Validation of flow parameters failed"  # Prefect's words, before a flow begins


@dataclass(frozen=True, slots=True)
class ShardStage(Generic[RefT]):
    """One stage of one shard.

    Attributes:
        flow: What settles it; its deployment has the same name.
        shard: What the flow is handed.
        lacking: What of the shard the stage can settle now and has not: units, or the cell.
    """

    flow: Flow[[RefT], Any]
    shard: RefT
    lacking: Callable[[RefT], Sequence[object]]

    def lacks(self) -> Sequence[object]:
        """What of its shard is to be settled now."""
        return self.lacking(self.shard)

    def run_here(self) -> State[Any]:
        """Run it in this process."""
        state: State[Any] = self.flow(self.shard, return_state=True)  # type: ignore[assignment] # of a flow that does not await
        return state

    def begin_in(self, runs: ShardRuns) -> UUID:
        """Run it in a work pool."""
        return runs.begin(self.flow, self.shard)

    def __str__(self) -> str:
        return f"{self.flow.name} {self.shard.said}"


Stages = Iterator[ShardStage[Any]]
RunShards = Callable[[Iterable[Stages]], None]


class ShardsPlan(Dispatching, Protocol):
    """What a plan says of how its shards run."""

    @property
    def shard_attempts(self) -> int:
        """Runs of a shard in a work pool, as long as one leaves something unsettled."""
        ...


class PlannedWork(Protocol):
    """A locked plan whose shards are run."""

    @property
    def store(self) -> ObjectStore:
        """The root."""
        ...

    @property
    def layout(self) -> PlannedLayout:
        """Of what is made."""
        ...

    @property
    def fingerprint(self) -> str:
        """Of the plan."""
        ...

    @property
    def execution(self) -> ShardsPlan:
        """Where and how shards run."""
        ...


@contextmanager
def dispatched(work: PlannedWork) -> Iterator[RunShards]:
    """What runs the shards of a plan to their end, as its `execution.dispatch` says.

    Raises:
        DatasetBusy: If the work is this process's own and another's on this host already.
    """
    with inline_subflows():
        if work.execution.dispatch == "work-pool":
            # no lock: orchestrators at once share their shards' runs and publish exactly once
            with open_shard_runs(f"{work.fingerprint}:{work.store.root}") as runs:
                watch = PoolWatch(work.layout.name, runs.idle_pools)
                yield WorkPoolShards(runs, work.execution.shard_attempts, watch).run
        else:
            with exclusive_run(work.store, work.layout), interrupted_when_cancelled():
                yield run_in_process


def run_in_process(shards: Iterable[Stages]) -> None:
    """One stage after another; where one has failed, the rest goes on."""
    for stages in shards:
        for stage in stages:
            stop_if_hopeless(stage.run_here())


@dataclass(frozen=True, slots=True)
class _Awaited:
    """A stage whose run goes on, and the stages of the shard that come after it."""

    stage: ShardStage[Any]
    attempt: int
    after: Stages


class WorkPoolShards:
    """Shards side by side in work pools, each stage begun when the one before has ended.

    Args:
        runs: The server's side.
        max_attempts: Runs of one stage of a shard, as long as they leave units unsettled.
        watch: Says when runs wait in a pool without a worker.
    """

    def __init__(self, runs: ShardRuns, max_attempts: int, watch: PoolWatch) -> None:
        self._runs = runs
        self._max_attempts = max_attempts
        self._watch = watch
        self._awaited: dict[UUID, _Awaited] = {}

    def run(self, shards: Iterable[Stages]) -> None:
        """Begin all shards and see them to their end.

        Raises:
            FactoryError: What failed one shard and would fail all; the others are stopped.
            RunCancelled: If the orchestrator was cancelled; the shards are stopped.
            DispatchFailed: If Prefect's server stays away; the shards go on.
        """
        with self._stopped_together():
            for stages in shards:
                self._go_on(stages)
            while self._awaited:
                time.sleep(POLL_SECONDS)
                for run, state in self._runs.ended(self._awaited).items():
                    self._ended(self._awaited.pop(run), state)
                self._watch.look(self._awaited)

    def _go_on(self, stages: Stages) -> None:
        """Begin the next stage of a shard that has anything to settle."""
        for stage in stages:
            if stage.lacks():
                self._begin(stage, 1, stages)
                return

    def _begin(self, stage: ShardStage[Any], attempt: int, after: Stages) -> None:
        run = stage.begin_in(self._runs)
        self._awaited[run] = _Awaited(stage, attempt, after)

    def _ended(self, awaited: _Awaited, state: State[Any] | None) -> None:
        """Go on with the shard; once more with the stage if the ledger lacks units of it."""
        stop_if_said_hopeless(state)
        stage = awaited.stage
        lacking = stage.lacks()
        if lacking and awaited.attempt < self._max_attempts:
            self._begin(stage, awaited.attempt + 1, awaited.after)
            return
        if lacking:
            said = f"{state.name}: {_one_line(state.message or '')}" if state else "deleted"
            get_run_logger().warning(
                "%s: %d not settled after %d runs; the last ended %s",
                *(stage, len(lacking), awaited.attempt, said),
            )
        self._go_on(awaited.after)

    @contextmanager
    def _stopped_together(self) -> Iterator[None]:
        """Cancel the shards with their orchestrator, but leave them to the next when it dies."""
        try:
            yield
        except (KeyboardInterrupt, RunCancelled, *SHARED_FATE):
            self._runs.stop(self._awaited)
            raise
        except TerminationSignal:
            if self._runs.own_run_is_cancelled():
                self._runs.stop(self._awaited)
            raise


def stop_if_said_hopeless(state: State[Any] | None) -> None:
    """As `stop_if_hopeless`, of a run elsewhere, whose error is known by its message alone.

    Raises:
        PlanMismatch: If its worker's version does not know all that the shard is told.
        FactoryError: What failed the shard, if it is the store's, the plan's or the engine's.
    """
    message = (state.message if state is not None and state.is_failed() else None) or ""
    if message.startswith(_REFUSED):
        raise PlanMismatch(
            f"expected a worker to know all that a shard is told, got: {_one_line(message)}; "
            "install this version of the factory on all workers, then run cxr-factory init"
        )
    said = re.search(r"encountered an exception: (\w+): (.*)", message, re.DOTALL)
    for error in SHARED_FATE:
        if said and said[1] == error.__name__:
            raise error(said[2])


def _one_line(message: str) -> str:
    return " ".join(message.split())
