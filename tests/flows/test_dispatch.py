"""What is begun when, and what is stopped with what: shards in work pools, without a server."""

from collections import deque
from collections.abc import Callable, Collection, Iterable, Iterator
from types import SimpleNamespace
from typing import Any
from uuid import UUID, uuid4

import httpx
import pytest
from prefect import Flow
from prefect.client.schemas.objects import State
from prefect.context import FlowRunContext
from prefect.exceptions import PrefectHTTPStatusError, TerminationSignal
from prefect.logging import disable_run_logger
from prefect.states import Cancelled, Completed, Crashed, Failed

from flows import dispatch, shard_runs
from flows.dispatch import ShardStage, Stages, WorkPoolShards
from flows.generate import paint_image_shard, write_report_shard
from flows.pool_watch import PoolWatch
from flows.pools import require_dispatch
from flows.work import ShardRef
from storage.errors import DispatchFailed, EngineUnavailable, PlanMismatch, RunCancelled
from tests.flows.conftest import tiny_plan

WRITE, PAINT = write_report_shard.name, paint_image_shard.name
Answer = State[Any] | BaseException | None


class ScriptedRuns:
    """Stands for the server: each poll ends one run, the oldest, with the next state of its script.

    A run that completes settles its units.
    """

    def __init__(self, *script: Answer) -> None:
        self.script = deque(script)
        self.begun: list[tuple[str, int]] = []
        self.going: dict[UUID, tuple[str, int]] = {}
        self.settled: set[tuple[str, int]] = set()
        self.stopped: list[tuple[str, int]] = []
        self.cancelled = False

    def begin(self, flow: Flow[[ShardRef], Any], shard: ShardRef) -> UUID:
        run = uuid4()
        self.going[run] = (flow.name, shard.number)
        self.begun.append(self.going[run])
        return run

    def ended(self, runs: Collection[UUID]) -> dict[UUID, State[Any] | None]:
        assert set(runs) == set(self.going)
        state = self.script.popleft() if self.script else Completed()
        if isinstance(state, BaseException):
            raise state
        run = next(iter(self.going))
        one = self.going.pop(run)
        if state is not None and state.is_completed():
            self.settled.add(one)
        return {run: state}

    def own_run_is_cancelled(self) -> bool:
        return self.cancelled

    def stop(self, runs: Iterable[UUID]) -> None:
        self.stopped += [self.going[run] for run in runs]

    def stages(self, number: int) -> Stages:
        """Write and paint of one shard."""
        shard = ShardRef(root="/factory", dataset="tiny", number=number, units=(number,))
        for flow in (write_report_shard, paint_image_shard):
            yield ShardStage(flow, shard, self._lacking(flow.name))

    def _lacking(self, flow_name: str) -> Callable[[ShardRef], list[int]]:
        return lambda shard: [] if (flow_name, shard.number) in self.settled else list(shard.units)


@pytest.fixture(autouse=True)
def at_once(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(dispatch, "POLL_SECONDS", 0.0)
    monkeypatch.setattr(shard_runs, "_SERVER_PAUSE_SECONDS", 0.0)
    with disable_run_logger():
        yield


def _run(runs: ScriptedRuns, num_shards: int = 2, max_attempts: int = 3) -> None:
    watch = PoolWatch("tiny", lambda _: [])
    shards = WorkPoolShards(runs, max_attempts, watch)  # type: ignore[arg-type]
    shards.run(runs.stages(number) for number in range(num_shards))


def test_run_shards_go_side_by_side_and_paint_follows_its_own_write() -> None:
    runs = ScriptedRuns()
    _run(runs)
    assert runs.begun == [(WRITE, 0), (WRITE, 1), (PAINT, 0), (PAINT, 1)]
    assert runs.settled == set(runs.begun)


def test_run_stage_that_is_settled_begins_nothing() -> None:
    runs = ScriptedRuns()
    runs.settled = {(WRITE, 0), (WRITE, 1), (PAINT, 1)}
    _run(runs)
    assert runs.begun == [(PAINT, 0)]


@pytest.mark.parametrize("state", [Crashed(), Failed(), Cancelled(), None])
def test_run_ended_with_units_unsettled_is_begun_again(state: State[Any] | None) -> None:
    runs = ScriptedRuns(state, state)
    _run(runs, num_shards=1)
    assert runs.begun == [(WRITE, 0)] * 3 + [(PAINT, 0)]


def test_run_that_always_fails_is_given_up_and_the_shard_goes_on() -> None:
    runs = ScriptedRuns(Failed(), Failed())
    _run(runs, num_shards=1, max_attempts=2)
    assert runs.begun == [(WRITE, 0)] * 2 + [(PAINT, 0)]


def test_run_failure_that_is_every_shards_ends_all_at_once() -> None:
    said = "Flow run encountered an exception: EngineUnavailable: no model 'x'; install it"
    runs = ScriptedRuns(Failed(message=said))
    with pytest.raises(EngineUnavailable, match=r"^no model 'x'; install it$"):
        _run(runs, num_shards=3)
    assert runs.begun == [(WRITE, 0), (WRITE, 1), (WRITE, 2)]
    assert runs.stopped == [(WRITE, 1), (WRITE, 2)]


def test_run_on_a_worker_of_another_version_ends_all_in_one_line() -> None:
    said = (
        "Validation of flow parameters failed with error: ParameterTypeError: Flow run received "
        "invalid parameters:\n - shard.execution.num_lanes: Extra inputs are not permitted"
    )
    runs = ScriptedRuns(Failed(message=said))
    with pytest.raises(PlanMismatch, match=r"num_lanes: Extra inputs.*; install this") as caught:
        _run(runs)
    assert "\n" not in str(caught.value)
    assert runs.stopped == [(WRITE, 1)]


def test_begin_with_deployments_of_another_version_is_one_line(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    detail = "Error creating flow run: Validation failed for field 'shard'.\n Failure reason: ..."
    request = httpx.Request("POST", "http://127.0.0.1/api")
    refused = httpx.Response(409, json={"detail": detail}, request=request)

    def run_deployment(*_: object, **__: object) -> None:
        error = httpx.HTTPStatusError("409 Conflict", request=request, response=refused)
        raise PrefectHTTPStatusError.from_httpx_error(error)

    monkeypatch.setattr(shard_runs, "run_deployment", run_deployment)
    client: Any = SimpleNamespace(read_flow_runs=lambda **_: [])
    runs = shard_runs.ShardRuns(client, SimpleNamespace(id=uuid4()), "tiny")  # type: ignore[arg-type]
    shard = ShardRef(root="/factory", dataset="tiny", number=0, units=(0,))
    with pytest.raises(DispatchFailed, match=r"field 'shard'.*; run cxr-factory init") as caught:
        runs.begin(write_report_shard, shard)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("reason", [KeyboardInterrupt(), RunCancelled("cancelled")])
def test_run_stopped_by_a_person_stops_its_shards(reason: BaseException) -> None:
    runs = ScriptedRuns(reason)
    with pytest.raises(type(reason)):
        _run(runs)
    assert runs.stopped == [(WRITE, 0), (WRITE, 1)]


@pytest.mark.parametrize(("cancelled", "num_stopped"), [(True, 2), (False, 0)])
def test_run_terminated_stops_its_shards_only_when_cancelled(
    cancelled: bool, num_stopped: int
) -> None:
    """A worker that is shut down ends its runs too: then the shards go on for who comes next."""
    runs = ScriptedRuns(TerminationSignal(15))
    runs.cancelled = cancelled
    with pytest.raises(TerminationSignal):
        _run(runs)
    assert len(runs.stopped) == num_stopped


def test_require_dispatch_worker_is_given_no_relative_root(monkeypatch: pytest.MonkeyPatch) -> None:
    by_worker = SimpleNamespace(flow_run=SimpleNamespace(deployment_id=uuid4()))
    monkeypatch.setattr(FlowRunContext, "get", lambda: by_worker)
    with pytest.raises(ValueError, match=r"absolute folder or s3://.*got './factory'"):
        require_dispatch(tiny_plan(), "./factory")
    require_dispatch(tiny_plan(), "s3://bucket/factory")


def test_patiently_waits_for_a_server_that_is_away() -> None:
    answers = deque([httpx.ConnectError("refused"), httpx.ReadTimeout("slow"), "here"])

    def ask() -> str:
        answer = answers.popleft()
        if isinstance(answer, httpx.TransportError):
            raise answer
        return str(answer)

    assert shard_runs._patiently(ask) == "here"


def test_patiently_server_that_stays_away_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    def ask() -> None:
        raise httpx.ConnectError("refused")

    monkeypatch.setattr(shard_runs, "SERVER_PATIENCE_SECONDS", 0.0)
    with pytest.raises(DispatchFailed, match=r"answer of Prefect's server.*run again"):
        shard_runs._patiently(ask)
