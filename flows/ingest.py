"""Bring real data in: a corpus under the root, with its entity table where it has reports."""

from pathlib import Path
from typing import Literal

from prefect import flow
from prefect.logging import get_run_logger

from flows.plans import TaggerConfig
from models.engines import engine_config
from storage.corpora import read_corpus
from storage.corpus_info import IngestReport
from storage.ingestion import corpus_reader, ingest
from storage.objects import open_store
from storage.readers.folder_columns import FolderColumns
from storage.records import Split
from tasks.tagging import tag_corpus

CorpusKind = Literal["openi", "nih", "mimic", "folder"]


@flow(name="ingest-corpus", flow_run_name="ingest {name}")
def ingest_corpus(
    kind: CorpusKind,
    source: str,
    name: str,
    root: str = "./factory",
    restricted: bool | None = None,
    columns: FolderColumns | None = None,
    licence: str | None = None,
    tagger: TaggerConfig | None = None,
) -> IngestReport:
    """Read a source into `corpora/<name>.lance`; a second ingest of the same finds it done.

    Args:
        kind: Layout of the source: openi (report archive), nih (ChestX-ray14 folder), mimic
            (MIMIC-CXR-JPG folder with its reports), folder (a CSV and its images).
        source: File or folder as it was downloaded.
        name: Of the corpus.
        root: Folder or s3://bucket/prefix.
        restricted: Mark as credentialed data; what derives from it is marked too. Not given:
            mimic is, the others are not.
        columns: What the columns of a folder's CSV are called.
        licence: Of a folder.
        tagger: Finds the entities of its reports; the lexicon when not given.
    """
    store = open_store(root)
    reader = corpus_reader(kind, Path(source), columns=columns, licence=licence)
    report = ingest(store, name, reader, restricted=restricted)
    get_run_logger().info("%s: %d rows, %d skipped", name, report.num_rows, report.num_skipped)
    if read_corpus(store, name).has_reports(Split.TRAIN):
        tag_corpus(root, name, tagger or engine_config("taggers", {"kind": "lexicon"}))
    return report


def report_text(name: str, report: IngestReport) -> str:
    """What an ingest kept and skipped, a line for each kind of reason with its first example."""
    lines = [f"{name}: {report.num_rows} rows, {report.num_skipped} members skipped"]
    for kind, count in report.num_by_reason:
        example = next(entry for entry in report.skipped if entry.kind == kind)
        lines.append(f"  {count} skipped, the first {example.member}: {example.reason}")
    return "\n".join(lines)
