"""Work pools with their queues, and the variables that triggers read.

What is there already is left as it is: an operator may have made a pool of another type, or paused
it, limited it, or given it a job template of its own.
"""

from collections.abc import Iterator
from typing import Any

from prefect.client.orchestration import SyncPrefectClient
from prefect.client.schemas.actions import VariableCreate, WorkPoolCreate
from prefect.exceptions import ObjectNotFound
from prefect.workers.process import ProcessWorker

from deployments.changes import Change, Outcome

POOLS = {
    "gpu-text": "Writes reports: one worker per GPU group, one run at a time.",
    "gpu-image": "Paints images and trains: one worker per GPU group, one run at a time.",
    "gpu-judge": "Judges images: one worker per GPU group, one run at a time.",
    "cpu": "Everything else: plans, publishes, ingests, evaluates.",
}
URGENT = "urgent"

# What triggers fill into the plans of pretrain and evaluate; changed in Prefect's UI.
VARIABLES: dict[str, Any] = {
    "cxr_factory_pretraining": {},
    "cxr_factory_evaluation_sets": [
        {"kind": "phantoms", "name": "phantoms", "num_images": 420, "seed": 11}
    ],
}


def ensure_pools(client: SyncPrefectClient) -> Iterator[Change]:
    """Create the pools that lack, each with a queue whose runs go before those of `default`."""
    for name, description in POOLS.items():
        try:
            client.read_work_pool(name)
        except ObjectNotFound:
            template = ProcessWorker.get_default_base_job_template()
            client.create_work_pool(
                WorkPoolCreate(
                    name=name,
                    type=ProcessWorker.type,
                    description=description,
                    base_job_template=template,
                )
            )
            yield Change(f"work pool {name}", Outcome.CREATED)
        else:
            yield Change(f"work pool {name}", Outcome.UNCHANGED)
        yield _ensure_urgent_queue(client, name)


def _ensure_urgent_queue(client: SyncPrefectClient, pool: str) -> Change:
    thing = f"work queue {pool}/{URGENT}"
    try:
        client.read_work_queue_by_name(URGENT, work_pool_name=pool)
    except ObjectNotFound:
        description = "Goes before the queue default."
        client.create_work_queue(URGENT, description, priority=1, work_pool_name=pool)
        return Change(thing, Outcome.CREATED)
    return Change(thing, Outcome.UNCHANGED)


def ensure_variables(client: SyncPrefectClient) -> Iterator[Change]:
    """Create the variables that lack."""
    for name, value in VARIABLES.items():
        found = client.read_variable_by_name(name)
        if found is None:
            client.create_variable(VariableCreate(name=name, value=value))
        yield Change(f"variable {name}", Outcome.UNCHANGED if found else Outcome.CREATED)
