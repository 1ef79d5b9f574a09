"""Study 2's way: real reports in, painted pairs out, each naming where its report is from."""

import tarfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import lance
import pytest

from flows.generate import generate_dataset
from flows.ingest import ingest_corpus
from flows.plans import DatasetPlan
from flows.work import lock_work, open_work
from models.painters.painting import PaintStationConfig
from storage.errors import PlanMismatch
from storage.layout import Table
from storage.objects import open_store
from storage.readers.rows import patient_split
from storage.records import SourceReport, Split
from storage.releases import open_release
from tasks.make_again import Likeness, make_again
from tasks.real_reports import source_reports
from tests.flows.conftest import tiny_plan
from tests.storage.readers.made_files import make_mimic

REPORTS = [f"CXR{number}" for number in range(1, 41)]
TRAINING = [one for one in REPORTS if patient_split("openi", one) is Split.TRAIN]
FINDINGS = "Compared with XXXX there is a small left pleural effusion. The heart is normal."
# Number 1 has no FINDINGS; the others conclude more than theirs say, as real reports do.
XML = """<eCitation><uId id="{name}"/><Abstract>
<AbstractText Label="FINDINGS">{findings}</AbstractText>
<AbstractText Label="IMPRESSION">Effusion, and pneumonia in report {name}.</AbstractText>
</Abstract></eCitation>"""


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> str:
    source, root = tmp_path_factory.mktemp("openi"), str(tmp_path_factory.mktemp("root"))
    with tarfile.open(source / "NLMCXR_reports.tgz", "w:gz") as archive:
        for name in REPORTS:
            path = source / f"{name}.xml"
            path.write_text(XML.format(name=name, findings="" if name == TRAINING[0] else FINDINGS))
            archive.add(path, path.name)
    ingest_corpus("openi", str(source), "openi", root)
    return root


def real_plan(name: str, num: int, **changes: Any) -> DatasetPlan:
    settings: dict[str, Any] = {
        "entities": {"kind": "built-in"},
        "sampling": {},
        "splits": {},
        "writer": {"kind": "corpus", "corpus": "openi"},
        "image_rules": {"near_duplicate_max_distance": None},
    }
    return tiny_plan(name=name, target={"all": num}, **settings | changes)


def _pairs(root: str, name: str) -> list[dict[str, Any]]:
    table = lance.dataset(f"{root}/datasets/{name}/pairs.lance")
    columns = [one for one in table.schema.names if one not in ("image", "thumbnail", "masks")]
    rows: list[dict[str, Any]] = table.to_table(columns=columns).to_pylist()
    return rows


def test_real_reports_become_pairs_that_name_their_report(root: str) -> None:
    release = generate_dataset(real_plan("real", len(TRAINING) - 1), root)
    assert release.complete
    assert not release.restricted
    pairs = _pairs(root, "real")
    assert {pair["source_report_id"] for pair in pairs} == set(TRAINING[1:])
    for pair in pairs:
        name = pair["source_report_id"]
        assert (pair["source_corpus"], pair["source_patient_id"]) == ("openi", name)
        assert pair["findings"] == FINDINGS.replace("XXXX ", "")
        assert pair["impression"] == f"Effusion, and pneumonia in report {name}."
        assert pair["painted"]["prompt"] == pair["impression"]
        assert (pair["written"]["engine"], pair["written"]["prompt"]) == ("corpus", "")
        assert pair["entities_requested"] == pair["entities_found"]
        stated = {(one["text"], one["status"]) for one in pair["entities_requested"]}
        assert {("pleural effusion", "present"), ("pneumonia", "present")} <= stated
        assert (pair["split"], pair["sex"], pair["age_years"]) == ("train", None, None)
    work = open_work(root, "real")
    painting = PaintStationConfig(work.plan.painter, ())
    again = make_again(work.dataset, pairs[0]["sample_id"], work.write_station(), painting)
    assert (again.report, again.image) == (Likeness.IDENTICAL, Likeness.IDENTICAL)


def _taken(root: str, plan: DatasetPlan) -> list[str]:
    """Report ids in order of index."""
    samples = lock_work(plan, root).drawing().samples
    return [sample.source.report_id for sample in samples if sample.source is not None]


def test_real_reports_are_taken_once_each_in_an_order_that_the_seed_gives(root: str) -> None:
    some, others = (_taken(root, real_plan(f"some{seed}", 8, seed=seed)) for seed in (3, 4))
    assert some != others
    assert len(set(some)) == len(set(others)) == 8
    assert _taken(root, real_plan("more", 12, seed=3))[:8] == some


def test_report_without_findings_is_taken_where_the_impression_is_enough(root: str) -> None:
    writer = {"kind": "corpus", "corpus": "openi", "sections": "impression"}
    work = lock_work(real_plan("every", len(TRAINING), writer=writer), root)
    samples = work.drawing().samples
    reports = source_reports(work.dataset.store, samples)
    empty = [
        sample.source.report_id
        for sample in samples
        if sample.source is not None and not reports[sample.sample_id].findings
    ]
    assert len(reports) == len(TRAINING)
    assert empty == TRAINING[:1]


def test_reports_that_the_corpus_lacks_are_refused(root: str) -> None:
    work = lock_work(real_plan("lost", 2), root)
    sample, other = work.drawing().samples
    lost = replace(other, source=SourceReport("openi", "CXR'0", "CXR'0"))
    with pytest.raises(PlanMismatch, match=r"lacks 1 reports .*the first \"CXR'0\""):
        source_reports(work.dataset.store, [sample, lost])


def test_another_corpus_under_the_name_is_refused(root: str) -> None:
    work = lock_work(real_plan("kept", 4), root)
    other = {"corpus": work.corpora["corpus"] | {"source_sha256": "0" * 64}}
    with pytest.raises(PlanMismatch, match=r"'kept' is locked to corpora .*; bring those in"):
        replace(work, corpora=other).require_engines()


def test_real_reports_of_a_restricted_corpus_make_a_restricted_dataset(tmp_path: Path) -> None:
    root = str(tmp_path / "root")
    ingest_corpus("mimic", str(make_mimic(tmp_path / "mimic")), "mimic", root)
    plan = real_plan("closed", 2, writer={"kind": "corpus", "corpus": "mimic"})
    assert generate_dataset(plan, root).restricted
    dataset = open_work(root, "closed").dataset
    release = open_release(open_store(root), dataset.layout)
    table = lance.dataset(f"{root}/datasets/closed/pairs.lance", release.versions[Table.PAIRS])
    assert table.schema.metadata[b"restricted"] == b"true"
    assert {pair["source_patient_id"] for pair in _pairs(root, "closed")} == {"10000032"}


def test_plan_of_real_reports_that_asks_for_entities_is_refused() -> None:
    with pytest.raises(ValueError, match="of which entities and sampling can say nothing; remove"):
        tiny_plan(writer={"kind": "corpus", "corpus": "openi"}, splits={})
