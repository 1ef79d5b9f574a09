"""A run of a command that somebody cancels in Prefect stops, and ends as Cancelled.

A worker does both for the runs that it started. Nobody does for a command's run: it would go on,
and Prefect takes no failure of a run that is cancelling, and shows it so for five minutes.
"""

import os
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from contextvars import copy_context
from functools import wraps
from typing import ParamSpec, TypeVar
from uuid import UUID

import httpx
from prefect.client.orchestration import get_client
from prefect.context import FlowRunContext
from prefect.exceptions import PrefectException
from prefect.states import Cancelled

from storage.errors import RunCancelled

LOOK_SECONDS = 5.0

P = ParamSpec("P")
ResultT = TypeVar("ResultT")


def reports_cancelled(body: Callable[P, ResultT]) -> Callable[P, ResultT]:
    """Have a flow return Prefect's state Cancelled, which its caller meets as `CancelledRun`."""

    @wraps(body)
    def run(*args: P.args, **kwargs: P.kwargs) -> ResultT:
        try:
            return body(*args, **kwargs)
        except RunCancelled as error:
            return Cancelled(message=str(error))  # type: ignore[return-value] # Prefect's own way

    return run


@contextmanager
def interrupted_when_cancelled() -> Iterator[None]:
    """Break the block off, as Ctrl-C does, when the run that is going on is cancelled in Prefect.

    Raises:
        RunCancelled: If it was.
    """
    context = FlowRunContext.get()
    assert context is not None and context.flow_run is not None, "a flow run is going on"
    run = context.flow_run
    if run.deployment_id is not None or threading.current_thread() is not threading.main_thread():
        yield  # its worker ends it; and a signal reaches the main thread alone
        return
    ended, cancelled = threading.Event(), threading.Event()
    # A thread of its own would not see the settings under which this run reaches its server.
    settings = copy_context()
    watch = threading.Thread(
        target=settings.run, args=(_watch, run.id, ended, cancelled), daemon=True
    )
    is_ignored = signal.getsignal(signal.SIGINT) is signal.SIG_IGN
    if is_ignored:  # as in what a script has begun in the background
        signal.signal(signal.SIGINT, signal.default_int_handler)
    watch.start()
    try:
        yield
    except KeyboardInterrupt:
        if cancelled.is_set():
            raise cancelled_in_prefect(run.name) from None
        raise
    finally:
        ended.set()
        if is_ignored:
            signal.signal(signal.SIGINT, signal.SIG_IGN)


def cancelled_in_prefect(run_name: str) -> RunCancelled:
    """What to say of it."""
    return RunCancelled(
        f"run {run_name!r} was cancelled in Prefect, and its shards with it; "
        "run the same command again to go on from what is settled"
    )


def _watch(run: UUID, ended: threading.Event, cancelled: threading.Event) -> None:
    """Look at the run's state until it has ended; interrupt this process when it is cancelled."""
    with get_client(sync_client=True) as client:
        while not ended.wait(LOOK_SECONDS):
            with suppress(httpx.HTTPError, PrefectException):  # the server may be away
                state = client.read_flow_run(run).state
                stopped = state is not None and (state.is_cancelling() or state.is_cancelled())
                if stopped and not ended.is_set():
                    cancelled.set()
                    os.kill(os.getpid(), signal.SIGINT)
                    return
