"""prefect.yaml against the flows there are."""

import importlib
import pkgutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from prefect import Flow
from prefect.flows import load_flow_from_entrypoint
from prefect.utilities.callables import parameter_schema

import flows
from deployments.pools import POOLS, VARIABLES
from deployments.specification import SPECIFICATION, read_specification
from flows.retry_crashed import RETRIED
from flows.training_plans import EvaluatePlan, PretrainPlan

ROOT = "s3://bucket/prefix"
SPECIFIED = read_specification(ROOT)


def _flow(entrypoint: str) -> Flow[..., Any]:
    return load_flow_from_entrypoint(entrypoint, use_placeholder_flow=False)


def _all_flows() -> Iterator[Flow[..., Any]]:
    for module in pkgutil.iter_modules(flows.__path__, "flows."):
        found = vars(importlib.import_module(module.name)).values()
        yield from (value for value in found if isinstance(value, Flow))


def test_every_flow_has_one_deployment_of_its_own_name() -> None:
    names = [_flow(one.entrypoint).name for one in SPECIFIED]
    assert names == [one.name for one in SPECIFIED]
    assert sorted(names) == sorted({flow.name for flow in _all_flows()})


def test_gpu_pools_have_the_flows_that_dispatch_expects_there() -> None:
    found = {one.name: one.work_pool.name for one in SPECIFIED}
    on_gpus = {
        "write-report-shard": "gpu-text",
        "paint-image-shard": "gpu-image",
        "pretrain": "gpu-image",
        "finetune-painter": "gpu-image",
        "study-cell": "gpu-image",
        "judge-image-shard": "gpu-judge",
    }
    assert found == {name: on_gpus.get(name, "cpu") for name in found}
    assert set(found.values()) == set(POOLS)


def test_crashed_run_is_begun_again_by_one_other_and_no_two() -> None:
    by_dispatch = {"write-report-shard", "paint-image-shard", "judge-image-shard", "study-cell"}
    by_resuming = {"generate-dataset", "resume-dataset"}  # of the latter a person
    (retry,) = (one for one in SPECIFIED if one.name == "retry-crashed-run")
    (trigger,) = retry.triggers
    assert trigger.match_related["prefect.resource.name"] == list(RETRIED)
    assert {*RETRIED} | by_dispatch | by_resuming | {retry.name} == {one.name for one in SPECIFIED}


def test_prefect_yaml_in_the_root_is_the_packaged_one() -> None:
    assert (Path(__file__).parents[2] / "prefect.yaml").resolve() == SPECIFICATION


@pytest.mark.parametrize("specified", SPECIFIED, ids=lambda one: one.name)
def test_deployment_parameters_are_known_and_say_where_data_lies(specified: Any) -> None:
    known = parameter_schema(_flow(specified.entrypoint)).properties
    assert set(specified.parameters) <= set(known)
    assert specified.parameters.get("root") == (ROOT if "root" in known else None)


def _fields(part: Any, path: str, definitions: dict[str, Any]) -> Iterator[tuple[str, Any]]:
    """Every field that a form shows, alternatives and inner forms included."""
    if isinstance(part, list):
        for one in part:
            yield from _fields(one, path, definitions)
    elif "$ref" in part:
        yield from _fields(definitions[part["$ref"].rpartition("/")[2]], path, definitions)
    elif isinstance(part, dict):
        for name, field in part.get("properties", {}).items():
            yield f"{path}.{name}", field
            yield from _fields(field, f"{path}.{name}", definitions)
        for key in {"allOf", "anyOf", "oneOf", "items"} & set(part):
            yield from _fields(part[key], path, definitions)


_SAID_ELSEWHERE = {  # which alternative is meant; columns, which their class's text describes
    ".kind",
    ".columns.",
}


@pytest.mark.parametrize("specified", SPECIFIED, ids=lambda one: one.name)
def test_every_field_of_a_form_says_what_it_is(specified: Any) -> None:
    schema = parameter_schema(_flow(specified.entrypoint)).model_dump()
    fields = list(_fields(schema, "", schema["definitions"]))
    silent = [path for path, field in fields if "description" not in field]
    assert fields
    assert [path for path in silent if not any(one in path for one in _SAID_ELSEWHERE)] == []


def test_form_of_pretraining_offers_the_settings_of_every_objective() -> None:
    schema = parameter_schema(_flow("flows.pretrain.pretrain")).model_dump()
    fields = [path for path, _ in _fields(schema, "", schema["definitions"])]
    assert ".plan.model.objective.temperature" in fields


def test_default_plan_is_one_that_can_be_made() -> None:
    from flows.plans import DatasetPlan
    from flows.work import plan_content

    (generate,) = (one for one in SPECIFIED if one.name == "generate-dataset")
    plan = DatasetPlan.model_validate(generate.parameters["plan"])
    assert plan_content(plan, str(Path(__file__).parent))["revisions"]["entities"]
    assert [schedule.active for schedule in generate.schedules] == [False]


def test_variables_of_the_triggers_are_parts_of_plans() -> None:
    model = VARIABLES["cxr_factory_pretraining"]
    PretrainPlan.model_validate({"name": "a", "dataset": "a", "release": 1, "model": model})
    EvaluatePlan.model_validate({"run": "a-r1", "sets": VARIABLES["cxr_factory_evaluation_sets"]})
    templates = str([trigger.parameters for one in SPECIFIED for trigger in one.triggers])
    assert all(name in templates for name in VARIABLES)
