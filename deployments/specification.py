"""Reading prefect.yaml: which deployment every flow has, in which pool, started by what."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml
from prefect.client.schemas.actions import DeploymentScheduleCreate
from prefect.client.schemas.schedules import CronSchedule
from prefect.events import DeploymentEventTrigger
from pydantic import BaseModel, ConfigDict, Field

SPECIFICATION = Path(__file__).parent / "prefect.yaml"
ROOT_PLACEHOLDER = "{{ $CXR_FACTORY_ROOT }}"


class _Part(BaseModel):
    """Base of what the file holds: a misspelt field is an error, not ignored."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Queue(_Part):
    """Where a deployment's runs wait."""

    name: str = Field(description="Work pool.")
    work_queue_name: str = Field(description="Queue of the pool.")


class Schedule(_Part):
    """When a deployment runs by itself."""

    slug: str
    cron: str
    timezone: str
    active: bool

    def for_server(self) -> DeploymentScheduleCreate:
        """As the server takes it."""
        schedule = CronSchedule(cron=self.cron, timezone=self.timezone)
        return DeploymentScheduleCreate(schedule=schedule, active=self.active, slug=self.slug)


class DeploymentSpecification(_Part):
    """One deployment."""

    name: str
    entrypoint: str = Field(description="Module path of the flow.")
    work_pool: Queue
    parameters: dict[str, Any] = Field(default_factory=dict)
    schedules: tuple[Schedule, ...] = ()
    triggers: tuple[DeploymentEventTrigger, ...] = ()


def read_specification(root: str, path: Path = SPECIFICATION) -> list[DeploymentSpecification]:
    """Every deployment of the file.

    Args:
        root: Absolute folder or s3://bucket/prefix that runs read and write by default.
        path: Of the file.
    """
    found = yaml.safe_load(path.read_text())["deployments"]
    return [DeploymentSpecification.model_validate(_with_root(one, root)) for one in found]


def _with_root(settings: Mapping[str, Any], root: str) -> dict[str, Any]:
    parameters = dict(settings.get("parameters", {}))
    if parameters.get("root") == ROOT_PLACEHOLDER:
        parameters["root"] = root
    return {**settings, "parameters": parameters}
