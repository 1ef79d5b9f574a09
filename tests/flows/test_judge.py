"""Datasets with a judge: an HTTP server that answers by the image alone, so that runs compare."""

import asyncio
import hashlib
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import lance
import pytest
import yaml
from aiohttp import web

from flows.generate import generate_dataset, retry_failed_units
from flows.ingest import ingest_corpus
from flows.plans import DatasetPlan
from flows.status import dataset_status
from flows.summary import status_text
from flows.work import open_work
from models.chat import served
from models.judges.questions import Question
from storage.errors import EngineFailed
from storage.identity import sample_seed
from storage.records import Outcome, Stage
from tests.flows.conftest import tiny_plan
from tests.models.chat.fake_server import FakeServer, completion, error, serving
from tests.models.judges.answers import answer_text, shown
from tests.storage.readers.made_files import make_mimic

REFUSED_SHARE = 0.5


def is_good(png: bytes) -> bool:
    """A coin that falls the same way for the same image."""
    return hashlib.sha256(png).digest()[0] >= 256 * REFUSED_SHARE


async def by_the_image(asked: dict[str, Any]) -> web.StreamResponse:
    return completion(answer_text([] if is_good(shown(asked)) else [Question.QUALITY]))


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeServer]:
    """Its port stands in no plan: the same plan, the same images, in every run."""
    served._ask_models.cache_clear()
    fake = FakeServer(answer=by_the_image)
    with serving(fake):
        monkeypatch.setenv("JUDGE_ADDRESS", fake.address)
        yield fake


def judged_plan(max_rounds: int = 2, **changes: Any) -> DatasetPlan:
    """Twelve candidates in units of two: one shard."""
    judge = {"kind": "endpoint", "address": "$JUDGE_ADDRESS", "model": "tiny"}
    settings = {"target": {"all": 12}, "unit_size": 2, "judge_rules": {"max_rounds": max_rounds}}
    return tiny_plan(judge=judge, **settings | changes)


def _pairs(root: Path) -> list[dict[str, Any]]:
    columns = ["sample_id", "sha256", "answers", "judged", "painted"]
    table = lance.dataset(root / "datasets/tiny/pairs.lance").to_table(columns=columns)
    rows: list[dict[str, Any]] = table.to_pylist()
    return rows


def _identities(root: Path) -> set[tuple[str, str]]:
    return {(row["sample_id"], row["sha256"]) for row in _pairs(root)}


def test_images_the_judge_refuses_are_painted_again_until_it_agrees(
    server: FakeServer, tmp_path: Path
) -> None:
    plan = judged_plan(max_rounds=3)
    release = generate_dataset(plan, str(tmp_path))
    assert release.complete
    seen = Counter(hashlib.sha256(shown(asked)).hexdigest() for asked in server.written)
    assert set(seen.values()) == {1}, "every image is judged once"
    pairs = _pairs(tmp_path)
    assert all(row["sha256"] in seen for row in pairs)
    assert all(answer["yes"] for row in pairs for answer in row["answers"])
    assert {row["judged"]["engine"] for row in pairs} == {"endpoint"}
    again = [row for row in pairs if row["painted"]["tries"] > 1]
    assert again
    for row in again:
        made = row["painted"]
        assert made["seed"] == sample_seed(row["sample_id"], Stage.PAINT, made["tries"])

    work = open_work(str(tmp_path), "tiny")
    judged = work.dataset.ledger.settled(Stage.JUDGE)
    assert max(judged) >= len(work.units), "later rounds are units of their own"
    outcomes = [one for record in judged.values() for one in record.outcomes]
    assert len(outcomes) == len(server.written)
    num_refused = sum(one.outcome is Outcome.REJECTED for one in outcomes)
    assert num_refused == sum(not is_good(shown(asked)) for asked in server.written) > 0
    status = dataset_status(work)
    assert status.repainted >= len(again)
    assert status.stages[Stage.JUDGE].done == len(judged)
    assert not any(stage.missing for stage in status.stages.values())
    assert "painted again" in status_text(status)
    num_asked = len(server.written)
    assert generate_dataset(plan, str(tmp_path)) == release
    assert len(server.written) == num_asked, "what is judged is never asked about again"


def test_judge_that_never_agrees_ends_with_its_reason_after_the_rounds(
    server: FakeServer, tmp_path: Path
) -> None:
    async def never(_: dict[str, Any]) -> web.StreamResponse:
        return completion(answer_text([Question.FRONTAL]))

    server.answer = never
    generate_dataset(judged_plan(target={"all": 6}), str(tmp_path))
    status = dataset_status(open_work(str(tmp_path), "tiny"))
    assert status.accepted == 0
    assert sum(status.rejected.values()) == 6
    assert len(server.written) == 2 * status.rejected["not a frontal view"] > 0
    rejects = lance.dataset(tmp_path / "datasets/tiny/rejects.lance").to_table(
        columns=["stage", "sha256", "answers"]
    )
    by_judge = [row for row in rejects.to_pylist() if row["stage"] == Stage.JUDGE]
    assert by_judge
    assert all(row["sha256"] and len(row["answers"]) == 6 for row in by_judge)


def test_judge_that_fails_releases_nothing_and_retry_asks_about_the_rest(
    server: FakeServer, tmp_path: Path
) -> None:
    async def broken(asked: dict[str, Any]) -> web.StreamResponse:
        return error(500, "CUDA error: device lost")

    server.answer = broken
    root = str(tmp_path)
    execution = {"num_processes": 1, "unit_retries": 0}
    plan = judged_plan(max_rounds=1, execution=execution)
    with pytest.raises(EngineFailed, match=r"not settled .*device lost.*cxr-factory retry tiny"):
        generate_dataset(plan, root)
    status = dataset_status(open_work(root, "tiny"))
    assert status.release is None
    assert status.stages[Stage.PAINT].missing == 0
    assert status.stages[Stage.JUDGE].failed == status.stages[Stage.JUDGE].missing == 6
    server.answer = by_the_image
    server.asked.clear()
    assert retry_failed_units("tiny", root).complete
    good = {hashlib.sha256(png).hexdigest() for png in map(shown, server.written) if is_good(png)}
    assert {row["sha256"] for row in _pairs(tmp_path)} == good
    assert len(_pairs(tmp_path)) == len(good) > 0


def test_restricted_images_to_a_judge_elsewhere_are_refused(tmp_path: Path) -> None:
    root = str(tmp_path / "root")
    ingest_corpus("mimic", str(make_mimic(tmp_path / "mimic")), "mimic", root)
    judge = {"kind": "endpoint", "address": "http://llm.example.org/v1", "model": "tiny"}
    plan = tiny_plan(entities={"kind": "corpus", "corpus": "mimic"}, judge=judge)
    with pytest.raises(ValueError, match=r"restricted, got the endpoint host 'llm\.example\.org'"):
        generate_dataset(plan, root)
    assert not (tmp_path / "root" / "datasets").exists()


def test_plan_without_a_judge_is_the_plan_it_was() -> None:
    content = tiny_plan().content()
    assert not {"judge", "judge_rules"} & content.keys()
    with pytest.raises(ValueError, match="judge_rules are for a judge"):
        tiny_plan(judge_rules={"max_rounds": 2})


def test_plan_with_a_judge_holds_its_rules_and_reads_back() -> None:
    plan = judged_plan(judge_rules={"must_be_yes": ["human", "frontal"]})
    content = plan.content()
    assert content["judge"]["kind"] == "endpoint"
    assert content["judge_rules"]["must_be_yes"] == ["human", "frontal"]
    assert DatasetPlan.model_validate(plan.model_dump(mode="json")) == plan


@pytest.mark.server
@pytest.mark.timeout(600)
def test_generate_killed_while_judging_and_run_again_equals_an_undisturbed_run(
    server: FakeServer, tmp_path: Path
) -> None:
    plan = judged_plan(
        target={"all": 14}, unit_size=1, execution={"num_processes": 1, "units_in_flight": 1}
    )
    path, root = tmp_path / "plan.yaml", tmp_path / "killed"
    ledger = root / "datasets/tiny/ledger/judge"

    def second_round() -> list[Path]:
        return [record for record in ledger.glob("*.json") if int(record.stem) >= 14]

    async def stuck_in_the_second_round(asked: dict[str, Any]) -> web.StreamResponse:
        if second_round():
            await asyncio.sleep(3600)
        return await by_the_image(asked)

    server.answer = stuck_in_the_second_round
    path.write_text(yaml.safe_dump(plan.model_dump(mode="json")))
    cli = str(Path(sys.executable).parent / "cxr-factory")
    command = [cli, "generate", str(path), "--root", str(root), "--json"]
    process = subprocess.Popen(
        command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, start_new_session=True
    )
    deadline = time.monotonic() + 240
    while not (second_round() and server.in_flight):
        assert process.poll() is None, process.communicate()[1].decode()
        assert time.monotonic() < deadline, "the second round was not reached"
        time.sleep(0.02)
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate()
    assert not (root / "datasets/tiny/releases").exists()
    server.answer = by_the_image
    before = {path.name: path.read_bytes() for path in ledger.glob("*.json")}
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert {name: (ledger / name).read_bytes() for name in before} == before
    undisturbed = tmp_path / "undisturbed"
    generate_dataset(plan, str(undisturbed))
    assert _identities(root) == _identities(undisturbed)
