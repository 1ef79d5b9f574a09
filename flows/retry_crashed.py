"""Begin a crashed run again, where no other run of the factory would."""

from datetime import UTC, datetime, timedelta
from uuid import UUID

from prefect import flow, get_run_logger
from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.exceptions import ObjectNotFound
from prefect.states import AwaitingRetry

# A shard, a cell of a study and a dataset's run have somebody else who begins them again.
RETRIED = (
    "pretrain",
    "evaluate",
    "study",
    "finetune-painter",
    "embed-pairs",
    "ingest-corpus",
    "audit-corpus",
    "calibrate-gate",
    "release-dataset",
    "publish-dataset",
    "retry-failed-units",
    "export-dataset",
)
MAX_CRASHES = 3
FIRST_WAIT = timedelta(seconds=10)  # doubled after each crash


@flow(name="retry-crashed-run", flow_run_name="retry after a crash")
def retry_crashed_run(run_id: UUID) -> str:
    """Press Retry on a run that crashed; an automation starts it. After the third crash, nothing.

    Args:
        run_id: The run that crashed.
    """
    with get_client(sync_client=True) as client:
        said = begin_again(client, run_id)
    get_run_logger().info(said)
    return said


def begin_again(client: SyncPrefectClient, run_id: UUID) -> str:
    """Have a crashed run begun again by its pool, as Retry in the UI does; says what was done.

    What it had done stays done: each of these flows goes on from what is stored. Crashes are
    counted in the run's own history, so that it does not matter who asks, or how often.

    Raises:
        httpx.HTTPError: If the server does not answer.
    """
    try:
        run = client.read_flow_run(run_id)
    except ObjectNotFound:
        return f"run {run_id}: deleted since its crash"
    if run.state is None or not run.state.is_crashed():
        return f"run {run.name}: it has gone on since its crash"
    num_crashes = sum(state.is_crashed() for state in client.read_flow_run_states(run_id))
    if num_crashes >= MAX_CRASHES:
        return f"run {run.name}: crashed {num_crashes} times; find out why, then Retry on its page"
    wait = FIRST_WAIT * 2 ** (num_crashes - 1)
    why = f"after crash {num_crashes} of at most {MAX_CRASHES}: {run.state.message}"
    client.set_flow_run_state(
        run_id, AwaitingRetry(scheduled_time=datetime.now(UTC) + wait, message=why)
    )
    return f"run {run.name}: begun again in {wait.seconds} s, {why}"
