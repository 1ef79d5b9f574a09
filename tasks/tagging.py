"""The tagger over a corpus: what its reports speak of, counted."""

from collections import Counter
from collections.abc import Iterator
from itertools import islice

from prefect import task
from prefect.cache_policies import NO_CACHE

from models.engines import EngineConfig
from storage.corpora import read_corpus, write_entity_table
from storage.objects import open_store
from storage.records import EntityKind, Split

BATCH_REPORTS = 256


@task(name="tag-corpus", cache_policy=NO_CACHE, persist_result=False)
def tag_corpus(root: str, name: str, tagger: EngineConfig) -> int:
    """Write the entity table of a corpus: each (text, kind) with the reports that mention it.

    Only reports of training patients are read: what is drawn from the table is trained on.

    Returns:
        The number of distinct entities.

    Raises:
        ValueError: If the corpus has no reports.
    """
    store = open_store(root)
    reports = read_corpus(store, name).reports(Split.TRAIN)
    engine = tagger.open()
    counts: Counter[tuple[str, EntityKind]] = Counter()
    texts = (f"{report.findings} {report.impression}".strip() for report in reports)
    for batch in _batches(texts):
        for entities in engine.tag(batch):
            counts.update(entity.key for entity in entities)
    rows = ((text, kind, count) for (text, kind), count in counts.items())
    write_entity_table(store, name, rows, tagger_revision=tagger.revision(), split=Split.TRAIN)
    return len(counts)


def _batches(texts: Iterator[str]) -> Iterator[list[str]]:
    while batch := list(islice(texts, BATCH_REPORTS)):
        yield batch
