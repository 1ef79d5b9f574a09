"""Deployments on the server: created, and brought up to the installed code.

Ours to renew are the entry point, the form, the description, the version, and where runs read and
write. What a person may have set since (other parameters, schedules, pool, queue, pauses, limits)
is set once and then left alone.
"""

from collections.abc import Iterator
from importlib.metadata import version
from typing import Any

from prefect import Flow
from prefect.client.orchestration import SyncPrefectClient
from prefect.client.schemas.actions import DeploymentUpdate
from prefect.client.schemas.responses import DeploymentResponse
from prefect.exceptions import ObjectNotFound
from prefect.flows import load_flow_from_entrypoint
from prefect.utilities.callables import parameter_schema

from deployments.automations import ensure_automation
from deployments.changes import Change, Outcome
from deployments.specification import DeploymentSpecification, read_specification


def ensure_deployments(client: SyncPrefectClient, root: str) -> Iterator[Change]:
    """Create or renew every deployment of prefect.yaml, with the automations that trigger it.

    Args:
        client: Of the server.
        root: Absolute folder or s3://bucket/prefix that runs read and write by default.
    """
    for specification in read_specification(root):
        flow: Flow[..., Any] = load_flow_from_entrypoint(
            specification.entrypoint, use_placeholder_flow=False
        )
        name = f"{flow.name}/{specification.name}"
        try:
            found = client.read_deployment_by_name(name)
        except ObjectNotFound:
            outcome = _create(client, specification, flow)
        else:
            outcome = _renew(client, specification, flow, found)
        yield Change(f"deployment {name}", outcome)
        deployment_id = client.read_deployment_by_name(name).id
        for trigger in specification.triggers:
            trigger.set_deployment_id(deployment_id)
            yield ensure_automation(client, trigger.as_automation())


def _create(
    client: SyncPrefectClient, specification: DeploymentSpecification, flow: Flow[..., Any]
) -> Outcome:
    client.create_deployment(
        flow_id=client.create_flow_from_name(flow.name),
        name=specification.name,
        work_pool_name=specification.work_pool.name,
        work_queue_name=specification.work_pool.work_queue_name,
        schedules=[schedule.for_server() for schedule in specification.schedules],
        pull_steps=[],
        parameters=specification.parameters,
        **_renewed(specification, flow),
    )
    return Outcome.CREATED


def _renew(
    client: SyncPrefectClient,
    specification: DeploymentSpecification,
    flow: Flow[..., Any],
    found: DeploymentResponse,
) -> Outcome:
    wanted = _renewed(specification, flow)
    known = wanted["parameter_openapi_schema"]["properties"]
    kept = {name: value for name, value in found.parameters.items() if name in known}
    ours = {name: specification.parameters[name] for name in known if name == "root"}
    wanted["parameters"] = specification.parameters | kept | ours
    if all(getattr(found, field) == value for field, value in wanted.items()):
        return Outcome.UNCHANGED
    client.update_deployment(found.id, DeploymentUpdate(**wanted))
    return Outcome.UPDATED


def _renewed(specification: DeploymentSpecification, flow: Flow[..., Any]) -> dict[str, Any]:
    """What is of the installed code, as the server keeps it."""
    return {
        "entrypoint": specification.entrypoint,
        "description": flow.description,
        "version": version("cxr-factory"),
        "parameter_openapi_schema": parameter_schema(flow).model_dump_for_openapi(),
        "enforce_parameter_schema": True,
    }
