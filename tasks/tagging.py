"""The tagger over a corpus: what its reports speak of, counted, and how uneven that is."""

from collections import Counter
from collections.abc import Iterator
from contextlib import closing
from dataclasses import asdict, dataclass
from itertools import islice
from typing import Any

from prefect import task
from prefect.cache_policies import NO_CACHE

from models.engines import EngineConfig
from models.sampling.curation import merge_duplicates, merging_revision
from models.sampling.entity_table import EntityTable, LongTail, long_tails
from models.taggers.opening import open_tagger
from models.vocabulary.concepts import load_vocabulary
from models.vocabulary.revisions import joined_hash
from storage.corpora import read_corpus
from storage.entity_tables import EntitySource, read_entity_source, write_entity_table
from storage.objects import ObjectStore, open_store
from storage.readers.rows import CorpusReport
from storage.records import EntityKind, Split

BATCH_REPORTS = 256


@dataclass(frozen=True, slots=True)
class EntityFigures:
    """How uneven the entities of a corpus are; numbers alone, so that they may be shown anywhere.

    Attributes:
        tagger: Kind of the engine that found them.
        overall: Of all entities.
        by_kind: Of the entities of each kind.
    """

    tagger: str
    overall: LongTail
    by_kind: dict[EntityKind, LongTail]

    def as_dict(self) -> dict[str, Any]:
        """As JSON values."""
        return asdict(self)


@task(name="tag-corpus", cache_policy=NO_CACHE, persist_result=False)
def tag_corpus(root: str, name: str, tagger: EngineConfig) -> int:
    """Write the entity table of a corpus: each (text, kind) with the reports that mention it.

    Only reports of training patients are read: what is drawn from the table is trained on.
    Duplicates are merged. A table that the same tagger made is kept as it is.

    Returns:
        The number of distinct entities; 0 when no report speaks of any, and no table is written.

    Raises:
        ValueError: If the corpus has no reports.
        EngineUnavailable: If the tagger's model is missing.
    """
    store, vocabulary = open_store(root), load_vocabulary()
    revision = joined_hash(tagger.revision(), merging_revision(vocabulary))
    source = EntitySource(tagger.kind, revision, Split.TRAIN)
    if read_entity_source(store, name) == source:
        return len(read_corpus(store, name).entity_counts())
    counts = _counted(read_corpus(store, name).reports(Split.TRAIN), tagger)
    if not counts:
        return 0
    found = EntityTable.from_counts((text, kind, n) for (text, kind), n in counts.items())
    table, merged = merge_duplicates(found, vocabulary)
    variants = {(entity.text, entity.kind): entity.merged for entity in merged}
    write_entity_table(store, name, table.rows(), source, variants)
    return len(table)


def entity_figures(store: ObjectStore, name: str) -> EntityFigures | None:
    """How uneven the entities of a corpus are; None when it has no entity table."""
    source = read_entity_source(store, name)
    if source is None:
        return None
    table = EntityTable.from_counts(read_corpus(store, name).entity_counts())
    return EntityFigures(source.tagger, table.long_tail(), long_tails(table))


def report_text(report: CorpusReport) -> str:
    """The sections that a report has, each ended as a sentence, for a tagger."""
    sections = (text.strip() for text in (report.findings, report.impression) if text)
    return " ".join(text if text[-1] in ".?!" else f"{text}." for text in sections if text)


def _counted(
    reports: Iterator[CorpusReport], tagger: EngineConfig
) -> Counter[tuple[str, EntityKind]]:
    counts: Counter[tuple[str, EntityKind]] = Counter()
    texts = (report_text(report) for report in reports)
    with closing(open_tagger(tagger)) as engine:
        for batch in _batches(texts):
            for entities in engine.tag(batch):
                counts.update(entity.key for entity in entities)
    return counts


def _batches(texts: Iterator[str]) -> Iterator[list[str]]:
    while batch := list(islice(texts, BATCH_REPORTS)):
        yield batch
