"""A gate that keeps few of one finding is seen per finding, in status and in Prefect's table."""

import json
from pathlib import Path
from typing import Any

from aiohttp import web
from prefect.artifacts import Artifact

from flows.generate import generate_dataset
from flows.status import dataset_status
from flows.summary import status_text
from flows.work import lock_work, open_work
from models.vocabulary.findings import Finding
from tests.flows.conftest import tiny_plan
from tests.models.chat.fake_server import FakeServer, serving, truthful

NEVER = Finding.PNEUMONIA


async def never_pneumonia(asked: dict[str, Any]) -> web.StreamResponse:
    prompt = asked["messages"][1]
    lines = prompt["content"].splitlines()
    prompt["content"] = "\n".join(line for line in lines if not line.startswith("- pneumonia"))
    return await truthful(asked)


def test_finding_that_a_writer_never_states_is_seen_in_status_and_artifact(tmp_path: Path) -> None:
    root, server = str(tmp_path), FakeServer(answer=never_pneumonia)
    with serving(server):
        writer = {"kind": "endpoint", "address": server.address, "model": "tiny"}
        plan = tiny_plan(
            name="tail",
            target={"all": 24},
            writer=writer,
            image_rules={"near_duplicate_max_distance": None},
        )
        assert dataset_status(lock_work(plan, root)).findings == []
        generate_dataset(plan, root)
    work = open_work(root, "tail")
    status = dataset_status(work)
    rows = {row["finding"]: row for row in status.as_dict()["per_finding"]}
    asked = [
        {one["text"] for one in row["entities_requested"] if one["status"] == "present"}
        for row in work.drawing().rows(range(24)).to_pylist()
    ]
    for finding in Finding:
        num_asked = sum(finding.term in texts for texts in asked)
        assert rows.get(finding, {"requested": 0})["requested"] == num_asked
    assert rows[NEVER]["requested"] > 0
    assert rows[NEVER]["write"] == rows[NEVER]["published"] == 0
    others = [row for finding, row in rows.items() if finding != NEVER]
    assert any(row["published"] == row["paint"] == row["write"] > 0 for row in others)
    line = next(line for line in status_text(status).splitlines() if NEVER in line)
    assert line.split() == [NEVER, str(rows[NEVER]["requested"]), "0", "0", "0"]
    artifact: Any = Artifact.get(key="tail-acceptance-per-finding")
    assert json.loads(artifact.data) == list(rows.values())
