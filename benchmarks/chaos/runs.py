"""Flow runs as Prefect's server knows them, asked often and cheaply."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import httpx

POOLS = ("gpu-text", "gpu-image", "cpu")
GENERATE = "generate-dataset"
ORCHESTRATORS = (GENERATE, "resume-dataset")
_AT_WORK = ("PENDING", "RUNNING", "CANCELLING")
_MOST = 200  # that the server answers at once
_SECONDS = 10.0


@dataclass(frozen=True, slots=True)
class Run:
    """One flow run of a dataset.

    Attributes:
        name: As the run is named once it has started; before, Prefect calls it something else.
        dataset: That it works on.
        state: Prefect's type of it, as "RUNNING".
    """

    id: str
    name: str
    dataset: str
    state: str
    created: str

    @property
    def has_ended(self) -> bool:
        """Whether its state is final."""
        return self.state in ("COMPLETED", "FAILED", "CRASHED", "CANCELLED")


class Runs:
    """What is asked of a server; raises httpx.HTTPError while it is away."""

    def __init__(self, url: str) -> None:
        self._client = httpx.Client(base_url=url, timeout=_SECONDS, trust_env=False)
        self._flows: dict[str, str] = {}

    def answers(self) -> bool:
        """Whether the server does."""
        try:
            return self._client.get("/health").status_code == httpx.codes.OK
        except httpx.HTTPError:
            return False

    def at_work(self) -> list[Run]:
        """Those that hold a slot of a pool."""
        return self._read(
            flow_runs={"state": {"type": {"any_": _AT_WORK}}}, work_pools={"name": {"any_": POOLS}}
        )

    def orchestrators(self) -> list[Run]:
        """Every run of a dataset's orchestrator, oldest first."""
        found = self._read(deployments={"name": {"any_": ORCHESTRATORS}})
        return sorted(found, key=lambda run: run.created)

    def begin(self, parameters: Mapping[str, Any]) -> None:
        """Start generate-dataset as its form in the UI does."""
        answer = self._client.get(f"/deployments/name/{GENERATE}/{GENERATE}")
        deployment = answer.raise_for_status().json()["id"]
        path = f"/deployments/{deployment}/create_flow_run"
        self._client.post(path, json={"parameters": parameters}).raise_for_status()

    def _read(self, **filters: object) -> list[Run]:
        wanted = filters | {"limit": _MOST, "sort": "EXPECTED_START_TIME_DESC"}
        answer = self._client.post("/flow_runs/filter", json=wanted).raise_for_status()
        generating = self._flow_of(GENERATE)
        return [_run(one, generating) for one in answer.json()]

    def _flow_of(self, name: str) -> str:
        """The id of a flow, which never changes."""
        if name not in self._flows:
            answer = self._client.get(f"/flows/name/{name}").raise_for_status()
            self._flows[name] = answer.json()["id"]
        return self._flows[name]


def _run(said: Mapping[str, Any], generating: str) -> Run:
    parameters = said["parameters"]
    if "shard" in parameters:
        dataset, name = parameters["shard"]["dataset"], said["name"]
    else:
        dataset = parameters["plan"]["name"]
        name = f"{'generate' if said['flow_id'] == generating else 'resume'} {dataset}"
    state = said["state"]["type"] if said["state"] else "SCHEDULED"
    return Run(said["id"], name, dataset, state, said["created"])
