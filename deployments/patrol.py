"""`cxr-factory patrol`: asks again and again which runs are lost, and goes on after them.

Beside the automations, which a server that is killed or busy may forget (decision 0008). Any number
of patrols may go at once: each proposes what another may have done already.
"""

from collections.abc import Iterator
from datetime import datetime
from uuid import UUID, uuid4

import typer
from httpx import HTTPStatusError
from prefect.client.orchestration import SyncPrefectClient
from prefect.client.schemas.objects import StateType
from prefect.events import emit_event
from prefect.exceptions import ObjectNotFound
from prefect.settings import PREFECT_CLIENT_MAX_RETRIES, temporary_settings
from prefect.states import Cancelled, Crashed

from deployments.abandoned import Orchestration, abandoned
from deployments.connection import ServerUnavailable, connect, server_address
from deployments.lookout import (
    PROBE,
    RESUME,
    RESUME_AUTOMATION,
    RETRY_AUTOMATION,
    crashed_runs,
    is_switched_off,
    orchestrations,
    probes_of,
    runs_at_work,
    server_time,
)
from deployments.signals import stop_signals
from deployments.silence import Patience, RunAtWork, loss, proven
from flows.retry_crashed import begin_again


def go_on_patrol(patience: Patience) -> None:
    """Look until a signal; a server that is away is waited for.

    Raises:
        ServerUnavailable: If PREFECT_API_URL names no server.
    """
    typer.echo(f"patrol at {server_address()}, every {patience.look_every.seconds} s")
    patrol, was_away = Patrol(patience), False
    # Prefect's client would try again for a minute, and the next look come too late
    with temporary_settings({PREFECT_CLIENT_MAX_RETRIES: 1}), stop_signals() as stopping:
        while not stopping.is_set():
            patrol.probe()
            try:
                with connect() as client:
                    for line in patrol.look(client):
                        typer.echo(line)
                was_away = False
            except ServerUnavailable as error:
                if not was_away:
                    typer.echo(str(error))
                was_away = True
            stopping.wait(patience.look_every.total_seconds())


class Patrol:
    """One patrol, with the numbers of its probes."""

    def __init__(self, patience: Patience) -> None:
        self._patience = patience
        self._resource = f"cxr-factory.patrol.{uuid4()}"
        self._num_probes = 0
        self._refused: set[UUID] = set()
        self._answered: set[UUID | None] = set()  # crashes, each by the id of its state

    def probe(self) -> None:
        """Send an event on the way that heartbeats take; one that is lost is a gap."""
        self._num_probes += 1
        resource = {"prefect.resource.id": self._resource}
        emit_event(PROBE, resource, payload={"number": self._num_probes})

    def look(self, client: SyncPrefectClient) -> Iterator[str]:
        """End what is lost and go on with what nobody does; yields one line for each.

        Raises:
            httpx.HTTPError: If the server does not answer.
        """
        now = server_time(client)
        heard = proven(probes_of(client, self._resource, now), self._patience.probe_gap)
        if heard:
            for run in runs_at_work(client, now):  # after the probes: no beat before them is missed
                if (why := loss(run, heard, self._patience)) and _end(client, run, why):
                    yield f"run {run.name}: {why}"
        after = self._patience.resume_after
        for one in abandoned(orchestrations(client, now), now, after):
            if one.id not in self._refused and not is_switched_off(client, RESUME_AUTOMATION):
                yield self._resume(client, one, now)
        for crashed in crashed_runs(client, now, after):
            known = crashed.state_id in self._answered
            if not known and not is_switched_off(client, RETRY_AUTOMATION):
                yield begin_again(client, crashed.id)
                self._answered.add(crashed.state_id)

    def _resume(self, client: SyncPrefectClient, crashed: Orchestration, now: datetime) -> str:
        parameters = client.read_flow_run(crashed.id).parameters
        try:
            deployment = client.read_deployment_by_name(f"{RESUME}/{RESUME}")
            client.create_flow_run_from_deployment(
                deployment.id,
                parameters={name: parameters[name] for name in ("plan", "root")},
                idempotency_key=f"after-{crashed.id}",
            )
        except (HTTPStatusError, ObjectNotFound) as error:
            if isinstance(error, HTTPStatusError) and error.response.is_server_error:
                raise  # it is busy: the next look asks again
            self._refused.add(crashed.id)  # said once: the next look would be refused too
            return f"dataset {crashed.dataset}: not gone on with: {str(error).splitlines()[0]}"
        assert crashed.ended is not None, "only what has ended is gone on after"
        idle = (now - crashed.ended).seconds
        return f"dataset {crashed.dataset}: gone on with, {idle} s after its run crashed"


def _end(client: SyncPrefectClient, run: RunAtWork, why: str) -> bool:
    """Give a lost run its end, unless it has gone on meanwhile; whether this was done.

    One that was being cancelled is Cancelled: a crash would have its dataset gone on with.
    """
    try:
        state = client.read_flow_run(run.id).state
    except ObjectNotFound:  # deleted since
        return False
    if state is None or state.id != run.state_id:
        return False
    cancelling = run.state is StateType.CANCELLING
    client.set_flow_run_state(
        run.id, Cancelled(message=why) if cancelling else Crashed(message=why)
    )
    return True


if __name__ == "__main__":
    go_on_patrol(Patience())
