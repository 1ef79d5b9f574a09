"""Bring real data in: a corpus under the root, with its entity table where it has reports."""

from pathlib import Path

import yaml
from prefect import flow
from prefect.logging import get_run_logger

from flows.plan_files import parse_plan
from flows.plans import Plan, TaggerConfig
from models.engines import EngineConfig
from models.sampling.entity_table import RARE_MENTIONS, LongTail
from storage.corpora import read_corpus
from storage.corpus_info import IngestReport
from storage.ingestion import corpus_reader, ingest
from storage.objects import open_store
from storage.readers.folder_columns import FolderColumns
from storage.readers.kinds import CorpusKind
from storage.records import Split
from tasks.artifacts import show_entities
from tasks.tagging import EntityFigures, entity_figures, tag_corpus


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
        kind: Layout of the source: that of a public dataset (docs/datasets.md), or folder (a CSV
            and its images).
        source: File or folder as it was downloaded.
        name: Of the corpus.
        root: Folder or s3://bucket/prefix.
        restricted: Mark as credentialed data; what derives from it is marked too. Not given:
            a dataset whose access needs an agreement is.
        columns: What the columns of a folder's CSV are called.
        licence: Of a folder.
        tagger: Finds the entities of its reports; the lexicon when not given.
    """
    store = open_store(root)
    reader = corpus_reader(kind, Path(source), columns=columns, licence=licence)
    report = ingest(store, name, reader, restricted=restricted)
    get_run_logger().info("%s: %d rows, %d skipped", name, report.num_rows, report.num_skipped)
    if read_corpus(store, name).has_reports(Split.TRAIN):
        tag_corpus(root, name, tagger or parse_tagger("lexicon"))
        if (figures := entity_figures(store, name)) is not None:
            show_entities(name, figures)
    return report


def parse_tagger(settings: str) -> EngineConfig:
    """A tagger as a person types it: its kind, or its settings as a plan's `tagger` has them.

    Raises:
        ValueError: One line: what was expected and what came.
    """
    try:
        read = yaml.safe_load(settings)
    except yaml.YAMLError as error:
        raise ValueError(f"--tagger: not YAML: {' '.join(str(error).split())}") from error
    named = {"kind": read} if isinstance(read, str) else read
    return parse_plan({"tagger": named}, _Tagger, source="--tagger").tagger


def corpus_figures(root: str, name: str) -> EntityFigures | None:
    """How uneven the entities of an ingested corpus are; None without an entity table."""
    return entity_figures(open_store(root), name)


def report_text(name: str, report: IngestReport, figures: EntityFigures | None) -> str:
    """What an ingest kept and skipped, by reason with a first example, and its entities by kind."""
    lines = [f"{name}: {report.num_rows} rows, {report.num_skipped} members skipped"]
    for kind, count in report.num_by_reason:
        example = next(entry for entry in report.skipped if entry.kind == kind)
        lines.append(f"  {count} skipped, the first {example.member}: {example.reason}")
    if figures is None:
        return "\n".join([*lines, "  no entity table: no training report that speaks of an entity"])
    lines.append(f"  entities of its training reports, found by {figures.tagger}:")
    lines += [_tail_line("all", figures.overall)]
    lines += [_tail_line(kind, tail) for kind, tail in figures.by_kind.items()]
    return "\n".join(lines)


def _tail_line(kind: str, tail: LongTail) -> str:
    return (
        f"    {kind:<16} {tail.num_entities} entities, {tail.num_mentions} mentions, "
        f"{tail.share_of_top_tenth:.0%} of them by the top tenth; "
        f"{tail.share_rare:.0%} of entities with fewer than {RARE_MENTIONS} (Gini {tail.gini:.2f})"
    )


class _Tagger(Plan):
    """What `--tagger` holds."""

    tagger: TaggerConfig
