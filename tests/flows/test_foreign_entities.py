"""Entities that the vocabulary lacks: drawn from a corpus's table, written, and read back."""

from pathlib import Path

import pytest
from pydantic import ValidationError

from flows.generate import generate_dataset, retry_failed_units
from flows.ingest import ingest_corpus
from flows.work import open_work
from storage.entity_tables import EntitySource, write_entity_table
from storage.errors import PlanMismatch
from storage.objects import LocalStore
from storage.records import EntityKind
from tests.flows.conftest import tiny_plan
from tests.storage.readers.made_files import grey, write_csv

SOURCE = EntitySource("huggingface", "r1", None)
FINDINGS = ("thymic cyst", "azygous shadow", "tracheal button", "beaded outline", "pleural tag")
PLACES = ("thymus", "aortopulmonary window", "azygous recess")


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A corpus whose entity table a classifier might have made."""
    source, root = tmp_path_factory.mktemp("source"), str(tmp_path_factory.mktemp("root"))
    write_csv(source / "list.csv", [{"image": "a.png", "patient_id": "p"}])
    (source / "a.png").write_bytes(grey())
    ingest_corpus("folder", str(source), "mine", root)
    rows = [(text, kind, 5) for text in FINDINGS for kind in _both(EntityKind.ABNORMALITY)]
    rows += [(text, kind, 9) for text in ("sarcoid", "pneumonia") for kind in _both(_DISEASE)]
    rows += [(text, EntityKind.ANATOMY, 7) for text in (*PLACES, "left lung base", "effusion")]
    write_entity_table(LocalStore(root), "mine", rows, SOURCE)
    return root


_DISEASE = EntityKind.DISEASE


def _both(kind: EntityKind) -> tuple[EntityKind, EntityKind]:
    return kind, kind.negated


def test_generate_from_foreign_entities_with_the_lexicon_accepts_its_reports(root: str) -> None:
    plan = tiny_plan(name="foreign", entities={"kind": "corpus", "corpus": "mine"})
    generate_dataset(plan, root)
    work = open_work(root, "foreign")
    selection = work.selection()
    planned = work.drawing().rows(range(work.plan.target.num_candidates)).to_pylist()
    asked = {entity["text"] for row in planned for entity in row["entities_requested"]}
    assert set(FINDINGS) <= asked
    assert "effusion" not in asked  # as a place it cannot be told from the finding
    assert selection.num_accepted == 24
    assert not {str(reason) for reason in selection.rejected} & {"extra entity", "missing entity"}
    assert len(work.write_station().tagger.model_dump()["extra_terms"]) > len(FINDINGS)
    assert not work.plan.tagger.model_dump()["extra_terms"]


def test_retry_after_the_corpus_was_tagged_anew_is_refused(root: str) -> None:
    plan = tiny_plan(name="moved", entities={"kind": "corpus", "corpus": "mine"})
    generate_dataset(plan, root)
    rows = [("other shadow", EntityKind.ABNORMALITY, 5), ("thymus", EntityKind.ANATOMY, 5)]
    write_entity_table(LocalStore(root), "mine", rows, SOURCE)
    with pytest.raises(PlanMismatch, match="locked to other entities than its plan's source"):
        open_work(root, "moved").require_engines()
    with pytest.raises(PlanMismatch, match="locked to other entities"):
        retry_failed_units("moved", root)


@pytest.mark.parametrize(
    ("changes", "line"),
    [
        ({"sampling": {"uncertain_share": 0.1}}, r"uncertain_share must be 0 .* got 0\.1"),
        ({"report_rules": {"match": "pairs and anatomy"}}, r"must be 'pairs' .* reads no place"),
    ],
)
def test_plan_with_a_classifier_asks_for_neither_doubt_nor_place(
    changes: dict[str, object], line: str, tmp_path: Path
) -> None:
    with pytest.raises(ValidationError, match=line):
        tiny_plan(tagger={"kind": "huggingface", "model": str(tmp_path)}, **changes)
