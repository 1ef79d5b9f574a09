"""Job templates of Docker and Kubernetes pools against those that the installed Prefect lists."""

import json
import re
from importlib.resources import files
from pathlib import Path
from typing import Any

import jsonschema
import pytest

import deployments

TEMPLATES = Path(deployments.__file__).parent / "job_templates"
_LISTED = "server/api/collections_data/views/aggregate-worker-metadata.json"
_PLACEHOLDER = re.compile(r"\{\{\s*(\w+)\s*\}\}")


def _ours(kind: str) -> dict[str, Any]:
    read: dict[str, Any] = json.loads((TEMPLATES / f"{kind}.json").read_text())
    return read


def _of_prefect(kind: str) -> dict[str, Any]:
    listed = json.loads(files("prefect").joinpath(_LISTED).read_text())
    found: dict[str, Any] = listed[f"prefect-{kind}"][kind]["default_base_job_configuration"]
    return found


@pytest.mark.parametrize("kind", ["docker", "kubernetes"])
def test_job_template_has_what_prefects_worker_reads_and_declares_what_it_names(kind: str) -> None:
    ours, theirs = _ours(kind), _of_prefect(kind)
    assert ours["job_configuration"].keys() == theirs["job_configuration"].keys()
    declared = ours["variables"]["properties"]
    assert set(theirs["variables"]["properties"]) <= set(declared)
    assert set(_PLACEHOLDER.findall(json.dumps(ours["job_configuration"]))) <= set(declared)


@pytest.mark.parametrize("kind", ["docker", "kubernetes"])
def test_defaults_of_a_job_template_are_of_their_types_and_send_heartbeats(kind: str) -> None:
    variables = _ours(kind)["variables"]
    defaults = {
        name: field["default"]
        for name, field in variables["properties"].items()
        if field.get("default") is not None
    }
    jsonschema.validate(defaults, variables)
    assert defaults["env"]["PREFECT_FLOWS_HEARTBEAT_FREQUENCY"] == "30"
    assert defaults["image"] == "cxr-factory-gpu"


def test_kubernetes_job_asks_for_its_gpus_and_is_not_started_twice() -> None:
    job = _ours("kubernetes")["job_configuration"]["job_manifest"]["spec"]
    (container,) = job["template"]["spec"]["containers"]
    assert container["resources"]["limits"]["nvidia.com/gpu"] == "{{ gpus }}"
    assert job["backoffLimit"] == 0, "Prefect and the ledger decide what runs again"
