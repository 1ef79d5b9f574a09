"""Bring real data in: a corpus under the root, with its entity table where it has reports."""

from pathlib import Path
from typing import Literal

from prefect import flow
from prefect.logging import get_run_logger

from flows.plans import TaggerConfig
from models.engines import engine_config
from storage.corpora import IngestReport, read_corpus
from storage.ingestion import corpus_reader, ingest
from storage.objects import open_store
from tasks.tagging import tag_corpus

CorpusKind = Literal["openi", "nih"]


@flow(name="ingest-corpus", flow_run_name="ingest {name}")
def ingest_corpus(
    kind: CorpusKind,
    source: str,
    name: str,
    root: str = "./factory",
    restricted: bool = False,
    tagger: TaggerConfig | None = None,
) -> IngestReport:
    """Read a source into `corpora/<name>.lance`; a second ingest of the same finds it done.

    Args:
        kind: Layout of the source: openi (report archive), nih (ChestX-ray14 folder).
        source: File or folder as it was downloaded.
        name: Of the corpus.
        root: Folder or s3://bucket/prefix.
        restricted: Mark as credentialed data; what derives from it is marked too.
        tagger: Finds the entities of its reports; the lexicon when not given.
    """
    store = open_store(root)
    report = ingest(store, name, corpus_reader(kind, Path(source)), restricted=restricted)
    get_run_logger().info(
        "%s: %d rows, %d damaged members skipped", name, report.num_rows, report.num_skipped
    )
    if not read_corpus(store, name).has_images:
        tag_corpus(root, name, tagger or engine_config("taggers", {"kind": "lexicon"}))
    return report
