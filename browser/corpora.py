"""The corpora under the root: counts and licences, and nothing of their content."""

from dataclasses import dataclass

from browser.library import Library
from storage.corpora import corpus_info, entity_table_key, open_table, read_corpus
from storage.errors import FactoryError
from storage.objects import ObjectStore

_CORPUS, _ENTITIES = ".lance", ".entities.lance"


@dataclass(frozen=True, slots=True)
class CorpusSummary:
    """A corpus of real data, without a word of it.

    Attributes:
        holds: "reports", "images" or both.
        num_entities: Distinct entities of its reports; null where none were tagged.
        problem: Why it cannot be read; empty where it can.
    """

    name: str
    collection: str
    licence: str
    restricted: bool
    num_rows: int
    num_skipped: int
    num_entities: int | None
    holds: str
    version: int
    problem: str


def list_corpora(library: Library) -> list[CorpusSummary]:
    """Every corpus under the root, by name."""
    keys = [key for key in library.store.folders("corpora") if key.endswith(_CORPUS)]
    names = [key.removesuffix(_CORPUS) for key in keys if not key.endswith(_ENTITIES)]
    return [_corpus(library.store, name) for name in names]


def _corpus(store: ObjectStore, name: str) -> CorpusSummary:
    try:
        corpus, info = read_corpus(store, name), corpus_info(store, name)
    except (FactoryError, ValueError) as error:
        return CorpusSummary(name, "", "", False, 0, 0, None, "", 0, str(error))
    assert info is not None, name
    entities = open_table(store, entity_table_key(name))
    has = {"reports": corpus.has_reports(), "images": corpus.has_images}
    return CorpusSummary(
        name=name,
        collection=info.collection,
        licence=info.licence,
        restricted=info.restricted,
        num_rows=corpus.num_rows,
        num_skipped=info.report.num_skipped,
        num_entities=None if entities is None else int(entities.count_rows()),
        holds=" and ".join(what for what, there in has.items() if there),
        version=corpus.version,
        problem="",
    )
