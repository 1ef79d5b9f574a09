"""Few-shot examples: named in the plan, read from training patients, and found nowhere else."""

import json
from pathlib import Path
from typing import Any

import lance
import pytest
from aiohttp import web

from flows.generate import generate_dataset
from flows.ingest import ingest_corpus
from flows.plan_sources import engines_of
from flows.plans import DatasetPlan
from flows.work import lock_work, open_work
from models.writers.language_model.configs import LanguageModelConfig
from models.writers.language_model.examples import prompts_hash
from storage.objects import open_store
from storage.readers.folder import COLLECTION
from storage.readers.rows import patient_split
from storage.records import Split
from tests.flows.conftest import all_that_prefect_keeps, tiny_plan
from tests.models.chat.fake_server import FakeServer, error, serving, truthful
from tests.storage.readers.made_files import grey, write_csv

PATIENTS = [f"p{number}" for number in range(40)]
TRAINING = [who for who in PATIENTS if patient_split(COLLECTION, who) is Split.TRAIN]
CANARY, HELD_OUT = "wollemi", "quagga"  # words that no prompt or vocabulary has


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A restricted corpus; one training patient's report compares with an earlier time."""
    source, root = tmp_path_factory.mktemp("source"), str(tmp_path_factory.mktemp("root"))
    lines = []
    for who in PATIENTS:
        (source / f"{who}.png").write_bytes(grey())
        word = CANARY if who in TRAINING else HELD_OUT
        changed = "Unchanged" if who == TRAINING[0] else "Clear"
        said = {"findings": f"{changed} lungs in {word} {who}.", "impression": f"Normal {word}."}
        lines.append({"image": f"{who}.png", "patient_id": who, **said})
    write_csv(source / "list.csv", lines)
    ingest_corpus("folder", str(source), "mine", root, restricted=True)
    return root


def shown_plan(name: str, address: str, **examples: Any) -> DatasetPlan:
    writer = {"kind": "endpoint", "address": address, "model": "tiny", "temperature": 0.0}
    return tiny_plan(
        name=name,
        target={"all": 8},
        writer=writer | {"examples": {"corpus": "mine"} | examples},
        execution={"num_processes": 1, "retry_delay_seconds": 0.0},
    )


def test_examples_reach_the_model_alone(
    root: str, caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str]
) -> None:
    server = FakeServer()

    async def quoting_first(asked: dict[str, Any]) -> web.StreamResponse:
        if len(server.written) == 1:
            return error(500, f"cannot read {asked['messages'][0]['content']}")
        return await truthful(asked)

    server.answer = quoting_first
    with serving(server), caplog.at_level("DEBUG"):
        release = generate_dataset(shown_plan("told", server.address, num=3), root)
        work = open_work(root, "told")
        (writer,) = (engines_of(work.plan, work.dataset.store)[place] for place in ["writer"])
        assert isinstance(writer, LanguageModelConfig)
        assert work.revisions["writer"] == writer.revision()
    assert release.restricted
    told = [asked["messages"][0]["content"] for asked in server.asked]
    assert all(system.count(CANARY) in (3, 6) for system in told)  # the findings, or both sections
    assert not any(HELD_OUT in system or f"{TRAINING[0]}." in system for system in told)
    assert not any(CANARY in asked["messages"][1]["content"] for asked in server.asked)

    failures = list(Path(root, "datasets/told/failures").rglob("*.json"))
    assert "quotes the request" in failures[0].read_text()
    captured = capsys.readouterr()
    for place in (caplog.text, captured.out, captured.err, repr(work.plan), repr(writer)):
        assert CANARY not in place
    for path in Path(root, "datasets/told").rglob("*"):
        assert path.is_dir() or CANARY.encode() not in path.read_bytes(), path
    kept = all_that_prefect_keeps(until="cxr-factory.release.told.1")
    assert CANARY not in kept
    pairs = lance.dataset(f"{root}/datasets/told/pairs.lance").to_table(columns=["written"])
    hashes = {row["written"]["prompt_sha256"] for row in pairs.to_pylist()}
    assert hashes == {prompts_hash(writer)}


def test_examples_are_the_same_for_a_seed_and_part_of_the_revision(root: str) -> None:
    store, server = open_store(root), FakeServer()
    with serving(server):
        plans = [shown_plan("any", server.address, seed=seed) for seed in (0, 0, 1)]
        writers = [engines_of(plan, store)["writer"] for plan in plans]
        revisions = [writer.revision() for writer in writers]
    assert revisions[0] == revisions[1] != revisions[2]
    assert CANARY not in json.dumps([plan.model_dump(mode="json") for plan in plans])


def test_more_examples_than_reports_is_refused(root: str) -> None:
    plan = shown_plan("many", "http://127.0.0.1:9/v1", num=len(TRAINING))
    got = len(TRAINING) - 1  # but for the one that compares
    with pytest.raises(ValueError, match=rf"examples: expected {got + 1} different .* got {got}; "):
        lock_work(plan, root)


def test_restricted_examples_to_an_endpoint_elsewhere_are_refused(root: str) -> None:
    plan = shown_plan("leak", "http://llm.example.org/v1")
    with pytest.raises(ValueError, match=r"restricted, got the endpoint host 'llm\.example\.org'"):
        generate_dataset(plan, root)
    assert not Path(root, "datasets/leak").exists()


def test_examples_that_were_not_read_are_an_error_and_no_empty_prompt() -> None:
    config = shown_plan("any", "http://127.0.0.1:9/v1").writer
    assert isinstance(config, LanguageModelConfig)
    with pytest.raises(ValueError, match="expected the reports of corpus 'mine', got none; open"):
        prompts_hash(config)
