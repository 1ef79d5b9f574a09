"""The shard runs of one plan as Prefect's server knows them: found, begun, watched, stopped.

A run is found by its key, which every orchestrator of a plan computes the same, before and after
a restart. Prefect gives the run of a key for ever, ended or not, so a key has a generation: the
first whose run has not ended is the one to wait for (decision 0005).
"""

import hashlib
import time
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import Any, Literal, Protocol, TypeVar
from uuid import UUID

import httpx
from prefect import Flow
from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas.filters import (
    FlowRunFilter,
    FlowRunFilterId,
    FlowRunFilterIdempotencyKey,
)
from prefect.client.schemas.objects import FlowRun, State, StateType
from prefect.context import FlowRunContext
from prefect.deployments import run_deployment
from prefect.exceptions import ObjectNotFound, PrefectHTTPStatusError
from prefect.states import Cancelling

from flows.cancelled import cancelled_in_prefect
from storage.errors import DispatchFailed
from tasks.waiting import IdlePool, idle_pools

SERVER_PATIENCE_SECONDS = 300.0  # beyond the minute for which Prefect's own client tries again
_SERVER_PAUSE_SECONDS = 5.0
_GENERATIONS_A_READ = 16
_RUNS_A_READ = 100  # the server answers 200 at most

AnswerT = TypeVar("AnswerT")


class RunnableRef(Protocol):
    """What crosses Prefect to the run of a shard instead of data."""

    @property
    def place(self) -> str:
        """Names the shard among those of its plan; the same for every orchestrator."""
        ...

    @property
    def said(self) -> str:
        """The shard in words, for the log."""
        ...

    @property
    def queue(self) -> str:
        """Of the work pool, that the run waits in."""
        ...

    def model_dump(self, *, mode: Literal["json"]) -> dict[str, Any]:
        """As the run's parameter."""
        ...


RefT = TypeVar("RefT", bound=RunnableRef)


@contextmanager
def open_shard_runs(identity: str) -> Iterator["ShardRuns"]:
    """The shard runs of a plan, for the flow run that is now going on; see `ShardRuns`."""
    context = FlowRunContext.get()
    assert context is not None and context.flow_run is not None, "shards are begun by a flow run"
    with get_client(sync_client=True) as client:
        yield ShardRuns(client, context.flow_run, identity)


class ShardRuns:
    """What an orchestrator asks of Prefect's server.

    Args:
        client: Stays open, since Prefect's client waits for a lost server only if it knew it.
        own_run: Of the orchestrator.
        identity: Names what the plan makes: its fingerprint and root.
    """

    def __init__(self, client: SyncPrefectClient, own_run: FlowRun, identity: str) -> None:
        self._client = client
        self._own_run = own_run
        self._name = hashlib.sha256(identity.encode()).hexdigest()[:32]

    def begin(self, flow: Flow[[RefT], Any], shard: RefT) -> UUID:
        """The run of a shard that is going on or queued; a new one if there is none.

        Raises:
            DispatchFailed: If the server stays away, or its deployment is of another version.
        """
        with _refusals_said(flow.name):
            return _patiently(lambda: self._begin(flow, shard))

    def ended(self, runs: Collection[UUID]) -> dict[UUID, State[Any] | None]:
        """Those of the runs that have ended, each with its state; None: somebody deleted the run.

        Raises:
            RunCancelled: If the orchestrator's own run was cancelled, and no worker will end it.
            DispatchFailed: If the server stays away.
        """
        states = _patiently(lambda: self._states([self._own_run.id, *runs]))
        if self._own_run.deployment_id is None and _is_cancelled(states.get(self._own_run.id)):
            raise cancelled_in_prefect(self._own_run.name)
        found = {run: states.get(run) for run in runs}
        return {run: state for run, state in found.items() if state is None or state.is_final()}

    def idle_pools(self, runs: Collection[UUID]) -> list[IdlePool]:
        """The pools that begin none of those of the runs that wait in them.

        Raises:
            DispatchFailed: If the server stays away.
        """
        return _patiently(lambda: idle_pools(self._client, self._waiting([*runs])))

    def own_run_is_cancelled(self) -> bool:
        """Whether somebody cancelled the orchestrator, as against a worker that stops."""
        return _is_cancelled(self._states([self._own_run.id]).get(self._own_run.id))

    def stop(self, runs: Iterable[UUID]) -> None:
        """Cancel runs: a queued one is never begun, one that goes on is ended by its worker."""
        for run in runs:
            with suppress(ObjectNotFound):
                message = f"{self._own_run.name!r}, which waited for it, was stopped."
                self._client.set_flow_run_state(run, Cancelling(message=message))

    def _begin(self, flow: Flow[[RefT], Any], shard: RefT) -> UUID:
        key, run = self._first_not_ended(flow.name, shard)
        if run is not None:
            return run.id
        (parameter,) = flow.parameters.properties
        begun = run_deployment(
            deployment_name(flow.name),
            # also while it is queued
            flow_run_name=str(flow.flow_run_name).format(**{parameter: shard}),
            parameters={parameter: shard.model_dump(mode="json")},
            idempotency_key=key,
            work_queue_name=shard.queue,
            timeout=0,  # returns at once
        )
        assert isinstance(begun, FlowRun)
        return begun.id

    def _first_not_ended(self, flow_name: str, shard: RunnableRef) -> tuple[str, FlowRun | None]:
        """The key of the first generation whose run has not ended, and the run if there is one."""
        first = 0
        while True:
            generations = range(first, first + _GENERATIONS_A_READ)
            keys = [self._key(flow_name, shard, generation) for generation in generations]
            wanted = FlowRunFilter(idempotency_key=FlowRunFilterIdempotencyKey(any_=keys))
            runs = self._client.read_flow_runs(flow_run_filter=wanted)
            found = {run.idempotency_key: run for run in runs}
            for key in keys:
                if (run := found.get(key)) is None or not _has_ended(run):
                    return key, run
            first += _GENERATIONS_A_READ

    def _key(self, flow_name: str, shard: RunnableRef, generation: int) -> str:
        return f"{self._name}:{flow_name}:{shard.place}:{generation}"

    def _states(self, runs: list[UUID]) -> Mapping[UUID, State[Any] | None]:
        return {run.id: run.state for run in self._read(runs)}

    def _waiting(self, runs: list[UUID]) -> Iterator[FlowRun]:
        """Those that no worker has taken."""
        return (run for run in self._read(runs) if run.state_type is StateType.SCHEDULED)

    def _read(self, runs: list[UUID]) -> Iterator[FlowRun]:
        for first in range(0, len(runs), _RUNS_A_READ):
            some = FlowRunFilter(id=FlowRunFilterId(any_=runs[first : first + _RUNS_A_READ]))
            yield from self._client.read_flow_runs(flow_run_filter=some)


def deployment_name(flow_name: str) -> str:
    """Every flow has one deployment, of its own name."""
    return f"{flow_name}/{flow_name}"


@contextmanager
def _refusals_said(flow_name: str) -> Iterator[None]:
    """In one line what the server has against the parameters of a run."""
    try:
        yield
    except PrefectHTTPStatusError as error:
        if error.response.status_code not in (409, 422):
            raise
        raise DispatchFailed(
            f"expected the deployment {deployment_name(flow_name)!r} to take what a shard is "
            f"told, got: {' '.join(error.response.text.split())}; run cxr-factory init, and "
            "install this version of the factory on all workers"
        ) from error


def _has_ended(run: FlowRun) -> bool:
    return run.state is not None and run.state.is_final()


def _is_cancelled(state: State[Any] | None) -> bool:
    return state is not None and (state.is_cancelling() or state.is_cancelled())


def _patiently(ask: Callable[[], AnswerT]) -> AnswerT:
    """Ask the server, again and again while it is away."""
    deadline = time.monotonic() + SERVER_PATIENCE_SECONDS
    while True:
        try:
            return ask()
        except (httpx.TransportError, PrefectHTTPStatusError) as error:
            if isinstance(error, PrefectHTTPStatusError) and error.response.status_code < 500:
                raise
            if time.monotonic() > deadline:
                raise DispatchFailed(
                    f"expected an answer of Prefect's server, got {error!r} for "
                    f"{SERVER_PATIENCE_SECONDS:g} s; shards that were begun go on without it; "
                    "start the server, then run again to go on from what is settled"
                ) from error
            time.sleep(_SERVER_PAUSE_SECONDS)
